"""The Jacobian of a network's outputs, and the normal matrix that is summed from it in blocks of rows."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import reference
from bad_arrays import Arguments, cases, check_refused, check_refused_array, read_only
from builds import needs_threads
from gdfast import _core
from gdfast.kernels import mlp_forward, mlp_jacobian, mlp_loss_and_grad
from numpy.typing import NDArray
from problems import ACTIVATIONS, AWKWARD, MORE_ACTIVATIONS, Problem, norm_error, problem, same_bits
from scipy.sparse import csr_array

Array = NDArray[Any]
OUTPUTS = ("identity", "softmax", "logistic", "exp", "quantiles")
DTYPES = (np.float32, np.float64)
SHAPES = {
    "one layer": [4, 3],
    "one output": [3, 9, 1],
    "one unit": [1, 1, 1],
    "deep": [3, 4, 3, 4, 3, 2],
    "narrow layers": [40, 2, 70, 3],
    "panels": [33, 65, 17],
}


def jacobian_of(p: Problem, output: str = "identity", **arguments: Any) -> Array:
    return mlp_jacobian(p.X, p.coefs, p.intercepts, activation=p.activations, output=output, **arguments)


def check_jacobian(p: Problem, output: str) -> None:
    wide = p.in_float64()
    expected = reference.jacobian_of_outputs(wide.X, wide.coefs, wide.intercepts, p.activations, output)
    actual = jacobian_of(p, output)
    assert actual.dtype == p.X.dtype
    # As for gradients (test_kernels.py): errors of sums forward and back mostly cancel, and their number
    # times eps is far below what a mistake costs.
    terms = 16 + 4 * sum(len(c) for c in p.coefs)
    assert norm_error(actual, expected) <= terms * np.finfo(p.X.dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_jacobian_is_that_of_the_reference(output: str, shape: str, dtype: Any) -> None:
    check_jacobian(problem("squared_error", SHAPES[shape], 7, dtype), output)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *MORE_ACTIVATIONS], ids=str)
def test_jacobian_of_every_activation(activation: Any, dtype: Any) -> None:
    check_jacobian(problem("squared_error", [5, 9, 6, 2], 20, dtype, activation=activation), "identity")


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 257, 1025])
def test_jacobian_of_any_number_of_rows(n: int) -> None:
    check_jacobian(problem("squared_error", [3, 5, 2], n), "softmax")


@pytest.mark.parametrize("width", AWKWARD)
def test_jacobian_of_any_width(width: int) -> None:
    check_jacobian(problem("squared_error", [width, 3, width], 3), "quantiles")
    check_jacobian(problem("squared_error", [2, width, 2], 3), "identity")


@pytest.mark.parametrize("output", OUTPUTS)
def test_jacobian_is_the_central_difference(output: str) -> None:
    """The specification itself against the forward pass; the error is that of test_gradients.py."""
    p = problem("squared_error", [3, 4, 3, 2], 5)
    step = float(np.finfo(np.float64).eps) ** 0.2
    actual, arrays, column = jacobian_of(p, output), [*p.coefs, *p.intercepts], 0
    for array in arrays:
        for index in np.ndindex(array.shape):
            kept, values = array[index], []
            for steps in (-2, -1, 1, 2):
                array[index] = kept + steps * step
                values.append(
                    mlp_forward(p.X, p.coefs, p.intercepts, activation=p.activations, output=output)
                )
            array[index] = kept
            slope = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * step)
            np.testing.assert_allclose(actual[:, :, column], slope, rtol=1e-7, atol=1e-9)
            column += 1
    assert column == actual.shape[2]


def test_gradient_is_the_product_with_the_residuals() -> None:
    p = problem("squared_error", [4, 6, 3], 50)
    residuals = mlp_forward(p.X, p.coefs, p.intercepts, activation=p.activations) - p.y
    expected = np.einsum("ik,ikp->p", residuals, jacobian_of(p)) / len(p.X)
    _, (coefs, intercepts) = mlp_loss_and_grad(p.X, p.y, p.coefs, p.intercepts, activation=p.activations)
    actual = np.concatenate([array.ravel() for array in (*coefs, *intercepts)])
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_rows_may_be_taken_in_blocks(output: str, dtype: Any) -> None:
    p = problem("squared_error", [4, 17, 3], 300, dtype)
    whole = jacobian_of(p, output)
    out = np.full_like(whole, 7)
    for first, last in ((0, 1), (1, 130), (130, 131), (131, 300)):
        part = out[first:last]
        returned = mlp_jacobian(
            p.X[first:last], p.coefs, p.intercepts, activation=p.activations, output=output, out=part
        )
        assert returned is part
    assert same_bits([out], [whole])


def test_no_rows() -> None:
    p = problem("squared_error", [4, 5, 3], 2)
    assert mlp_jacobian(p.X[:0], p.coefs, p.intercepts).shape == (0, 3, 43)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_rows_are_as_good_as_dense_ones(dtype: Any) -> None:
    p = problem("squared_error", [30, 5, 2], 200, dtype)
    p.X[np.random.default_rng(1).random(p.X.shape) < 0.8] = 0
    rows = csr_array(p.X)
    triple = rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    activations = p.activations
    sparse = _core.jacobian(triple, p.coefs, p.intercepts, activations, "identity")
    assert same_bits([sparse], [jacobian_of(p)])


@needs_threads
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_gives_the_same_bits(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem("squared_error", [9, 33, 3], 700, dtype, weighted=True)
    found = []
    for threads in (1, 2, 3, 5):
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        found.append([jacobian_of(p, "softmax"), normal_matrix(p)])
    assert all(same_bits(each, found[0]) for each in found[1:])


def test_jacobian_needs_little_memory_beside_its_result() -> None:
    p = problem("squared_error", [20, 10, 1], 20_000)
    out = np.empty((20_000, 1, 221))
    jacobian_of(p, out=out)
    tracemalloc.start()
    jacobian_of(p, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


# ---------------------------------------------------------------------------------------- the normal matrix


def normal_matrix(p: Problem) -> Array:
    n = sum(array.size for array in (*p.coefs, *p.intercepts))
    out = np.full((n, n), np.nan)
    _core.gauss_newton_matrix(p.X, p.coefs, p.intercepts, p.activations, p.sample_weight, out)
    return out


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 5, 31, 513, 1100])
@pytest.mark.parametrize("sizes", [[1, 1], [3, 5, 1], [7, 17, 9, 3], [40, 2, 8], [2, 1, 530]], ids=str)
def test_normal_matrix_is_the_sum_of_products(sizes: list[int], n: int, dtype: Any, weighted: bool) -> None:
    if sizes[-1] == 530 and n > 2:
        pytest.skip("a row has 530 rows of the Jacobian")
    p = problem("squared_error", sizes, n, dtype, weighted=weighted)
    if p.sample_weight is not None:
        p.sample_weight[0] = -1  # any sign
    wide = p.in_float64()
    J = reference.jacobian_of_outputs(wide.X, wide.coefs, wide.intercepts, p.activations, "identity")
    weight = np.ones(n) if wide.sample_weight is None else wide.sample_weight
    flat = (np.sqrt(np.abs(weight))[:, None, None] * J).reshape(-1, J.shape[2])
    signs = np.repeat(np.sign(weight), J.shape[1])[:, None]
    expected, size = flat.T @ (signs * flat), np.abs(flat).T @ np.abs(flat)
    actual = normal_matrix(p)
    assert (actual == actual.T).all()
    # Sums are in double; the Jacobian has the precision of X.
    eps = np.finfo(dtype).eps
    terms = 16 + 4 * sum(len(c) for c in p.coefs) + (n * sizes[-1] if dtype is np.float64 else 0)
    assert norm_error(actual, expected, size) <= terms * eps


# ---------------------------------------------------------------------------------------- bad input


def arguments_of() -> Arguments:
    p = problem("squared_error", [5, 9, 6, 3], 8)
    return {"X": p.X, "weights": p.coefs, "biases": p.intercepts, "out": np.full((8, 3, 135), 77.0)}


CASES = cases(
    ["X", "weights[0]", "weights[1]", "weights[2]", "biases[0]", "biases[2]", "out"],
    vectors=("biases",),
    optional=("out",),
)


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_jacobian_refuses_the_array(name: str, fault: str) -> None:
    check_refused_array(mlp_jacobian, arguments_of(), name, fault)


@pytest.mark.parametrize(
    ("changes", "kind", "name"),
    [
        ({"activation": "sine"}, ValueError, "sine"),
        ({"activation": 3}, TypeError, "activation"),
        ({"output": "sine"}, ValueError, "sine"),
        ({"output": None}, TypeError, "output"),
        ({"n_threads": 0}, ValueError, "n_threads"),
        ({"weights": None}, TypeError, "weights"),
        ({"weights": [], "biases": []}, ValueError, "weights"),
        ({"out": read_only(np.zeros((8, 3, 135)))}, ValueError, "out"),
    ],
    ids=str,
)
def test_jacobian_refuses_the_argument(changes: Arguments, kind: Any, name: str) -> None:
    check_refused(mlp_jacobian, {**arguments_of(), **changes}, kind, name)


def test_out_may_not_overlap_what_is_read() -> None:
    arena = np.ones(8 * 3 * 135)
    out, X = arena.reshape(8, 3, 135), arena[:40].reshape(8, 5)
    check_refused(mlp_jacobian, {**arguments_of(), "X": X, "out": out}, ValueError, "out")


def test_normal_matrix_refuses_bad_arrays() -> None:
    p = problem("squared_error", [2, 3, 1], 4)

    def call(**changes: Any) -> None:
        good = {"X": p.X, "coefs": p.coefs, "intercepts": p.intercepts, "activations": p.activations,
                "sample_weight": None, "out": np.zeros((13, 13))}  # fmt: skip
        _core.gauss_newton_matrix(**{**good, **changes})

    call()
    for changes, kind, name in (
        ({"out": np.zeros((13, 12))}, ValueError, "out"),
        ({"out": np.zeros((13, 13), np.float32)}, TypeError, "out"),
        ({"sample_weight": np.ones(3)}, ValueError, "sample_weight"),
        ({"X": p.X[:0]}, ValueError, "X"),
        ({"X": p.X.astype(np.float32)}, TypeError, "weights"),
    ):
        check_refused(call, changes, kind, name)
