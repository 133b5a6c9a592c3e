"""Sparse rows: what dense ones give, without ever being made dense."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from builds import needs_threads
from gdfast import _core
from numpy.typing import NDArray
from problems import Problem, norm_error, problem, same_bits
from processes import PEAK, has_peak

Array = NDArray[Any]

ADAM: dict[str, Any] = {"rule": "adam", "rule_params": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}}
SGD: dict[str, Any] = {"rule": "sgd", "rule_params": {"momentum": 0.9, "nesterov": 1}}
DROPOUT: dict[str, Any] = {"dropout": [0.3, 0.2], "seed": 5}

# (sizes, the trainer's options): a first layer of one panel of outputs and of several, of half a panel, and
# narrow, where weights are kept transposed; a limit on the norm, where the gradient is known as a whole.
CASES: dict[str, tuple[list[int], dict[str, Any]]] = {
    "several panels": ([100, 70, 3], {}),
    "half a panel": ([70, 5, 3], {}),
    "fewer inputs than a panel": ([3, 20, 2], {}),
    "narrow": ([100, 2, 3], {}),
    "narrow, one layer": ([90, 1], {}),
    "inputs dropped out": ([100, 40, 3], DROPOUT),
    "inputs dropped out, narrow": ([100, 2, 3], DROPOUT),
    "whole gradient": ([100, 40, 3], {"clip_norm": 0.1, "alpha": 0.1, "l1_ratio": 0.5}),
    "whole gradient, narrow": ([100, 2, 3], {"clip_layer_norm": 0.1, "clip_value": 0.05}),
    "normalised": ([100, 40, 3], {"batch_norm": True, "dropout": [0.2, 0.1], "seed": 1}),
    "normalised, narrow": ([100, 2, 3], {"batch_norm": True}),
    "noise and records": ([100, 40, 3], {"gradient_noise": 0.1, "records": True, "weight_decay": 0.1}),
    "momentum": ([100, 40, 3], {**SGD, "alpha": 0.1}),
}
# Several blocks of rows and a rest; many small ones; more than there are rows.
ROWS, BATCHES = 330, (300, 7, 1000)


def thin(sizes: list[int], dtype: Any, rows: int = ROWS, activation: str = "relu") -> Problem:
    p = problem("squared_error", sizes, rows, dtype, activation=activation)
    p.X[np.random.default_rng(2).random(p.X.shape) < 0.9] = 0
    p.X[[0, 4, 5, rows - 1]] = 0  # empty rows
    p.X[:, 1] = 0  # a column without entries
    return p


def as_csr(X: Array, index: type = np.int32) -> tuple[Array, Array, Array]:
    filled = X != 0
    indptr = np.concatenate([[0], filled.sum(axis=1).cumsum()]).astype(index)
    return X[filled], np.nonzero(filled)[1].astype(index), indptr


def in_disorder(X: Array) -> tuple[Array, Array, Array]:
    """Entries in any order, and each in two parts."""
    data, indices, indptr = as_csr(X)
    rng = np.random.default_rng(3)
    values, columns = [], []
    for first, last in pairwise(indptr):
        part = rng.random(last - first).astype(X.dtype)
        both = np.concatenate([data[first:last] * part, data[first:last] * (1 - part)])
        order = rng.permutation(len(both))
        values.append(both[order])
        columns.append(np.tile(indices[first:last], 2)[order])
    return np.concatenate(values), np.concatenate(columns), 2 * indptr


def train(
    p: Problem, X: Any, batch_size: int, options: dict[str, Any], depth: int | None = None
) -> list[Array]:
    """All that three epochs leave behind, one of them in the rows' natural order."""
    coefs, intercepts = [c.copy() for c in p.coefs], [b.copy() for b in p.intercepts]
    norms: list[Any] = []
    options = {**ADAM, **options}
    if options.pop("batch_norm", False):
        width = coefs[0].shape[1]
        kind = p.X.dtype
        norms = [tuple(f(width, kind) for f in (np.ones, np.zeros, np.zeros, np.ones))]
        options["batch_norm"] = norms
    trainer = _core.Trainer(coefs, intercepts, p.activations, p.loss, batch_size=batch_size, **options)
    rng = np.random.default_rng(0)
    losses = []
    for order in (rng.permutation(len(p.X)), None, rng.integers(0, len(p.X), 77)):
        order = None if order is None else order.astype(np.int64)
        X_now = X.pop(0) if isinstance(X, list) else X
        losses.append(trainer.run_epoch(X_now, p.y, order, learning_rate=0.01, backprop_depth=depth)[0])
    slots = [a for slot in trainer.state_dict()["slots"].values() for a in slot]
    return [*coefs, *intercepts, *slots, *(a for four in norms for a in four), np.array(losses)]


@pytest.mark.parametrize("batch_size", BATCHES)
@pytest.mark.parametrize("case", CASES)
def test_training_has_the_bits_of_dense_rows(case: str, batch_size: int, dtype: type) -> None:
    sizes, options = CASES[case]
    p = thin(sizes, dtype)
    expected = train(p, p.X, batch_size, options)
    for index in (np.int32, np.int64):
        assert same_bits(train(p, as_csr(p.X, index), batch_size, options), expected)


@needs_threads
@pytest.mark.parametrize("case", CASES)
def test_the_number_of_threads_changes_no_bit(
    case: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, options = CASES[case]
    p = thin(sizes, dtype)
    runs = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        runs.append(train(p, as_csr(p.X), 300, {**options, "n_threads": threads}))
    for run in runs[1:]:
        assert same_bits(run, runs[0])


@pytest.mark.parametrize("depth", [1, 2])
def test_a_truncated_depth(depth: int, dtype: type) -> None:
    p = thin([100, 40, 3], dtype)
    expected = train(p, p.X, 50, {"alpha": 0.1}, depth)
    assert same_bits(train(p, as_csr(p.X), 50, {"alpha": 0.1}, depth), expected)


def test_dense_and_sparse_rows_in_turn(dtype: type) -> None:
    p = thin([100, 40, 3], dtype)
    expected = train(p, p.X, 50, DROPOUT)
    assert same_bits(train(p, [as_csr(p.X), p.X, as_csr(p.X)], 50, DROPOUT), expected)
    assert same_bits(train(p, [p.X, as_csr(p.X), p.X], 50, DROPOUT), expected)


@pytest.mark.parametrize("case", ["several panels", "narrow", "inputs dropped out"])
def test_entries_in_disorder_add_up(case: str, dtype: type) -> None:
    sizes, options = CASES[case]
    p = thin(sizes, dtype)
    options = {**options, **SGD}
    # Other orders of some ten summands, in eight steps: a few eps each. (Not Adam, see test_training.)
    tolerance = 1000 * float(np.finfo(dtype).eps)
    expected = train(p, p.X, 100, options)
    for actual, wanted in zip(train(p, in_disorder(p.X), 100, options), expected, strict=True):
        assert norm_error(actual, wanted) <= tolerance


def test_rows_without_any_entry(dtype: type) -> None:
    p = thin([100, 40, 3], dtype)
    p.X[:] = 0
    assert same_bits(train(p, as_csr(p.X), 50, DROPOUT), train(p, p.X, 50, DROPOUT))


@pytest.mark.parametrize("sizes", [[100, 70, 3], [70, 5, 3], [100, 2, 3], [90, 1]], ids=str)
def test_outputs_and_gradients_have_the_bits_of_dense_rows(sizes: list[int], dtype: type) -> None:
    p = thin(sizes, dtype, rows=1500, activation="tanh")  # more than a batch of loss_and_grad
    csr = as_csr(p.X, np.int64)

    def outputs(X: Any, rows: Array | None) -> Array:
        result: Array = _core.forward(X, p.coefs, p.intercepts, p.activations, "identity", rows=rows)
        return result

    rng = np.random.default_rng(0)
    for rows in (None, *(rng.permutation(1500)[:n] for n in (0, 1, 15, 16, 600))):
        assert same_bits([outputs(csr, rows)], [outputs(p.X, rows)])

    def everything(X: Any) -> list[Array]:
        grads = [np.empty_like(c) for c in p.coefs], [np.empty_like(b) for b in p.intercepts]
        loss = _core.loss_and_grad(X, p.y, p.coefs, p.intercepts, p.activations, p.loss, 0.1, None, *grads)
        return [np.array(loss), *grads[0], *grads[1]]

    assert same_bits(everything(csr), everything(p.X))


BIG = """
import numpy as np
from gdfast import _core

rows, inputs, hidden = 20_000, 200_000, 2
rng = np.random.default_rng(0)
X = (
    rng.random(5 * rows), rng.integers(0, inputs, 5 * rows).astype(np.int32),
    np.arange(0, 5 * rows + 1, 5, dtype=np.int32),
)
y = rng.standard_normal((rows, 1))
coefs = [0.1 * rng.standard_normal((inputs, hidden)), rng.standard_normal((hidden, 1))]
intercepts = [np.zeros(hidden), np.zeros(1)]
before = peak()
trainer = _core.Trainer(
    coefs, intercepts, ["relu"], "squared_error", dropout=[0.1, 0.0], batch_size=rows, rule="adam",
    rule_params={"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
)
loss, finite = trainer.run_epoch(X, y, learning_rate=0.01)
assert finite
grads = [np.empty_like(c) for c in coefs], [np.empty_like(b) for b in intercepts]
_core.loss_and_grad(X, y, coefs, intercepts, ["relu"], "squared_error", 0.1, None, *grads)
_core.forward(X, coefs, intercepts, ["relu"], "identity")
_core.forward(X, coefs, intercepts, ["relu"], "identity", rows=np.arange(3))
print(peak() - before)
"""


@pytest.mark.skipif(not has_peak, reason="there is no /proc here")
def test_memory_grows_with_the_entries_alone() -> None:
    result = subprocess.run([sys.executable, "-c", PEAK + BIG], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    # Dense it is 32 GB, and the 1024 rows of a batch of loss_and_grad are 1.6 GB. The weights, their moments
    # and gradient are 3.2 MB each, eightfold where a whole panel is padded; the entries are 5 MB.
    assert int(result.stdout) < 200_000
