"""Class weights, by scikit-learn's utilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import compute_class_weight, compute_sample_weight

from gdfast.training.arrays import Array


def weigh(class_weight: Any, y: Any, classes: Array, sample_weight: Array | None) -> Array | None:
    """``sample_weight`` times the weight of each sample's class, or of all its labels.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced", ndarray of shape (n_classes,) or None
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
        Class labels or, if it has two dimensions, indicators.
    classes : ndarray of shape (n_classes,)
        All classes.
    sample_weight : ndarray of shape (n_samples,) or None
        For "balanced" a sample of weight 2 counts as two, as in scikit-learn's linear models.
    """
    if class_weight is None:
        return sample_weight
    if hasattr(y, "toarray"):
        y = y.toarray()
    weights: Array
    if isinstance(class_weight, np.ndarray):
        weights = class_weight[np.searchsorted(classes, y)]
    elif class_weight == "balanced":
        columns = y.T if y.ndim == 2 else [y]
        weights = np.prod([_balanced(column, sample_weight) for column in columns], axis=0)
    else:
        # A row for each class is appended, so that a class without samples here is not unknown.
        every_class = classes if y.ndim == 1 else np.repeat([[0], [1]], y.shape[1], axis=1)
        weights = compute_sample_weight(class_weight, np.concatenate([y, every_class]))[: len(y)]
    if not np.isfinite(weights).all():
        raise ValueError(f"class_weight must hold finite numbers only, got {class_weight!r}.")
    return weights if sample_weight is None else weights * sample_weight


def _balanced(y: Array, sample_weight: Array | None) -> Array:
    classes, positions = np.unique(y, return_inverse=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_classes = compute_class_weight("balanced", classes=classes, y=y, sample_weight=sample_weight)
    # The weights of a class without weight are zero.
    of_samples: Array = np.where(np.isfinite(of_classes), of_classes, 0.0)[positions]
    return of_samples
