"""The arguments for dropout, gradients and schedules: their checks and conversion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np

from gdfast.schedules import Plateau, Warmup, _resolve
from gdfast.training.options import Limits, StepOptions, TrainingOptions, check_depth
from gdfast.training.scheduled import Scheduled
from gdfast.training.weights import GROUPS


def check(est: Any, n_hidden: int) -> None:
    """ValueError or TypeError if arguments are invalid or contradict each other."""
    dropout_rates(est.dropout, n_hidden)
    rate_factors(est, n_hidden)
    if not callable(est.backprop_depth) and est.backprop_depth is not None:
        check_depth(est.backprop_depth, n_hidden + 1)
    for name in ("schedule", "dropout_schedule", "weight_decay_schedule"):
        if _awaits_a_score(getattr(est, name)):
            raise ValueError(
                f"{name}={getattr(est, name)!r} waits for its value to rise, but what a schedule hears of an "
                "estimator is a loss. Leave Plateau's mode at 'min'."
            )
    scheduled(est, n_hidden)
    if est.schedule is not None and est.learning_rate != "constant":
        raise ValueError(
            f"schedule={est.schedule!r} and learning_rate={est.learning_rate!r} both say how the learning "
            "rate changes. Leave learning_rate at 'constant'."
        )


_DROPOUT = Limits(0, 1)


def scheduled(est: Any, n_hidden: int) -> dict[str, Scheduled]:
    """The options that have a schedule, by name; ValueError or TypeError if a schedule is invalid."""
    found = []
    if est.weight_decay_schedule is not None:
        schedule = _resolve(est.weight_decay_schedule, "weight_decay_schedule")
        found.append(Scheduled("weight_decay", float(est.weight_decay), schedule, Limits(0)))
    if est.dropout_schedule is not None:
        schedule = _resolve(est.dropout_schedule, "dropout_schedule")
        base, factors = 1.0, dropout_rates(est.dropout, n_hidden)
        if isinstance(est.dropout, Real):
            base, factors = float(est.dropout), [float(rate > 0) for rate in factors]
        found.append(Scheduled("dropout", base, schedule, _DROPOUT, tuple(factors)))
    return {option.name: option for option in found}


def _awaits_a_score(schedule: Any) -> bool:
    while isinstance(schedule, Warmup):
        schedule = schedule.schedule
    return isinstance(schedule, Plateau) and schedule.mode == "max"


def declared(est: Any, options: type[StepOptions] | type[TrainingOptions]) -> dict[str, Any]:
    """The values of the arguments that are declared as fields of ``options``."""
    values = {}
    for f in fields(options):
        if "limits" in f.metadata:
            value = getattr(est, f.name)
            is_number = _is_number(value)
            # scikit-learn does not check the arguments again in a later partial_fit.
            if is_number and f.metadata["limits"] is not None and not f.metadata["limits"].hold(float(value)):
                raise ValueError(f"{f.name}={value!r} must be {f.metadata['limits']}.")
            values[f.name] = float(value) if is_number else value
    return values


def rate_factors(est: Any, n_hidden: int) -> dict[str, list[float]] | None:
    """``learning_rate_factors``: for each group a factor for each of its arrays; errors name the group."""
    given = est.learning_rate_factors
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(f"learning_rate_factors must be a dict or None, got {given!r}.")
    n_arrays = dict.fromkeys(GROUPS[:2], est._n_matrices(n_hidden)) | dict.fromkeys(GROUPS[2:], n_hidden)
    factors = {}
    for group, value in given.items():
        if group not in GROUPS:
            raise ValueError(
                f"learning_rate_factors has no group {group!r}. Its keys are {', '.join(map(repr, GROUPS))}, "
                "the last two with batch normalisation."
            )
        name = f"learning_rate_factors[{group!r}]"
        if group in GROUPS[2:] and not est.batch_norm:
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


def is_random(est: Any, n_hidden: int) -> bool:
    """Whether a step draws random numbers."""
    return est.gradient_noise > 0 or any(dropout_rates(est.dropout, n_hidden))


def dropout_rates(dropout: Any, n_hidden: int) -> list[float]:
    """A rate for the inputs and one for each hidden layer; ValueError or TypeError if invalid."""
    if isinstance(dropout, Real):
        rates = [0.0, *[float(dropout)] * n_hidden]
    elif isinstance(dropout, Iterable) and not isinstance(dropout, str):
        rates = list(dropout)
        if not all(isinstance(rate, Real) for rate in rates):
            raise TypeError(f"dropout must be a number or a sequence of numbers, got {dropout!r}.")
        rates = [float(rate) for rate in rates]
        if len(rates) != n_hidden + 1:
            raise ValueError(
                f"dropout must have a rate for the inputs and one for each of the {n_hidden} hidden layers, "
                f"{n_hidden + 1} in all, got {len(rates)}: {rates}."
            )
    else:
        raise TypeError(f"dropout must be a number or a sequence of numbers, got {dropout!r}.")
    if not all(map(_DROPOUT.hold, rates)):
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}.")
    return rates
