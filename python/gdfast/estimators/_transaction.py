"""Fits as transactions: one at a time for each estimator, undone if they fail before the first step."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# The ids of estimators that are being fitted; kept here so that copies and pickles do not include them.
_running: set[int] = set()
_lock = threading.Lock()


def _reset_in_child() -> None:
    # Fits of the parent process do not run in the child.
    global _lock
    _lock = threading.Lock()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)


class Transaction:
    """Records whether the result of a fit is kept even if it fails."""

    def __init__(self) -> None:
        self.is_kept = False

    def keep(self) -> None:
        self.is_kept = True


@contextmanager
def transaction(est: Any) -> Iterator[Transaction]:
    """Restore an estimator's attributes if the fit raises before its result is kept, or for lack of memory.

    A fit that goes on from the estimator's weights changes them in place: once it has taken a step, these
    stay as the last whole step left them.

    RuntimeError if the estimator is already being fitted, in another thread or by the caller of this fit.
    """
    key = id(est)
    with _lock:
        if key in _running:
            raise RuntimeError(
                f"This {type(est).__name__} is already being fitted, by another thread or by the fit that "
                "this is called from. Fit a clone of it."
            )
        _running.add(key)
    try:
        before = dict(est.__dict__)
        training: Any = before.get("_training")
        optimizer, order = getattr(training, "optimizer", None), getattr(training, "order", None)
        # State that changes before the first step: the count of the schedule, and the order of rows.
        optimizer_before = None if optimizer is None else dict(vars(optimizer))
        order_before = copy.deepcopy(order)
        attempt = Transaction()
        try:
            yield attempt
        except BaseException as error:
            if not attempt.is_kept or (isinstance(error, MemoryError) and not _shares_weights(est, before)):
                est.__dict__.clear()
                est.__dict__.update(before)
                if optimizer_before is not None:
                    vars(optimizer).update(optimizer_before)
                if order_before is not None:
                    training.order = order_before
            raise
    finally:
        with _lock:
            _running.discard(key)


def _shares_weights(est: Any, before: dict[str, Any]) -> bool:
    """Whether the estimator's weights are the arrays that it had before."""
    old, new = before.get("coefs_") or [], vars(est).get("coefs_") or []
    return any(np.may_share_memory(a, b) for a, b in zip(old, new, strict=False))
