"""The outcome of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "stopped", "flat", "converged", "max_iter", "out_of_time", "interrupted", "diverged", "failed"
]


@dataclass(frozen=True)
class NotFinite:
    """Where training first computed a number that is not finite.

    Attributes
    ----------
    epoch : int
        The epoch or iteration of this run, from 1.
    what : str
        For a message, such as "the outputs of coefs_[1]", "the gradient of coefs_[0]" or "the loss".
    learning_rate : float or None
        The mean learning rate of the epoch, with stochastic solvers.
    """

    epoch: int
    what: str
    learning_rate: float | None = None


@dataclass(frozen=True)
class Outcome:
    """The reason why training ended.

    Attributes
    ----------
    reason : str
        "stopped" by a listener or the schedule; "flat": no improvement for too long; "converged"
        (solvers over all rows); "max_iter"; "out_of_time"; "interrupted" by Ctrl-C; "diverged": the weights
        are not finite; "failed": SciPy's solver gave up.
    message, status
        Message and status of SciPy.
    not_finite : NotFinite or None
        Set if training diverged, or its last epochs had a loss or moments that are not finite.
    """

    reason: Reason
    message: str = ""
    status: int = 0
    not_finite: NotFinite | None = None
