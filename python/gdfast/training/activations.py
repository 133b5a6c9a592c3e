"""Activations of the hidden layers: their names, and the form in which the core takes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

Activation: TypeAlias = str | tuple[str, float]

NAMES = frozenset(
    {
        "identity",
        "logistic",
        "tanh",
        "relu",
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "gelu_tanh",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "hard_tanh",
    }
)
WITH_PARAMETER = frozenset({"leaky_relu", "elu"})


def of_layers(activation: Any, n_layers: int) -> Sequence[str]:
    """The name of each hidden layer's activation; ValueError if they do not match the layers."""
    if isinstance(activation, str):
        return [activation] * n_layers
    names = list(activation) if isinstance(activation, Iterable) else [activation]
    for name in names:
        if name not in NAMES:
            raise ValueError(
                f"activation must be one of {sorted(NAMES)} for each hidden layer, got {name!r}."
            )
    if len(names) != n_layers:
        raise ValueError(
            f"activation must name one for each of the {n_layers} hidden layers, got {len(names)}: {names}. "
            "Give one name for all of them, or as many as hidden_layer_sizes has numbers."
        )
    return names


def to_draw_for(activation: Any, n_hidden: int) -> Sequence[str]:
    """The activations for drawing the weights; the output layer has that of the last hidden layer.

    As in scikit-learn, the output layer follows ``activation`` even if there are no hidden layers.
    """
    if isinstance(activation, str):
        return [activation] * (n_hidden + 1)
    names = of_layers(activation, n_hidden)
    return [*names, names[-1] if names else "identity"]


def with_parameters(names: Sequence[str], parameters: Mapping[str, float] | None) -> Sequence[Activation]:
    """The activations as the core takes them: a name, or a name and its parameter."""
    if not parameters:
        return names
    return [(name, float(parameters[name])) if name in parameters else name for name in names]


def takes_any(activation: Any, parameters: Mapping[str, float]) -> bool:
    """Whether a layer's activation has one of these parameters, or ``parameters`` is empty."""
    if not parameters:
        return True
    names = [activation] if isinstance(activation, str) else activation
    return any(name in parameters for name in names)


def check_parameters(parameters: Mapping[Any, Any] | None) -> None:
    """ValueError if a parameter is invalid, or its activation has no parameter."""
    for name, value in (parameters or {}).items():
        if name not in WITH_PARAMETER:
            raise ValueError(
                f"activation_params has a parameter for {name!r}, but only {sorted(WITH_PARAMETER)} take one."
            )
        if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            raise ValueError(
                f"activation_params[{name!r}] must be a finite number of at least 0, got {value!r}."
            )
