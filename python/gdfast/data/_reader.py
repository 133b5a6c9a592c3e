"""What every kind of source is read through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple


class Block(NamedTuple):
    """Consecutive rows of a source.

    Attributes
    ----------
    name : str
        Where the rows lie, for errors.
    X, y, sample_weight
        As for ``fit``; the weights may be None.
    """

    name: str
    X: Any
    y: Any
    sample_weight: Any


class Reader(ABC):
    """Blocks of rows, in parts that can be read in any order.

    Attributes
    ----------
    n_parts : int
    n_rows : int or None
        The number of rows, where it is known without reading.
    feature_names : list of str or None
        The names of the columns of X, where blocks hold plain arrays of named columns.
    may_refill : bool
        Whether a block may be changed once the next one has been read.
    """

    n_parts: int
    n_rows: int | None = None
    feature_names: list[str] | None = None
    may_refill: bool = False

    @abstractmethod
    def blocks(self, part: int) -> Iterator[Block]:
        """The blocks of a part, the same ones in every call."""

    def targets(self, part: int) -> Iterator[Block]:
        """The blocks of a part, of which the X may be None."""
        return self.blocks(part)
