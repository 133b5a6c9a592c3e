"""Steps that several trainers take together: each sums its own rows, and a function adds up the sums."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from gdfast import _core


class Adder:
    """Adds up arrays of several threads, in the order of their numbers."""

    def __init__(self, size):
        self.parts = [None] * size
        self.barrier = threading.Barrier(size)

    def of(self, rank):
        def add_up(sums):
            self.parts[rank] = sums.copy()
            self.barrier.wait(60)
            total = np.sum(self.parts, axis=0)
            self.barrier.wait(60)
            sums[:] = total

        return add_up


def weights_of(units, dtype, seed=0):
    rng = np.random.default_rng(seed)
    coefs = [rng.normal(size=s).astype(dtype) / 3 for s in pairwise(units)]
    return coefs, [rng.normal(size=n).astype(dtype) / 3 for n in units[1:]]


def trainer_of(weights, batch_size, loss="squared_error", **options):
    coefs, intercepts = ([array.copy() for array in arrays] for arrays in weights)
    options = {"rule": "adam", "rule_params": {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8}} | options
    hidden = len(coefs) - 1
    made = _core.Trainer(coefs, intercepts, ["tanh"] * hidden, loss, batch_size=batch_size, **options)
    return made, [*coefs, *intercepts]


def in_parts(counts, batch_sizes):
    """For each rank the number of its rows in each step, with as many steps for all."""
    steps = max(-(-n // size) for n, size in zip(counts, batch_sizes, strict=True))
    return [
        [min(size, max(0, n - t * size)) for t in range(steps)]
        for n, size in zip(counts, batch_sizes, strict=True)
    ]


def run_shared(weights, X, y, weight, counts, batch_sizes, epochs=3, sparse=False, epoch=None, **options):
    """The arrays of each of the trainers that share the steps, and their losses."""
    parts = in_parts(counts, batch_sizes)
    ends = np.cumsum(counts)
    adder = Adder(len(counts))

    def rows_of(rank):
        return slice(ends[rank] - counts[rank], ends[rank])

    sums, terms = [], []
    for t in range(len(parts[0])):
        rows = [
            np.arange(ends[r] - counts[r], ends[r])[sum(p[:t]) : sum(p[: t + 1])] for r, p in enumerate(parts)
        ]
        batch = np.concatenate(rows)
        terms.append(len(batch))
        sums.append(len(batch) if weight is None else weight[batch].sum(dtype=np.float64))
    firsts = np.cumsum(np.array(parts), axis=0) - np.array(parts)

    def run(rank):
        mine = rows_of(rank)
        trainer, arrays = trainer_of(weights, max(1, min(batch_sizes[rank], counts[rank])), **options)
        shared = (
            np.array(sums, np.float64),
            np.array(terms, np.int64),
            np.ascontiguousarray(firsts[rank], np.int64),
            adder.of(rank),
        )
        own = X[mine] if not sparse else as_csr(X[mine])
        losses = [
            trainer.run_epoch(
                own,
                y[mine],
                None,
                None if weight is None else weight[mine],
                learning_rate=0.01,
                shared=shared,
                **(epoch or {}),
            )
            for _ in range(epochs)
        ]
        return arrays, losses, trainer.records

    with ThreadPoolExecutor(len(counts)) as pool:
        return list(pool.map(run, range(len(counts))))


def as_csr(X):
    from scipy.sparse import csr_matrix

    rows = csr_matrix(X)
    return rows.data, rows.indices.astype(np.int32), rows.indptr.astype(np.int32)


def run_alone(weights, X, y, weight, counts, batch_sizes, epochs=3, sparse=False, epoch=None, **options):
    """The same batches on one trainer. Only the last one may be short."""
    parts = in_parts(counts, batch_sizes)
    ends = np.cumsum(counts)
    order = np.concatenate(
        [
            np.arange(ends[r] - counts[r], ends[r])[sum(parts[r][:t]) : sum(parts[r][: t + 1])]
            for t in range(len(parts[0]))
            for r in range(len(parts))
        ]
    ).astype(np.int64)
    trainer, arrays = trainer_of(weights, sum(p[0] for p in parts), **options)
    own = as_csr(X) if sparse else X
    losses = [
        trainer.run_epoch(own, y, order, weight, learning_rate=0.01, **(epoch or {})) for _ in range(epochs)
    ]
    return arrays, losses, trainer.records


OPTIONS = {
    "plain": {},
    "sgd": {"rule": "sgd", "rule_params": {"momentum": 0.9, "nesterov": 1.0}},
    "alpha": {"alpha": 0.3},
    "l1": {"alpha": 0.3, "l1_ratio": 0.5},
    "clip_norm": {"clip_norm": 0.1, "alpha": 0.1},
    "clip_auto": {"clip_norm": "auto"},
    "clip_layer_norm": {"clip_layer_norm": 0.05},
    "clip_value": {"clip_value": 0.01, "alpha": 0.1},
    "noise": {"gradient_noise": 0.01, "seed": 3},
    "dropout": {"dropout": [0.3, 0.5, 0.2], "seed": 7},
    "decay": {"weight_decay": 0.1},
    "records": {"records": True, "alpha": 0.1},
}
# Of each trainer's rows, and of its rows in a batch.
SPLITS = {
    "even": ([40, 40], [10, 10]),
    "three": ([35, 35, 21], [5, 5, 3]),
    "empty": ([40, 0, 40], [8, 7, 8]),
    "last_short": ([24, 23], [6, 6]),
}


def data(n, features=9, outputs=2, dtype=np.float64):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, features)).astype(dtype), rng.normal(size=(n, outputs)).astype(dtype)


def check_same(counts, batch_sizes, dtype=np.float64, weight=None, units=(9, 20, 13, 2), **arguments):
    X, y = data(sum(counts), dtype=dtype)
    weights = weights_of(units, dtype)
    expected, losses, records = run_alone(weights, X, y, weight, counts, batch_sizes, **arguments)
    found = run_shared(weights, X, y, weight, counts, batch_sizes, **arguments)
    # Sums in another order: some units in the last place for each step.
    tolerance = 1e-10 if dtype == np.float64 else 2e-4
    for arrays, own_losses, own_records in found:
        for array, first, alone in zip(arrays, found[0][0], expected, strict=True):
            np.testing.assert_array_equal(array, first)
            np.testing.assert_allclose(array, alone, rtol=0, atol=tolerance)
        assert own_losses == found[0][1]
        np.testing.assert_allclose(own_losses, losses, rtol=tolerance)
        if records is not None:
            for name, values in records.items():
                np.testing.assert_allclose(own_records[name], values, rtol=tolerance)
    return found


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("options", OPTIONS)
def test_parts_add_up_to_the_whole(options, split):
    check_same(*SPLITS[split], **OPTIONS[options])


@pytest.mark.parametrize("options", ["plain", "clip_norm", "dropout"])
def test_float32(options):
    check_same(*SPLITS["even"], np.float32, **OPTIONS[options])


@pytest.mark.parametrize("options", ["plain", "dropout"])
def test_sparse(options):
    check_same(*SPLITS["empty"], sparse=True, **OPTIONS[options])


def test_weights():
    rng = np.random.default_rng(5)
    weight = rng.uniform(size=80)
    weight[:8] = 0  # of one trainer's part of the first batch
    check_same(*SPLITS["even"], weight=weight, alpha=0.2, l1_ratio=0.3)


def test_steps_without_weight_are_left_out():
    weight = np.ones(80)
    weight[:10] = weight[40:50] = 0
    check_same(*SPLITS["even"], weight=weight)


def test_layers_that_are_not_trained_stay():
    found = check_same(*SPLITS["even"], epoch={"backprop_depth": 1}, alpha=0.1)
    initial = weights_of((9, 20, 13, 2), np.float64)[0]
    np.testing.assert_array_equal(found[0][0][0], initial[0])


def test_gradient_is_the_whole_one_where_it_can_be_looked_at():
    X, y = data(20)
    weights = weights_of((9, 5, 2), np.float64)
    seen = []

    def look(arrays):
        seen.append([array.copy() for array in arrays])
        arrays[0] *= 0.5

    arguments = {"epochs": 1, "alpha": 0.3, "clip_norm": 1.0, "epoch": {"on_gradient": look}}
    alone, *_ = run_alone(weights, X, y, None, [10, 10], [5, 5], **arguments)
    expected = seen.copy()
    seen.clear()
    for arrays, *_ in run_shared(weights, X, y, None, [10, 10], [5, 5], **arguments):
        for array, other in zip(arrays, alone, strict=True):
            np.testing.assert_allclose(array, other, rtol=0, atol=1e-10)
    assert len(seen) == 2 * len(expected) == 4
    for gradient, other in zip(
        sorted(seen, key=lambda g: g[0][0, 0]), sorted(expected * 2, key=lambda g: g[0][0, 0]), strict=True
    ):
        for array, same in zip(gradient, other, strict=True):
            np.testing.assert_allclose(array, same, rtol=0, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_step_that_cannot_be_added_up_is_given_up(threads, monkeypatch):
    monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
    X, y = data(20)
    trainer, arrays = trainer_of(weights_of((9, 5, 2), np.float64), 5)
    calls = []

    def add_up(sums):
        calls.append(len(sums))
        if len(calls) == 3:
            raise RuntimeError("the others are gone")
        kept[:] = [array.copy() for array in arrays]

    kept = []
    shared = (np.full(4, 5.0), np.full(4, 5), np.zeros(4, np.int64), add_up)
    with pytest.raises(RuntimeError, match="gone"):
        trainer.run_epoch(X, y, learning_rate=0.1, shared=shared)
    assert trainer.step == 2
    assert set(calls) == {trainer.count_sums(2)}
    other, others = trainer_of(weights_of((9, 5, 2), np.float64), 5)
    other.run_epoch(
        X, y, np.arange(10), learning_rate=0.1, shared=(*(a[:2] for a in shared[:3]), lambda s: None)
    )
    for array, same in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(array, same)


def test_bad_arguments():
    X, y = data(20)
    trainer, _ = trainer_of(weights_of((9, 5, 2), np.float64), 5)
    good = (np.full(4, 5.0), np.full(4, 5), np.zeros(4, np.int64), lambda sums: None)

    def run(shared):
        return trainer.run_epoch(X, y, learning_rate=0.1, shared=shared)

    with pytest.raises(TypeError, match="shared must be a tuple"):
        run([1])
    with pytest.raises(TypeError, match=r"shared\[3\] must be callable"):
        run((*good[:3], 1))
    with pytest.raises(ValueError, match="shared has 3 steps, but the rows take 4"):
        run((*(array[:3] for array in good[:3]), good[3]))
    with pytest.raises(ValueError, match=r"shared\[1\]"):
        run((good[0], good[1][:2], *good[2:]))
    with pytest.raises(ValueError, match="backprop_depth must be from 1"):
        trainer.count_sums(3)
    norms = [(np.ones(5), np.zeros(5), np.zeros(5), np.ones(5))]
    normalized, _ = trainer_of(weights_of((9, 5, 2), np.float64), 5, batch_norm=norms)
    with pytest.raises(ValueError, match="not supported for networks with batch_norm"):
        normalized.run_epoch(X, y, learning_rate=0.1, shared=good)
