"""Training of one model by many processes, over MPI.

Within a block of :func:`mpi`, ``fit`` of :class:`~gdfast.MLPClassifier` and :class:`~gdfast.MLPRegressor`
takes the rows of its own process, and trains one model on those of all. The user guide has a page on it,
:doc:`/distributed`.
"""

from __future__ import annotations

from gdfast.distributed._mpi import mpi
from gdfast.training.ranks import RankError

__all__ = ["RankError", "mpi"]


def __dir__() -> list[str]:
    return list(__all__)
