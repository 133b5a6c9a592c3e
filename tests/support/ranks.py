"""Ranks that are threads of this process, in place of the processes of an MPI job."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from gdfast.training.ranks import Ranks


class _Job:
    """What the ranks of a job share."""

    def __init__(self, size: int, patience: float) -> None:
        self.size = size
        self.parts: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=patience)  # a rank that waits longer hangs


class _Communicator:
    def __init__(self, job: _Job, rank: int) -> None:
        self._job = job
        self.rank, self.size = rank, job.size
        self.n_sums = 0

    def _exchange(self, kind: str, value: Any) -> list[Any]:
        self._job.parts[self.rank] = kind, value
        self._job.barrier.wait()
        found = list(self._job.parts)
        self._job.barrier.wait()
        assert {kind for kind, _ in found} == {kind}, "ranks exchange different things"
        return [part for _, part in found]

    def gather(self, value: Any) -> list[Any]:
        return [pickle.loads(part) for part in self._exchange("gather", pickle.dumps(value))]

    def abort(self) -> None:
        self._job.barrier.abort()

    def add_up(self, array: np.ndarray) -> None:
        self.n_sums += 1
        parts = self._exchange(f"sum of {array.size} {array.dtype}", array.copy())
        array[...] = np.sum(parts, axis=0)


def on_ranks(
    size: int, work: Callable[[int], Any], *, sync_every: int = 1, patience: float = 60.0
) -> list[Any]:
    """The results of ``work(rank)`` on each rank, or the error that it has raised there."""
    job = _Job(size, patience)

    def run(rank: int) -> Any:
        try:
            with Ranks(_Communicator(job, rank), sync_every=sync_every, n_threads=1).block():
                return work(rank)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, range(size)))


def results(found: list[Any]) -> list[Any]:
    """The results, where no rank has raised an error."""
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def of_batches(n_rows: int, size: int, part: int) -> list[np.ndarray]:
    """Each rank's rows, such that its next ``part`` rows are its part of the next ``size * part`` of all."""
    batches = np.arange(n_rows).reshape(-1, size, part)
    return [batches[:, rank].ravel() for rank in range(size)]
