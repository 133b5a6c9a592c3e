"""One process per library: none meets another's threads, and each starts with its limits already set.

Thread counts are read from the environment when a library is loaded, and waiting threads of one library
can slow the next one down; so every library is loaded, and stays, in a process of its own, that is asked
to work only while all others sleep.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any


class UnavailableError(Exception):
    """The library is not installed."""


class FailedError(Exception):
    """The other process raised; its traceback is the message's end."""


class Worker:
    """An object that lives in another process.

    Parameters
    ----------
    factory : callable
        Makes the object there. Must be importable by name.
    *args
        Arguments of the factory.
    threads : int
        Threads its libraries are told to use, and cores the process is bound to.

    Raises
    ------
    UnavailableError
        If the factory raised ``ModuleNotFoundError``.
    FailedError
        If the factory, or later a method, raised anything else.
    """

    def __init__(self, factory: Callable[..., Any], *args: Any, threads: int) -> None:
        context = get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(other_end, factory, args), daemon=True)
        with _limited_to(threads):
            self._process.start()
        other_end.close()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *args: Any) -> Any:
        self._connection.send((method, args))
        return self._receive()

    def close(self) -> None:
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except EOFError:
            self._process.join()
            raise FailedError(f"its process died with exit code {self._process.exitcode}") from None
        if kind == "missing":
            raise UnavailableError(value)
        if kind == "error":
            raise FailedError(value)
        return value


@contextlib.contextmanager
def _limited_to(threads: int) -> Iterator[None]:
    """What a process started inside inherits: the thread limits of all libraries, and that many cores."""
    # NPROC is how many threads JAX takes.
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    limits = {**dict.fromkeys(names, str(threads)), "JAX_PLATFORMS": "cpu"}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    if cores is not None:
        os.sched_setaffinity(0, sorted(cores)[:threads])
    try:
        yield
    finally:
        if cores is not None:
            os.sched_setaffinity(0, cores)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, factory: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        served = factory(*args)
    except ModuleNotFoundError as error:
        connection.send(("missing", f"{error.name} is not installed"))
        return
    except Exception:
        connection.send(("error", traceback.format_exc()))
        return
    connection.send(("ok", None))
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            method, arguments = connection.recv()
            try:
                connection.send(("ok", getattr(served, method)(*arguments)))
            except Exception:
                connection.send(("error", traceback.format_exc()))
