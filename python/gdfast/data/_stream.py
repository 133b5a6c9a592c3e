"""Data that are read block by block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from gdfast.data import _arrow, _dask, _memory
from gdfast.data._reader import Reader


class Stream:
    """Training data that are read block by block while training goes on.

    ``fit`` takes a stream in place of X and y. It is read once in every epoch, by a thread of its own that is
    some blocks ahead, so that of the data no more than twice the buffer and these blocks are in memory. Rows
    are shuffled within the buffer, and parts that can be read in any order (row groups of Parquet files,
    partitions of Dask, items of a sequence, blocks of arrays) among each other. The order is drawn from
    ``random_state`` and is part of the state of training, so that a resumed run continues exactly. A stream
    of one block trains as ``fit`` on its arrays does, bit for bit.

    ``fit(X, y, sample_weight)`` makes a stream by itself where X is one of the sources below that is not an
    array.

    Parameters
    ----------
    source : iterable, array, path, list of paths, pyarrow.dataset.Dataset or Dask collection
        - an object whose ``__iter__`` gives blocks ``(X, y)`` or ``(X, y, sample_weight)``, and begins again
          each time; a sequence of such blocks is read in any order;
        - an array of shape (n_samples, n_features), such as ``numpy.memmap``;
        - the path of a Parquet file or of a directory of them, or a list of paths (needs pyarrow);
        - a ``pyarrow.dataset.Dataset``;
        - a Dask array or frame.
    y : array, Dask collection or str, default=None
        The target: an array for an array, a collection for a collection; the name of its column for files,
        data sets and frames; None for an iterable of blocks.
    sample_weight : array, Dask collection or str, default=None
        The weights, given like y.
    features : sequence of str, default=None
        The columns of X, of sources with named columns; None for all but those of y and sample_weight.
    block_size : int, default=65536
        The number of rows in a block of an array, and the largest of a data set. Iterables and Dask have
        blocks of their own.
    buffer_size : int, default=131072
        The number of rows that are shuffled with each other, at least: the buffer is filled with whole
        blocks. Rows that do not fill a batch are left to the next buffer.
    prefetch : int, default=2
        The number of blocks that are read ahead. 0 reads on the thread that trains.
    random_state : int, RandomState instance or None, default=None
        Determines the order of parts and rows; None takes that of the estimator.

    Raises
    ------
    TypeError
        If a size is no integer; from ``fit`` if ``source`` is none of these, or can be read once only.
    ValueError
        If a size is less than 1; from ``fit`` if a column is missing or a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast import MLPRegressor
    >>> from gdfast.data import Stream
    >>> class Blocks:
    ...     def __iter__(self):
    ...         for seed in range(4):
    ...             X = np.random.default_rng(seed).random((100, 3), np.float32)
    ...             yield X, X.sum(axis=1)
    >>> model = MLPRegressor(max_iter=500, random_state=0).fit(Stream(Blocks(), buffer_size=200))
    >>> model.predict([[0.5, 0.5, 0.5]]).round(1)
    array([1.5])
    """

    def __init__(
        self,
        source: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        features: Sequence[str] | None = None,
        block_size: int = 65_536,
        buffer_size: int = 131_072,
        prefetch: int = 2,
        random_state: Any = None,
    ) -> None:
        for name, value, least in (
            ("block_size", block_size, 1),
            ("buffer_size", buffer_size, 1),
            ("prefetch", prefetch, 0),
        ):
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, got {value!r}.")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        if features is not None:
            names = list(features) if isinstance(features, Iterable) else [features]
            if isinstance(features, str) or not all(isinstance(name, str) for name in names):
                raise TypeError(f"features must be a sequence of names of columns, got {features!r}.")
            others = [name for name in (y, sample_weight) if isinstance(name, str)]
            if len({*names, *others}) < len(names) + len(others):
                raise ValueError(
                    f"features must name each column once, and neither y nor sample_weight; got {names}."
                )
            features = names
        self.source, self.y, self.sample_weight = source, y, sample_weight
        self.features = features
        self.block_size, self.buffer_size, self.prefetch = int(block_size), int(buffer_size), int(prefetch)
        self.random_state = random_state

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.source).__name__}, buffer_size={self.buffer_size})"

    @classmethod
    def find(cls, X: Any, y: Any, sample_weight: Any) -> Stream | None:
        """The stream that ``fit``'s arguments describe; None if they are data in memory.

        ValueError if X is a stream and y or sample_weight are given beside it.
        """
        if isinstance(X, cls):
            for name, value in (("y", y), ("sample_weight", sample_weight)):
                if value is not None:
                    raise ValueError(f"{name} must be given to the Stream, and not beside it.")
            return X
        is_stream = (
            _arrow.is_dataset(X)
            or _dask.is_collection(X)
            or (_arrow.are_files(X) and (y is None or isinstance(y, str)))
            or (y is None and _memory.is_iterable_of_blocks(X))
        )
        if is_stream:
            return cls(X, y, sample_weight)
        if isinstance(y, str):
            raise ValueError(_memory.NO_COLUMN.format(y=y))
        return None

    def open(self) -> Reader:
        """A reader of the source, whose columns and files have been checked."""
        source, y, weight = self.source, self.y, self.sample_weight
        if _arrow.is_dataset(source) or _arrow.are_files(source):
            self._check_target("a data set")
            return _arrow.ArrowReader(source, y, weight, self.features, self.block_size)
        if _dask.is_collection(source):
            self._check_target("a collection")
            return _dask.DaskReader(source, y, weight, self.features)
        if self.features is not None:
            raise ValueError("features names columns, but the blocks of this source are arrays.")
        if isinstance(source, list | tuple) or _memory.is_iterable_of_blocks(source):
            for name, value in (("y", y), ("sample_weight", weight)):
                if value is not None:
                    raise ValueError(f"{name} must be in the blocks of an iterable, and not beside it.")
            return _memory.IterableReader(source)
        if hasattr(source, "shape") and hasattr(source, "__getitem__"):
            self._check_target("an array")
            return _memory.ArrayReader(source, y, weight, self.block_size)
        raise TypeError(
            "source must be an iterable of blocks, an array, paths of Parquet files, a pyarrow Dataset or a "
            f"Dask collection; got {type(source).__name__}."
        )

    def _check_target(self, kind: str) -> None:
        if self.y is None:
            name = "the name of its column" if kind == "a data set" else "its target"
            raise ValueError(f"y is missing: {kind} takes {name} as y.")
