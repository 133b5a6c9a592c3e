"""Every kernel against the plain NumPy reference, at the shapes where vector code goes wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from gdfast import _core
from gdfast.kernels import adam_update, mlp_forward, mlp_loss_and_grad, sgd_update
from hypothesis import given
from hypothesis import strategies as st
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
OUTPUTS = ("identity", "softmax", "logistic", "exp", "quantiles")
DTYPES = (np.float32, np.float64)


def forward_bound(p: Problem, output: str, eps: float) -> tuple[Array, Array]:
    """The reference's output in float64, and how far rounding to ``eps`` may take each number from it.

    A sum of K products and a bias is off by at most (K + 1) eps times the sum of their sizes, whatever the
    order (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); no activation has a slope
    above 1 (of the newer ones, above that of selu at zero, 1.76), and each adds a few units in the last place
    of its own.
    """
    wide = p.in_float64()
    values, _ = reference.forward_pass(wide.X, wide.coefs, wide.intercepts, p.activations, "identity")
    error = np.zeros_like(wide.X)
    slope = 1.0 if set(p.activations) <= set(ACTIVATIONS) else 1.76
    for a, coef, intercept, after in zip(values, wide.coefs, wide.intercepts, values[1:], strict=False):
        sizes = np.abs(a) @ np.abs(coef) + np.abs(intercept)
        error = slope * (error @ np.abs(coef) + (len(coef) + 1) * eps * sizes) + 4 * eps * np.abs(after)
    result = reference.FUNCTIONS[output](values[-1])
    if output == "exp":  # an absolute error before the exponential is a relative one after it
        error = result * (np.expm1(error) + 4 * eps)
    elif output == "softmax":
        worst = error.max(axis=1, keepdims=True)
        error = result * (np.expm1(2 * worst) + (error.shape[1] + 8) * eps)
    elif output == "quantiles":  # a running sum, of functions whose slope is below 1
        error = np.cumsum(error + 4 * eps * np.abs(result), axis=1)
    elif output == "logistic":
        error = error / 4 + 4 * eps * result
    return result, error


def check_forward(p: Problem, output: str, actual: Array) -> None:
    expected, bound = forward_bound(p, output, float(np.finfo(p.X.dtype).eps))
    assert actual.dtype == p.X.dtype
    assert actual.shape == expected.shape
    assert actual.flags.c_contiguous
    excess = np.abs(actual - expected) - bound
    assert np.all(excess <= 0), (
        f"{output}: {excess.max():.3g} beyond the bound for {[c.shape for c in p.coefs]}"
    )


def run_forward(p: Problem, output: str) -> Array:
    return mlp_forward(p.X, p.coefs, p.intercepts, activation=p.activations, output=output)


def check_gradient(p: Problem, alpha: float) -> None:
    wide = p.in_float64()
    expected_loss, *expected = reference.loss_and_grad(
        wide.X, wide.y, wide.coefs, wide.intercepts, p.activations, p.loss, alpha, wide.sample_weight
    )
    loss, gradients = mlp_loss_and_grad(
        p.X, p.y, p.coefs, p.intercepts,
        activation=p.activations, loss=p.loss, alpha=alpha, sample_weight=p.sample_weight,
    )  # fmt: skip

    # Rounding is measured against the sum of the sizes of what was added, for a gradient may be a small
    # difference of large numbers. Sums run over the rows and through every layer forward and back; errors
    # mostly cancel, so a few times the square root of their number is seen where all of them would be the
    # worst case: the number itself is safe, and far below what any real mistake costs.
    values, sums = reference.forward_pass(
        wide.X, wide.coefs, wide.intercepts, p.activations, reference.output_of(p.loss)
    )
    deltas = reference.backward(values, sums, wide.y, wide.coefs, p.activations, p.loss, wide.sample_weight)
    sizes = reference.gradients(
        [np.abs(a) for a in values],
        [np.abs(d) for d in deltas],
        [np.abs(c) for c in wide.coefs],
        alpha,
        reference.total_weight(len(p.X), wide.sample_weight),
    )
    terms = len(p.X) + 2 * sum(len(c) for c in p.coefs) + 8 * len(p.coefs)
    tolerance = terms * float(np.finfo(p.X.dtype).eps)
    assert isinstance(loss, float)
    assert abs(loss - expected_loss) <= tolerance * (1 + abs(expected_loss))
    for kind, actual_list, expected_list, size_list in zip(
        ("weights", "biases"), gradients, expected, sizes, strict=True
    ):
        for layer, triple in enumerate(zip(actual_list, expected_list, size_list, strict=True)):
            assert triple[0].dtype == p.X.dtype
            assert norm_error(*triple) <= tolerance, f"gradient of {kind}[{layer}]"


# ------------------------------------------------------------------------------------------------- forward


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_for_every_activation_and_output(activation: str, output: str, dtype: type) -> None:
    p = problem("squared_error", [7, 17, 9, 3], 13, dtype, activation=activation)
    check_forward(p, output, run_forward(p, output))


@pytest.mark.parametrize("activation", MORE_ACTIVATIONS, ids=str)
def test_more_activations(activation: Any, dtype: type) -> None:
    p = problem("squared_error", [7, 17, 9, 3], 13, dtype, activation=activation)
    # gelu's left tail is as exact as its argument, see test_math.
    check_forward(p, "identity", run_forward(p, "identity"))
    check_gradient(p, alpha=0.1)
    # A layer so narrow that its weights are kept transposed.
    check_gradient(problem("squared_error", [40, 2, 40, 3], 13, dtype, activation=activation), alpha=0.1)


@pytest.mark.parametrize("outputs", AWKWARD)
@pytest.mark.parametrize("loss", MORE_LOSSES, ids=str)
def test_more_losses(loss: Any, outputs: int, dtype: type) -> None:
    check_gradient(problem(loss, [5, 9, outputs], 7, dtype, weighted=True), alpha=0.1)


def test_quantiles_do_not_cross(dtype: type) -> None:
    p = problem("quantile", [4, 30], 100, dtype)
    assert np.all(np.diff(run_forward(p, "quantiles"), axis=1) >= 0)


@pytest.mark.parametrize("width", AWKWARD)
def test_forward_at_awkward_widths(width: int, dtype: type) -> None:
    for sizes in ([width, 5], [5, width], [width, width, width], [1, width, 1]):
        p = problem("squared_error", sizes, 6, dtype, activation="relu")
        check_forward(p, "identity", run_forward(p, "identity"))


@pytest.mark.parametrize("rows", AWKWARD)
def test_forward_at_awkward_numbers_of_rows(rows: int, dtype: type) -> None:
    p = problem("squared_error", [9, 33, 3], rows, dtype, activation="relu")
    check_forward(p, "softmax", run_forward(p, "softmax"))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5])
def test_narrow_outputs(outputs: int, output: str, dtype: type) -> None:
    for hidden in (1, 16, 33):
        p = problem("squared_error", [3, hidden, outputs], 11, dtype)
        check_forward(p, output, run_forward(p, output))


def test_no_hidden_layer(dtype: type) -> None:
    p = problem("squared_error", [6, 4], 10, dtype)
    check_forward(p, "logistic", run_forward(p, "logistic"))


def test_many_layers_of_different_activations(dtype: type) -> None:
    names = [ACTIVATIONS[i % 4] for i in range(12)]
    p = problem("squared_error", [5, *range(3, 27, 2), 2], 9, dtype, activation=names)
    check_forward(p, "identity", run_forward(p, "identity"))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("sizes", [[4, 1], [4, 6, 3], [4, 40, 40, 2]])
def test_empty_batch(sizes: list[int], output: str, dtype: type) -> None:
    p = problem("squared_error", sizes, 0, dtype)
    result = run_forward(p, output)
    assert result.shape == (0, sizes[-1])
    assert result.dtype == dtype


def test_forward_writes_into_out_and_nowhere_else(dtype: type) -> None:
    p = problem("squared_error", [5, 9, 3], 8, dtype)
    # Guard rows on both sides: a kernel that writes whole vectors must not write past the last row.
    arena = np.full((10, 3), 77.0, dtype)
    result = mlp_forward(p.X, p.coefs, p.intercepts, activation="tanh", out=arena[1:9])
    assert np.shares_memory(result, arena)
    assert same_bits([arena[1:9]], [mlp_forward(p.X, p.coefs, p.intercepts, activation="tanh")])
    assert np.all(arena[[0, 9]] == 77)


def test_read_only_inputs_are_taken(dtype: type) -> None:
    p = problem("cross_entropy", [5, 9, 3], 8, dtype, weighted=True)
    for array in p.arrays():
        array.flags.writeable = False
    check_forward(p, "softmax", run_forward(p, "softmax"))
    check_gradient(p, alpha=0.1)


def test_no_threads_option_changes_the_result(dtype: type) -> None:
    p = problem("squared_error", [5, 9, 3], 8, dtype)
    every = [mlp_forward(p.X, p.coefs, p.intercepts, n_threads=k) for k in (None, 1, 2, 10**9)]
    assert all(same_bits([every[0]], [one]) for one in every)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_go_through_as_in_the_reference(value: float, dtype: type) -> None:
    for activation in ACTIVATIONS:
        p = problem("squared_error", [3, 5, 2], 6, dtype, activation=activation)
        p.X[2, 1] = value
        with np.errstate(invalid="ignore"):
            expected = reference.forward(p.X, p.coefs, p.intercepts, p.activations, "identity")
        result = run_forward(p, "identity")
        # The sign of a NaN and the last bits of the numbers are not at stake here.
        np.testing.assert_array_equal(np.isnan(result), np.isnan(expected), err_msg=activation)
        np.testing.assert_array_equal(np.isposinf(result), np.isposinf(expected), err_msg=activation)
        assert np.isfinite(result[[0, 1, 3, 4, 5]]).all(), "one row's NaN reached another row"


@pytest.mark.parametrize("output", OUTPUTS)
def test_nan_reaches_every_kind_of_output(output: str, dtype: type) -> None:
    X = np.array([[np.nan, 0.0], [1.0, 2.0]], dtype)
    result = mlp_forward(X, [np.eye(2, dtype=dtype)], [np.zeros(2, dtype)], output=output)
    assert np.isnan(result[0]).any()
    assert np.isfinite(result[1]).all()


def test_selected_rows_are_the_same_bits_as_a_copy_of_them(dtype: type) -> None:
    p = problem("squared_error", [7, 17, 3], 40, dtype, activation="relu")
    rows = np.random.default_rng(1).integers(0, 40, 23)
    selected = _core.forward(p.X, p.coefs, p.intercepts, p.activations, "softmax", rows)
    copied = _core.forward(p.X[rows], p.coefs, p.intercepts, p.activations, "softmax")
    assert same_bits([selected], [copied])


# ------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_for_every_loss_and_activation(
    loss: str, activation: str, weighted: bool, dtype: type
) -> None:
    p = problem(loss, [7, 17, 9, 3], 13, dtype, activation=activation, weighted=weighted)
    check_gradient(p, alpha=0.3)


@pytest.mark.parametrize("width", AWKWARD)
def test_gradient_at_awkward_widths(width: int, dtype: type) -> None:
    for sizes in ([width, 2], [5, width, 1], [width, width, width]):
        check_gradient(problem("binary_cross_entropy", sizes, 6, dtype), alpha=0.0)


@pytest.mark.parametrize("rows", [*AWKWARD, 200, 257])
def test_gradient_at_awkward_numbers_of_rows(rows: int, dtype: type) -> None:
    check_gradient(problem("cross_entropy", [9, 33, 4], rows, dtype), alpha=0.01)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5])
def test_gradient_of_narrow_outputs(outputs: int, loss: str, dtype: type) -> None:
    for sizes in ([1, outputs], [3, 33, outputs]):
        check_gradient(problem(loss, sizes, 11, dtype), alpha=0.1)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    rows=st.integers(1, 70),
    loss=st.sampled_from(LOSSES),
    activation=st.sampled_from(ACTIVATIONS),
    kind=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_any_shape(sizes: list[int], rows: int, loss: str, activation: str, kind: type, seed: int) -> None:
    p = problem(loss, sizes, rows, kind, activation=activation, seed=seed)
    output = reference.OUTPUT_OF[loss]
    check_forward(p, output, run_forward(p, output))
    # A kink of relu within rounding of some sum would make the two sides differ by a whole step.
    check_gradient(p, alpha=0.1)


def test_gradients_are_written_into_out(dtype: type) -> None:
    p = problem("squared_error", [5, 9, 3], 8, dtype)
    out = ([np.full_like(c, np.nan) for c in p.coefs], [np.full_like(b, np.nan) for b in p.intercepts])
    loss, returned = mlp_loss_and_grad(p.X, p.y, p.coefs, p.intercepts, activation="tanh", out=out)
    fresh_loss, fresh = mlp_loss_and_grad(p.X, p.y, p.coefs, p.intercepts, activation="tanh")
    assert returned is out
    assert loss == fresh_loss
    assert same_bits([*out[0], *out[1]], [*fresh[0], *fresh[1]])


def test_rows_without_weight_have_no_effect(dtype: type) -> None:
    p = problem("cross_entropy", [4, 9, 3], 12, dtype)
    weight = np.ones(12, dtype)
    weight[[3, 7]] = 0
    kept = weight > 0
    options: dict[str, Any] = {"activation": "tanh", "loss": "cross_entropy"}
    loss, both = mlp_loss_and_grad(p.X, p.y, p.coefs, p.intercepts, sample_weight=weight, **options)
    expected_loss, expected = mlp_loss_and_grad(p.X[kept], p.y[kept], p.coefs, p.intercepts, **options)
    # Adding exact zeros changes no sum, but the blocks of rows may be other ones: a few units in the last
    # place.
    tolerance = 30 * float(np.finfo(dtype).eps)
    assert abs(loss - expected_loss) <= tolerance * expected_loss
    for a, b in zip([*both[0], *both[1]], [*expected[0], *expected[1]], strict=True):
        assert norm_error(a, b) <= tolerance


def test_certain_and_wrong_costs_a_finite_loss(dtype: type) -> None:
    weights, biases = [np.array([[1000.0, -1000.0]], dtype)], [np.zeros(2, dtype)]
    X, eps = np.ones((1, 1), dtype), float(np.finfo(dtype).eps)
    wrong = mlp_loss_and_grad(X, np.array([1], np.int32), weights, biases, loss="cross_entropy")[0]
    right = mlp_loss_and_grad(X, np.array([0], np.int32), weights, biases, loss="cross_entropy")[0]
    # A relative error of a few eps in the probability, hence an absolute one in its logarithm.
    assert wrong == pytest.approx(-np.log(eps), abs=8 * eps * -np.log(eps))
    assert right == pytest.approx(eps, rel=0.6)


# ------------------------------------------------------------------------------------------------- sparse


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("loss", LOSSES)
def test_csr_rows_give_what_dense_rows_give(loss: str, index: type, dtype: type) -> None:
    p = problem(loss, [19, 17, 3], 23, dtype)
    p.X[np.random.default_rng(2).random(p.X.shape) < 0.8] = 0
    p.X[4] = 0  # an empty row
    filled = p.X != 0
    triple = (
        p.X[filled],
        np.nonzero(filled)[1].astype(index),
        np.concatenate([[0], filled.sum(axis=1).cumsum()]).astype(index),
    )
    output = reference.OUTPUT_OF[loss]
    check_forward(p, output, _core.forward(triple, p.coefs, p.intercepts, p.activations, output))

    grads = [[np.empty_like(c) for c in p.coefs], [np.empty_like(b) for b in p.intercepts]]
    value = _core.loss_and_grad(
        triple, p.y, p.coefs, p.intercepts, p.activations, loss, 0.1, None, grads[0], grads[1]
    )
    expected, dense = mlp_loss_and_grad(
        p.X, p.y, p.coefs, p.intercepts, activation="tanh", loss=loss, alpha=0.1
    )
    tolerance = 100 * float(np.finfo(dtype).eps)  # sums of 23 rows and at most 19 inputs, in whatever order
    assert abs(value - expected) <= tolerance * (1 + expected)
    for sparse, full in zip([*grads[0], *grads[1]], [*dense[0], *dense[1]], strict=True):
        assert norm_error(sparse, full) <= tolerance


# ------------------------------------------------------------------------------------------------- updates


def update_tolerance(dtype: type) -> float:
    return 8 * float(
        np.finfo(dtype).eps
    )  # no sums: a handful of roundings, and a division and a root in Adam


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 5), *[(n,) for n in AWKWARD], (2, 3, 50)])
@pytest.mark.parametrize("lr_in_velocity", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_update(shape: tuple[int, ...], nesterov: bool, lr_in_velocity: bool, dtype: type) -> None:
    rng = np.random.default_rng(0)
    param, grad, velocity = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    options: dict[str, Any] = {
        "momentum": 0.9,
        "nesterov": nesterov,
        "weight_decay": 0.1,
        "lr_in_velocity": lr_in_velocity,
    }
    wide_grad = grad.astype(np.float64)
    expected, expected_velocity = param.astype(np.float64), velocity.astype(np.float64)
    kept = grad.copy()
    for lr in (0.1, 0.03, 0.01):  # a learning rate that changes tells the two variants apart
        sgd_update(param, grad, velocity, lr=lr, **options)
        expected, expected_velocity = reference.sgd_update(
            expected, wide_grad, expected_velocity, lr=lr, **options
        )
    assert norm_error(param, expected) <= update_tolerance(dtype)
    assert norm_error(velocity, expected_velocity) <= update_tolerance(dtype)
    assert same_bits([grad], [kept])


def test_sgd_update_without_velocity(dtype: type) -> None:
    rng = np.random.default_rng(0)
    param, grad = (rng.standard_normal(37).astype(dtype) for _ in range(2))
    expected = param.astype(np.float64) - 0.5 * (grad + 0.25 * param.astype(np.float64))
    sgd_update(param, grad, lr=0.5, weight_decay=0.25)
    assert norm_error(param, expected) <= update_tolerance(dtype)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 5), *[(n,) for n in AWKWARD], (2, 3, 50)])
@pytest.mark.parametrize("eps_mode", ["outside", "uncorrected", "inside"])
def test_adam_update(shape: tuple[int, ...], eps_mode: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    param = rng.standard_normal(shape).astype(dtype)
    m, v = np.zeros_like(param), np.zeros_like(param)
    # A large eps, so that its place matters.
    options: dict[str, Any] = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 0.01, "weight_decay": 0.1}
    expected, expected_m, expected_v = (a.astype(np.float64) for a in (param, m, v))
    for step in (1, 2, 3, 4):
        grad = rng.standard_normal(shape).astype(dtype)
        adam_update(param, grad, m, v, step, eps_mode=eps_mode, **options)
        expected, expected_m, expected_v = reference.adam_update(
            expected, grad.astype(np.float64), expected_m, expected_v, step, eps_mode=eps_mode, **options
        )
    # Four steps, each with its own rounding of the betas too.
    tolerance = 4 * update_tolerance(dtype)
    assert norm_error(param, expected) <= tolerance
    assert norm_error(m, expected_m) <= tolerance
    assert norm_error(v, expected_v) <= tolerance


def test_updates_write_nothing_beyond_the_end(dtype: type) -> None:
    for n in AWKWARD:
        arenas = [np.full(n + 2, 5.0, dtype) for _ in range(3)]
        param, m, v = (a[1 : n + 1] for a in arenas)
        adam_update(param, np.ones(n, dtype), m, v, 1)
        sgd_update(param, np.ones(n, dtype), m, lr=0.1, momentum=0.9)
        assert all(a[0] == 5 and a[-1] == 5 for a in arenas)
