"""Schedules that depend on the number of epochs or steps only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gdfast._checks import check_choice, check_count, check_not_negative, check_positive, check_share
from gdfast.schedules._base import Curve, Progress, Rates, Schedule, check_per

_Times = NDArray[np.float64]


class Constant(Schedule):
    """The base learning rate, unchanged.

    Examples
    --------
    >>> from gdfast.schedules import Constant, Progress
    >>> Constant().rates(0.1, Progress(epoch=7, step=700, samples=0, steps_per_epoch=100, epochs=10))
    0.1
    """

    def __init__(self) -> None:
        pass

    def rates(self, lr: float, progress: Progress) -> Rates:
        return self._checked(float(lr), progress)


class InvScaling(Schedule):
    """Set the learning rate to ``lr / (samples + 1)**power_t`` in each epoch; samples are the rows so far.

    Parameters
    ----------
    power_t : float, default=0.5
        Not negative.

    References
    ----------
    scikit-learn's ``learning_rate="invscaling"`` of its multilayer perceptrons.

    Examples
    --------
    >>> from gdfast.schedules import InvScaling, Progress
    >>> InvScaling().rates(0.1, Progress(epoch=1, step=10, samples=99, steps_per_epoch=10, epochs=10))
    0.01
    """

    def __init__(self, power_t: float = 0.5) -> None:
        check_not_negative("power_t", power_t)
        self.power_t = power_t

    def rates(self, lr: float, progress: Progress) -> Rates:
        with np.errstate(over="ignore"):  # an infinite divisor gives a rate of zero
            divisor = np.float64(progress.samples + 1) ** np.float64(self.power_t)
            return self._checked(float(lr / divisor), progress)


class Step(Curve):
    """Multiply the learning rate by ``gamma`` every ``step_size`` epochs.

    Parameters
    ----------
    step_size : int
        Number of epochs between two changes.
    gamma : float, default=0.1
        Not negative.
    per : {"epoch", "step"}, default="epoch"
        Whether epochs or steps are counted.

    References
    ----------
    PyTorch's ``StepLR``.

    Examples
    --------
    >>> from gdfast.schedules import Progress, Step
    >>> schedule = Step(30, gamma=0.5)
    >>> schedule.rates(0.1, Progress(epoch=60, step=6000, samples=0, steps_per_epoch=100, epochs=90))
    0.025
    """

    def __init__(self, step_size: int, gamma: float = 0.1, *, per: str = "epoch") -> None:
        check_count("step_size", step_size)
        check_not_negative("gamma", gamma)
        check_per(per)
        self.step_size = step_size
        self.gamma = gamma
        self.per = per

    def _at(self, lr: float, t: _Times, total: int) -> _Times:
        return np.asarray(lr * self.gamma ** (t // self.step_size))


class MultiStep(Curve):
    """Multiply the learning rate by ``gamma`` at each milestone.

    Parameters
    ----------
    milestones : sequence of int
        Numbers of epochs; a number that occurs twice counts twice.
    gamma : float, default=0.1
        Not negative.
    per : {"epoch", "step"}, default="epoch"
        Whether epochs or steps are counted.

    References
    ----------
    PyTorch's ``MultiStepLR``.

    Examples
    --------
    >>> from gdfast.schedules import MultiStep, Progress
    >>> schedule = MultiStep([30, 80], gamma=0.5)
    >>> schedule.rates(1.0, Progress(epoch=80, step=80, samples=0, steps_per_epoch=1, epochs=90))
    0.25
    """

    def __init__(self, milestones: Sequence[int], gamma: float = 0.1, *, per: str = "epoch") -> None:
        if not isinstance(milestones, Sequence | np.ndarray) or getattr(milestones, "ndim", 1) != 1:
            raise TypeError(f"milestones must be a sequence of integers, got {milestones!r}")
        for milestone in milestones:
            check_count("milestones", milestone)
        check_not_negative("gamma", gamma)
        check_per(per)
        self.milestones = milestones
        self.gamma = gamma
        self.per = per

    def _at(self, lr: float, t: _Times, total: int) -> _Times:
        passed = np.searchsorted(np.sort(self.milestones), t, side="right")
        return np.asarray(lr * np.float64(self.gamma) ** passed)


class Exponential(Curve):
    """Multiply the learning rate by ``gamma`` after every epoch.

    Parameters
    ----------
    gamma : float
        Not negative.
    per : {"epoch", "step"}, default="epoch"
        Whether epochs or steps are counted.

    References
    ----------
    PyTorch's ``ExponentialLR``.

    Examples
    --------
    >>> from gdfast.schedules import Exponential, Progress
    >>> Exponential(0.5).rates(0.1, Progress(epoch=2, step=20, samples=0, steps_per_epoch=10, epochs=9))
    0.025
    """

    def __init__(self, gamma: float, *, per: str = "epoch") -> None:
        check_not_negative("gamma", gamma)
        check_per(per)
        self.gamma = gamma
        self.per = per

    def _at(self, lr: float, t: _Times, total: int) -> _Times:
        return np.asarray(lr * np.float64(self.gamma) ** t)


class Polynomial(Curve):
    """Decrease the learning rate as ``lr * (1 - t / total_iters)**power``, then 0.

    Parameters
    ----------
    total_iters : int, default=None
        Number of epochs until the learning rate is 0. None means all epochs.
    power : float, default=1.0
        Exponent, not negative; 1 is linear.
    per : {"epoch", "step"}, default="epoch"
        Whether epochs or steps are counted.

    References
    ----------
    PyTorch's ``PolynomialLR``.

    Examples
    --------
    >>> from gdfast.schedules import Polynomial, Progress
    >>> progress = Progress(epoch=5, step=20, samples=0, steps_per_epoch=4, epochs=10)
    >>> Polynomial().rates(0.1, progress)
    0.05
    >>> Polynomial(per="step").rates(0.1, progress)
    array([0.05  , 0.0475, 0.045 , 0.0425])
    """

    def __init__(self, total_iters: int | None = None, power: float = 1.0, *, per: str = "epoch") -> None:
        if total_iters is not None:
            check_count("total_iters", total_iters)
        check_not_negative("power", power)
        check_per(per)
        self.total_iters = total_iters
        self.power = power
        self.per = per

    def _at(self, lr: float, t: _Times, total: int) -> _Times:
        end = total if self.total_iters is None else self.total_iters
        return np.asarray(lr * (1 - np.minimum(t, end) / end) ** self.power)


class Cosine(Curve):
    """Follow a half cosine from ``lr`` to ``eta_min`` in ``T_max`` epochs, and back up if training continues.

    Parameters
    ----------
    T_max : int, default=None
        Number of epochs of the decrease. None means all epochs.
    eta_min : float, default=0.0
        Minimum learning rate, not negative.
    per : {"epoch", "step"}, default="epoch"
        Whether epochs or steps are counted.

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5;
    PyTorch's ``CosineAnnealingLR``.

    Examples
    --------
    >>> from gdfast.schedules import Cosine, Progress
    >>> Cosine().rates(0.5, Progress(epoch=5, step=50, samples=0, steps_per_epoch=10, epochs=10))
    0.25
    """

    def __init__(self, T_max: int | None = None, eta_min: float = 0.0, *, per: str = "epoch") -> None:
        if T_max is not None:
            check_count("T_max", T_max)
        check_not_negative("eta_min", eta_min)
        check_per(per)
        self.T_max = T_max
        self.eta_min = eta_min
        self.per = per

    def _at(self, lr: float, t: _Times, total: int) -> _Times:
        return _cosine(lr, self.eta_min, t / (total if self.T_max is None else self.T_max))


class CosineRestarts(Schedule):
    """Follow half cosines from ``lr`` to ``eta_min`` per step, with a restart at ``lr`` after each.

    Parameters
    ----------
    T_0 : int
        Number of epochs of the first half cosine.
    T_mult : int, default=1
        Factor by which each half cosine is longer than the one before.
    eta_min : float, default=0.0
        Minimum learning rate, not negative.

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5,
    where the epochs are counted in fractions, batch by batch; PyTorch's ``CosineAnnealingWarmRestarts``.

    Examples
    --------
    >>> from gdfast.schedules import CosineRestarts, Progress
    >>> now = Progress(epoch=3, step=12, samples=0, steps_per_epoch=4, epochs=9)
    >>> CosineRestarts(1).rates(1.0, now).round(4)
    array([1.    , 0.8536, 0.5   , 0.1464])
    """

    def __init__(self, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> None:
        check_count("T_0", T_0)
        check_count("T_mult", T_mult)
        check_not_negative("eta_min", eta_min)
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min

    def rates(self, lr: float, progress: Progress) -> Rates:
        # A cosine begins at the start of an epoch, so all steps of an epoch belong to one cosine.
        begin, length = 0, int(self.T_0)
        if self.T_mult == 1:
            begin = progress.epoch // length * length
        while begin + length <= progress.epoch:
            begin, length = begin + length, length * int(self.T_mult)
        part = np.arange(progress.steps_per_epoch) / progress.steps_per_epoch
        with np.errstate(over="ignore", invalid="ignore"):
            rates = _cosine(lr, self.eta_min, (progress.epoch - begin + part) / length)
        return self._checked(rates, progress)


class OneCycle(Curve):
    """Increase the learning rate to ``max_lr`` and decrease it to almost 0, per step, in one training.

    Parameters
    ----------
    max_lr : float, default=None
        Maximum learning rate. None means the base learning rate.
    pct_start : float, default=0.3
        Fraction of all steps in which the rate increases, in (0, 1).
    anneal_strategy : {"cos", "linear"}, default="cos"
        Shape of the increase and of the decrease.
    div_factor : float, default=25.0
        The initial rate is ``max_lr / div_factor``.
    final_div_factor : float, default=1e4
        The final rate is the initial rate divided by ``final_div_factor``.
    three_phase : bool, default=False
        Whether the rate returns to the initial rate as fast as it increased, and then decreases to the final
        rate.

    Notes
    -----
    The paper and PyTorch also cycle the momentum, in the opposite direction; here the momentum is constant.

    References
    ----------
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    arXiv:1708.07120 (2017); PyTorch's ``OneCycleLR``.

    Examples
    --------
    >>> from gdfast.schedules import OneCycle, Progress
    >>> OneCycle(pct_start=0.5).rates(1.0, Progress(0, 0, 0, steps_per_epoch=8, epochs=1)).round(3)
    array([0.04 , 0.28 , 0.76 , 1.   , 0.854, 0.5  , 0.146, 0.   ])
    """

    per = "step"

    def __init__(
        self,
        max_lr: float | None = None,
        *,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if max_lr is not None:
            check_positive("max_lr", max_lr)
        check_share("pct_start", pct_start)
        check_positive("pct_start", pct_start)
        check_choice("anneal_strategy", anneal_strategy, ("cos", "linear"))
        check_positive("div_factor", div_factor)
        check_positive("final_div_factor", final_div_factor)
        self.max_lr = max_lr
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase

    def _at(self, lr: float, t: _Times, total: int) -> _Times:
        most = lr if self.max_lr is None else self.max_lr
        begin = most / self.div_factor
        end = begin / self.final_div_factor
        up = self.pct_start * total - 1
        if self.three_phase:
            times, heights = [0.0, up, 2 * up, total - 1.0], [begin, most, begin, end]
        else:
            times, heights = [0.0, up, total - 1.0], [begin, most, end]
        # Which phase each time is in; times after the last phase belong to its end.
        way = np.clip(np.searchsorted(times[1:], t, side="left"), 0, len(times) - 2)
        start, stop = np.array(times)[way], np.array(times)[way + 1]
        low, high = np.array(heights)[way], np.array(heights)[way + 1]
        part = np.clip((t - start) / np.where(stop > start, stop - start, 1), 0, 1)
        if self.anneal_strategy == "linear":
            return np.asarray(low + (high - low) * part)
        return np.asarray(high + (low - high) / 2 * (1 + np.cos(np.pi * part)))


def _cosine(lr: float, least: float, part: _Times) -> _Times:
    return np.asarray(least + (lr - least) * (1 + np.cos(np.pi * part)) / 2)
