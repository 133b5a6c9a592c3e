"""Lazy prediction, partition by partition, and the parts of scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdfast.dask._needs import is_array, needs_dask
from gdfast.dask._partitions import naming
from gdfast.training.arrays import Array


def of_rows(est: Any, method: str, X: Any, empty: Array, number: int | None) -> Array:
    """What a method of a fitted estimator returns for a partition, which may have no rows."""
    if X.shape[0] == 0:
        return empty
    if number is None:
        return np.asarray(getattr(est, method)(X))
    with naming(number):
        return np.asarray(getattr(est, method)(X))


def predict_block(X: Any, est: Any, method: str, empty: Array, block_id: Any = None) -> Array:
    return of_rows(est, method, X, empty, None if block_id is None else block_id[0])


def predict_frame(
    X: Any, est: Any, method: str, empty: Array, columns: Any, partition_info: Any = None
) -> Any:
    number = None if partition_info is None else partition_info["number"]
    values = of_rows(est, method, X, empty, number)
    return _as_frame(values, X.index, columns)


def _as_frame(values: Array, index: Any, columns: Any) -> Any:
    import pandas as pd

    return pd.Series(values, index) if values.ndim == 1 else pd.DataFrame(values, index, columns)


def lazily(est: Any, method: str, X: Any, empty: Array, columns: Any) -> Any:
    """A collection of what a method of a fitted estimator returns for each partition of ``X``.

    Parameters
    ----------
    est : Any
        It travels to each worker once.
    method : str
    X : dask.array.Array, dask.dataframe.DataFrame
        What becomes an array, or a series or frame with the index of ``X``.
    empty : ndarray of shape (0,) or (0, n_columns)
        What the method would return for no rows.
    columns : sequence
        The names of the columns of a frame.
    """
    dask = needs_dask()
    model = dask.delayed(est, pure=False, traverse=False)
    if is_array(X):
        if X.ndim != 2:
            raise ValueError(f"X must have two dimensions, got {X.ndim}.")
        X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
        shape: dict[str, Any] = {"drop_axis": 1}
        if empty.ndim == 2:
            shape = {"chunks": (X.chunks[0], (empty.shape[1],))}
        return X.map_blocks(predict_block, model, method, empty, dtype=empty.dtype, meta=empty, **shape)
    meta = _as_frame(empty, X._meta.index[:0], columns)
    return X.map_partitions(predict_frame, model, method, empty, columns, meta=meta)
