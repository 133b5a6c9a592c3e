"""The partitions of a fit: checked and encoded on the workers, where they lie."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_consistent_length

from gdfast.dask._needs import is_array, is_collection, needs_dask
from gdfast.estimators._task import Task, data_for
from gdfast.training.arrays import Array
from gdfast.training.data import Data


@dataclass(frozen=True)
class Checked:
    """A partition whose rows an estimator's checks have passed."""

    X: Any
    y: Array
    weight: Array | None


@dataclass(frozen=True)
class Summary:
    """What a client needs to know of a partition.

    Attributes
    ----------
    number : int
    error : Exception or None
        What is wrong with it.
    n_rows : int
    header : object
        Its first row, as given, with the names of columns.
    n_features : int
    names : tuple of str or None
        The names of columns, if there are any.
    dtype : numpy.dtype
        That of X after the checks.
    target_shape : tuple of int
        The shape of y without its first axis.
    labels : ndarray or None
        The labels that occur, in classification.
    counts : ndarray or None
        For class_weight="balanced": for each column of y the weight of each label.
    """

    number: int
    error: Exception | None = None
    n_rows: int = 0
    header: Any = None
    n_features: int = 0
    names: tuple[str, ...] | None = None
    dtype: Any = None
    target_shape: tuple[int, ...] = ()
    labels: Any = None
    counts: Any = None


@contextmanager
def naming(number: int) -> Iterator[None]:
    """Errors name the partition."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In partition {number}: {error}") from error


def check(est: Any, number: int, X: Any, y: Any, weight: Any) -> tuple[Checked | None, Summary]:
    """Check a partition as ``est``, an estimator that is not fitted, checks its data; on a worker."""
    try:
        with naming(number):
            return _check(est, number, X, y, weight)
    except (TypeError, ValueError) as error:
        return None, Summary(number, error)


def _check(est: Any, number: int, X: Any, y: Any, weight: Any) -> tuple[Checked | None, Summary]:
    check_consistent_length(X, y, weight)
    if X.shape[0] == 0:
        return None, Summary(number)
    header = X[:1]
    est = copy.copy(est)  # which takes notes of X, and is that of other threads, too
    X, y = est._check_data(X, y, reset=True)
    if hasattr(y, "toarray"):
        raise TypeError("Sparse targets are not supported here. Use '.toarray()' to make y dense.")
    if weight is not None:
        weight = np.asarray(weight)
        if weight.any():  # scikit-learn refuses zeros, but another partition may have the weight
            weight = est._check_weights(weight, X)
        if (weight < 0).any():
            raise ValueError("sample_weight must not be negative.")
    labels = counts = None
    if est._has_numeric_targets:
        est._task(y, incremental=False, classes=None)  # which checks y
    else:
        labels = unique_labels(y)
        if est.class_weight == "balanced":
            counts = [_counts(column, weight) for column in (y.T if y.ndim == 2 else [y])]
    names = getattr(est, "feature_names_in_", None)
    summary = Summary(
        number,
        None,
        X.shape[0],
        header,
        X.shape[1],
        None if names is None else tuple(names),
        X.dtype,
        y.shape[1:],
        labels,
        counts,
    )
    return Checked(X, y, weight), summary


def _counts(y: Array, weight: Array | None) -> dict[Any, float]:
    labels, places = np.unique(y, return_inverse=True)
    return dict(zip(labels.tolist(), np.bincount(places, weight).tolist(), strict=True))


def encode(checked: Checked, task: Task, dtype: Any, number: int) -> Data:
    """A checked partition in the form for training; on a worker."""
    with naming(number):
        data = data_for(task, checked.X, checked.y, task.weigh(checked.y, checked.weight), dtype)
        return data._replace(y=task.for_training(data.y)[0])


def total_weight(data: Data) -> float:
    return float(len(data.y) if data.weight is None else data.weight.sum(dtype=np.float64))


def as_partitions(value: Any, name: str, like: Any = None) -> list[Any]:
    """The partitions of a collection as delayed objects.

    Columns that lie in several chunks are brought together. ``like`` is the X whose partitions these are to
    match: a collection whose sizes are known is cut as it is.
    """
    if not is_collection(value):
        raise TypeError(
            f"{name} must be an array or a frame of Dask, got {type(value).__name__}. For data in memory use "
            "the estimator of the same name without Dask, or dask.array.from_array."
        )
    if is_array(value):
        if value.ndim not in (1, 2):
            raise ValueError(f"{name} must have one or two dimensions, got {value.ndim}.")
        if value.ndim == 2 and value.numblocks[1] > 1:
            value = value.rechunk({1: -1})
        if is_array(like) and not np.isnan([*like.chunks[0], *value.chunks[0]]).any():
            if value.shape[0] != like.shape[0]:
                raise ValueError(f"X has {like.shape[0]} rows, but {name} has {value.shape[0]}.")
            value = value.rechunk({0: like.chunks[0]})
        return list(value.to_delayed().ravel())
    return list(value.to_delayed())


@dataclass(frozen=True)
class Partitions:
    """All partitions of a fit that have rows.

    Attributes
    ----------
    client : distributed.Client
    checked : list of distributed.Future
        A `Checked` for each.
    summaries : list of Summary
    """

    client: Any
    checked: list[Any]
    summaries: list[Summary]

    @classmethod
    def of(cls, client: Any, est: Any, X: Any, y: Any, sample_weight: Any) -> Partitions:
        """Check the partitions of collections; the error of the first one that is wrong names it."""
        dask = needs_dask()
        Xs, ys = as_partitions(X, "X"), as_partitions(y, "y", like=X)
        given: list[Any] = [None] * len(Xs)
        if sample_weight is not None:
            given = as_partitions(sample_weight, "sample_weight", like=X)
        for name, parts in (("y", ys), ("sample_weight", given)):
            if len(parts) != len(Xs):
                raise ValueError(
                    f"X has {len(Xs)} partitions, but {name} has {len(parts)}. They must be cut alike."
                )
        token = uuid4().hex[:12]
        template = dask.delayed(est, name=f"gdfast-estimator-{token}", traverse=False)
        pairs = [
            dask.delayed(check, pure=False, nout=2)(
                template, i, *parts, dask_key_name=f"gdfast-check-{token}-{i}"
            )
            for i, parts in enumerate(zip(Xs, ys, given, strict=True))
        ]
        futures = client.compute([part for pair in pairs for part in pair])
        checked, summaries = futures[::2], client.gather(futures[1::2])
        _check_together(summaries)
        full = [i for i, summary in enumerate(summaries) if summary.n_rows]
        if not full:
            raise ValueError("X has no rows: all its partitions are empty.")
        return cls(client, [checked[i] for i in full], [summaries[i] for i in full])

    @property
    def numbers(self) -> list[int]:
        return [summary.number for summary in self.summaries]

    @property
    def n_rows(self) -> list[int]:
        return [summary.n_rows for summary in self.summaries]

    @property
    def header(self) -> Any:
        return self.summaries[0].header

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 if all partitions have it, else float64."""
        return np.result_type(*(summary.dtype for summary in self.summaries))

    def targets(self) -> Array:
        """A y with all labels that occur or, in regression, one of the same shape."""
        first, *others = self.summaries
        if first.target_shape:
            return np.repeat([[0], [1]], first.target_shape[0], axis=1)
        if first.labels is None:
            return np.zeros(1)
        return np.unique(np.concatenate([s.labels for s in self.summaries])) if others else first.labels

    def balanced(self) -> Any:
        """The weights of the classes for class_weight="balanced", by their weight in all partitions."""
        columns: list[dict[Any, float]] = [{} for _ in self.summaries[0].counts]
        for summary in self.summaries:
            for column, counts in zip(columns, summary.counts, strict=True):
                for label, n in counts.items():
                    column[label] = column.get(label, 0) + n
        weights = [
            {label: sum(counts.values()) / (len(counts) * n) if n else 0.0 for label, n in counts.items()}
            for counts in columns
        ]
        return weights if self.summaries[0].target_shape else weights[0]

    def encoded(self, task: Task, dtype: np.dtype[Any]) -> list[Any]:
        """A future of the `Data` of each partition; ValueError if they have no weight."""
        token = uuid4().hex[:12]
        dask = needs_dask()
        constant = dask.delayed(task, name=f"gdfast-task-{token}", traverse=False)
        delayed = [
            dask.delayed(encode, pure=False)(
                future, constant, dtype, number, dask_key_name=f"gdfast-encode-{token}-{number}"
            )
            for future, number in zip(self.checked, self.numbers, strict=True)
        ]
        data: list[Any] = self.client.compute(delayed)
        totals = self.client.gather(self.client.map(total_weight, data, pure=False))
        if not any(totals):
            raise ValueError("class_weight and sample_weight leave no sample a weight other than zero.")
        return data


def _check_together(summaries: list[Summary]) -> None:
    """An error that names the first partition that is wrong, or does not fit the first one with rows."""
    first: Summary | None = None
    for summary in summaries:
        if summary.error is not None:
            raise summary.error
        if not summary.n_rows:
            continue
        if first is None:
            first = summary
            continue
        where = f"In partition {summary.number}"
        if summary.n_features != first.n_features:
            raise ValueError(
                f"{where}: X has {summary.n_features} features, but {first.n_features} in partition "
                f"{first.number}."
            )
        if summary.names != first.names:
            raise ValueError(
                f"{where}: X has the columns {_listed(summary.names)}, but {_listed(first.names)} in "
                f"partition {first.number}."
            )
        if summary.target_shape != first.target_shape:
            raise ValueError(
                f"{where}: y has {_width(summary)}, but {_width(first)} in partition {first.number}."
            )
        if summary.labels is not None and _is_text(summary.labels) != _is_text(first.labels):
            raise ValueError(
                f"{where}: the labels of y are {_kind(summary.labels)}, but {_kind(first.labels)} in "
                f"partition {first.number}."
            )


def _listed(names: tuple[str, ...] | None) -> str:
    return "without names" if names is None else f"[{', '.join(map(repr, names))}]"


def _width(summary: Summary) -> str:
    return f"{summary.target_shape[0]} columns" if summary.target_shape else "one dimension"


def _is_text(labels: Array) -> bool:
    return isinstance(labels.flat[0], str)


def _kind(labels: Array) -> str:
    return "text" if _is_text(labels) else "numbers"
