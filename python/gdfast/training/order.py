"""The order of the training rows in an epoch, and the rows set aside for validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdfast import _core
from gdfast.training.arrays import Array


def _shuffle(random_state: np.random.RandomState, rows: Array) -> None:
    """The same as ``random_state.shuffle(rows)``, bit for bit in rows and random state, but faster."""
    bits = getattr(random_state, "_bit_generator", None)
    if bits is None or len(rows) > 2**32:
        random_state.shuffle(rows)
        return
    with bits.lock:
        _core.shuffle(bits.capsule, rows)


class RowOrder:
    """The training rows, shuffled in every epoch, and the validation rows.

    Random numbers are drawn as in scikit-learn. A copy continues from the current order.

    Parameters
    ----------
    n_samples : int
    random_state : RandomState
    """

    def __init__(self, n_samples: int, random_state: np.random.RandomState) -> None:
        self.n_samples = n_samples
        self.validation: Array | None = None
        self._random_state = random_state
        self._rows: Array | None = None  # the last order, None while it is 0, 1, 2...

    @property
    def training(self) -> Array | None:
        """The training rows, in any order; None for all rows."""
        return None if self.validation is None else self._rows

    def set_aside(self, training: Array, validation: Array) -> None:
        """Set the training rows and the validation rows."""
        self._rows, self.validation = training, validation

    def of_next_epoch(self, shuffle: bool) -> Array | None:
        """The training rows in the order of the next epoch; None if it is 0, 1, 2..."""
        if not shuffle:
            return self.training
        # A stream leaves the order of its last buffer.
        if self._rows is None or (self.validation is None and len(self._rows) != self.n_samples):
            self._rows = np.arange(self.n_samples, dtype=np.int64)
        # Shuffling the last order in place gives the same result as indexing it with a shuffled arange, as
        # scikit-learn does.
        _shuffle(self._random_state, self._rows)
        return self._rows

    def of_parts(self, n_parts: int, shuffle: bool) -> list[int]:
        """The order in which an epoch reads the parts of a stream."""
        if not shuffle or n_parts < 2:
            return list(range(n_parts))
        return [int(part) for part in self._random_state.permutation(n_parts)]

    def of_buffer(self, n_rows: int, shuffle: bool) -> Array | None:
        """The order of the rows in a stream's buffer; None if it is 0, 1, 2...

        It is shuffled from that of the buffer before, if that has as many rows: for a stream of one buffer it
        is the order of `of_next_epoch`.
        """
        if not shuffle:
            return None
        if self._rows is None or len(self._rows) != n_rows:
            self._rows = np.arange(n_rows, dtype=np.int64)
        _shuffle(self._random_state, self._rows)
        return self._rows

    def __len__(self) -> int:
        """The number of training rows."""
        return self.n_samples if self.training is None else len(self.training)

    def state_dict(self) -> dict[str, Any]:
        """The rows in their order, as plain arrays, without the random state."""
        return {
            name: None if array is None else array.copy()
            for name, array in (("rows", self._rows), ("validation", self.validation))
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of another order of as many rows."""
        self._rows, self.validation = (
            None if array is None else np.array(array) for array in (state["rows"], state["validation"])
        )


class RankOrder(RowOrder):
    """The order of a rank's own rows, among several that train together.

    It is a function of a seed, the rank and the number of the epoch: ranks with other numbers of rows draw
    equally many numbers from what they share, and a run that continues needs no more than the seed.

    Parameters
    ----------
    n_samples : int
    seed, rank : int
    """

    def __init__(self, n_samples: int, seed: int, rank: int) -> None:
        self.seed, self.rank = seed, rank
        super().__init__(n_samples, self.random_state_of(0))
        self.epoch = 0  # the next

    def random_state_of(self, number: int) -> np.random.RandomState:
        """The random state of an epoch, from 1, or of the split, 0."""
        return np.random.RandomState([self.seed, self.rank, number])

    def of_next_epoch(self, shuffle: bool) -> Array | None:
        self.epoch += 1
        if not shuffle:
            return self.training
        rows = np.arange(self.n_samples, dtype=np.int64) if self.training is None else self.training.copy()
        _shuffle(self.random_state_of(self.epoch), rows)
        return rows
