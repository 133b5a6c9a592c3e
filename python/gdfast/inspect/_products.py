"""Products with the Hessian and the Gauss-Newton matrix of an estimator's loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdfast import _core
from gdfast.estimators._feed_forward import FeedForward
from gdfast.training.arrays import Array
from gdfast.training.full_batch import Product, loss_arguments
from gdfast.training.weights import Weights

FUNCTIONS = {
    "hessian": _core.hessian_vector_product,
    "gauss_newton": _core.gauss_newton_vector_product,
}


class Matrix:
    """The Hessian or the Gauss-Newton matrix at an estimator's weights, as a function of one vector.

    Attributes
    ----------
    n_parameters : int
    weights : Weights
        In float64.
    """

    def __init__(self, matrix: str, est: Any, X: Any, y: Any, sample_weight: Any) -> None:
        _check_kind(est)
        network, loss, data, self.weights, alpha = est._loss_at_weights(
            X, y, sample_weight, np.dtype(np.float64)
        )
        weights = self.weights
        arguments = loss_arguments(network, loss, data, weights.coefs, weights.intercepts, alpha)
        self._product = Product(FUNCTIONS[matrix], arguments, weights)
        self.n_parameters = sum(array.size for array in weights)

    def __call__(self, v: Array) -> Array:
        product = self._product(v)
        if not np.isfinite(product).all():
            raise ValueError("The product is not finite: the weights, or the samples, are too large.")
        return product


def hessian_vector_product(est: Any, X: Any, y: Any, direction: Any, sample_weight: Any = None) -> Any:
    """Hessian of a fitted estimator's loss, times a vector.

    The loss is that of training over these rows, with its penalty; see :mod:`gdfast.inspect`. Exact, by
    Pearlmutter's R-operator, in about the time of two gradients, and in float64. At a kink, such as relu's,
    the second derivative is that of one of the sides: what is straight on both counts as straight. For
    "absolute_error" and "quantile" this leaves the curvature of the network.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
        A fitted estimator.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets, as for ``fit``.
    direction : (list of array-like, list of array-like), or array-like of shape (n_parameters,)
        The vector: arrays with the shapes of ``coefs_`` and of ``intercepts_``; or all of them in one array.
        Real and finite; any dtype and layout is converted.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as for ``fit``.

    Returns
    -------
    (list of ndarray, list of ndarray), or ndarray of shape (n_parameters,)
        The product, float64, in the form of ``direction``.

    Raises
    ------
    TypeError
        If ``est`` is not an MLPClassifier or MLPRegressor, or ``direction`` does not hold real numbers.
    NotFittedError
        If ``est`` is not fitted.
    ValueError
        If ``direction`` has another shape or is not finite; X, y or ``sample_weight`` do not fit; weights or
        products are not finite; or the estimator has ``batch_norm``, ``bayesian_regularization`` or embedded
        columns.

    See Also
    --------
    gdfast.kernels.mlp_hessian_vector_product : The same for plain arrays.
    curvature : Eigenvalues, trace and spectral density.

    References
    ----------
    Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast import MLPRegressor
    >>> from gdfast.inspect import hessian_vector_product
    >>> X = np.array([[-1.0], [0.0], [1.0]])
    >>> est = MLPRegressor(hidden_layer_sizes=(), alpha=0.0, solver="lbfgs").fit(X, 2 * X.ravel())
    >>> hessian_vector_product(est, X, 2 * X.ravel(), [3.0, 5.0])
    array([2., 5.])
    >>> hessian_vector_product(est, X, 2 * X.ravel(), ([[[3.0]]], [[5.0]]))
    ([array([[2.]])], [array([5.])])
    """
    return _product("hessian", est, X, y, direction, sample_weight)


def gauss_newton_vector_product(est: Any, X: Any, y: Any, direction: Any, sample_weight: Any = None) -> Any:
    """Gauss-Newton matrix of a fitted estimator's loss, times a vector.

    The matrix is the Hessian without the curvature of the network: the mean of ``J' H J`` over the rows plus
    the penalty, where J is the Jacobian of the output layer's pre-activations and H the Hessian of the loss
    in them. It is positive semidefinite. But for "huber" and the penalty it is the Fisher information matrix.
    For the loss, see :mod:`gdfast.inspect`. Exact, in less than the time of two gradients, and in float64.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
        A fitted estimator.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets, as for ``fit``.
    direction : (list of array-like, list of array-like), or array-like of shape (n_parameters,)
        The vector: arrays with the shapes of ``coefs_`` and of ``intercepts_``; or all of them in one array.
        Real and finite; any dtype and layout is converted.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as for ``fit``.

    Returns
    -------
    (list of ndarray, list of ndarray), or ndarray of shape (n_parameters,)
        The product, float64, in the form of ``direction``.

    Raises
    ------
    TypeError
        If ``est`` is not an MLPClassifier or MLPRegressor, or ``direction`` does not hold real numbers.
    NotFittedError
        If ``est`` is not fitted.
    ValueError
        For "absolute_error" and "quantile", which are straight lines in the outputs. If ``direction`` has
        another shape or is not finite; X, y or ``sample_weight`` do not fit; weights or products are not
        finite; or the estimator has ``batch_norm``, ``bayesian_regularization`` or embedded columns.

    See Also
    --------
    gdfast.kernels.mlp_gauss_newton_vector_product : The same for plain arrays.
    curvature : Eigenvalues, trace and spectral density.

    References
    ----------
    Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural Computation
    14 (2002).

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast import MLPRegressor
    >>> from gdfast.inspect import gauss_newton_vector_product
    >>> X = np.array([[-1.0], [0.0], [1.0]])
    >>> est = MLPRegressor(hidden_layer_sizes=(), alpha=0.0, solver="lbfgs").fit(X, 2 * X.ravel())
    >>> gauss_newton_vector_product(est, X, 2 * X.ravel(), [3.0, 5.0])
    array([2., 5.])
    """
    return _product("gauss_newton", est, X, y, direction, sample_weight)


def _product(name: str, est: Any, X: Any, y: Any, direction: Any, sample_weight: Any) -> Any:
    matrix = Matrix(name, est, X, y, sample_weight)
    weights = matrix.weights
    in_layers = isinstance(direction, tuple)
    product = matrix(_of_layers(direction, weights) if in_layers else _of_vector(direction, weights))
    if not in_layers:
        return product
    n_layers, parts = len(weights.coefs), weights.split(product)
    return parts[:n_layers], parts[n_layers:]


def _of_vector(direction: Any, weights: Weights) -> Array:
    return _numbers(direction, (sum(array.size for array in weights),), "direction")


def _of_layers(direction: tuple[Any, ...], weights: Weights) -> Array:
    if len(direction) != 2 or not all(isinstance(part, list | tuple) for part in direction):
        raise TypeError(
            "direction must be a tuple (list of arrays as coefs_, list of arrays as intercepts_), or one "
            "array of all parameters."
        )
    taken = []
    for part, arrays, name in zip(
        direction, (weights.coefs, weights.intercepts), ("coefs_", "intercepts_"), strict=True
    ):
        if len(part) != len(arrays):
            raise ValueError(f"direction has {len(part)} arrays for the {len(arrays)} of {name}.")
        for i, (given, like) in enumerate(zip(part, arrays, strict=True)):
            taken.append(_numbers(given, like.shape, f"direction, at {name}[{i}],").ravel())
    return np.concatenate(taken)


def _numbers(given: Any, shape: tuple[int, ...], name: str) -> Array:
    try:
        array = np.asarray(given)
    except ValueError:  # lists of different lengths
        raise ValueError(f"{name} must have the shape {shape}.") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got {type(given).__name__} of {array.dtype}.")
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {array.shape}.")
    array = np.ascontiguousarray(array, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite.")
    return array


def _check_kind(est: Any) -> None:
    if isinstance(est, FeedForward):
        return
    hint = ""
    if hasattr(est, "steps"):
        hint = " Give the network in it, pipeline[-1], and X as the other steps transform it."
    elif hasattr(est, "best_estimator_"):
        hint = " Give its best_estimator_."
    raise TypeError(
        f"est must be a gdfast.MLPClassifier or gdfast.MLPRegressor, got {type(est).__name__}.{hint}"
    )
