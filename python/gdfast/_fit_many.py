"""Fits of several estimators side by side, on one copy of the data."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from numbers import Integral
from typing import Any, NoReturn, TypeVar

import numpy as np
from sklearn import config_context, get_config
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import _num_samples

from gdfast import _core
from gdfast.callbacks import ModelCheckpoint
from gdfast.data import Stream
from gdfast.estimators import _validation
from gdfast.estimators._feed_forward import FeedForward
from gdfast.estimators._members import side_by_side
from gdfast.estimators._network_estimator import NetworkEstimator
from gdfast.estimators._shared_rows import SharedRows, rows_of
from gdfast.estimators._tabular import BaseTabular
from gdfast.estimators._warnings import Collected, collected, warn, warn_of_interruption
from gdfast.training import ranks
from gdfast.training.arrays import Array
from gdfast.training.blas import on_threads
from gdfast.training.outcome import Outcome

_Estimator = TypeVar("_Estimator", bound=NetworkEstimator | BaseTabular)


def fit_many(
    estimators: Iterable[_Estimator],
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    rows: Any = None,
    n_jobs: int | None = None,
) -> list[_Estimator]:
    """Fit independent estimators side by side, on threads of one process and one copy of the data.

    Each ends with the same bits as ``est.fit(X[rows], y[rows], sample_weight[rows])`` alone, whatever
    ``n_jobs`` is. Folds, seeds, settings and bags of rows are what it is for: several small networks use the
    cores better than each of them does alone.

    Parameters
    ----------
    estimators : iterable of estimators
        Any of gdfast's, of different kinds too. Each is an object of its own, with callbacks and a
        ``RandomState`` of its own (`sklearn.base.clone` makes such). With ``random_state=None`` they draw
        from NumPy's global generator, in an order that is not the same twice.
    X, y : array-like, sparse matrix or frame
        The data of all, as for their ``fit``.
    sample_weight : array-like of shape (n_samples,), or list, default=None
        Weight of each sample of X. A list or tuple has an entry for each estimator: an array or None.
    rows : ndarray, or list, default=None
        The samples of X to train on: their indices, in any order and each any number of times, a boolean mask
        of shape (n_samples,), or a slice; None for all. A list or tuple has such an entry for each estimator.
    n_jobs : int or None, default=None
        The number of threads for all together, -1 for all cores; None stands for the number that OpenMP
        uses. So many estimators are trained at a time, in the order of the list, each with a thread. A
        number larger than that of the estimators is divided among them. An estimator's own ``n_jobs`` may
        lower its share.

    Returns
    -------
    estimators : list of estimators
        The same objects, fitted.

    Raises
    ------
    TypeError, ValueError
        If estimators, weights or rows are not of these kinds, two estimators share what training changes,
        or an argument of one is invalid. No estimator has been changed then. Otherwise for the errors that
        ``fit`` raises.
    Exception
        Whatever else the ``fit`` of an estimator or one of its callbacks raises.

        An error says for which estimator, by its place in the list: a TypeError or ValueError in its message,
        any other in a note. That estimator is left as an error of ``fit`` leaves it. Those that train at the
        time are trained to their end, and no other is begun: each of them is fitted, or as it was.
    KeyboardInterrupt
        By Ctrl-C before any estimator has taken a step.

    Warns
    -----
    UserWarning
        After Ctrl-C: those that train end with the weights of their last step, and no other is begun.
    UserWarning, ConvergenceWarning, PoorFitWarning
        All warnings of the estimators, which say for which, after the last has ended.

    Notes
    -----
    Multilayer perceptrons share X, which is checked as a whole and converted at most once (not at all if it
    is a C-contiguous array of float32 or float64). With ``rows`` each has, besides its weights, 8 bytes for
    each of its rows, and targets and weights for all rows of X. A solver that needs all rows at once
    ("lbfgs", "newton-cg", "lm", "annealing") or ``KFAC`` copies its rows while it trains, as recurrent
    networks do and estimators for tables, each of which has an encoder of its own.

    Callbacks are called by the thread that trains their estimator, those of different estimators at the same
    time.

    See Also
    --------
    TabularClassifier, TabularRegressor : Several networks, trained side by side and averaged.

    Examples
    --------
    Five folds, one network each:

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import StratifiedKFold
    >>> import gdfast
    >>> X, y = load_iris(return_X_y=True)
    >>> folds = list(StratifiedKFold(5).split(X, y))
    >>> nets = [gdfast.MLPClassifier(max_iter=1000, random_state=0) for _ in folds]
    >>> nets = gdfast.fit_many(nets, X, y, rows=[training for training, _ in folds])
    >>> scores = [net.score(X[test], y[test]) for net, (_, test) in zip(nets, folds)]
    >>> min(scores) > 0.9
    True
    """
    if ranks.current() is not None:
        raise ValueError("fit_many trains on one process: call it outside of gdfast.distributed.mpi().")
    if Stream.find(X, y, sample_weight) is not None:
        raise TypeError("fit_many takes data in memory, and no stream.")
    nets = list(estimators)
    _check_estimators(nets)
    n_threads = _check_n_jobs(n_jobs) or _core.max_threads()
    if y is None:
        raise ValueError("fit_many requires y to be passed, but the target y is None.")
    n_samples, n_targets = _n_samples(X, "X"), _n_samples(y, "y")
    if n_targets != n_samples:
        raise ValueError(f"X has {n_samples} samples, but y has {n_targets}: one for each is needed.")
    each_rows = _for_each(rows, len(nets), "rows", n_samples, _indices)
    each_weight = _for_each(sample_weight, len(nets), "sample_weight", n_samples, _weights)
    if not nets:
        return nets
    sharing = [i for i, net in enumerate(nets) if _shares_rows(net)]
    try:
        shared = SharedRows.of(X) if sharing else None
    except Exception as error:
        if len(sharing) == len(nets):
            raise
        raise _named(error, sharing[0]) from error  # it may suit the others

    at_a_time = min(len(nets), n_threads)
    reports = [Collected() for _ in nets]
    errors: dict[int, Exception] = {}
    has_failed = threading.Event()
    config = {**get_config(), "skip_parameter_validation": True}  # they have been checked

    def fit(i: int) -> Outcome | None:
        if has_failed.is_set():
            return None
        net, rows = nets[i], each_rows[i]
        with (
            config_context(**config),  # each thread has its own
            _validation.at_most_threads(max(1, n_threads // at_a_time)),
            collected(reports[i]),
        ):
            try:
                data = shared.at(rows) if shared is not None and _shares_rows(net) else rows_of(X, rows)
                net.fit(data, rows_of(y, rows), rows_of(each_weight[i], rows))
            except Exception as error:
                errors[i] = error
                has_failed.set()
                return Outcome("failed")
        return Outcome("interrupted" if reports[i].interrupted else "stopped")

    jobs = [partial(copy_context().run, fit, i) for i in range(len(nets))]
    # Begun here: OpenBLAS ignores what other threads than the main thread set.
    with on_threads(1, beside_core=True) if at_a_time > 1 else nullcontext():
        outcomes = side_by_side(jobs, at_a_time)
    try:
        for i, report in enumerate(reports):
            for message, category in report.messages:
                warn(f"{_name(i)}: {message}", category)
        if not errors and None in outcomes:
            names = ", ".join(_name(i) for i, outcome in enumerate(outcomes) if outcome is None)
            warn_of_interruption(f"Training interrupted by user, before the first step of {names}.")
    finally:
        if errors:
            _raise_first(errors)
    return nets


def _name(i: int) -> str:
    return f"estimators[{i}]"


def _shares_rows(est: Any) -> bool:
    """Whether its ``fit`` takes `SharedRows`."""
    return isinstance(est, FeedForward) and type(est).fit is FeedForward.fit


def _raise_first(errors: dict[int, Exception]) -> NoReturn:
    """Raise the error of the first estimator that has one, with its name."""
    (i, error), *others = sorted(errors.items())
    named = _named(error, i)
    for other, also in others:
        named.add_note(f"{_name(other)} has failed as well: {type(also).__name__}: {also}")
    raise named


def _named(error: Exception, i: int) -> Exception:
    """The error with the name of its estimator: in the message, or a note where the object is to stay."""
    if type(error) not in (TypeError, ValueError, InvalidParameterError):
        error.add_note(f"In {_name(i)}.")
        return error
    named = type(error)(f"In {_name(i)}: {error}")
    named.__cause__ = error
    return named


# Checks.


def _check_estimators(estimators: Sequence[Any]) -> None:
    """Check them without the data: their kinds and arguments, and that no two share what training changes."""
    for i, est in enumerate(estimators):
        if isinstance(est, type):
            raise TypeError(f"{_name(i)} is the class {est.__name__} itself. Give an instance of it.")
        if not isinstance(est, NetworkEstimator | BaseTabular):
            raise TypeError(
                f"{_name(i)} is a {type(est).__name__}, but fit_many takes estimators of gdfast. Transform X "
                "before, or fit others by joblib."
            )
    seen: dict[int, int] = {}
    for i, est in enumerate(estimators):
        if (first := seen.setdefault(id(est), i)) != i:
            raise ValueError(
                f"{_name(first)} and {_name(i)} are the same object. Fit clones of it (sklearn.base.clone)."
            )
    shared: dict[int, int] = {}
    paths: dict[str, int] = {}
    errors: dict[int, Exception] = {}
    for i, est in enumerate(estimators):
        for what, part in _changed_by_training(est):
            if (first := shared.setdefault(id(part), i)) != i:
                raise ValueError(
                    f"{_name(first)} and {_name(i)} share {what}, which training changes. Give each its own "
                    "(sklearn.base.clone makes an estimator with its own)."
                )
        for path in _checkpoints_of(est):
            if (first := paths.setdefault(path, i)) != i:
                raise ValueError(
                    f"{_name(first)} and {_name(i)} save checkpoints to the same path, {path!r}. Give each "
                    "its own."
                )
    for i, est in enumerate(estimators):
        try:
            if not get_config()["skip_parameter_validation"]:
                est._validate_params()
            est._check_arguments()
        except Exception as error:
            errors[i] = error
    if errors:
        _raise_first(errors)


def _checkpoints_of(est: Any) -> Iterator[str]:
    """The paths that its checkpoints are saved to."""
    if isinstance(est.callbacks, list | tuple):
        for callback in est.callbacks:
            if isinstance(callback, ModelCheckpoint):
                yield os.path.abspath(callback.path)


def _changed_by_training(est: Any) -> Iterator[tuple[str, Any]]:
    """The parts of an estimator that another one may hold as well, and that its training changes."""
    if isinstance(est.random_state, np.random.RandomState):
        yield "a random_state", est.random_state
    if isinstance(est.callbacks, list | tuple):
        for callback in est.callbacks:
            yield f"the callback {callback!r}", callback
    if getattr(est, "warm_start", False):
        for array in getattr(est, "coefs_", ()):
            yield "the arrays of coefs_", array


def _check_n_jobs(n_jobs: Any) -> int:
    if n_jobs is None:
        return _validation.n_threads(None)
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool):
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}.")
    return _validation.n_threads(int(n_jobs))


def _n_samples(data: Any, name: str) -> int:
    with _validation.naming(name):
        return int(_num_samples(data))


def _for_each(
    given: Any, n: int, name: str, n_samples: int, parse: Callable[[Any, int, str], Any]
) -> list[Any]:
    """An entry for each of ``n`` estimators; what is not a list is one for all."""
    if not isinstance(given, list | tuple):
        return [None if given is None else parse(given, n_samples, name)] * n
    if len(given) != n:
        raise ValueError(
            f"{name} is a list, which has an entry for each estimator: {n}, got {len(given)}. Give an array "
            "if all have the same."
        )
    return [
        None if entry is None else parse(entry, n_samples, f"{name}[{i}]") for i, entry in enumerate(given)
    ]


def _indices(given: Any, n_samples: int, name: str) -> Array:
    """The indices of samples, none negative."""
    if isinstance(given, slice):
        given = np.arange(n_samples)[given]
    with _validation.naming(name):
        rows = np.asarray(given)
    if rows.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got the shape {rows.shape}.")
    if rows.dtype == bool:
        if len(rows) != n_samples:
            raise ValueError(f"{name} is a mask of {len(rows)} values, but X has {n_samples} samples.")
        rows = np.flatnonzero(rows)
    if not len(rows):
        raise ValueError(f"{name} selects no sample.")
    if rows.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers or booleans, got {rows.dtype}.")
    bad = (rows < -n_samples) | (rows >= n_samples)
    if bad.any():
        raise ValueError(f"{name} holds {rows[bad][0]}, but X has {n_samples} samples.")
    found: Array = np.where(rows < 0, rows + n_samples, rows).astype(np.int64)
    return found


def _weights(given: Any, n_samples: int, name: str) -> Any:
    """Weights with an entry for each sample."""
    if np.ndim(given) == 0 and not hasattr(given, "__len__"):
        return np.full(n_samples, given)
    if (n := _n_samples(given, name)) != n_samples:
        raise ValueError(f"{name} has {n} weights, but X has {n_samples} samples: one for each is needed.")
    return given
