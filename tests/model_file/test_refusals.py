"""What a file cannot hold is refused by its name before anything is written, or left out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
import sklearn
from gdfast import callbacks, optim, schedules
from ids import text_of
from models import CASES, assert_alike, classes, fitted, numbers, rows, table
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import KFold

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Dates are taken as numbers"),
]


class MyRule(optim.SGD):
    """A rule of a user."""


class MySchedule(schedules.Cosine):
    """A schedule of a user."""


class Stop:
    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
        return True


def half(epoch: int) -> float:
    return 0.5


def score(est: Any, X: Any, y: Any) -> float:
    return 0.5


NOT_PLAIN: dict[str, dict[str, Any]] = {
    "a function as schedule": {"schedule": half},
    "a schedule of a function": {"schedule": schedules.Lambda(half)},
    "warm-up before a function": {"schedule": schedules.Warmup(schedules.Lambda(half))},
    "a schedule of one's own": {"schedule": MySchedule()},
    "a function of dropout": {"dropout_schedule": half, "dropout": 0.1},
    "a function of weight decay": {"weight_decay_schedule": half, "weight_decay": 0.1},
    "a rule of one's own": {"solver": MyRule()},
    "a function of the depth": {"backprop_depth": lambda epoch: 1},
    "callbacks": {"callbacks": [Stop()]},
    "gdfast's callbacks": {"callbacks": [callbacks.EarlyStopping("loss")]},
    "a scorer": {"scoring": score, "early_stopping": True},
    "scikit-learn's scorer": {"scoring": make_scorer(mean_absolute_error), "early_stopping": True},
}


@pytest.mark.parametrize("fits", [False, True], ids=["unfitted", "fitted"])
@pytest.mark.parametrize("what", NOT_PLAIN)
def test_refused_by_name_or_left_out(what: str, fits: bool, tmp_path: Path) -> None:
    arguments = NOT_PLAIN[what]
    name, path = next(iter(arguments)), tmp_path / "model"
    est = gdfast.MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, random_state=0, **arguments)
    if fits:
        est.fit(rows(), numbers())
    path.write_text("what was there before")
    with pytest.raises(TypeError, match=rf"^{name}=.* cannot be saved.*drop=\['{name}'\]"):
        est.save(path)
    assert path.read_text() == "what was there before"
    assert [file.name for file in tmp_path.iterdir()] == ["model"]

    est.save(path, drop=[name])
    loaded = gdfast.load(path)
    defaults = gdfast.MLPRegressor().get_params(deep=False)
    assert loaded.get_params(deep=False)[name] == defaults[name]
    kept = {key: value for key, value in est.get_params(deep=False).items() if key != name}
    assert_alike(kept, {key: value for key, value in loaded.get_params(deep=False).items() if key != name})
    if fits:
        assert_alike(est.predict(rows()), loaded.predict(rows()))
        loaded.set_params(early_stopping=False).partial_fit(rows(), numbers())


def test_scikit_learns_callbacks(tmp_path: Path) -> None:
    callback = pytest.importorskip("sklearn.callback")
    est = gdfast.MLPRegressor().set_callbacks(callback.ScoringMonitor(scoring="r2"))
    with pytest.raises(TypeError, match=r"^callbacks=.* drop=\['callbacks'\]"):
        est.save(tmp_path / "model")
    est.save(tmp_path / "model", drop="callbacks")
    assert not hasattr(gdfast.load(tmp_path / "model"), "_skl_callbacks")


@pytest.mark.parametrize("kind", [gdfast.TabularClassifier, gdfast.TabularRegressor])
def test_a_scorer_of_a_table_is_left_out_of_its_members(kind: Any, tmp_path: Path) -> None:
    est = kind(n_members=2, max_iter=2, hidden_layer_sizes=(4,), random_state=0, scoring=score, cv=KFold(2))
    est.fit(table(), numbers() > 0 if kind is gdfast.TabularClassifier else numbers())
    with pytest.raises(TypeError, match=r"^scoring="):
        est.save(tmp_path / "model", drop=["cv"])
    with pytest.raises(TypeError, match=r"^cv="):
        est.save(tmp_path / "model", drop=["scoring"])
    est.save(tmp_path / "model", drop={"scoring", "cv"})
    loaded = gdfast.load(tmp_path / "model")
    assert [member.scoring for member in loaded.members_] == [None, None]
    assert_alike(est.predict(table()), loaded.predict(table()))


def test_attributes_of_a_user(tmp_path: Path) -> None:
    est = copy.deepcopy(fitted("classes of strings"))
    est.note = "the best so far"
    with pytest.raises(TypeError, match=r"^note cannot be saved.*drop=\['note'\]"):
        est.save(tmp_path / "model")
    est.save(tmp_path / "model", drop=["note"])
    assert_alike(fitted("classes of strings"), gdfast.load(tmp_path / "model"))


def test_a_class_of_a_user(tmp_path: Path) -> None:
    class MyMLP(gdfast.MLPClassifier):
        pass

    with pytest.raises(TypeError, match=r"test_refusals.*MyMLP cannot be saved.*gdfast's own classes only"):
        MyMLP().save(tmp_path / "model")


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (["callback"], "drop names 'callback', which MLPClassifier does not have"),
        (["coefs_"], "drop names 'coefs_', without which there is no prediction"),
        (["_label_binarizer"], "'_label_binarizer', without which there is no prediction"),
        (["activation"], "drop names 'activation', without which there is no prediction"),
        (["bn_epsilon", "callbacks"], "drop names 'bn_epsilon', without which there is no prediction"),
    ],
)
def test_drop_is_checked(drop: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        fitted("classes of strings").save(tmp_path / "model", drop=drop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("drop", [None, 3, ["training", 3], b"training"])
def test_drop_holds_names(drop: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^drop must be a name or a collection of names, got "):
        fitted("classes of strings").save(tmp_path / "model", drop=drop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["t_", "_no_improvement_count", "loss_curve_", "best_loss_", "validation_scores_"]
)
def test_records_that_are_left_out_begin_again(name: str, tmp_path: Path) -> None:
    X, y = rows(), classes(str)
    est = gdfast.MLPClassifier(max_iter=3, random_state=0, warm_start=True)
    est.fit(X, y, X_val=X, y_val=y).save(tmp_path / "model", drop=name)
    gdfast.load(tmp_path / "model").partial_fit(X, y)
    loaded = gdfast.load(tmp_path / "model").fit(X, y, X_val=X, y_val=y)
    assert len(loaded.validation_scores_) == len(loaded.validation_loss_curve_)
    assert loaded.t_ == (3 if name == "t_" else 6) * len(X)


def test_the_state_of_training_can_be_left_out(tmp_path: Path) -> None:
    est = fitted("everything")
    est.save(tmp_path / "whole")
    est.save(tmp_path / "light", drop=["training", "loss_curve_"])
    loaded = gdfast.load(tmp_path / "light")
    assert not hasattr(loaded, "_training")
    assert not hasattr(loaded, "loss_curve_")
    assert (tmp_path / "light").stat().st_size < (tmp_path / "whole").stat().st_size
    assert_alike(est.predict(rows()), loaded.predict(rows()))
    loaded.set_params(early_stopping=False).partial_fit(rows(), classes(str))


EDITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "NaN": (lambda est: est.coefs_[0].fill(np.nan), "coefs_.*finite numbers"),
    "infinity": (lambda est: est.intercepts_[1].fill(np.inf), "intercepts_.*finite numbers"),
    "another shape": (lambda est: est.coefs_.pop(), "current weights do not fit"),
    "no array": (lambda est: est.coefs_.__setitem__(0, "a"), "coefs_ .* must be a list of arrays"),
    "no list": (lambda est: setattr(est, "loss_curve_", 3), "loss_curve_ .* must be a list of numbers"),
    "removed": (lambda est: delattr(est, "intercepts_"), "has no intercepts_"),
    "classes": (lambda est: setattr(est, "classes_", est.classes_[:2]), "classes_ are not those"),
    "activation": (lambda est: est.set_params(activation="reLU"), "activation='reLU' is no valid argument"),
}


@pytest.mark.parametrize("name", ["coefs_", "_label_binarizer"])
def test_attributes_that_are_another_thing(name: str, tmp_path: Path) -> None:
    est = copy.deepcopy(fitted("classes of strings"))
    setattr(est, name, 3)
    with pytest.raises(TypeError, match=f"^{name} cannot be saved: it is not"):
        est.save(tmp_path / "model")


@pytest.mark.parametrize("edit", EDITS)
def test_attributes_that_do_not_fit(edit: str, tmp_path: Path) -> None:
    """What could not be loaded is not saved."""
    est = copy.deepcopy(fitted("classes of strings"))
    change, message = EDITS[edit]
    change(est)
    with pytest.raises(ValueError, match=message):
        est.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_odd_arguments_come_back(tmp_path: Path) -> None:
    """Arguments are stored as they are given, whether or not a fit would take them."""
    arguments: dict[str, Any] = {
        "hidden_layer_sizes": np.array([3, 2]),
        "alpha": np.float32(0.25),
        "tol": -0.0,
        "n_iter_no_change": np.inf,
        "max_iter": 10**400,
        "max_fun": np.int8(3),
        "class_weight": {0: 1.5, np.str_("b"): 2, (None, True): -1},
        "coefs_init": [np.asfortranarray(rows()), np.zeros((0, 2), np.float16), rows().astype(">f4")],
        "activation_params": {"$tuple": [1, 2.5]},
        "random_state": np.random.RandomState(np.random.Philox(3)),
        "init": ("a", ("b", float("nan"))),
        "verbose": np.True_,
        "annealing_params": {
            "dates": np.array(["2020-01-01", "NaT"], "M8[D]"),
            "empty": np.array([], object),
        },
        "learning_rate_factors": {
            "text": np.array([["a", "é"]]),
            "mixed": np.array([1, "a", None], object),
            "empty": np.array([], object),
        },
        "max_time": np.datetime64("2020-01-01T00:00:01", "ms"),
        "activation": Path("a") / "b",
        "scoring": "\ud800 no Unicode",
        "intercepts_init": [0.1 * i for i in range(1000)],
    }
    est = gdfast.MLPClassifier(**arguments)
    est.save(tmp_path / "model")
    loaded = gdfast.load(tmp_path / "model").get_params(deep=False)
    native = [*arguments["coefs_init"][:2], rows().astype(np.float32)]
    assert_alike({**est.get_params(deep=False), "coefs_init": native}, loaded)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1j]),
        np.longdouble(1),
        np.array([(1, 2)], "i4,i4"),
        np.ma.masked_array([1]),
        {1, 2},
        range(3),
        np.array([b"a"]),
        np.array([object()], object),
        {"a": {frozenset(): 1}},
        type,
        np.random.default_rng(0),
        rows,
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_without_a_place(value: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"(?s)^class_weight=.*cannot be saved.*drop=\['class_weight'\]"):
        gdfast.MLPClassifier(class_weight=value).save(tmp_path / "model")


def test_values_within_themselves(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError, match=r"^class_weight=.*nested more than 64 deep"):
        gdfast.MLPClassifier(class_weight=loop).save(tmp_path / "model")


@pytest.mark.parametrize("name", ["RobustClipper", "PiecewiseLinearEncoder", "CategoricalEncoder"])
def test_encoders_that_do_not_fit(name: str, tmp_path: Path) -> None:
    encoder = getattr(gdfast.preprocessing, name)().fit(rows(), numbers() > 5)
    if name == "CategoricalEncoder":
        encoder._columns[0].numbers[0] = 10**9
    elif name == "RobustClipper":
        encoder.scale_ = encoder.scale_[:2]
    else:
        encoder.bin_edges_[0][0] = np.nan
    with pytest.raises(ValueError, match=r"finite numbers for each column|numbers of a column's categories"):
        encoder.save(tmp_path / "model")


def test_what_would_not_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gdfast._model_file import safetensors

    est = gdfast.MLPClassifier(class_weight=dict.fromkeys(range(1000), 1.0))
    for name, message in (("MOST_VALUES", "at most 500 values"), ("_LONGEST_HEADER", "at most 500 bytes")):
        monkeypatch.setattr(safetensors, name, 500)
        with pytest.raises(ValueError, match=message):
            est.save(tmp_path / "model")
        monkeypatch.undo()
    est.save(tmp_path / "model")


def test_long_records_are_arrays(tmp_path: Path) -> None:
    """Ten thousand epochs are no million values of JSON."""
    est = copy.deepcopy(fitted("everything"))
    est.loss_curve_ = [1 / (1 + i) for i in range(10_000)]
    est.gradient_records_ = {"gradient_norm": [[0.1, 0.2, 0.3]] * 10_000}
    est.save(tmp_path / "model")
    with (tmp_path / "model").open("rb") as file:
        assert int.from_bytes(file.read(8), "little") < 20_000
    loaded = gdfast.load(tmp_path / "model")
    for name in ("loss_curve_", "gradient_records_"):
        assert_alike(getattr(est, name), getattr(loaded, name))


def test_metadata_requests_come_back(tmp_path: Path) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        est = gdfast.MLPClassifier().set_fit_request(sample_weight=True, X_val=False)
        est.set_score_request(sample_weight="weight")
    est.save(tmp_path / "model")
    assert repr(gdfast.load(tmp_path / "model")._metadata_request) == repr(est._metadata_request)


def test_saving_from_a_callback(tmp_path: Path) -> None:
    """Within a fit the estimator can be saved, and what is loaded trains on."""

    class Save:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            est.save(tmp_path / f"{epoch}", drop=["callbacks"])
            self.predicted = est.predict_proba(rows())

    saver = Save()
    est, X, y = CASES["everything"]()
    est.set_params(callbacks=[saver]).fit(X, y)
    loaded = gdfast.load(tmp_path / "3")
    assert_alike(loaded.predict_proba(rows()), saver.predicted)
    loaded.fit(X, y)


@pytest.mark.parametrize("path", [3, None, 1.5, [], object()], ids=text_of)
@pytest.mark.parametrize("what", ["save", "load", "ModelCheckpoint"])
def test_what_is_no_path_is_refused(what: str, path: Any) -> None:
    """An integer would be the descriptor of an open file."""
    calls = {
        "save": lambda: gdfast.MLPRegressor(max_iter=1).save(path),
        "load": lambda: gdfast.load(path),
        "ModelCheckpoint": lambda: callbacks.ModelCheckpoint(path),
    }
    with pytest.raises(TypeError, match="path must be a string or a path"):
        calls[what]()
