"""What several exporters know of networks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gdfast.training.activations import Activation
from gdfast.training.arrays import Array
from gdfast.training.weights import Weights

# Klambauer et al. (2017), equation 2.
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_DEFAULTS = {"leaky_relu": 0.01, "elu": 1.0}


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """float32 or float64; ValueError for anything else."""
    try:
        found: np.dtype[Any] | None = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}.")
    return found


def rounded(values: Any, dtype: np.dtype[Any]) -> Array:
    """The values in a dtype; ValueError if some are beyond it."""
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(values, dtype)
    if not np.isfinite(found).all():
        raise ValueError(f"est has numbers that are beyond {dtype}: export it in float64.")
    return found


def normalisation(
    norm: tuple[Array, ...], epsilon: float, dtype: np.dtype[Any]
) -> tuple[Array, Array, Array]:
    """What batch normalisation subtracts, then multiplies by and then adds."""
    gamma, beta, mean, variance = (rounded(array, dtype) for array in norm)
    with np.errstate(divide="ignore"):
        scale = gamma / np.sqrt(variance + dtype.type(epsilon))
    return mean, rounded(scale, dtype), beta


def parameter_of(activation: Activation) -> tuple[str, float]:
    """An activation's name, and its parameter; 0 if it has none."""
    return (activation, _DEFAULTS.get(activation, 0.0)) if isinstance(activation, str) else activation


@dataclass(frozen=True)
class Layer:
    """A recurrent layer's weights, by inputs and by states, with the gates in PyTorch's order."""

    w_in: Array
    w_state: Array
    b_in: Array
    b_state: Array

    @property
    def units(self) -> int:
        return len(self.w_state)


def layers_of(weights: Weights) -> list[Layer]:
    """The recurrent layers; the last array of weights is the dense layer's."""
    pairs = zip(weights.coefs[:-1], weights.intercepts[:-1], strict=True)
    return [
        Layer(w_in, w_state, b_in, b_state) for (w_in, b_in), (w_state, b_state) in list(pairwise(pairs))[::2]
    ]
