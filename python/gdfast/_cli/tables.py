"""Reading of tables from CSV and Parquet files."""

from __future__ import annotations

import csv
import difflib
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from gdfast._cli.columns import ANY, Kinds, converted, of_texts
from gdfast._cli.errors import CommandError, naming
from gdfast._cli.output import counted, first_of
from gdfast.preprocessing._columns import Column, columns_of

Table = dict[str, Column]

_MAGIC = b"PAR1"
_MAGIC_OF_GZIP = b"\x1f\x8b"
_CHUNK = 10_000  # rows
_DELIMITERS = ",;\t|"


def read(path: Path, kinds_of: Callable[[Sequence[str]], Mapping[str, Kinds]], decimal: str = ".") -> Table:
    """The columns of a file by their names.

    ``kinds_of`` is given the names, and returns what columns may be, where that is known; what the others
    are is found. ``decimal`` is the mark in numbers that are texts. CommandError names the file and the line
    or column of what is wrong.
    """
    with naming(path), path.open("rb") as opened:
        # Parquet begins with its end, and the first line of CSV is read twice.
        file = opened if opened.seekable() else io.BytesIO(opened.read())
        begin = file.read(len(_MAGIC))
        is_parquet = begin == _MAGIC
        file.seek(0)
        if begin.startswith(_MAGIC_OF_GZIP):
            raise CommandError(f"{path} is compressed by gzip: give <(zcat FILE), or uncompress it.")
        if is_parquet or path.suffix.lower() in (".parquet", ".pq"):
            columns = {column.name: column for column in _parquet_columns(path, file)}
            kinds = kinds_of(list(columns))
            table = {
                name: converted(str(path), column, kinds.get(name, ANY), decimal)
                for name, column in columns.items()
            }
        else:
            texts = _texts(path, file)
            kinds = kinds_of(list(texts))
            table = {
                name: of_texts(str(path), name, found, kinds.get(name, ANY), decimal)
                for name, found in texts.items()
            }
    if n_rows(table) == 0:
        raise CommandError(f"{path} has no rows.")
    return table


def n_rows(table: Table) -> int:
    return len(next(iter(table.values())).values) if table else 0


def check_has(path: Path, table: Table, names: Sequence[str], option: str) -> None:
    """CommandError if a column is missing: it names the columns of similar names first."""
    for name in names:
        if name not in table:
            same = [other for other in table if other.casefold() == name.casefold()]
            found = dict.fromkeys([*same, *difflib.get_close_matches(name, table), *table])
            names_found = first_of(list(map(repr, found)))
            raise CommandError(f"{path} has no column {name!r} ({option}): it has {names_found}.")


def as_rows(columns: Sequence[Column]) -> Any:
    """Columns as estimators take them: a frame of pandas where that is installed, else an array."""
    try:
        pandas = import_module("pandas")
    except ImportError:
        numbers = all(column.kind != "category" for column in columns)
        array = np.empty((len(columns[0].values), len(columns)), np.float64 if numbers else object)
        for i, column in enumerate(columns):
            array[:, i] = column.values
        return array
    return pandas.DataFrame({column.name: column.values for column in columns})


def _texts(path: Path, binary: IO[bytes]) -> dict[str, list[str]]:
    """The columns of a CSV file."""
    try:
        with io.TextIOWrapper(binary, "utf-8-sig", newline="") as file:
            delimiter = Counter({mark: 0 for mark in _DELIMITERS} | _marks(file.readline())).most_common(1)
            file.seek(0)
            rows = csv.reader(_lines(path, file), delimiter=delimiter[0][0], strict=True)
            names = next(rows, [])
            if not names:
                raise CommandError(f"{path} is empty: its first line must have the names of columns.")
            if doubled := [name for name, count in Counter(names).items() if count > 1]:
                raise CommandError(f"{path} has several columns of the name {doubled[0]!r}.")
            columns: list[list[str]] = [[] for _ in names]
            chunk: list[list[str]] = []
            for row in rows:
                if len(row) != len(names):
                    if not row:  # an empty line
                        continue
                    raise CommandError(
                        f"{path}, line {rows.line_num} has {counted(len(row), 'field')}, but the first line "
                        f"names {counted(len(names), 'column')}: the file is cut off or malformed."
                    )
                chunk.append(row)
                if len(chunk) == _CHUNK:
                    _append(columns, chunk)
                    chunk = []
            _append(columns, chunk)
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}.") from None
    except csv.Error as error:
        raise CommandError(
            f"{path}, line {rows.line_num}: {error}: the file is cut off or malformed."
        ) from None
    return dict(zip(names, columns, strict=True))


def _lines(path: Path, file: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if "\0" in line:
            raise CommandError(f"{path}, line {number} has a NUL byte: the file is damaged, or no text.")
        yield line


def _append(columns: list[list[str]], rows: list[list[str]]) -> None:
    for column, texts in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        column.extend(map(sys.intern, texts))  # equal texts share memory


def _marks(header: str) -> dict[str, int]:
    outside = "".join(header.split('"')[::2])  # of quotes
    return {mark: outside.count(mark) for mark in _DELIMITERS}


def _parquet_columns(path: Path, file: IO[bytes]) -> list[Column]:
    for library, function in (("pyarrow.parquet", "read_table"), ("polars", "read_parquet")):
        try:
            reader = getattr(import_module(library), function)
        except ImportError:
            continue
        try:
            return columns_of(reader(file))
        except Exception as error:  # each library has its own
            said = str(error).partition("\n")[0].rstrip(".")
            raise CommandError(f"{path} cannot be read as Parquet: {said}.") from None
    raise CommandError(f"{path} is a Parquet file: install pyarrow or polars to read it.")
