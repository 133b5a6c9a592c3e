"""Tables whose columns are encoded as inputs of a network batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gdfast import _core
from gdfast.training.arrays import Array


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, NaN where one is missing, and the inputs that it becomes, in this order.

    Attributes
    ----------
    edges : ndarray of shape (n_edges,), float64
        The edges of the bins of the piecewise-linear encoding, strictly increasing; fewer than two make no
        bins.
    clipped : bool
        Whether ``x / sqrt(1 + (x / 3)^2)`` is an input.
    flagged : bool
        Whether there is an input that is 1 where the number is missing.
    """

    edges: Array
    clipped: bool = True
    flagged: bool = False

    @property
    def n_inputs(self) -> int:
        return self.clipped + self.flagged + max(len(self.edges) - 1, 0)

    def core(self) -> tuple[Any, ...]:
        return self.clipped, self.flagged, np.ascontiguousarray(self.edges, np.float64)


@dataclass(frozen=True)
class CategoryColumn:
    """A column of the numbers of categories; other values, such as NaN, are no category: their inputs are 0.

    Attributes
    ----------
    n_categories : int
        There is an input for each: 1 if it is the row's, else 0.
    binary : bool
        Whether two categories become one input, -1 or 1.
    embedding : int
        With a size, the inputs are so many instead: the category's row of a trained array, an embedding.
    """

    n_categories: int
    binary: bool = False
    embedding: int = 0

    @property
    def n_inputs(self) -> int:
        return self.embedding or (1 if self.binary else self.n_categories)

    def core(self) -> tuple[Any, ...]:
        plain = self.n_categories, self.binary
        return (*plain, self.embedding) if self.embedding else plain


@dataclass(frozen=True)
class Encoding:
    """How the columns of a table become the inputs of a network."""

    columns: Sequence[NumberColumn | CategoryColumn]

    @cached_property
    def _core(self) -> Any:
        return _core.Encoding([column.core() for column in self.columns])

    def __getstate__(self) -> dict[str, Any]:
        return {"columns": self.columns}

    @property
    def n_inputs(self) -> int:
        return sum(column.n_inputs for column in self.columns)

    @property
    def embedding_shapes(self) -> list[tuple[int, int]]:
        """The shapes of the arrays of embedded columns, in the order of the columns."""
        categories = [column for column in self.columns if isinstance(column, CategoryColumn)]
        return [(column.n_categories, column.embedding) for column in categories if column.embedding]

    def encode(
        self, table: Array, rows: Array | None = None, embeddings: Sequence[Array] | None = None
    ) -> Array:
        """The inputs of these rows (None: all) as an array of shape (n_rows, n_inputs).

        ``embeddings`` are the arrays of embedded columns.
        """
        inputs = np.empty((len(table) if rows is None else len(rows), self.n_inputs), table.dtype)
        self._core.encode(table, inputs, rows, embeddings)
        return inputs


@dataclass(frozen=True)
class EncodedRows:
    """A table with its encoding: in place of a matrix of inputs, which is never stored.

    Attributes
    ----------
    table : ndarray of shape (n_rows, n_columns), float32 or float64
    encoding : Encoding
    """

    table: Array
    encoding: Encoding

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.table), self.encoding.n_inputs

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.table.dtype

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Any) -> EncodedRows:
        return replace(self, table=self.table[rows])

    def core(self, dtype: DTypeLike) -> tuple[Array, Any]:
        """The form that the core takes."""
        return np.require(self.table, dtype, ["C", "A"]), self.encoding._core

    def toarray(self, embeddings: Sequence[Array] | None = None) -> Array:
        """The matrix of inputs; ``embeddings`` are the arrays of embedded columns."""
        return self.encoding.encode(self.table, embeddings=embeddings)
