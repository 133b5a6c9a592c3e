"""How the rows of an epoch make steps: on one rank, or spread over several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gdfast.training.arrays import Array
from gdfast.training.ranks import Ranks


@dataclass(frozen=True)
class Parts:
    """The parts that ranks have of batches.

    A step takes a rank's next rows in its own order, as many as its share of the batch size, until they have
    run out. There are as many steps as the rank with the most needs.

    Attributes
    ----------
    rows : tuple of int
        Number of training rows of each rank.
    batch_size : int
        That of all ranks together.
    ranks : Ranks or None
        None for one rank that trains alone.
    """

    rows: tuple[int, ...]
    batch_size: int
    ranks: Ranks | None = None

    @property
    def _own(self) -> int:
        return 0 if self.ranks is None else self.ranks.rank

    @property
    def n_rows(self) -> int:
        """Number of training rows of all ranks."""
        return sum(self.rows)

    @property
    def own_rows(self) -> int:
        return self.rows[self._own]

    @property
    def own_batch_size(self) -> int:
        """Number of this rank's rows in a batch."""
        return int(self._sizes[self._own])

    @property
    def _sizes(self) -> Array:
        """Number of each rank's rows in a batch: as equal as whole numbers can be."""
        size, rest = divmod(self.batch_size, len(self.rows))
        return size + (np.arange(len(self.rows)) < rest)

    @property
    def steps(self) -> int:
        return int(np.max(-(-np.asarray(self.rows) // self._sizes)))

    def of_steps(self) -> tuple[Array, Array]:
        """For each step, the number of rows of all ranks, and where those of this rank begin among them."""
        first = np.arange(self.steps, dtype=np.int64)[:, None] * self._sizes
        counts = np.clip(np.asarray(self.rows) - first, 0, self._sizes)
        return counts.sum(axis=1), counts[:, : self._own].sum(axis=1)

    def any(self, place: str, *facts: bool) -> list[bool]:
        """For each fact, whether it holds on any rank."""
        if self.ranks is None:
            return list(facts)
        return [any(of_all) for of_all in zip(*self.ranks.gather(place, facts), strict=True)]
