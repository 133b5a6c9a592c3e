"""What has no meaning where it stands is refused by name: arguments beside others, data of a wrong kind."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gdfast import MLPClassifier, MLPRegressor, RNNClassifier, RNNRegressor, optim
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 3))
VALUES = RNG.standard_normal(24)
LABELS = (VALUES > 0).astype(int)
SEQUENCES = RNG.standard_normal((12, 5, 2))
FIT: dict[str, Any] = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
FIRST = {"coefs_init": [np.ones((3, 3)), np.ones((3, 1))], "intercepts_init": [np.ones(3), np.ones(1)]}

# The argument at fault comes first.
ANY_PERCEPTRON: list[dict[str, Any]] = [
    {"activation_params": {"leaky_relu": 0.2}},
    {"activation_params": {"elu": 0.2}, "activation": ["leaky_relu"]},
    {"annealing_params": {"step_size": 0.2}},
    {"bn_momentum": 0.2},
    {"bn_epsilon": 1e-3},
    {"batch_norm": True, "hidden_layer_sizes": ()},
    {"dropout": 0.2, "hidden_layer_sizes": ()},
    {"init": "he_normal", **FIRST},
    {"init": ("normal", 0.1), **FIRST},
    {"l1_ratio": 0.5, "alpha": 0.0},
    {"beta_1": 0.8, "solver": "adamw"},
    {"beta_2": 0.8, "solver": "nadam"},
    {"epsilon": 1e-3, "solver": "rmsprop"},
    {"learning_rate_init": 0.1, "solver": optim.SGD()},
    {"learning_rate": "adaptive", "solver": optim.SGD()},
    {"clip_norm": 1.0, "solver": "lbfgs"},
]
REFUSED: list[tuple[Any, dict[str, Any]]] = [
    *((kind, arguments) for kind in (MLPClassifier, MLPRegressor) for arguments in ANY_PERCEPTRON),
    (MLPRegressor, {"huber_delta": 2.0}),
    (MLPRegressor, {"huber_delta": 2.0, "loss": "absolute_error"}),
    (MLPRegressor, {"quantiles": [0.1, 0.9]}),
    (MLPRegressor, {"quantiles": 0.9, "loss": "huber"}),
    (MLPClassifier, {"label_smoothing": 0.1, "solver": "annealing", "scoring": "accuracy"}),
    (MLPRegressor, {"bayesian_regularization": True}),
    (MLPRegressor, {"bayesian_regularization": True, "solver": "lbfgs"}),
    (MLPRegressor, {"alpha": 0.1, "bayesian_regularization": True, "solver": "lm"}),
    (MLPRegressor, {"solver": "lm", "loss": "huber"}),
    (MLPRegressor, {"solver": "lm", "loss": "poisson"}),
    (MLPRegressor, {"dropout": 0.1, "solver": "lm"}),
    (MLPRegressor, {"batch_norm": True, "solver": "newton-cg"}),
    (MLPRegressor, {"solver": "newton-cg", "loss": "absolute_error"}),
    (MLPRegressor, {"solver": "newton-cg", "loss": "quantile"}),
    (MLPClassifier, {"solver": "lm"}),
    (RNNRegressor, {"huber_delta": 2.0}),
    (RNNRegressor, {"quantiles": [0.1, 0.9]}),
    (RNNRegressor, {"activation": "relu"}),
    (RNNClassifier, {"activation": "relu", "cell": "lstm"}),
    (RNNClassifier, {"beta_1": 0.8, "solver": "lion"}),
    (RNNClassifier, {"l1_ratio": 0.5}),
]


def data(kind: Any) -> tuple[Any, Any]:
    targets = LABELS if kind in (MLPClassifier, RNNClassifier) else VALUES
    return (X, targets) if kind in (MLPClassifier, MLPRegressor) else (SEQUENCES, targets[:12])


@pytest.mark.parametrize(("kind", "arguments"), REFUSED, ids=str)
def test_an_argument_without_effect_is_refused(kind: Any, arguments: dict[str, Any]) -> None:
    name, value = next(iter(arguments.items()))
    est = kind(**{**FIT, **arguments})
    with pytest.raises(ValueError, match=rf"^{name}={re.escape(repr(value))} (has no m|contr|div|is for)"):
        est.fit(*data(kind))
    assert not hasattr(est, "coefs_")
    clone(est)


ACCEPTED: list[tuple[Any, dict[str, Any]]] = [
    # At its default, whatever the type of the number.
    (MLPRegressor, {"huber_delta": np.float64(1), "quantiles": np.float32(0.5), "batch_norm": np.False_}),
    (MLPRegressor, {"activation_params": {}, "annealing_params": {}}),
    (MLPRegressor, {"loss": "huber", "huber_delta": 2.0}),
    (MLPRegressor, {"loss": "quantile", "quantiles": 0.9}),
    # One dict for a search over activations.
    (MLPRegressor, {"activation": "elu", "activation_params": {"elu": 0.5, "leaky_relu": 0.2}}),
    (MLPRegressor, {"dropout": [0.2], "hidden_layer_sizes": ()}),
    (MLPRegressor, {"init": "he_normal", "coefs_init": FIRST["coefs_init"]}),
    # fit may be called both with and without a validation set, with and without a warm start.
    (MLPRegressor, {"scoring": "r2"}),
    (MLPRegressor, {"keep_optimizer_state": True}),
    (MLPRegressor, {"warm_start": True, **FIRST}),
    (RNNRegressor, {"cell": "elman", "activation": "relu"}),
    # scikit-learn's own are silent, as they are there.
    (MLPRegressor, {"solver": "lbfgs", "momentum": 0.5, "beta_1": 0.8, "learning_rate": "adaptive"}),
    (MLPRegressor, {"solver": "adam", "momentum": 0.5, "power_t": 0.1, "nesterovs_momentum": False}),
    (MLPRegressor, {"solver": "sgd", "beta_1": 0.5, "epsilon": 1e-3, "max_fun": 3}),
    (MLPRegressor, {"solver": "adamw", "momentum": 0.5, "validation_fraction": 0.3}),
]


@pytest.mark.parametrize(("kind", "arguments"), ACCEPTED, ids=str)
def test_an_argument_with_an_effect_is_accepted(kind: Any, arguments: dict[str, Any]) -> None:
    kind(**{**FIT, **arguments}).fit(*data(kind))


def test_a_search_changes_both_arguments_together() -> None:
    grid = [{"loss": ["squared_error"]}, {"loss": ["huber"], "huber_delta": [0.5, 2.0]}]
    search = GridSearchCV(MLPRegressor(**FIT), grid, cv=2, error_score="raise").fit(X, VALUES)
    assert len(search.cv_results_["params"]) == 3


def test_a_subclass_has_its_own_defaults() -> None:
    class Tolerant(MLPRegressor):
        def __init__(self, huber_delta: float = 2.0, max_iter: int = 2) -> None:
            super().__init__(huber_delta=huber_delta, max_iter=max_iter)

    Tolerant().fit(X, VALUES)
    with pytest.raises(ValueError, match="huber_delta=1"):
        Tolerant(huber_delta=1.0).fit(X, VALUES)


# Data.


DAYS = np.arange(24).astype("datetime64[D]")
DATES: dict[str, Any] = {
    "dates": DAYS,
    "differences": DAYS - DAYS[0],
    "a list": list(DAYS),
    "a series": pd.Series(DAYS),
    "an array of objects": np.array([*DAYS, None], object)[:-1],
    "differences as objects": np.array([*(DAYS - DAYS[0]), None], object)[:-1],
    "Python's": DAYS.astype(object),
    "a series with a time zone": pd.Series(DAYS).dt.tz_localize("UTC"),
}


@pytest.mark.parametrize("dates", DATES.values(), ids=DATES)
def test_a_regressor_refuses_dates_as_targets(dates: Any) -> None:
    with pytest.raises(TypeError, match="y holds dates or time differences"):
        MLPRegressor(**FIT).fit(X, dates)
    with pytest.raises(TypeError, match="y holds dates or time differences"):
        MLPRegressor(**FIT).partial_fit(X, dates)
    with pytest.raises(TypeError, match="y holds dates or time differences"):
        MLPRegressor(**FIT).fit(X, VALUES, X_val=X, y_val=dates)
    with pytest.raises(TypeError, match="y holds dates or time differences"):
        MLPRegressor(**FIT).fit(X, VALUES).score(X, dates)
    with pytest.raises(TypeError, match="y holds dates or time differences"):
        RNNRegressor(**FIT).fit(SEQUENCES, dates[:12])
    with pytest.raises(TypeError, match="y holds dates or time differences"):
        RNNRegressor(**FIT).fit(SEQUENCES, VALUES[:12]).score(SEQUENCES, dates[:12])


def test_a_classifier_takes_dates_as_labels() -> None:
    clf = MLPClassifier(**FIT).fit(X, DAYS[LABELS])
    assert clf.classes_.dtype == DAYS.dtype


@pytest.mark.parametrize("text", ["word", "1.5"])
def test_a_regressor_refuses_text(text: str) -> None:
    with pytest.raises(TypeError, match=r"y holds text \(<U"):
        MLPRegressor(**FIT).fit(X, np.full(24, text))


@pytest.mark.parametrize("form", ["array", "frame", "objects"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_dates_as_features_are_refused(kind: Any, form: str) -> None:
    columns = np.c_[DAYS, DAYS]
    dates: Any = pd.DataFrame(columns.astype("datetime64[ns]")) if form == "frame" else columns
    if form == "objects":
        dates = np.array([[*row, None] for row in columns], object)[:, :2]
    with pytest.raises(TypeError, match="X holds dates or time differences"):
        kind(**FIT).fit(dates, LABELS)
    est = kind(**FIT).fit(X[:, :2], LABELS)
    with pytest.raises(TypeError, match="X holds dates or time differences"):
        est.predict(dates)
    with pytest.raises(TypeError, match=r"X holds dates|DType"):
        est.score(dates, LABELS)


@pytest.mark.parametrize("objects", [False, True], ids=["dates", "objects"])
@pytest.mark.parametrize("ragged", [False, True], ids=["array", "list"])
def test_dates_as_sequences_are_refused(ragged: bool, objects: bool) -> None:
    dates: Any = (DATES["an array of objects"] if objects else DAYS).reshape(12, 2, 1)
    with pytest.raises(ValueError, match="it holds dates or time differences"):
        RNNRegressor(**FIT).fit(list(dates) if ragged else dates, VALUES[:12])


# A target for each step that was not asked for.


@pytest.mark.parametrize("ragged", [False, True], ids=["array", "list"])
def test_classes_of_steps_want_per_step(ragged: bool) -> None:
    sequences = list(SEQUENCES) if ragged else SEQUENCES
    with pytest.raises(ValueError, match=r"shape \(12, 5\), a class for each.*Set per_step=True"):
        RNNClassifier(**FIT).fit(sequences, RNG.integers(0, 3, (12, 5)))


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_as_many_outputs_as_steps_are_warned_of_once(kind: Any) -> None:
    y = RNG.integers(0, 2, (12, 5))
    with pytest.warns(UserWarning, match=r"X has 5 steps: with per_step=False.*Set per_step=True") as warned:
        est = kind(**FIT).fit(SEQUENCES, y, X_val=SEQUENCES, y_val=y)
    assert len([w for w in warned if w.category is UserWarning]) == 1
    assert {w.filename for w in warned} == {__file__}
    est.partial_fit(SEQUENCES, y)  # it has been said
    est.score(SEQUENCES, y)
    assert est.n_outputs_ == 5
    kind(**FIT).fit(SEQUENCES, y[:, :4])
    kind(**FIT, per_step=True).fit(SEQUENCES, y)
