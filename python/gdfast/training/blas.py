"""Threads of BLAS and LAPACK: they wait for one another by spinning, for long on a busy machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# The number of threads is one for the whole process: the first of several users sets it, and the last one
# puts back what was there.
_lock = threading.Lock()
_users = 0
_limit: Any = None


@contextmanager
def on_threads(n_threads: int, *, beside_core: bool = False) -> Iterator[None]:
    """A context in which BLAS works on so many threads, or as others that are in one have it.

    ``beside_core`` is whether functions of the core are called in it: a BLAS that shares OpenMP's number of
    threads with the core is left as it is then.
    """
    global _users, _limit
    with _lock:
        if not _users:
            _limit = _libraries(beside_core).limit(limits=n_threads)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _limit.restore_original_limits()


@cache
def _libraries(beside_core: bool) -> Any:
    import scipy.linalg  # noqa: F401  (so that its BLAS is found, beside NumPy's)
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas")
    return found.select(threading_layer="pthreads") if beside_core else found


def _forget_users() -> None:
    """In a child, which has none of its parent's threads."""
    global _lock, _users
    _lock, _users = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_users)
