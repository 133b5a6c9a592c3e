"""Warmup in front of any schedule."""

from __future__ import annotations

import numpy as np

from gdfast._checks import check_count, check_positive
from gdfast.schedules._base import Progress, Rates, Schedule, check_per
from gdfast.schedules._curves import Constant


class Warmup(Schedule):
    """Multiply a schedule by a factor that increases linearly from ``start_factor`` to 1, then stays 1.

    The schedule itself also counts from the beginning of training.

    Parameters
    ----------
    schedule : Schedule, default=None
        Schedule to multiply. None means a constant learning rate.
    total_iters : int, default=5
        Number of steps of the warmup.
    start_factor : float, default=1/3
        Factor of the first step, in (0, 1].
    per : {"step", "epoch"}, default="step"
        Whether epochs or steps are counted.

    References
    ----------
    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", arXiv:1706.02677 (2017),
    section 2.2 (gradual warmup); PyTorch's ``LinearLR`` in a ``ChainedScheduler``.

    Examples
    --------
    >>> from gdfast.schedules import Progress, Warmup
    >>> Warmup(total_iters=4, start_factor=0.2).rates(1.0, Progress(0, 0, 0, steps_per_epoch=6, epochs=1))
    array([0.2, 0.4, 0.6, 0.8, 1. , 1. ])
    """

    def __init__(
        self,
        schedule: Schedule | None = None,
        *,
        total_iters: int = 5,
        start_factor: float = 1 / 3,
        per: str = "step",
    ) -> None:
        if schedule is not None and not isinstance(schedule, Schedule):
            raise TypeError(f"schedule must be one of gdfast.schedules, got {schedule!r}")
        check_count("total_iters", total_iters)
        check_positive("start_factor", start_factor)
        if start_factor > 1:
            raise ValueError(f"start_factor must be at most 1, got {start_factor}")
        check_per(per)
        self.schedule = schedule
        self.total_iters = total_iters
        self.start_factor = start_factor
        self.per = per

    def rates(self, lr: float, progress: Progress) -> Rates:
        schedule = Constant() if self.schedule is None else self.schedule
        behind = schedule.rates(lr, progress)
        if self.per == "epoch":
            return behind * float(self._factor(np.float64(progress.epoch)))
        if progress.step >= self.total_iters:
            return behind
        return behind * self._factor(progress.step + np.arange(progress.steps_per_epoch, dtype=np.float64))

    def _factor(self, t: Rates) -> np.ndarray:
        part = np.minimum(t, self.total_iters) / self.total_iters
        return np.asarray(self.start_factor + (1 - self.start_factor) * part)

    def epoch_ends(self, value: float) -> bool:
        return self.schedule is not None and self.schedule.epoch_ends(value)
