"""Checks and conversion of the arguments that are schedules."""

from __future__ import annotations

from numbers import Real
from typing import Any

from gdfast.estimators import _dropout
from gdfast.schedules import Plateau, Schedule, Warmup, _resolve, resolve
from gdfast.training.options import Limits
from gdfast.training.scheduled import Scheduled


def check(name: str, schedule: Any) -> None:
    """ValueError or TypeError if an argument is not a schedule for a loss, which falls."""
    if schedule is None:
        return
    inner = schedule
    while isinstance(inner, Warmup):
        inner = inner.schedule
    if isinstance(inner, Plateau) and inner.mode == "max":
        raise ValueError(
            f"{name}={schedule!r} waits for its value to rise, but in an estimator a schedule gets a loss, "
            "which falls. Leave Plateau's mode at 'min'."
        )
    _resolve(schedule, name)


def check_learning_rate(schedule: Any, learning_rate: str) -> None:
    """ValueError or TypeError if ``schedule`` is invalid or contradicts ``learning_rate``."""
    check("schedule", schedule)
    if schedule is not None and learning_rate != "constant":
        raise ValueError(
            f"schedule={schedule!r} and learning_rate={learning_rate!r} both determine the learning "
            "rate. Leave learning_rate at 'constant'."
        )


def of_learning_rate(schedule: Any, learning_rate: str, solver: Any) -> str | Schedule:
    """The schedule of the learning rate in the form for `training.Optimizer`."""
    if schedule is None:
        return learning_rate if solver == "sgd" else "constant"
    if isinstance(schedule, str) and schedule in ("constant", "invscaling", "adaptive"):
        return schedule
    return resolve(schedule)


def of_weight_decay(weight_decay: float, schedule: Any) -> list[Scheduled]:
    """``weight_decay`` with its schedule, if it has one."""
    if schedule is None:
        return []
    resolved = _resolve(schedule, "weight_decay_schedule")
    return [Scheduled("weight_decay", float(weight_decay), resolved, Limits(0))]


def of_dropout(dropout: Any, schedule: Any, n_hidden: int) -> list[Scheduled]:
    """``dropout`` with its schedule, if it has one."""
    if schedule is None:
        return []
    resolved = _resolve(schedule, "dropout_schedule")
    base, factors = 1.0, _dropout.rates(dropout, n_hidden)
    if isinstance(dropout, Real):
        base, factors = float(dropout), [float(rate > 0) for rate in factors]
    return [Scheduled("dropout", base, resolved, _dropout.LIMITS, tuple(factors))]
