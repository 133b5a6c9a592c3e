"""Exact curvature: products with the Hessian and the Gauss-Newton matrix, and the diagonals."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from gdfast.kernels import (
    mlp_fisher_diagonal,
    mlp_gauss_newton_diagonal,
    mlp_gauss_newton_vector_product,
    mlp_hessian_vector_product,
    mlp_loss_and_grad,
)
from gdfast.training.encoding import EncodedRows, Encoding, NumberColumn
from numpy.typing import NDArray
from problems import (
    ACTIVATIONS,
    AWKWARD,
    LOSSES,
    MORE_ACTIVATIONS,
    MORE_LOSSES,
    Problem,
    norm_error,
    problem,
    same_bits,
)

Array = NDArray[Any]
Layers = tuple[list[Array], list[Array]]

ALL_ACTIVATIONS = (*ACTIVATIONS, *MORE_ACTIVATIONS)
ALL_LOSSES = (*LOSSES, *MORE_LOSSES)
SMOOTH = ("identity", "logistic", "tanh", "gelu", "gelu_tanh", "silu", "mish", "softplus")
# Straight in the outputs: no Gauss-Newton matrix.
STRAIGHT = ("absolute_error", "quantile")
CURVED_LOSSES = tuple(loss for loss in ALL_LOSSES if loss not in STRAIGHT)

FUNCTIONS: dict[str, tuple[Callable[..., Layers], Callable[..., Layers]]] = {
    "hessian": (mlp_hessian_vector_product, reference.hessian_vector_product),
    "gauss_newton": (mlp_gauss_newton_vector_product, reference.gauss_newton_vector_product),
    "gauss_newton_diagonal": (mlp_gauss_newton_diagonal, reference.gauss_newton_diagonal),
    "fisher_diagonal": (mlp_fisher_diagonal, reference.fisher_diagonal),
}
PRODUCTS = ("hessian", "gauss_newton")
ALPHA = 0.3


def direction_of(p: Problem, seed: int = 0) -> Layers:
    rng = np.random.default_rng(seed)

    def like(arrays: list[Array]) -> list[Array]:
        return [rng.standard_normal(a.shape).astype(a.dtype) for a in arrays]

    return like(p.coefs), like(p.intercepts)


def call(name: str, p: Problem, direction: Layers | None = None, **more: Any) -> Layers:
    """``more`` replaces arguments, or adds some."""
    along = {"direction": direction or direction_of(p)} if name in PRODUCTS else {}
    arguments = {
        "X": p.X, "y": p.y, "weights": p.coefs, "biases": p.intercepts, "activation": p.activations,
        "loss": p.loss, "alpha": ALPHA, "sample_weight": p.sample_weight,
    }  # fmt: skip
    return FUNCTIONS[name][0](**{**arguments, **along, **more})


def expected(name: str, p: Problem, direction: Layers | None = None) -> Layers:
    wide = p.in_float64()
    along = []
    if name in PRODUCTS:
        weights, biases = direction or direction_of(p)
        along = [([w.astype(np.float64) for w in weights], [b.astype(np.float64) for b in biases])]
    return FUNCTIONS[name][1](
        wide.X, wide.y, wide.coefs, wide.intercepts, p.activations, p.loss, *along,
        alpha=ALPHA, sample_weight=wide.sample_weight,
    )  # fmt: skip


def flat(layers: Layers) -> Array:
    return np.concatenate([a.ravel() for arrays in layers for a in arrays])


def split(p: Problem, vector: Array) -> Layers:
    arrays, start = [], 0
    for like in (*p.coefs, *p.intercepts):
        arrays.append(vector[start : start + like.size].reshape(like.shape).copy())
        start += like.size
    return arrays[: len(p.coefs)], arrays[len(p.coefs) :]


def moved(p: Problem, direction: Layers, step: float) -> Layers:
    return tuple(  # type: ignore[return-value]
        [a + step * d for a, d in zip(arrays, along, strict=True)]
        for arrays, along in zip((p.coefs, p.intercepts), direction, strict=True)
    )


def difference_of_gradients(gradient_at: Callable[[Layers], Array], p: Problem, direction: Layers) -> Array:
    """The derivative of the gradient along a direction by the five-point central difference.

    Its step balances the fifth derivative and the gradient's rounding, see test_gradients.
    """
    step = float(np.finfo(np.float64).eps) ** 0.2 / max(1.0, np.abs(flat(direction)).max())
    a, b, c, d = (gradient_at(moved(p, direction, s * step)) for s in (-2, -1, 1, 2))
    return (8 * (c - b) - (d - a)) / (12 * step)


# ---------------------------------------------------------------------------------------- the reference


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [*SMOOTH, "elu", "selu", "softsign"])
def test_the_reference_is_the_derivative_of_its_gradient(loss: str, activation: str) -> None:
    # The second derivatives of elu, selu and softsign jump at zero. These sums are further away than a step.
    p = problem(loss, [4, 6, 5, 3], 7, activation=activation, weighted=True)
    direction = direction_of(p)

    def gradient_at(at: Layers) -> Array:
        _, *grads = reference.loss_and_grad(p.X, p.y, *at, p.activations, p.loss, ALPHA, p.sample_weight)
        return flat(tuple(grads))  # type: ignore[arg-type]

    by_difference = difference_of_gradients(gradient_at, p, direction)
    assert norm_error(flat(expected("hessian", p, direction)), by_difference) < 1e-7


def test_the_references_agree_with_each_other() -> None:
    """Without hidden layers the outputs are linear in the parameters: both matrices are one."""
    p = problem("cross_entropy", [4, 3], 7)
    assert norm_error(flat(expected("hessian", p)), flat(expected("gauss_newton", p))) < 1e-14
    matrix = np.stack([flat(expected("gauss_newton", p, split(p, e))) for e in np.eye(15)])
    assert norm_error(np.diag(matrix), flat(expected("gauss_newton_diagonal", p))) < 1e-14


# ---------------------------------------------------------------------------------------- the kernels


def check(name: str, p: Problem) -> None:
    """The result is the reference's, up to rounding.

    It is measured against the largest number of each array: each is a sum over rows and, layer by layer,
    over units, forward and back, whose rounding grows as in the gradient (see test_kernels), with the
    terms of three passes in the place of one's.
    """
    result, wanted = call(name, p), expected(name, p)
    terms = 4 * (len(p.X) + 2 * sum(len(c) for c in p.coefs) + 8 * len(p.coefs))
    size = max(float(np.abs(a).max()) for arrays in wanted for a in arrays)
    for kind, arrays, wanted_arrays in zip(("weights", "biases"), result, wanted, strict=True):
        for layer, (a, b) in enumerate(zip(arrays, wanted_arrays, strict=True)):
            assert a.dtype == p.X.dtype
            assert a.shape == b.shape
            error = float(np.abs(a - b).max())
            assert error <= terms * float(np.finfo(p.X.dtype).eps) * size, f"{kind}[{layer}]: {error:.3g}"


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("activation", ALL_ACTIVATIONS, ids=str)
def test_every_activation(activation: Any, name: str, dtype: type) -> None:
    check(name, problem("squared_error", [7, 17, 9, 3], 13, dtype, activation=activation))
    check(name, problem("cross_entropy", [7, 17, 9, 3], 13, dtype, activation=activation, weighted=True))
    # Layers so narrow that their weights are kept transposed.
    check(name, problem("squared_error", [40, 2, 40, 3], 13, dtype, activation=activation))


@pytest.mark.parametrize("outputs", AWKWARD)
@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
def test_every_loss(loss: Any, outputs: int, dtype: type) -> None:
    for name in FUNCTIONS:
        if name.startswith("gauss_newton") and loss in STRAIGHT:
            continue
        check(name, problem(loss, [5, 9, outputs], 7, dtype, weighted=True))
        check(name, problem(loss, [5, 40, outputs], 7, dtype))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("size", AWKWARD)
def test_every_size(size: int, name: str, dtype: type) -> None:
    check(name, problem("squared_error", [size, size, 3], 5, dtype))
    check(name, problem("cross_entropy", [3, 9, size, 2], 5, dtype, activation="gelu"))
    check(name, problem("squared_error", [3, 9, 2], size, dtype, activation="relu"))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "sizes", [[1, 1], [3, 1], [65, 17], [100, 3], [5, 100, 3], [4, *[12] * 4, 6]], ids=str
)
def test_shallow_and_deep(sizes: list[int], name: str, dtype: type) -> None:
    for rows in (1, 300):
        check(name, problem("cross_entropy", sizes, rows, dtype, weighted=rows > 1, activation="silu"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_more_rows_than_a_batch_has(name: str, dtype: type) -> None:
    check(name, problem("cross_entropy", [5, 20, 30, 4], 2500, dtype, weighted=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_different_activations(name: str) -> None:
    check(name, problem("cross_entropy", [5, 9, 8, 7, 3], 20, activation=["relu", ("elu", 0.5), "mish"]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", SMOOTH)
def test_hessian_is_the_central_difference_of_the_gradient(loss: str, activation: str) -> None:
    p = problem(loss, [4, 20, 5, 3], 7, activation=activation, weighted=True)
    direction = direction_of(p)

    def gradient_at(at: Layers) -> Array:
        _, grads = mlp_loss_and_grad(
            p.X, p.y, *at, activation=p.activations, loss=p.loss, alpha=ALPHA, sample_weight=p.sample_weight
        )
        return flat(grads)

    by_difference = difference_of_gradients(gradient_at, p, direction)
    assert norm_error(flat(call("hessian", p, direction)), by_difference) < 1e-7


def matrix_of(name: str, p: Problem) -> Array:
    size = sum(a.size for a in (*p.coefs, *p.intercepts))
    return np.stack([flat(call(name, p, split(p, e))) for e in np.eye(size)])


@pytest.mark.parametrize("loss", CURVED_LOSSES, ids=str)
def test_the_whole_matrices_of_a_tiny_net(loss: Any) -> None:
    p = problem(loss, [3, 5, 2], 9, weighted=True)
    hessian, gauss_newton = matrix_of("hessian", p), matrix_of("gauss_newton", p)
    for matrix in (hessian, gauss_newton):
        assert norm_error(matrix, matrix.T) < 1e-14
    # The loss is convex in the outputs: so no direction of the Gauss-Newton matrix has negative curvature,
    # and with a penalty none of the weights' has less than the penalty's.
    assert np.linalg.eigvalsh(gauss_newton).min() > -1e-14
    assert np.linalg.eigvalsh(hessian).min() < 0
    diagonal = flat(call("gauss_newton_diagonal", p))
    assert norm_error(np.diag(gauss_newton), diagonal) < 1e-14
    # Newton's step of the Hessian solves the linear system.
    damped = hessian + np.eye(len(hessian)) * (1 - np.linalg.eigvalsh(hessian).min())
    gradient = flat(
        mlp_loss_and_grad(
            p.X, p.y, p.coefs, p.intercepts, activation=p.activations, loss=p.loss, alpha=ALPHA,
            sample_weight=p.sample_weight,
        )[1]
    )  # fmt: skip
    step = np.linalg.solve(damped, gradient)
    shift = 1 - np.linalg.eigvalsh(hessian).min()
    assert norm_error(flat(call("hessian", p, split(p, step))) + shift * step, gradient) < 1e-12


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("loss", CURVED_LOSSES, ids=str)
@pytest.mark.parametrize("activation", ALL_ACTIVATIONS, ids=str)
def test_products_are_symmetric(activation: Any, loss: Any, name: str) -> None:
    p = problem(loss, [7, 33, 9, 3], 50, activation=activation, weighted=True)
    u, v = direction_of(p, 1), direction_of(p, 2)
    uAv, vAu = flat(u) @ flat(call(name, p, v)), flat(v) @ flat(call(name, p, u))
    # Relative to the sizes of what the inner product adds up: it may itself be near zero.
    size = np.abs(flat(u)) @ np.abs(flat(call(name, p, v)))
    assert abs(uAv - vAu) <= 1e-12 * size


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sparse_rows(name: str, dtype: type) -> None:
    for sizes in ([50, 20, 3], [50, 2, 3], [50, 3]):
        p = problem("cross_entropy", sizes, 40, dtype, weighted=True)
        p.X[np.random.default_rng(1).random(p.X.shape) < 0.8] = 0
        csr = sp.csr_array(p.X)
        result = call(name, p, X=(csr.data, csr.indices, csr.indptr))
        # Of sparse inputs the gradients of the first layer are summed in another order of fused products.
        scale = np.abs(flat(expected(name, p))).max()
        tolerance = 100 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(flat(result), flat(call(name, p)), rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_weights_are_repeated_rows(name: str) -> None:
    p = problem("cross_entropy", [5, 9, 3], 20, weighted=True)
    assert p.sample_weight is not None
    rows = np.repeat(np.arange(20), p.sample_weight.astype(int))
    repeated = call(name, p, X=p.X[rows], y=p.y[rows], sample_weight=None)
    assert norm_error(flat(call(name, p)), flat(repeated)) < 1e-13


def test_penalty_alone() -> None:
    """Of rows without inputs and weights without effect: alpha / n on the weights, nothing on the biases."""
    X, y = np.zeros((4, 2)), np.zeros((4, 1))
    weights, biases = [np.zeros((2, 3)), np.zeros((3, 1))], [np.zeros(3), np.zeros(1)]
    direction = [np.full((2, 3), 5.0), np.full((3, 1), 7.0)], [np.zeros(3), np.zeros(1)]
    for name in PRODUCTS:
        by_weights, by_biases = FUNCTIONS[name][0](
            X, y, weights, biases, direction=direction, activation="tanh", alpha=2.0
        )
        np.testing.assert_array_equal(by_weights[0], np.full((2, 3), 5.0 * 2 / 4))
        np.testing.assert_array_equal(by_weights[1], np.full((3, 1), 7.0 * 2 / 4))
        np.testing.assert_array_equal(by_biases[1], [0])
    for name in ("gauss_newton_diagonal", "fisher_diagonal"):
        by_weights, _ = FUNCTIONS[name][0](X, y, weights, biases, activation="tanh", alpha=2.0)
        np.testing.assert_array_equal(by_weights[0], np.full((2, 3), 2 / 4))


def test_the_fisher_diagonal_is_of_the_rows_own_gradients() -> None:
    p = problem("cross_entropy", [5, 9, 3], 20, weighted=True)
    assert p.sample_weight is not None
    rows = [
        flat(mlp_loss_and_grad(p.X[[i]], p.y[[i]], p.coefs, p.intercepts, activation="tanh", loss=p.loss)[1])
        for i in range(20)
    ]
    mean = np.average(np.square(rows), axis=0, weights=p.sample_weight)
    assert norm_error(flat(call("fisher_diagonal", p, alpha=0.0)), mean) < 1e-13


def test_kinks_count_as_straight() -> None:
    """At a kink the second derivative is that of a side, as of automatic differentiation: no infinity."""
    weights, biases = [np.ones((1, 1)), np.ones((1, 1))], [np.zeros(1), np.zeros(1)]
    direction = [np.ones((1, 1)), np.ones((1, 1))], [np.ones(1), np.ones(1)]
    X = np.zeros((1, 1))
    for loss, y in (("absolute_error", 0.0), (("huber", [1.0]), 1.0), (("quantile", [0.5]), 0.0)):
        for activation in ("relu", "leaky_relu", "hard_tanh", "elu", "softsign"):
            result = mlp_hessian_vector_product(
                X, np.full((1, 1), y), weights, biases, direction=direction, activation=activation, loss=loss
            )
            assert np.isfinite(flat(result)).all()


def test_absolute_error_bends_with_the_net_alone() -> None:
    """Straight losses: the Hessian's product is the central difference of the gradient, away from kinks."""
    p = problem("absolute_error", [4, 6, 2], 7)
    direction = direction_of(p)

    def gradient_at(at: Layers) -> Array:
        return flat(mlp_loss_and_grad(p.X, p.y, *at, activation="tanh", loss=p.loss, alpha=ALPHA)[1])

    by_difference = difference_of_gradients(gradient_at, p, direction)
    assert norm_error(flat(call("hessian", p, direction)), by_difference) < 1e-7


# ---------------------------------------------------------------------------------------- bits and memory


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_same_bits_for_any_number_of_threads(
    loss: str, name: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = problem(loss, [37, 61, 70, 5], 1301, dtype, weighted=True, activation=["gelu", "relu"])
    csr = sp.csr_array(np.where(np.abs(dense.X) > 1, dense.X, 0))

    def everything(threads: int) -> list[Array]:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        results = [
            call(name, dense, n_threads=threads),
            call(name, dense, X=(csr.data, csr.indices, csr.indptr), n_threads=threads),
        ]
        return [a for result in results for arrays in result for a in arrays]

    wanted = everything(1)
    for threads in (2, 3, 8):
        assert same_bits(everything(threads), wanted), f"{threads} threads"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_out_is_filled_and_returned(name: str) -> None:
    p = problem("cross_entropy", [5, 9, 3], 20)
    out = [np.full_like(c, np.nan) for c in p.coefs], [np.full_like(b, np.nan) for b in p.intercepts]
    result = call(name, p, out=out)
    assert result is out
    assert same_bits([flat(out)], [flat(call(name, p))])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_encoded_rows(name: str) -> None:
    """A table with its encoding has the curvature of the matrix that it stands for."""
    table = np.random.default_rng(0).standard_normal((30, 2))
    encoding = Encoding([NumberColumn(np.linspace(-2, 2, 5), flagged=True)] * 2)
    inputs = encoding.encode(table)
    p = problem("squared_error", [inputs.shape[1], 9, 2], 30)
    encoded = call(name, p, X=EncodedRows(table, encoding).core(np.float64))
    assert same_bits([flat(encoded)], [flat(call(name, p, X=inputs))])


# ---------------------------------------------------------------------------------------- against torch


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of its own import
@pytest.mark.parametrize("activation", ["tanh", "gelu", "silu", "relu", "softplus"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "poisson"])
def test_hessian_is_torchs(loss: str, activation: str) -> None:
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    p = problem(loss, [4, 9, 7, 3], 20, activation=activation)
    X, y = torch.from_numpy(p.X), torch.from_numpy(p.y)
    losses = {
        "cross_entropy": lambda z: F.cross_entropy(z, y.long()),
        "squared_error": lambda z: (z - y).square().sum() / (2 * len(X)),
        "poisson": lambda z: F.poisson_nll_loss(z, y, reduction="sum") / len(X),
    }

    def value(*arrays: Any) -> Any:
        coefs, intercepts = arrays[: len(p.coefs)], arrays[len(p.coefs) :]
        z = X
        for layer, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
            z = z @ coef + intercept
            if layer < len(p.activations):
                z = getattr(F, activation)(z)
        return losses[loss](z) + ALPHA / (2 * len(X)) * sum(c.square().sum() for c in coefs)

    arrays = tuple(torch.from_numpy(a) for a in (*p.coefs, *p.intercepts))
    direction = direction_of(p)
    along = tuple(torch.from_numpy(a) for a in (*direction[0], *direction[1]))
    grad = torch.func.grad(value, argnums=tuple(range(len(arrays))))
    _, product = torch.func.jvp(grad, arrays, along)
    theirs = np.concatenate([a.numpy().ravel() for a in product])
    assert norm_error(flat(call("hessian", p, direction)), theirs) < 1e-12


def test_sizes_of_the_layers_are_those_of_the_problem() -> None:
    p = problem("squared_error", [3, 4, 2], 5)
    for name in FUNCTIONS:
        weights, biases = call(name, p)
        assert [w.shape for w in weights] == list(pairwise([3, 4, 2]))
        assert [b.shape for b in biases] == [(4,), (2,)]
