"""Sources that are collections of Dask: arrays and frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
        self._features = features
        self._named = named
        self._X = _parts(X, "X")
        self._y = y if isinstance(y, str) else _parts(y, "y")
        is_name = sample_weight is None or isinstance(sample_weight, str)
        self._weight = sample_weight if is_name else _parts(sample_weight, "sample_weight")
        self.n_parts = len(self._X)
        for name, parts in (("y", self._y), ("sample_weight", self._weight)):
            if isinstance(parts, list) and len(parts) != self.n_parts:
                raise ValueError(f"{name} has {len(parts)} partitions, but X has {self.n_parts}.")

    def blocks(self, part: int) -> Iterator[Block]:
        import dask

        X, y, weight = dask.compute(
            self._X[part],
            self._y[part] if isinstance(self._y, list) else None,
            self._weight[part] if isinstance(self._weight, list) else None,
        )
        y = X[self._y] if isinstance(self._y, str) else y
        weight = X[self._weight] if isinstance(self._weight, str) else weight
        if self._features is not None:
            X = X[list(self._features)]
        elif self._named:
            X = X.drop(columns=self._named)
        if len(X):
            yield Block(f"partition {part}", X, y, weight)


def _parts(collection: Any, name: str) -> list[Any]:
    if not is_collection(collection):
        raise TypeError(
            f"{name} must be a collection of Dask like X, or the name of a column of X; got "
            f"{type(collection).__name__}."
        )
    if hasattr(collection, "rechunk") and collection.ndim == 2 and collection.numblocks[1] > 1:
        collection = collection.rechunk({1: -1})
    delayed = collection.to_delayed()
    return list(delayed.ravel() if hasattr(delayed, "ravel") else delayed)
