"""Sources that pyarrow reads: data sets of files with named columns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from gdfast.data._reader import Block, Reader


def is_dataset(source: Any) -> bool:
    """Whether it is a ``pyarrow.dataset.Dataset``."""
    return type(source).__module__ == "pyarrow._dataset"


def are_files(source: Any) -> bool:
    """Whether it is the path of a file or a directory, or a list of such paths."""
    items = source if isinstance(source, list | tuple) else [source]
    return bool(items) and all(isinstance(item, str | os.PathLike) for item in items)


class ArrowReader(Reader):
    """A data set of pyarrow; its parts are the row groups of Parquet files, or whole files of other formats.

    Parameters
    ----------
    source : Dataset, path or list of paths
        Paths are those of Parquet files, or of directories of them.
    y : str
        The name of the target's column.
    sample_weight : str or None
        The name of the weights' column.
    features : sequence of str or None
        The names of the columns of X; None for all that are left.
    block_size : int
        The largest number of rows of a block.
    """

    def __init__(
        self, source: Any, y: Any, sample_weight: Any, features: Sequence[str] | None, block_size: int
    ) -> None:
        dataset = _dataset(source)
        is_given = is_dataset(source)  # and its schema is what the user wants
        names = list(dataset.schema.names)
        self._y = _column(names, y, "y")
        self._weight = None if sample_weight is None else _column(names, sample_weight, "sample_weight")
        self._targets = [self._y] if self._weight is None else [self._y, self._weight]
        features_are_all = features is None and not is_given
        if features is None:
            index = _index_columns(dataset.schema)
            features = [name for name in names if name not in (*self._targets, *index)]
        self.feature_names = [_column(names, name, "features") for name in features]
        if not self.feature_names:
            raise ValueError("The data have no column for X beside those of y and sample_weight.")
        self._dtype = _dtype(dataset.schema, self.feature_names)
        self._block_size = block_size
        self._parts: list[tuple[str, Any]] = []
        n_rows: int | None = 0
        for fragment in _fragments(dataset):
            path = getattr(fragment, "path", "the table")
            with _naming(path):
                keys = _partition_keys(fragment)
                _check_columns(
                    path,
                    fragment.physical_schema,
                    dataset.schema,
                    [name for name in (*self.feature_names, *self._targets) if name not in keys],
                    only=features_are_all,
                    same_types=not is_given,
                )
                for name, part, rows in _split(fragment):
                    self._parts.append((name, part))
                    n_rows = None if rows is None or n_rows is None else n_rows + rows
        self.n_rows, self.n_parts = n_rows, len(self._parts)
        self._schema = dataset.schema

    def blocks(self, part: int) -> Iterator[Block]:
        assert self.feature_names is not None
        for name, table in self._tables(part, self.feature_names):
            yield Block(name, self._matrix(table), *self._targets_of(table))

    def targets(self, part: int) -> Iterator[Block]:
        for name, table in self._tables(part, []):
            yield Block(name, None, *self._targets_of(table))

    def _tables(self, part: int, features: list[str]) -> Iterator[tuple[str, Any]]:
        """The blocks of a part as tables, with the same rows for any columns."""
        name, fragment = self._parts[part]
        with _naming(name):
            # Reading ahead is the stream's: pyarrow would keep several row groups in memory.
            batches = fragment.to_batches(
                schema=self._schema,
                columns=list(dict.fromkeys([*features, *self._targets])),
                batch_size=self._block_size,
                batch_readahead=0,
                fragment_readahead=0,
                use_threads=False,
            )
        blocks = _of_size(batches, self._block_size)
        for number in count():
            with _naming(name):
                table = next(blocks, None)
            if table is None:
                return
            yield f"block {number} of {name}", table

    def _matrix(self, table: Any) -> Any:
        assert self.feature_names is not None
        values = np.empty((table.num_rows, len(self.feature_names)), self._dtype)
        for place, name in enumerate(self.feature_names):
            values[:, place] = _numbers(table.column(name))
        return values

    def _targets_of(self, table: Any) -> tuple[Any, Any]:
        from pyarrow import types

        y = table.column(self._y)
        if types.is_dictionary(y.type):
            y = y.cast(y.type.value_type)
        return y.to_numpy(), None if self._weight is None else _numbers(table.column(self._weight))


def _of_size(batches: Iterator[Any], size: int) -> Iterator[Any]:
    """Tables of ``size`` rows, the last one of fewer, from batches of any size."""
    from pyarrow import Table

    kept: list[Any] = []
    n_kept = 0
    for batch in batches:
        kept.append(batch)
        n_kept += batch.num_rows
        if n_kept >= size:
            table = Table.from_batches(kept)
            for first in range(0, n_kept - n_kept % size, size):
                yield table.slice(first, size)
            n_kept %= size
            kept = table.slice(len(table) - n_kept).to_batches() if n_kept else []
    if n_kept:
        yield Table.from_batches(kept)


def _dataset(source: Any) -> Any:
    try:
        import pyarrow.dataset
    except ImportError as error:
        raise ImportError("Reading Parquet files takes pyarrow: pip install pyarrow.") from error
    if is_dataset(source):
        return source
    paths = [os.fspath(item) for item in (source if isinstance(source, list | tuple) else [source])]
    for path in paths:
        if not os.path.exists(path):
            raise FileNotFoundError(f"There is no file or directory {path!r} to train on.")
    files = [file for path in paths for file in _files(path)]
    # Folders such as year=2026 are columns, those above the data are not.
    below = (
        {"partitioning": "hive", "partition_base_dir": paths[0]} if paths != files and len(paths) == 1 else {}
    )
    with _naming(files[0]):
        return pyarrow.dataset.dataset(files, format="parquet", **below)


def _fragments(dataset: Any) -> Any:
    try:
        return dataset.get_fragments()
    except ValueError as error:
        raise ValueError(
            "X is a data set that has been filtered or joined, which pyarrow cannot give in parts: write it "
            f"to files, or give an iterable of blocks. ({error})"
        ) from error


def _index_columns(schema: Any) -> list[str]:
    """The columns that pandas has written for its index."""
    metadata = schema.pandas_metadata or {}
    return [name for name in metadata.get("index_columns", []) if isinstance(name, str)]


def _check_columns(
    path: str, found: Any, expected: Any, needed: list[str], *, only: bool, same_types: bool
) -> None:
    """ValueError if a file lacks columns, has others (``only``), or other types than the first file."""
    missing = [name for name in needed if name not in found.names]
    if missing:  # pyarrow would fill them with nulls
        raise ValueError(f"{path} lacks the columns {missing}; it has {found.names}.")
    more = [name for name in found.names if name not in expected.names]
    if only and more:
        raise ValueError(
            f"{path} has the columns {more}, which the first file lacks. Name those of X by features."
        )
    for name in needed if same_types else []:
        types = _plain_type(found.field(name).type), _plain_type(expected.field(name).type)
        if types[0] != types[1]:
            raise ValueError(
                f"The column {name!r} of {path} holds {types[0]}, that of the first file {types[1]}."
            )


def _plain_type(kind: Any) -> Any:
    """The type of values, however they are stored."""
    import pyarrow

    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return pyarrow.string() if pyarrow.types.is_large_string(kind) else kind


def _partition_keys(fragment: Any) -> list[str]:
    """The columns that the names of the folders have, such as ``year=2026``."""
    from pyarrow.dataset import get_partition_keys

    return list(get_partition_keys(fragment.partition_expression))


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]  # of writers at work
        found += [os.path.join(folder, name) for name in names if name.endswith((".parquet", ".pq"))]
    found = sorted(file for file in found if not os.path.basename(file).startswith((".", "_")))
    if not found:
        raise FileNotFoundError(f"The directory {path!r} holds no file whose name ends in .parquet or .pq.")
    return found


def _split(fragment: Any) -> Iterator[tuple[str, Any, int | None]]:
    """The parts of a file, with their names and numbers of rows."""
    if not hasattr(fragment, "split_by_row_group"):
        yield getattr(fragment, "path", "the table"), fragment, None
        return
    for part in fragment.split_by_row_group():
        (group,) = part.row_groups
        if group.num_rows:
            yield f"row group {group.id} of {fragment.path}", part, group.num_rows


def _column(names: list[str], name: Any, argument: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be the name of a column of the data, got {name!r}.")
    if name not in names:
        raise ValueError(f"{argument} names the column {name!r}, but the data have {names}.")
    return name


def _dtype(schema: Any, features: list[str]) -> Any:
    """The dtype of X as NumPy and scikit-learn have it: float32 where all columns are, else float64."""
    from pyarrow import types

    kinds = {name: schema.field(name).type for name in features}
    for name, kind in kinds.items():
        is_number = any(
            check(kind) for check in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        )
        if not is_number:
            raise TypeError(
                f"The column {name!r} holds {kind}, but X takes numbers. Leave it out by features=[...], or "
                "encode it, for instance by gdfast.preprocessing.TableEncoder."
            )
    return np.float32 if all(types.is_float32(kind) for kind in kinds.values()) else np.float64


def _numbers(column: Any) -> Any:
    from pyarrow import float64, types

    if types.is_decimal(column.type):
        column = column.cast(float64())
    return column.to_numpy()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of pyarrow, with the name of what it was reading."""
    from pyarrow.lib import ArrowException

    try:
        yield
    except (ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError) and name in str(error):
            raise
        raise ValueError(f"Reading {name} failed: {error}") from error
