"""Checks of inputs, and conversion to the form that the core takes.

scikit-learn's ``validate_data`` checks X and y; this module has the rest: layer sizes, numbers of
threads, and the forms that training and scorers take.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral, Number, Real
from typing import Any

import numpy as np
from joblib import cpu_count
from joblib.parallel import get_active_backend
from numpy.typing import DTypeLike
from sklearn.utils import _safe_indexing, assert_all_finite
from sklearn.utils.validation import _check_sample_weight

from gdfast.estimators._shared_rows import SharedRows
from gdfast.prediction.inputs import check_n_features, holds_dates
from gdfast.training.arrays import Array
from gdfast.training.data import Sequences, as_matrix
from gdfast.training.encoding import EncodedRows
from gdfast.training.ranks import current


def check_real_targets(y: Any) -> None:
    """TypeError if the y of a regressor holds dates or text, which NumPy would convert to numbers."""
    try:
        array = np.asarray(y)
    except (TypeError, ValueError):  # scikit-learn's checks raise the error
        return
    dates = holds_dates(array)
    if dates or array.dtype.kind in "SU":
        what = "dates or time differences" if dates else "text"
        raise TypeError(
            f"y holds {what} ({array.dtype}), but a regressor's targets are numbers. Convert them."
        )


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Add the names of the arguments to an error that does not name them.

    scikit-learn's checks name X and y only, and NumPy's conversions nothing.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if what in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In {what}: {error}") from error


def check_weights(sample_weight: Any, X: Any) -> Array:
    """A finite weight for each row, from an array or a number."""
    with naming("sample_weight"):
        if isinstance(sample_weight, Number) and not isinstance(sample_weight, Real):
            raise TypeError(f"a weight is a real number, got {sample_weight!r}")
        weights: Array = _check_sample_weight(sample_weight, X)
        assert_all_finite(weights)
    return weights


def check_weights_of_part(est: Any, sample_weight: Any, X: Any) -> Array:
    """Weights of a part of the rows, checked by ``est``. scikit-learn refuses zeros, which it may have."""
    is_zero = np.asarray(sample_weight).dtype.kind in "fiu" and not np.any(sample_weight)
    weights: Array = est._check_weights(np.add(sample_weight, 1.0) if is_zero else sample_weight, X)
    return np.zeros_like(weights) if is_zero else weights


def hidden_sizes(hidden_layer_sizes: Any) -> list[int]:
    """``hidden_layer_sizes`` as a list of positive ints; ValueError or TypeError if invalid."""
    sizes = list(hidden_layer_sizes) if isinstance(hidden_layer_sizes, Iterable) else [hidden_layer_sizes]
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool):
            raise TypeError(
                f"hidden_layer_sizes must be integers, got {sizes}. Give one number for each hidden layer."
            )
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def check_encoded(est: Any, X: EncodedRows, *, reset: bool) -> None:
    """Check the number of inputs, or set it."""
    if reset:
        est.n_features_in_ = X.shape[1]
        est.__dict__.pop("feature_names_in_", None)
    else:
        check_n_features(X.shape[1], type(est).__name__, est.n_features_in_)


def embedding_shapes(X: Any) -> list[tuple[int, int]]:
    """The shapes of the arrays that X's embedded columns have in a network."""
    if isinstance(X, SharedRows):
        X = X.matrix
    return X.encoding.embedding_shapes if isinstance(X, EncodedRows) else []


def for_training(X: Any, dtype: DTypeLike) -> Any:
    """X in the form for training: a dense array, CSR's three arrays, encoded rows, or sequences."""
    if isinstance(X, Sequences):
        return X.as_type(dtype)
    return as_matrix(X.matrix if isinstance(X, SharedRows) else X, dtype)


def for_scorer(X: Any, rows: Array | None) -> Any:
    """These rows (None: all) of a checked X, in the form for ``predict``."""
    if isinstance(X, Sequences):
        chosen = X if rows is None else X.take(rows)
        return chosen.split(chosen.steps)
    if isinstance(X, SharedRows):
        return X.take(rows)
    return X if rows is None else _safe_indexing(X, rows)


# The share of a fit that runs beside others.
_share: ContextVar[int | None] = ContextVar("share", default=None)


@contextmanager
def at_most_threads(n_threads: int) -> Iterator[None]:
    """A context in which `n_threads` is at most this."""
    before = _share.set(n_threads)
    try:
        yield
    finally:
        _share.reset(before)


def n_threads(n_jobs: int | None) -> int:
    """The maximum number of threads for ``n_jobs``; 0 lets the core choose."""
    asked, share = _n_asked(n_jobs), _share.get()
    return asked if share is None else min(asked or share, share)


def _n_asked(n_jobs: int | None) -> int:
    if n_jobs is None and (ranks := current()) is not None:
        return ranks.n_threads
    if n_jobs is None:
        on_main_thread = threading.current_thread() is threading.main_thread()
        return 0 if on_main_thread else _threads_beside_others()
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: give the number of threads, -1 for all, or None.")
    most = np.iinfo(np.int32).max  # the core's largest int
    return min(int(n_jobs), most) if n_jobs > 0 else max(1, int(cpu_count()) + 1 + int(n_jobs))


def _threads_beside_others() -> int:
    # joblib limits OMP_NUM_THREADS in its processes, but not in its threads: fits in several threads would
    # compete for all cores.
    backend, _ = get_active_backend()
    return 1 if backend.nesting_level or _is_beside_tasks_of_dask() else 0


def _is_beside_tasks_of_dask() -> bool:
    # Dask limits OMP_NUM_THREADS in the processes of its workers, but not where a worker is in this process.
    # A module of the user's may have its name, too.
    get_worker = getattr(sys.modules.get("distributed.worker"), "get_worker", None)
    if get_worker is None:
        return False
    try:
        return bool(get_worker().state.nthreads > 1)
    except ValueError:  # this is no task
        return False
