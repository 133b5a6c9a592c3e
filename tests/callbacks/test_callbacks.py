"""Who watches a fit: callbacks of one's own, those that come along, and scikit-learn's."""

from __future__ import annotations

import copy
import functools
import io
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from fits import KINDS, assert_same_bits, make, parameters
from gdfast._model_file import safetensors
from gdfast.callbacks import EarlyStopping, History, ModelCheckpoint, ProgressBar
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0, "batch_size": 50}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


class Diary:
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[Any, ...]] = []

    def on_train_begin(self, est: Any) -> None:
        self.notes.append(("train begins", parameters(est)))

    def on_epoch_begin(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        self.notes.append(("begins", epoch, logs, parameters(est)))

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        self.notes.append(("ends", epoch, logs, parameters(est)))

    def on_train_end(self, est: Any) -> None:
        self.notes.append(("train ends", parameters(est)))


class Do:
    """Does one thing in one of the hooks."""

    def __init__(self, hook: str, action: Any) -> None:
        setattr(self, hook, action)


# The protocol.


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton-cg"])
def test_the_course_of_a_fit(kind: Any, solver: str) -> None:
    diary = Diary()
    est = kind(solver=solver, callbacks=[diary], **FIT).fit(X, Y)
    names = [note[0] for note in diary.notes]
    assert names == ["train begins", *["begins", "ends"] * 4, "train ends"]
    assert [note[1] for note in diary.notes[1:-1]] == [0, 0, 1, 1, 2, 2, 3, 3]
    ends = [note for note in diary.notes if note[0] == "ends"]
    rate = {} if solver in ("lbfgs", "newton-cg") else {"learning_rate": 0.001}
    for begin in diary.notes[1:-1:2]:
        assert begin[2] == rate
    for _, epoch, logs, weights in ends:
        assert set(logs) == {"loss", "time", *rate}
        until_then = kind(solver=solver, **{**FIT, "max_iter": epoch + 1}).fit(X, Y)
        assert logs["loss"] == until_then.loss_
        assert_same_bits(weights, parameters(until_then))
    times = [logs["time"] for _, _, logs, _ in ends]
    assert times == sorted(times)
    assert 0 < times[0] < 60
    assert_same_bits(diary.notes[-1][1], parameters(est))
    watched = kind(solver=solver, callbacks=[diary], **FIT).fit(X, Y)
    assert_same_bits(parameters(watched), parameters(kind(solver=solver, **FIT).fit(X, Y)))


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
def test_logs_of_a_validation_set(kind: Any, solver: str) -> None:
    diary = Diary()
    est = kind(solver=solver, callbacks=[diary], **FIT).fit(X, Y, X_val=X[:50], y_val=Y[:50])
    logs = [note[2] for note in diary.notes if note[0] == "ends"]
    assert [log["val_loss"] for log in logs] == est.validation_loss_curve_
    assert [log["val_score"] for log in logs] == est.validation_scores_
    # At the end they see what stays: the best weights.
    assert_same_bits(diary.notes[-1][1], parameters(est))


def test_the_learning_rate_of_the_epoch() -> None:
    diary = Diary()
    est = gdfast.MLPRegressor(solver="sgd", learning_rate="invscaling", callbacks=[diary], **FIT).fit(X, Y)
    rates = [note[2]["learning_rate"] for note in diary.notes if note[0] == "ends"]
    assert rates[0] == 0.001
    np.testing.assert_allclose(rates[1:], [0.001 / (e * len(X) + 1) ** 0.5 for e in (1, 2, 3)], rtol=1e-12)
    assert est._training.optimizer.learning_rate < rates[-1]


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("true", [True, np.True_, 1])
def test_true_stops(kind: Any, solver: str, true: Any) -> None:
    after = Do("on_epoch_end", lambda est, epoch, logs: true if epoch == 1 else None)
    before = Do("on_epoch_begin", lambda est, epoch, logs: true if epoch == 2 else None)
    diary = Diary()
    for callback in (after, before):
        est = kind(solver=solver, callbacks=[callback, diary], **FIT).fit(X, Y)
        assert est.n_iter_ == 2
        assert_same_bits(parameters(est), parameters(kind(solver=solver, **{**FIT, "max_iter": 2}).fit(X, Y)))
    assert diary.notes[-1][0] == "train ends"  # those after it were told, too
    at_once = Do("on_epoch_begin", lambda est, epoch, logs: True)
    est = kind(solver=solver, callbacks=[at_once], **FIT).fit(X, Y)
    assert est.n_iter_ == 0
    assert np.isfinite(est.predict(X)).all()


def test_a_stop_is_no_lack_of_convergence() -> None:
    """Who stops knows why: no ConvergenceWarning, also in the last epoch."""
    import warnings

    for last in (1, 3):
        stop = Do("on_epoch_end", lambda est, epoch, logs, last=last: epoch == last)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            gdfast.MLPRegressor(callbacks=[stop], **FIT).fit(X, Y)
            gdfast.MLPRegressor(callbacks=[stop], solver="lbfgs", **FIT).fit(X, Y)


@pytest.mark.parametrize("edit", ["in place", "replaced"])
def test_training_continues_from_edited_weights(edit: str, dtype: type[np.floating]) -> None:
    """Weights clipped after each epoch, and by hand between fits of one epoch."""

    def clip(est: Any, epoch: int, logs: dict[str, float]) -> None:
        if edit == "in place":
            for coef in est.coefs_:
                np.clip(coef, -0.1, 0.1, out=coef)
        else:
            est.coefs_ = [np.clip(coef, -0.1, 0.1) for coef in est.coefs_]

    data = X.astype(dtype), Y
    watched = gdfast.MLPRegressor(callbacks=[Do("on_epoch_end", clip)], shuffle=False, **FIT).fit(*data)
    by_hand = gdfast.MLPRegressor(shuffle=False, **FIT)
    for epoch in range(4):
        clip(by_hand.partial_fit(*data), epoch, {})
    assert_same_bits(parameters(watched), parameters(by_hand))
    assert max(np.abs(coef).max() for coef in watched.coefs_) <= 0.1 + 1e-8


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"])
def test_an_exception_leaves_a_sane_estimator(kind: Any, hook: str, solver: str) -> None:
    def fail(est: Any, epoch: int = 2, logs: Any = None) -> None:
        if epoch == 2:
            raise RuntimeError("the callback's own")

    first, last = Diary(), Diary()
    est = kind(solver=solver, callbacks=[first, Do(hook, fail), last], **FIT)
    with pytest.raises(RuntimeError, match="the callback's own"):
        est.fit(X, Y)
    expected = {"on_train_begin": 0, "on_epoch_begin": 2, "on_epoch_end": 3, "on_train_end": 4}[hook]
    if expected == 0:  # nothing was trained: the estimator is as it was
        assert not hasattr(est, "coefs_")
    else:
        assert est.n_iter_ == expected
        whole = kind(solver=solver, **{**FIT, "max_iter": expected}).fit(X, Y)
        assert_same_bits(parameters(est), parameters(whole))
    # Who has begun is told of the end; who has not, is not.
    assert first.notes[-1][0] == "train ends"
    assert (last.notes == []) == (hook == "on_train_begin")
    est.set_params(callbacks=None).fit(X, Y)


def test_partial_fit_calls_no_callback() -> None:
    diary = Diary()
    gdfast.MLPRegressor(callbacks=[diary]).partial_fit(X, Y)
    assert diary.notes == []


def test_callbacks_are_cloned_pickled_and_searched_with() -> None:
    stop = EarlyStopping("loss", patience=1, min_delta=1e9)
    est = gdfast.MLPRegressor(callbacks=(stop, ProgressBar(file=io.StringIO())), **FIT)
    twin = clone(est)
    assert twin.callbacks[0] is not stop
    assert est.fit(X, Y).n_iter_ == 2
    est.set_params(callbacks=[stop])
    assert pickle.loads(pickle.dumps(est)).callbacks[0].stopped_epoch_ == 1
    search = GridSearchCV(est, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2)
    assert np.isfinite(search.fit(X, Y).best_score_)


@pytest.mark.parametrize(
    ("callbacks", "error", "message"),
    [
        ([Diary], TypeError, "callbacks must hold instances, got the class Diary"),
        ([object()], TypeError, "A callback must have one of the methods on_epoch_begin"),
        (Diary(), ValueError, "'callbacks' parameter of MLPRegressor must be"),
    ],
)
def test_bad_callbacks(callbacks: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        gdfast.MLPRegressor(callbacks=callbacks).fit(X, Y)


# Those that come along.


def test_a_progress_bar(kind: Any) -> None:
    shown = io.StringIO()
    bar = ProgressBar(file=shown, ncols=120, mininterval=0)
    est = kind(early_stopping=True, callbacks=[bar], **FIT).fit(X, Y)
    last = shown.getvalue().strip().split("\r")[-1]
    assert kind.__name__ in last
    assert "4/4" in last
    assert f"loss={est.loss_:.3g}" in last
    assert f"val_loss={est.validation_loss_curve_[-1]:.3g}" in last
    assert "val_score=" in last
    copy.deepcopy(bar)
    # A bar is closed when its fit fails, too.
    fail = Do("on_epoch_end", lambda est, epoch, logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kind(callbacks=[bar, fail], **FIT).fit(X, Y)
    assert bar._bar is None


def test_a_progress_bar_on_a_file_is_copied_and_pickled(tmp_path: Path) -> None:
    for stream in (sys.stdout, sys.stderr):
        est = gdfast.MLPRegressor(callbacks=[ProgressBar(file=stream, leave=False)], **FIT)
        for bar in (clone(est).callbacks[0], pickle.loads(pickle.dumps(est)).callbacks[0]):
            assert bar.tqdm_options == {"file": stream, "leave": False}
    with (tmp_path / "log").open("w") as file:
        bar = ProgressBar(file=file, leave=False)
        assert clone(gdfast.MLPRegressor(callbacks=[bar])).callbacks[0].tqdm_options == bar.tqdm_options
        assert pickle.loads(pickle.dumps(bar)).tqdm_options == {"leave": False}


def run_without(module: str, code: str) -> str:
    hidden = f"import sys; sys.modules[{module!r}] = None\n"
    done = subprocess.run([sys.executable, "-c", hidden + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_missing_library_is_named() -> None:
    message = run_without(
        "tqdm",
        "from gdfast.callbacks import ProgressBar, EarlyStopping\n"
        "EarlyStopping()\n"
        "try: ProgressBar()\n"
        "except ImportError as error: print(error)",
    )
    assert "pip install gdfast[progress]" in message


def test_callbacks_come_without_scikit_learn() -> None:
    loaded = run_without("no such", "import sys, gdfast; gdfast.callbacks.EarlyStopping; print(*sys.modules)")
    assert not {"sklearn", "tqdm", "joblib", "scipy"} & set(loaded.split())


@pytest.mark.parametrize(
    ("monitor", "values", "stops_at", "best"),
    [
        ("val_loss", [3.0, 2.0, 2.0, 1.9, 1.95, 1.9, 2.5, 0.1], 5, 3),
        ("val_score", [0.1, 0.5, 0.4, np.nan, 0.5, 0.9], 3, 1),
        ("val_score", [np.nan] * 6, 1, None),
    ],
)
def test_early_stopping(monitor: str, values: list[float], stops_at: int, best: Any) -> None:
    stop = EarlyStopping(monitor, patience=2)
    for _ in range(2):  # each fit anew
        stop.on_train_begin(None)
        told = [stop.on_epoch_end(None, epoch, {monitor: value}) for epoch, value in enumerate(values)]
        assert told.index(True) == stops_at
    stop.on_train_begin(None)
    for epoch, value in enumerate(values[: stops_at + 1]):
        stop.on_epoch_end(None, epoch, {monitor: value})
    assert (stop.best_epoch_, stop.stopped_epoch_) == (best, stops_at)
    assert stop.best_ == (None if best is None else values[best])


@pytest.mark.parametrize("patience", [0, 1, 2, 5])
def test_patience_is_a_number_of_epochs(patience: int) -> None:
    """As Keras counts: it stops after as many without improvement, and 0 is as good as 1."""
    stop = EarlyStopping("loss", patience=patience, min_delta=1e9)
    est = gdfast.MLPRegressor(callbacks=[stop], **{**FIT, "max_iter": 20})
    assert est.fit(X, Y).n_iter_ == 1 + max(patience, 1)


def test_early_stopping_counts_what_is_more_than_min_delta() -> None:
    stop = EarlyStopping("loss", patience=0, min_delta=0.5)
    assert [stop.on_epoch_end(None, e, {"loss": v}) for e, v in enumerate([3.0, 2.0, 1.5])] == [
        False,
        False,
        True,
    ]
    upwards = EarlyStopping("loss", patience=0, mode="max")
    assert [upwards.on_epoch_end(None, e, {"loss": v}) for e, v in enumerate([3.0, 2.0])] == [False, True]


def test_monitoring_what_is_not_there() -> None:
    for callback in (EarlyStopping(), ModelCheckpoint("nowhere", save_best_only=True)):
        with pytest.raises(
            ValueError, match=r"There is no 'val_loss' to monitor, only \['learning_rate', 'loss'"
        ):
            gdfast.MLPRegressor(callbacks=[callback], **FIT).fit(X, Y)
    with pytest.raises(ValueError, match="mode must be one of 'auto', 'max', 'min'; got 'most'"):
        EarlyStopping(mode="most")
    for bad in ({"patience": -1}, {"patience": np.nan}, {"min_delta": np.nan}, {"min_delta": -0.1}):
        with pytest.raises(ValueError, match="patience and min_delta must be at least 0"):
            EarlyStopping(**bad)
    for name in ("patience", "min_delta"):
        with pytest.raises(TypeError, match=f"{name} must be a number, got 'a'"):
            EarlyStopping(**{name: "a"})
    with pytest.raises(TypeError, match="monitor must be the name of something logged, got 3"):
        EarlyStopping(3)  # type: ignore[arg-type]


# The history.


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_history_has_the_logs_of_all_epochs(kind: Any, solver: str) -> None:
    history, diary = History(), Diary()
    est = kind(solver=solver, callbacks=[history, diary], **FIT)
    for _ in range(2):  # the second fit begins anew
        diary.notes.clear()
        est.fit(X, Y, X_val=X[:50], y_val=Y[:50])
        logs = [note[2] for note in diary.notes if note[0] == "ends"]
        assert history.history_ == {name: [log[name] for log in logs] for name in logs[0]}
    assert history.history_["val_score"] == est.validation_scores_


def test_copies_of_a_history_are_apart() -> None:
    est = gdfast.MLPRegressor(callbacks=[History()], **FIT).fit(X, Y)
    before = copy.deepcopy(est.callbacks[0].history_)
    loaded = pickle.loads(pickle.dumps(est))
    assert loaded.callbacks[0].history_ == before
    loaded.fit(X, Y)
    clone(est).fit(X, Y)
    assert est.callbacks[0].history_ == before


@pytest.mark.parametrize("checkpoints_go_on", [False, True])
def test_a_history_goes_on_from_a_checkpoint(checkpoints_go_on: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"

    def fitted(max_iter: int) -> Any:
        callbacks = [History(), ModelCheckpoint(path)]
        if max_iter > 2 and not checkpoints_go_on:
            del callbacks[1]
        return gdfast.MLPRegressor(**{**FIT, "max_iter": max_iter}, resume=path, callbacks=callbacks).fit(
            X, Y
        )

    first, second = fitted(2), fitted(5)
    begun, whole = first.callbacks[0].history_, second.callbacks[0].history_
    assert whole["loss"] == second.loss_curve_
    assert whole["time"][:2] == begun["time"]
    assert whole["time"] == sorted(whole["time"])
    if checkpoints_go_on:
        assert fitted(5).callbacks[0].history_ == whole  # nothing was left to do


def test_the_history_of_several_networks() -> None:
    history = History()
    est = gdfast.TabularRegressor(n_members=2, max_iter=3, callbacks=[history], random_state=0)
    est.fit(pd.DataFrame(X), Y)
    members = np.array(history.history_["member"])
    for member, recorded in enumerate(est.history_):
        losses = np.array(history.history_["loss"])[members == member]
        assert losses.tolist() == recorded["loss"]


def test_checkpoints(kind: Any, tmp_path: Path) -> None:
    each = ModelCheckpoint(tmp_path / "{epoch:02d}-{loss:.3f}.safetensors")
    best = ModelCheckpoint(tmp_path / "best.safetensors", monitor="val_score", save_best_only=True)
    est = kind(callbacks=[each, best], **FIT).fit(X, Y, X_val=X[:40], y_val=Y[:40])
    files = sorted(tmp_path.glob("0*.safetensors"))
    assert [file.name for file in files] == [
        f"{epoch:02d}-{loss:.3f}.safetensors" for epoch, loss in enumerate(est.loss_curve_)
    ]
    assert each.last_path_ == files[-1]
    for epoch, file in enumerate(files):
        loaded = gdfast.load(file)
        assert loaded.callbacks is None
        assert loaded.n_iter_ == epoch + 1
        until_then = kind(**{**FIT, "max_iter": epoch + 1}).fit(X, Y)
        assert_same_bits(parameters(loaded), parameters(until_then))
    # The validation set has put the best weights back.
    assert_same_bits(parameters(gdfast.load(tmp_path / "best.safetensors")), parameters(est))
    assert best.best_ == est.best_validation_score_
    assert len(list(tmp_path.iterdir())) == 5  # nothing is left beside them


@pytest.mark.parametrize("val", ["{val_loss}", "{val_score:.3f}"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
def test_a_path_that_takes_a_validation_set(tmp_path: Path, val: str, solver: str) -> None:
    keep = ModelCheckpoint(tmp_path / f"{{epoch}}-{val}.safetensors")
    diary = Diary()
    with pytest.raises(ValueError, match="names what takes a validation set"):
        gdfast.MLPRegressor(solver=solver, callbacks=[diary, keep], **FIT).fit(X, Y)
    assert "begins" not in [note[0] for note in diary.notes]
    gdfast.MLPRegressor(solver=solver, callbacks=[keep], **FIT).fit(X, Y, X_val=X, y_val=Y)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("{epoch", ValueError, "path '.*{epoch' cannot be filled in: expected '}'"),
        ("{}", ValueError, "must name what to fill in"),
        ("{0}", ValueError, "must name what to fill in"),
        ("{accuracy}", ValueError, "there is no 'accuracy' to fill in, only .*'epoch'.*'loss'"),
        ("{epoch:q}", ValueError, "cannot be filled in: Unknown format code 'q'"),
        ("no folder/model", FileNotFoundError, "There is no folder '.*no folder' to write to"),
        ("no folder/{epoch}", FileNotFoundError, "There is no folder '.*no folder' to write to"),
        ("{epoch}/model", FileNotFoundError, "There is no folder '.*0' to write to"),
        ("", IsADirectoryError, "must be that of a file"),
    ],
)
def test_paths_that_cannot_be_written(tmp_path: Path, path: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        gdfast.MLPRegressor(callbacks=[ModelCheckpoint(tmp_path / path)], **FIT).fit(X, Y)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_found_before_the_first_epoch() -> None:
    keep = ModelCheckpoint("no folder/{loss}")
    est = gdfast.MLPRegressor(callbacks=[keep], **FIT)
    with pytest.raises(FileNotFoundError, match="no folder"):
        est.fit(X, Y)
    assert not hasattr(est, "coefs_")


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions there")
def test_checkpoints_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path / "model")
    before = os.umask(0o027)
    try:
        gdfast.MLPRegressor(callbacks=[keep], **FIT).fit(X, Y)
        assert (tmp_path / "model").stat().st_mode & 0o777 == 0o640
        (tmp_path / "model").chmod(0o604)  # as open() does, keep what is there
        gdfast.MLPRegressor(callbacks=[keep], **FIT).fit(X, Y)
        assert (tmp_path / "model").stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(before)


def test_resumed_from_a_checkpoint_is_never_stopped(kind: Any, tmp_path: Path) -> None:
    whole = kind(**{**FIT, "max_iter": 6}).fit(X, Y)
    crash = Do("on_epoch_begin", lambda est, epoch, logs: 1 / 0 if epoch == 2 else None)
    keep = ModelCheckpoint(tmp_path / "model")
    with pytest.raises(ZeroDivisionError):
        kind(callbacks=[keep, crash], **FIT).fit(X, Y)
    resumed = kind(resume=tmp_path / "model", **{**FIT, "max_iter": 6}).fit(X, Y)
    assert resumed.loss_curve_ == whole.loss_curve_
    assert_same_bits(parameters(resumed), parameters(whole))


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = ModelCheckpoint(tmp_path / "model")
    gdfast.MLPRegressor(callbacks=[keep], **FIT).fit(X, Y)
    whole = (tmp_path / "model").read_bytes()

    def half(file: Any, *what: Any) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors, "write", half)
    with pytest.raises(OSError, match="No space left"):
        gdfast.MLPRegressor(callbacks=[keep], **FIT).fit(X, Y)
    assert (tmp_path / "model").read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


class Known:
    """Stands for a fit whose epochs have these values: a file of it holds the value."""

    def __init__(self, *values: float, scoring: Any = None) -> None:
        self.values = values
        self.est = copy.copy(_fitted()).set_params(scoring=scoring)

    def fit(self, keep: ModelCheckpoint) -> None:
        keep.on_train_begin(self.est)
        try:
            for epoch, value in enumerate(self.values):
                self.est.loss_ = float(value)
                keep.on_epoch_end(self.est, epoch, {keep.monitor: value})
                keep._after_epoch(self.est, epoch)
        finally:
            keep.on_train_end(self.est)


@functools.cache
def _fitted() -> Any:
    return gdfast.MLPRegressor(**FIT).fit(X, Y)


def kept_in(path: Any) -> float:
    return float(gdfast.load(path).loss_)


COPIES: dict[str, Any] = {
    "itself": lambda keep: keep,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda keep: pickle.loads(pickle.dumps(keep)),
    "clone": lambda keep: clone(gdfast.MLPRegressor(callbacks=[keep])).callbacks[0],
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", ["best", "{epoch}"])
def test_a_checkpoint_of_the_best_outlives_worse_fits(tmp_path: Path, name: str, how: str) -> None:
    keep = ModelCheckpoint(tmp_path / name, monitor="val_score", save_best_only=True)
    Known(0.2, 0.7, 0.5).fit(keep)
    best = keep.last_path_
    assert kept_in(best) == 0.7
    for values in ([0.1, 0.6], [np.nan, 0.7], [0.3]):
        keep = COPIES[how](keep)
        Known(*values).fit(keep)
        assert (keep.best_, keep.last_path_, kept_in(best)) == (0.7, best, 0.7)
    Known(0.6, 0.8).fit(keep)
    assert keep.best_ == kept_in(keep.last_path_) == 0.8


@pytest.mark.parametrize("warm_start", [True, False])
def test_a_worse_fit_leaves_the_best(kind: Any, tmp_path: Path, warm_start: bool) -> None:
    """The scores of the second fit are worse from its first epoch on."""
    keep = ModelCheckpoint(tmp_path / "best", monitor="val_score", save_best_only=True)
    est = kind(callbacks=[keep], warm_start=warm_start, learning_rate_init=0.01, **{**FIT, "max_iter": 30})
    est.fit(X, Y, X_val=X, y_val=Y)
    best = (tmp_path / "best").read_bytes()
    score = keep.best_
    est.set_params(solver="sgd", learning_rate_init=0.5, clip_norm=100.0, alpha=10.0, max_iter=2)
    est.fit(X, Y, X_val=X, y_val=Y)
    assert max(est.validation_scores_[-2:]) < score == keep.best_
    assert (tmp_path / "best").read_bytes() == best


def test_scores_of_another_measure_start_again(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path / "best", monitor="val_score", save_best_only=True)
    Known(0.9).fit(keep)
    Known(-3.0, -2.0, -4.0, scoring="neg_log_loss").fit(keep)
    assert kept_in(keep.path) == keep.best_ == -2.0
    keep.monitor = "loss"
    Known(0.5, 0.3, 0.4).fit(keep)
    assert kept_in(keep.path) == keep.best_ == 0.3
    Known(0.4, scoring="accuracy").fit(keep)
    assert keep.best_ == 0.3, "a loss does not depend on the scorer"
    keep.mode = "max"
    Known(0.1, 0.2, 0.1).fit(keep)
    assert kept_in(keep.path) == keep.best_ == 0.2
    keep.path = str(tmp_path / "another")
    Known(0.1).fit(keep)
    assert kept_in(keep.path) == 0.1
    assert kept_in(tmp_path / "best") == 0.2


def test_the_best_is_what_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = ModelCheckpoint(tmp_path / "best", monitor="loss", save_best_only=True)
    Known(0.5).fit(keep)
    with monkeypatch.context() as context:
        context.setattr(safetensors, "write", lambda *what: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Known(0.1).fit(keep)
    assert kept_in(keep.path) == keep.best_ == 0.5
    Known(0.3).fit(keep)
    assert kept_in(keep.path) == 0.3
    (tmp_path / "best").rename(tmp_path / "put away")
    Known(0.4).fit(keep)
    assert kept_in(keep.path) == keep.best_ == 0.4


def test_a_new_checkpoint_has_no_best_value_unless_it_is_given(tmp_path: Path) -> None:
    def make() -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path / "best", monitor="loss", save_best_only=True)

    Known(0.1).fit(make())
    Known(0.5).fit(make())
    assert kept_in(tmp_path / "best") == 0.5
    told = make()
    told.best_ = 0.5
    Known(0.6).fit(told)
    assert kept_in(tmp_path / "best") == 0.5


def test_early_stopping_looks_at_its_arguments_as_they_are() -> None:
    stop = EarlyStopping("loss", patience=1)
    stop.monitor = "val_score"
    stop.on_train_begin(None)
    assert [stop.on_epoch_end(None, e, {"val_score": v}) for e, v in enumerate([0.1, 0.2, 0.3])] == [
        False
    ] * 3


WRITES_FOREVER = """
import sys, gdfast
from gdfast._model_file import safetensors
from gdfast.callbacks import ModelCheckpoint

def write(file, *what):
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()

safetensors.write = write
gdfast.MLPRegressor(callbacks=[ModelCheckpoint(sys.argv[1])]).fit([[0.0], [1.0]], [0.0, 1.0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks that end with their process")
def test_what_a_killed_checkpoint_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    """But not what another process is writing, nor what only looks like it."""
    keep = ModelCheckpoint(tmp_path / "model")
    others = {".model.backup", ".model.0123456", ".another.01234567", "model"}
    for name in others:
        (tmp_path / name).touch()
    command = [sys.executable, "-c", WRITES_FOREVER, str(tmp_path / "model")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "writing\n"
            (half,) = {file.name for file in tmp_path.iterdir()} - others
            Known(0.1).fit(keep)
            assert (tmp_path / half).read_bytes() == b"half"
        finally:
            child.kill()
    assert {file.name for file in tmp_path.iterdir()} == {half, *others}
    (tmp_path / ".model.89abcdef").touch()
    Known(0.1).fit(keep)
    assert {file.name for file in tmp_path.iterdir()} == others


def test_a_checkpoint_of_an_estimator_with_callbacks_that_cannot_be_pickled(tmp_path: Path) -> None:
    writer = Do("on_epoch_end", lambda est, epoch, logs: None)
    est = gdfast.MLPRegressor(callbacks=[writer, ModelCheckpoint(tmp_path / "model")], **FIT).fit(X, Y)
    np.testing.assert_array_equal(gdfast.load(tmp_path / "model").predict(X), est.predict(X))
    assert est.callbacks[0] is writer


def test_a_checkpoint_of_a_class_of_ones_own_is_refused_before_the_first_epoch(tmp_path: Path) -> None:
    class Own(gdfast.MLPRegressor):
        pass

    est = Own(callbacks=[ModelCheckpoint(tmp_path / "model")], **FIT)
    with pytest.raises(TypeError, match="Own cannot be saved"):
        est.fit(X, Y)
    assert not hasattr(est, "coefs_")
    with pytest.raises(ValueError, match="every_n_epochs must be at least 1"):
        ModelCheckpoint(tmp_path / "model", every_n_epochs=0)


# scikit-learn's own.


class Monitor:
    """A callback by scikit-learn's protocol."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.stops_at = stops_at
        self.told: list[tuple[str, str, Any]] = []
        self.models: list[Any] = []
        self.data: list[Any] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.told.append(("setup", context.task_name, context.max_subtasks))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.told.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> bool:
        self.told.append(("end", context.task_name, context.task_id))
        self.models.append(fitted_estimator)
        self.data.append((X, y, metadata))
        return context.task_name == "epoch" and context.task_id == self.stops_at

    def teardown(self, estimator: Any, context: Any) -> None:
        self.told.append(("teardown", context.task_name, context.task_id))


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
def test_scikit_learns_callbacks(kind: Any, solver: str) -> None:
    pytest.importorskip("sklearn.callback")
    monitor = Monitor()
    est = kind(solver=solver, **FIT).set_callbacks(monitor).fit(X, Y)
    epochs = [(when, "epoch", epoch) for epoch in range(4) for when in ("begin", "end")]
    assert monitor.told == [
        ("setup", "fit", 4),
        ("begin", "fit", 0),
        *epochs,
        ("end", "fit", 0),
        ("teardown", "fit", 0),
    ]
    assert_same_bits(parameters(est), parameters(kind(solver=solver, **FIT).fit(X, Y)))
    for epoch, model in enumerate(
        monitor.models[:-1]
    ):  # each is as if the fit had stopped there, and stays so
        until_then = kind(solver=solver, **{**FIT, "max_iter": epoch + 1}).fit(X, Y)
        np.testing.assert_array_equal(model.predict(X), until_then.predict(X))
        if solver == "adam":
            assert model.loss_curve_ == until_then.loss_curve_
    stopped = kind(solver=solver, **FIT).set_callbacks(Monitor(stops_at=1)).fit(X, Y)
    assert stopped.n_iter_ == 2


def test_scikit_learns_callbacks_see_what_is_trained_on(kind: Any) -> None:
    pytest.importorskip("sklearn.callback")
    frame = pd.DataFrame(X, columns=list("abcde"))
    weight = np.linspace(1, 2, len(X))
    monitor = Monitor()
    kind(early_stopping=True, **FIT).set_callbacks(monitor).fit(frame, Y, weight)
    for given, y, metadata in monitor.data:
        assert list(given.columns) == list("abcde")
        assert len(given) == len(y) == 108
        assert list(given.index) == list(monitor.data[0][0].index)  # in one order, whatever the epoch's
        np.testing.assert_array_equal(weight[given.index], metadata["sample_weight"])
        np.testing.assert_array_equal(Y[given.index], y)


def test_scikit_learns_own_callbacks_at_work() -> None:
    callback = pytest.importorskip("sklearn.callback")
    frame = pd.DataFrame(X, columns=list("abcde"))
    monitor = callback.ScoringMonitor(scoring="accuracy")
    est = gdfast.MLPClassifier(**FIT).set_callbacks(monitor).fit(frame, Y)
    for _ in range(100):  # its log comes by another thread
        if len(monitor.get_logs().data) == 5:
            break
        time.sleep(0.05)
    scores = [row["accuracy"] for row in monitor.get_logs().data]
    assert len(scores) == 5
    assert scores[-1] == est.score(frame, Y)
    search = GridSearchCV(gdfast.MLPClassifier(**FIT), {"alpha": [0.1, 1.0]}, cv=2)
    monitor = Monitor()
    monitor.max_propagation_depth = None  # type: ignore[attr-defined]
    search.set_callbacks(monitor).fit(X, Y)
    assert sum(told[:2] == ("end", "epoch") for told in monitor.told) == 5 * 4


def test_a_fit_that_fails_is_torn_down() -> None:
    pytest.importorskip("sklearn.callback")
    monitor = Monitor()
    fail = Do("on_epoch_end", lambda est, epoch, logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gdfast.MLPRegressor(callbacks=[fail], **FIT).set_callbacks(monitor).fit(X, Y)
    assert monitor.told[-1][0] == "teardown"
