"""A fitted encoder of tables as plain values: from columns to encoded rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gdfast.preprocessing._categories import Categories
from gdfast.preprocessing._columns import Column, as_categories, as_numbers
from gdfast.training.arrays import Array
from gdfast.training.encoding import EncodedRows, Encoding


@dataclass(frozen=True)
class ColumnEncoder:
    """How the columns of a table become encoded rows.

    Attributes
    ----------
    is_category : ndarray of shape (n_columns,), bool
    categories : sequence of Categories
        Of the columns of categories, in their order.
    centers, scales : ndarray of shape (n_columns,), float64
        Of the columns of numbers; the others' have no meaning.
    encoding : Encoding
    dtype : str
        Of the inputs.
    """

    is_category: Array
    categories: Sequence[Categories]
    centers: Array
    scales: Array
    encoding: Encoding
    dtype: str

    def encode(self, columns: Sequence[Column]) -> EncodedRows:
        table = np.empty((len(columns[0].values), len(columns)), np.dtype(self.dtype))
        numbers_of = iter(self.categories)
        for i, column in enumerate(columns):
            if self.is_category[i]:
                table[:, i] = next(numbers_of).numbers_of(as_categories(column))
            else:
                table[:, i] = scaled(as_numbers(column), self.centers[i], self.scales[i])
        return EncodedRows(table, self.encoding)


def scaled(x: Array, center: float | Array, scale: float | Array) -> Array:
    """``(x - center) / scale`` in float64, within bounds whose squares float32 can hold."""
    with np.errstate(over="ignore"):
        found: Array = (x - np.asarray(center, np.float64)) / scale
    return np.clip(found, -1e15, 1e15, out=found)
