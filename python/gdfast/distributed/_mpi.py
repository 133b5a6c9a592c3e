"""MPI, by mpi4py, as the ranks of `gdfast.training.ranks` need it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

from gdfast.training.arrays import Array
from gdfast.training.ranks import Ranks, current


class Communicator:
    """A communicator of mpi4py, or one that is like it."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def gather(self, value: Any) -> list[Any]:
        found: list[Any] = self._comm.allgather(value)
        return found

    def add_up(self, array: Array) -> None:
        from mpi4py import MPI

        self._comm.Allreduce(MPI.IN_PLACE, array, op=MPI.SUM)

    def abort(self) -> None:
        self._comm.Abort(1)

    def share_of_cores(self) -> int:
        """The number of cores for each rank, where ranks of one machine share its cores: the same on all."""
        from joblib import cpu_count
        from mpi4py import MPI

        here = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        try:
            # A rank that is bound to some cores shares those alone.
            usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
            of_machine = here.allgather((usable, int(cpu_count())))
        finally:
            here.Free()
        if usable is None or any(cores is None for cores, _ in of_machine):
            share = cpu_count() / len(of_machine)
        else:
            users = {core: sum(core in cores for cores, _ in of_machine) for core in usable}
            allowed = cpu_count() / len(usable)  # a container may be given less time than it has cores
            share = allowed * sum(1 / n for n in users.values())
        shares: list[int] = self._comm.allgather(max(1, int(share + 1e-9)))
        return min(shares)


@contextmanager
def mpi(comm: Any = None, *, sync_every: int = 1) -> Iterator[Any]:
    """Fit ``MLPClassifier`` and ``MLPRegressor`` by all processes of an MPI job together.

    Every process (a *rank*) runs the same program and calls ``fit`` with rows of its own; one model is
    trained on all of them, by synchronous gradient descent, and all ranks end with the same bits in it. In
    every step each rank takes the next rows of its own order, sums the gradient over them, and one
    ``Allreduce`` adds up the sums; then all make the same move. ``batch_size`` is the batch of all ranks
    together, and means are over the whole batch: B rows on one rank and B / n on each of n are the same step,
    up to the order in which numbers are added.

    It needs `mpi4py <https://mpi4py.readthedocs.io>`_ and an MPI library (``pip install gdfast[mpi] mpich``).

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, default=None
        The ranks that train together; None takes all, ``MPI.COMM_WORLD``. With one rank nothing differs from
        a fit outside of the block.
    sync_every : int, default=1
        With 1, synchronous gradient descent. A larger number is another algorithm, *local SGD* [1]_, for slow
        networks: every rank takes that many steps on its own rows alone, then weights and the rule's moments
        are replaced by their average over the ranks, in which a rank counts by the weight of the rows that it
        has seen since the last one.

    Yields
    ------
    comm : mpi4py.MPI.Comm
        The communicator.

    Raises
    ------
    ImportError
        Without mpi4py.
    TypeError
        If ``comm`` is no communicator.
    ValueError
        If ``sync_every`` is not a positive integer, or ``comm`` is ``MPI.COMM_NULL``. By ``fit``, on all
        ranks: if arguments, features, dtypes, kinds of targets or initial weights differ, or an option is not
        supported.
    RuntimeError
        If a block is within another one.
    RankError
        By ``fit`` and at the end of the block: if another rank has raised an error, which the message
        repeats, if the ranks do not make the same calls, or if their weights differ.

    See Also
    --------
    RankError

    Notes
    -----
    Classes are those of all ranks. With ``early_stopping`` every rank sets aside a fraction of its own rows;
    the validation score is the mean of the ranks' scores, by the number of rows or the sum of their weights.
    An option that needs the whole batch in one place raises an error: ``batch_norm`` (but with ``sync_every``
    above 1), ``solver="kfac"`` and those without steps over batches, ``learning_rate_init="auto"``. Ranks on
    one machine share its cores, unless ``n_jobs`` is given. Warnings, ``verbose`` and
    :class:`~gdfast.callbacks.ModelCheckpoint` are for rank 0 alone. See the user guide, "Many machines".

    References
    ----------
    .. [1] S. U. Stich, "Local SGD converges fast and communicates little", ICLR 2019.

    Examples
    --------
    ``mpiexec -n 4 python train.py`` with this in ``train.py``:

    >>> from gdfast import MLPClassifier
    >>> from gdfast.distributed import mpi
    >>> with mpi() as comm:  # doctest: +SKIP
    ...     X, y = rows_of(comm.rank, comm.size)
    ...     clf = MLPClassifier(batch_size=1024, random_state=0).fit(X, y)
    """
    if not isinstance(sync_every, Integral) or isinstance(sync_every, bool) or sync_every < 1:
        raise ValueError(f"sync_every must be an integer of at least 1, got {sync_every!r}.")
    if current() is not None:
        raise RuntimeError(
            "gdfast.distributed.mpi() is within another block of it, whose ranks train already."
        )
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            "gdfast.distributed.mpi needs mpi4py and an MPI library. Install them by "
            "`pip install gdfast[mpi]` and, for instance, `pip install mpich`."
        ) from error
    # A communicator of its own: what the user sends in other threads or callbacks does not mix with it.
    comm = MPI.COMM_WORLD if comm is None else comm
    if not isinstance(comm, MPI.Comm):
        raise TypeError(f"comm must be a communicator of mpi4py or None, got {type(comm).__name__}.")
    if comm == MPI.COMM_NULL:
        raise ValueError("comm is MPI.COMM_NULL: this process is none of the communicator's.")
    if comm.Get_size() == 1:
        yield comm
        return
    own = comm.Dup()
    communicator = Communicator(own)
    ranks = Ranks(communicator, sync_every=int(sync_every), n_threads=communicator.share_of_cores())
    with ranks.block():
        yield comm
    own.Free()  # by all ranks, or by none
