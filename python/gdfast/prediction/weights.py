"""Whether weights are those of a network, which a user may have edited, or a file brought along."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from gdfast.training.arrays import check_shapes
from gdfast.training.network import GATES
from gdfast.training.weights import Weights


def check_dense(weights: Weights, layer_units: list[int]) -> None:
    """ValueError if these are not the weights of a multilayer perceptron with ``layer_units``."""
    makers = "features, hidden_layer_sizes and outputs"
    check_shapes(weights.coefs, weights.intercepts, list(pairwise(layer_units)), makers)
    weights.check_norms(layer_units[1:-1])


def check_recurrent(weights: Weights, layer_units: list[int], cell: str) -> None:
    """ValueError if these are not the weights of a recurrent network with ``layer_units`` of this cell."""
    gates = GATES[cell]
    expected: list[tuple[int, int]] = []
    for fan_in, units in pairwise(layer_units[:-1]):
        expected += [(fan_in, gates * units), (units, gates * units)]
    expected.append((layer_units[-2], layer_units[-1]))
    makers = f"features, cell={cell!r}, hidden_layer_sizes and outputs"
    check_shapes(weights.coefs, weights.intercepts, expected, makers)


def dense_at_hand(attributes: Mapping[str, Any]) -> Weights:
    """The checked weights among the attributes of a multilayer perceptron."""
    weights = Weights.of(attributes)
    hidden = [coef.shape[-1] if coef.ndim else 0 for coef in weights.coefs[:-1]]
    check_dense(weights, [attributes["n_features_in_"], *hidden, attributes["n_outputs_"]])
    return weights


def recurrent_at_hand(attributes: Mapping[str, Any], cell: str) -> Weights:
    """The checked weights among the attributes of a recurrent network."""
    weights = Weights.of(attributes)
    hidden = [coef.shape[0] if coef.ndim else 0 for coef in weights.coefs[1:-1:2]]
    check_recurrent(weights, [attributes["n_features_in_"], *hidden, attributes["n_outputs_"]], cell)
    return weights
