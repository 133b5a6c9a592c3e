"""The outcome of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "stopped", "flat", "converged", "max_iter", "out_of_time", "interrupted", "diverged", "failed"
]


@dataclass(frozen=True)
class Outcome:
    """The reason why training ended.

    Attributes
    ----------
    reason : str
        "stopped" by a listener or the schedule; "flat": no improvement for too long; "converged" (lbfgs);
        "max_iter"; "out_of_time"; "interrupted" by Ctrl-C; "diverged": the weights are not finite; "failed":
        SciPy's solver gave up.
    message, status
        Message and status of SciPy.
    """

    reason: Reason
    message: str = ""
    status: int = 0
