"""A fit from the outside: one at a time on an estimator, which stays what it was until the first step."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# The estimators that are being fitted, by id: nothing of this may travel with a copy or a pickle.
_fitted_now: set[int] = set()
_lock = threading.Lock()


def _begin_anew_in_child() -> None:
    # Whoever fitted in the parent does not do so here.
    global _lock
    _lock = threading.Lock()
    _fitted_now.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)


class Transaction:
    """Says when what has been done is to stay, however the fit ends."""

    def __init__(self) -> None:
        self.is_kept = False

    def keep(self) -> None:
        self.is_kept = True


@contextmanager
def transaction(est: Any) -> Iterator[Transaction]:
    """Leave an estimator's attributes as they were where a fit raises before it is kept.

    RuntimeError where the same estimator is being fitted already, in another thread or around this call.
    """
    key = id(est)
    with _lock:
        if key in _fitted_now:
            raise RuntimeError(
                f"This {type(est).__name__} is already being fitted, by another thread or by the fit that "
                "this is called from. Fit a clone of it."
            )
        _fitted_now.add(key)
    try:
        before = dict(est.__dict__)
        training: Any = before.get("_training")
        optimizer, order = getattr(training, "optimizer", None), getattr(training, "order", None)
        # What a first epoch begins before its first step: the schedule's count, and the order of rows.
        within = None if optimizer is None else dict(vars(optimizer))
        rows = copy.deepcopy(order)
        attempt = Transaction()
        try:
            yield attempt
        except BaseException:
            if not attempt.is_kept:
                est.__dict__.clear()
                est.__dict__.update(before)
                if within is not None:
                    vars(optimizer).update(within)
                if rows is not None:
                    training.order = rows
            raise
    finally:
        with _lock:
            _fitted_now.discard(key)
