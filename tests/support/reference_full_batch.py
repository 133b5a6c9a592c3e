"""Solvers over all rows in plain NumPy, over a function of one vector and its dense matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def levenberg_marquardt(
    residuals: Callable[[Array], Array],
    jacobian: Callable[[Array], Array],
    x: Array,
    weight: Array,
    penalty: Array,
    n_iter: int,
) -> list[Array]:
    """The points of so many steps that lower ``(sum weight r**2 / sum weight + sum penalty x**2) / 2``.

    Damping as in Hagan and Menhaj (1994), with the factors of MATLAB's ``trainlm``.
    """

    def loss(x: Array) -> float:
        return float((weight @ residuals(x) ** 2 / total + penalty @ x**2) / 2)

    total, mu, path = weight.sum(), 1e-3, []
    for _ in range(n_iter):
        J = jacobian(x)
        normal = J.T @ (weight[:, None] * J) / total + np.diag(penalty)
        gradient = J.T @ (weight * residuals(x)) / total + penalty * x
        while True:
            step = -np.linalg.solve(normal + mu * np.eye(len(x)), gradient)
            if loss(x + step) < loss(x):
                break
            mu *= 10
        x, mu = x + step, mu / 10
        path.append(x)
    return path


def trust_region_step(gradient: Array, hessian: Array, scale: Array, radius: float, most: int) -> Array:
    """Steihaug's step (Nocedal and Wright, algorithm 7.2) in variables divided by ``scale``."""
    g, B = scale * gradient, scale[:, None] * hessian * scale
    z, r, d = np.zeros_like(g), g, -g
    tolerance = min(0.5, np.sqrt(np.linalg.norm(g))) * np.linalg.norm(g)

    def to_boundary() -> Array:
        # |z + t d| = radius
        t = max(np.roots([d @ d, 2 * z @ d, z @ z - radius**2]).real)
        return scale * (z + t * d)

    for _ in range(most):
        if d @ B @ d <= 0:
            return to_boundary()
        a = r @ r / (d @ B @ d)
        if np.linalg.norm(z + a * d) >= radius:
            return to_boundary()
        z, r_next = z + a * d, r + a * (B @ d)
        if np.linalg.norm(r_next) <= tolerance:
            break
        r, d = r_next, -r_next + (r_next @ r_next) / (r @ r) * d
    return scale * z
