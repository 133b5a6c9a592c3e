"""How exact the vectorised functions are, in units in the last place (ulp), against extended precision.

A weight of one and a bias of zero change no bit, so a 1 x 1 layer shows the function alone. The bounds below
are the promise; each is a little above the largest error seen on any instruction set over these arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
from gdfast.kernels import mlp_forward
from numpy.typing import NDArray

Array = NDArray[Any]

# Largest error in ulp, float32 and float64.
BOUND = {
    "tanh": (2.5, 2.5),
    "logistic": (2.5, 2.5),
    "exp": (1.25, 1.25),
    "softmax": (3.0, 3.0),
    "leaky_relu": (1.0, 1.0),
    "elu": (1.5, 1.5),
    "selu": (2.0, 2.0),
    "silu": (3.0, 3.0),
    "mish": (4.5, 4.5),
    "softplus": (3.0, 3.0),
    "softsign": (1.75, 1.75),
}


def arguments(dtype: type, limit: float) -> Array:
    """All sizes from the tiniest to ``limit``, both signs, the densest where functions bend."""
    rng = np.random.default_rng(0)
    tiny = np.log10(float(np.finfo(dtype).tiny))
    parts = [
        10 ** rng.uniform(tiny, np.log10(limit), 20_000),
        rng.uniform(0, 1, 20_000),
        rng.uniform(0, limit, 40_000),
        np.linspace(0, 4, 4_001),
        np.arange(0, limit, np.log(2) / 2),  # where the range reduction of exp switches
        [0.0, 1.0, limit],
    ]
    x = np.concatenate(parts)
    return np.unique(np.concatenate([x, -x]).astype(dtype))


def ulp_error(actual: Array, exact: Array) -> float:
    """Largest distance from the exact values, in units in the last place of the result's dtype.

    Denormals are flushed to zero. Where a term that is small beside the result can be one, that is below the
    smallest normal number over eps, an instruction set without fused products loses it: there the distance
    is counted beyond one such number.
    """
    info = np.finfo(actual.dtype)
    tiny, eps = np.longdouble(info.tiny), np.longdouble(info.eps)
    lost = np.where(np.abs(exact) < tiny / eps, tiny, 0)
    size = np.maximum(np.abs(exact), tiny)
    spacing = np.ldexp(np.longdouble(1), np.frexp(size)[1] - 1 - info.nmant)
    distance = np.abs(actual.astype(np.longdouble) - exact)
    return float((np.maximum(distance - lost, 0) / spacing).max())


def hidden(name: str, x: Array) -> Array:
    """The function as a hidden activation, with a layer behind it that changes nothing."""
    one, zero = np.ones((1, 1), x.dtype), np.zeros(1, x.dtype)
    return mlp_forward(x[:, None], [one, one], [zero, zero], activation=name, output="identity")[:, 0]


def output(name: str, x: Array) -> Array:
    one, zero = np.ones((1, 1), x.dtype), np.zeros(1, x.dtype)
    return mlp_forward(x[:, None], [one], [zero], output=name)[:, 0]


def softmax_of_two(x: Array) -> Array:
    """The first of the probabilities of (x, 0)."""
    both = np.stack([x, np.zeros_like(x)], axis=1)
    return mlp_forward(both, [np.eye(2, dtype=x.dtype)], [np.zeros(2, x.dtype)], output="softmax")[:, 0]


def exact_logistic(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def exact_softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def exact_elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def exact_selu(x: Array) -> Array:
    scale, alpha = np.longdouble("1.0507009873554804934193"), np.longdouble("1.6732632423543772848170")
    return scale * np.where(x > 0, x, alpha * exact_elu(x))


# The arguments stop where float32 (float64) results leave the normal range.
CASES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array], str, tuple[float, float]]] = {
    "tanh": (lambda x: hidden("tanh", x), np.tanh, "tanh", (50, 50)),
    "hidden logistic": (lambda x: hidden("logistic", x), exact_logistic, "logistic", (85, 700)),
    "output logistic": (lambda x: output("logistic", x), exact_logistic, "logistic", (85, 700)),
    "exp": (lambda x: output("exp", x), np.exp, "exp", (87, 708)),
    "softmax": (softmax_of_two, exact_logistic, "softmax", (85, 700)),
    "leaky_relu": (
        lambda x: hidden("leaky_relu", x),
        lambda x: np.where(x > 0, x, x * np.longdouble(0.01)),
        "leaky_relu",
        (1000, 1000),
    ),
    "elu": (lambda x: hidden("elu", x), exact_elu, "elu", (85, 700)),
    "selu": (lambda x: hidden("selu", x), exact_selu, "selu", (85, 700)),
    "silu": (lambda x: hidden("silu", x), lambda x: x * exact_logistic(x), "silu", (70, 600)),
    "mish": (lambda x: hidden("mish", x), lambda x: x * np.tanh(exact_softplus(x)), "mish", (60, 600)),
    "softplus": (lambda x: hidden("softplus", x), exact_softplus, "softplus", (70, 600)),
    "softsign": (lambda x: hidden("softsign", x), lambda x: x / (1 + np.abs(x)), "softsign", (1000, 1000)),
}


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs a long double beyond float64")
@pytest.mark.parametrize("case", CASES)
def test_largest_error(case: str, dtype: type) -> None:
    function, exact, name, limits = CASES[case]
    which = [np.float32, np.float64].index(dtype)
    x = arguments(dtype, limits[which])
    error = ulp_error(function(x), exact(x.astype(np.longdouble)))
    print(f"{case} {np.dtype(dtype).name}: {error:.2f} ulp")
    assert error <= BOUND[name][which]


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelu(name: str, dtype: type) -> None:
    """The left tail, an exponential of a large product, is a tiny part of the argument: the error is counted
    in parts of that.
    """
    x = arguments(dtype, 30)
    exact = reference.FUNCTIONS[name](x.astype(np.float64))
    # float64 is measured against functions that are themselves a few units off.
    assert np.all(
        np.abs(hidden(name, x) - exact) <= 4 * np.finfo(dtype).eps * np.abs(x) + np.finfo(dtype).tiny
    )


def test_relu_hard_tanh_and_identity_are_exact(dtype: type) -> None:
    x = arguments(dtype, 1000)
    np.testing.assert_array_equal(hidden("relu", x), np.maximum(x, 0))
    np.testing.assert_array_equal(hidden("hard_tanh", x), np.clip(x, -1, 1))
    np.testing.assert_array_equal(hidden("identity", x), x)
    np.testing.assert_array_equal(output("identity", x), x)


def test_where_functions_end(dtype: type) -> None:
    huge = np.array([-np.inf, -1e30, 1e30, np.inf], dtype)
    large, far = (
        np.array([-1e4, 1e4], dtype),
        {"elu": -1, "selu": -reference.SELU_SCALE * reference.SELU_ALPHA},
    )
    for name in ("elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus"):
        above = 1e4 * (reference.SELU_SCALE if name == "selu" else 1)
        np.testing.assert_allclose(hidden(name, large), [far.get(name, 0), above], rtol=1e-6, atol=1e-30)
    tiny = float(np.finfo(dtype).tiny)
    np.testing.assert_array_equal(hidden("tanh", huge), [-1, -1, 1, 1])
    np.testing.assert_array_equal(output("exp", huge), [0, 0, np.inf, np.inf])
    for logistic in (hidden("logistic", huge), output("logistic", huge)):
        np.testing.assert_allclose(logistic, [0, 0, 1, 1], rtol=0, atol=tiny)


def test_nan_stays_nan(dtype: type) -> None:
    nan = np.array([np.nan], dtype)
    for name in reference.SLOPES:
        assert np.isnan(hidden(name, nan)), name
    for name in ("identity", "logistic", "exp"):
        assert np.isnan(output(name, nan)), name
    assert np.isnan(softmax_of_two(nan))


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33])
def test_softmax_of_any_width_sums_to_one(columns: int, dtype: type) -> None:
    x = (30 * np.random.default_rng(columns).standard_normal((50, columns))).astype(dtype)
    x[0] = 0
    x[1] = 1000  # alike and large: the largest is taken off first
    x[2, 0] = -1e30
    identity, zero = np.eye(columns, dtype=dtype), np.zeros(columns, dtype)
    p = mlp_forward(x, [identity], [zero], output="softmax")
    eps = float(np.finfo(dtype).eps)
    # Each of the columns is off by a few ulp of itself, and they add up to one.
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=0, atol=(columns + 4) * eps)
    np.testing.assert_allclose(p[:2], 1 / columns, rtol=4 * eps)
    assert np.all(p >= 0)
    assert np.all(p <= 1)
