"""Waits for other threads that Ctrl-C ends.

A library may have replaced the handler of SIGINT by one that has system calls restarted, as polars does: then
a signal does not end a wait without a timeout.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

_SECONDS = 3600.0  # any number


def acquire(semaphore: threading.Semaphore) -> None:
    while not semaphore.acquire(timeout=_SECONDS):
        pass


def get(items: queue.Queue[T]) -> T:
    while True:
        try:
            return items.get(timeout=_SECONDS)
        except queue.Empty:
            continue


def wait_for(futures: Sequence[Future[Any]], *, all_of_them: bool = True) -> None:
    """Until all are done, or else one has failed."""
    while True:
        done, others = wait(futures, _SECONDS, FIRST_EXCEPTION)
        if not others or (not all_of_them and any(future.exception() for future in done)):
            return
        if all_of_them and done:
            futures = list(others)
