"""What the texts of a column are taken as: numbers, dates or categories.

The rules are the same whatever libraries are installed, so that a model sees the same columns everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gdfast._cli.errors import CommandError
from gdfast._cli.output import quoted
from gdfast.preprocessing._columns import Column, Kind, _days, as_categories, is_known
from gdfast.training.arrays import Array

# What a column may be, the first that fits.
Kinds = tuple[Kind, ...]
ANY: Kinds = ("number", "date", "category")
CATEGORY: Kinds = ("category",)
UNUSED: Kinds = ()  # it may hold anything

# Those of pandas.
_MISSING = frozenset(
    [
        None,
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
        *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    ]
)
_TIME = r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?"
_DATE = re.compile(rf"\d{{4}}-\d\d-\d\d(?:[T ]{_TIME})?")
_DATE_WITH_ZONE = re.compile(rf"(\d{{4}}-\d\d-\d\d[T ]{_TIME})(?:Z|([+-])([01]\d|2[0-3])(?::?([0-5]\d))?)")
# Of so many texts one that differs is a mistake, rather than a sign of categories.
_TEXTS_OF_A_MISTAKE = 10


class MistakenTextError(CommandError):
    """A text of a column is not what it has to be.

    Attributes
    ----------
    column : str
    what : str
        The sentence without its full stop, for advice to follow.
    """

    def __init__(self, column: str, what: str) -> None:
        super().__init__(f"{what}.")
        self.column = column
        self.what = what


def of_texts(
    path: str, name: str, texts: Sequence[str | None], kinds: Kinds = ANY, decimal: str = "."
) -> Column:
    """A column of the texts of a file.

    ``kinds`` are those it may be; dates are numbers as well, days since 1970. ``decimal`` is the mark in
    numbers. CommandError if it is none of them, or a text is taken for a mistake.
    """
    values = np.array([*texts, None], dtype=object)[:-1]
    missing = np.fromiter(map(_MISSING.__contains__, texts), bool, len(texts))
    values[missing] = None
    known = values[~missing]
    for kind in kinds:
        found = None
        if kind == "number":
            found = _numbers_of(known, decimal)
        elif kind == "date":
            found = _days_of(known)
        if found is not None:
            numbers = np.full(len(values), np.nan)
            numbers[~missing] = found
            _check_finite(path, name, values, numbers)
            return Column(name, numbers, kind)
    if "number" in kinds or "date" in kinds:
        _check_mistakes(path, name, values, kinds, decimal)
    return Column(name, values, "category")


def converted(path: str, column: Column, kinds: Kinds = ANY, decimal: str = ".") -> Column:
    """A typed column of a file as one of texts would be: categories are strings."""
    if not kinds or (column.kind != "category" and column.kind in kinds):
        return column
    if column.kind != "category" and kinds != CATEGORY:
        known = np.flatnonzero(~np.isnan(column.values))
        if len(known):
            raise CommandError(
                f"{path}: column {column.name!r} has a {column.kind} in row {known[0] + 1}, where "
                f"{kinds[0]}s are expected."
            )
        return Column(column.name, column.values, kinds[0])
    texts = [None if value is None else str(value) for value in as_categories(column)]
    if kinds == ANY:
        kinds = ("date", "category")  # numbers that are stored as texts are meant as such
    return of_texts(path, column.name, texts, kinds, decimal)


def _check_finite(path: str, name: str, texts: Array, numbers: Array) -> None:
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        row = int(infinite[0])
        raise CommandError(
            f"{path}: column {name!r} has {quoted(texts[row])} in row {row + 1}, which is infinite."
        )


def _check_mistakes(path: str, name: str, values: Array, kinds: Kinds, decimal: str) -> None:
    """CommandError if texts that are neither all numbers nor all dates are no categories."""
    rows = np.flatnonzero(is_known(values))
    # Each text is looked at once.
    number_of = {text: number for number, text in enumerate(dict.fromkeys(values[rows]))}
    numbers = np.fromiter(map(number_of.__getitem__, values[rows]), np.int64, len(rows))
    texts = list(number_of)

    def what(wrong: Array) -> str:
        row = int(rows[wrong][0])
        return f"{path}: column {name!r} has the text {quoted(values[row])} in row {row + 1}"

    wrong = {}
    if "number" in kinds:
        wrong["number"] = ~_are_numbers(texts, decimal)[numbers]
        other, mark = (",", "a comma") if decimal == "." else (".", "a point")
        if any(other in text for text in texts):
            by_other = _are_numbers(texts, other)[numbers]
            marked = by_other & wrong["number"]
            if marked.any() and _are_mistakes(~by_other):
                said = f"{what(marked)}, with {mark} as decimal mark"
                if decimal == ".":
                    raise CommandError(f"{said}: give --decimal {other}.")
                raise MistakenTextError(name, f"{said}, but --decimal {decimal} is given")
    if "date" in kinds:
        wrong["date"] = _mistaken_dates(texts, numbers)
    nearest = min(wrong, key=lambda kind: wrong[kind].sum())
    if "category" not in kinds:
        raise MistakenTextError(name, f"{what(wrong[nearest])}, where {nearest}s are expected")
    if _are_mistakes(wrong[nearest]):
        raise MistakenTextError(name, f"{what(wrong[nearest])} among {nearest}s")


def _are_mistakes(wrong: Array) -> bool:
    """Whether so few texts are wrong that they are mistakes."""
    return bool(_TEXTS_OF_A_MISTAKE * wrong.sum() <= len(wrong))


def _numbers_of(texts: Array, decimal: str) -> Array | None:
    """The numbers if all texts are numbers."""
    if decimal == ",":
        texts = np.array([*map(_with_point, texts), None], dtype=object)[:-1]
    try:
        if any("_" in text for text in texts):  # 1_2 is a number to Python, but not in a file
            return None
        return texts.astype(np.float64)
    except ValueError:
        return None


def _are_numbers(texts: Sequence[str], decimal: str) -> Array:
    return np.array([_is_number(text, decimal) for text in texts], bool)


def _is_number(text: str, decimal: str) -> bool:
    if decimal == ",":
        text = _with_point(text)
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _with_point(text: str) -> str:
    """A text with a decimal comma as one with a point; one that has a point becomes no number."""
    return text.replace(".", "_").replace(",", ".")


def _days_of(texts: Array) -> Array | None:
    """Days since 1970, in UTC if there are zones, if all texts are dates of ISO 8601."""
    parts = (texts, np.timedelta64(0, "m")) if all(map(_DATE.fullmatch, texts)) else _parts_of(texts)
    if parts is None:
        return None
    local, ahead = parts
    try:
        return _days(local.astype("datetime64[us]") - ahead)
    except ValueError:  # such as the 31st of February
        return None


def _parts_of(texts: Array) -> tuple[Array, Array] | None:
    """Local times and how far they are ahead of UTC, if all texts are dates with a zone."""
    local, ahead = [], []
    for text in texts:
        found = _DATE_WITH_ZONE.fullmatch(text)
        if found is None:
            return None
        time, sign, hours, minutes = found.groups(default="0")
        local.append(time)
        ahead.append((-1 if sign == "-" else 1) * (60 * int(hours) + int(minutes)))
    return np.array(local, dtype=object), np.array(ahead, dtype="timedelta64[m]")


def _mistaken_dates(texts: Sequence[str], numbers: Array) -> Array:
    """Which of the texts with these numbers are no dates.

    Where some have a zone and some have none, the fewer are none as well.
    """
    plain = np.array([_is_date(text) for text in texts], bool)[numbers]
    with_zone = np.array([_is_date_with_zone(text) for text in texts], bool)[numbers]
    return ~(with_zone if with_zone.sum() > plain.sum() else plain)


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        np.datetime64(text, "us")
    except ValueError:
        return False
    return True


def _is_date_with_zone(text: str) -> bool:
    found = _DATE_WITH_ZONE.fullmatch(text)
    return found is not None and _is_date(found[1])
