"""The gradient is the slope of the loss: both come from the kernel, and central differences join them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from gdfast.kernels import mlp_loss_and_grad
from numpy.typing import NDArray
from problems import ACTIVATIONS, LOSSES, MORE_ACTIVATIONS, MORE_LOSSES, Problem, norm_error, problem

Array = NDArray[Any]

# The five-point central difference is off by about STEP^4 times a fifth derivative, and by the loss's
# rounding over STEP. They balance near the fifth root of eps, at about 1e-12: small enough for the small
# gradients of deep logistic networks, where the three-point one leaves 1e-7.
STEP = float(np.finfo(np.float64).eps) ** 0.2
NEAR = 20

SHAPES = {
    "one layer": [4, 3],
    "two hidden": [4, 6, 5, 3],
    "one output": [3, 9, 1],
    "deep": [3, 4, 3, 4, 3, 2],
}


def away_from_kinks(loss: Any, sizes: list[int], activation: Any, weighted: bool) -> Problem:
    """A problem none of whose sums and residuals is near where a function has no slope to compare with."""
    for seed in range(1000):
        p = problem(loss, sizes, 7, activation=activation, weighted=weighted, seed=seed)
        output = reference.output_of(p.loss)
        values, sums = reference.forward_pass(p.X, p.coefs, p.intercepts, p.activations, output)
        bends = [
            np.abs(z) - kink for z in sums[:-1] for kink in ((0, 1) if activation == "hard_tanh" else (0,))
        ]
        if output in ("identity", "quantiles") and p.loss != "squared_error":
            residual = np.abs(values[-1] - reference.target(p.loss, p.y, values[-1]))
            bends += [residual, residual - p.loss[1][0]] if p.loss[0] == "huber" else [residual]
        # A weight moves by two STEPs, times the input it meets, and the effect grows through the layers.
        if all(np.abs(bend).min() > NEAR * STEP for bend in bends):
            return p
    raise AssertionError("no such problem in 1000")


def loss_of(p: Problem, alpha: float) -> float:
    return gradient_of(p, alpha)[0]


def gradient_of(p: Problem, alpha: float) -> tuple[float, tuple[list[Array], list[Array]]]:
    return mlp_loss_and_grad(
        p.X, p.y, p.coefs, p.intercepts,
        activation=p.activations, loss=p.loss, alpha=alpha, sample_weight=p.sample_weight,
    )  # fmt: skip


def central_difference(p: Problem, array: Array, alpha: float) -> Array:
    slopes = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        losses = []
        for steps in (-2, -1, 1, 2):
            array[index] = kept + steps * STEP
            losses.append(loss_of(p, alpha))
        array[index] = kept
        slopes[index] = (8 * (losses[2] - losses[1]) - (losses[3] - losses[0])) / (12 * STEP)
    return slopes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_central_difference(loss: str, activation: str, shape: str) -> None:
    check_gradient(loss, activation, shape)


@pytest.mark.parametrize("activation", MORE_ACTIVATIONS, ids=str)
def test_gradient_of_more_activations(activation: Any) -> None:
    check_gradient("squared_error", activation, "two hidden")
    check_gradient("cross_entropy", activation, "two hidden")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", MORE_LOSSES, ids=str)
def test_gradient_of_more_losses(loss: Any, shape: str) -> None:
    check_gradient(loss, "tanh", shape)


def check_gradient(loss: Any, activation: Any, shape: str) -> None:
    p = away_from_kinks(loss, SHAPES[shape], activation, weighted=shape == "two hidden")
    alpha = 0.2
    _, (weight_grads, bias_grads) = gradient_of(p, alpha)
    arrays, grads = [*p.coefs, *p.intercepts], [*weight_grads, *bias_grads]
    for i, (array, grad) in enumerate(zip(arrays, grads, strict=True)):
        assert norm_error(central_difference(p, array, alpha), grad) < 1e-7, f"array {i}"


def test_several_outputs_descend_the_gradient_of_the_sum() -> None:
    """Half the squared error, mean over rows, sum over outputs: by hand for one weight per output."""
    X, y = np.array([[2.0], [1.0]]), np.array([[1.0, 0.0], [3.0, 1.0]])
    weights, biases = [np.array([[1.0, -1.0]])], [np.array([0.0, 1.0])]
    # Predictions [[2, -1], [1, 0]], so residuals [[1, -1], [-2, -1]].
    loss, (weight_grads, bias_grads) = mlp_loss_and_grad(X, y, weights, biases)
    assert loss == (1 + 1 + 4 + 1) / 4
    np.testing.assert_array_equal(weight_grads[0], [[(2 - 2) / 2, (-2 - 1) / 2]])
    np.testing.assert_array_equal(bias_grads[0], [(1 - 2) / 2, (-1 - 1) / 2])


def test_penalty_is_scaled_as_in_scikit_learn() -> None:
    """alpha / 2 * (squared weights) / (sum of sample weights), biases left out."""
    X, y, weight = np.ones((3, 1)), np.array([[6.0], [6.0], [6.0]]), np.array([1.0, 0.0, 4.0])
    # A perfect prediction, 1 * 2 + 4: what is left is the penalty.
    loss, (weight_grads, bias_grads) = mlp_loss_and_grad(
        X, y, [np.array([[2.0]])], [np.array([4.0])], alpha=0.5, sample_weight=weight
    )
    assert loss == 0.5 * 0.5 * 2**2 / 5
    assert weight_grads[0] == 0.5 * 2 / 5
    assert bias_grads[0] == 0
