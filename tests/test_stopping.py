"""What ends a run: early stopping, divergence, Ctrl-C; and the weights that are kept."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, parameters
from sklearn.base import clone

# Most runs are cut short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


# Early stopping.


def test_early_stopping_keeps_the_best_weights(kind: Any, dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    np.random.RandomState(1).shuffle(y)  # nothing to learn but noise, which other rows do not have
    arguments = {
        "early_stopping": True,
        "learning_rate_init": 0.05,
        "random_state": 0,
        "validation_fraction": 0.3,
    }
    stopped = kind(max_iter=30, n_iter_no_change=100, **arguments).fit(X, y)
    scores = stopped.validation_scores_
    best = int(np.argmax(scores))
    assert best < len(scores) - 1, "the run should get worse before it ends"
    assert stopped.best_validation_score_ == scores[best]
    until_best = kind(max_iter=best + 1, n_iter_no_change=100, **arguments).fit(X, y)
    assert_same_bits(parameters(stopped), parameters(until_best))
    assert stopped.best_loss_ is None


def test_a_warm_start_does_not_lose_the_best_weights(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = make()
    estimator = kind(early_stopping=True, warm_start=True, max_iter=10, random_state=0, tol=0).fit(X, y)
    before = parameters(estimator)
    # Nothing beats what it begins with: whatever the second fit tries, these weights have to come back.
    scores = iter([2.0])
    monkeypatch.setattr(kind, "_scorer", lambda self, y, weight: lambda outputs: next(scores, 1.0))
    estimator.fit(X, y)
    assert len(estimator.validation_scores_) > 10
    assert estimator.best_validation_score_ == 2.0
    assert_same_bits(parameters(estimator), before)


def test_a_nan_score_is_no_improvement(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = make()
    estimator = kind(early_stopping=True, n_iter_no_change=3, max_iter=50, random_state=0)
    monkeypatch.setattr(kind, "_scorer", lambda self, y, weight: lambda outputs: np.nan)
    estimator.fit(X, y)
    assert estimator.n_iter_ == 4
    assert estimator.best_validation_score_ == -np.inf


def test_validation_weights_that_are_all_zero(kind: Any) -> None:
    X, y = make()
    weight = np.zeros(len(X))
    weight[0] = 1
    with pytest.raises(ValueError, match="sums to zero over the validation set"):
        kind(early_stopping=True, random_state=0).fit(X, y, weight)


# What ends a run before its time.


@pytest.mark.parametrize("early_stopping", [False, True])
def test_divergence_keeps_the_last_finite_weights(
    kind: Any, early_stopping: bool, dtype: type[np.floating]
) -> None:
    X, y = make(dtype)
    y = y if kind is gdfast.MLPClassifier else y + 0.5
    arguments = {
        "solver": "sgd",
        "learning_rate_init": 1e6,
        "activation": "identity",
        "random_state": 0,
        "early_stopping": early_stopping,
        "tol": 0,
        "n_iter_no_change": 10**6,
        "alpha": 1.0,
    }
    estimator = kind(max_iter=2000, **arguments)
    with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights\."):
        estimator.fit(X, y)
    assert all(np.isfinite(array).all() for array in parameters(estimator))
    assert len(estimator.loss_curve_) == estimator.n_iter_ < 2000
    if estimator.n_iter_:
        until_then = kind(max_iter=estimator.n_iter_, **arguments).fit(X, y)
        assert_same_bits(parameters(estimator), parameters(until_then))
    # Who goes on begins with new moments, so that a sane learning rate can still save the model.
    estimator.set_params(learning_rate_init=1e-3, early_stopping=False)
    for array in estimator.coefs_ + estimator.intercepts_:
        array[:] = 0.01
    estimator.partial_fit(X, y)
    assert all(np.isfinite(array).all() for array in parameters(estimator))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_that_are_not_finite_do_not_pass(solver: str, kind: Any) -> None:
    X, y = make()
    estimator = kind(solver=solver, warm_start=True, max_iter=3).fit(X, y)
    estimator.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        estimator.fit(X, y)


@contextmanager
def ctrl_c_soon() -> Iterator[None]:
    """Ctrl-C after a while, and the warning that has to come of it."""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
            yield
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_what_was_learned(kind: Any, early_stopping: bool) -> None:
    X, y = make(n=2000)
    estimator = kind(
        max_iter=10**9, n_iter_no_change=10**9, early_stopping=early_stopping, random_state=0, shuffle=False
    )
    with ctrl_c_soon():
        estimator.fit(X, y)
    assert estimator.n_iter_ == len(estimator.loss_curve_) > 0
    if early_stopping:
        validated = int(np.argmax(estimator.validation_scores_)) + 1
        best = kind(
            max_iter=validated, early_stopping=True, random_state=0, shuffle=False, n_iter_no_change=10**9
        )
        assert_same_bits(parameters(estimator), parameters(best.fit(X, y)))
    else:
        assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    estimator.set_params(early_stopping=False).partial_fit(X, y)
    assert np.isfinite(estimator.loss_)


def test_ctrl_c_within_an_epoch() -> None:
    X, y = make(n=20_000, n_features=20)
    clf = gdfast.MLPClassifier(
        hidden_layer_sizes=(400, 400, 400), batch_size=1, max_iter=1
    )  # an epoch of many seconds
    with ctrl_c_soon():
        clf.fit(X, y)
    assert clf.n_iter_ == 0
    assert all(np.isfinite(array).all() for array in parameters(clf))


def test_ctrl_c_ends_lbfgs_at_an_iterate_that_it_accepted() -> None:
    X, _ = make(n=2000, n_features=20)
    arguments = {"solver": "lbfgs", "max_iter": 10**6, "max_fun": 10**6, "tol": 0.0, "random_state": 0}
    regressor = gdfast.MLPRegressor(hidden_layer_sizes=(100, 100), **arguments)
    with ctrl_c_soon():
        regressor.fit(X, np.sin(X[:, 0] * 3))
    assert np.isfinite(regressor.predict(X)).all()
    assert regressor.n_iter_ > 0
    regressor.set_params(max_iter=regressor.n_iter_)
    again = clone(regressor).fit(X, np.sin(X[:, 0] * 3))
    assert_same_bits(parameters(regressor), parameters(again))


def test_a_batch_without_weight_is_skipped(dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    weight = np.r_[np.ones(60), np.zeros(60)]
    arguments = {"batch_size": 30, "shuffle": False, "max_iter": 5, "random_state": 0}
    weighted = gdfast.MLPClassifier(**arguments).fit(X, y, weight)
    assert np.isfinite(weighted.loss_curve_).all()
    assert_same_bits(parameters(weighted), parameters(gdfast.MLPClassifier(**arguments).fit(X[:60], y[:60])))
