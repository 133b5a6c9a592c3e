"""Synchronous gradient descent by the workers of a cluster that runs under MPI."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
from gdfast.estimators._network_estimator import Holdout
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
    """

    est: Any
    method: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A call with the rows of one rank."""

    call: Call
    X: Any
    y: Array
    weight: Array | None
    holdout: dict[str, Any]


@dataclass(frozen=True)
class Fitted:
    """What a rank returns.

    Attributes
    ----------
    est : estimator or None
        The estimator, of the first rank; None if the call has left it as it was.
    warned : list of (str, type)
        The messages and categories of its warnings.
    error : BaseException or None
        What has ended the fit.
    """

    est: Any = None
    warned: Sequence[tuple[str, type[Warning]]] = ()
    error: BaseException | None = None


def fit_on_ranks(partitions: Partitions, call: Call, holdout: Holdout | None) -> Fitted:
    """Have the workers of a cluster fit together, each to its part of the partitions.

    The first rank evaluates the validation set. Ctrl-C ends training as it ends that of one process.
    RuntimeError if the workers do not run under MPI.
    """
    client = partitions.client
    dask, distributed = needs_dask(), needs_dask("distributed")
    distributed.wait(partitions.checked)
    # Weights and validation sets of some megabytes are no graph that is too large.
    roomy = dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})
    with roomy, client.as_current(), distributed.Lock(_LOCK):
        world = _world_ranks(client)
        groups = divided(partitions.n_rows, len(world))
        workers = _workers_of(groups, partitions, list(world))
        members = [world[address] for address in workers]
        token = uuid4().hex
        # All that can fail on one worker alone, before the ranks hear of one another.
        parts = [
            client.submit(
                _part,
                call,
                partitions.dtype,
                _holdout_of(rank, holdout),
                *(partitions.checked[i] for i in group),
                key=f"gdfast-part-{token}-{rank}",
                workers=[address],
                allow_other_workers=False,
                pure=False,
            )
            for rank, (address, group) in enumerate(zip(workers, groups, strict=True))
        ]
        distributed.wait(parts)
        for part in parts:
            if (error := part.exception()) is not None:
                raise error
        futures = _all_or_none(client, token, parts, members, workers)
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors and futures[0].exception() is not None:
        raise errors[0]  # the task itself
    fitted: Fitted = futures[0].result()
    if isinstance(fitted.error, RankError):
        # A rank that has failed raises its own error, and the others one about it.
        own = next((error for error in errors if not isinstance(error, RankError)), fitted.error)
        fitted = replace(fitted, error=own)
    return fitted


def _all_or_none(
    client: Any, token: str, parts: list[Any], members: list[int], workers: list[str]
) -> list[Any]:
    """The ended tasks of all ranks: none is without the others, whenever Ctrl-C comes."""
    distributed = needs_dask("distributed")
    futures: list[Any] = []
    interrupted = False
    while True:
        try:
            while (rank := len(futures)) < len(parts):
                futures.append(
                    client.submit(
                        _fit_rank,
                        token,
                        members,
                        rank,
                        parts[rank],
                        key=f"gdfast-rank-{token}-{rank}",
                        workers=[workers[rank]],
                        allow_other_workers=False,
                        pure=False,
                        retries=0,
                    )
                )
            if interrupted:
                client.run(_interrupt, token, workers=workers)
                interrupted = False
            distributed.wait(futures)
            return futures
        except KeyboardInterrupt:
            interrupted = True


def _holdout_of(rank: int, holdout: Holdout | None) -> dict[str, Any]:
    """The validation set as arguments: all of it for the first rank, none of its rows for the others."""
    if holdout is None:
        return {}
    own = holdout if rank == 0 else [each if each is None else each[:0] for each in holdout]
    return dict(zip(("X_val", "y_val", "sample_weight_val"), own, strict=True))


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


# What ends the fit of a token that runs in this process; the tokens whose fits are to end when they begin.
_running: dict[str, Any] = {}
_ended: set[str] = set()
_lock = threading.Lock()


def _interrupt(token: str) -> None:
    with _lock:
        stop = _running.get(token)
        if stop is None:
            _ended.add(token)
        else:
            stop()


@contextmanager
def _interruptible(token: str) -> Iterator[None]:
    """A context within `mpi` in which `_interrupt` does what Ctrl-C does."""
    now = ranks.current()
    flag = _core.StopFlag()
    stop = flag.set if now is None else now.interrupt
    with _lock:
        _running[token] = stop
        if token in _ended:
            stop()
    try:
        with flag if now is None else nullcontext():
            yield
    finally:
        with _lock:
            del _running[token]
            _ended.discard(token)


def _part(call: Call, dtype: np.dtype[Any], holdout: dict[str, Any], *checked: Checked) -> Part:
    X = _stacked([each.X for each in checked]).astype(dtype, copy=False)
    y = np.concatenate([each.y for each in checked])
    weights = [each.weight for each in checked if each.weight is not None]
    weight = np.concatenate(weights) if weights else None
    return Part(call, X, y, weight, holdout)


def _fit_rank(token: str, members: list[int], rank: int, part: Part) -> Fitted:
    """The task of one of the ranks ``members``."""
    from mpi4py import MPI

    est, method = part.call.est, part.call.method
    before = vars(est).get("_training")
    group = MPI.COMM_WORLD.Get_group().Incl(members)
    comm = MPI.COMM_WORLD.Create_group(group)
    warned, ended_by = Collected(), None
    try:
        with collected(warned), mpi(comm), _interruptible(token):
            getattr(est, method)(part.X, part.y, part.weight, **part.call.arguments, **part.holdout)
    except (Exception, KeyboardInterrupt) as error:  # the latter would end the worker
        if rank > 0 and not isinstance(error, KeyboardInterrupt):
            raise
        ended_by = error.with_traceback(None)
    else:
        comm.Free()  # by all ranks, or by none
    group.Free()
    # A fit that is refused, or ends before its first step, leaves the state of the one before.
    is_new = vars(est).get("_training") is not before
    return Fitted(est if is_new else None, warned.messages, ended_by) if rank == 0 else Fitted()


def _stacked(arrays: list[Any]) -> Array | Any:
    if len(arrays) == 1:
        return arrays[0]
    if any(sparse.issparse(array) for array in arrays):
        return sparse.vstack([sparse.csr_array(array) for array in arrays], format="csr")
    return np.concatenate(arrays)
