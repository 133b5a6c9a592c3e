"""Forward pass, Jacobian, loss and gradient, and optimizer updates as functions on NumPy arrays.

Every function takes C-contiguous arrays of one dtype, float32 or float64, and reads or writes them directly:
arrays are never copied or converted. An array of another dtype or layout raises an error that names the
argument, before anything is written. NaN and infinity propagate through sums and products by IEEE 754;
activations, outputs, losses and their derivatives take their limits at infinity and propagate NaN. Denormal
numbers (below 1.2e-38 in float32, 2.2e-308 in float64) count as zero. The GIL is released during the
computation, and results are bitwise identical for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gdfast import _core
from gdfast._checks import check_count, check_not_negative
from gdfast.optim._adam import adam_update, adamax_update, adamw_update, nadam_update
from gdfast.optim._adaptive import adadelta_update, adagrad_update, rmsprop_update
from gdfast.optim._sgd import sgd_update
from gdfast.optim._sign import lion_update, rprop_update

__all__ = [
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "adamax_update",
    "adamw_update",
    "lion_update",
    "mlp_fisher_diagonal",
    "mlp_forward",
    "mlp_gauss_newton_diagonal",
    "mlp_gauss_newton_vector_product",
    "mlp_hessian_vector_product",
    "mlp_jacobian",
    "mlp_kronecker_factors",
    "mlp_loss_and_grad",
    "nadam_update",
    "rmsprop_update",
    "rprop_update",
    "sgd_update",
]


def __dir__() -> list[str]:
    return list(__all__)


FloatArray: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Activation: TypeAlias = str | tuple[str, float]
Layers: TypeAlias = tuple[Sequence[FloatArray], Sequence[FloatArray]]  # of the weights, of the biases


def mlp_forward(
    X: FloatArray,
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    output: str = "identity",
    out: FloatArray | None = None,
    n_threads: int | None = None,
) -> NDArray[Any]:
    """Output of a multilayer perceptron for every row of X.

    Layer by layer, ``a = f(a @ weights[l] + biases[l])``, beginning with ``a = X``.

    Parameters
    ----------
    X : array of shape (n, n_features), float32 or float64
        The input data. All arrays have its dtype. It may be read-only, and ``n`` may be 0.
    weights : list of arrays of shape (fan_in, fan_out)
        One per layer, the output layer included; each fan_in is the fan_out of the layer before.
    biases : list of arrays of shape (fan_out,)
        One per layer.
    activation : str, (str, float), or a list of them, default="relu"
        Activation of the hidden layers: one for all of them, or one for each. "identity", "logistic", "tanh",
        "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign" or
        "hard_tanh"; ("leaky_relu", slope) sets the slope for negative inputs, 0.01 by default, and ("elu",
        alpha) sets alpha, 1 by default; neither may be negative.
    output : {"identity", "softmax", "logistic", "exp", "quantiles"}, default="identity"
        Activation of the output layer. "quantiles" is the cumulative sum of the first output and the softplus
        of each further output, which never decreases.
    out : array of shape (n, n_outputs), default=None
        Array for the result. None allocates a new one.
    n_threads : int, default=None
        Maximum number of threads. None uses as many as the amount of work justifies, at most OpenMP's
        maximum. The result does not depend on it.

    Returns
    -------
    array of shape (n, n_outputs)
        ``out`` itself, if given.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes do not match, an array is not C-contiguous, ``out`` is read-only or overlaps an input, or a
        name is unknown.

    References
    ----------
    Goodfellow, Bengio and Courville, *Deep Learning* (2016), algorithm 6.3.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import mlp_forward
    >>> X = np.array([[1.0, 2.0], [3.0, -4.0]])
    >>> weights = [np.eye(2), np.array([[1.0], [10.0]])]
    >>> biases = [np.zeros(2), np.array([0.5])]
    >>> mlp_forward(X, weights, biases)
    array([[21.5],
           [ 3.5]])
    """
    limit = 0 if n_threads is None else _thread_limit(n_threads)
    try:
        each = _for_each_layer(activation, len(weights) - 1)
        return _core.forward(X, weights, biases, each, output, None, out, limit)
    except (TypeError, ValueError, RuntimeError):
        _check_kinds(weights, biases, activation, output=output)
        raise


def mlp_jacobian(
    X: FloatArray,
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    output: str = "identity",
    out: FloatArray | None = None,
    n_threads: int | None = None,
) -> NDArray[Any]:
    """Derivatives of a multilayer perceptron's outputs with respect to every weight and bias.

    One backward pass for each output, over the same blocks of rows as the forward pass; beside the result
    memory does not grow with the number of rows. Rows are independent of one another: where the result is
    too large, call the function with some rows of X at a time, and with the same ``out``.

    Parameters
    ----------
    X : array of shape (n, n_features), float32 or float64
        The input data. All arrays have its dtype. ``n`` may be 0.
    weights : list of arrays of shape (fan_in, fan_out)
        One per layer, the output layer included.
    biases : list of arrays of shape (fan_out,)
        One per layer.
    activation : str, (str, float), or a list of them, default="relu"
        Activation of the hidden layers, see `mlp_forward`. The derivative of "relu" and "leaky_relu" at 0 is
        that for negative inputs, of "hard_tanh" at -1 and 1 it is 0.
    output : {"identity", "softmax", "logistic", "exp", "quantiles"}, default="identity"
        Activation of the output layer, see `mlp_forward`.
    out : array of shape (n, n_outputs, n_parameters), default=None
        Array for the result. None allocates a new one.
    n_threads : int, default=None
        Maximum number of threads; see `mlp_forward`.

    Returns
    -------
    array of shape (n, n_outputs, n_parameters)
        ``out`` itself, if given. The parameters are all weights, layer after layer and each matrix row by
        row, then all biases.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes do not match, an array is not C-contiguous, ``out`` is read-only or overlaps an input, or a
        name is unknown.

    References
    ----------
    Hagan and Menhaj, "Training feedforward networks with the Marquardt algorithm", IEEE Transactions on
    Neural Networks 5 (1994).

    Examples
    --------
    The output is ``3 * x + 1``; its derivatives are ``x`` and 1.

    >>> import numpy as np
    >>> from gdfast.kernels import mlp_jacobian
    >>> mlp_jacobian(np.array([[2.0], [5.0]]), [np.array([[3.0]])], [np.array([1.0])])
    array([[[2., 1.]],
    <BLANKLINE>
           [[5., 1.]]])
    """
    limit = 0 if n_threads is None else _thread_limit(n_threads)
    try:
        each = _for_each_layer(activation, len(weights) - 1)
        return _core.jacobian(X, weights, biases, each, output, out, limit)
    except (TypeError, ValueError, RuntimeError):
        _check_kinds(weights, biases, activation, output=output)
        raise


def mlp_loss_and_grad(
    X: FloatArray,
    y: FloatArray | NDArray[np.int32],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    loss: str | tuple[str, Sequence[float]] = "squared_error",
    alpha: float = 0.0,
    sample_weight: FloatArray | None = None,
    out: Layers | None = None,
    n_threads: int | None = None,
) -> tuple[float, Layers]:
    """Loss of a multilayer perceptron and its gradient for every weight and bias.

    The loss is averaged over the rows (weighted by ``sample_weight``, if given) and summed over the outputs,
    plus the penalty ``alpha / 2 * sum of squared weights / n`` (n is the sum of ``sample_weight``, if given).
    Each loss determines the output activation:

    ======================== ========== =============================================================
    loss                     output     loss of one output of one row, t the target, p the output
    ======================== ========== =============================================================
    ``squared_error``        identity   ``(t - p)**2 / 2``
    ``cross_entropy``        softmax    ``-log(p)`` of the row's class
    ``binary_cross_entropy`` logistic   ``-t * log(p) - (1 - t) * log(1 - p)``
    ``poisson``              exp        ``t * log(t / p) - t + p``: half the deviance
    ``absolute_error``       identity   ``abs(t - p)``
    ``huber``                identity   ``(t - p)**2 / 2`` if ``abs(t - p) <= delta``, else linear
    ``quantile``             quantiles  ``max(q * (t - p), (q - 1) * (t - p))``, q the output's quantile
    ======================== ========== =============================================================

    Probabilities are clipped to one machine epsilon from 0 and 1 before the logarithm.

    Parameters
    ----------
    X : array of shape (n, n_features), float32 or float64
        At least one row.
    y : array of shape (n, n_outputs), the dtype of X; for cross_entropy int32 of shape (n,)
        Targets: numbers; in [0, 1] for binary_cross_entropy; not negative for poisson; class indices
        0..n_outputs - 1 for cross_entropy. For quantile one column, whatever the number of outputs.
    weights : list of arrays of shape (fan_in, fan_out)
        One per layer, the output layer included.
    biases : list of arrays of shape (fan_out,)
        One per layer.
    activation : str, (str, float), or a list of them, default="relu"
        Activation of the hidden layers: one for all of them, or one for each. "identity", "logistic", "tanh",
        "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign" or
        "hard_tanh"; ("leaky_relu", slope) sets the slope for negative inputs, 0.01 by default, and ("elu",
        alpha) sets alpha, 1 by default; neither may be negative.
    loss : str or (str, list of float), default="squared_error"
        See the table above. ("huber", [delta]) and ("quantile", [q, ...]), with one quantile for each output,
        strictly increasing in (0, 1), have parameters; ("cross_entropy", [e]) smooths the labels: the row's
        class has the target ``1 - e + e / n_outputs``, every other class ``e / n_outputs`` (Szegedy et al.,
        2016).
    alpha : float, default=0.0
        Strength of the L2 penalty on the weights; biases are not penalized.
    sample_weight : array of shape (n,), the dtype of X, default=None
        Weights of the rows; their sum must not be 0.
    out : (list of arrays, list of arrays), default=None
        Arrays for the gradients of weights and biases, of the same shapes. None allocates new arrays.
    n_threads : int, default=None
        Maximum number of threads; see `mlp_forward`.

    Returns
    -------
    loss : float
    gradients : (list of arrays, list of arrays)
        Of the weights and of the biases; ``out`` itself, if given.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes do not match, an array is not C-contiguous, an array of ``out`` is read-only or is the array
        that it is the gradient of, X has no rows, a class index is out of range, the sample weights sum to 0,
        alpha is negative or not finite, or a name is unknown.

    References
    ----------
    Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323 (1986).

    Examples
    --------
    One weight and one row: the loss is ``(3 * 2 - 5)**2 / 2``, its derivative ``(3 * 2 - 5) * 2``.

    >>> import numpy as np
    >>> from gdfast.kernels import mlp_loss_and_grad
    >>> X, y = np.array([[2.0]]), np.array([[5.0]])
    >>> loss, (weight_grads, bias_grads) = mlp_loss_and_grad(X, y, [np.array([[3.0]])], [np.zeros(1)])
    >>> loss, weight_grads, bias_grads
    (0.5, [array([[2.]])], [array([1.])])
    """
    check_not_negative("alpha", alpha)
    limit = 0 if n_threads is None else _thread_limit(n_threads)
    try:
        each = _for_each_layer(activation, len(weights) - 1)
        out = _out_or_new(out, weights, biases, "gradients")
        value = _core.loss_and_grad(X, y, weights, biases, each, loss, alpha, sample_weight, *out, limit)
    except (TypeError, ValueError, RuntimeError):
        _check_kinds(weights, biases, activation)
        raise
    return value, out


def mlp_hessian_vector_product(
    X: FloatArray,
    y: FloatArray | NDArray[np.int32],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    direction: Layers,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    loss: str | tuple[str, Sequence[float]] = "squared_error",
    alpha: float = 0.0,
    sample_weight: FloatArray | None = None,
    out: Layers | None = None,
    n_threads: int | None = None,
) -> Layers:
    """Hessian of a multilayer perceptron's loss, times a vector.

    Exact, by Pearlmutter's R-operator: one forward and one backward pass of values and tangents together, at
    about the cost of two gradients. The matrix is never formed.

    The second derivative is that of the gradient which `mlp_loss_and_grad` computes. At a kink (of relu,
    leaky_relu, hard_tanh, elu or selu at 0; of absolute_error, huber and quantile) there is none, and that
    of one of the sides is taken, as automatic differentiation does: what is straight on both sides counts as
    straight. So absolute_error and quantile have no curvature of their own, and their Hessian is that of the
    network between their kinks.

    Parameters
    ----------
    X, y, weights, biases, activation, loss, alpha, sample_weight
        As in `mlp_loss_and_grad`: the function is the loss that it returns.
    direction : (list of arrays, list of arrays)
        The vector: an array for each of the weights, and one for each of the biases, of their shapes and
        dtype.
    out : (list of arrays, list of arrays), default=None
        Arrays for the products of weights and biases, of the same shapes. None allocates new arrays.
    n_threads : int, default=None
        Maximum number of threads; see `mlp_forward`. The bits do not depend on it.

    Returns
    -------
    (list of arrays, list of arrays)
        Of the weights and of the biases; ``out`` itself, if given.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes do not match, an array is not C-contiguous, an array of ``out`` is read-only or shares
        memory with what is read, X has no rows, a class index is out of range, the sample weights sum to 0,
        alpha is negative or not finite, or a name is unknown.

    See Also
    --------
    mlp_gauss_newton_vector_product : The same with a matrix without negative curvature.
    gdfast.inspect.hessian_vector_product : For fitted estimators.

    References
    ----------
    Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).

    Examples
    --------
    One weight, one bias, one row: the loss is ``(2 w + b - 5)**2 / 2``, its Hessian ``[[4, 2], [2, 1]]``.

    >>> import numpy as np
    >>> from gdfast.kernels import mlp_hessian_vector_product
    >>> X, y = np.array([[2.0]]), np.array([[5.0]])
    >>> weights, biases = [np.array([[3.0]])], [np.zeros(1)]
    >>> direction = [np.array([[1.0]])], [np.array([10.0])]
    >>> mlp_hessian_vector_product(X, y, weights, biases, direction=direction)
    ([array([[24.]])], [array([12.])])
    """
    return _product(
        _core.hessian_vector_product, X, y, weights, biases, direction, activation, loss, alpha,
        sample_weight, out, n_threads,
    )  # fmt: skip


def mlp_gauss_newton_vector_product(
    X: FloatArray,
    y: FloatArray | NDArray[np.int32],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    direction: Layers,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    loss: str | tuple[str, Sequence[float]] = "squared_error",
    alpha: float = 0.0,
    sample_weight: FloatArray | None = None,
    out: Layers | None = None,
    n_threads: int | None = None,
) -> Layers:
    """Gauss-Newton matrix of a multilayer perceptron's loss, times a vector.

    The matrix is the mean of ``J' H J`` over the rows: J is the Jacobian of the output layer's
    pre-activations with respect to weights and biases, H the Hessian of the loss with respect to those
    pre-activations. The Hessian of the loss has one more term, the curvature of the network. Without it the
    matrix is positive semidefinite. For cross_entropy, binary_cross_entropy, squared_error and poisson it is
    the Fisher information matrix, whose expectation is over targets drawn from the network's predictions.

    Computed from a forward pass of values and tangents and a backward pass, in less than the time of two
    gradients. Huber's loss counts as straight beyond its delta. The penalty has ``alpha / n`` on the
    diagonal, see `mlp_loss_and_grad`.

    Parameters
    ----------
    X, y, weights, biases, activation, loss, alpha, sample_weight
        As in `mlp_loss_and_grad`: the function is the loss that it returns.
    direction : (list of arrays, list of arrays)
        The vector: an array for each of the weights, and one for each of the biases, of their shapes and
        dtype.
    out : (list of arrays, list of arrays), default=None
        Arrays for the products of weights and biases, of the same shapes. None allocates new arrays.
    n_threads : int, default=None
        Maximum number of threads; see `mlp_forward`. The bits do not depend on it.

    Returns
    -------
    (list of arrays, list of arrays)
        Of the weights and of the biases; ``out`` itself, if given.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        For absolute_error and quantile, which are straight lines in the outputs: their matrix would be zero.
        If shapes do not match, an array is not C-contiguous, an array of ``out`` is read-only or shares
        memory with what is read, X has no rows, a class index is out of range, the sample weights sum to 0,
        alpha is negative or not finite, or a name is unknown.

    See Also
    --------
    mlp_hessian_vector_product : The same with the Hessian.
    gdfast.inspect.gauss_newton_vector_product : For fitted estimators.

    References
    ----------
    Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural Computation
    14 (2002).

    Examples
    --------
    Without hidden layers it is the Hessian.

    >>> import numpy as np
    >>> from gdfast.kernels import mlp_gauss_newton_vector_product
    >>> X, y = np.array([[2.0]]), np.array([[5.0]])
    >>> weights, biases = [np.array([[3.0]])], [np.zeros(1)]
    >>> direction = [np.array([[1.0]])], [np.array([10.0])]
    >>> mlp_gauss_newton_vector_product(X, y, weights, biases, direction=direction)
    ([array([[24.]])], [array([12.])])
    """
    return _product(
        _core.gauss_newton_vector_product, X, y, weights, biases, direction, activation, loss, alpha,
        sample_weight, out, n_threads,
    )  # fmt: skip


def mlp_gauss_newton_diagonal(
    X: FloatArray,
    y: FloatArray | NDArray[np.int32],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    loss: str | tuple[str, Sequence[float]] = "squared_error",
    alpha: float = 0.0,
    sample_weight: FloatArray | None = None,
    out: Layers | None = None,
    n_threads: int | None = None,
) -> Layers:
    """Diagonal of the Gauss-Newton matrix of a multilayer perceptron's loss.

    The matrix is that of `mlp_gauss_newton_vector_product`. Exact, by one backward pass for each output: the
    time grows with the number of outputs. For cross_entropy, binary_cross_entropy, squared_error and poisson
    it is the diagonal of the Fisher information matrix.

    Parameters
    ----------
    X, y, weights, biases, activation, loss, alpha, sample_weight
        As in `mlp_loss_and_grad`: the function is the loss that it returns.
    out : (list of arrays, list of arrays), default=None
        Arrays for the diagonal of weights and biases, of the same shapes. None allocates new arrays.
    n_threads : int, default=None
        Maximum number of threads; see `mlp_forward`. The bits do not depend on it.

    Returns
    -------
    (list of arrays, list of arrays)
        Of the weights and of the biases; ``out`` itself, if given.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        For absolute_error and quantile, which are straight lines in the outputs: their matrix would be zero.
        If shapes do not match, an array is not C-contiguous, an array of ``out`` is read-only or shares
        memory with what is read, X has no rows, a class index is out of range, the sample weights sum to 0,
        alpha is negative or not finite, or a name is unknown.

    See Also
    --------
    mlp_fisher_diagonal : Of the empirical Fisher matrix, in one backward pass.

    References
    ----------
    Dangel, Kunstner and Hennig, "BackPACK: Packing more into backprop", ICLR (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import mlp_gauss_newton_diagonal
    >>> X, y = np.array([[2.0], [3.0]]), np.array([[5.0], [5.0]])
    >>> mlp_gauss_newton_diagonal(X, y, [np.array([[3.0]])], [np.zeros(1)])
    ([array([[6.5]])], [array([1.])])
    """
    return _diagonal(
        _core.gauss_newton_diagonal, X, y, weights, biases, activation, loss, alpha, sample_weight, out,
        n_threads,
    )  # fmt: skip


def mlp_fisher_diagonal(
    X: FloatArray,
    y: FloatArray | NDArray[np.int32],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    loss: str | tuple[str, Sequence[float]] = "squared_error",
    alpha: float = 0.0,
    sample_weight: FloatArray | None = None,
    out: Layers | None = None,
    n_threads: int | None = None,
) -> Layers:
    """Diagonal of the empirical Fisher matrix of a multilayer perceptron's loss.

    The mean of the squared gradients of each row's own loss (weighted by ``sample_weight``, if given), plus
    ``alpha / n`` for the weights, the penalty's curvature. It is computed in about the time of one gradient,
    and for every loss. Its targets are the given ones, where the Fisher information matrix has an expectation
    over the network's predictions: for that, see `mlp_gauss_newton_diagonal`.

    Parameters
    ----------
    X, y, weights, biases, activation, loss, alpha, sample_weight
        As in `mlp_loss_and_grad`: the function is the loss that it returns.
    out : (list of arrays, list of arrays), default=None
        Arrays for the diagonal of weights and biases, of the same shapes. None allocates new arrays.
    n_threads : int, default=None
        Maximum number of threads; see `mlp_forward`. The bits do not depend on it.

    Returns
    -------
    (list of arrays, list of arrays)
        Of the weights and of the biases; ``out`` itself, if given.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes do not match, an array is not C-contiguous, an array of ``out`` is read-only or shares
        memory with what is read, X has no rows, a class index is out of range, the sample weights sum to 0,
        alpha is negative or not finite, or a name is unknown.

    See Also
    --------
    mlp_gauss_newton_diagonal : Exact curvature, in one backward pass for each output.

    References
    ----------
    Kunstner, Balles and Hennig, "Limitations of the empirical Fisher approximation for natural gradient
    descent", NeurIPS (2019).

    Examples
    --------
    The gradients of the two rows' losses by the weight are ``(6 - 5) * 2`` and ``(9 - 5) * 3``.

    >>> import numpy as np
    >>> from gdfast.kernels import mlp_fisher_diagonal
    >>> X, y = np.array([[2.0], [3.0]]), np.array([[5.0], [5.0]])
    >>> mlp_fisher_diagonal(X, y, [np.array([[3.0]])], [np.zeros(1)])
    ([array([[74.]])], [array([8.5])])
    """
    return _diagonal(
        _core.fisher_diagonal, X, y, weights, biases, activation, loss, alpha, sample_weight, out, n_threads
    )


def mlp_kronecker_factors(
    X: FloatArray,
    y: NDArray[Any],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    *,
    activation: Activation | list[Activation] | tuple[Activation, ...] = "relu",
    loss: Any = "squared_error",
    sample_weight: FloatArray | None = None,
    n_threads: int | None = None,
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Kronecker factors of the (empirical) Fisher matrix of a multilayer perceptron.

    A layer's gradient for one row is the product of its inputs ``a``, a 1 for the biases behind them, and
    its deltas ``d``, the derivatives of the row's loss with respect to the pre-activations. K-FAC takes the
    mean of ``a a'`` and that of ``d d'`` apart. For targets drawn from the distribution that the outputs
    describe, their product approximates a block of the Fisher matrix, otherwise of the empirical one.

    Parameters
    ----------
    X, y, weights, biases, activation, loss, n_threads
        As for `mlp_loss_and_grad`; X is dense.
    sample_weight : array of shape (n,), default=None
        Weights of the rows in the mean of ``d d'``; not negative.

    Returns
    -------
    list of (array of shape (fan_in + 1, fan_in + 1), array of shape (fan_out, fan_out))
        For each layer the means of ``a a'`` and ``d d'``, in the dtype of X.

    Raises
    ------
    TypeError, ValueError
        As for `mlp_loss_and_grad`; if a weight is negative, or X is sparse.

    References
    ----------
    Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import mlp_kronecker_factors
    >>> X, y = np.array([[1.0], [3.0]]), np.array([[0.0], [0.0]])
    >>> [(inputs, deltas)] = mlp_kronecker_factors(X, y, [np.ones((1, 1))], [np.zeros(1)])
    >>> inputs
    array([[5., 2.],
           [2., 1.]])
    >>> deltas
    array([[5.]])
    """
    limit = 0 if n_threads is None else _thread_limit(n_threads)
    try:
        each = _for_each_layer(activation, len(weights) - 1)
        return _core.kronecker_factors(X, y, weights, biases, each, loss, None, sample_weight, limit)
    except (TypeError, ValueError, RuntimeError):
        _check_kinds(weights, biases, activation, loss=loss)
        raise


def _product(
    function: Any,
    X: FloatArray,
    y: FloatArray | NDArray[np.int32],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    direction: Layers,
    activation: Activation | list[Activation] | tuple[Activation, ...],
    loss: str | tuple[str, Sequence[float]],
    alpha: float,
    sample_weight: FloatArray | None,
    out: Layers | None,
    n_threads: int | None,
) -> Layers:
    check_not_negative("alpha", alpha)
    limit = 0 if n_threads is None else _thread_limit(n_threads)
    try:
        each = _for_each_layer(activation, len(weights) - 1)
        _check_layers("direction", direction, "directions")
        out = _out_or_new(out, weights, biases, "products")
        function(X, y, weights, biases, each, loss, alpha, sample_weight, *direction, *out, limit)
    except (TypeError, ValueError, RuntimeError):
        _check_kinds(weights, biases, activation)
        raise
    return out


def _diagonal(
    function: Any,
    X: FloatArray,
    y: FloatArray | NDArray[np.int32],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    activation: Activation | list[Activation] | tuple[Activation, ...],
    loss: str | tuple[str, Sequence[float]],
    alpha: float,
    sample_weight: FloatArray | None,
    out: Layers | None,
    n_threads: int | None,
) -> Layers:
    check_not_negative("alpha", alpha)
    limit = 0 if n_threads is None else _thread_limit(n_threads)
    try:
        each = _for_each_layer(activation, len(weights) - 1)
        out = _out_or_new(out, weights, biases, "diagonals")
        function(X, y, weights, biases, each, loss, alpha, sample_weight, *out, limit)
    except (TypeError, ValueError, RuntimeError):
        _check_kinds(weights, biases, activation)
        raise
    return out


def _out_or_new(
    out: Layers | None, weights: Sequence[FloatArray], biases: Sequence[FloatArray], what: str
) -> Layers:
    if out is None:
        return [np.empty_like(w) for w in weights], [np.empty_like(b) for b in biases]
    _check_layers("out", out, what)
    return out


def _check_layers(name: str, layers: object, what: str) -> None:
    if (
        not isinstance(layers, tuple)
        or len(layers) != 2
        or not all(isinstance(part, list | tuple) for part in layers)
    ):
        raise TypeError(f"{name} must be a tuple (list of weight {what}, list of bias {what})")


def _for_each_layer(activation: Any, hidden: int) -> Any:
    return [activation] * hidden if _is_activation(activation) else activation


def _is_activation(entry: object) -> bool:
    """Whether this is one activation, such as ("elu", 0.5), and not a list, such as ("elu", "relu")."""
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        return isinstance(entry[1], int | float | np.integer | np.floating)
    return isinstance(entry, str)


def _thread_limit(n_threads: int) -> int:
    check_count("n_threads", n_threads)
    return min(n_threads, 2**16)  # fits the core's int


def _check_kinds(weights: object, biases: object, activation: object, **names: object) -> None:
    """Called after an error: replaces the errors of the binding, which name C++ types."""
    for name, layers in (("weights", weights), ("biases", biases)):
        if not isinstance(layers, list | tuple):
            kind = type(layers).__name__
            raise TypeError(f"{name} must be a list of arrays, one per layer, got {kind}") from None
    each = [activation] if _is_activation(activation) else activation
    if not isinstance(each, list | tuple) or not all(map(_is_activation, each)):
        raise TypeError(
            "activation must be a string, a pair of a string and a number, or a list of them, "
            f"got {activation!r}"
        ) from None
    for name, value in names.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a string, got {value!r}") from None
