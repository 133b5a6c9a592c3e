"""Regression by other losses than the squared error, and quantiles that do not cross."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import _core
from gdfast.training.losses import mean_loss
from sklearn.base import clone
from sklearn.linear_model import HuberRegressor, QuantileRegressor
from sklearn.metrics import d2_pinball_score, mean_pinball_loss
from sklearn.model_selection import cross_val_score

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
X = RNG.normal(size=(300, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.3 * RNG.standard_t(2, size=300)
LINEAR = {"hidden_layer_sizes": (), "alpha": 0.0, "random_state": 0}
LOSSES: dict[str, dict[str, Any]] = {
    "squared_error": {},
    "poisson": {},
    "absolute_error": {},
    "huber": {"huber_delta": 0.3},
    "quantile": {"quantiles": 0.8},
    "quantiles": {"loss": "quantile", "quantiles": [0.1, 0.5, 0.9]},
}


def regressor(loss: str, **arguments: Any) -> Any:
    return gdfast.MLPRegressor(**{"loss": loss, **LOSSES[loss], **arguments})


def target(loss: str) -> np.ndarray:
    return np.abs(Y) if loss == "poisson" else Y


# What they are.


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, len(X))], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_validation_loss_is_the_cores(loss: str, weight: Any, dtype: type[np.floating]) -> None:
    """The NumPy statement of each loss, and the loss of the core that trains."""
    y = target(loss).astype(dtype)
    est = regressor(loss, hidden_layer_sizes=(5,), max_iter=2, alpha=0.0, random_state=0)
    est.fit(X.astype(dtype), y, weight, X_val=X.astype(dtype), y_val=y, sample_weight_val=weight)
    # The weights are those of the last epoch if it is the best.
    assert np.argmax(est.validation_scores_) == 1
    core = _core.loss_and_grad(
        X.astype(dtype),
        y[:, np.newaxis],
        est.coefs_,
        est.intercepts_,
        ["relu"],
        est._task(y, incremental=False, classes=None).loss,
        0.0,
        None if weight is None else weight.astype(dtype),
        [np.empty_like(w) for w in est.coefs_],
        [np.empty_like(b) for b in est.intercepts_],
    )
    rtol = 1e-12 if dtype is np.float64 else 1e-5  # sums of 300 terms, in another order
    assert est.validation_loss_curve_[-1] == pytest.approx(core, rel=rtol)


def test_the_squared_error_of_several_outputs_is_their_mean() -> None:
    y, outputs = RNG.normal(size=(2, 7, 3))
    assert mean_loss("squared_error", y, outputs, None) == pytest.approx(0.5 * ((y - outputs) ** 2).mean())
    assert mean_loss("absolute_error", y, outputs, None) == pytest.approx(np.abs(y - outputs).sum(1).mean())


def test_quantiles_are_those_of_the_linear_programme() -> None:
    """A network without hidden layers is scikit-learn's QuantileRegressor, which is exact."""
    for quantile in (0.2, 0.5, 0.9):
        exact = QuantileRegressor(quantile=quantile, alpha=0).fit(X, Y)
        ours = gdfast.MLPRegressor("quantile", **LINEAR, quantiles=quantile, max_iter=5000, tol=1e-9)
        ours.set_params(learning_rate_init=0.05, batch_size=300, learning_rate="adaptive", solver="sgd")
        ours.set_params(n_iter_no_change=50)
        losses = [mean_pinball_loss(Y, model.predict(X), alpha=quantile) for model in (exact, ours.fit(X, Y))]
        # A descent whose learning rate falls comes within a thousandth of the linear programme's minimum.
        assert losses[0] <= losses[1] <= losses[0] * 1.001
    median = gdfast.MLPRegressor("absolute_error", **LINEAR, max_iter=3000, tol=1e-9, batch_size=300)
    median.set_params(learning_rate_init=0.01, learning_rate="adaptive", solver="sgd").fit(X, Y)
    exact = QuantileRegressor(quantile=0.5, alpha=0).fit(X, Y)
    np.testing.assert_allclose(median.coefs_[0][:, 0], exact.coef_, atol=0.02)


def test_huber_is_robust_as_scikit_learns_is() -> None:
    wild = Y.copy()
    wild[X[:, 0] > 1.5] += 30
    # HuberRegressor's scale is estimated along with the coefficients; ours is what it found.
    peer = HuberRegressor(epsilon=1.35, alpha=0, tol=1e-8, max_iter=1000).fit(X, wild)
    ours = gdfast.MLPRegressor(
        "huber", **LINEAR, solver="lbfgs", huber_delta=1.35 * peer.scale_, max_iter=1000, tol=1e-9
    ).fit(X, wild)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], peer.coef_, atol=1e-4)
    squared = gdfast.MLPRegressor(**LINEAR, solver="lbfgs").fit(X, wild)
    truth = np.array([1.0, -2.0, 0.5])
    assert 5 * np.abs(ours.coefs_[0][:, 0] - truth).max() < np.abs(squared.coefs_[0][:, 0] - truth).max()


# Quantiles.


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_several_quantiles_do_not_cross(solver: str, dtype: type[np.floating]) -> None:
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    est = gdfast.MLPRegressor(
        "quantile", (20,), solver=solver, quantiles=quantiles, max_iter=150, random_state=0
    )
    est.set_params(learning_rate_init=0.01).fit(X.astype(dtype), Y.astype(dtype))
    predicted = est.predict(X.astype(dtype))
    assert predicted.shape == (300, 5)
    assert predicted.dtype == dtype
    assert est.n_outputs_ == 5
    assert est.out_activation_ == "quantiles"
    # Far outside of what was trained on, too.
    assert (np.diff(est.predict(100 * X), axis=1) >= 0).all()
    below = (Y[:, np.newaxis] <= predicted).mean(axis=0)
    np.testing.assert_allclose(below, quantiles, atol=0.1)
    one = np.concatenate([est.predict(X[i : i + 1].astype(dtype)) for i in range(5)])
    np.testing.assert_array_equal(one, predicted[:5])


def test_one_quantile_is_one_column(dtype: type[np.floating]) -> None:
    for quantile in (0.3, [0.3]):
        est = gdfast.MLPRegressor("quantile", quantiles=quantile, max_iter=5).fit(X.astype(dtype), Y)
        assert est.predict(X.astype(dtype)).shape == (300,)
        assert est.out_activation_ == "identity"


@pytest.mark.parametrize("quantiles", [0.7, [0.1, 0.6]])
def test_the_score_of_quantiles_is_d2(quantiles: Any) -> None:
    est = gdfast.MLPRegressor("quantile", quantiles=quantiles, max_iter=5, random_state=0).fit(X, Y)
    weight = np.linspace(1, 2, 300)
    columns = est.predict(X).reshape(300, -1).T
    expected = np.mean(
        [
            d2_pinball_score(Y, column, alpha=q, sample_weight=weight)
            for q, column in zip(np.atleast_1d(quantiles), columns, strict=True)
        ]
    )
    assert est.score(X, Y, weight) == expected
    assert np.isfinite(cross_val_score(clone(est), X, Y, cv=3)).all()
    stopped = clone(est).set_params(early_stopping=True).fit(X, Y, X_val=X, y_val=Y)
    assert stopped.best_validation_score_ == pytest.approx(stopped.score(X, Y))


def test_score_is_r2_otherwise() -> None:
    for loss in ("absolute_error", "huber"):
        est = regressor(loss, max_iter=30, random_state=0).fit(X, Y)
        residual = ((Y - est.predict(X)) ** 2).sum()
        assert est.score(X, Y) == pytest.approx(1 - residual / ((Y - Y.mean()) ** 2).sum())


def test_absolute_error_and_huber_take_several_targets() -> None:
    targets = np.c_[Y, -Y]
    for loss in ("absolute_error", "huber"):
        assert regressor(loss, max_iter=5).fit(X, targets).predict(X).shape == (300, 2)


# What is refused.


@pytest.mark.parametrize("quantiles", [[0.5, 0.1], [0.5, 0.5], [], [0.0, 0.5], [0.5, 1.0], [np.nan]])
def test_quantiles_must_increase(quantiles: Any) -> None:
    with pytest.raises(ValueError, match=r"quantiles must be strictly increasing and lie within \(0, 1\)"):
        gdfast.MLPRegressor("quantile", quantiles=quantiles).fit(X, Y)


@pytest.mark.parametrize("arguments", [{"quantiles": 1.0}, {"huber_delta": 0}, {"loss": "absolute"}])
def test_bad_arguments(arguments: Any) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(arguments))}' parameter of MLPRegressor must be"):
        gdfast.MLPRegressor(**arguments).fit(X, Y)


def test_quantiles_take_one_target() -> None:
    with pytest.raises(ValueError, match=r"takes one target, but y has 2 columns\. Fit a model for each"):
        gdfast.MLPRegressor("quantile").fit(X, np.c_[Y, Y])
