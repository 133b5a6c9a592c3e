"""Curvature at the weights of fitted estimators."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import gdfast
import matplotlib as mpl
import numpy as np
import pytest
import scipy.sparse as sp
from fits import ctrl_c_after
from gdfast import CurvatureDisplay, MLPClassifier, MLPRegressor
from gdfast.inspect import curvature, gauss_newton_vector_product, hessian_vector_product
from gdfast.preprocessing import TableEncoder
from processes import in_process
from scipy.integrate import trapezoid
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPRegressor as SklearnMLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mpl.use("agg")
import matplotlib.pyplot as plt

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 40
RNG = np.random.RandomState(0)
X = RNG.normal(size=(N, 3))
NUMBERS = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
TWO, THREE = (NUMBERS > 0).astype(int), np.array(["a", "b", "c"])[np.digitize(NUMBERS, [-0.5, 0.5])]
LABELS = np.stack([TWO, X[:, 0] > 0], axis=1).astype(int)
FIT: dict[str, Any] = {"hidden_layer_sizes": (4, 3), "activation": "tanh", "max_iter": 20, "random_state": 0}
PRODUCTS = {"hessian": hessian_vector_product, "gauss_newton": gauss_newton_vector_product}

# An estimator's arguments and its targets, for every loss with a gradient that has a derivative.
CASES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "squared error": (MLPRegressor, {"alpha": 0.3}, NUMBERS),
    "without hidden layers": (MLPRegressor, {"hidden_layer_sizes": ()}, NUMBERS),
    "several outputs": (MLPRegressor, {"alpha": 0.3}, np.stack([NUMBERS, X[:, 0]], axis=1)),
    "poisson": (MLPRegressor, {"loss": "poisson"}, np.abs(NUMBERS)),
    "huber": (MLPRegressor, {"loss": "huber", "huber_delta": 0.7}, NUMBERS),
    "binary": (MLPClassifier, {"alpha": 1.0}, TWO),
    "multiclass": (MLPClassifier, {"alpha": 0.1}, THREE),
    "multilabel": (MLPClassifier, {}, LABELS),
    "label smoothing": (MLPClassifier, {"label_smoothing": 0.2}, THREE),
    "binary label smoothing": (MLPClassifier, {"label_smoothing": 0.2}, TWO),
    "balanced": (MLPClassifier, {"class_weight": "balanced", "alpha": 0.5}, THREE),
    "class weights": (MLPClassifier, {"class_weight": {"a": 3.0}, "alpha": 0.5}, THREE),
    "both penalties": (MLPRegressor, {"alpha": 0.5, "l1_ratio": 0.4}, NUMBERS),
    "activation parameters": (
        MLPRegressor,
        {"activation": ["softplus", "gelu"]},
        NUMBERS,
    ),
    "relu": (MLPClassifier, {"activation": "relu", "alpha": 0.5}, THREE),  # no kink lies so near
    "absolute error": (MLPRegressor, {"loss": "absolute_error"}, NUMBERS),
    "quantiles": (MLPRegressor, {"loss": "quantile", "quantiles": [0.2, 0.8]}, NUMBERS),
}


def fitted(name: str, **more: Any) -> tuple[Any, Any]:
    kind, arguments, y = CASES[name]
    return kind(**{**FIT, **arguments, **more}).fit(X, y), y


def vector(est: Any, seed: int = 0) -> np.ndarray:
    size = sum(a.size for a in est.coefs_ + est.intercepts_)
    return np.random.RandomState(seed).normal(size=size)


def flat(layers: Any) -> np.ndarray:
    coefs, intercepts = layers
    return np.concatenate([np.ravel(a) for a in [*coefs, *intercepts]])


def layers(est: Any, v: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    arrays, start = [], 0
    for like in est.coefs_ + est.intercepts_:
        arrays.append(v[start : start + like.size].reshape(like.shape))
        start += like.size
    return arrays[: len(est.coefs_)], arrays[len(est.coefs_) :]


def moved(est: Any, v: np.ndarray) -> Any:
    est = copy.deepcopy(est)
    coefs, intercepts = layers(est, v)
    est.coefs_ = [a + d for a, d in zip(est.coefs_, coefs, strict=True)]
    est.intercepts_ = [a + d for a, d in zip(est.intercepts_, intercepts, strict=True)]
    return est


def descend(est: Any, X: Any, y: Any, rate: float, steps: int, sample_weight: Any = None) -> Any:
    """Plain gradient descent from the weights of an estimator."""
    est = copy.deepcopy(est).set_params(
        solver="sgd", momentum=0.0, learning_rate_init=rate, batch_size=len(y), max_iter=steps,
        warm_start=True, n_iter_no_change=steps + 1, tol=0.0,
    )  # fmt: skip
    return est.fit(X, y, sample_weight)


def gradient(est: Any, y: Any, sample_weight: Any) -> np.ndarray:
    after = descend(est, X, y, 1.0, 1, sample_weight)
    return flat((est.coefs_, est.intercepts_)) - flat((after.coefs_, after.intercepts_))


def matrix_of(est: Any, y: Any, matrix: str = "hessian", **more: Any) -> np.ndarray:
    """The whole matrix, by products with unit vectors."""
    return np.array([PRODUCTS[matrix](est, X, y, unit, **more) for unit in np.eye(len(vector(est)))])


# Products.


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", CASES)
def test_the_hessian_is_the_derivative_of_the_gradient_of_training(name: str, weighted: bool) -> None:
    """The gradient is taken from a step of plain gradient descent, over the full batch."""
    est, y = fitted(name)
    weight = np.random.RandomState(1).uniform(0.2, 3, N) if weighted else None
    v = vector(est)
    product = hessian_vector_product(est, X, y, v, weight)
    h = 1e-5
    difference = gradient(moved(est, h * v), y, weight) - gradient(moved(est, -h * v), y, weight)
    # Of a central difference: the third derivative by h squared, and eps / h from the subtraction.
    np.testing.assert_allclose(product, difference / (2 * h), rtol=0, atol=1e-7 * np.abs(product).max())


CURVED = [name for name in CASES if name not in ("absolute error", "quantiles")]


@pytest.mark.parametrize("name", CURVED)
def test_the_gauss_newton_matrix_has_no_negative_curvature(name: str) -> None:
    est, y = fitted(name)
    values = np.linalg.eigvalsh(matrix_of(est, y, "gauss_newton"))
    assert values.min() >= -1e-12 * values.max()
    assert values.max() > 0


def test_without_hidden_layers_both_are_one_matrix() -> None:
    est, y = fitted("without hidden layers")
    hessian = matrix_of(est, y)
    np.testing.assert_allclose(hessian, matrix_of(est, y, "gauss_newton"), rtol=1e-12, atol=1e-14)
    inputs = np.hstack([X, np.ones((N, 1))])
    expected = inputs.T @ inputs / N + np.diag([est.alpha / N] * 3 + [0.0])
    np.testing.assert_allclose(hessian, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_direction_of_layers_gives_layers(name: str) -> None:
    est, y = fitted("multiclass")
    v = vector(est)
    product = PRODUCTS[name](est, X, y, layers(est, v))
    assert [a.shape for a in product[0]] == [a.shape for a in est.coefs_]
    assert [a.shape for a in product[1]] == [a.shape for a in est.intercepts_]
    np.testing.assert_array_equal(flat(product), PRODUCTS[name](est, X, y, v))
    # Other layouts and dtypes, and lists in place of arrays.
    coefs, intercepts = layers(est, np.round(v))
    given = [np.asfortranarray(a, dtype=np.float32) for a in coefs], tuple(a.tolist() for a in intercepts)
    product = PRODUCTS[name](est, X, y, given)
    np.testing.assert_array_equal(flat(product), PRODUCTS[name](est, X, y, np.round(v).astype(int)))


@pytest.mark.parametrize("name", PRODUCTS)
def test_float32_is_computed_in_float64(name: str) -> None:
    single = MLPClassifier(**FIT).fit(X.astype(np.float32), THREE)
    assert single.coefs_[0].dtype == np.float32
    double = copy.deepcopy(single)
    double.coefs_ = [a.astype(np.float64) for a in single.coefs_]
    double.intercepts_ = [a.astype(np.float64) for a in single.intercepts_]
    v = vector(single)
    product = PRODUCTS[name](single, X.astype(np.float32), THREE, v)
    assert product.dtype == np.float64
    expected = PRODUCTS[name](double, X.astype(np.float32).astype(np.float64), THREE, v)
    np.testing.assert_array_equal(product, expected)
    assert single.coefs_[0].dtype == np.float32


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array])
@pytest.mark.parametrize("name", PRODUCTS)
def test_sparse_rows(name: str, kind: Any) -> None:
    est, y = fitted("binary")
    v = vector(est)
    np.testing.assert_allclose(
        PRODUCTS[name](est, kind(X), y, v), PRODUCTS[name](est, X, y, v), rtol=1e-12, atol=1e-14
    )


def test_encoded_rows() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "b": THREE})
    encoder = TableEncoder(embed_from=None).fit(frame, NUMBERS)
    est = MLPRegressor(**FIT).fit(encoder.encode(frame), NUMBERS)
    plain = MLPRegressor(**FIT).fit(encoder.transform(frame), NUMBERS)
    v = vector(est)
    product = hessian_vector_product(est, encoder.encode(frame), NUMBERS, v)
    expected = hessian_vector_product(plain, encoder.transform(frame), NUMBERS, v)
    # Encoded in float64 here, in float32 by transform.
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_embeddings_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "b": (np.arange(N) % 10).astype(str)})
    rows = TableEncoder(embed_from=2).fit(frame, NUMBERS).encode(frame)
    est = MLPRegressor(**FIT).fit(rows, NUMBERS)
    with pytest.raises(ValueError, match="embed"):
        hessian_vector_product(est, rows, NUMBERS, vector(est))


def test_dropout_is_off() -> None:
    est, y = fitted("squared error", dropout=0.5)
    plain = copy.deepcopy(est).set_params(dropout=0.0)
    v = vector(est)
    np.testing.assert_array_equal(
        hessian_vector_product(est, X, y, v), hessian_vector_product(plain, X, y, v)
    )


def test_the_estimator_stays_as_it_was() -> None:
    for name in ("squared error", "multiclass"):
        est, y = fitted(name)
        before = copy.deepcopy(vars(est))
        curvature(est, X, y, n_lanczos=3, random_state=0)
        assert vars(est).keys() == before.keys()
        for attribute in ("coefs_", "intercepts_"):
            for a, b in zip(getattr(est, attribute), before[attribute], strict=True):
                np.testing.assert_array_equal(a, b)


def test_rows_may_lack_a_class() -> None:
    est, y = fitted("multiclass")
    rows = y != "c"
    assert np.isfinite(hessian_vector_product(est, X[rows], y[rows], vector(est))).all()


# Eigenvalues, trace and density.


@pytest.mark.parametrize("matrix", PRODUCTS)
@pytest.mark.parametrize("sizes", [(2,), (12, 5)], ids=["whole", "arpack"])
def test_eigenvalues(matrix: Any, sizes: tuple[int, ...]) -> None:
    est, y = fitted("multiclass", hidden_layer_sizes=sizes)
    whole = matrix_of(est, y, matrix)
    expected = np.linalg.eigvalsh(whole)
    found = curvature(
        est, X, y, matrix=matrix, n_eigenvalues=4, eigenvectors=True, n_probes=0, random_state=0
    )
    assert found.n_parameters == len(whole)
    # A residual of tol has an error of tol squared by the gap.
    np.testing.assert_allclose(found.eigenvalues, expected[::-1][:4], rtol=0, atol=1e-8 * expected[-1])
    # Of the smallest the residual is 1e-4, which is a bound for the error.
    assert found.smallest_eigenvalue == pytest.approx(expected[0], abs=1e-4 * expected[-1])
    assert found.max_learning_rate == pytest.approx(2 / expected[-1], rel=1e-8)
    vectors = found.eigenvectors
    assert vectors.shape == (len(whole), 4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(whole @ vectors, vectors * found.eigenvalues, atol=1e-5 * expected[-1])
    product = PRODUCTS[matrix](est, X, y, vectors[:, 0])
    np.testing.assert_allclose(product, found.eigenvalues[0] * vectors[:, 0], atol=1e-5 * expected[-1])
    assert np.isnan(found.trace)
    assert np.isnan(found.trace_error)


def test_more_eigenvalues_than_the_rank() -> None:
    """Eigenvalues of zero, many times: Gauss-Newton matrices have them where rows are few."""
    est = MLPRegressor(**{**FIT, "hidden_layer_sizes": (20,)}, alpha=0.0).fit(X, NUMBERS)
    found = curvature(est, X[:3], NUMBERS[:3], matrix="gauss_newton", n_eigenvalues=6, random_state=0)
    assert (found.eigenvalues[:3] > 0).all()
    np.testing.assert_allclose(found.eigenvalues[3:], 0, atol=1e-6 * found.eigenvalues[0])
    assert found.smallest_eigenvalue == pytest.approx(0, abs=1e-6 * found.eigenvalues[0])


@pytest.mark.parametrize("sizes", [(), (2,), (40,)])
def test_a_matrix_of_zeros(sizes: tuple[int, ...]) -> None:
    est = MLPRegressor(**{**FIT, "hidden_layer_sizes": sizes}, loss="absolute_error", alpha=0.0)
    est.fit(X, NUMBERS)
    for arrays in (est.coefs_, est.intercepts_):
        for array in arrays:
            array[...] = 0
    y = np.zeros(N)  # errors of zero: no slope either
    found = curvature(est, X, y, n_eigenvalues=2, eigenvectors=True, random_state=0)
    np.testing.assert_array_equal(found.eigenvalues, 0)
    assert found.smallest_eigenvalue == 0
    assert found.max_learning_rate == np.inf
    assert found.trace == 0
    t, density = found.density()
    assert trapezoid(density, t) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("matrix", PRODUCTS)
@pytest.mark.parametrize("name", ["squared error", "multiclass", "poisson"])
def test_trace(name: str, matrix: Any) -> None:
    est, y = fitted(name)
    exact = np.trace(matrix_of(est, y, matrix))
    found = curvature(est, X, y, matrix=matrix, n_probes=200, n_lanczos=1, random_state=0)
    # Four standard errors: once in 16,000, and the seed is fixed.
    assert abs(found.trace - exact) < 4 * found.trace_error
    assert 0 < found.trace_error < abs(exact)
    single = curvature(est, X, y, n_probes=1, n_lanczos=1, random_state=0)
    assert np.isfinite(single.trace)
    assert np.isnan(single.trace_error)


@pytest.mark.parametrize("matrix", PRODUCTS)
def test_density(matrix: Any) -> None:
    est, y = fitted("multiclass")
    expected = np.linalg.eigvalsh(matrix_of(est, y, matrix))
    found = curvature(est, X, y, matrix=matrix, n_probes=200, n_lanczos=40, random_state=0)
    assert found.ritz_weights.sum() == pytest.approx(1, rel=1e-12)
    assert (found.ritz_weights >= 0).all()
    # The mean of the density is the trace by the number of parameters; both come from the same probes.
    mean = found.ritz_weights @ found.ritz_values
    assert mean == pytest.approx(found.trace / found.n_parameters, rel=1e-9)
    t, density = found.density()
    assert trapezoid(density, t) == pytest.approx(1, abs=1e-6)
    assert trapezoid(t * density, t) == pytest.approx(mean, abs=1e-6 * expected[-1])
    # As smooth as it is, it is the density of the eigenvalues, but for the noise of 200 probes.
    width = 0.05 * (expected[-1] - expected[0])
    t, density = found.density(width=width)
    bumps = np.exp(-0.5 * ((t[:, np.newaxis] - expected) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    assert np.abs(density - bumps.mean(axis=1)).max() < 0.05 * bumps.mean(axis=1).max()
    assert trapezoid(density, t) == pytest.approx(1, abs=1e-6)
    grid = np.linspace(-1, 1, 7)
    same, values = found.density(grid, width=0.5)
    np.testing.assert_array_equal(same, grid)
    assert values.shape == (7,)


def test_a_density_too_narrow_for_a_grid() -> None:
    est, y = fitted("squared error")
    found = curvature(est, X, y, n_probes=1, random_state=0)
    with pytest.raises(ValueError, match=r"^width=1e-300 takes .* points from .*\. Increase it, or give a"):
        found.density(width=1e-300)


def test_lanczos_steps_beyond_the_size() -> None:
    est, y = fitted("without hidden layers")
    expected = np.linalg.eigvalsh(matrix_of(est, y))
    found = curvature(est, X, y, n_lanczos=500, n_eigenvalues=4, random_state=0)
    np.testing.assert_allclose(found.ritz_values.reshape(-1, 4), np.tile(expected, (10, 1)), rtol=1e-9)


def test_sample_weights_count() -> None:
    est, y = fitted("multiclass")
    twice = np.where(np.arange(N) < 10, 2.0, 1.0)
    rows = np.concatenate([np.arange(10), np.arange(N)])
    weighted = curvature(est, X, y, sample_weight=twice, n_probes=0, random_state=0)
    repeated = curvature(est, X[rows], y[rows], n_probes=0, random_state=0)
    np.testing.assert_allclose(weighted.eigenvalues, repeated.eigenvalues, rtol=1e-7)


def test_random_state_decides() -> None:
    est, y = fitted("multiclass", hidden_layer_sizes=(12, 5))
    first, again, other = (
        curvature(est, X, y, n_eigenvalues=3, eigenvectors=True, n_lanczos=5, random_state=seed)
        for seed in (0, np.random.RandomState(0), 1)
    )
    for attribute in ("eigenvalues", "eigenvectors", "ritz_values", "ritz_weights", "trace"):
        np.testing.assert_array_equal(getattr(first, attribute), getattr(again, attribute))
    assert first.trace != other.trace


def test_the_same_bits_for_any_number_of_threads() -> None:
    code = """
import warnings
import numpy as np
from gdfast import MLPRegressor
from gdfast.inspect import curvature
warnings.simplefilter("ignore")
X = np.random.RandomState(0).normal(size=(300, 5))
est = MLPRegressor(hidden_layer_sizes=(20, 10), max_iter=3, random_state=0).fit(X, X[:, 0])
arguments = {"n_eigenvalues": 2, "eigenvectors": True, "n_probes": 2, "n_lanczos": 9, "random_state": 0}
found = curvature(est, X, X[:, 0], **arguments)
print(*(np.ravel(a).tobytes().hex() for a in (found.eigenvectors, found.eigenvalues, found.ritz_values)))
"""
    one, three = (in_process(code, GDFAST_FORCE_THREADS=n) for n in ("1", "3"))
    assert one == three


@pytest.mark.parametrize(("kind", "y"), [(MLPRegressor, NUMBERS), (MLPClassifier, THREE)])
def test_plain_gradient_descent_diverges_beyond_the_largest_rate(kind: Any, y: Any) -> None:
    """Within 5 %: it converges at 0.95 times the rate, and diverges at 1.05 times."""
    est = kind(
        hidden_layer_sizes=(8,), activation="tanh", solver="newton-cg", alpha=0.5, max_iter=2000, tol=1e-10,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    found = curvature(est, X, y, eigenvectors=True, n_probes=0, random_state=0)
    # A minimum. A hidden unit without weights has a bias without effect: an eigenvalue of zero.
    assert found.smallest_eigenvalue > -1e-6 * found.eigenvalues[0]
    start = moved(est, 1e-4 * found.eigenvectors[:, 0])
    at_minimum = flat((est.coefs_, est.intercepts_))

    def distance_after(steps: int, factor: float) -> float:
        end = descend(start, X, y, factor * found.max_learning_rate, steps)
        return float(np.linalg.norm(flat((end.coefs_, end.intercepts_)) - at_minimum))

    # A step multiplies the distance by |1 - 2 factor|, 0.9 and 1.1, as far as the loss is quadratic.
    assert distance_after(30, 0.95) == pytest.approx(1e-4 * 0.9**30, rel=0.05)
    assert distance_after(30, 1.05) == pytest.approx(1e-4 * 1.1**30, rel=0.05)
    assert distance_after(1000, 0.95) < 1e-6
    assert distance_after(1000, 1.05) > 1e-2


def test_ctrl_c() -> None:
    rng = np.random.RandomState(0)
    big, y = rng.normal(size=(20_000, 50)), rng.normal(size=20_000)
    est = MLPRegressor(hidden_layer_sizes=(200, 200), max_iter=1, random_state=0).fit(big[:200], y[:200])
    with ctrl_c_after(0.5), pytest.raises(KeyboardInterrupt):
        curvature(est, big, y, n_probes=1000, random_state=0)


# What does not fit.


def test_what_has_no_curvature_here() -> None:
    call = hessian_vector_product
    v = np.zeros(3)
    with pytest.raises(NotFittedError):
        call(MLPRegressor(), X, NUMBERS, v)
    for est in (
        gdfast.RNNRegressor(),
        gdfast.TabularRegressor(),
        SklearnMLPRegressor(),
        make_pipeline(StandardScaler(), MLPRegressor()),
        None,
    ):
        with pytest.raises(TypeError, match=f"est must be a .* got {type(est).__name__}"):
            call(est, X, NUMBERS, v)
    with pytest.raises(TypeError, match=r"est must be .*pipeline\[-1\]"):
        curvature(make_pipeline(StandardScaler(), MLPRegressor()), X, NUMBERS)
    normalised, y = fitted("squared error", batch_norm=True)
    with pytest.raises(ValueError, match="batch_norm"):
        call(normalised, X, y, vector(normalised))
    evidence = MLPRegressor(
        hidden_layer_sizes=(3,), solver="lm", bayesian_regularization=True, max_iter=3
    ).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="bayesian_regularization"):
        call(evidence, X, NUMBERS, vector(evidence))


@pytest.mark.parametrize("name", ["absolute error", "quantiles"])
def test_straight_losses_have_no_gauss_newton_matrix(name: str) -> None:
    est, y = fitted(name)
    with pytest.raises(ValueError, match=CASES[name][1]["loss"]):
        gauss_newton_vector_product(est, X, y, vector(est))
    with pytest.raises(ValueError, match=CASES[name][1]["loss"]):
        curvature(est, X, y, matrix="gauss_newton")


@pytest.mark.parametrize("function", PRODUCTS.values(), ids=PRODUCTS)
def test_bad_directions(function: Any) -> None:
    est, y = fitted("multiclass")
    v = vector(est)
    coefs, intercepts = layers(est, v)
    for bad in (
        v[:-1],
        v[:, np.newaxis],
        (coefs[:-1], intercepts),
        (coefs, intercepts[:-1]),
        ([coefs[0].T, *coefs[1:]], intercepts),
        np.full_like(v, np.nan),
        (coefs, [np.full_like(b, np.inf) for b in intercepts]),
    ):
        with pytest.raises(ValueError, match="direction"):
            function(est, X, y, bad)
    for wrong in (None, "v", v + 1j, v.astype(str), v.astype(object), v > 0, 3.0, {"coefs": coefs},
                  (coefs,), (coefs, 1), ([object()] * 3, intercepts)):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match="direction"):
            function(est, X, y, wrong)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"n_eigenvalues": 0}, ValueError, "n_eigenvalues"),
        ({"n_eigenvalues": 10_000}, ValueError, "n_eigenvalues must be at most .* parameters"),
        ({"n_eigenvalues": 2.0}, TypeError, "n_eigenvalues"),
        ({"n_probes": -1}, ValueError, "n_probes"),
        ({"n_probes": "all"}, TypeError, "n_probes"),
        ({"n_lanczos": 0}, ValueError, "n_lanczos"),
        ({"matrix": "fisher"}, ValueError, "matrix must be one of"),
        ({"matrix": None}, ValueError, "matrix must be one of"),
        ({"tol": 0}, ValueError, "tol"),
        ({"tol": "small"}, TypeError, "tol"),
        ({"eigenvectors": "yes"}, TypeError, "eigenvectors"),
        ({"random_state": "seed"}, ValueError, "seed"),
        ({"sample_weight": np.zeros(N)}, ValueError, "(?i)sample.weight"),  # scikit-learn's words
        ({"sample_weight": np.ones(N - 1)}, ValueError, "sample_weight"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], kind: Any, words: str) -> None:
    est, y = fitted("multiclass")
    with pytest.raises(kind, match=words):
        curvature(est, X, y, **arguments)


def test_bad_data() -> None:
    est, y = fitted("multiclass")
    v = vector(est)
    for bad_X, bad_y, words in (
        (X[:, :2], y, "X has 2 features"),
        (X[:-1], y, "inconsistent numbers of samples"),
        (np.full_like(X, np.nan), y, "NaN"),
        (X, np.where(y == "a", "z", y), "classes"),
        (X, LABELS, "y"),
    ):
        with pytest.raises(ValueError, match=words):
            hessian_vector_product(est, bad_X, bad_y, v)
    regressor, numbers = fitted("squared error")
    v = vector(regressor)
    with pytest.raises(ValueError, match="y has"):
        hessian_vector_product(regressor, X, np.stack([numbers, numbers], axis=1), v)
    with pytest.raises(ValueError, match="loss"):
        hessian_vector_product(regressor.set_params(loss="poisson"), X, np.abs(numbers), v)


def test_weights_that_are_not_finite() -> None:
    est, y = fitted("squared error")
    est.coefs_[1][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"coefs_\[1\]"):
        curvature(est, X, y)
    est.coefs_[1][0, 0] = 1e200
    est.coefs_[2][...] = 1e200
    with pytest.raises(ValueError, match="not finite"):
        curvature(est, X, y)


def test_bad_density_arguments() -> None:
    est, y = fitted("squared error")
    found = curvature(est, X, y, n_lanczos=3, random_state=0)
    for width in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="width"):
            found.density(width=width)
    for grid in (np.ones((2, 2)), [np.nan], []):
        with pytest.raises(ValueError, match="grid"):
            found.density(grid)
    with pytest.raises(ValueError, match="n_probes"):
        curvature(est, X, y, n_probes=0, random_state=0).density()


# The display.


@pytest.fixture
def _closes() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.usefixtures("_closes")
def test_display() -> None:
    est, y = fitted("multiclass")
    display = CurvatureDisplay.from_estimator(est, X, y, n_lanczos=20, random_state=0, color="black")
    found = curvature(est, X, y, n_lanczos=20, random_state=0)
    t, density = found.density()
    np.testing.assert_array_equal(display.line_.get_xdata(), t)
    # What is far below one eigenvalue of all is a gap.
    floor = 0.1 / (found.n_parameters * found.default_width * np.sqrt(2 * np.pi))
    np.testing.assert_array_equal(display.line_.get_ydata(), np.where(density >= floor, density, np.nan))
    np.testing.assert_array_equal(
        display.eigenvalues_.get_xdata(), [*found.eigenvalues, found.smallest_eigenvalue]
    )
    assert display.line_.get_color() == "black"
    assert display.line_.get_label() == "MLPClassifier"
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_xlabel() == "Eigenvalue of the Hessian"
    assert display.ax_.get_ylabel() == "Density"
    display.figure_.canvas.draw()
    _, ax = plt.subplots()
    other = CurvatureDisplay.from_estimator(
        est, X, y, matrix="gauss_newton", ax=ax, name="GN", n_lanczos=20, random_state=0
    )
    assert other.ax_ is ax
    assert ax.get_xlabel() == "Eigenvalue of the Gauss-Newton matrix"
    assert other.line_.get_label() == "GN"
    again = CurvatureDisplay(found).plot(ax=ax, width=0.1)
    drawn, expected = again.line_.get_ydata(), found.density(width=0.1)[1]
    np.testing.assert_array_equal(drawn[~np.isnan(drawn)], expected[~np.isnan(drawn)])
    assert again.line_.axes is ax


@pytest.mark.usefixtures("_closes")
def test_display_needs_a_density() -> None:
    est, y = fitted("squared error")
    with pytest.raises(ValueError, match="n_probes"):
        CurvatureDisplay.from_estimator(est, X, y, n_probes=0)
    with pytest.raises(NotFittedError):
        CurvatureDisplay.from_estimator(MLPRegressor(), X, y)
    with pytest.raises(TypeError, match="est"):
        CurvatureDisplay.from_estimator(make_pipeline(MLPRegressor()), X, y)
