"""Eigenvalues, trace and spectral density of the curvature at an estimator's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from gdfast._checks import check_count, check_flag, check_positive
from gdfast.inspect._lanczos import extremes, quadrature
from gdfast.inspect._products import FUNCTIONS, Matrix
from gdfast.training.arrays import Array
from gdfast.training.blas import on_threads

# Of the spectrum's range: the standard deviation of the normal density at a node.
WIDTH = 0.01
# Points of a grid to a standard deviation: the trapezoidal rule is exact to rounding from about one on.
POINTS = 10
MOST_POINTS = 10**6


@dataclass(frozen=True, eq=False)
class Curvature:
    """What `curvature` returns: the spectrum of the Hessian or the Gauss-Newton matrix of a loss.

    Attributes
    ----------
    matrix : {"hessian", "gauss_newton"}
        The matrix.
    n_parameters : int
        Its size.
    eigenvalues : ndarray of shape (n_eigenvalues,)
        The largest eigenvalues, in decreasing order.
    eigenvectors : ndarray of shape (n_parameters, n_eigenvalues) or None
        Their eigenvectors of norm one, as columns, if asked for.
    smallest_eigenvalue : float
        The smallest eigenvalue; negative at a saddle point.
    trace : float
        Estimate of the sum of all eigenvalues; NaN without probes.
    trace_error : float
        Its standard error; NaN with fewer than two probes.
    ritz_values, ritz_weights : ndarray of shape (n_nodes,)
        Estimate of the spectral density: point masses, whose sum is one, probe after probe.
    """

    matrix: str
    n_parameters: int
    eigenvalues: Array
    eigenvectors: Array | None
    smallest_eigenvalue: float
    trace: float
    trace_error: float
    ritz_values: Array
    ritz_weights: Array

    @property
    def max_learning_rate(self) -> float:
        """2 / largest eigenvalue: near a minimum plain gradient descent diverges at larger rates.

        For steps of the whole gradient over these rows, without momentum. Infinite if there is no positive
        eigenvalue. Taken from the Hessian; with the Gauss-Newton matrix it is an estimate.
        """
        largest = float(self.eigenvalues[0])
        return 2 / largest if largest > 0 else np.inf

    @property
    def default_width(self) -> float:
        """A hundredth of the spectrum's range: the standard deviation by which `density` spreads masses."""
        low, high = self._range()
        # Where all eigenvalues are equal there is no range.
        return WIDTH * (max(high - low, 1e-6 * abs(high)) or 1.0)

    def density(self, grid: ArrayLike | None = None, *, width: float | None = None) -> tuple[Array, Array]:
        """The spectral density: what share of the eigenvalues lies where.

        The point masses of ``ritz_values``, each spread to a normal density.

        Parameters
        ----------
        grid : array-like of shape (n_points,), default=None
            Where to evaluate it. None covers all eigenvalues, and the integral over it is one.
        width : float, default=None
            Standard deviation of the normal densities; None takes ``default_width``.

        Returns
        -------
        grid : ndarray of shape (n_points,)
            The points.
        density : ndarray of shape (n_points,)
            The density there.

        Raises
        ------
        ValueError
            If there were no probes, ``width`` is not positive or, without a grid, so small that a million
            points would not show it, or ``grid`` is not a vector of finite numbers.
        """
        if not self.ritz_values.size:
            raise ValueError("There is no density without probes: set n_probes to at least 1.")
        width = self.default_width if width is None else width
        check_positive("width", width)
        if grid is None:
            low, high = self._range()
            low, high = low - 6 * width, high + 6 * width  # beyond are 2e-9 of a normal density
            n_points = POINTS * (high - low) / width
            if n_points > MOST_POINTS:
                raise ValueError(
                    f"width={width:.6g} takes {n_points:.2g} points from {low:.6g} to {high:.6g}. Increase "
                    "it, or give a grid."
                )
            points = np.linspace(low, high, 1 + int(np.ceil(n_points)))
        else:
            points = np.asarray(grid, dtype=np.float64)
            if points.ndim != 1 or not points.size or not np.isfinite(points).all():
                raise ValueError("grid must be a vector of finite numbers.")
        density = np.zeros_like(points)
        for node, weight in zip(self.ritz_values, self.ritz_weights, strict=True):
            density += weight * np.exp(-0.5 * ((points - node) / width) ** 2)
        return points, density / (width * np.sqrt(2 * np.pi))

    def _range(self) -> tuple[float, float]:
        """The ends of the spectrum; an estimate of the density may go beyond by rounding."""
        ends = np.concatenate([[self.smallest_eigenvalue, self.eigenvalues[0]], self.ritz_values])
        return float(ends.min()), float(ends.max())


def curvature(
    est: Any,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    matrix: str = "hessian",
    n_eigenvalues: int = 1,
    eigenvectors: bool = False,
    n_probes: int = 10,
    n_lanczos: int = 50,
    tol: float = 1e-6,
    random_state: Any = None,
) -> Curvature:
    """Eigenvalues, trace and spectral density of the curvature at a fitted estimator's weights.

    From products of the matrix with vectors. It is never formed, unless it is so small that ARPACK would take
    as many products. The loss is that of training over these rows, with its penalty; see
    :mod:`gdfast.inspect`. Computed in float64.

    The largest eigenvalues and the smallest are accurate to ``tol``, by ARPACK's implicitly restarted Lanczos
    method (`scipy.sparse.linalg.eigsh`). Trace and density are estimates from random vectors of signs, by
    Hutchinson's method and by stochastic Lanczos quadrature. They take ``n_probes * n_lanczos`` products and
    memory for ``n_lanczos`` vectors of all parameters.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
        A fitted estimator.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets, as for ``fit``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as for ``fit``.
    matrix : {"hessian", "gauss_newton"}, default="hessian"
        The matrix; see `hessian_vector_product` and `gauss_newton_vector_product`.
    n_eigenvalues : int, default=1
        Number of largest eigenvalues.
    eigenvectors : bool, default=False
        Whether to keep their eigenvectors.
    n_probes : int, default=10
        Number of random vectors for trace and density; 0 leaves both out. The trace's standard error falls by
        the square root of it.
    n_lanczos : int, default=50
        Number of products for each of them, which is the number of point masses in the density; 1 is enough
        for the trace.
    tol : float, default=1e-6
        Norm of an eigenvector's residual, relative to the largest magnitude of an eigenvalue. The error of an
        eigenvalue that stands apart is of the order of its square. For the smallest eigenvalue it is at least
        1e-4.
    random_state : int, RandomState instance or None, default=None
        Random numbers for the probes and the start of ARPACK. With an int, the result has the same bits every
        time, for any number of threads.

    Returns
    -------
    Curvature
        The eigenvalues, trace and density.

    Raises
    ------
    TypeError
        If ``est`` is not an MLPClassifier or MLPRegressor, or an argument has another type.
    NotFittedError
        If ``est`` is not fitted.
    ValueError
        If an argument is out of range, ``n_eigenvalues`` larger than the number of parameters for instance;
        X, y or ``sample_weight`` do not fit; weights or products are not finite; the estimator has
        ``batch_norm``, ``bayesian_regularization`` or embedded columns; or the Gauss-Newton matrix is asked
        for with the loss "absolute_error" or "quantile".
    scipy.sparse.linalg.ArpackNoConvergence
        If the eigenvalues have not reached ``tol``.

    See Also
    --------
    gdfast.CurvatureDisplay : Plot of the spectral density.

    References
    ----------
    Ghorbani, Krishnan and Xiao, "An investigation into neural net optimization via Hessian eigenvalue
    density", ICML (2019). Hutchinson, "A stochastic estimator of the trace of the influence matrix for
    Laplacian smoothing splines", Communications in Statistics 19 (1990).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import MLPClassifier
    >>> from gdfast.inspect import curvature
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier((5,), activation="tanh", alpha=0.1, solver="newton-cg", random_state=0).fit(X, y)
    >>> found = curvature(clf, X, y, n_eigenvalues=3, random_state=0)
    >>> found.eigenvalues.shape, found.n_parameters
    ((3,), 43)
    >>> bool(found.smallest_eigenvalue < found.eigenvalues[-1] <= found.eigenvalues[0])
    True
    >>> bool(abs(found.max_learning_rate * found.eigenvalues[0] - 2) < 1e-12)
    True
    """
    if not isinstance(matrix, str) or matrix not in FUNCTIONS:
        raise ValueError(f"matrix must be one of {sorted(FUNCTIONS)}, got {matrix!r}.")
    check_count("n_eigenvalues", n_eigenvalues)
    check_flag("eigenvectors", eigenvectors)
    check_count("n_probes", n_probes, 0)
    check_count("n_lanczos", n_lanczos)
    check_positive("tol", tol)
    random = check_random_state(random_state)
    product = Matrix(matrix, est, X, y, sample_weight)
    n = product.n_parameters
    if n_eigenvalues > n:
        raise ValueError(f"n_eigenvalues must be at most {n}, the number of parameters, got {n_eigenvalues}.")
    with on_threads(1, beside_core=True):
        ends = extremes(product, random.normal(size=n), n_eigenvalues, tol)
        probes = [
            quadrature(product, 2.0 * random.randint(2, size=n) - 1.0, min(n_lanczos, n))
            for _ in range(n_probes)
        ]
    # Of signs v, v' A v is n times the mean of the quadrature.
    traces = n * np.array([np.dot(probe.weights, probe.nodes) for probe in probes])
    return Curvature(
        matrix=matrix,
        n_parameters=n,
        eigenvalues=ends.largest.copy(),
        eigenvectors=ends.vectors.copy() if eigenvectors else None,
        smallest_eigenvalue=ends.smallest,
        trace=float(traces.mean()) if n_probes else np.nan,
        trace_error=float(traces.std(ddof=1) / np.sqrt(n_probes)) if n_probes > 1 else np.nan,
        ritz_values=np.concatenate([probe.nodes for probe in probes] or [np.empty(0)]),
        ritz_weights=np.concatenate([probe.weights / n_probes for probe in probes] or [np.empty(0)]),
    )
