"""Which rows an epoch takes, in which order, and which are set aside."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdfast import _core
from gdfast.training.arrays import Array


def _shuffle(random_state: np.random.RandomState, rows: Array) -> None:
    """What ``random_state.shuffle(rows)`` does, to the last bit of rows and random state, in less time."""
    bits = getattr(random_state, "_bit_generator", None)
    if bits is None or len(rows) > 2**32:
        random_state.shuffle(rows)
        return
    with bits.lock:
        _core.shuffle(bits.capsule, rows)


class RowOrder:
    """The rows to train on, in a new order for every epoch, and the rows to validate with.

    All is drawn as scikit-learn draws it. A copy goes on with the order where this one was.

    Parameters
    ----------
    n_samples : int
    random_state : RandomState
    """

    def __init__(self, n_samples: int, random_state: np.random.RandomState) -> None:
        self.n_samples = n_samples
        self.validation: Array | None = None
        self._random_state = random_state
        self._rows: Array | None = None  # the last order, None as long as it is 0, 1, 2...

    @property
    def training(self) -> Array | None:
        """The rows to train on, in any order; None where they are all."""
        return None if self.validation is None else self._rows

    def set_aside(self, training: Array, validation: Array) -> None:
        """Train on these rows, and validate with those."""
        self._rows, self.validation = training, validation

    def of_next_epoch(self, shuffle: bool) -> Array | None:
        """The rows to train on in their order; None where it is 0, 1, 2..."""
        if not shuffle:
            return self.training
        if self._rows is None:
            self._rows = np.arange(self.n_samples, dtype=np.int64)
        # Shuffling the last order in place draws and gives what shuffling a fresh one and then indexing
        # with it would.
        _shuffle(self._random_state, self._rows)
        return self._rows

    def __len__(self) -> int:
        """The number of rows to train on."""
        return self.n_samples if self.training is None else len(self.training)

    def state_dict(self) -> dict[str, Any]:
        """The rows in their order, as plain arrays. (The random state is another's to keep.)"""
        return {
            name: None if array is None else array.copy()
            for name, array in (("rows", self._rows), ("validation", self.validation))
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another order of as many rows was."""
        self._rows, self.validation = (
            None if array is None else np.array(array) for array in (state["rows"], state["validation"])
        )
