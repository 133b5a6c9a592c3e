"""Arguments together, beside scikit-learn: what one at a time is test_against_sklearn.py's."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn_pairs import TASKS, assert_same, both, make

# Runs are cut short on purpose, so that both sides do the same number of epochs.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SCHEDULES = ("constant", "invscaling", "adaptive")
MOMENTA = {"plain": (0.0, False), "momentum": (0.9, False), "nesterov": (0.9, True), "half": (0.5, True)}


def sgd(schedule: str, momentum: str) -> dict[str, Any]:
    size, nesterov = MOMENTA[momentum]
    return {
        "solver": "sgd",
        "learning_rate": schedule,
        "momentum": size,
        "nesterovs_momentum": nesterov,
        "learning_rate_init": 0.05,
        # So that "adaptive" does adapt.
        "tol": 0.02,
        "n_iter_no_change": 2,
        "batch_size": 33,
    }


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early-stopping"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("schedule", "momentum"), [*product(SCHEDULES, MOMENTA)])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "many_outputs", "poisson"])
def test_schedules_and_momenta(
    task: str, schedule: str, momentum: str, activation: str, early_stopping: bool
) -> None:
    X, y = make(task)
    ours, theirs = both(task, activation=activation, early_stopping=early_stopping, **sgd(schedule, momentum))
    assert_same(ours.fit(X, y), theirs.fit(X, y), X, rtol=1e-6 if activation == "relu" else 1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("task", TASKS)
def test_float32_with_schedules(task: str, activation: str, schedule: str) -> None:
    X, y = make(task, np.float32)
    # The default learning rate, for which the tolerances are stated.
    arguments = {**sgd(schedule, "nesterov"), "learning_rate_init": 0.001, "tol": 0.0}
    ours, theirs = (estimator.fit(X, y) for estimator in both(task, activation=activation, **arguments))
    rtol = 1e-3 if activation == "relu" else 1e-4
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=rtol)
    for mine, its in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert np.linalg.norm(mine - its) <= 10 * rtol * np.linalg.norm(its)


SOLVERS = {
    "adam": {"solver": "adam", "batch_size": 33},
    "sgd": sgd("adaptive", "nesterov"),
    "lbfgs": {"solver": "lbfgs", "alpha": 0.1},
}


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early-stopping"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_sparse_matrices(task: str, solver: str, weighted: bool, early_stopping: bool) -> None:
    X, y = make(task)
    X = sparse.csc_array(np.where(np.abs(X) > 0.8, X, 0))
    weight = np.random.RandomState(0).uniform(0.2, 3, len(y)) if weighted else None
    ours, theirs = both(task, activation="tanh", early_stopping=early_stopping, **SOLVERS[solver])
    ours.fit(X, y, weight)
    theirs.fit(X, y, weight)
    assert_same(ours, theirs, X, rtol=1e-6 if solver == "lbfgs" else 1e-9)


@pytest.mark.parametrize("shuffle", [False, True], ids=["in-order", ""])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("task", TASKS)
def test_warm_start_with_weights_and_other_arguments(task: str, solver: str, shuffle: bool) -> None:
    X, y = make(task)
    weight = np.random.RandomState(0).uniform(0.2, 3, len(y))
    ours, theirs = both(task, activation="tanh", warm_start=True, shuffle=shuffle, **SOLVERS[solver])
    for estimator in (ours, theirs):
        estimator.set_params(max_iter=5).fit(X, y, weight)
        estimator.set_params(learning_rate_init=0.01, alpha=0.1, batch_size=70).fit(X, y)
    assert_same(ours, theirs, X, rtol=1e-9)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("task", TASKS)
def test_partial_fit_with_weights(task: str, solver: str, form: Any) -> None:
    X, y = make(task)
    weight = np.random.RandomState(0).uniform(0.2, 3, len(y))
    ours, theirs = both(task, activation="tanh", **SOLVERS[solver])
    classes = {"classes": np.arange(3) if task == "multilabel" else np.unique(y)}
    for estimator in (ours, theirs):
        first = classes if hasattr(theirs, "predict_proba") else {}
        for rows in (slice(0, 50), slice(50, 90), slice(90, 210)):
            estimator.partial_fit(form(X[rows]), y[rows], sample_weight=weight[rows], **first)
    assert_same(ours, theirs, X, rtol=1e-9)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("batch_size", [1, 7, 100, 134, 135])
def test_batch_sizes(task: str, batch_size: int) -> None:
    # Of 150 rows 135 are trained on.
    X, y = make(task)
    ours, theirs = both(task, activation="tanh", batch_size=batch_size, max_iter=3, early_stopping=True)
    assert_same(ours.fit(X[:150], y[:150]), theirs.fit(X[:150], y[:150]), X, rtol=1e-9)


@pytest.mark.parametrize("task", ["binary", "multiclass", "one_output", "poisson"])
def test_scores_of_long_runs_of_lbfgs(task: str) -> None:
    # The paths have parted by then; where they lead to has not.
    X, y = make(task)
    ours, theirs = (
        estimator.fit(X, y)
        for estimator in both(task, solver="lbfgs", activation="tanh", alpha=1.0, max_iter=400)
    )
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=0.01)
