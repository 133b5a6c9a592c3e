"""What tests of the estimators share: both kinds, data for either, a model's weights, and Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
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
def without_garbage() -> Iterator[None]:
    """Python drops a KeyboardInterrupt in what it calls while it frees a Thread, such as the timer of another
    test, which it may do at any time where a cycle holds the Thread."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def ctrl_c_after(seconds: float) -> Iterator[None]:
    """Send SIGINT to this process after ``seconds``, unless the block has ended by then."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    with without_garbage():
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def fit_until_ctrl_c(fit: Callable[[], Any], suffices: Callable[[], bool] = lambda: True) -> None:
    """Interrupt a fit that would take very long, once it trains; expects the warning that has to come of it.

    A busy machine may not have taken the first step when the signal comes. It then raises, as it should,
    and is made again with more time, as it is unless what it has done ``suffices``.
    """
    for seconds in (0.3, 2.0, 15.0):
        try:
            with ctrl_c_after(seconds), pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
                fit()
        except KeyboardInterrupt:
            continue
        if suffices():
            return
    pytest.fail("15 seconds were not enough")
