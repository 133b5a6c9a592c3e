"""The fitted attributes are scikit-learn's, by name, by type and by when each is None or absent."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
import sklearn.neural_network
from fits import make

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
SEVERAL = np.c_[Y > 0, Y > 1].astype(int)

COURSES: dict[str, Any] = {
    "fit": lambda est, y: est.fit(X, y),
    "fit-twice": lambda est, y: est.fit(X, y).fit(X, y),
    "float32": lambda est, y: est.fit(X.astype(np.float32), y),
    "weighted": lambda est, y: est.fit(X, y, np.linspace(1, 2, len(X))),
    "frame": lambda est, y: est.fit(pd.DataFrame(X, columns=list("abcde")), y),
    "frame-with-numbers-for-names": lambda est, y: est.fit(pd.DataFrame(X), y),
    "frame-then-array": lambda est, y: est.fit(pd.DataFrame(X, columns=list("abcde")), y).fit(X, y),
    "warm-start": lambda est, y: est.set_params(warm_start=True).fit(X, y).fit(X, y),
    "then-lbfgs": lambda est, y: est.fit(X, y).set_params(solver="lbfgs", warm_start=True).fit(X, y),
    "then-adam": lambda est, y: est.fit(X, y).set_params(solver="adam").fit(X, y),
    "then-other-layers": lambda est, y: est.fit(X, y).set_params(hidden_layer_sizes=(3, 2)).fit(X, y),
}
PARTIAL = {
    "partial-fit": lambda est, y, first: est.partial_fit(X, y, **first).partial_fit(X, y),
    "partial-fit-after-fit": lambda est, y, first: est.fit(X, y).partial_fit(X, y),
    "fit-after-partial-fit": lambda est, y, first: est.partial_fit(X, y, **first).fit(X, y),
}
TARGETS = {
    ("MLPClassifier", "binary"): np.array(["no", "yes"])[(Y > 0).astype(int)],
    ("MLPClassifier", "multiclass"): Y,
    ("MLPClassifier", "multilabel"): SEVERAL,
    ("MLPRegressor", "one"): Y.astype(float),
    ("MLPRegressor", "several"): SEVERAL.astype(float),
}


def public(estimator: Any) -> dict[str, Any]:
    """What kind of thing each public attribute is: its type, for arrays the dtype and shape."""
    return {name: kind_of(getattr(estimator, name)) for name in vars(estimator) if is_public(name)}


# What there is beyond scikit-learn's.
MORE = {"learning_rate_curve_", "validation_loss_curve_"}


def is_public(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_") and name not in MORE


def kind_of(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape
    if isinstance(value, list):
        return list, len(value), {str(kind_of(entry)) for entry in value}
    # A number is a number, whether NumPy's or Python's.
    if isinstance(value, (float, np.floating)):
        return float
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int
    return value


def fitted(name: str, course: Any, *given: Any, **arguments: Any) -> list[dict[str, Any]]:
    arguments = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0, **arguments}
    found = []
    for library in (gdfast, sklearn.neural_network):
        estimator = getattr(library, name)(**arguments)
        course(estimator, *given)
        found.append(public(estimator))
    return found


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early-stopping"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize(("name", "targets"), TARGETS)
def test_after_fit(name: str, targets: str, course: str, solver: str, early_stopping: bool) -> None:
    y = TARGETS[name, targets]
    if targets == "binary" and early_stopping:
        y = (y == "yes").astype(int)  # scikit-learn 1.7.0 cannot validate words
    ours, theirs = fitted(name, COURSES[course], y, solver=solver, early_stopping=early_stopping)
    if course == "float32" and solver == "lbfgs":
        # scikit-learn's weights become float64 there; gdfast's keep the dtype of X.
        for found in (ours, theirs):
            assert str(found.pop("coefs_")).count("float32") == (2 if found is ours else 0)
            found.pop("intercepts_")
    assert ours == theirs


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("course", PARTIAL)
@pytest.mark.parametrize(("name", "targets"), TARGETS)
def test_after_partial_fit(name: str, targets: str, course: str, solver: str) -> None:
    y = TARGETS[name, targets]
    first = {"classes": np.arange(2) if y.ndim == 2 else np.unique(y)} if name == "MLPClassifier" else {}
    ours, theirs = fitted(name, PARTIAL[course], y, first, solver=solver)
    assert ours == theirs


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_before_fit_there_is_none(name: str) -> None:
    estimator = getattr(gdfast, name)()
    assert set(vars(estimator)) == set(estimator.get_params())


def test_the_loss_of_a_classifier_can_be_read() -> None:
    assert gdfast.MLPClassifier().loss == sklearn.neural_network.MLPClassifier().loss
