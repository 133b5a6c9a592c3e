"""Synchronous gradient descent by the workers of a cluster that runs under MPI."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any
from uuid import uuid4

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from gdfast import _core
from gdfast.dask._needs import needs_dask
from gdfast.dask._partitions import Checked, Partitions
from gdfast.distributed import RankError, mpi
from gdfast.estimators._warnings import Collected, collected
from gdfast.training import ranks
from gdfast.training.arrays import Array

# Two fits at the same time would each wait for workers that the other one has.
_LOCK = "gdfast-synchronous-fit"


@dataclass(frozen=True)
class Call:
    """A call of ``fit`` or ``partial_fit`` that all ranks make.

    Attributes
    ----------
    est : estimator
        The one for data in memory.
    method : str
    arguments : dict
        What the method takes besides the rows and the validation set.
    holdout : tuple or None
        The validation set, which the first rank evaluates.
    dtype : numpy.dtype
        That of X.
    """

    est: Any
    method: str
    arguments: dict[str, Any]
    holdout: tuple[Any, Any, Any] | None
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Fitted:
    """What a rank returns.

    Attributes
    ----------
    est : estimator or None
        The estimator, of the first rank.
    warned : list of (str, type)
        The messages and categories of its warnings.
    error : BaseException or None
        What has ended the fit. The estimator is as such an error leaves it.
    """

    est: Any = None
    warned: Sequence[tuple[str, type[Warning]]] = ()
    error: BaseException | None = None


def fit_on_ranks(partitions: Partitions, call: Call) -> Fitted:
    """Have the workers of a cluster fit together, each to its part of the partitions.

    Ctrl-C ends training as it ends that of one process. RuntimeError if the workers do not run under MPI.
    """
    client = partitions.client
    distributed = needs_dask("distributed")
    distributed.wait(partitions.checked)
    with client.as_current(), distributed.Lock(_LOCK):
        world = _world_ranks(client)
        groups = divided(partitions.n_rows, len(world))
        workers = _workers_of(groups, partitions, list(world))
        members = [world[address] for address in workers]
        token = uuid4().hex
        futures = [
            client.submit(
                _fit_rank,
                call,
                token,
                members,
                rank,
                *(partitions.checked[i] for i in group),
                key=f"gdfast-rank-{token}-{rank}",
                workers=[address],
                allow_other_workers=False,
                pure=False,
                retries=0,
            )
            for rank, (address, group) in enumerate(zip(workers, groups, strict=True))
        ]
        while True:
            try:
                distributed.wait(futures)
                break
            except KeyboardInterrupt:
                client.run(_interrupt, token, workers=workers)
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors and futures[0].exception() is not None:
        raise errors[0]  # the task itself
    fitted: Fitted = futures[0].result()
    if isinstance(fitted.error, RankError):
        # A rank that has failed raises its own error, and the others one about it.
        own = next((error for error in errors if not isinstance(error, RankError)), fitted.error)
        fitted = replace(fitted, error=own)
    return fitted


def divided(n_rows: Sequence[int], n_groups: int) -> list[list[int]]:
    """Neighbouring partitions in at most ``n_groups`` groups with about as many rows in each.

    The groups depend on the rows alone, not on where they lie, so that a fit can be repeated.
    """
    ends = np.cumsum(n_rows)
    middles = ends - np.asarray(n_rows) / 2
    groups = np.minimum(middles * n_groups // ends[-1], n_groups - 1).astype(int)
    return [np.flatnonzero(groups == group).tolist() for group in np.unique(groups)]


def _workers_of(groups: list[list[int]], partitions: Partitions, workers: list[str]) -> list[str]:
    """A worker for each group, such that the fewest rows have to travel."""
    holders = partitions.client.who_has(partitions.checked)
    there = np.array(
        [
            [
                sum(
                    partitions.n_rows[i]
                    for i in group
                    if address in holders.get(partitions.checked[i].key, ())
                )
                for address in workers
            ]
            for group in groups
        ]
    )
    _, chosen = linear_sum_assignment(there, maximize=True)
    return [workers[i] for i in chosen]


def _world_ranks(client: Any) -> dict[str, int]:
    """The rank of each worker in MPI's world; RuntimeError if one has none."""
    found: dict[str, Any] = client.run(_world_rank)
    for address, rank in found.items():
        if isinstance(rank, str):
            raise RuntimeError(
                "synchronous=True takes workers that are processes of one MPI job, as dask-mpi starts them. "
                f"The worker {address} {rank}."
            )
    if len(set(found.values())) < len(found):
        raise RuntimeError("synchronous=True takes workers in processes of their own, but some share one.")
    return dict(sorted(found.items(), key=itemgetter(1)))


def _world_rank() -> int | str:
    MPI = sys.modules.get("mpi4py.MPI")
    if MPI is None:
        return "has not loaded mpi4py"
    if MPI.COMM_WORLD.Get_size() == 1:
        return "is in an MPI job of one process"
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        return "has an MPI that was not initialised for calls from several threads (MPI.THREAD_MULTIPLE)"
    rank: int = MPI.COMM_WORLD.Get_rank()
    return rank


# What ends the fit of a token that runs in this process.
_running: dict[str, Any] = {}
_lock = threading.Lock()


def _interrupt(token: str) -> None:
    with _lock:
        stop = _running.get(token)
    if stop is not None:
        stop()


@contextmanager
def _interruptible(token: str) -> Iterator[None]:
    """A context within `mpi` in which `_interrupt` does what Ctrl-C does."""
    now = ranks.current()
    flag = _core.StopFlag()
    with _lock:
        _running[token] = flag.set if now is None else now.interrupt
    try:
        if now is None:
            with flag:
                yield
        else:
            yield
    finally:
        with _lock:
            del _running[token]


def _fit_rank(call: Call, token: str, members: list[int], rank: int, *parts: Checked) -> Fitted:
    """The task of one of the ranks ``members``, whose rows are those of ``parts``."""
    from mpi4py import MPI

    X = _stacked([part.X for part in parts]).astype(call.dtype, copy=False)
    y = np.concatenate([part.y for part in parts])
    weight = None if parts[0].weight is None else np.concatenate([part.weight for part in parts])
    group = MPI.COMM_WORLD.Get_group().Incl(members)
    comm = MPI.COMM_WORLD.Create_group(group)
    arguments = dict(call.arguments)
    if call.holdout is not None:
        own = call.holdout if rank == 0 else [each if each is None else each[:0] for each in call.holdout]
        arguments.update(zip(("X_val", "y_val", "sample_weight_val"), own, strict=True))
    warned, ended_by = Collected(), None
    try:
        with collected(warned), mpi(comm), _interruptible(token):
            getattr(call.est, call.method)(X, y, weight, **arguments)
    except (Exception, KeyboardInterrupt) as error:  # the latter would end the worker
        if rank > 0 and not isinstance(error, KeyboardInterrupt):
            raise
        ended_by = error.with_traceback(None)
    else:
        comm.Free()  # by all ranks, or by none
    group.Free()
    return Fitted(call.est, warned.messages, ended_by) if rank == 0 else Fitted()


def _stacked(arrays: list[Any]) -> Array | Any:
    if len(arrays) == 1:
        return arrays[0]
    if sparse.issparse(arrays[0]):
        return sparse.vstack(arrays, format=arrays[0].format)
    return np.concatenate(arrays)
