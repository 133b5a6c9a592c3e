"""The layers of feed-forward networks as nodes of ONNX.

Where float32 has an operator of its own it is used. onnxruntime has some of them in float32 only: in float64
they are composed of simpler ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from gdfast.export._graph import Graph
from gdfast.export._networks import SELU_ALPHA, SELU_SCALE, normalisation, parameter_of, rounded
from gdfast.training.activations import Activation
from gdfast.training.arrays import Array
from gdfast.training.network import MLP
from gdfast.training.weights import Weights


def feed_forward(g: Graph, x: str, network: MLP, weights: Weights) -> str:
    """The values of the output layer, of shape (n_rows, n_outputs)."""
    norms = weights.norms()
    for i, activation in enumerate(network.activations):
        x = linear(g, x, weights.coefs[i], weights.intercepts[i])
        if norms is not None:
            x = _normalised(g, x, norms[i], network.bn_epsilon)
        x = activated(g, activation, x)
    x = linear(g, x, weights.coefs[-1], weights.intercepts[-1])
    return output(g, network.output, x)


def linear(g: Graph, x: str, coef: Array, intercept: Array) -> str:
    return g("Gemm", x, g.weights(coef, "coef"), g.weights(intercept, "intercept"))


def _normalised(g: Graph, x: str, norm: tuple[Array, ...], epsilon: float) -> str:
    """Not by the operator BatchNormalization, which multiplies first: less precise far from zero."""
    mean, scale, shift = normalisation(norm, epsilon, g.dtype)
    return g("Add", g("Mul", g("Sub", x, mean), scale), shift)


def activated(g: Graph, activation: Activation, z: str) -> str:
    name, parameter = parameter_of(activation)
    rounded(parameter, g.dtype)
    if name == "leaky_relu":
        return _leaky_relu(g, z, parameter)
    if name == "elu":
        return _elu(g, z, parameter, 1.0)
    return _ACTIVATIONS[name](g, z)


def output(g: Graph, name: str, z: str) -> str:
    """The output layer's activation, over the last axis."""
    match name:
        case "softmax":
            return g("Softmax", z, axis=-1)
        case "logistic":
            return g("Sigmoid", z)
        case "exp":
            return g("Exp", z)
        case "quantiles":  # the first, and what each further one adds
            first = g("Slice", z, *_to(0, 1))
            rest = g("Slice", z, *_to(1, 2**31 - 1))
            return g("CumSum", g("Concat", first, _softplus(g, rest), axis=-1), np.array(-1, np.int64))
    return z


def _to(start: int, end: int) -> tuple[Array, ...]:
    """The inputs of Slice for these columns of the last axis."""
    return tuple(np.array([value], np.int64) for value in (start, end, -1))


def _leaky_relu(g: Graph, z: str, slope: float) -> str:
    if g.dtype == np.float32:  # an attribute is in float32
        return g("LeakyRelu", z, alpha=slope)
    return g("Where", g("Greater", z, 0.0), z, g("Mul", z, slope))


def _elu(g: Graph, z: str, alpha: float, scale: float) -> str:
    if g.dtype == np.float32 and scale == 1:
        return g("Elu", z, alpha=alpha)
    below = g("Mul", g("Sub", g("Exp", g("Min", z, 0.0)), 1.0), alpha * scale)
    above = z if scale == 1 else g("Mul", z, scale)
    return g("Where", g("Greater", z, 0.0), above, below)


def _selu(g: Graph, z: str) -> str:
    if g.dtype == np.float32:
        return g("Selu", z, alpha=SELU_ALPHA, gamma=SELU_SCALE)
    return _elu(g, z, SELU_ALPHA, SELU_SCALE)


def _gelu(g: Graph, z: str) -> str:
    if g.dtype == np.float64:
        return g("Mul", z, _normal_distribution(g, z))
    if g.opset >= 20:
        return g("Gelu", z)
    return g("Mul", z, g("Mul", g("Add", g("Erf", g("Mul", z, 0.5**0.5)), 1.0), 0.5))


def _normal_distribution(g: Graph, z: str) -> str:
    """The standard normal distribution function in float64.

    Its lower tail is exp(-y^2 / 2) times a function that is smooth in t = (y - 5) / (y + 5), by a polynomial
    (Shepherd and Laframboise, 1981).
    """
    y = g("Abs", z)
    t = g("Div", g("Sub", y, 5.0), g("Add", y, 5.0))
    *rest, value = _tail_coefficients()
    ratio: Any = value
    for coefficient in reversed(rest):
        ratio = g("Add", g("Mul", t, ratio), coefficient)
    tail = g("Mul", g("Exp", g("Mul", g("Mul", y, y), -0.5)), ratio)
    return g("Where", g("Less", z, 0.0), tail, g("Sub", 1.0, tail))


def _tail_coefficients() -> list[float]:
    from scipy.special import erfcx

    def ratio(t: Array) -> Array:
        y = 5 * (1 + t) / (1 - t)
        found: Array = erfcx(y / np.sqrt(2)) / 2
        return found

    interpolate: Any = chebyshev.chebinterpolate
    found: list[float] = chebyshev.cheb2poly(interpolate(ratio, 24)).tolist()
    return found


def _gelu_tanh(g: Graph, z: str) -> str:
    """z logistic(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3)"""
    cube = g("Mul", g("Mul", z, z), z)
    u = g("Mul", g("Add", z, g("Mul", cube, 0.044715)), 2 * (2 / np.pi) ** 0.5)
    return g("Mul", z, g("Sigmoid", u))


def _silu(g: Graph, z: str) -> str:
    return g("Mul", z, g("Sigmoid", z))


def _mish(g: Graph, z: str) -> str:
    return g("Mul", z, g("Tanh", _softplus(g, z)))


def _softplus(g: Graph, z: str) -> str:
    if g.dtype == np.float32:
        return g("Softplus", z)
    log = g("Log", g("Add", g("Exp", g("Neg", g("Abs", z))), 1.0))
    return g("Add", g("Max", z, 0.0), log)


def _softsign(g: Graph, z: str) -> str:
    return g("Div", z, g("Add", g("Abs", z), 1.0))


def _hard_tanh(g: Graph, z: str) -> str:
    return g("Clip", z, -1.0, 1.0)


_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda g, z: z,
    "logistic": lambda g, z: g("Sigmoid", z),
    "tanh": lambda g, z: g("Tanh", z),
    "relu": lambda g, z: g("Relu", z),
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "softplus": _softplus,
    "softsign": _softsign,
    "hard_tanh": _hard_tanh,
}
