"""Learning-rate schedules: PyTorch's names and arguments, scikit-learn's three among them.

A schedule multiplies or replaces the base learning rate (``lr`` of an optimizer, ``learning_rate_init`` of an
estimator), per step or per epoch, as its authors define it. It can be cloned, copied and pickled. Any
callable that maps the epoch, from 0, to a factor is also a schedule.

Examples
--------
>>> import numpy as np
>>> from gdfast import schedules
>>> schedule = schedules.Warmup(schedules.Cosine(), total_iters=10)
>>> for epoch in range(4):  # as in training
...     now = schedules.Progress(epoch, step=5 * epoch, samples=160 * epoch, steps_per_epoch=5, epochs=4)
...     print(np.round(schedule.rates(0.3, now), 4))
[0.1  0.12 0.14 0.16 0.18]
[0.1707 0.1878 0.2049 0.2219 0.239 ]
0.15
0.0439
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from gdfast.schedules._base import Lambda, Progress, Rates, Schedule
from gdfast.schedules._curves import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InvScaling,
    MultiStep,
    OneCycle,
    Polynomial,
    Step,
)
from gdfast.schedules._monitored import Adaptive, Plateau
from gdfast.schedules._warmup import Warmup

__all__ = [
    "Adaptive",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InvScaling",
    "Lambda",
    "MultiStep",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Progress",
    "Rates",
    "Schedule",
    "Step",
    "Warmup",
    "resolve",
]


def __dir__() -> list[str]:
    return list(__all__)


# Those that need no argument.
_NAMED: dict[str, Callable[[], Schedule]] = {
    "constant": Constant,
    "invscaling": InvScaling,
    "adaptive": Adaptive,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}


def resolve(schedule: Schedule | str | Callable[[int], float] | None) -> Schedule:
    """Make a schedule from an object, a name or a function.

    Parameters
    ----------
    schedule : Schedule, str, callable or None
        A schedule; one of the names "constant", "invscaling", "adaptive", "polynomial", "cosine",
        "one_cycle", "plateau"; a function that maps the epoch to a factor (see `Lambda`); None is "constant".

    Returns
    -------
    Schedule
        A new schedule. A given schedule is copied, so that using the result does not change it.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If ``schedule`` has another type.

    Examples
    --------
    >>> from gdfast.schedules import resolve
    >>> resolve("cosine")
    Cosine(T_max=None, eta_min=0.0, per='epoch')
    """
    return _resolve(schedule, "schedule")


def _resolve(schedule: Schedule | str | Callable[[int], float] | None, argument: str) -> Schedule:
    """`resolve`, with errors that name ``argument``."""
    if schedule is None:
        return Constant()
    if isinstance(schedule, str):
        if schedule not in _NAMED:
            raise ValueError(
                f"{argument} must be one of {', '.join(map(repr, sorted(_NAMED)))}; got {schedule!r}"
            )
        return _NAMED[schedule]()
    if isinstance(schedule, Schedule):
        return copy.deepcopy(schedule)
    if callable(schedule) and not isinstance(schedule, type):
        return Lambda(schedule)
    raise TypeError(f"{argument} must be a schedule, its name, or a callable; got {schedule!r}")
