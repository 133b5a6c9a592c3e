"""Waits for other threads that Ctrl-C ends.

A signal ends a wait of Python's only if it comes in the system call. It does not if it comes just before, or
if a library has replaced the handler of SIGINT by one that has system calls restarted, as polars does. So
these waits look up now and then.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

SECONDS = 0.05  # from one look to the next


def acquire(semaphore: threading.Semaphore) -> None:
    while not semaphore.acquire(timeout=SECONDS):
        pass


def get(items: queue.Queue[T]) -> T:
    while True:
        try:
            return items.get(timeout=SECONDS)
        except queue.Empty:
            continue


def join(thread: threading.Thread) -> None:
    while thread.is_alive():
        thread.join(SECONDS)


def wait_for(futures: Sequence[Future[Any]], *, all_of_them: bool = True) -> None:
    """Until all are done, or else one has failed."""
    while True:
        done, others = wait(futures, SECONDS, FIRST_EXCEPTION)
        if not others or (not all_of_them and any(future.exception() for future in done)):
            return
        if all_of_them and done:
            futures = list(others)
