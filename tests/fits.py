"""What tests of the estimators share: both kinds, data for either, and a model's weights."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np

KINDS = {"classifier": gdfast.MLPClassifier, "regressor": gdfast.MLPRegressor}


def make(dtype: Any = np.float64, n: int = 120, n_features: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Data whose targets serve as class labels and as numbers."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(n, n_features)).astype(dtype)
    return X, (X[:, :3] @ rng.normal(size=(3, 3))).argmax(axis=1)


def parameters(estimator: Any) -> list[np.ndarray]:
    return [array.copy() for array in estimator.coefs_ + estimator.intercepts_]


def trained_arrays(estimator: Any) -> list[np.ndarray]:
    """All that training changes, what batch normalisation keeps included; the arrays themselves."""
    norms = ("bn_gamma_", "bn_beta_", "bn_mean_", "bn_var_")
    lists = [estimator.coefs_, estimator.intercepts_, *(getattr(estimator, name, []) for name in norms)]
    return [array for arrays in lists for array in arrays]


def assert_same_bits(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
