"""What comes in, checked and put into the form that the core takes.

scikit-learn's ``validate_data`` answers for X and y; here is what it does not know: sizes of layers, weights
that a user has set, and the conversion to one dtype.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from joblib import cpu_count
from joblib.parallel import get_active_backend
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

Array = NDArray[Any]


class Samples(NamedTuple):
    """Data in the form that the core takes."""

    X: Any  # an array, or CSR's three
    y: Array
    weight: Array | None


def check_holdout_is_whole(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """ValueError where a part of the validation set has been forgotten."""
    if X_val is None and y_val is not None:
        raise ValueError("y_val is provided, but X_val was not provided.")
    if X_val is not None and y_val is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val is provided, but X_val and y_val were not provided.")


def check_no_dates(X: Any) -> None:
    """TypeError where X holds dates: NumPy would make numbers of them, counted in whatever unit they have."""
    if sparse.issparse(X) or not hasattr(X, "__getitem__"):
        return
    try:
        kind = np.asarray(X if isinstance(X, np.ndarray) else X[:1]).dtype.kind
    except (TypeError, ValueError, LookupError):  # for scikit-learn's checks to say
        return
    if kind in "mM":
        raise TypeError("X holds dates or time differences. Make numbers of them, in a unit of your choice.")


def check_real_targets(y: Array) -> None:
    """TypeError where a regressor's y holds dates or text, of which NumPy would make numbers."""
    if y.dtype.kind in "mMSU":
        what = "dates or time differences" if y.dtype.kind in "mM" else "text"
        raise TypeError(f"y holds {what} ({y.dtype}), but a regressor's targets are numbers. Convert them.")


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say of a ValueError in what it was found: scikit-learn's checks know X and y only."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"In {what}: {error}") from error


@contextmanager
def all_or_nothing(est: Any) -> Iterator[None]:
    """Leave an estimator's attributes as they were where what is done with them raises."""
    before = dict(est.__dict__)
    try:
        yield
    except BaseException:
        est.__dict__.clear()
        est.__dict__.update(before)
        raise


def hidden_sizes(hidden_layer_sizes: Any) -> list[int]:
    """``hidden_layer_sizes`` as a list of positive ints; ValueError or TypeError where it is none."""
    sizes = list(hidden_layer_sizes) if isinstance(hidden_layer_sizes, Iterable) else [hidden_layer_sizes]
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool):
            raise TypeError(
                f"hidden_layer_sizes must be integers, got {sizes}. Give one number for each hidden layer."
            )
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def check_addressable(layer_units: Sequence[int], itemsize: int) -> None:
    """ValueError where a network of these sizes cannot be addressed, let alone allocated."""
    n_parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layer_units))
    if n_parameters * itemsize > sys.maxsize:
        raise ValueError(
            f"The network is too large: layers of {list(layer_units)} units have {n_parameters:.3g} "
            f"parameters, more than {sys.maxsize} bytes can hold. Use smaller hidden_layer_sizes."
        )


def check_layers(coefs: Sequence[Array], intercepts: Sequence[Array], layer_units: Sequence[int]) -> None:
    """ValueError where the weights at hand are not those of a network with ``layer_units``."""
    coef_shapes = [np.shape(coef) for coef in coefs]
    intercept_shapes = [np.shape(intercept) for intercept in intercepts]
    expected = list(pairwise(layer_units))
    if coef_shapes != expected or intercept_shapes != [(fan_out,) for _, fan_out in expected]:
        raise ValueError(
            "Training cannot go on from the weights at hand: features, hidden_layer_sizes and outputs make "
            f"layers of {list(layer_units)} units, but coefs_ have the shapes {coef_shapes} and intercepts_ "
            f"{intercept_shapes}. Set hidden_layer_sizes to fit them, or fit anew with warm_start=False."
        )


def weights_dtype(coefs: Sequence[Array], intercepts: Sequence[Array]) -> np.dtype[Any]:
    """float32 where all weights are, else float64."""
    all_single = all(np.asarray(a).dtype == np.float32 for a in (*coefs, *intercepts))
    return np.dtype(np.float32 if all_single else np.float64)


def as_weights(arrays: Sequence[Array], dtype: DTypeLike, *, writable: bool) -> list[Array]:
    """The arrays as the core takes them; each is itself where it already is so."""
    if writable:
        return [np.require(array, dtype, ["C", "A", "W"]) for array in arrays]
    return [np.require(array, dtype, ["C", "A"]) for array in arrays]


def convert(array: Array, dtype: DTypeLike, name: str) -> Array:
    """A C-contiguous array of ``dtype``, itself where it is one; ValueError where a value does not fit."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype)
    narrowed = array.dtype != converted.dtype and not np.can_cast(array.dtype, converted.dtype, "safe")
    if narrowed and not np.isfinite(converted).all():
        raise ValueError(f"Input {name} contains infinity or a value too large for {converted.dtype!r}.")
    return converted


def as_matrix(X: Any, dtype: DTypeLike) -> Any:
    """X as the core takes it: a dense array, or CSR's three arrays. A sparse matrix never becomes dense."""
    if not sparse.issparse(X):
        return convert(X, dtype, "X")
    rows = X.tocsr()
    return convert(rows.data, dtype, "X"), rows.indices, rows.indptr


def n_threads(n_jobs: int | None) -> int:
    """``n_jobs`` as scikit-learn means it, in the core's terms: at most so many threads, 0 to choose."""
    if n_jobs is None:
        on_main_thread = threading.current_thread() is threading.main_thread()
        return 0 if on_main_thread else _threads_beside_others()
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: give the number of threads, -1 for all, or None.")
    return int(n_jobs) if n_jobs > 0 else max(1, int(cpu_count()) + 1 + int(n_jobs))


def _threads_beside_others() -> int:
    # joblib's threads share this process and, unlike its processes, get no OMP_NUM_THREADS of their own:
    # each fit that took all cores there would have to share them with all others.
    backend, _ = get_active_backend()
    return 1 if backend.nesting_level else 0
