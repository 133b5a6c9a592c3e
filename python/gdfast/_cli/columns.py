"""What the texts of a column are taken as: numbers, dates or categories.

The rules are the same whatever libraries are installed, so that a model sees the same columns everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gdfast._cli.errors import CommandError
from gdfast._cli.output import option
from gdfast.preprocessing._columns import Column, Kind, _days, as_categories
from gdfast.training.arrays import Array

# Those of pandas.
_MISSING = frozenset(
    [
        None,
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
        *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    ]
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")
# From this share of numbers on, texts among them are mistakes rather than categories.
_NUMERIC = 0.9


def of_texts(path: str, name: str, texts: Sequence[str | None], kind: Kind | None = None) -> Column:
    """A column of the texts of a file.

    ``kind`` is what it is to be, where that is known; dates are numbers as well, days since 1970.
    CommandError if it is none of them.
    """
    values = np.array([*texts, None], dtype=object)[:-1]
    missing = np.fromiter(map(_MISSING.__contains__, texts), bool, len(texts))
    values[missing] = None
    if kind == "category":
        return Column(name, values, "category")
    known = values[~missing]
    numbers = np.full(len(values), np.nan)
    try:
        if any("_" in text for text in known):  # 1_2 is a number to Python, but not in a file
            raise ValueError
        numbers[~missing] = known.astype(np.float64)
    except ValueError:
        days = _days_of(known)
        if days is not None:
            numbers[~missing] = days
            return Column(name, numbers, "date")
        wrong = np.flatnonzero(~missing)[[not _is_number(text) for text in known]]
        what = f"{path}: column {name!r} has the text {values[wrong[0]]!r} in row {wrong[0] + 1}"
        if kind is not None:
            raise CommandError(f"{what}, where numbers are expected.") from None
        if len(wrong) <= (1 - _NUMERIC) * len(known):
            raise CommandError(
                f"{what} among numbers: correct it, or give {option('--categorical', name)} or "
                f"{option('--drop', name)}."
            ) from None
        return Column(name, values, "category")
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise CommandError(
            f"{path}: column {name!r} has {values[row]!r} in row {row + 1}, which is infinite."
        )
    return Column(name, numbers, "number")


def converted(path: str, column: Column, kind: Kind | None) -> Column:
    """A typed column of a file as one of texts would be: categories are strings."""
    if column.kind != "category" and kind != "category":
        return column
    texts = [None if value is None else str(value) for value in as_categories(column)]
    known = np.array([text for text in texts if text is not None], dtype=object)
    if kind is None and not (len(known) and _days_of(known) is not None):
        kind = "category"  # numbers that are stored as texts are meant as such
    return of_texts(path, column.name, texts, kind)


def _days_of(texts: Array) -> Array | None:
    """Days since 1970 if all texts are dates of ISO 8601."""
    if not all(map(_DATE.fullmatch, texts)):
        return None
    try:
        return _days(texts.astype("datetime64[us]"))
    except ValueError:  # such as the 31st of February
        return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
