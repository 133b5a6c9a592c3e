"""The numbers of a column's categories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gdfast.training.arrays import Array


@dataclass(frozen=True)
class Categories:
    """The categories of a column, and the number of each; rare ones share the last number.

    Attributes
    ----------
    values : ndarray of shape (n_values,), object
        In sorted order, without a missing value.
    numbers : ndarray of shape (n_values,), int64
    has_rare : bool
        Whether the last number is that of rare ones.
    """

    values: Array
    numbers: Array
    has_rare: bool

    @cached_property
    def count(self) -> int:
        """How many categories there are, with the rare ones as one."""
        return int(self.numbers.max(initial=-1)) + 1

    @cached_property
    def _by_value(self) -> dict[Any, int]:
        return dict(zip(self.values.tolist(), self.numbers.tolist(), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {"values": self.values, "numbers": self.numbers, "has_rare": self.has_rare}

    def numbers_of(self, column: Array) -> Array:
        """The number of each of these objects, float64; -1 for None and for values that are no category."""
        number = self._by_value
        return np.fromiter((number.get(value, -1) for value in column), np.float64, len(column))

    def kept(self) -> list[Any]:
        """The values that have a number of their own."""
        if not self.has_rare:
            return list(self.values)
        return list(self.values[self.numbers < self.count - 1])
