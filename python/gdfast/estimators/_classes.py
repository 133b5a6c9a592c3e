"""Class weights, by scikit-learn's own utilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import compute_sample_weight

from gdfast.estimators._validation import Array


def weigh(class_weight: Any, y: Any, classes: Array, sample_weight: Array | None) -> Array | None:
    """``sample_weight`` times the weight of each sample's class, or of all its labels.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
        Class labels or, where it has two dimensions, indicators.
    classes : ndarray of shape (n_classes,)
        All classes that there are.
    sample_weight : ndarray of shape (n_samples,) or None
    """
    if class_weight is None:
        return sample_weight
    if hasattr(y, "toarray"):
        y = y.toarray()
    weights: Array
    if class_weight == "balanced":
        weights = compute_sample_weight(class_weight, y)
    else:
        # With a row for each class, so that none counts as unknown which these samples happen to lack.
        every_class = classes if y.ndim == 1 else np.repeat([[0], [1]], y.shape[1], axis=1)
        weights = compute_sample_weight(class_weight, np.concatenate([y, every_class]))[: len(y)]
    return weights if sample_weight is None else weights * sample_weight
