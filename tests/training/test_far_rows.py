"""Rows whose elements lie beyond 2^31 and 2^32, in address space of which few pages are ever touched."""

from __future__ import annotations

import mmap
import sys

import numpy as np
import pytest
from gdfast import _core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MAP_NORESERVE")

COLUMNS = 50
ROWS = 2**32 // COLUMNS + 1000  # 17 GB of float32


def reserved(rows: int, columns: int) -> np.ndarray:
    """Zeros without memory."""
    no_reserve = 0x4000  # MAP_NORESERVE, which Python names from 3.13 on
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    try:
        memory = mmap.mmap(-1, rows * columns * 4, flags=flags)
    except OSError:
        pytest.skip("so much address space cannot be had")
    return np.frombuffer(memory, np.float32).reshape(rows, columns)


def test_prediction_and_training_read_the_right_rows() -> None:
    rng = np.random.default_rng(0)
    far, y_far = reserved(ROWS, COLUMNS), reserved(ROWS, 1)
    border = 2**31 // COLUMNS
    rows = np.array([0, border, border + 1, *range(ROWS - 40, ROWS)], np.int64)
    far[rows] = rng.normal(size=(len(rows), COLUMNS))
    near, y_near = far[rows], rng.normal(size=(len(rows), 1)).astype(np.float32)
    coefs = [rng.normal(size=s).astype(np.float32) for s in ((COLUMNS, 20), (20, 1))]
    intercepts = [np.zeros(20, np.float32), np.zeros(1, np.float32)]
    few = rows[:5]
    np.testing.assert_array_equal(
        _core.forward(far, coefs, intercepts, ["tanh"], "identity", rows=few),
        _core.forward(near[:5], coefs, intercepts, ["tanh"], "identity"),
    )
    np.testing.assert_array_equal(
        _core.forward(far, coefs, intercepts, ["tanh"], "identity", rows=rows),
        _core.forward(near, coefs, intercepts, ["tanh"], "identity"),
    )

    y_far[rows] = y_near
    results = []
    for X, y, order in ((far, y_far, rows), (near, y_near, np.arange(len(rows)))):
        weights = [[array.copy() for array in arrays] for arrays in (coefs, intercepts)]
        trainer = _core.Trainer(
            *weights,
            ["tanh"],
            "squared_error",
            batch_size=16,
            rule="sgd",
            rule_params={"momentum": 0.9, "nesterov": True},
            alpha=0.0,
        )
        losses = [trainer.run_epoch(X, y, order, learning_rate=0.01, backprop_depth=2)[0] for _ in range(3)]
        results.append((losses, *weights[0], *weights[1]))
    assert results[0][0] == results[1][0]
    for one, other in zip(results[0][1:], results[1][1:], strict=True):
        np.testing.assert_array_equal(one, other)
