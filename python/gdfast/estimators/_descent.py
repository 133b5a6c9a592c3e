"""The arguments for dropout, gradients and schedules: their checks and conversion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from gdfast.schedules import Plateau, Warmup
from gdfast.training.options import StepOptions, TrainingOptions, check_depth

if TYPE_CHECKING:
    from gdfast.estimators._arguments import Arguments


def check(est: Arguments, n_hidden: int) -> None:
    """ValueError or TypeError if arguments are invalid or contradict each other."""
    dropout_rates(est.dropout, n_hidden)
    if not callable(est.backprop_depth) and est.backprop_depth is not None:
        check_depth(est.backprop_depth, n_hidden + 1)
    if _awaits_a_score(est.schedule):
        raise ValueError(
            f"schedule={est.schedule!r} waits for its value to rise, but what a schedule hears of an "
            "estimator is a loss. Leave Plateau's mode at 'min'."
        )
    if est.schedule is not None and est.learning_rate != "constant":
        raise ValueError(
            f"schedule={est.schedule!r} and learning_rate={est.learning_rate!r} both say how the learning "
            "rate changes. Leave learning_rate at 'constant'."
        )


def _awaits_a_score(schedule: Any) -> bool:
    while isinstance(schedule, Warmup):
        schedule = schedule.schedule
    return isinstance(schedule, Plateau) and schedule.mode == "max"


def declared(est: Arguments, options: type[StepOptions] | type[TrainingOptions]) -> dict[str, Any]:
    """The values of the arguments that are declared as fields of ``options``."""
    values = {}
    for f in fields(options):
        if "limits" in f.metadata:
            value = getattr(est, f.name)
            is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
            # scikit-learn does not check the arguments again in a later partial_fit.
            if is_number and f.metadata["limits"] is not None and not f.metadata["limits"].hold(float(value)):
                raise ValueError(f"{f.name}={value!r} must be {f.metadata['limits']}.")
            values[f.name] = float(value) if is_number else value
    return values


def is_random(est: Arguments, n_hidden: int) -> bool:
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
    if not all(0 <= rate < 1 for rate in rates):
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}.")
    return rates
