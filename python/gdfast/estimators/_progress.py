"""Who watches a fit and may end it: the user's callbacks, scikit-learn's, and the clock."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sklearn.exceptions import ConvergenceWarning

from gdfast.estimators._sklearn_callbacks import FitTask
from gdfast.estimators._transaction import Transaction
from gdfast.estimators._warnings import warn

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP

HOOKS = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end")


def check_callbacks(callbacks: Iterable[Any] | None) -> None:
    """TypeError where one of them could never be called."""
    for callback in callbacks or ():
        if isinstance(callback, type):
            raise TypeError(f"callbacks must hold instances, got the class {callback.__name__} itself.")
        if not any(callable(getattr(callback, hook, None)) for hook in HOOKS):
            raise TypeError(
                f"A callback must have one of the methods {', '.join(HOOKS)}; {callback!r} has none."
            )


class Progress:
    """The course of a fit from its first epoch to its last, for all who watch it.

    A context: it begins with ``on_train_begin`` and ends with ``on_train_end``, whatever happens between, for
    every callback that has begun.

    Parameters
    ----------
    est : BaseMLP
    task : FitTask or None
        What scikit-learn's callbacks are told; None where nobody is to be told anything (``partial_fit``,
        whose caller has the loop in hand), and no time is up.
    attempt : Transaction
        Whether the fit is to stay.
    """

    def __init__(self, est: BaseMLP, task: FitTask | None, attempt: Transaction) -> None:
        self.attempt = attempt
        self._est = est
        self._task = task
        self._callbacks = list(est.callbacks or ()) if task is not None else []
        self._max_time = est.max_time if task is not None else None
        self._exits = ExitStack()
        self._begun = time.perf_counter()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            if self._task is not None:
                self._task.begins()
            for callback in self._callbacks:
                if hook := getattr(callback, "on_train_begin", None):
                    hook(self._est)
                if hook := getattr(callback, "on_train_end", None):
                    exits.callback(hook, self._est)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._exits:
            if error is None and self._task is not None:
                self._task.ends()

    @property
    def is_watched(self) -> bool:
        """Whether somebody may look at the weights, or edit them, between two epochs."""
        return bool(self._callbacks) or (self._task is not None and self._task.is_watched)

    def epoch_begins(self, epoch: int, logs: dict[str, float]) -> bool:
        """Tell everybody; whether one of them wants to stop."""
        if self._task is not None:
            self._task.epoch_begins()
        return self._call("on_epoch_begin", epoch, logs)

    def epoch_ends(self, epoch: int, logs: dict[str, float]) -> bool:
        """Tell everybody; whether one of them wants to stop."""
        stops = self._call("on_epoch_end", epoch, {**logs, "time": time.perf_counter() - self._begun})
        return (self._task is not None and self._task.epoch_ends()) or stops

    def is_out_of_time(self) -> bool:
        return self._max_time is not None and time.perf_counter() - self._begun >= self._max_time

    def warn_out_of_time(self) -> None:
        warn(
            f"Training stopped after {self._est.n_iter_} iteration(s): max_time={self._max_time} seconds "
            "have passed and the optimization hasn't converged yet.",
            ConvergenceWarning,
        )

    def _call(self, name: str, epoch: int, logs: dict[str, float]) -> bool:
        stops = False
        for callback in self._callbacks:
            if hook := getattr(callback, name, None):
                stops |= bool(hook(self._est, epoch, dict(logs)))
        return stops
