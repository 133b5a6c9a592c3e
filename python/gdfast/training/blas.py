"""BLAS and LAPACK on one thread: their threads wait for one another, for long on a busy machine."""

from __future__ import annotations

from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def on_one_thread(*, beside_core: bool = False) -> Any:
    """A context in which BLAS works on one thread.

    ``beside_core`` is whether functions of the core are called in it: a BLAS that shares OpenMP's number of
    threads with the core is left as it is then.
    """
    return _libraries(beside_core).limit(limits=1)


@cache
def _libraries(beside_core: bool) -> Any:
    found = ThreadpoolController().select(user_api="blas")
    return found.select(threading_layer="pthreads") if beside_core else found
