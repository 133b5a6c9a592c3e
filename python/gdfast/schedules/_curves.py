"""Schedules that are functions of time alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gdfast._checks import check_count, check_not_negative, check_positive, check_share
from gdfast.schedules._base import Curve, Progress, Rates, Schedule, check_per

_Times = NDArray[np.float64]


class Constant(Schedule):
    """The learning rate as it is given.

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
    """``lr / (samples + 1)**power_t``, per epoch; samples are the rows seen so far.

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
        with np.errstate(over="ignore"):  # divided by what is beyond all numbers, nothing is left
            return self._checked(float(lr / np.float64(progress.samples + 1) ** self.power_t), progress)


class Step(Curve):
    """Times ``gamma`` after every ``step_size`` epochs.

    Parameters
    ----------
    step_size : int
        Length of a stair.
    gamma : float, default=0.1
        Not negative.
    per : {"epoch", "step"}, default="epoch"
        What is counted.

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
    """Times ``gamma`` at each milestone.

    Parameters
    ----------
    milestones : sequence of int
        After how many epochs; a number that occurs twice counts twice.
    gamma : float, default=0.1
        Not negative.
    per : {"epoch", "step"}, default="epoch"
        What is counted.

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
    """Times ``gamma`` after every epoch.

    Parameters
    ----------
    gamma : float
        Not negative.
    per : {"epoch", "step"}, default="epoch"
        What is counted.

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
    """``lr * (1 - t / total_iters)**power``, then 0.

    Parameters
    ----------
    total_iters : int, default=None
        How many epochs it takes. None: all of them.
    power : float, default=1.0
        1 is a straight line; not negative.
    per : {"epoch", "step"}, default="epoch"
        What is counted.

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
    """Half a cosine from ``lr`` down to ``eta_min`` in ``T_max`` epochs, and up again if training goes on.

    Parameters
    ----------
    T_max : int, default=None
        How many epochs the way down takes. None: all of them.
    eta_min : float, default=0.0
        The least learning rate, not negative.
    per : {"epoch", "step"}, default="epoch"
        What is counted.

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
    """Half cosines from ``lr`` down to ``eta_min``, step by step, with a jump back to ``lr`` after each.

    Parameters
    ----------
    T_0 : int
        Epochs of the first half cosine.
    T_mult : int, default=1
        How many times longer each next one is.
    eta_min : float, default=0.0
        The least learning rate, not negative.

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
        # A cosine begins with a whole epoch, so all of an epoch's steps are in one.
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
    """Up to the greatest learning rate and down to almost nothing, step by step, in one training.

    Parameters
    ----------
    max_lr : float, default=None
        The greatest learning rate. None: the learning rate that is given elsewhere.
    pct_start : float, default=0.3
        Part of all steps that the way up takes, in (0, 1).
    anneal_strategy : {"cos", "linear"}, default="cos"
        The shape of the ways.
    div_factor : float, default=25.0
        It begins with ``max_lr / div_factor``.
    final_div_factor : float, default=1e4
        It ends with that, divided by this.
    three_phase : bool, default=False
        Down to the beginning's rate as fast as it went up, and then to the end's.

    Notes
    -----
    The paper lets momentum go the other way meanwhile, and so does PyTorch; here it stays as it is.

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
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos', 'linear'; got {anneal_strategy!r}")
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
        # Which way each time is on; times after the last belong to its end.
        way = np.clip(np.searchsorted(times[1:], t, side="left"), 0, len(times) - 2)
        start, stop = np.array(times)[way], np.array(times)[way + 1]
        low, high = np.array(heights)[way], np.array(heights)[way + 1]
        part = np.clip((t - start) / np.where(stop > start, stop - start, 1), 0, 1)
        if self.anneal_strategy == "linear":
            return np.asarray(low + (high - low) * part)
        return np.asarray(high + (low - high) / 2 * (1 + np.cos(np.pi * part)))


def _cosine(lr: float, least: float, part: _Times) -> _Times:
    return np.asarray(least + (lr - least) * (1 + np.cos(np.pi * part)) / 2)
