"""Schedules that depend on the monitored value."""

from __future__ import annotations

import math

from gdfast._checks import check_choice, check_count, check_not_negative, check_share
from gdfast.schedules._base import Progress, Rates, Schedule


class Adaptive(Schedule):
    """Divide the learning rate by 5 if the loss has not improved for more than ``n_iter_no_change`` epochs.

    If the learning rate is already 1e-6 or below, training ends instead.

    Parameters
    ----------
    tol : float, default=1e-4
        Smallest decrease that counts as an improvement, not negative.
    n_iter_no_change : int, default=10
        Number of epochs without improvement that are tolerated.

    References
    ----------
    scikit-learn's ``learning_rate="adaptive"`` of its multilayer perceptrons.

    Examples
    --------
    >>> from gdfast.schedules import Adaptive, Progress
    >>> schedule, start = Adaptive(n_iter_no_change=1), Progress(0, 0, 0, steps_per_epoch=1, epochs=9)
    >>> schedule.rates(0.5, start), [schedule.epoch_ends(loss) for loss in (1.0, 1.0, 1.0)]
    (0.5, [False, False, False])
    >>> schedule.rates(0.5, start)
    0.1
    """

    def __init__(self, tol: float = 1e-4, n_iter_no_change: int = 10) -> None:
        check_not_negative("tol", tol)
        check_count("n_iter_no_change", n_iter_no_change)
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self._lr: float | None = None
        self._best = math.inf
        self._without = 0

    def rates(self, lr: float, progress: Progress) -> Rates:
        if self._lr is None:
            self._checked(lr, progress)
            self._lr = float(lr)
        return self._lr

    def epoch_ends(self, value: float) -> bool:
        # This comparison makes a NaN no improvement.
        self._without = 0 if value <= self._best - self.tol else self._without + 1
        self._best = min(self._best, value)
        if self._without <= self.n_iter_no_change or self._lr is None:
            return False
        if self._lr <= 1e-6:
            return True
        self._lr /= 5.0
        self._without = 0
        return False


class Plateau(Schedule):
    """Multiply the learning rate by ``factor`` after more than ``patience`` epochs without improvement.

    Parameters
    ----------
    mode : {"min", "max"}, default="min"
        Whether lower values are better, as for a loss, or higher ones, as for a score. Estimators monitor a
        loss and refuse "max".
    factor : float, default=0.1
        Factor of the learning rate, below 1.
    patience : int, default=10
        Number of epochs without improvement that are tolerated.
    threshold : float, default=1e-4
        Smallest change that counts as an improvement.
    threshold_mode : {"rel", "abs"}, default="rel"
        Whether ``threshold`` is relative to the best value or absolute.
    cooldown : int, default=0
        Number of epochs after a change in which none counts as without improvement.
    min_lr : float, default=0.0
        Minimum learning rate.
    eps : float, default=1e-8
        Changes of the learning rate that are not larger than this are ignored.

    References
    ----------
    PyTorch's ``ReduceLROnPlateau``.

    Examples
    --------
    >>> from gdfast.schedules import Plateau, Progress
    >>> schedule, start = Plateau(patience=1), Progress(0, 0, 0, steps_per_epoch=1, epochs=9)
    >>> rates = []
    >>> for loss in (1.0, 0.5, 0.5, 0.5, 0.4):
    ...     rates.append(schedule.rates(0.1, start))
    ...     _ = schedule.epoch_ends(loss)
    >>> rates
    [0.1, 0.1, 0.1, 0.1, 0.010000000000000002]
    """

    def __init__(
        self,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        *,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_choice("mode", mode, ("min", "max"))
        check_share("factor", factor)
        check_count("patience", patience, least=0)
        check_not_negative("threshold", threshold)
        check_choice("threshold_mode", threshold_mode, ("rel", "abs"))
        check_count("cooldown", cooldown, least=0)
        check_not_negative("min_lr", min_lr)
        check_not_negative("eps", eps)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self._lr: float | None = None
        self._best = math.inf if mode == "min" else -math.inf
        self._bad = 0
        self._cooling = 0

    def rates(self, lr: float, progress: Progress) -> Rates:
        if self._lr is None:
            self._checked(lr, progress)
            self._lr = float(lr)
        return self._lr

    def epoch_ends(self, value: float) -> bool:
        if self._better(value):
            self._best, self._bad = value, 0
        else:
            self._bad += 1
        if self._cooling > 0:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self.patience and self._lr is not None:
            lower = max(self._lr * self.factor, self.min_lr)
            if self._lr - lower > self.eps:
                self._lr = lower
            self._cooling = self.cooldown
            self._bad = 0
        return False

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            return sign * value < sign * self._best - self.threshold
        return sign * value < sign * self._best * (1 - sign * self.threshold)
