"""Levenberg-Marquardt and the truncated Newton method."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
import reference
from builds import needs_threads
from fits import assert_same_bits, fit_until_ctrl_c, parameters
from gdfast.kernels import mlp_gauss_newton_diagonal, mlp_hessian_vector_product, mlp_loss_and_grad
from numpy.typing import NDArray
from problems import norm_error
from reference_full_batch import levenberg_marquardt, trust_region_step
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from threadpoolctl import threadpool_info, threadpool_limits

Array = NDArray[Any]
pytestmark = pytest.mark.filterwarnings("ignore:.*hasn't converged yet")

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * RNG.normal(size=60)
Y2 = np.column_stack([Y, X[:, 0] ** 2])
WEIGHT = RNG.randint(0, 4, 60).astype(float)
SINE = np.linspace(-1, 1, 100)[:, None]
SOLVERS = ("lm", "newton-cg")


def regressor(solver: str = "lm", **arguments: Any) -> gdfast.MLPRegressor:
    defaults = {"hidden_layer_sizes": (5,), "activation": "tanh", "random_state": 0}
    return gdfast.MLPRegressor(solver=solver, **{**defaults, **arguments})


def split(vector: Array, like: list[Array]) -> list[Array]:
    bounds = np.cumsum([array.size for array in like])[:-1]
    return [part.reshape(a.shape) for part, a in zip(np.split(vector, bounds), like, strict=True)]


def as_vector(est: Any) -> Array:
    return np.concatenate([array.ravel() for array in (*est.coefs_, *est.intercepts_)])


class Start:
    """Keeps the weights before the first iteration, and after each."""

    def __init__(self) -> None:
        self.path: list[Array] = []

    def on_train_begin(self, est: Any) -> None:
        self.path = [as_vector(est)]

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        self.path.append(as_vector(est))
        assert logs["loss"] == est.loss_ == est.loss_curve_[-1]


# ---------------------------------------------------------------------------------------- lm


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("activation", ["tanh", ["logistic", "gelu"]], ids=str)
def test_lm_takes_the_steps_of_the_reference(activation: Any, weighted: bool, alpha: float) -> None:
    start = Start()
    sizes = (5,) if activation == "tanh" else (4, 3)
    est = regressor(
        hidden_layer_sizes=sizes, activation=activation, alpha=alpha, tol=0.0, max_iter=8, callbacks=[start]
    )
    est.fit(X, Y2, WEIGHT if weighted else None)
    n_layers, arrays = len(est.coefs_), [*est.coefs_, *est.intercepts_]
    activations = [activation] if activation == "tanh" else activation

    def network(x: Array) -> tuple[Any, ...]:
        parts = split(x, arrays)
        return X, parts[:n_layers], parts[n_layers:], activations, "identity"

    # The mean over rows weighs a row's outputs alike.
    weight = np.repeat(WEIGHT if weighted else np.ones(len(X)), 2)
    total = weight.sum() / 2
    penalty = np.zeros(len(start.path[0]))
    penalty[: sum(coef.size for coef in est.coefs_)] = alpha / total
    expected = levenberg_marquardt(
        lambda x: np.sqrt(2) * (reference.forward(*network(x)) - Y2).ravel(),
        lambda x: np.sqrt(2) * reference.jacobian_of_outputs(*network(x)).reshape(len(weight), -1),
        start.path[0],
        weight,
        penalty,
        8,
    )
    assert len(start.path) == 9
    # Rounding of a step is amplified by the condition of the damped matrix, and from step to step.
    for i, (actual, wanted) in enumerate(zip(start.path[1:], expected, strict=True)):
        assert norm_error(actual, wanted) < 1e-6, f"step {i}"


def test_lm_solves_a_linear_network_as_ridge_does() -> None:
    est = regressor(hidden_layer_sizes=(), alpha=3.0, tol=1e-12, max_iter=50).fit(X, Y, WEIGHT)
    peer = Ridge(alpha=3.0).fit(X, Y, WEIGHT)
    np.testing.assert_allclose(est.coefs_[0][:, 0], peer.coef_, rtol=1e-9)
    np.testing.assert_allclose(est.intercepts_[0], peer.intercept_, rtol=1e-9)


def test_lm_fits_a_sine_to_an_mse_of_1e_6() -> None:
    y = np.sin(np.pi * SINE[:, 0])
    reached = 0
    for seed in range(10):
        est = regressor(hidden_layer_sizes=(10,), alpha=0, tol=0.0, max_iter=99, random_state=seed)
        reached += np.mean((est.fit(SINE, y).predict(SINE) - y) ** 2) <= 1e-6
    assert reached >= 9


def test_evidence_of_a_linear_network_is_that_of_bayesian_ridge() -> None:
    """With the intercept as one more weight: all parameters have one prior."""
    est = regressor(hidden_layer_sizes=(), bayesian_regularization=True, tol=1e-10, max_iter=1000)
    est.fit(X, Y)
    with_ones = np.column_stack([X, np.ones(len(X))])
    peer = BayesianRidge(
        fit_intercept=False, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, tol=1e-12, max_iter=10_000
    ).fit(with_ones, Y)
    # Our training ends where the penalty changes by less than 1 % in an iteration.
    np.testing.assert_allclose(est.alpha_, peer.lambda_, rtol=0.02)
    np.testing.assert_allclose(est.beta_, peer.alpha_, rtol=0.02)
    np.testing.assert_allclose([*est.coefs_[0][:, 0], *est.intercepts_[0]], peer.coef_, rtol=0.02)
    assert 0 < est.n_effective_parameters_ < 4


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_evidence_is_at_its_fixed_point(weighted: bool) -> None:
    """MacKay's equations (1992), with the eigenvalues of the normal matrix."""
    weight = WEIGHT if weighted else np.ones(len(X))
    est = regressor(bayesian_regularization=True, tol=1e-6, max_iter=1000).fit(X, Y2, weight)
    assert est.n_iter_ < 1000
    J = reference.jacobian_of_outputs(X, est.coefs_, est.intercepts_, ["tanh"], "identity")
    residuals = est.predict(X) - Y2
    J = (np.sqrt(weight)[:, None, None] * J).reshape(-1, J.shape[2])
    eigenvalues = np.linalg.eigvalsh(J.T @ J)
    ratio = est.alpha_ / est.beta_
    n_effective = (eigenvalues / (eigenvalues + ratio)).sum()
    errors, squares = (weight[:, None] * residuals**2).sum(), (as_vector(est) ** 2).sum()
    # The last update of the precisions changed them by up to 1 %.
    assert est.n_effective_parameters_ == pytest.approx(n_effective, rel=0.02)
    assert est.alpha_ == pytest.approx(est.n_effective_parameters_ / squares, rel=1e-6)
    assert est.beta_ == pytest.approx((2 * weight.sum() - est.n_effective_parameters_) / errors, rel=1e-6)
    # The weights are stationary: the gradients of both parts are opposite.
    slope = J.T @ (np.sqrt(weight)[:, None] * residuals).ravel()
    assert np.abs(slope + ratio * as_vector(est)).max() / weight.sum() < 1e-5


def test_evidence_finds_as_many_parameters_in_nets_of_any_size() -> None:
    """Foresee and Hagan (1997): beyond what the data can tell, units do not count."""
    rng = np.random.RandomState(0)
    y = np.sin(np.pi * SINE[:, 0]) + 0.1 * rng.normal(size=100)
    counts = []
    for units in (8, 16, 32):
        est = regressor(
            hidden_layer_sizes=(units,), bayesian_regularization=True, tol=1e-7, max_iter=500
        ).fit(SINE, y)
        counts.append(est.n_effective_parameters_)
        assert 1 / est.beta_ == pytest.approx(0.1**2, rel=0.4)  # the variance of the noise, of 100 samples
    assert max(counts) < 12
    assert max(counts) - min(counts) < 1


def test_evidence_takes_weights_with_a_positive_sum() -> None:
    with pytest.raises(ValueError, match="sample weights with a positive sum"):
        regressor(bayesian_regularization=True).fit(X, Y, -np.ones(60))
    est = regressor(bayesian_regularization=True, max_iter=5).fit(X, Y, np.r_[-0.5, np.ones(59)])
    assert np.isfinite([*as_vector(est), est.alpha_, est.beta_]).all()


def test_precisions_belong_to_one_fit() -> None:
    est = regressor(bayesian_regularization=True, warm_start=True, max_iter=3).fit(X, Y)
    assert est.alpha_ > 0
    est.set_params(bayesian_regularization=False).fit(X, Y)
    assert not {"alpha_", "beta_", "n_effective_parameters_"} & set(vars(est))


# ---------------------------------------------------------------------------------------- newton-cg


def test_newton_cg_takes_the_steps_of_the_reference() -> None:
    start = Start()
    est = regressor("newton-cg", alpha=0.1, tol=0.0, max_iter=1, callbacks=[start]).fit(X, Y, WEIGHT)
    arrays = [*est.coefs_, *est.intercepts_]
    x = start.path[0]
    parts = split(x, arrays)
    problem = {"activation": "tanh", "alpha": 0.1, "sample_weight": WEIGHT}
    network = X, Y[:, None], parts[:2], parts[2:]

    def flat(pair: Any) -> Array:
        return np.concatenate([array.ravel() for array in (*pair[0], *pair[1])])

    def column(v: Array) -> Array:
        direction = split(v, arrays)
        return flat(mlp_hessian_vector_product(*network, direction=(direction[:2], direction[2:]), **problem))

    loss, gradient = mlp_loss_and_grad(*network, **problem)
    hessian = np.array([column(unit) for unit in np.eye(x.size)])
    diagonal = flat(mlp_gauss_newton_diagonal(*network, **problem))
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-2 * diagonal.max()))
    gradient = flat(gradient)
    radius = np.linalg.norm(scale * gradient)
    for _ in range(20):
        step = trust_region_step(gradient, hessian, scale, radius, 100)
        parts = split(x + step, arrays)
        after, _ = mlp_loss_and_grad(X, Y[:, None], parts[:2], parts[2:], **problem)
        if after < loss:
            break
        radius = np.linalg.norm(step / scale) / 4
    np.testing.assert_allclose(start.path[1], x + step, rtol=1e-7, atol=1e-10)


def test_newton_cg_finds_the_minimum_of_a_convex_loss() -> None:
    data, labels = load_iris(return_X_y=True)
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    clf = gdfast.MLPClassifier((), solver="newton-cg", alpha=1.0, tol=1e-10, max_iter=100, random_state=0)
    peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(data, labels)
    np.testing.assert_allclose(clf.fit(data, labels).predict_proba(data), peer.predict_proba(data), atol=1e-6)
    assert clf.n_iter_ < 20


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber"])
def test_newton_cg_reaches_a_stationary_point(loss: str) -> None:
    est = regressor("newton-cg", loss=loss, alpha=0.1, tol=1e-6, max_iter=1000).fit(X, np.abs(Y))
    assert est.n_iter_ < 1000
    name = (loss, [1.0]) if loss == "huber" else loss
    _, (coefs, intercepts) = mlp_loss_and_grad(
        X, np.abs(Y)[:, None], est.coefs_, est.intercepts_, activation="tanh", loss=name, alpha=0.1
    )
    assert max(np.abs(array).max() for array in (*coefs, *intercepts)) <= 1e-6


# ---------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_loss_goes_down_in_every_iteration(alpha: float, solver: str) -> None:
    est = regressor(solver, alpha=alpha, tol=0.0, max_iter=50).fit(X, Y)
    curve = est.loss_curve_
    assert len(curve) == est.n_iter_ > 10
    assert all(b < a for a, b in pairwise(curve))
    assert est.loss_ == curve[-1] == est.best_loss_
    error, squares = np.mean((est.predict(X) - Y) ** 2), sum((coef**2).sum() for coef in est.coefs_)
    assert est.loss_ == pytest.approx(error / 2 + alpha * squares / 2 / len(X), rel=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_loss_of_several_outputs_is_that_of_other_solvers(solver: str) -> None:
    est = regressor(solver, alpha=0.1, max_iter=5).fit(X, Y2)
    squares = sum((coef**2).sum() for coef in est.coefs_)
    assert est.loss_ == pytest.approx(np.mean((est.predict(X) - Y2) ** 2) / 2 + 0.05 * squares / 60)


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_stays_float32(solver: str) -> None:
    narrow, wide = (regressor(solver, alpha=0.1).fit(X.astype(d), Y) for d in (np.float32, np.float64))
    assert {array.dtype for array in parameters(narrow)} == {np.dtype(np.float32)}
    # Both are close to a minimum, perhaps not to the same: the loss tells.
    assert narrow.loss_ == pytest.approx(wide.loss_, rel=0.2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_rows_and_weights_of_zero(solver: str) -> None:
    rows = X * (RNG.uniform(size=X.shape) < 0.5)
    dense, other = (regressor(solver, max_iter=5).fit(x, Y, WEIGHT) for x in (rows, sparse.csr_array(rows)))
    np.testing.assert_allclose(as_vector(dense), as_vector(other), rtol=1e-6, atol=1e-9)
    kept = regressor(solver, max_iter=5).fit(rows[WEIGHT > 0], Y[WEIGHT > 0], WEIGHT[WEIGHT > 0])
    np.testing.assert_allclose(as_vector(dense), as_vector(kept), rtol=1e-6, atol=1e-9)


@needs_threads
@pytest.mark.parametrize("evidence", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_threads_change_no_bit(solver: str, evidence: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if evidence and solver != "lm":
        pytest.skip("of lm")
    fits = []
    for threads in (1, 3):
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        fits.append(regressor(solver, max_iter=10, bayesian_regularization=evidence).fit(X, Y2))
    assert_same_bits(*map(parameters, fits))


def blas_threads() -> list[int]:
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("solver", ["lm", "lbfgs"])
def test_threads_of_blas_change_no_bit_and_are_given_back(solver: str) -> None:
    fits = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            before = blas_threads()
            fits.append(regressor(solver, hidden_layer_sizes=(60, 10), max_iter=5).fit(X, Y))
            assert blas_threads() == before
    assert_same_bits(*map(parameters, fits))


HARD: dict[str, tuple[Array, Array, dict[str, Any]]] = {
    "one sample": (X[:1], Y[:1], {}),
    "one sample, no penalty": (X[:1], Y[:1], {"alpha": 0.0}),
    "zero residual": (X, np.zeros(60), {"init": "zeros"}),
    "exact fit": (X, X[:, 0], {"hidden_layer_sizes": (), "alpha": 0.0}),
    "constant feature": (np.column_stack([X, np.full(60, 5.0)]), Y, {"alpha": 0.0}),
    "feature of zeros": (np.column_stack([X, np.zeros(60)]), Y, {"alpha": 0.0}),
    "feature twice": (np.column_stack([X, X]), Y, {"alpha": 0.0}),
    "all rows alike": (np.ones((20, 3)), np.ones(20), {"alpha": 0.0}),
    "constant target": (X, np.ones(60), {}),
    "more weights than rows": (X[:5], Y[:5], {"hidden_layer_sizes": (50,), "alpha": 0.0}),
    "dead units": (X, Y, {"activation": "relu", "init": "zeros", "alpha": 0.0}),
    "large numbers": (1e6 * X, 1e6 * Y, {}),
    "small numbers": (1e-9 * X, 1e-9 * Y, {"tol": 0.0}),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("solver", [*SOLVERS, "evidence"])
@pytest.mark.parametrize("case", HARD)
def test_singular_problems_give_finite_numbers(case: str, solver: str, dtype: Any) -> None:
    rows, y, arguments = HARD[case]
    evidence = solver == "evidence"
    arguments = {"tol": 1e-8, "max_iter": 30, **arguments}
    if evidence:
        arguments.pop("alpha", None)
    est = regressor("lm" if evidence else solver, bayesian_regularization=evidence, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(rows.astype(dtype), y)
        assert np.isfinite(est.predict(rows.astype(dtype))).all()
    assert np.isfinite([*as_vector(est), est.loss_, *est.loss_curve_]).all()
    if evidence:
        assert np.isfinite([est.alpha_, est.beta_, est.n_effective_parameters_]).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_minimum_takes_no_iteration(solver: str) -> None:
    est = regressor(solver, hidden_layer_sizes=(), init="zeros").fit(X, np.zeros(60))
    assert est.n_iter_ == 0
    assert not as_vector(est).any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_warning_at_the_last_iteration_names_the_solver(solver: str) -> None:
    with pytest.warns(ConvergenceWarning, match=rf"^{solver}: Maximum iterations \(2\)"):
        regressor(solver, max_iter=2, tol=0.0).fit(X, Y)


def test_a_net_too_large_for_lm_is_refused_with_its_size() -> None:
    est = regressor(hidden_layer_sizes=(100, 98))  # 100 * 4 + 98 * 101 + 99 parameters
    message = r"matrix of 10,397 x 10,397 numbers, which is 865 MB.*10,000 at most.*'newton-cg' or 'lbfgs'"
    with pytest.raises(ValueError, match=message):
        est.fit(X, Y)
    assert not hasattr(est, "coefs_")


@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping_sets_rows_aside(solver: str) -> None:
    est = regressor(
        solver, hidden_layer_sizes=(30,), alpha=0, early_stopping=True, validation_fraction=0.3,
        n_iter_no_change=5, max_iter=300, tol=1e-9,
    ).fit(X, Y)  # fmt: skip
    best = int(np.argmax(est.validation_scores_))
    assert len(est.validation_scores_) == est.n_iter_ <= best + 7 < 300
    assert est.best_validation_score_ == est.validation_scores_[best]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_rows_set_aside_are_not_trained_on(form: Any) -> None:
    arguments = {"early_stopping": True, "validation_fraction": 0.5, "max_iter": 1, "tol": 0.0}

    def curve(y: Array) -> list[float]:
        return regressor(**arguments).fit(form(X), y).loss_curve_

    plain, unit = curve(Y), np.eye(len(Y))
    assert sum(curve(Y + unit[row]) != plain for row in range(len(Y))) == 30


@pytest.mark.parametrize("solver", SOLVERS)
def test_ones_own_validation_set_keeps_the_best_weights(solver: str) -> None:
    start = Start()
    est = regressor(solver, hidden_layer_sizes=(20,), alpha=0, tol=0.0, max_iter=30, callbacks=[start])
    est.fit(X[:30], Y[:30], X_val=X[30:], y_val=Y[30:])
    best = int(np.argmax(est.validation_scores_))
    np.testing.assert_array_equal(as_vector(est), start.path[best + 1])


@pytest.mark.parametrize("solver", SOLVERS)
def test_max_time_ends_a_fit_after_an_iteration(solver: str) -> None:
    with pytest.warns(ConvergenceWarning, match="max_time"):
        est = regressor(solver, max_time=1e-9, max_iter=100).fit(X, Y)
    assert est.n_iter_ == 1


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.parametrize("solver", SOLVERS)
def test_ctrl_c_keeps_the_last_iteration(solver: str) -> None:
    rows = RNG.normal(size=(3000, 10))
    y = np.sin(3 * rows[:, 0]) * rows[:, 1]
    est = regressor(solver, hidden_layer_sizes=(30,), max_iter=10**6, tol=0.0, alpha=0)
    fit_until_ctrl_c(lambda: est.fit(rows, y))
    assert 0 < est.n_iter_ == len(est.loss_curve_)
    again = clone(est).set_params(max_iter=est.n_iter_).fit(rows, y)
    assert_same_bits(parameters(est), parameters(again))


@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fit_is_of_other_solvers(solver: str) -> None:
    assert not hasattr(regressor(solver), "partial_fit")


# Data that decide nothing, or are out of all range.


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [5, 20, 200])
def test_the_evidence_of_noise_is_finite(seed: int, n: int, tmp_path: Path) -> None:
    """The data determine no parameter, and the penalty would grow without end."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 3)), rng.normal(size=n)
    est = gdfast.MLPRegressor(
        hidden_layer_sizes=(8,), activation="tanh", solver="lm", bayesian_regularization=True,
        max_iter=100, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(X, y)
        assert np.isfinite([est.alpha_, est.beta_, est.n_effective_parameters_]).all()
        est.fit(X, y, sample_weight=np.full(n, 1e-9))
    assert np.isfinite([est.alpha_, est.beta_, est.n_effective_parameters_]).all()
    est.save(tmp_path / "model")
    assert gdfast.load(tmp_path / "model").alpha_ == est.alpha_


@pytest.mark.parametrize("scale", [1e80, 1e100, 1e150, 1e200])
@pytest.mark.parametrize("arguments", [{}, {"bayesian_regularization": True}], ids=["", "evidence"])
@pytest.mark.parametrize("solver", ["lm", "newton-cg"])
def test_huge_targets_end(solver: str, arguments: dict[str, Any], scale: float) -> None:
    if arguments and solver != "lm":
        pytest.skip("of lm")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    est = gdfast.MLPRegressor(
        hidden_layer_sizes=(8,), solver=solver, max_iter=20, random_state=0, **arguments
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(X, np.sin(X[:, 0]) * scale)
    assert all(np.isfinite(coef).all() for coef in est.coefs_)


def test_lm_goes_down_in_float32_on_a_huge_column() -> None:
    """Rounding makes the matrix indefinite by more than an absolute limit of the damping."""
    rng = np.random.default_rng(0)
    X = np.c_[rng.normal(size=(300, 3)), 1.7e9 + rng.random(300) * 3e7].astype(np.float32)
    est = gdfast.MLPRegressor(hidden_layer_sizes=(8,), solver="lm", max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(X, np.sin(X[:, 0]))
    assert est.n_iter_ > 1
    assert est.loss_ < 1e6  # of 7e17 at first
