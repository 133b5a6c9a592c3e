"""Lanczos' method: the spectrum of a symmetric matrix, of which only products with vectors are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh

from gdfast.training.arrays import Array

MatVec = Callable[[Array], Array]

# The tolerance of the smallest eigenvalue is at least this. Networks have thousands of eigenvalues close to
# zero; to tell the smallest of them apart takes products by the inverse root of the tolerance.
LEAST_TOL_OF_SMALLEST = 1e-4


class Quadrature(NamedTuple):
    """Nodes and weights, whose sum is one, with which ``v' f(A) v / v' v`` is a sum over ``f(nodes)``."""

    nodes: Array
    weights: Array


def quadrature(product: MatVec, start: Array, n_steps: int) -> Quadrature:
    """Gaussian quadrature for a vector, by Lanczos steps with full reorthogonalization.

    Parameters
    ----------
    product : callable
        The product of the matrix with a vector, a new array.
    start : ndarray of shape (n,)
    n_steps : int
        At most n; there are fewer if the vector lies in a smaller invariant subspace.

    References
    ----------
    Golub and Welsch, "Calculation of Gauss quadrature rules", Mathematics of Computation 23 (1969).
    """
    basis = np.empty((n_steps, len(start)))
    diagonal, beside = np.zeros(n_steps), np.zeros(n_steps)
    basis[0] = start / np.linalg.norm(start)
    n_done = n_steps
    for i in range(n_steps):
        v = product(basis[i])
        diagonal[i] = np.dot(basis[i], v)
        for _ in range(2):  # the second time removes what rounding has left
            v -= basis[: i + 1].T @ (basis[: i + 1] @ v)
        beside[i] = np.linalg.norm(v)
        size = max(np.abs(diagonal[: i + 1]).max(), beside[: i + 1].max())
        if beside[i] <= np.finfo(np.float64).eps * size:
            n_done = i + 1
            break
        if i + 1 < n_steps:
            basis[i + 1] = v / beside[i]
    nodes, vectors = eigh_tridiagonal(diagonal[:n_done], beside[: n_done - 1])
    weights = vectors[0] ** 2
    return Quadrature(nodes, weights / weights.sum())


class Extremes(NamedTuple):
    """The largest eigenvalues, in decreasing order, their vectors as columns, and the smallest eigenvalue."""

    largest: Array
    vectors: Array
    smallest: float


def extremes(product: MatVec, start: Array, n_largest: int, tol: float) -> Extremes:
    """The ends of the spectrum, by ARPACK.

    Parameters
    ----------
    product : callable
        The product of the matrix with a vector, a new array.
    start : ndarray of shape (n,)
    n_largest : int
    tol : float
        Largest norm of a residual, relative to the largest magnitude of an eigenvalue; for the smallest
        eigenvalue at least `LEAST_TOL_OF_SMALLEST`.
    """
    n = len(start)
    n_basis = max(2 * n_largest + 1, 20)  # SciPy's own default
    if n <= n_basis:  # no more products than one round of ARPACK
        values, vectors = np.linalg.eigh(np.stack([product(unit) for unit in np.eye(n)]))
        return Extremes(values[::-1][:n_largest], vectors[:, ::-1][:, :n_largest], float(values[0]))
    # ARPACK's tolerance is relative to each eigenvalue. None is too small for it after a shift by the norm,
    # which a few steps give well enough.
    norm = float(np.abs(quadrature(product, start, n_basis).nodes).max())
    if norm == 0:
        return Extremes(np.zeros(n_largest), np.eye(n, n_largest), 0.0)
    largest, vectors = _largest(lambda v: product(v) + norm * v, start, n_largest, tol, n_basis)
    tol = max(tol, LEAST_TOL_OF_SMALLEST)
    smallest, _ = _largest(lambda v: norm * v - product(v), start, 1, tol, n_basis)
    return Extremes(largest - norm, vectors, norm - float(smallest[0]))


def _largest(product: MatVec, start: Array, n: int, tol: float, n_basis: int) -> tuple[Array, Array]:
    operator = LinearOperator((len(start), len(start)), product, dtype=np.float64)
    values, vectors = eigsh(operator, n, which="LA", v0=start, ncv=n_basis, tol=tol)
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]
