"""Options that a schedule changes from epoch to epoch, beside the learning rate."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdfast.schedules import Progress, Schedule
from gdfast.training.options import Limits


@dataclass(frozen=True)
class Scheduled:
    """An option with a schedule.

    Attributes
    ----------
    name : {"dropout", "weight_decay"}
        The estimators' argument, and the core's argument of an epoch.
    base : float
        Base value of the schedule.
    schedule : Schedule
        Training changes its state.
    limits : Limits
        The valid values.
    factors : tuple of float or None
        By which the schedule's value is multiplied, if the option is a list. Dropout has a rate for each
        layer.
    """

    name: str
    base: float
    schedule: Schedule
    limits: Limits
    factors: tuple[float, ...] | None = None

    def of_epoch(self, now: Progress) -> float | list[float]:
        """The value of the coming epoch: the mean over its steps."""
        try:
            value = float(np.mean(self.schedule.rates(self.base, now)))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{self.name}_schedule={self.schedule!r}: {error}") from error
        values = [value * factor for factor in self.factors or (1.0,)]
        for wrong in (value for value in values if not self.limits.hold(value)):
            raise ValueError(
                f"{self.name} must be {self.limits}, got {wrong} in epoch {now.epoch} of "
                f"{self.name}_schedule={self.schedule!r}."
            )
        return value if self.factors is None else values

    def is_alike(self, other: Scheduled) -> bool:
        """Whether both have the same arguments, whatever their states."""
        return (self.base, self.factors, repr(self.schedule)) == (
            other.base,
            other.factors,
            repr(other.schedule),
        )


def continued(now: Mapping[str, Scheduled], before: Mapping[str, Scheduled]) -> dict[str, Scheduled]:
    """Those of ``now``, with the states of those in ``before`` that have the same arguments."""
    return {
        name: copy.deepcopy(before[name]) if name in before and before[name].is_alike(new) else new
        for name, new in now.items()
    }


def state_of(schedule: Schedule) -> dict[str, Any]:
    """The attributes of a schedule, copied."""
    return copy.deepcopy(vars(schedule))


def load_state(schedule: Schedule, state: dict[str, Any]) -> None:
    vars(schedule).update(copy.deepcopy(state))
