"""The columns of frames and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from numbers import Real
from typing import Any, Literal

import numpy as np

from gdfast.training.arrays import Array
from gdfast.training.data import is_sparse

Kind = Literal["number", "category", "date"]


@dataclass(frozen=True)
class Column:
    """A column: numbers as float64 with NaN for what is missing, or objects with None.

    Attributes
    ----------
    name : str
        As errors call it.
    values : ndarray of shape (n_rows,)
    kind : {"number", "category", "date"}
        What its dtype makes of it; dates are numbers: days since 1970.
    """

    name: str
    values: Array
    kind: Kind


def is_frame(X: Any) -> bool:
    """Whether X has named columns: a frame of pandas or polars, or a table of pyarrow."""
    return hasattr(X, "columns") and hasattr(X, "shape") and not isinstance(X, np.ndarray)


def names_of(X: Any) -> list[Any]:
    """The names of a frame's columns."""
    return list(X.column_names if hasattr(X, "column_names") else X.columns)


def columns_of(X: Any) -> list[Column]:
    """The columns of a frame, an array or a list of rows.

    Raises ValueError or TypeError that name what is wrong.
    """
    if is_frame(X):
        names = names_of(X)
        doubled = {str(name) for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"X has several columns of the name {min(doubled)!r}. Rename them.")
        return [_of_frame(X, i, str(name)) for i, name in enumerate(names)]
    if is_sparse(X):
        raise TypeError(
            "Sparse data was passed for X, but dense data is required. Use '.toarray()' to convert to a "
            "dense numpy array."
        )
    array = X if isinstance(X, np.ndarray) else _as_array(X)
    if array.dtype.kind in "OUSM":
        _check_shape(array)
        return [_of_objects(array[:, i].astype(object), _number(i)) for i in range(array.shape[1])]
    array = _as_floats(array)
    return [Column(_number(i), array[:, i], "number") for i in range(array.shape[1])]


def in_order(X: Any, wanted: Sequence[str] | Array | None) -> Any:
    """A frame with these columns in their order; what it has beside them is left out."""
    if not is_frame(X) or wanted is None:
        return X
    names, wanted = names_of(X), list(wanted)
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(
            "The feature names should match those that were passed during fit.\n"
            f"Feature names seen at fit time, yet now missing:\n- {missing[0]}\n"
        )
    if names == wanted:
        return X
    return X.select(wanted) if hasattr(X, "select") and not hasattr(X, "iloc") else X[wanted]


def is_known(values: Array) -> Array:
    """Which objects are not None."""
    return np.fromiter((value is not None for value in values), bool, len(values))


def as_numbers(column: Column) -> Array:
    """The values as float64, NaN where one is missing; ValueError that names the column if they are none."""
    values = column.values
    if values.dtype.kind == "O":
        missing = ~is_known(values)
        try:
            numbers = np.where(missing, np.nan, values).astype(np.float64)
        except (TypeError, ValueError):
            known = next(v for v in values[~missing] if not _is_number(v))
            raise ValueError(
                f"Column {column.name!r} of X holds {known!r}, which is no number. Name the column in "
                "categorical_features if it holds categories."
            ) from None
    else:
        numbers = values.astype(np.float64)
    if np.isinf(numbers).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for dtype('float64'): column {column.name!r}. "
            "Replace infinite values, by NaN if they mean that the value is missing."
        )
    return numbers


def as_categories(column: Column) -> Array:
    """The values as objects of one type, None where one is missing; mixed types become strings."""
    values = column.values
    if values.dtype.kind != "O":
        missing = np.isnan(values)
        whole = (values[~missing] % 1 == 0).all()
        numbers = np.where(missing, 0, values).astype(np.int64 if whole else np.float64)
        values = numbers.astype(object)
        values[missing] = None
        return values
    known = values[is_known(values)]
    kinds = {type(value) for value in known}
    if len(kinds) > 1 or any(not issubclass(kind, (str, int, float)) for kind in kinds):
        for value in known:
            if isinstance(value, (list, tuple, dict, set, np.ndarray)):
                raise TypeError(
                    f"Column {column.name!r} of X holds {type(value).__name__}s, such as {value!r}. "
                    "argument must be a string, a number or a category: make columns of the parts."
                )
        values = np.array([None if value is None else str(value) for value in values], dtype=object)
    return values


def _check_shape(array: Array) -> None:
    """ValueError as from scikit-learn's ``check_array`` if this is no table."""
    if isinstance(array, np.matrix):
        raise TypeError("np.matrix is not supported. Please convert to a numpy array with np.asarray.")
    if array.ndim < 2:
        kind = "scalar" if array.ndim == 0 else "1D"
        raise ValueError(
            f"Expected 2D array, got {kind} array instead:\narray={array}.\nReshape your data either using "
            "array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it contains a "
            "single sample."
        )
    if array.ndim > 2:
        raise ValueError(f"Found array with dim {array.ndim}, while dim <= 2 is required.")
    for n, what in zip(array.shape, ("sample", "feature"), strict=True):
        if n == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={array.shape}) while a minimum of 1 is required."
            )


def _as_floats(array: Array) -> Array:
    """Numbers as float64 or float32, NaN allowed; errors as from scikit-learn's ``check_array``."""
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{array}\n")
    _check_shape(array)
    floats: Array = array if array.dtype in (np.float64, np.float32) else array.astype(np.float64)
    if np.isinf(floats).any():
        raise ValueError(f"Input contains infinity or a value too large for {floats.dtype!r}.")
    return floats


def _number(i: int) -> str:
    return f"x{i}"


def _as_array(X: Any) -> Array:
    array = np.asarray(X)
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.asarray(X, dtype=object)  # numbers beside strings stay numbers
    return array


def _is_number(value: Any) -> bool:
    return isinstance(value, (Real, Decimal))


def _of_frame(X: Any, i: int, name: str) -> Column:
    library = type(X).__module__.partition(".")[0]
    if library == "polars":
        return _of_polars(X.get_column(X.columns[i]), name)
    if library == "pyarrow":
        return _of_arrow(X.column(i), name)
    return _of_pandas(X.iloc[:, i], name)


def _of_pandas(series: Any, name: str) -> Column:
    kind = getattr(series.dtype, "kind", "O")
    if hasattr(series.dtype, "pyarrow_dtype"):
        pa = import_module("pyarrow")
        return _of_arrow(pa.chunked_array([pa.array(series)]), name)
    if str(series.dtype) in ("bool", "boolean"):
        return _of_objects(series.to_numpy(object, na_value=None), name)
    if kind in "iuf":
        return Column(name, series.to_numpy(np.float64, na_value=np.nan), "number")
    if kind in "mM":
        if kind == "M" and getattr(series.dt, "tz", None) is not None:
            series = series.dt.tz_convert(None)
        return Column(name, _days(series.to_numpy()), "date")
    return _of_objects(series.astype(object).to_numpy(), name, missing=series.isna().to_numpy())


def _of_polars(series: Any, name: str) -> Column:
    dtype = series.dtype
    if dtype.is_numeric():
        return Column(name, series.cast(_polars().Float64).to_numpy(), "number")
    if dtype.is_temporal():
        if str(dtype) == "Time":
            series = series.cast(_polars().Duration("ns"))
        return Column(name, _days(series.to_numpy()), "date")
    if str(dtype).startswith(("Categorical", "Enum")):
        series = series.cast(_polars().String)
    return _of_objects(np.array([*series.to_list(), None], dtype=object)[:-1], name)


def _of_arrow(array: Any, name: str) -> Column:
    pa = import_module("pyarrow")
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.cast(kind.value_type), kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Column(name, np.asarray(array.cast(pa.float64()).to_numpy(), np.float64), "number")
    if pa.types.is_time(kind):
        array = array.cast(pa.time64("ns")).cast(pa.int64()).cast(pa.duration("ns"))
    if pa.types.is_temporal(kind):
        return Column(name, _days(np.asarray(array.to_numpy())), "date")
    return _of_objects(np.array([*array.to_pylist(), None], dtype=object)[:-1], name)


def _polars() -> Any:
    return import_module("polars")


def _days(dates: Array) -> Array:
    """Days since 1970, of a time difference or since midnight; NaN where one is missing."""
    missing = np.isnat(dates)
    unit = "timedelta64[ns]" if dates.dtype.kind == "m" else "datetime64[us]"
    parts = 86_400 * (10**9 if dates.dtype.kind == "m" else 10**6)
    days: Array = dates.astype(unit).astype(np.int64) / parts
    days[missing] = np.nan
    return days


def _of_objects(values: Array, name: str, missing: Array | None = None) -> Column:
    """A column of objects: numbers if all that are known are numbers, dates if all are dates."""
    values = values.copy()
    gone = np.array([_is_missing(value) for value in values], bool) if missing is None else missing
    values[gone] = None
    known = values[~gone]
    if len(known) and all(_is_number(value) and not isinstance(value, (bool, np.bool_)) for value in known):
        numbers = np.full(len(values), np.nan)
        numbers[~gone] = known.astype(np.float64)
        return Column(name, numbers, "number")
    if len(known) and all(isinstance(v, (date, timedelta, np.datetime64, np.timedelta64)) for v in known):
        spans = isinstance(known[0], (timedelta, np.timedelta64))
        days = np.full(len(values), np.nan)
        days[~gone] = _days(known.astype("timedelta64[ns]" if spans else "datetime64[us]"))
        return Column(name, days, "date")
    if len(known) == 0:
        return Column(name, np.full(len(values), np.nan), "number")
    return Column(name, values, "category")


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT or pandas.NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)) and value != value
