"""Wrong arguments to the kernels: an error that names the argument, nothing written, never a crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bad_arrays import Arguments, cases, check_refused, check_refused_array, read_only
from gdfast.kernels import (
    adam_update,
    mlp_fisher_diagonal,
    mlp_forward,
    mlp_gauss_newton_diagonal,
    mlp_gauss_newton_vector_product,
    mlp_hessian_vector_product,
    mlp_loss_and_grad,
    sgd_update,
)
from ids import text_of
from problems import problem, same_bits


def forward_arguments() -> Arguments:
    p = problem("squared_error", [5, 9, 6, 3], 8)
    return {"X": p.X, "weights": p.coefs, "biases": p.intercepts, "out": np.full((8, 3), 77.0)}


def gradient_arguments(loss: str = "squared_error") -> Arguments:
    p = problem(loss, [5, 9, 6, 3], 8, weighted=True)
    out = [np.full_like(c, 77) for c in p.coefs], [np.full_like(b, 77) for b in p.intercepts]
    return {
        "X": p.X, "y": p.y, "weights": p.coefs, "biases": p.intercepts,
        "loss": loss, "sample_weight": p.sample_weight, "out": out,
    }  # fmt: skip


def product_arguments() -> Arguments:
    arguments = gradient_arguments()
    direction = tuple([np.ones_like(a) for a in arguments[name]] for name in ("weights", "biases"))
    return {**arguments, "direction": direction}


def sgd_arguments() -> Arguments:
    param, grad, velocity = (np.random.default_rng(seed).standard_normal(19) for seed in range(3))
    return {"param": param, "grad": grad, "velocity": velocity, "lr": 0.1, "momentum": 0.9}


def adam_arguments() -> Arguments:
    param, grad, m, v = (np.random.default_rng(seed).random(19) for seed in range(4))
    return {"param": param, "grad": grad, "m": m, "v": v, "step": 1}


# ---------------------------------------------------------------------------------------- one wrong array

FORWARD_CASES = cases(
    ["X", "weights[0]", "weights[1]", "weights[2]", "biases[0]", "biases[2]", "out"],
    vectors=("biases",),
    optional=("out",),
)
GRADIENT_CASES = cases(
    ["X", "y", "weights[0]", "weights[2]", "biases[1]", "sample_weight", "out[0][1]", "out[1][2]"],
    vectors=("biases", "sample_weight", "out[1]"),
    optional=("sample_weight",),
)
PRODUCT_CASES = cases(
    ["X", "y", "weights[1]", "direction[0][0]", "direction[0][2]", "direction[1][1]", "out[0][1]"],
    vectors=("biases", "direction[1]", "out[1]"),
)
SGD_CASES = cases(
    ["param", "grad", "velocity"], vectors=("param", "grad", "velocity"), optional=("velocity",)
)
ADAM_CASES = cases(["param", "grad", "m", "v"], vectors=("param", "grad", "m", "v"))


@pytest.mark.parametrize(("name", "fault"), FORWARD_CASES)
def test_forward_refuses_the_array(name: str, fault: str) -> None:
    check_refused_array(mlp_forward, forward_arguments(), name, fault)


@pytest.mark.parametrize(("name", "fault"), GRADIENT_CASES)
def test_loss_and_gradient_refuse_the_array(name: str, fault: str) -> None:
    check_refused_array(mlp_loss_and_grad, gradient_arguments(), name, fault)


@pytest.mark.parametrize("call", [mlp_hessian_vector_product, mlp_gauss_newton_vector_product])
@pytest.mark.parametrize(("name", "fault"), PRODUCT_CASES)
def test_products_refuse_the_array(name: str, fault: str, call: Any) -> None:
    check_refused_array(call, product_arguments(), name, fault)


@pytest.mark.parametrize("call", [mlp_gauss_newton_diagonal, mlp_fisher_diagonal])
@pytest.mark.parametrize(("name", "fault"), GRADIENT_CASES)
def test_diagonals_refuse_the_array(name: str, fault: str, call: Any) -> None:
    check_refused_array(call, gradient_arguments(), name, fault)


@pytest.mark.parametrize("call", [mlp_hessian_vector_product, mlp_gauss_newton_vector_product])
def test_directions_must_be_those_of_the_network(call: Any) -> None:
    whole = product_arguments()
    weights, biases = whole["direction"]
    for direction, kind in (
        (None, TypeError),
        ([weights, biases], TypeError),
        ((weights,), TypeError),
        ((weights, biases[:2]), ValueError),
        (([w.T for w in weights], biases), ValueError),
        (
            ([np.ones((5, 8)), np.ones((8, 6)), np.ones((6, 3))], [np.ones(8), np.ones(6), np.ones(3)]),
            ValueError,
        ),
    ):
        check_refused(call, {**whole, "direction": direction}, kind, "direction")
    check_refused(call, {**whole, "out": whole["direction"]}, ValueError, "out[0][0]", "direction")


@pytest.mark.parametrize("loss", ["absolute_error", ("quantile", [0.2, 0.5, 0.8])], ids=str)
def test_straight_losses_have_no_gauss_newton_matrix(loss: Any) -> None:
    arguments = {**product_arguments(), "loss": loss}
    if loss != "absolute_error":
        arguments["y"] = arguments["y"][:, :1].copy()
    check_refused(mlp_gauss_newton_vector_product, arguments, ValueError, "loss")
    del arguments["direction"]
    check_refused(mlp_gauss_newton_diagonal, arguments, ValueError, "loss")


@pytest.mark.parametrize(("name", "fault"), SGD_CASES)
def test_sgd_update_refuses_the_array(name: str, fault: str) -> None:
    check_refused_array(sgd_update, sgd_arguments(), name, fault, any_shape=True)


@pytest.mark.parametrize(("name", "fault"), ADAM_CASES)
def test_adam_update_refuses_the_array(name: str, fault: str) -> None:
    check_refused_array(adam_update, adam_arguments(), name, fault, any_shape=True)


def test_written_arrays_must_be_writable() -> None:
    forward, gradient = forward_arguments(), gradient_arguments()
    check_refused(mlp_forward, {**forward, "out": read_only(forward["out"])}, ValueError, "out")
    for part in (0, 1):
        arguments = gradient_arguments()
        arguments["out"][part][2] = read_only(gradient["out"][part][2])
        check_refused(mlp_loss_and_grad, arguments, ValueError, f"out[{part}][2]")
    for name in ("param", "velocity"):
        sgd = sgd_arguments()
        check_refused(sgd_update, {**sgd, name: read_only(sgd[name])}, ValueError, name)
    for name in ("param", "m", "v"):
        adam = adam_arguments()
        check_refused(adam_update, {**adam, name: read_only(adam[name])}, ValueError, name)


def test_written_arrays_must_not_overlap_what_is_read() -> None:
    square = problem("squared_error", [4, 4, 4], 4)
    inputs = {"X": square.X, "weights": square.coefs, "biases": square.intercepts}
    arena = np.ones((6, 4))
    for out, X in ((square.X, square.X), (arena[1:5], arena[:4])):
        check_refused(mlp_forward, {**inputs, "X": X, "out": out}, ValueError, "out")
    check_refused(mlp_forward, {**inputs, "out": square.coefs[1]}, ValueError, "out")
    check_refused(
        mlp_loss_and_grad,
        {**inputs, "y": square.y, "out": (square.coefs, square.intercepts)},
        ValueError,
        "out[0][0]",
    )
    line = np.ones(30)
    for pair in (("param", "grad"), ("param", "velocity"), ("velocity", "grad")):
        arguments = {**sgd_arguments(), pair[0]: line[:19], pair[1]: line[5:24]}
        check_refused(sgd_update, arguments, ValueError, *pair)
    for pair in (("param", "grad"), ("param", "m"), ("m", "v"), ("v", "grad")):
        arguments = {**adam_arguments(), pair[0]: line[:19], pair[1]: line[5:24]}
        check_refused(adam_update, arguments, ValueError, *pair)


WITH_OUT = [
    mlp_loss_and_grad,
    mlp_hessian_vector_product,
    mlp_gauss_newton_vector_product,
    mlp_gauss_newton_diagonal,
    mlp_fisher_diagonal,
]


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("function", WITH_OUT, ids=lambda function: function.__name__)
def test_out_must_not_overlap_what_is_read(function: Any, part: int) -> None:
    arguments = product_arguments()
    if "vector_product" not in function.__name__:
        del arguments["direction"]
    arena = np.ones(60)

    def in_arena(array: np.ndarray) -> np.ndarray:
        view = arena[: array.size].reshape(array.shape)
        view[...] = array
        return view

    layer = 2
    out = [list(arrays) for arrays in arguments["out"]]
    out[part][layer] = arena[: out[part][layer].size].reshape(out[part][layer].shape)
    for name in ("X", "y", "sample_weight"):
        changed = {**arguments, "out": tuple(out), name: in_arena(arguments[name])}
        check_refused(function, changed, ValueError, f"out[{part}][{layer}]", name)
    for name in ("weights", "biases"):
        lists = list(arguments[name])
        lists[1] = in_arena(lists[1])
        changed = {**arguments, "out": tuple(out), name: lists}
        check_refused(function, changed, ValueError, f"out[{part}][{layer}]", f"{name}[1]")
    for number in (0, 1) if "direction" in arguments else ():
        both = [list(arrays) for arrays in arguments["direction"]]
        both[number][1] = in_arena(both[number][1])
        changed = {**arguments, "out": tuple(out), "direction": tuple(both)}
        check_refused(function, changed, ValueError, f"out[{part}][{layer}]", f"direction[{number}][1]")


# ---------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize("name", ["weights", "biases"])
@pytest.mark.parametrize("value", [None, 3, np.ones((5, 3)), {0: np.ones((5, 3))}, "weights"], ids=text_of)
def test_layers_must_be_lists(name: str, value: Any) -> None:
    for call, arguments in ((mlp_forward, forward_arguments()), (mlp_loss_and_grad, gradient_arguments())):
        check_refused(call, {**arguments, name: value}, TypeError, name)


def test_a_tuple_of_layers_is_as_good_as_a_list() -> None:
    arguments = forward_arguments()
    expected = mlp_forward(**arguments).copy()
    layers = {name: tuple(arguments[name]) for name in ("weights", "biases")}
    assert same_bits([mlp_forward(**{**arguments, **layers})], [expected])


def test_layers_must_match() -> None:
    for call, make in ((mlp_forward, forward_arguments), (mlp_loss_and_grad, gradient_arguments)):
        whole = make()
        changes: list[tuple[Arguments, str]] = [
            ({"weights": [], "biases": []}, "weights"),
            ({"weights": whole["weights"][:2]}, "biases"),
            ({"biases": []}, "biases"),
            ({"biases": whole["biases"] * 2}, "biases"),
            ({"weights": whole["weights"][::-1], "biases": whole["biases"][::-1]}, "weights"),
            ({"weights": whole["weights"][1:], "biases": whole["biases"][1:]}, "weights"),
            ({"activation": ["relu"]}, "activation"),
            ({"activation": ["relu"] * 3}, "activation"),
            ({"activation": []}, "activation"),
        ]
        for change, name in changes:
            # A first layer that does not fit may as well be told as an X that does not.
            check_refused(call, {**make(), **change}, ValueError, name, "X")


@pytest.mark.parametrize(
    "out", [(), ([],), ([], []), ([], [], []), [[], []], 3, "ab", np.ones((2, 2))], ids=text_of
)
def test_gradients_out_must_be_a_pair_of_lists(out: Any) -> None:
    check_refused(mlp_loss_and_grad, {**gradient_arguments(), "out": out}, (TypeError, ValueError), "out")


@pytest.mark.parametrize("sizes", [(0, 3), (5, 0), (0, 0)])
def test_no_features_or_no_outputs(sizes: tuple[int, int]) -> None:
    d, k = sizes
    arguments: Arguments = {"X": np.ones((4, d)), "weights": [np.ones((d, k))], "biases": [np.ones(k)]}
    check_refused(mlp_forward, arguments, ValueError, "weights[0]", "X")
    check_refused(mlp_loss_and_grad, {**arguments, "y": np.ones((4, k))}, ValueError, "weights[0]", "X")


def test_a_hidden_layer_without_units() -> None:
    weights, biases = [np.ones((3, 0)), np.ones((0, 2))], [np.ones(0), np.ones(2)]
    check_refused(
        mlp_forward, {"X": np.ones((4, 3)), "weights": weights, "biases": biases}, ValueError, "weights"
    )


@pytest.mark.parametrize("rows", [2**31, 2**40, 2**60 - 1])
def test_sizes_beyond_any_memory(rows: int) -> None:
    """Arrays without a single element may have any size on paper."""
    check_refused(
        mlp_forward,
        {"X": np.empty((rows, 0)), "weights": [np.ones((3, 2))], "biases": [np.ones(2)]},
        ValueError,
        "X",
        "weights",
    )
    check_refused(
        mlp_forward,
        {"X": np.empty((0, rows)), "weights": [np.empty((rows, 0))], "biases": [np.ones(0)]},
        ValueError,
        "X",
        "weights",
    )
    # A gradient step over nothing is nothing, whatever its shape.
    empty = [np.empty((rows, 0)) for _ in range(4)]
    adam_update(*empty, 1)


# ---------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "value",
    [
        *["reluu", "softmax", "", None, 3, ["relu", None], ["relu", "swish"]],
        # Sequences whose items exist only while they are read.
        *[np.array(["a", "b"]), np.array([["a", "b"]] * 2), np.array([object()] * 2), range(2)],
    ],
    ids=text_of,
)
def test_unknown_activation(value: Any) -> None:
    for call, arguments in ((mlp_forward, forward_arguments()), (mlp_loss_and_grad, gradient_arguments())):
        check_refused(call, {**arguments, "activation": value}, (TypeError, ValueError), "activation")


@pytest.mark.parametrize("value", ["sigmoid", "", None, 3], ids=text_of)
def test_unknown_output_loss_and_eps_mode(value: Any) -> None:
    wrong = (TypeError, ValueError)
    check_refused(mlp_forward, {**forward_arguments(), "output": value}, wrong, "output")
    check_refused(mlp_loss_and_grad, {**gradient_arguments(), "loss": value}, wrong, "loss")
    check_refused(adam_update, {**adam_arguments(), "eps_mode": value}, wrong, "eps_mode")


@pytest.mark.parametrize("value", [-1, 3, 2**31 - 1, -(2**31)])
def test_class_index_out_of_range(value: int) -> None:
    arguments = gradient_arguments("cross_entropy")
    arguments["y"][7] = value
    check_refused(mlp_loss_and_grad, arguments, ValueError, "y")


def test_classes_must_be_int32() -> None:
    arguments = gradient_arguments("cross_entropy")
    for kind in (np.int64, np.uint8, np.float64, bool):
        check_refused(mlp_loss_and_grad, {**arguments, "y": arguments["y"].astype(kind)}, TypeError, "y")


def test_an_empty_batch_has_no_loss() -> None:
    arguments = {**gradient_arguments(), "X": np.empty((0, 5)), "y": np.empty((0, 3)), "sample_weight": None}
    check_refused(mlp_loss_and_grad, arguments, ValueError, "X")


def test_sample_weights_that_sum_to_zero() -> None:
    check_refused(
        mlp_loss_and_grad, {**gradient_arguments(), "sample_weight": np.zeros(8)}, ValueError, "sample_weight"
    )


NOT_NEGATIVE = [
    (mlp_loss_and_grad, gradient_arguments, ["alpha"]),
    (sgd_update, sgd_arguments, ["lr", "momentum", "weight_decay"]),
    (adam_update, adam_arguments, ["lr", "eps", "weight_decay"]),
]


@pytest.mark.parametrize("value", [-1e-300, -1, np.nan, np.inf, "0.1", None, 1j], ids=text_of)
def test_numbers_out_of_their_range(value: Any) -> None:
    kind = ValueError if isinstance(value, float | int) else TypeError
    for call, make, names in NOT_NEGATIVE:
        for name in names:
            check_refused(call, {**make(), name: value}, kind, name)
    check_refused(adam_update, {**adam_arguments(), "betas": (0.9, value)}, kind, "betas[1]")


@pytest.mark.parametrize(
    "betas", [(1.0, 0.9), (0.9, 1.5), (0.9,), 0.9, None, "ab", (0.9, 0.9, 0.9)], ids=text_of
)
def test_betas_out_of_their_range(betas: Any) -> None:
    check_refused(adam_update, {**adam_arguments(), "betas": betas}, (TypeError, ValueError), "betas")


@pytest.mark.parametrize("value", [0, -1, -(2**70), 1.5, "1", [1]], ids=text_of)
def test_counts_out_of_their_range(value: Any) -> None:
    kind = ValueError if isinstance(value, int) else TypeError
    check_refused(adam_update, {**adam_arguments(), "step": value}, kind, "step")
    check_refused(mlp_forward, {**forward_arguments(), "n_threads": value}, kind, "n_threads")
    check_refused(mlp_loss_and_grad, {**gradient_arguments(), "n_threads": value}, kind, "n_threads")


def test_momentum_needs_a_velocity() -> None:
    check_refused(sgd_update, {**sgd_arguments(), "velocity": None}, ValueError, "velocity")


@pytest.mark.parametrize("function", [mlp_fisher_diagonal, mlp_gauss_newton_diagonal, mlp_loss_and_grad])
def test_arrays_of_out_that_share_memory(function: Any) -> None:
    X, y = np.ones((4, 3)), np.ones((4, 2))
    weights, biases = [np.ones((3, 5)), np.ones((5, 2))], [np.ones(5), np.ones(2)]
    buffer = np.empty(5)
    out = [np.empty_like(w) for w in weights], [buffer, buffer[:2]]
    with pytest.raises(ValueError, match=r"out\[1\]\[1\].*out\[1\]\[0\]"):
        function(X, y, weights, biases, out=out)
