"""What comes in, checked and put into the form that the core takes.

scikit-learn's ``validate_data`` answers for X and y; here is what it does not know: sizes of layers, weights
that a user has set, and the conversion to one dtype.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from joblib import cpu_count
from joblib.parallel import get_active_backend
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

Array = NDArray[Any]

# What batch normalisation keeps: a list of arrays each, one for each hidden layer.
NORMS = ("bn_gamma_", "bn_beta_", "bn_mean_", "bn_var_")


class Samples(NamedTuple):
    """Data in the form that the core takes."""

    X: Any  # an array, CSR's three, or sequences
    y: Array
    weight: Array | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of training."""
        X = self.X[0] if isinstance(self.X, tuple) else self.X
        dtype: np.dtype[Any] = X.dtype
        return dtype


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
        array = np.asarray(X if isinstance(X, np.ndarray) else X[:1])
    except (TypeError, ValueError, LookupError):  # for scikit-learn's checks to say
        return
    if holds_dates(array):
        raise TypeError("X holds dates or time differences. Make numbers of them, in a unit of your choice.")


def check_real_targets(y: Any) -> None:
    """TypeError where a regressor's y holds dates or text, of which NumPy would make numbers."""
    try:
        array = np.asarray(y)
    except (TypeError, ValueError):  # for scikit-learn's checks to say
        return
    dates = holds_dates(array)
    if dates or array.dtype.kind in "SU":
        what = "dates or time differences" if dates else "text"
        raise TypeError(
            f"y holds {what} ({array.dtype}), but a regressor's targets are numbers. Convert them."
        )


def holds_dates(array: Array) -> bool:
    """Whether it is one of dates or time differences, or of objects among which there are some."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "mM"
    kinds = np.datetime64, np.timedelta64, date, timedelta  # pandas' are of the last two
    return any(isinstance(value, kinds) for value in array.flat)


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say of a ValueError in what it was found: scikit-learn's checks know X and y only."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"In {what}: {error}") from error


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


def array_lists(est: Any, *names: str) -> list[list[Array]]:
    """These attributes, which a user may have edited or replaced, as lists of arrays of real numbers.

    ValueError names what is none.
    """
    lists = []
    for name in names:
        arrays = getattr(est, name, None)
        if not isinstance(arrays, Sequence):
            raise ValueError(f"{name} must be a list of arrays, got {arrays!r}.")
        for i, array in enumerate(arrays):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
                what = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
                raise ValueError(f"{name}[{i}] must be an array of real numbers, got {what}.")
        lists.append(list(arrays))
    return lists


def check_shapes(
    coefs: Sequence[Array], intercepts: Sequence[Array], expected: Sequence[tuple[int, int]], makers: str
) -> None:
    """ValueError where the weights have other shapes than ``makers`` make."""
    coef_shapes = [coef.shape for coef in coefs]
    intercept_shapes = [intercept.shape for intercept in intercepts]
    if coef_shapes != list(expected) or intercept_shapes != [(fan_out,) for _, fan_out in expected]:
        raise ValueError(
            f"The weights at hand do not fit: {makers} make weights of the shapes {list(expected)}, with "
            f"one bias for each column, but coefs_ have the shapes {coef_shapes} and intercepts_ "
            f"{intercept_shapes}. Set hidden_layer_sizes to fit them, or fit anew with warm_start=False."
        )


def check_norms(est: Any, sizes: Sequence[int]) -> None:
    """ValueError where what batch normalisation keeps is not for hidden layers of these sizes."""
    for name, arrays in zip(NORMS, array_lists(est, *NORMS), strict=True):
        shapes = [array.shape for array in arrays]
        if shapes != [(n,) for n in sizes]:
            raise ValueError(
                f"{name} must hold an array for each hidden layer, of the sizes {list(sizes)}; got {shapes}."
            )


def weights_dtype(coefs: Sequence[Array], intercepts: Sequence[Array]) -> np.dtype[Any]:
    """float32 where all weights are, else float64."""
    all_single = all(np.asarray(a).dtype == np.float32 for a in (*coefs, *intercepts))
    return np.dtype(np.float32 if all_single else np.float64)


def as_weights(arrays: Sequence[Array], dtype: DTypeLike, *, writable: bool) -> list[Array]:
    """The arrays as the core takes them; each is itself where it already is so."""
    with np.errstate(over="ignore"):  # infinite weights are found by training
        # Of subclasses, such as np.matrix, the plain array.
        plain = map(np.asarray, arrays)
        return [np.require(array, dtype, ["C", "A", "W"] if writable else ["C", "A"]) for array in plain]


def convert(array: Array, dtype: DTypeLike, name: str) -> Array:
    """A C-contiguous, aligned array of ``dtype``, itself where it is one; ValueError where a value does not
    fit."""
    with np.errstate(over="ignore"):
        converted = np.require(array, dtype, ["C", "A"])
    narrowed = array.dtype != converted.dtype and not np.can_cast(array.dtype, converted.dtype, "safe")
    if narrowed and not np.isfinite(converted).all():
        raise ValueError(f"Input {name} contains infinity or a value too large for {converted.dtype!r}.")
    return converted


def as_matrix(X: Any, dtype: DTypeLike) -> Any:
    """X as the core takes it: a dense array, or CSR's three arrays. A sparse matrix never becomes dense."""
    if not sparse.issparse(X):
        return convert(X, dtype, "X")
    rows = X.tocsr()
    narrow = rows.indices.dtype == rows.indptr.dtype == np.int32
    index = np.int32 if narrow else np.int64
    indices, indptr = (np.require(array, index, ["C", "A"]) for array in (rows.indices, rows.indptr))
    return convert(rows.data, dtype, "X"), indices, indptr


def check_mean_weight(weight: Array | None, name: str, where: str = "", hint: str = "") -> None:
    """ValueError where the sum of these weights, in the dtype of training, is none to divide a mean by."""
    if weight is None:
        return
    limits = np.finfo(weight.dtype)
    with np.errstate(over="ignore"):
        total = float(weight.sum(dtype=np.float64))
        magnitude = float(np.abs(weight).sum(dtype=np.float64))
    least = max(float(limits.tiny), 4 * float(limits.eps) * magnitude)
    if abs(total) > least and magnitude < 1 / float(limits.tiny):
        return
    how = "zero" if not magnitude else f"{total:.3g}, with magnitudes of {magnitude:.3g}"
    message = f"{name} sums to {how}{where}: in {weight.dtype} a mean cannot be divided by that. {hint}"
    raise ValueError(message.rstrip())


def n_threads(n_jobs: int | None) -> int:
    """``n_jobs`` as scikit-learn means it, in the core's terms: at most so many threads, 0 to choose."""
    if n_jobs is None:
        on_main_thread = threading.current_thread() is threading.main_thread()
        return 0 if on_main_thread else _threads_beside_others()
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: give the number of threads, -1 for all, or None.")
    most = np.iinfo(np.int32).max  # that the core knows
    return min(int(n_jobs), most) if n_jobs > 0 else max(1, int(cpu_count()) + 1 + int(n_jobs))


def _threads_beside_others() -> int:
    # joblib's threads share this process and, unlike its processes, get no OMP_NUM_THREADS of their own:
    # each fit that took all cores there would have to share them with all others.
    backend, _ = get_active_backend()
    return 1 if backend.nesting_level else 0
