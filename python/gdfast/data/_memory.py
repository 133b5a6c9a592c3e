"""Sources that are Python objects: iterables of blocks, and arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from gdfast.data._reader import Block, Reader

NO_COLUMN = "y={y!r} names a column, which files, data sets and frames of Dask have. Give the target."


def is_iterable_of_blocks(source: Any) -> bool:
    """Whether it looks like blocks rather than like a table."""
    if isinstance(source, list | tuple):
        return bool(source) and _is_like_a_block(source[0])
    is_table = any(hasattr(source, name) for name in ("shape", "__array__", "__dataframe__", "columns"))
    iterates = hasattr(source, "__iter__") or _is_sequence(source)
    return iterates and not is_table and not isinstance(source, str | bytes | dict)


def _is_like_a_block(item: Any) -> bool:
    """Whether it holds X and y, rather than the numbers of a row, though there may be too many or few."""
    if not isinstance(item, tuple | list) or not item:
        return False
    if isinstance(item, tuple) and isinstance(item[0], list | tuple):
        return True
    return bool(getattr(item[0], "shape", ()))


def _is_sequence(source: Any) -> bool:
    return hasattr(source, "__getitem__") and hasattr(source, "__len__")


class IterableReader(Reader):
    """An object whose ``__iter__`` gives blocks; those of a sequence can be read in any order.

    Parameters
    ----------
    source : iterable
        Each item is ``(X, y)`` or ``(X, y, sample_weight)``.
    """

    def __init__(self, source: Any) -> None:
        if hasattr(source, "__next__"):  # it is an iterator
            raise TypeError(
                f"A stream is read once in every epoch, but this {type(source).__name__} can be read once "
                "only. Give an object whose __iter__ begins again."
            )
        self._source = source
        self._walk: Any = None
        self.may_refill = not isinstance(source, list | tuple)
        self._is_sequence = _is_sequence(source)
        self.n_parts = len(source) if self._is_sequence else 1

    def blocks(self, part: int) -> Iterator[Block]:
        if self._is_sequence:
            with _reading(part):
                item = self._source[part]
            yield _block(part, item)
            return
        walk = iter(self._source)
        if walk is self._walk:
            raise TypeError(
                f"This {type(self._source).__name__} gives the same iterator each time, which can be read "
                "once only. Its __iter__ must begin again."
            )
        self._walk = walk
        for number in count():
            with _reading(number):
                item = next(walk, _END)
            if item is _END:
                return
            yield _block(number, item)


_END = object()


@contextmanager
def _reading(number: int) -> Iterator[None]:
    """Adds to a source's own error which block was read."""
    try:
        yield
    except Exception as error:
        error.add_note(f"In block {number}.")
        raise


def _block(number: int, item: Any) -> Block:
    name = f"block {number}"
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise TypeError(
            f"Every block must be a tuple (X, y) or (X, y, sample_weight), but {name} is "
            + (
                f"a {type(item).__name__} of {len(item)}."
                if isinstance(item, tuple | list)
                else f"of type {type(item).__name__}."
            )
        )
    return Block(name, item[0], item[1], item[2] if len(item) == 3 else None)


class ArrayReader(Reader):
    """Arrays, such as ``numpy.memmap``, cut into blocks.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    y : array of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array of shape (n_samples,) or None
    block_size : int
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, block_size: int) -> None:
        n_rows = int(X.shape[0])
        if isinstance(y, str):
            raise ValueError(NO_COLUMN.format(y=y))
        for name, array in (("y", y), ("sample_weight", sample_weight)):
            if array is not None and np.shape(array)[:1] != (n_rows,):
                raise ValueError(
                    f"{name} must have a row for each of the {n_rows} of X, got {np.shape(array)}."
                )
        self._X, self._y, self._weight = X, y, sample_weight
        self._block_size = block_size
        self.n_rows = n_rows
        self.n_parts = -(-n_rows // block_size)

    def blocks(self, part: int) -> Iterator[Block]:
        first = part * self._block_size
        rows = slice(first, min(first + self._block_size, self._X.shape[0]))
        weight = None if self._weight is None else self._weight[rows]
        yield Block(
            f"the block of rows {rows.start} to {rows.stop - 1}", self._X[rows], self._y[rows], weight
        )
