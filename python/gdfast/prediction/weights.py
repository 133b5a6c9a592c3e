"""The weights of a network, which a user may have edited, or a file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gdfast.training.network import Network
from gdfast.training.weights import Weights


def weights_of(network: Network, attributes: Mapping[str, Any]) -> Weights:
    """The weights among an estimator's attributes; ValueError if they are not those of the network."""
    weights = Weights.of(attributes)
    units = [attributes["n_features_in_"], *network.hidden_units(weights), attributes["n_outputs_"]]
    network.check(weights, units)
    return weights
