"""What several exporters know of networks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from gdfast.training.activations import Activation
from gdfast.training.arrays import Array
from gdfast.training.weights import Weights

# Klambauer et al. (2017), equation 2.
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_DEFAULTS = {"leaky_relu": 0.01, "elu": 1.0}


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
