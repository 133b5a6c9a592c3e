"""Conversion of the arguments that training declares as fields of its options."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np

from gdfast.training.options import StepOptions, TrainingOptions
from gdfast.training.weights import GROUPS


def declared(
    arguments: Mapping[str, Any], options: type[StepOptions] | type[TrainingOptions]
) -> dict[str, Any]:
    """The values of the arguments that are declared as fields of ``options``."""
    values = {}
    for f in fields(options):
        if "limits" in f.metadata:
            value = arguments[f.name]
            is_number = _is_number(value)
            # scikit-learn does not check the arguments again in a later partial_fit.
            if is_number and f.metadata["limits"] is not None and not f.metadata["limits"].hold(float(value)):
                raise ValueError(f"{f.name}={value!r} must be {f.metadata['limits']}.")
            values[f.name] = float(value) if is_number else value
    return values


def rate_factors(given: Any, n_arrays: Mapping[str, int]) -> dict[str, list[float]] | None:
    """``learning_rate_factors``: for each group a factor for each of its arrays; errors name the group.

    ``n_arrays`` is the number of arrays of each group that the network has.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(f"learning_rate_factors must be a dict or None, got {given!r}.")
    factors = {}
    for group, value in given.items():
        if group not in GROUPS:
            raise ValueError(
                f"learning_rate_factors has no group {group!r}. Its keys are "
                f"{', '.join(map(repr, sorted(GROUPS)))}, the first two with batch normalisation."
            )
        name = f"learning_rate_factors[{group!r}]"
        if group not in n_arrays:
            raise ValueError(f"{name} has no meaning without batch normalisation.")
        if _is_number(value):
            numbers = [value] * n_arrays[group]
        elif isinstance(value, Iterable) and not isinstance(value, str) and all(map(_is_number, value)):
            numbers = list(value)
        else:
            raise TypeError(f"{name} must be a number or a sequence of numbers, got {value!r}.")
        if len(numbers) != n_arrays[group]:
            raise ValueError(
                f"{name} must hold a number for each of the {n_arrays[group]} arrays of {group}, got "
                f"{len(numbers)}: {value!r}."
            )
        factors[group] = [_as_float(number) for number in numbers]
        if not all(0 <= factor < math.inf for factor in factors[group]):
            raise ValueError(f"{name} must be at least 0 and finite, got {value!r}.")
    return factors


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _as_float(number: Real) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer
        return math.inf
