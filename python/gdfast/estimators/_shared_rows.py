"""Rows of a matrix that several fits share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing, check_array

from gdfast.prediction import inputs
from gdfast.training.arrays import Array
from gdfast.training.encoding import EncodedRows


@dataclass(frozen=True)
class SharedRows:
    """Rows of a matrix that is checked once, for any number of fits of feed-forward networks.

    Attributes
    ----------
    given : Any
        X as the user gave it; its columns may have names.
    matrix : ndarray, CSR matrix or EncodedRows
        The same, checked, in C order.
    rows : ndarray of shape (n_rows,), int64, or None
        The rows meant, in this order, each perhaps several times; None for all.
    """

    given: Any
    matrix: Any
    rows: Array | None = None

    @classmethod
    def of(cls, X: Any) -> SharedRows:
        """All rows of a matrix, checked as ``fit`` checks it."""
        if isinstance(X, EncodedRows):
            return cls(X, X)
        inputs.check_kind(X)
        matrix = check_array(
            X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), order="C", input_name="X"
        )
        return cls(X, matrix.tocsr() if sparse.issparse(matrix) else matrix)

    def at(self, rows: Array | None) -> SharedRows:
        """These rows of the matrix; None means all."""
        return replace(self, rows=rows)

    @property
    def shape(self) -> tuple[int, int]:
        n_rows, n_features = self.matrix.shape
        return n_rows if self.rows is None else len(self.rows), n_features

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.matrix.dtype
        return dtype

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, rows: Array | None) -> Any:
        """These of the rows (None: all) as a matrix of their own."""
        return rows_of(self.matrix, self._places(rows))

    def as_given(self, rows: Array | None) -> Any:
        """The same of X as it was given."""
        return rows_of(self.given, self._places(rows))

    def _places(self, rows: Array | None) -> Array | None:
        if self.rows is None:
            return rows
        return self.rows if rows is None else self.rows[rows]


def rows_of(X: Any, rows: Array | None) -> Any:
    """These rows (None: all) of an array, a sparse matrix, a frame, a list, encoded rows, or None."""
    if X is None or rows is None:
        return X
    return X[rows] if isinstance(X, EncodedRows) else _safe_indexing(X, rows)
