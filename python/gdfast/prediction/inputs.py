"""Checks of rows of numbers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gdfast.preprocessing._columns import is_frame, names_of
from gdfast.training.arrays import Array
from gdfast.training.data import is_sparse
from gdfast.training.encoding import EncodedRows


def check_in_memory(X: Any) -> None:
    """TypeError if X is where rows are read from."""
    if isinstance(X, os.PathLike) or (isinstance(X, str) and os.path.exists(X)):
        kind = "a path"
    elif type(X).__module__.startswith(("gdfast.data.", "pyarrow._dataset")):
        kind = f"a {type(X).__name__}"
    else:
        return
    raise TypeError(
        f"X must be rows in memory here, and is {kind}. Only fit of MLPClassifier and MLPRegressor reads it "
        "block by block, from files with the name of a column as y. Read rows or blocks, and hand those over."
    )


def check_kind(X: Any) -> None:
    """TypeError if X is no rows in memory, or holds dates, of which NumPy would make numbers in any unit."""
    check_in_memory(X)
    if is_sparse(X) or isinstance(X, EncodedRows) or not hasattr(X, "__getitem__"):
        return
    try:
        array = np.asarray(X if isinstance(X, np.ndarray) else X[:1])
    except (TypeError, ValueError, LookupError):  # later checks raise the error
        return
    if holds_dates(array):
        raise TypeError("X holds dates or time differences. Make numbers of them, in a unit of your choice.")


def holds_dates(array: Array) -> bool:
    """Whether an array holds dates or time differences, also as objects."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "mM"
    kinds = np.datetime64, np.timedelta64, date, timedelta  # pandas' types derive from the last two
    return any(isinstance(value, kinds) for value in array.flat)


# What scikit-learn's checks do for an estimator, for predictors.


@dataclass(frozen=True)
class Features:
    """What is known of the features of a fit.

    Attributes
    ----------
    kind : str
        The estimator's name.
    n_features : int
    names : ndarray of shape (n_features,) or None
        If X had names.
    """

    kind: str
    n_features: int
    names: Array | None


def checked_rows(X: Any, features: Features, dtype: DTypeLike | None = None) -> Any:
    """X as a numeric array, of ``dtype`` if it is given, a sparse matrix or encoded rows.

    ValueError or TypeError if X is none of these, is not finite, or has other features than those of the fit.
    """
    check_kind(X)
    if isinstance(X, EncodedRows):
        check_n_features(X.shape[1], features.kind, features.n_features)
        return X
    rows: Any = X.tocsr() if is_sparse(X) else as_array(X, dtype)
    if rows.ndim != 2:
        how = "X[np.newaxis] is one row, X[:, np.newaxis] one feature"
        raise ValueError(f"X must have two dimensions, of rows and features, got {rows.ndim}: {how}.")
    if rows.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={rows.shape}) while a minimum of 1 is required."
        )
    check_finite(rows.data if is_sparse(X) else rows)
    check_features(X, rows.shape[1], features)
    return rows


def as_array(X: Any, dtype: DTypeLike | None = None) -> Array:
    """X as an array of numbers, objects as float64; ValueError or TypeError if it is none."""
    array = _of_frame(X) if is_frame(X) else np.asarray(X)
    if dtype is not None and array.dtype.kind != "c":
        with np.errstate(over="ignore"):
            return array.astype(dtype, copy=False)
    if array.dtype.kind == "c":
        raise ValueError("Complex data not supported.")
    if array.dtype.kind in "SU":
        raise ValueError(f"X must hold numbers, but it holds text ({array.dtype}).")
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def _of_frame(frame: Any) -> Array:
    if hasattr(frame, "iloc") and not all(isinstance(dtype, np.dtype) for dtype in frame.dtypes):
        # pandas' own dtypes, whose missing values would become objects.
        found: Array = frame.to_numpy(np.float64, na_value=np.nan)
        return found
    return np.asarray(frame)


def check_finite(values: Array) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # the sum may overflow although all values are finite
        if values.dtype.kind in "iub" or np.isfinite(values.sum()) or np.isfinite(values).all():
            return
    what = "NaN" if np.isnan(values).any() else f"infinity or a value too large for {values.dtype!r}"
    raise ValueError(f"Input X contains {what}.")


def check_n_features(found: int, kind: str, n_features: int) -> None:
    if found != n_features:
        raise ValueError(f"X has {found} features, but {kind} is expecting {n_features} features as input.")


def check_features(X: Any, n_features: int, features: Features) -> None:
    """ValueError as from scikit-learn's checks if the columns of X are not those of the fit in order."""
    _check_names(X, features)
    check_n_features(n_features, features.kind, features.n_features)


def _check_names(X: Any, features: Features) -> None:
    found, kind = _string_names(X), features.kind
    if features.names is None:
        if found is not None:
            _warn(f"X has feature names, but {kind} was fitted without feature names")
        return
    if found is None:
        _warn(f"X does not have valid feature names, but {kind} was fitted with feature names")
        return
    wanted = list(features.names)
    if found == wanted:
        return
    message = "The feature names should match those that were passed during fit.\n"
    if unexpected := sorted({*found} - {*wanted}):
        message += f"Feature names unseen at fit time:\n{_listed(unexpected)}"
    if missing := sorted({*wanted} - {*found}):
        message += f"Feature names seen at fit time, yet now missing:\n{_listed(missing)}"
    if not unexpected and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(message)


def _string_names(X: Any) -> list[str] | None:
    """The names of a frame's columns if all are strings; TypeError if some are."""
    names = names_of(X) if is_frame(X) else []
    strings = [isinstance(name, str) for name in names]
    if any(strings) and not all(strings):
        raise TypeError("Feature names are only supported if all of them are strings. Rename the columns.")
    return names if any(strings) else None


def _listed(names: Sequence[str]) -> str:
    return "".join(f"- {name}\n" for name in names[:5]) + "- ...\n" * (len(names) > 5)


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=5)
