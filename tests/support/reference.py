"""The whole method in plain NumPy, written to be read: this file is the specification of gdfast's core.

A network is a list of weight matrices ``coefs[l]`` of shape (fan_in, fan_out), a list of biases
``intercepts[l]``
of shape (fan_out,), one activation for each hidden layer and one for the output::

    a[0] = X                                     (n, n_features)
    a[l] = f_l(a[l-1] @ coefs[l-1] + intercepts[l-1])

Everything here works row-major on whole batches, in the dtype it is given, and returns new arrays. Nothing is
optimised; where a choice of formula could surprise, a comment says why it is this one.

Far out, at infinity too, activations, slopes and losses have their limits. An intermediate that has none (0
times infinity) or that overflows on its own is kept from it by ``near`` and by taking differences of halves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import reference_rules
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[Any]
OnGradient = Callable[[list[Array]], object]

# --------------------------------------------------------------------------------------------- activations


FAR = 1000.0  # in size: the logistic function, the normal one and tanh of softplus are 0 or 1 from there on


def near(z: Array) -> Array:
    return np.clip(z, -FAR, FAR)


def times(z: Array, factor: Array) -> Array:
    """``z * factor`` for a factor that vanishes at minus infinity: so does the product."""
    return np.maximum(z, -FAR) * factor


def identity(z: Array) -> Array:
    return z


def logistic(z: Array) -> Array:
    # exp of a number that is never positive: no overflow, and full relative precision on both tails.
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def elu(z: Array, alpha: float = 1.0) -> Array:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193, 1.6732632423543772848170


def normal(z: Array) -> tuple[Array, Array]:
    """Distribution function and density of the standard normal distribution."""
    return ndtr(z), np.exp(-(near(z) ** 2) / 2) / math.sqrt(2 * math.pi)


def gelu_tanh_inner(z: Array) -> Array:
    z = near(z)
    return math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)


def half_below_top(z: Array) -> Array:
    """Half of how far each is below its row's largest: nothing, if it is that. Several infinite ones: NaN."""
    top = z.max(axis=1, keepdims=True)
    alone = (z == top).sum(axis=1, keepdims=True) == 1
    with np.errstate(invalid="ignore"):
        return np.where((z == top) & alone, 0, z / 2 - top / 2)


def softmax(z: Array) -> Array:
    # The root first: twice the half may overflow.
    e = np.exp(half_below_top(z)) ** 2
    return e / e.sum(axis=1, keepdims=True)


def quantiles(z: Array) -> Array:
    """The first output, and each further one above the one before: they cannot cross."""
    return np.cumsum(np.concatenate([z[:, :1], softplus(z[:, 1:])], axis=1), axis=1)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "identity": identity,
    "logistic": logistic,
    "tanh": np.tanh,
    "relu": relu,
    "leaky_relu": lambda z, slope=0.01: np.where(z > 0, z, slope * z if slope > 0 else 0 * near(z)),
    "elu": elu,
    "selu": lambda z: SELU_SCALE * elu(z, SELU_ALPHA),
    "gelu": lambda z: times(z, normal(z)[0]),
    "gelu_tanh": lambda z: times(z, (1 + np.tanh(gelu_tanh_inner(z))) / 2),
    "silu": lambda z: times(z, logistic(z)),
    "mish": lambda z: times(z, np.tanh(softplus(z))),
    "softplus": softplus,
    "softsign": lambda z: np.clip(z, -1e30, 1e30) / (1 + np.minimum(np.abs(z), 1e30)),
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    # of the output layer only
    "softmax": softmax,
    "exp": np.exp,
    "quantiles": quantiles,
}


def elu_slope(z: Array, alpha: float = 1.0) -> Array:
    return np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0)))


def gelu_slope(z: Array) -> Array:
    below, density = normal(z)
    return below + near(z) * density


def gelu_tanh_slope(z: Array) -> Array:
    t = np.tanh(gelu_tanh_inner(z))
    inner_slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * near(z) ** 2)
    return (1 + t) / 2 + near(z) / 2 * (1 - t**2) * inner_slope


def mish_slope(z: Array) -> Array:
    t = np.tanh(softplus(z))
    return t + near(z) * (1 - t**2) * logistic(z)


# The derivative of each hidden activation.
SLOPES: dict[str, Callable[..., Array]] = {
    "identity": np.ones_like,
    "logistic": lambda z: logistic(z) * (1 - logistic(z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: (z > 0).astype(z.dtype),
    "leaky_relu": lambda z, slope=0.01: np.where(z > 0, 1, slope),
    "elu": elu_slope,
    "selu": lambda z: SELU_SCALE * elu_slope(z, SELU_ALPHA),
    "gelu": gelu_slope,
    "gelu_tanh": gelu_tanh_slope,
    "silu": lambda z: logistic(z) * (1 + near(z) * (1 - logistic(z))),
    "mish": mish_slope,
    "softplus": logistic,
    "softsign": lambda z: (1 / (1 + np.abs(z))) ** 2,
    "hard_tanh": lambda z: (np.abs(z) < 1).astype(z.dtype),
}

# An activation or a loss: its name, or a pair of its name and its parameter (a list of them, for a loss).
Named = str | tuple[str, Any]


def apply(functions: Mapping[str, Callable[..., Array]], entry: Named, z: Array) -> Array:
    return functions[entry](z) if isinstance(entry, str) else functions[entry[0]](z, entry[1])


def name_and_parameters(loss: Named) -> tuple[str, list[float]]:
    return (loss, []) if isinstance(loss, str) else (loss[0], list(loss[1]))


# The output activation that a loss implies.
OUTPUT_OF: dict[str, str] = {
    "cross_entropy": "softmax",
    "binary_cross_entropy": "logistic",
    "squared_error": "identity",
    "poisson": "exp",
    "absolute_error": "identity",
    "huber": "identity",
    "quantile": "quantiles",
}


def output_of(loss: Named) -> str:
    return OUTPUT_OF[name_and_parameters(loss)[0]]


# --------------------------------------------------------------------------------------------- forward


def forward_pass(
    X: Array, coefs: Sequence[Array], intercepts: Sequence[Array], activations: Sequence[Named], output: str
) -> tuple[list[Array], list[Array]]:
    """The values of every layer, from ``X`` itself to the output, and the sums of every layer behind X."""
    values, sums = [X], []
    for coef, intercept, entry in zip(coefs, intercepts, [*activations, output], strict=True):
        sums.append(values[-1] @ coef + intercept)
        values.append(apply(FUNCTIONS, entry, sums[-1]))
    return values, sums


def forward(
    X: Array, coefs: Sequence[Array], intercepts: Sequence[Array], activations: Sequence[Named], output: str
) -> Array:
    """The network's output, shape (n, k)."""
    return forward_pass(X, coefs, intercepts, activations, output)[0][-1]


# --------------------------------------------------------------------------------------------- losses


def x_log_y(x: Array, y: Array) -> Array:
    """``x * log(y)``, and 0 wherever x is 0 (also where y is 0)."""
    return x * np.log(y, out=np.zeros(np.broadcast(x, y).shape, np.result_type(x, y)), where=x != 0)


def clip_probability(p: Array) -> Array:
    # A probability of exactly 0 for what did happen would cost infinity: keep one rounding unit away.
    eps = np.finfo(p.dtype).eps
    return np.clip(p, eps, 1 - eps)


def target(loss: Named, y: Array, prediction: Array) -> Array:
    """``y`` in the shape of the prediction, (n, k): class indices become one-hot rows, smoothed."""
    name, parameters = name_and_parameters(loss)
    if name == "quantile":
        return np.broadcast_to(y, prediction.shape)
    if name != "cross_entropy":
        return y
    k = prediction.shape[1]
    one_hot = np.equal(y[:, None], np.arange(k)).astype(prediction.dtype)
    smoothing = parameters[0] if parameters else 0.0
    return one_hot * (1 - smoothing) + smoothing / k


def elementwise_loss(loss: Named, y: Array, sums: Array) -> Array:
    """The loss of every row and output, (n, k), before any average; from the sums of the output layer."""
    name, parameters = name_and_parameters(loss)
    prediction = FUNCTIONS[output_of(loss)](sums)
    t = target(loss, y, prediction)
    half_residual = prediction / 2 - t / 2
    if name == "squared_error":
        return 2 * half_residual * half_residual
    if name == "absolute_error":
        return 2 * np.abs(half_residual)
    if name == "huber":
        half_size, delta = np.abs(half_residual), parameters[0]
        kept = np.minimum(2 * half_size, delta)
        return 2 * kept * (half_size - kept / 4)
    if name == "quantile":
        level = np.array(parameters, prediction.dtype)
        return np.where(half_residual > 0, 1 - level, -level) * 2 * half_residual
    if name == "poisson":
        # Half the deviance: with the terms that depend on y alone, so that a perfect prediction costs 0. The
        # prediction's logarithm is the sum, which may be less than any number's. Where the prediction is
        # infinite the sum does not matter.
        log_prediction = np.minimum(sums, np.log(np.finfo(sums.dtype).max) + 1)
        log_t = np.log(t, out=np.zeros_like(t), where=t > 0)
        return np.where(t > 0, t * (log_t - log_prediction), 0) + (prediction - t)
    if name == "cross_entropy" and parameters:
        # Every output's logarithm counts: from the sums, where a probability would be too small for a number.
        half = half_below_top(sums)
        log_total = np.log((np.exp(half) ** 2).sum(axis=1, keepdims=True))
        return t * log_total - 2 * t * half
    p = clip_probability(prediction)
    if name == "cross_entropy":
        return -x_log_y(t, p)
    assert name == "binary_cross_entropy"
    return -x_log_y(t, p) - x_log_y(1 - t, 1 - p)


def slope_of_loss(loss: Named, y: Array, prediction: Array, sums: Array) -> Array:
    """d loss / d sums of the output layer, (n, k)."""
    name, parameters = name_and_parameters(loss)
    residual = prediction - target(loss, y, prediction)
    if name == "absolute_error":
        return np.sign(residual)
    if name == "huber":
        return np.clip(residual, -parameters[0], parameters[0])
    if name == "quantile":
        by_quantile = np.heaviside(residual, 0) - np.array(parameters, prediction.dtype)
        # Every quantile from the j-th on rests on sum j.
        slopes = np.cumsum(by_quantile[:, ::-1], axis=1)[:, ::-1].copy()
        slopes[:, 1:] *= logistic(sums[:, 1:])
        return slopes
    # The other outputs are the inverse of their loss's canonical link.
    return residual


def mean_loss(loss: Named, y: Array, sums: Array, sample_weight: Array | None = None) -> float:
    """(Weighted) mean over the rows, sum over the outputs."""
    return float(np.average(elementwise_loss(loss, y, sums), weights=sample_weight, axis=0).sum())


def reported_loss(loss: Named, y: Array, sums: Array, sample_weight: Array | None = None) -> float:
    """The number scikit-learn's loss curve shows: it averages the squared error over the outputs."""
    mean = mean_loss(loss, y, sums, sample_weight)
    return mean / sums.shape[1] if loss == "squared_error" else mean


def total_weight(n_rows: int, sample_weight: Array | None) -> float:
    """What a loss is divided by; 0 where the sum is too small to divide by, or rounding's of what cancels."""
    if sample_weight is None:
        return float(n_rows)
    limits = np.finfo(sample_weight.dtype if sample_weight.dtype.kind == "f" else np.float64)
    weights = sample_weight.astype(np.float64)
    total = float(weights.sum())
    least = max(float(limits.tiny), 4 * float(limits.eps) * float(np.abs(weights).sum()))
    return total if abs(total) > least else 0.0


def penalty(coefs: Sequence[Array], alpha: float, total: float, l1_ratio: float = 0.0) -> float:
    """L2 as scikit-learn scales it, over the rows of the batch, biases left out; or an elastic net."""
    squares = sum(float((coef**2).sum()) for coef in coefs)
    sizes = sum(float(np.abs(coef).sum()) for coef in coefs)
    return alpha * ((1 - l1_ratio) / 2 * squares + l1_ratio * sizes) / total


# --------------------------------------------------------------------------------------------- backward


def backward(
    values: Sequence[Array],
    sums: Sequence[Array],
    y: Array,
    coefs: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    sample_weight: Array | None = None,
) -> list[Array]:
    """d (weighted sum of the rows' losses) / d sums of every layer after the input, each (n, fan_out)."""
    delta = slope_of_loss(loss, y, values[-1], sums[-1])
    if sample_weight is not None:
        delta = delta * sample_weight[:, None]
    deltas = [delta]
    for layer in range(len(coefs) - 1, 0, -1):
        delta = (delta @ coefs[layer].T) * apply(SLOPES, activations[layer - 1], sums[layer - 1])
        deltas.insert(0, delta)
    return deltas


def kronecker_factors(
    X: Array,
    y: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    sample_weight: Array | None = None,
) -> list[tuple[Array, Array]]:
    """For each layer the mean of its inputs' products, a 1 behind them, and that of its deltas', weighted."""
    values, sums = forward_pass(X, coefs, intercepts, activations, output_of(loss))
    deltas = backward(values, sums, y, coefs, activations, loss)
    factors = []
    for a, delta in zip(values, deltas, strict=False):
        inputs = np.hstack([a, np.ones((len(a), 1))])
        weights = np.ones(len(a)) if sample_weight is None else sample_weight
        factors.append((inputs.T @ inputs / len(a), (weights[:, None] * delta).T @ delta / weights.sum()))
    return factors


def gradients(
    values: Sequence[Array],
    deltas: Sequence[Array],
    coefs: Sequence[Array],
    alpha: float,
    total: float,
    l1_ratio: float = 0.0,
) -> tuple[list[Array], list[Array]]:
    """Gradients of the mean loss with its penalty, for the weights and for the biases."""
    coef_grads = [
        (a.T @ delta + alpha * ((1 - l1_ratio) * coef + l1_ratio * np.sign(coef))) / total
        for a, delta, coef in zip(values, deltas, coefs, strict=False)
    ]
    return coef_grads, [delta.sum(axis=0) / total for delta in deltas]


def loss_and_grad(
    X: Array,
    y: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    alpha: float = 0.0,
    sample_weight: Array | None = None,
) -> tuple[float, list[Array], list[Array]]:
    """The loss (mean over rows, sum over outputs, with the penalty) and its true gradient."""
    values, sums = forward_pass(X, coefs, intercepts, activations, output_of(loss))
    total = total_weight(len(X), sample_weight)
    deltas = backward(values, sums, y, coefs, activations, loss, sample_weight)
    coef_grads, intercept_grads = gradients(values, deltas, coefs, alpha, total)
    mean = mean_loss(loss, y, sums[-1], sample_weight)
    return mean + penalty(coefs, alpha, total), coef_grads, intercept_grads


def output_slopes(output: str, sums: Array) -> Array:
    """d outputs / d sums of the output layer, (n, k, k): the first k are the outputs."""
    n, k = sums.shape
    value, eye = FUNCTIONS[output](sums), np.eye(k, dtype=sums.dtype)
    if output == "identity":
        return np.broadcast_to(eye, (n, k, k)).copy()
    if output == "softmax":
        return value[:, :, None] * (eye - value[:, None, :])
    if output == "quantiles":
        steps = np.concatenate([np.ones_like(sums[:, :1]), logistic(sums[:, 1:])], axis=1)
        return np.tril(np.ones((k, k), sums.dtype)) * steps[:, None, :]
    return eye * (value if output == "exp" else value * (1 - value))[:, None, :]


def jacobian_of_outputs(
    X: Array, coefs: Sequence[Array], intercepts: Sequence[Array], activations: Sequence[Named], output: str
) -> Array:
    """d outputs / d parameters, (n, k, n_parameters): all coefs, then all intercepts, each row by row."""
    values, sums = forward_pass(X, coefs, intercepts, activations, output)
    delta = output_slopes(output, sums[-1])
    deltas = [delta]
    for layer in range(len(coefs) - 1, 0, -1):
        slope = apply(SLOPES, activations[layer - 1], sums[layer - 1])
        delta = (delta @ coefs[layer].T) * slope[:, None, :]
        deltas.insert(0, delta)
    n, k = sums[-1].shape
    of_coefs = [
        (a[:, None, :, None] * d[:, :, None, :]).reshape(n, k, a.shape[1] * d.shape[2])
        for a, d in zip(values, deltas, strict=False)
    ]
    return np.concatenate([*of_coefs, *deltas], axis=2)


# --------------------------------------------------------------------------------------------- curvature


def elu_bend(z: Array, alpha: float = 1.0) -> Array:
    return np.where(z > 0, 0, alpha * np.exp(np.minimum(z, 0)))


def gelu_tanh_bend(z: Array) -> Array:
    t, c = np.tanh(gelu_tanh_inner(z)), math.sqrt(2 / math.pi)
    z = near(z)
    inner_slope, inner_bend = c * (1 + 3 * 0.044715 * z**2), c * 6 * 0.044715 * z
    return (1 - t**2) * (inner_slope + z / 2 * (inner_bend - 2 * t * inner_slope**2))


def silu_bend(z: Array) -> Array:
    s = logistic(z)
    return s * (1 - s) * (2 + near(z) * (1 - 2 * s))


def mish_bend(z: Array) -> Array:
    t, s = np.tanh(softplus(z)), logistic(z)
    return (1 - t**2) * s * (2 + near(z) * (1 - s - 2 * t * s))


def no_bend(z: Array, parameter: float = 0.0) -> Array:
    return np.zeros_like(z)


# The second derivative of each hidden activation; where there is none, at a kink, that of one of the sides.
BENDS: dict[str, Callable[..., Array]] = {
    "identity": no_bend,
    "logistic": lambda z: logistic(z) * (1 - logistic(z)) * (1 - 2 * logistic(z)),
    "tanh": lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2),
    "relu": no_bend,
    "leaky_relu": no_bend,
    "elu": elu_bend,
    "selu": lambda z: SELU_SCALE * elu_bend(z, SELU_ALPHA),
    "gelu": lambda z: normal(z)[1] * (2 - near(z) ** 2),
    "gelu_tanh": gelu_tanh_bend,
    "silu": silu_bend,
    "mish": mish_bend,
    "softplus": lambda z: logistic(z) * (1 - logistic(z)),
    "softsign": lambda z: -2 * np.sign(z) / (1 + np.abs(z)) ** 3,
    "hard_tanh": no_bend,
}


def curvature_of_loss(loss: Named, y: Array, prediction: Array, sums: Array) -> Array:
    """The Hessian of every row's loss with respect to the sums of the output layer, (n, k, k)."""
    name, parameters = name_and_parameters(loss)
    k = prediction.shape[1]
    if name == "cross_entropy":
        return np.eye(k) * prediction[:, None, :] - prediction[:, :, None] * prediction[:, None, :]
    if name == "binary_cross_entropy":
        diagonal = prediction * (1 - prediction)
    elif name == "poisson":
        diagonal = prediction
    elif name == "huber":
        diagonal = (np.abs(prediction - y) <= parameters[0]).astype(prediction.dtype)
    elif name == "absolute_error":
        diagonal = np.zeros_like(prediction)
    elif name == "quantile":
        # Straight in the quantiles; these are softplus of the sums, but for the first.
        diagonal = slope_of_loss(loss, y, prediction, sums) * (1 - logistic(sums))
        diagonal[:, 0] = 0
    else:
        assert name == "squared_error"
        diagonal = np.ones_like(prediction)
    return np.eye(k) * diagonal[:, None, :]


def forward_tangents(
    values: Sequence[Array],
    sums: Sequence[Array],
    coefs: Sequence[Array],
    activations: Sequence[Named],
    direction: tuple[Sequence[Array], Sequence[Array]],
) -> tuple[list[Array], list[Array]]:
    """R{values} of every layer but the last and R{sums}: the derivatives along a direction of the parameters.

    Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).
    """
    value_tangents, sum_tangents = [np.zeros_like(values[0])], []
    for layer, (coef, v, c) in enumerate(zip(coefs, *direction, strict=True)):
        sum_tangents.append(value_tangents[-1] @ coef + values[layer] @ v + c)
        if layer < len(activations):
            value_tangents.append(apply(SLOPES, activations[layer], sums[layer]) * sum_tangents[-1])
    return value_tangents, sum_tangents


def hessian_vector_product(
    X: Array,
    y: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    direction: tuple[Sequence[Array], Sequence[Array]],
    alpha: float = 0.0,
    sample_weight: Array | None = None,
) -> tuple[list[Array], list[Array]]:
    """The derivative of ``loss_and_grad``'s gradient along a direction of the weights and biases."""
    values, sums = forward_pass(X, coefs, intercepts, activations, output_of(loss))
    total = total_weight(len(X), sample_weight)
    deltas = backward(values, sums, y, coefs, activations, loss, sample_weight)
    value_tangents, sum_tangents = forward_tangents(values, sums, coefs, activations, direction)
    curvature = curvature_of_loss(loss, y, values[-1], sums[-1])
    tangent = np.einsum("nij,nj->ni", curvature, sum_tangents[-1])
    if sample_weight is not None:
        tangent = tangent * sample_weight[:, None]
    delta_tangents = [tangent]
    for layer in range(len(coefs) - 1, 0, -1):
        entry, z = activations[layer - 1], sums[layer - 1]
        back = delta_tangents[0] @ coefs[layer].T + deltas[layer] @ direction[0][layer].T
        bend = (deltas[layer] @ coefs[layer].T) * apply(BENDS, entry, z) * sum_tangents[layer - 1]
        delta_tangents.insert(0, back * apply(SLOPES, entry, z) + bend)
    by_values, by_biases = gradients(values, delta_tangents, direction[0], alpha, total)
    by_tangents, _ = gradients(value_tangents, deltas, coefs, 0.0, total)
    return [a + b for a, b in zip(by_values, by_tangents, strict=True)], by_biases


def jacobian(
    values: Sequence[Array], sums: Sequence[Array], coefs: Sequence[Array], activations: Sequence[Named]
) -> tuple[list[Array], list[Array]]:
    """d sums of the output layer / d weights and biases: (n, k, fan_in, fan_out) and (n, k, fan_out)."""
    n, k = sums[-1].shape
    delta = np.broadcast_to(np.eye(k), (n, k, k))
    deltas = [delta]
    for layer in range(len(coefs) - 1, 0, -1):
        delta = (delta @ coefs[layer].T) * apply(SLOPES, activations[layer - 1], sums[layer - 1])[:, None]
        deltas.insert(0, delta)
    return [np.einsum("ni,nkj->nkij", a, d) for a, d in zip(values, deltas, strict=False)], deltas


def gauss_newton_vector_product(
    X: Array,
    y: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    direction: tuple[Sequence[Array], Sequence[Array]],
    alpha: float = 0.0,
    sample_weight: Array | None = None,
) -> tuple[list[Array], list[Array]]:
    """J' H J v, of the Jacobian J of the output layer's sums and the loss's Hessian H with respect to them.

    Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural Computation
    14 (2002).
    """
    values, sums = forward_pass(X, coefs, intercepts, activations, output_of(loss))
    total = total_weight(len(X), sample_weight)
    weights, biases = jacobian(values, sums, coefs, activations)
    tangent = sum(np.einsum("nkij,ij->nk", J, v) for J, v in zip(weights, direction[0], strict=True))
    tangent = tangent + sum(np.einsum("nkj,j->nk", J, c) for J, c in zip(biases, direction[1], strict=True))
    curved = np.einsum("nij,nj->ni", curvature_of_loss(loss, y, values[-1], sums[-1]), tangent)
    if sample_weight is not None:
        curved = curved * sample_weight[:, None]
    by_weights = [np.einsum("nkij,nk->ij", J, curved) for J in weights]
    return (
        [(p + alpha * v) / total for p, v in zip(by_weights, direction[0], strict=True)],
        [np.einsum("nkj,nk->j", J, curved) / total for J in biases],
    )


def gauss_newton_diagonal(
    X: Array,
    y: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    alpha: float = 0.0,
    sample_weight: Array | None = None,
) -> tuple[list[Array], list[Array]]:
    """The diagonal of the matrix of ``gauss_newton_vector_product``."""
    values, sums = forward_pass(X, coefs, intercepts, activations, output_of(loss))
    total = total_weight(len(X), sample_weight)
    weights, biases = jacobian(values, sums, coefs, activations)
    curvature = curvature_of_loss(loss, y, values[-1], sums[-1])
    if sample_weight is not None:
        curvature = curvature * sample_weight[:, None, None]
    by_weights = [np.einsum("nkij,nkl,nlij->ij", J, curvature, J) for J in weights]
    by_biases = [np.einsum("nkj,nkl,nlj->j", J, curvature, J) for J in biases]
    return [(d + alpha) / total for d in by_weights], [d / total for d in by_biases]


def fisher_diagonal(
    X: Array,
    y: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    alpha: float = 0.0,
    sample_weight: Array | None = None,
) -> tuple[list[Array], list[Array]]:
    """The (weighted) mean of the squares of the rows' gradients, and the penalty's curvature."""
    values, sums = forward_pass(X, coefs, intercepts, activations, output_of(loss))
    total = total_weight(len(X), sample_weight)
    squares = [d**2 for d in backward(values, sums, y, coefs, activations, loss)]
    if sample_weight is not None:
        squares = [s * sample_weight[:, None] for s in squares]
    by_weights, by_biases = gradients([a**2 for a in values], squares, coefs, 0.0, total)
    return [d + alpha / total for d in by_weights], by_biases


# --------------------------------------------------------------------------------------------- updates


def sgd_update(
    param: Array,
    grad: Array,
    velocity: Array,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    lr_in_velocity: bool = False,
) -> tuple[Array, Array]:
    """One step of gradient descent: the new parameter and the new velocity.

    PyTorch multiplies the velocity by the learning rate when it steps; scikit-learn puts the learning rate
    into the velocity (``lr_in_velocity``). The two part as soon as the learning rate changes.
    """
    grad = grad + weight_decay * param
    if lr_in_velocity:
        velocity = momentum * velocity - lr * grad
        return param + (momentum * velocity - lr * grad if nesterov else velocity), velocity
    velocity = momentum * velocity + grad
    return param - lr * (momentum * velocity + grad if nesterov else velocity), velocity


def adam_update(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    step: int,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    eps_mode: str = "outside",
) -> tuple[Array, Array, Array]:
    """One step of Adam (the first is ``step=1``): the new parameter and moments.

    The published variants differ in where epsilon goes: beside the corrected root ("outside": PyTorch),
    beside the root that is not corrected ("uncorrected": scikit-learn), or under the root ("inside").
    """
    grad = grad + weight_decay * param
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    correction_1, correction_2 = 1 - betas[0] ** step, 1 - betas[1] ** step
    if eps_mode == "outside":
        return param - lr * (m / correction_1) / (np.sqrt(v / correction_2) + eps), m, v
    if eps_mode == "inside":
        return param - lr * (m / correction_1) / np.sqrt(v / correction_2 + eps), m, v
    assert eps_mode == "uncorrected"
    return param - lr * math.sqrt(correction_2) / correction_1 * m / (np.sqrt(v) + eps), m, v


# --------------------------------------------------------------------------------------------- limits


def norm(arrays: Sequence[Array]) -> float:
    return math.hypot(*(float(x) for array in arrays for x in array.flat))  # no square overflows


def clipped_to(arrays: Sequence[Array], limit: float) -> list[Array]:
    """The arrays as one vector, no longer than ``limit`` (Pascanu, Mikolov and Bengio, 2013)."""
    size = norm(arrays)
    return [array * (limit / size) if size > limit else array for array in arrays]


def auto_limit(norms: Sequence[float]) -> float:
    """AutoClip (Seetharaman et al., 2020): the 10th percentile of the norms of the last 1000 steps."""
    return float(np.percentile(norms[-1000:], 10))


# --------------------------------------------------------------------------------------------- training


class Trainer:
    """Minibatch descent; the same calls as ``gdfast._core.Trainer``, which see.

    ``coefs`` and ``intercepts`` are the caller's arrays. Training works on its own copy of them and writes it
    back after each epoch that ended with finite weights.
    """

    def __init__(
        self,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        activations: Sequence[Named],
        loss: Named,
        *,
        alpha: float = 0.0,
        batch_size: int,
        rule: str,
        rule_params: Mapping[str, Any],
        l1_ratio: float = 0.0,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | str | None = None,
        clip_layer_norm: float | None = None,
        learning_rate_factors: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.plain = [*coefs, *intercepts]
        self.n_weights = len(coefs)
        # Of the learning rate, for each array: those of a parameter group that is left out are 1.
        self.rate_factors = learning_rate_factors or {}
        self.factors = [f for name in ("coefs", "intercepts") for f in self.factors_of(name, len(coefs))]
        self.l1_ratio, self.weight_decay = l1_ratio, weight_decay
        self.clip_value, self.clip_norm, self.clip_layer_norm = clip_value, clip_norm, clip_layer_norm
        self.norms: list[float] = []
        self.activations, self.loss, self.alpha, self.batch_size = activations, loss, alpha, batch_size
        self.rule, self.rule_params = rule, in_torch_words(rule, rule_params)
        self.step = 0
        self.on_gradient: OnGradient | None = None
        self.slots = {
            name: [np.full_like(p, value) for p in self.plain]
            for name, value in reference_rules.slots(rule, self.rule_params).items()
        }
        self.load()

    def factors_of(self, name: str, n_arrays: int) -> list[float]:
        factors = list(self.rate_factors.get(name, [1.0] * n_arrays))
        assert len(factors) == n_arrays
        return factors

    def load(self) -> None:
        """Take the weights from the caller's arrays again; the rule's state goes on."""
        self.params = [p.copy() for p in self.plain]

    def run_epoch(
        self,
        X: Array,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        *,
        learning_rate: float | Array,
        backprop_depth: int | None = None,
        on_gradient: OnGradient | None = None,
        weight_decay: float | None = None,
    ) -> tuple[float, bool]:
        """One pass over the rows of ``order``: the mean over the rows of their batch's loss, and whether all
        weights are finite. A batch that weighs nothing has no loss. ``weight_decay`` is this epoch's."""
        self.on_gradient = on_gradient
        self.decay = self.weight_decay if weight_decay is None else weight_decay
        order = np.arange(len(X)) if order is None else order
        loss_sum, n_rows = 0.0, 0
        self.records: list[tuple[Array, Array, Array]] = []
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            rate = learning_rate if np.isscalar(learning_rate) else learning_rate[start // self.batch_size]
            weight = None if sample_weight is None else sample_weight[rows]
            # A batch that weighs nothing has no mean: it is skipped, and counts as no step.
            if total_weight(len(rows), weight) != 0:
                loss = self.train_step(X[rows], y[rows], weight, float(rate), backprop_depth)
                loss_sum += loss * len(rows)
                n_rows += len(rows)
        finite = all(bool(np.isfinite(p).all()) for p in self.params)
        if finite:
            for plain, p in zip(self.plain, self.params, strict=True):
                plain[...] = p
        return loss_sum / n_rows if n_rows else np.nan, finite

    def train_step(
        self,
        X: Array,
        y: Array,
        sample_weight: Array | None,
        learning_rate: float,
        backprop_depth: int | None,
    ) -> float:
        """rows -> forward -> loss -> backward -> update; returns the loss before the update."""
        layers = len(self.params) // 2
        coefs, intercepts = self.params[:layers], self.params[layers:]
        total = total_weight(len(X), sample_weight)
        values, sums = forward_pass(X, coefs, intercepts, self.activations, output_of(self.loss))
        loss = reported_loss(self.loss, y, sums[-1], sample_weight)
        loss += penalty(coefs, self.alpha, total, self.l1_ratio)
        deltas = backward(values, sums, y, coefs, self.activations, self.loss, sample_weight)
        coef_grads, intercept_grads = gradients(values, deltas, coefs, self.alpha, total, self.l1_ratio)
        first = layers - (backprop_depth or layers)  # what is below keeps every bit
        self.step_down(coef_grads, intercept_grads, learning_rate, first)
        return loss

    def step_down(
        self, coef_grads: list[Array], intercept_grads: list[Array], learning_rate: float, first: int
    ) -> None:
        """Limits on the gradient, decoupled decay, and the rule, for the layers from ``first`` on."""
        layers = len(coef_grads)
        trained = [i % layers >= first for i in range(2 * layers)]
        every = zip([*coef_grads, *intercept_grads], trained, strict=True)
        seen = self.seen([g if there else None for g, there in every])
        pairs = [[seen[i], seen[layers + i]] for i in range(first, layers)]
        gradient_norms = [norm(pair) for pair in pairs]
        if self.clip_value is not None:
            pairs = [[np.clip(g, -self.clip_value, self.clip_value) for g in pair] for pair in pairs]
        if self.clip_layer_norm is not None:
            pairs = [clipped_to(pair, self.clip_layer_norm) for pair in pairs]
        flat = [g for pair in pairs for g in pair]
        if self.clip_norm is not None:
            self.norms.append(norm(flat))
            flat = clipped_to(flat, auto_limit(self.norms) if self.clip_norm == "auto" else self.clip_norm)
        before = [p.copy() for p in self.params]
        for i in range(first, layers):
            self.params[i] = self.params[i] * (1 - learning_rate * self.factors[i] * self.decay)
        grads: list[Array | None] = [None] * (2 * layers)
        grads[first:layers], grads[layers + first :] = flat[::2], flat[1::2]
        self.update(grads, learning_rate)
        sizes = [norm([before[i]]) for i in range(first, layers)]
        moves = [norm([self.params[i] - before[i]]) for i in range(first, layers)]
        blank = np.full(first, np.nan)
        self.records.append(
            (
                np.append(blank, gradient_norms),
                np.append(blank, sizes),
                np.append(blank, np.divide(moves, sizes)),
            )
        )

    def seen(self, grads: Sequence[Array | None]) -> list[Any]:
        """What ``on_gradient`` leaves of the gradient, which it gets as a list of arrays, to change in place.

        It is the mean loss's, with its penalty, before any limit; zero, and not to be changed, where there is
        none.
        """
        if self.on_gradient is None:
            return list(grads)
        shown = [np.zeros_like(p) if g is None else g for p, g in zip(self.params, grads, strict=True)]
        self.on_gradient(shown)
        return [None if g is None else s for g, s in zip(grads, shown, strict=True)]

    def update(self, grads: Sequence[Array | None], learning_rate: float) -> None:
        """One step of the rule; what has no gradient stays. Its decay is of weights only, like alpha's."""
        self.step += 1
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            params = dict(self.rule_params)
            if i >= self.n_weights:
                params["weight_decay"] = 0.0
            state = {name: arrays[i] for name, arrays in self.slots.items()}
            rule = reference_rules.RULES[self.rule]
            rate = learning_rate * self.factors[i]
            self.params[i], state = rule(self.params[i], grad, state, self.step, lr=rate, **params)
            for name, array in state.items():
                self.slots[name][i] = array


def in_torch_words(rule: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's rule_params, whose sgd and adam are scikit-learn's variants unless they say otherwise."""
    words = dict(params)
    if rule == "sgd":
        words.setdefault("lr_in_velocity", True)
    if rule in ("adam", "adamw"):
        words.setdefault("eps_mode", "uncorrected")
        if "beta_1" in words:
            words["betas"] = (words.pop("beta_1"), words.pop("beta_2"))
        if "epsilon" in words:
            words["eps"] = words.pop("epsilon")
    return words
