"""What ends a run: early stopping, divergence, Ctrl-C; and the weights that are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, fit_until_ctrl_c, make, parameters
from gdfast.estimators._classification import ClassificationTask
from gdfast.estimators._regression import RegressionTask
from scipy.optimize import OptimizeResult
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

# Most runs are cut short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


# Early stopping.


def score_by(monkeypatch: pytest.MonkeyPatch, score: Callable[[Any], float]) -> None:
    """Let this function of the outputs be the score on validation sets."""
    for task in (ClassificationTask, RegressionTask):
        monkeypatch.setattr(task, "scorer", lambda self, y, weight: score)


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
    score_by(monkeypatch, lambda outputs: next(scores, 1.0))
    estimator.fit(X, y)
    assert len(estimator.validation_scores_) > 10
    assert estimator.best_validation_score_ == 2.0
    assert_same_bits(parameters(estimator), before)


def test_a_nan_score_is_no_improvement(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = make()
    estimator = kind(early_stopping=True, n_iter_no_change=3, max_iter=50, random_state=0)
    score_by(monkeypatch, lambda outputs: np.nan)
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


DIVERGES = {
    "solver": "sgd",
    "learning_rate_init": 1e6,
    "activation": "identity",
    "random_state": 0,
    "tol": 0,
    "n_iter_no_change": 10**6,
    "alpha": 1.0,
}


def test_divergence_keeps_the_last_finite_weights(kind: Any, dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    y = y if kind is gdfast.MLPClassifier else y + 0.5
    estimator = kind(max_iter=2000, **DIVERGES)
    with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights\."):
        estimator.fit(X, y)
    assert all(np.isfinite(array).all() for array in parameters(estimator))
    assert len(estimator.loss_curve_) == estimator.n_iter_ < 2000
    if estimator.n_iter_:
        until_then = kind(max_iter=estimator.n_iter_, **DIVERGES).fit(X, y)
        assert_same_bits(parameters(estimator), parameters(until_then))
    # Who goes on begins with new moments, so that a sane learning rate can still save the model.
    estimator.set_params(learning_rate_init=1e-3)
    for array in estimator.coefs_ + estimator.intercepts_:
        array[:] = 0.01
    estimator.partial_fit(X, y)
    assert all(np.isfinite(array).all() for array in parameters(estimator))


@pytest.mark.parametrize("own", [False, True], ids=["set aside", "own"])
def test_divergence_with_a_validation_set_is_warned_of(
    kind: Any, own: bool, dtype: type[np.floating], capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = make(dtype)
    y = y if kind is gdfast.MLPClassifier else y + 0.5
    given = {"X_val": X[:40], "y_val": y[:40]} if own else {}
    estimator = kind(max_iter=2000, early_stopping=not own, verbose=True, **DIVERGES)
    with pytest.warns(ConvergenceWarning, match=r"diverged.*non-finite parameter weights\.") as warned:
        estimator.fit(X, y, **given)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    scores = estimator.validation_scores_
    assert np.isnan(scores[-1])
    assert type(scores[-1]) is float
    assert len(scores) == len(estimator.loss_curve_) == estimator.n_iter_ < 2000
    assert len(estimator.validation_loss_curve_) == len(estimator.learning_rate_curve_) == estimator.n_iter_
    assert estimator.t_ == estimator.n_iter_ * (len(X) if own else 0.9 * len(X))
    assert capsys.readouterr().out.endswith("Validation score: nan\n")
    best = int(np.nanargmax(scores)) + 1
    until_best = kind(max_iter=best, early_stopping=not own, **DIVERGES).fit(X, y, **given)
    assert_same_bits(parameters(estimator), parameters(until_best))
    for array in estimator.coefs_ + estimator.intercepts_:
        array[:] = 0.01
    estimator.set_params(learning_rate_init=1e-3, early_stopping=False).partial_fit(X, y)
    assert all(np.isfinite(array).all() for array in parameters(estimator))


def test_divergence_in_the_first_epoch_leaves_the_first_weights() -> None:
    X, y = make()
    estimator = gdfast.MLPRegressor(solver="sgd", activation="identity", early_stopping=True, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="are those that training began with") as warned:
        estimator.fit(X * 1e160, y)
    assert len(warned) == 1
    assert estimator.n_iter_ == 1
    assert estimator.best_validation_score_ == -np.inf
    assert all(np.isfinite(array).all() for array in parameters(estimator))


def test_lbfgs_that_diverges_is_warned_of_with_a_validation_set(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = make()

    def minimize(function: Any, x: Any, callback: Any, **kwargs: Any) -> OptimizeResult:
        function(x)
        callback(OptimizeResult(x=x, fun=1.0))
        return OptimizeResult(x=np.full_like(x, np.nan), fun=np.nan, nit=2, status=2, message="")

    monkeypatch.setattr("gdfast.training.lbfgs.minimize", minimize)
    estimator = kind(solver="lbfgs", random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        estimator.fit(X, y, X_val=X, y_val=y)
    assert np.isnan(estimator.validation_scores_[-1])
    assert np.isfinite(estimator.best_validation_score_)
    assert all(np.isfinite(array).all() for array in parameters(estimator))
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        estimator.fit(X, y)


# Weights that stay finite while there is nothing to tell how good they are.


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg", "annealing"])
def test_scores_that_are_never_finite_are_warned_of(
    kind: Any, solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = make()
    score_by(monkeypatch, lambda outputs: np.nan)
    estimator = kind(solver=solver, early_stopping=True, n_iter_no_change=3, max_iter=50, random_state=0)
    with pytest.warns(ConvergenceWarning, match="the validation score is nan") as warned:
        estimator.fit(X, y, X_val=X, y_val=y)
    assert len(warned) == 1
    assert estimator.n_iter_ == 4


def test_a_loss_that_overflows_at_once_is_warned_of() -> None:
    X, y = make()
    estimator = gdfast.MLPRegressor(early_stopping=True, n_iter_no_change=3, max_iter=50, random_state=0)
    with pytest.warns(ConvergenceWarning, match="the validation score is nan") as warned:
        estimator.fit(X, y * 1e200)
    assert len(warned) == 1
    assert estimator.n_iter_ == 4


def test_a_loss_that_is_no_number_is_warned_of(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = make()
    core_s = gdfast._core.Trainer

    class Trainer:
        """The core's, whose loss is NaN."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._core = core_s(*args, **kwargs)

        def run_epoch(self, *args: Any, **kwargs: Any) -> tuple[float, bool]:
            return np.nan, self._core.run_epoch(*args, **kwargs)[1]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._core, name)

    monkeypatch.setattr(gdfast._core, "Trainer", Trainer)
    estimator = kind(n_iter_no_change=3, max_iter=50, random_state=0)
    with pytest.warns(ConvergenceWarning, match="the training loss is nan") as warned:
        estimator.fit(X, y)
    assert len(warned) == 1
    assert estimator.n_iter_ == 4


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
def test_weights_that_are_not_finite_do_not_pass(solver: str, kind: Any) -> None:
    X, y = make()
    estimator = kind(solver=solver, warm_start=True, max_iter=3).fit(X, y)
    estimator.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        estimator.fit(X, y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_what_was_learned(kind: Any, early_stopping: bool) -> None:
    X, y = make(n=2000)
    estimator = kind(
        max_iter=10**9, n_iter_no_change=10**9, early_stopping=early_stopping, random_state=0, shuffle=False
    )
    fit_until_ctrl_c(lambda: estimator.fit(X, y), lambda: bool(estimator.n_iter_ > 1))
    assert estimator.n_iter_ == len(estimator.loss_curve_)
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
    fit_until_ctrl_c(lambda: clf.fit(X, y))
    assert clf.n_iter_ == 0
    assert all(np.isfinite(array).all() for array in parameters(clf))


def test_ctrl_c_ends_lbfgs_at_an_iterate_that_it_accepted() -> None:
    X, _ = make(n=2000, n_features=20)
    arguments = {"solver": "lbfgs", "max_iter": 10**6, "max_fun": 10**6, "tol": 0.0, "random_state": 0}
    regressor = gdfast.MLPRegressor(hidden_layer_sizes=(100, 100), **arguments)
    fit_until_ctrl_c(lambda: regressor.fit(X, np.sin(X[:, 0] * 3)))
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
