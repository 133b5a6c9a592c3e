"""The training data, in the form that the core takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from gdfast.training.arrays import Array, convert
from gdfast.training.encoding import EncodedRows
from gdfast.training.order import RowOrder
from gdfast.training.trainer import Trainer


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse matrix or array of scipy."""
    return hasattr(X, "tocsr")


def as_matrix(X: Any, dtype: DTypeLike) -> Any:
    """X in the form that the core takes: a dense array, the three arrays of a CSR matrix, or encoded rows."""
    if isinstance(X, EncodedRows):
        return X.core(dtype)
    if not is_sparse(X):
        return convert(X, dtype, "X")
    rows = X.tocsr()
    narrow = rows.indices.dtype == rows.indptr.dtype == np.int32
    index = np.int32 if narrow else np.int64
    indices, indptr = (np.require(array, index, ["C", "A"]) for array in (rows.indices, rows.indptr))
    return convert(rows.data, dtype, "X"), indices, indptr


class Data(NamedTuple):
    """Rows or sequences, their encoded targets, and weights.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features), a tuple of CSR's three arrays, or Sequences
    y : ndarray of shape (n_targets,), int32, or (n_targets, n_outputs)
    weight : ndarray of shape (n_targets,) or None
    rows : ndarray of shape (n_targets,), int64, or None
        The rows of X that the targets belong to, in any order, some of them perhaps several times; None if X
        has no others. X is shared with other data then.
    """

    X: Any
    y: Array
    weight: Array | None
    rows: Array | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of training."""
        X = self.X[0] if isinstance(self.X, tuple) else self.X
        dtype: np.dtype[Any] = X.dtype
        return dtype

    @property
    def per_step(self) -> bool:
        """Whether each step of a sequence has a target."""
        return isinstance(self.X, Sequences) and self.X.per_step

    def run_epoch(
        self, trainer: Trainer, order: RowOrder, batch_size: int, *, shuffle: bool, **arguments: Any
    ) -> tuple[float, bool]:
        """Train on every row of an order once, in batches of the trainer's ``batch_size``; see `in_steps`.

        Returns the mean loss, and whether all numbers are finite.
        """
        rows = self.at(order.of_next_epoch(shuffle))
        return trainer.run_epoch(self.X, self.y, rows, self.weight, **arguments)

    def records_of(self, trainer: Trainer) -> Any:
        """The means of the latest epoch's records."""
        return trainer.records

    def targets_of(self, rows: Array | None) -> tuple[Array, Array | None]:
        """Targets and weights of these rows or sequences; None means all."""
        if rows is None:
            return self.y, self.weight
        if self.per_step:
            rows = self.X.rows_of(rows)
        return self.y[rows], None if self.weight is None else self.weight[rows]

    def at(self, rows: Array | None) -> Array | None:
        """Where these rows (None: all) are in X; None for all of X, as it is."""
        if self.rows is None:
            return rows
        return self.rows if rows is None else self.rows[rows]

    def in_steps(self) -> Data:
        """The same as the core's steps take it: with a target and a weight for every row of X."""
        X, y, weight, rows = self
        if rows is None:
            return self
        n_rows = len(X) if isinstance(X, np.ndarray) else len(X[2]) - 1 if len(X) == 3 else len(X[0])

        def spread(values: Array) -> Array:
            everywhere = np.zeros((n_rows, *values.shape[1:]), values.dtype)
            everywhere[rows] = values
            return everywhere

        return Data(X, spread(y), None if weight is None else spread(weight), rows)

    def apart(self) -> Data:
        """The same with an X of its own, without other rows."""
        return self if self.rows is None else self.take(np.arange(len(self.rows)))

    def of(self, order: RowOrder | None) -> Data:
        """The training rows of an order alone, in the order of the data."""
        if order is None or order.training is None:
            return self
        return self.take(np.sort(order.training))

    def take(self, rows: Array) -> Data:
        """A subset of the rows or sequences."""
        X, at = self.X, self.at(rows)
        if isinstance(X, np.ndarray):
            X = X[at]
        elif isinstance(X, Sequences):
            X = X.take(rows)
        elif len(X) == 3:
            from scipy.sparse import csr_matrix

            shape = len(X[2]) - 1, int(X[1].max(initial=0)) + 1  # SciPy finds none without entries
            X = as_matrix(csr_matrix(X, shape=shape)[at], self.dtype)
        else:
            table, encoding = X
            X = table[at], encoding
        return Data(X, *self.targets_of(rows))


@dataclass
class Carried:
    """Hidden states before and after training: one array for each layer, or None for zeros."""

    arrays: list[Array] | None


@dataclass(frozen=True)
class Sequences:
    """Sequences, with the steps of all concatenated, without padding.

    Parameters
    ----------
    steps : ndarray of shape (n_steps_in_all, n_features)
    starts : ndarray of shape (n_sequences + 1,), int64
        The first step of each sequence, and the end of the last one.
    ragged : bool
        Whether X was a list, so that results for each step are returned as a list.
    per_step : bool
        Whether each step has a target, or each sequence.
    frame : DataFrame or None
        A frame whose columns are the feature names.
    carried : Carried or None
        The states from which training continues; None if every epoch starts from zeros.
    """

    steps: Array
    starts: Array
    ragged: bool
    per_step: bool = False
    frame: Any = None
    carried: Carried | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The number of sequences and of features, like the shape of a matrix of samples."""
        return len(self.starts) - 1, self.steps.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.steps.dtype

    @property
    def lengths(self) -> Array:
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def as_type(self, dtype: DTypeLike) -> Sequences:
        return replace(self, steps=convert(self.steps, dtype, "X"))

    def rows_of(self, numbers: Array) -> Array:
        """The rows of ``steps`` that belong to these sequences."""
        return np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in numbers])

    def take(self, numbers: Array) -> Sequences:
        """A subset of the sequences."""
        starts = np.concatenate([[0], np.cumsum(self.lengths[numbers])]).astype(np.int64)
        return Sequences(self.steps[self.rows_of(numbers)], starts, self.ragged, self.per_step)

    def split(self, values: Array) -> Any:
        """Split values for each step by sequence: an array, or a list of arrays if X was a list."""
        if self.ragged:
            return np.split(values, self.starts[1:-1])
        return values.reshape(len(self), -1, *values.shape[1:])
