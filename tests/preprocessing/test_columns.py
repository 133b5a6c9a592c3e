"""Tables of every kind: what becomes numbers, what categories, and what is refused by its name."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from gdfast.preprocessing import TableEncoder
from gdfast.preprocessing._columns import columns_of

DAYS = [dt.date(2020, 1, 1), None, dt.date(2021, 6, 5), dt.date(1969, 12, 30)]
TIMES = [dt.datetime(2020, 1, 1, 12), None, dt.datetime(2021, 6, 5), dt.datetime(1969, 12, 30)]
TABLE: dict[str, list[Any]] = {
    "whole": [1, 2, 3, 4],
    "gaps": [1, None, 3, 4],
    "float": [0.5, float("nan"), 2.5, -1.0],
    "text": ["x", None, "y", "x"],
    "flag": [True, False, True, True],
    "unsure": [True, None, False, True],
    "day": DAYS,
    "time": TIMES,
    "span": [dt.timedelta(days=1), None, dt.timedelta(hours=12), dt.timedelta(0)],
}
KINDS = ["number", "number", "number", "category", "category", "category", "date", "date", "date"]
VALUES = {
    "gaps": [1, np.nan, 3, 4],
    "text": ["x", None, "y", "x"],
    "unsure": [True, None, False, True],
    "day": [18262, np.nan, 18783, -2],
    "time": [18262.5, np.nan, 18783, -2],
    "span": [1, np.nan, 0.5, 0],
}
FRAMES = {
    "pandas": lambda: pd.DataFrame(
        {
            **TABLE,
            "gaps": pd.array(TABLE["gaps"], dtype="Int64"),
            "unsure": pd.array(TABLE["unsure"], dtype="boolean"),
            "time": pd.to_datetime(pd.Series(TIMES)),
        }
    ),
    "pandas of objects": lambda: pd.DataFrame(TABLE, dtype=object),
    "pandas of arrow": lambda: pa.table(TABLE).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(TABLE),
    "pyarrow": lambda: pa.table(TABLE),
    "array of objects": lambda: np.array(list(TABLE.values()), dtype=object).T,
}


@pytest.mark.parametrize("library", FRAMES)
def test_columns_of_every_library_are_the_same(library: str) -> None:
    columns = columns_of(FRAMES[library]())
    assert [column.kind for column in columns] == KINDS
    by_name = dict(zip(TABLE, columns, strict=True))
    for name, expected in VALUES.items():
        if by_name[name].kind == "category":
            assert by_name[name].values.tolist() == expected
        else:
            np.testing.assert_array_equal(by_name[name].values, expected)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_columns_in_another_order_are_found_by_name(library: str) -> None:
    X = FRAMES[library]()
    encoder = TableEncoder(bins="values").fit(X)
    names = list(TABLE)
    other = X.select([*names[::-1]]) if library != "pandas" else X[names[::-1]].assign(more=1)
    np.testing.assert_array_equal(encoder.transform(other), encoder.transform(X))
    less = X.select(names[1:]) if library != "pandas" else X[names[1:]]
    with pytest.raises(ValueError, match="now missing:\n- whole"):
        encoder.transform(less)


def test_frames_of_all_libraries_are_encoded_alike() -> None:
    expected = TableEncoder(bins="values").fit_transform(FRAMES["pandas"]())
    for library in ("polars", "pyarrow"):
        np.testing.assert_array_equal(TableEncoder(bins="values").fit_transform(FRAMES[library]()), expected)


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table], ids=["polars", "pyarrow"])
def test_times_of_day_are_parts_of_a_day(make: Any) -> None:
    (column,) = columns_of(make({"t": [dt.time(6), None, dt.time(18, 0, 0)]}))
    assert column.kind == "date"
    np.testing.assert_array_equal(column.values, [0.25, np.nan, 0.75])


def test_categories_of_frames() -> None:
    words = ["b", "a", None, "b"]
    frames: list[Any] = [
        pd.DataFrame({"c": pd.Categorical(words)}),
        pd.DataFrame({"c": pd.array(words, dtype="string")}),
        pl.DataFrame({"c": pl.Series(words, dtype=pl.Categorical)}),
        pl.DataFrame({"c": pl.Series(words, dtype=pl.Enum(["b", "a"]))}),
        pa.table({"c": pa.array(words).dictionary_encode()}),
    ]
    for X in frames:
        (column,) = columns_of(X)
        assert (column.kind, column.values.tolist()) == ("category", words)


def test_numbers_among_objects() -> None:
    X = pd.DataFrame({"d": [Decimal("1.5"), None, Decimal(2)], "i": np.array([1, 2.5, None], dtype=object)})
    assert [c.kind for c in columns_of(X)] == ["number", "number"]
    np.testing.assert_array_equal(columns_of(X)[0].values, [1.5, np.nan, 2])


def test_mixed_types_are_categories() -> None:
    X = pd.DataFrame({"m": [1, "one", 2.5, None, "one"], "n": range(5)})
    encoder = TableEncoder(bins=None, min_frequency=1).fit(X)
    assert encoder.get_feature_names_out().tolist() == ["m_1", "m_2.5", "m_one", "n"]


def test_which_columns_hold_categories() -> None:
    X = pd.DataFrame({"a": [1, 2, 3, 1], "b": ["x", "y", "x", "y"], "c": [0.5, 1.5, 0.5, 1.5]})

    def chosen(categorical_features: Any) -> list[bool]:
        encoder = TableEncoder(categorical_features=categorical_features, bins=None, min_frequency=1).fit(X)
        return encoder.categorical_features_.tolist()

    assert chosen("from_dtype") == [False, True, False]
    for features in ([True, True, False], [0, 1], ["a", "b"], np.array([0, 1])):
        assert chosen(features) == [True, True, False]
    for features, message in (
        (["z"], "'z', but X has no such column"),
        ([True], "boolean mask should have shape"),
        ([3], "integer indices must lie within"),
        ([-1], "integer indices must lie within"),
        ([0.5], "integer indices must lie within"),
        (None, "Column 'b' of X holds 'x', which is no number. Name the column in categorical_features"),
    ):
        with pytest.raises(ValueError, match=message):
            chosen(features)


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "lists": (
        pd.DataFrame({"ok": [1, 2], "tags": [["a"], ["b"]]}),
        TypeError,
        "Column 'tags' of X holds lists",
    ),
    "dicts": (pd.DataFrame({"d": [{"a": 1}, {}]}), TypeError, "Column 'd' of X holds dicts"),
    "infinity": (pd.DataFrame({"ok": [1, 2], "inf": [1.0, np.inf]}), ValueError, "infinity.*column 'inf'"),
    "infinity in an array": (np.array([[1.0, 2.0], [3.0, -np.inf]]), ValueError, "infinity"),
    "two names": (
        pd.DataFrame([[1, 2, 3], [3, 4, 5]], columns=["a", "a", "b"]),
        ValueError,
        "several columns of the name 'a'",
    ),
    "one dimension": (np.zeros(3), ValueError, "Reshape your data"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_encoded_is_named(name: str) -> None:
    X, error, message = BAD[name]
    with pytest.raises(error, match=message):
        TableEncoder(bins=None).fit(X)


def test_columns_that_tell_nothing_become_nothing() -> None:
    X = pd.DataFrame(
        {"none": [None] * 4, "nan": [np.nan] * 4, "same": [7.0] * 4, "id": list("abcd"), "x": range(4)}
    )
    encoder = TableEncoder(bins=None).fit(X)
    assert encoder.get_feature_names_out().tolist() == ["id_rare", "x"]
    np.testing.assert_array_equal(
        encoder.transform(X.assign(none=1.0, nan=2.0, same=8.0)), encoder.transform(X)
    )
    # A network has an input.
    assert TableEncoder(bins=None).fit(X[["same"]]).transform(X[["same"]]).shape == (4, 1)
