"""Training by a truncated Newton method: conjugate gradients in a trust region."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdfast import _core
from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.full_batch import Objective, Product, Value, descend
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import MLP
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import Outcome
from gdfast.training.state import TrainingState

# Products with the Hessian in a step, at most.
MOST_PRODUCTS = 100

# Of the largest curvature: the least by which variables are scaled, so that those which hardly matter do not
# take up the trust region.
LEAST_CURVATURE = 1e-2


def train_newton_cg(
    network: MLP,
    loss: Loss,
    data: Data,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
) -> Outcome:
    """Train by iterations over the rows of the state's order.

    An iteration is a step that lowers the loss. Training has converged where the largest component of the
    gradient is at most ``tol``, or where the loss cannot be lowered in its precision.

    SciPy's trust-ncg takes no preconditioner, and has no state that could be saved.

    References
    ----------
    Steihaug, "The conjugate gradient method and trust regions in large scale optimization", SIAM Journal on
    Numerical Analysis 20 (1983). Nocedal and Wright, *Numerical Optimization* (2006), algorithms 4.1 and 7.2.
    """
    data = data.of(state.order)
    method = _TrustRegion(network, loss, data, state, options)
    return descend(method, network, data, state, options, monitor, listeners)


class _TrustRegion:
    """Steps that minimize the quadratic model of the loss in a ball, about.

    Variables are scaled by the roots of the Gauss-Newton matrix's diagonal: that is the preconditioner.

    Attributes
    ----------
    x, value
        See `Method`.
    """

    def __init__(
        self, network: MLP, loss: Loss, data: Data, state: TrainingState, options: TrainingOptions
    ) -> None:
        weights = state.weights
        self._tol = options.tol
        self._objective = Objective(network, loss, data, state, options)
        self._eps = float(np.finfo(weights.dtype).eps)
        size, n_layers = sum(array.size for array in weights), len(weights.coefs)
        self._times_hessian = Product(_core.hessian_vector_product, self._objective.arguments, weights)
        self._diagonal = np.empty(size, weights.dtype)
        diagonal = weights.split(self._diagonal)
        self._of_diagonal: dict[str, Any] = {
            "coef_diagonals": diagonal[:n_layers],
            "intercept_diagonals": diagonal[n_layers:],
        }
        self.x: Array = weights.as_vector(np.float64)
        self._radius: float | None = None
        if "radius" in state.solver_state:
            self.x, self._radius = state.solver_state["x"], state.solver_state["radius"]
        self.value: Value = self._objective(self.x)

    def has_converged(self) -> bool:
        return float(np.abs(self.value.gradient).max()) <= self._tol

    def step(self) -> bool:
        self._objective.move(self.x)
        scale = self._scale()
        gradient = scale * self.value.gradient
        if self._radius is None:
            self._radius = float(np.linalg.norm(gradient))  # of the step where the scaled curvature is one
        while True:
            self._objective.move(self.x)
            with np.errstate(over="ignore", invalid="ignore"):
                step, predicted, at_boundary = self._minimize_model(gradient, scale, self._radius)
                length = float(np.linalg.norm(step))
            # Below this, a difference of two losses is rounding. The squares of a huge gradient overflow.
            if not self._eps * abs(self.value.loss) < predicted < np.inf or not length < np.inf:
                return False
            with np.errstate(over="ignore", invalid="ignore"):
                x = self.x + scale * step
                value = self._objective(x)
                ratio = (self.value.loss - value.loss) / predicted
            if not value.is_finite():
                ratio = -1.0
            if ratio < 0.25:
                self._radius = 0.25 * length
            elif ratio > 0.75 and at_boundary:
                self._radius = 2 * self._radius
            if ratio > 0:
                self.x, self.value = x, value
                return True

    def state_dict(self) -> dict[str, Any]:
        return {"x": self.x, "radius": self._radius}

    def _scale(self) -> Array:
        _core.gauss_newton_diagonal(**self._objective.arguments, **self._of_diagonal)
        diagonal = self._diagonal.astype(np.float64)
        largest = float(diagonal.max())
        if not 0 < largest < np.inf:
            return np.ones_like(diagonal)
        scale: Array = 1 / np.sqrt(np.maximum(diagonal, LEAST_CURVATURE * largest))
        return scale

    def _minimize_model(self, gradient: Array, scale: Array, radius: float) -> tuple[Array, float, bool]:
        """Steihaug's step, the decrease of the model by it, and whether it ends at the boundary."""
        step, residual, direction = np.zeros_like(gradient), gradient.copy(), -gradient
        squares = float(np.dot(residual, residual))
        norm = np.sqrt(squares)
        enough = min(0.5, np.sqrt(norm)) * norm
        decrease = 0.0
        for _ in range(min(MOST_PRODUCTS, 2 * gradient.size)):
            product = scale * self._times_hessian(scale * direction)
            curvature = float(np.dot(direction, product))
            if not np.isfinite(curvature):
                break
            length = squares / curvature if curvature > 0 else np.inf
            to_boundary = _to_boundary(step, direction, radius)
            taken = min(length, to_boundary)
            # Along the direction the model has this slope, whose size the residual gives.
            decrease += taken * (squares - 0.5 * taken * curvature)
            step = step + taken * direction
            if length >= to_boundary:
                return step, decrease, True
            residual = residual + taken * product
            before, squares = squares, float(np.dot(residual, residual))
            if np.sqrt(squares) <= enough:
                break
            direction = squares / before * direction - residual
        return step, decrease, False


def _to_boundary(step: Array, direction: Array, radius: float) -> float:
    """The number of directions from a step to the boundary."""
    a, b = float(np.dot(direction, direction)), float(np.dot(step, direction))
    c = radius**2 - float(np.dot(step, step))
    root = float(np.sqrt(max(b * b + a * c, 0.0)))
    return max(c, 0.0) / (b + root) if b > 0 else (root - b) / a
