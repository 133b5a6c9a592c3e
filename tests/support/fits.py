"""What tests of the estimators share: both kinds, data for either, a model's weights, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gdfast
import numpy as np
import pytest

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


@contextmanager
def ctrl_c_soon() -> Iterator[None]:
    """Ctrl-C after a while, and the warning that has to come of it."""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
            yield
    finally:
        timer.cancel()
        timer.join()
