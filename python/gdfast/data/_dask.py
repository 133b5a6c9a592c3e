"""Sources that are collections of Dask: arrays and frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gdfast.data._reader import Block, Reader


def is_collection(source: Any) -> bool:
    """Whether it is an array or a frame of Dask."""
    return hasattr(source, "__dask_graph__") and hasattr(source, "to_delayed")


class DaskReader(Reader):
    """A Dask array or frame; its parts are the chunks or partitions, computed one at a time.

    Parameters
    ----------
    X : dask.array.Array of shape (n_samples, n_features) or dask.dataframe.DataFrame
    y : Dask array or series with the same partitions, or str
        Of a frame, the name of the target's column.
    sample_weight
        As y, or None.
    features : sequence of str or None
        Of a frame, the names of the columns of X.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, features: Any) -> None:
        is_frame = hasattr(X, "columns")
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if isinstance(value, str) and not (is_frame and value in X.columns):
                columns = f"columns {list(X.columns)}" if is_frame else "no named columns"
                raise ValueError(f"{name} names the column {value!r}, but X has {columns}.")
        if features is not None and not is_frame:
            raise ValueError("features names columns, but X has none with names.")
        named = [value for value in (y, sample_weight) if isinstance(value, str)]
        if features is not None:
            missing = [name for name in features if name not in X.columns]
            if missing:
                raise ValueError(f"features names {missing}, but X has the columns {list(X.columns)}.")
        chunks = None if is_frame else X.chunks[0]
        columns = X if features is None else X[list(features)]
        self._X = _parts(columns.drop(columns=named) if named and features is None else columns, "X", None)
        self._y = _parts(X[y] if isinstance(y, str) else y, "y", chunks)
        self._weight = None
        if sample_weight is not None:
            given = X[sample_weight] if isinstance(sample_weight, str) else sample_weight
            self._weight = _parts(given, "sample_weight", chunks)
        self.n_parts = len(self._X)
        for name, parts in (("y", self._y), ("sample_weight", self._weight)):
            if parts is not None and len(parts) != self.n_parts:
                raise ValueError(f"{name} has {len(parts)} partitions, but X has {self.n_parts}.")

    def blocks(self, part: int) -> Iterator[Block]:
        return self._computed(part, self._X[part])

    def targets(self, part: int) -> Iterator[Block]:
        return self._computed(part, None)

    def _computed(self, part: int, X: Any) -> Iterator[Block]:
        import dask

        weight = None if self._weight is None else self._weight[part]
        yield Block(f"partition {part}", *dask.compute(X, self._y[part], weight))


def _parts(collection: Any, name: str, chunks: Sequence[int] | None) -> list[Any]:
    """The parts of a collection, or of an array in memory with rows for ``chunks``, as Dask computes them."""
    if chunks is not None and isinstance(collection, np.ndarray | list):
        array = np.asarray(collection)
        if not np.isnan(chunks).any() and len(array) == sum(chunks):
            return np.split(array, np.cumsum(chunks)[:-1])
    if not is_collection(collection):
        raise TypeError(
            f"{name} must be a collection of Dask like X, or the name of a column of X; got "
            f"{type(collection).__name__}."
        )
    if hasattr(collection, "rechunk") and collection.ndim == 2 and collection.numblocks[1] > 1:
        collection = collection.rechunk({1: -1})
    # Not optimized one by one: what X and y have in common is computed once.
    delayed = collection.to_delayed(optimize_graph=False)
    return list(delayed.ravel() if hasattr(delayed, "ravel") else delayed)
