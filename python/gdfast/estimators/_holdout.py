"""Validation sets: given by the user, or set aside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from gdfast.training.arrays import Array
from gdfast.training.data import Data, Sequences
from gdfast.training.order import RankOrder, RowOrder


def check_complete(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """ValueError if a part of the validation set is missing."""
    if X_val is None and y_val is not None:
        raise ValueError("y_val is provided, but X_val was not provided.")
    if X_val is not None and y_val is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val is provided, but X_val and y_val were not provided.")


def set_aside(
    order: RowOrder, data: Data, *, fraction: float, stratify: bool, random_state: np.random.RandomState
) -> Array:
    """The validation rows or sequences, drawn once as in scikit-learn.

    Parameters
    ----------
    order : RowOrder
        The validation rows are taken from it, unless that has been done.
    data : Data
    fraction : float
    stratify : bool
        Whether to stratify by an encoded y of shape (n, 1), of two classes.
    random_state : numpy.random.RandomState
    """
    if isinstance(data.X, Sequences) and order.n_samples < 2:
        raise ValueError(
            "early_stopping sets whole sequences aside, but there is one only. Give X_val and y_val (the "
            "end of a series, for instance), or several sequences."
        )
    if isinstance(order, RankOrder):
        _set_aside_of_rank(order, data, fraction=fraction, stratify=stratify)
    if order.validation is None:
        # The names appear in scikit-learn's error about classes that are too small.
        labels = np.where(data.y.ravel(), "True", "False") if stratify and not data.per_step else None
        training, validation = train_test_split(
            np.arange(order.n_samples, dtype=np.int64),
            random_state=random_state,
            test_size=fraction,
            stratify=labels,
        )
        order.set_aside(training, validation)
        if len(validation) < (1 if data.per_step else 2):
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
    assert order.validation is not None
    return order.validation


def _set_aside_of_rank(order: RankOrder, data: Data, *, fraction: float, stratify: bool) -> None:
    """The rows that one of several ranks sets aside: the same again when a run continues.

    Too few for a split are all trained on; too few of a class are split without regard to it.
    """
    rows = np.arange(order.n_samples, dtype=np.int64)
    n_aside = math.ceil(fraction * len(rows))
    if len(rows) < 2 or n_aside >= len(rows):
        order.set_aside(rows, rows[:0])
        return
    labels = data.y.ravel() if stratify else None
    if labels is not None:
        smallest = np.unique(labels, return_counts=True)[1]
        if smallest.min() < 2 or min(n_aside, len(rows) - n_aside) < len(smallest):
            labels = None
    split = {"random_state": order.random_state_of(0), "test_size": fraction, "stratify": labels}
    order.set_aside(*train_test_split(rows, **split))
