"""Training of one model by many processes, over MPI."""

from __future__ import annotations

from gdfast.distributed._mpi import mpi
from gdfast.training.ranks import RankError

__all__ = ["RankError", "mpi"]
