"""The interface of schedules, and the base classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gdfast._checks import check_choice
from gdfast._record import Record

Rates: TypeAlias = float | NDArray[np.float64]


@dataclass(frozen=True)
class Progress:
    """Progress of training at the beginning of an epoch.

    Attributes
    ----------
    epoch, step, samples : int
        Number of epochs, steps and rows of data so far.
    steps_per_epoch : int
        Number of steps in the coming epoch.
    epochs : int
        Total number of epochs, if training is not stopped earlier.
    """

    epoch: int
    step: int
    samples: int
    steps_per_epoch: int
    epochs: int


class Schedule(Record):
    """Base class of the learning-rate schedules.

    Training calls `rates` at the beginning of every epoch, and `epoch_ends` with the monitored value (a loss)
    at its end. A schedule that uses the monitored value has a state; ``copy`` and ``pickle`` keep it,
    ``clone`` resets it.
    """

    def rates(self, lr: float, progress: Progress) -> Rates:
        """The learning rates of the coming epoch's steps.

        Parameters
        ----------
        lr : float
            The base learning rate.
        progress : Progress

        Returns
        -------
        float or array of shape (progress.steps_per_epoch,), float64
            One rate for all steps, or one for each.

        Raises
        ------
        ValueError
            If a rate is negative or not finite.
        """
        raise NotImplementedError

    def _checked(self, rates: Rates, progress: Progress) -> Rates:
        if not (np.isfinite(rates).all() and np.greater_equal(rates, 0).all()):
            raise ValueError(
                f"Learning rates must be finite and at least 0, got {rates} in epoch {progress.epoch} of "
                f"schedule={self!r}."
            )
        return rates

    def set_params(self, **params: Any) -> Self:
        """Change arguments, and reset the state.

        Parameters
        ----------
        **params
            New values of arguments of the constructor, by name.

        Returns
        -------
        self : Schedule
            The schedule.

        Raises
        ------
        TypeError, ValueError
            If a name is not an argument of the constructor, or a value is invalid. In that case nothing is
            changed.
        """
        self._check_has(params)
        self.__dict__.update(type(self)(**{**self.get_params(), **params}).__dict__)
        return self

    def epoch_ends(self, value: float) -> bool:
        """Process the monitored value of an epoch, and return whether training should end.

        Parameters
        ----------
        value : float
            The monitored value of the epoch.
        """
        return False


class Curve(Schedule):
    """A schedule that is a function of the number of epochs or steps so far."""

    per: str

    def rates(self, lr: float, progress: Progress) -> Rates:
        if self.per == "epoch":
            times, total = np.array([progress.epoch], np.float64), progress.epochs
        else:
            times = progress.step + np.arange(progress.steps_per_epoch, dtype=np.float64)
            # Epochs may have different lengths: the total is what has been done plus the planned rest.
            total = progress.step + (progress.epochs - progress.epoch) * progress.steps_per_epoch
        with np.errstate(over="ignore", invalid="ignore"):
            rates = self._at(lr, times, total)
        return self._checked(float(rates[0]) if self.per == "epoch" else rates, progress)

    def _at(self, lr: float, t: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        """The learning rate at each of the times ``t``, out of ``total``."""
        raise NotImplementedError


def check_per(per: str) -> None:
    check_choice("per", per, ("epoch", "step"))


class Lambda(Curve):
    """A function of your own: ``lr * lr_lambda(t)``.

    Parameters
    ----------
    lr_lambda : callable
        Maps the number of epochs (or steps) so far, from 0, to a factor of the learning rate.
    per : {"epoch", "step"}, default="epoch"
        Whether epochs or steps are counted.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value; in ``rates``, if a factor does not give a valid learning
        rate.

    References
    ----------
    PyTorch's ``LambdaLR``.

    Examples
    --------
    >>> from gdfast.schedules import Lambda, Progress
    >>> half_life_ten = Lambda(lambda epoch: 0.5 ** (epoch / 10))
    >>> half_life_ten.rates(0.1, Progress(epoch=20, step=2000, samples=0, steps_per_epoch=100, epochs=50))
    0.025
    """

    def __init__(self, lr_lambda: Callable[[int], float], *, per: str = "epoch") -> None:
        if not callable(lr_lambda):
            raise TypeError(f"lr_lambda must be callable, got {lr_lambda!r}")
        check_per(per)
        self.lr_lambda = lr_lambda
        self.per = per

    def _at(self, lr: float, t: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        return lr * np.array([self._factor(int(time)) for time in t])

    def _factor(self, time: int) -> float:
        factor: Any = self.lr_lambda(time)
        try:
            if factor is None or isinstance(factor, str):  # NumPy would take both
                raise TypeError
            return np.asarray(factor, np.float64).item()
        except (TypeError, ValueError):
            raise TypeError(
                f"A schedule's function must return a number, the learning rate's factor; got {factor!r} for "
                f"{self.per} {time}"
            ) from None
