"""The ranks of an MPI job, or the like, that train one model: how they agree, and learn of failures.

All ranks make the same calls in the same order. What they exchange between steps goes through one kind of
call, `Ranks.gather`, in which a rank that has failed says so, wherever the others are: nobody waits for it.
"""

from __future__ import annotations

import hashlib
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray


class RankError(RuntimeError):
    """Another rank has failed, or the ranks no longer agree. The message says which rank, and what.

    See Also
    --------
    mpi : The block of ranks that train together.

    Examples
    --------
    >>> from gdfast.distributed import RankError
    >>> raise RankError("Rank 1 has failed with OSError: no file")
    Traceback (most recent call last):
    gdfast.distributed.RankError: Rank 1 has failed with OSError: no file
    """


RankError.__module__ = "gdfast.distributed"


class Communicator(Protocol):
    """What ranks need of MPI."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order, on each."""

    def add_up(self, array: NDArray[Any]) -> None:
        """Replace an array by the sum over all ranks, with the same bits on each."""

    def abort(self) -> None:
        """End all ranks at once."""


@dataclass(frozen=True)
class _Message:
    """What a rank says where all ranks meet.

    Attributes
    ----------
    place : str
        Where it is, in words: all have to be at the same place.
    value : Any
    failure : str
        What it has failed with, or nothing.
    interrupted : bool
        Whether by Ctrl-C, which ends training on all ranks as it does on one.
    """

    place: str
    value: Any = None
    failure: str = ""
    interrupted: bool = False


_LEAVING = "the end of the block of gdfast.distributed.mpi()"


class Ranks:
    """The ranks that train together, as one of them sees them.

    Parameters
    ----------
    communicator : Communicator
    sync_every : int
        Number of steps that each rank takes alone between two averages of the weights; 1 stands for steps
        that all take together.
    n_threads : int
        Number of threads of this rank, where the user gives none.
    """

    def __init__(self, communicator: Communicator, *, sync_every: int = 1, n_threads: int = 0) -> None:
        self._communicator = communicator
        self.rank, self.size = communicator.rank, communicator.size
        self.sync_every = sync_every
        self.n_threads = n_threads
        self.is_interrupted = False  # by Ctrl-C, which no other rank knows of yet
        self._agreed: BaseException | None = None  # the last error that all ranks know of
        self._is_over = False  # whether a rank has left

    def gather(self, place: str, value: Any = None) -> list[Any]:
        """The values of all ranks.

        RankError if another rank has failed or is at another ``place``; KeyboardInterrupt after Ctrl-C on any
        rank.
        """
        return self._meet(_Message(place, value, interrupted=self.is_interrupted))

    def fail(self, error: BaseException, place: str = "an error") -> None:
        """Tell the others of an error of this rank, unless they know of it. The caller is to raise it."""
        if self.is_known(error):
            return
        self._agreed = error
        if not self._is_over:
            interrupted = isinstance(error, KeyboardInterrupt)
            text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self._meet(_Message(place, None, "" if interrupted else text, interrupted), error)

    def settle(self, place: str, error: BaseException | None, value: Any = None) -> list[Any]:
        """The values of all ranks; raises an ``error`` on this rank, and RankError on the others."""
        if error is not None:
            self.fail(error, place)
            raise error
        return self.gather(place, value)

    def is_known(self, error: BaseException) -> bool:
        """Whether it is the last error that all ranks know of, or has come from it."""
        seen: BaseException | None = error
        while seen is not None:
            if seen is self._agreed:
                return True
            seen = seen.__cause__ or seen.__context__
        return False

    def known(self, error: BaseException) -> BaseException:
        """An error that all ranks raise at the same place."""
        self._agreed = error
        return error

    def add_up(self, array: NDArray[Any]) -> None:
        """Replace an array by the sum over all ranks. Each must know that the others do so, too."""
        self._communicator.add_up(array)

    def abort(self) -> None:
        """End all ranks at once: for an error that the others cannot be told of."""
        self._communicator.abort()

    def interrupt(self) -> None:
        """Have all ranks raise KeyboardInterrupt where they meet next."""
        self.is_interrupted = True

    def check_same(self, what: str, found: Sequence[Any], kind: type[Exception] = RankError) -> None:
        """An error that names the first rank whose value is not that of rank 0."""
        for rank, value in enumerate(found):
            if value != found[0]:
                raise self.known(kind(f"{what} of rank {rank} differ from those of rank 0."))

    def _meet(self, message: _Message, own: BaseException | None = None) -> list[Any]:
        """Exchange messages. An ``own`` error is the caller's to raise, so that no other is raised."""
        if self._is_over:
            raise self.known(RankError("A rank has left the block of gdfast.distributed.mpi()."))
        found: list[_Message] = self._communicator.gather(message)
        self._is_over = message.place != _LEAVING and any(m.place == _LEAVING for m in found)
        error: BaseException | None = None
        failed = [rank for rank, m in enumerate(found) if m.failure]
        elsewhere = [rank for rank, m in enumerate(found) if m.place != message.place]
        if failed:
            error = RankError(f"Rank {failed[0]} has failed with {found[failed[0]].failure}")
        elif any(m.interrupted for m in found):
            self.is_interrupted = False
            error = KeyboardInterrupt()
        elif elsewhere:
            error = RankError(
                f"The ranks have not made the same calls: rank {self.rank} is at {message.place}, rank "
                f"{elsewhere[0]} at {found[elsewhere[0]].place}."
            )
        if error is not None and own is None:
            raise self.known(error)
        return [m.value for m in found]

    @contextmanager
    def fit(self) -> Iterator[None]:
        """A fit that all ranks make: an error of one rank is raised on all."""
        with self._deferring_interrupts():
            try:
                yield
                self.gather("the end of a fit")
            except BaseException as error:
                self.fail(error)
                raise

    @contextmanager
    def block(self) -> Iterator[None]:
        """The block in which the ranks are `current`: an error that leaves it on one is raised on all."""
        _of_thread.ranks = self
        try:
            yield
        except BaseException as error:
            self._agreed = None  # others may have caught it
            self.fail(error, _LEAVING)
            raise
        else:
            if not self._is_over:
                self.gather(_LEAVING)
        finally:
            _of_thread.ranks = None

    @contextmanager
    def _deferring_interrupts(self) -> Iterator[None]:
        """Ctrl-C is raised where the ranks meet, on all of them; pressed again, at once."""
        on_main = threading.current_thread() is threading.main_thread()
        if not on_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def note(number: int, frame: Any) -> None:
            if self.is_interrupted:
                raise KeyboardInterrupt
            self.is_interrupted = True

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            late, self.is_interrupted = self.is_interrupted, False
            if late:
                signal.raise_signal(signal.SIGINT)


class _OfThread(threading.local):
    # Not a context variable: some versions of Python hand those on to new threads, whose fits are their own.
    ranks: Ranks | None = None


_of_thread = _OfThread()


def current() -> Ranks | None:
    """The ranks that fits of this thread are shared with, or None."""
    return _of_thread.ranks


def digest(*values: Any) -> bytes:
    """A hash of arrays, and of anything else that can be pickled."""
    found = hashlib.blake2b(digest_size=16)
    for value in values:
        _add(found, value)
    return found.digest()


def _add(found: Any, value: Any) -> None:
    if hasattr(value, "dtype") and hasattr(value, "data"):
        found.update(f"{value.dtype.str}{value.shape}".encode())
        found.update(value.tobytes() if not value.flags.c_contiguous else value.reshape(-1).view("u1").data)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        found.update(b"(")
        for item in value:
            _add(found, item)
        found.update(b")")
    else:
        found.update(pickle.dumps(value))
