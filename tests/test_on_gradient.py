"""The gradient's place: a function that looks at the gradient of every step, or replaces it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import reference_layers
import reference_recurrent
from gdfast import _core
from numpy.typing import NDArray
from problems import Problem, norm_error, problem, same_bits
from sequences import CELLS, sequence_problem

Array = NDArray[Any]

ADAM = ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8})
SGD = ("sgd", {"momentum": 0.0, "nesterov": 0})
ROWS, BATCH = 23, 5
SIZES = [7, 17, 40, 9, 3]  # several panels, and an output layer that is narrow
RATE = 0.01
# As in test_training: ten steps in float64 keep twelve digits; in float32 Adam turns the relative error of a
# small gradient into part of a step.
TOLERANCE = {np.float64: 1e-11, np.float32: 2e-4}

# What a step may do beside its gradient and its rule.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "l2": {"alpha": 0.3},
    "l1": {"alpha": 0.3, "l1_ratio": 0.4},
    "values": {"alpha": 0.3, "clip_value": 0.02},
    "norm": {"clip_norm": 0.3},
    "layers": {"clip_layer_norm": 0.1},
    "auto": {"clip_norm": "auto"},
}
NORMALIZED = {"normalised": True}


class Run:
    """A trainer of rows or of sequences, the arrays that it trains, and an epoch of its data."""

    def __init__(self, kind: str, dtype: Any, *, ours: bool = True, **options: Any) -> None:
        self.normalized = options.pop("normalised", False)
        rule, params = options.pop("rule", ADAM)
        common = {"batch_size": BATCH, "rule": rule, "rule_params": params, **options}
        if kind == "rows":
            p: Any = problem("cross_entropy", SIZES, ROWS, dtype, weighted=True)
            p = p if ours else p.in_float64()
            self.data: tuple[Array, ...] = (p.X, p.y, np.random.default_rng(5).permutation(ROWS))
            made: Any = _core.Trainer if ours else reference.Trainer
            if self.normalized:
                made = _core.Trainer if ours else reference_layers.Trainer
                common["batch_norm"] = self.norms(p)
            network: Any = p.activations
        else:
            p = sequence_problem(
                kind, features=5, hidden=[33, 4], outputs=3, lengths=[7, 3, 9, 1, 4, 9, 2], per_step=True,
                weighted=True, dtype=dtype,
            )  # fmt: skip
            p = p if ours else p.as_type(np.float64)
            self.data = (p.X, p.starts, p.y, np.random.default_rng(5).permutation(7))
            made = _core.SequenceTrainer if ours else reference_recurrent.Trainer
            network = p.cell
            common.update(per_step=True, tbptt=(2, 4))
        self.p = p
        self.weight = p.sample_weight
        self.coefs, self.intercepts = [c.copy() for c in p.coefs], [b.copy() for b in p.intercepts]
        self.trainer = made(self.coefs, self.intercepts, network, p.loss, **common)

    def norms(self, p: Problem) -> list[Any]:
        rng = np.random.default_rng(8)
        dtype = p.X.dtype
        self.of_norms: list[Any] = [
            tuple(
                a.astype(dtype)
                for a in (rng.uniform(0.5, 1.5, n), rng.normal(size=n), np.zeros(n), np.ones(n))
            )
            for n in SIZES[1:-1]
        ]
        return self.of_norms

    @property
    def trained(self) -> list[Array]:
        """In the order of the gradient's arrays."""
        extra = [a for four in self.of_norms for a in four[:2]] if self.normalized else []
        return [*self.coefs, *self.intercepts, *extra]

    @property
    def arrays(self) -> list[Array]:
        extra = [a for four in self.of_norms for a in four[2:]] if self.normalized else []
        return [*self.trained, *extra]

    def epoch(self, on_gradient: Any = None, **options: Any) -> tuple[float, bool]:
        options = {"learning_rate": RATE, **options}
        return self.trainer.run_epoch(*self.data, self.weight, on_gradient=on_gradient, **options)


def nothing(_: list[Array]) -> None:
    pass


def change(gradients: list[Array]) -> None:
    """Something of each element, so that none can have been left out or mixed up."""
    for i, g in enumerate(gradients):
        places = np.arange(g.size, dtype=g.dtype).reshape(g.shape)
        g *= 0.5 + i / 10
        g += 0.01 * np.cos(places)


# ------------------------------------------------------------------------------------------- what it sees


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_it_sees_the_gradient_of_the_batch(alpha: float, dtype: type) -> None:
    seen: list[list[Array]] = []
    run = Run("rows", dtype, alpha=alpha, clip_value=1e-3, clip_norm=1e-3)
    X, y, order = run.data
    run.epoch(lambda gradients: seen.append([g.copy() for g in gradients]), learning_rate=0.0)
    batches = [order[i : i + BATCH] for i in range(0, ROWS, BATCH)]
    weighing = [rows for rows in batches if run.weight[rows].any()]  # the others are no steps
    for gradients, rows in zip(seen, weighing, strict=True):
        expected = [np.empty_like(a) for a in run.trained]
        half = len(run.coefs)
        _core.loss_and_grad(
            X[rows], y[rows], run.p.coefs, run.p.intercepts, run.p.activations, run.p.loss, alpha,
            run.weight[rows], expected[:half], expected[half:],
        )  # fmt: skip
        for a, b in zip(gradients, expected, strict=True):
            assert a.dtype == dtype
            assert norm_error(a, b) <= 10 * np.finfo(dtype).eps


@pytest.mark.parametrize("options", [*OPTIONS, *NORMALIZED])
def test_it_sees_and_replaces_what_the_references_does(options: str, dtype: type) -> None:
    chosen = {**OPTIONS, "normalised": NORMALIZED}[options]
    check_against_reference("rows", dtype, **chosen)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("cell", CELLS)
def test_it_sees_and_replaces_those_of_sequences(cell: str, alpha: float, dtype: type) -> None:
    check_against_reference(cell, dtype, alpha=alpha)


@pytest.mark.parametrize("depth", [1, 3])
def test_layers_that_are_not_trained_have_none(depth: int, dtype: type) -> None:
    layers = len(SIZES) - 1

    def look(gradients: list[Array]) -> None:
        for i, g in enumerate(gradients):
            assert np.any(g) == (i % layers >= layers - depth)
            g += 1

    run = Run("rows", dtype)
    before = [a.copy() for a in run.trained]
    run.epoch(nothing)  # what it has left in memory is nobody's gradient
    for a, b in zip(run.trained, before, strict=True):
        a[...] = b
    run.trainer.load()
    run.epoch(look, backprop_depth=depth)
    for i, (a, b) in enumerate(zip(run.trained, before, strict=True)):
        assert same_bits([a], [b]) == (i % layers < layers - depth)


def check_against_reference(kind: str, dtype: Any, **options: Any) -> None:
    ours, theirs = Run(kind, dtype, **options), Run(kind, dtype, ours=False, **options)
    seen: list[list[list[Array]]] = [[], []]
    for run, into in zip((ours, theirs), seen, strict=True):

        def look(gradients: list[Array], into: list[list[Array]] = into) -> None:
            into.append([np.array(g, np.float64) for g in gradients])
            change(gradients)

        run.epoch(look)
    assert len(seen[0]) == len(seen[1]) > 2
    for a, b in zip(seen[0][0], seen[1][0], strict=True):
        assert norm_error(a, b) <= 100 * np.finfo(dtype).eps
    for i, (a, b) in enumerate(zip(ours.arrays, theirs.arrays, strict=True)):
        assert norm_error(a, b) <= TOLERANCE[dtype], f"array {i}"


# -------------------------------------------------------------------------------------------------- bits

EVERY = {**OPTIONS, "records": {"records": True, "alpha": 0.3}, "noise": {"gradient_noise": 0.01}, **{
    "normalised": {"normalised": True}, "dropout": {"dropout": [0.1, 0.2, 0.0, 0.3]},
}}  # fmt: skip


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("options", EVERY)
def test_a_function_that_does_nothing_changes_no_bit_of_rows(
    options: str, threads: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
    check_bits("rows", dtype, **EVERY[options])


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_function_that_does_nothing_changes_no_bit_of_sequences(
    cell: str, options: str, threads: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
    check_bits(cell, dtype, **OPTIONS[options])


def check_bits(kind: str, dtype: Any, **options: Any) -> None:
    without, looked = Run(kind, dtype, **options), Run(kind, dtype, **options)
    for _ in range(2):
        assert without.epoch() == looked.epoch(nothing)
    assert same_bits(without.arrays, looked.arrays)
    states = [run.trainer.state_dict() for run in (without, looked)]
    for name, slots in states[0]["slots"].items():
        assert same_bits(slots, states[1]["slots"][name])
    assert states[0].get("norms") == states[1].get("norms")
    assert without.trainer.records == looked.trainer.records


@pytest.mark.parametrize("kind", ["rows", "gru"])
def test_what_it_puts_there_is_the_same_for_any_number_of_threads(
    kind: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
        run = Run(kind, dtype, clip_norm=0.5)
        run.epoch(change)
        results.append(run.arrays)
    assert same_bits(results[0], results[1])
    assert same_bits(results[0], results[2])


# ------------------------------------------------------------------------------------------- what it puts


@pytest.mark.parametrize("kind", ["rows", "elman_tanh"])
def test_the_weights_move_by_what_it_leaves(kind: str, dtype: type) -> None:
    put: list[Array] = []

    def replace(gradients: list[Array]) -> None:
        rng = np.random.default_rng(len(put))
        for g in gradients:
            g[...] = rng.standard_normal(g.shape)
        if not put:
            put.extend(np.zeros_like(g) for g in gradients)
        for total, g in zip(put, gradients, strict=True):
            total += g

    run = Run(kind, dtype, rule=SGD)
    before = [a.copy() for a in run.trained]
    run.epoch(replace)
    for a, b, g in zip(run.trained, before, put, strict=True):
        # One rounding to each step.
        assert np.allclose(a, b - RATE * g, rtol=0, atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("limit", ["clip_value", "clip_norm", "clip_layer_norm"])
def test_limits_are_on_what_it_leaves(limit: str, dtype: type) -> None:
    run = Run("rows", dtype, rule=SGD, records=True, **{limit: 0.25})
    before = [a.copy() for a in run.trained]
    steps: list[int] = []

    def enlarge(gradients: list[Array]) -> None:
        for g in gradients:
            g[...] = 1000
        steps.append(1)

    run.epoch(enlarge)
    moves = [(b - a) / (RATE * len(steps)) for a, b in zip(run.trained, before, strict=True)]
    if limit == "clip_value":
        sizes = [np.abs(m).max() for m in moves]
    elif limit == "clip_norm":
        sizes = [reference.norm(moves)]
    else:
        half = len(run.coefs)
        sizes = [reference.norm([moves[i], moves[half + i]]) for i in range(half)]
    assert sizes == pytest.approx([0.25] * len(sizes), rel=1e5 * float(np.finfo(dtype).eps))
    count = run.coefs[0].size + run.intercepts[0].size
    assert run.trainer.records["gradient_norm"][0] == pytest.approx(1000 * np.sqrt(count), rel=1e-6)


def test_it_can_change_the_list_and_keep_the_arrays(dtype: type) -> None:
    kept: list[Array] = []

    def take(gradients: list[Array]) -> None:
        kept.extend(gradients)
        gradients.clear()

    run, other = Run("rows", dtype), Run("rows", dtype)
    assert run.epoch(take) == other.epoch()
    assert same_bits(run.arrays, other.arrays)
    del run
    gc.collect()
    n = len(other.trained)
    assert all(a is b for a, b in zip(kept, kept[n:], strict=False)), "arrays are made once an epoch"
    assert all(np.isfinite(a).all() for a in kept)


# ------------------------------------------------------------------------------------------------ errors


class StopError(Exception):
    pass


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("options", ["rows", "normalised", "auto", "gru"])
def test_an_exception_gives_the_step_up(
    options: str, threads: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
    chosen: dict[str, Any] = {"normalised": NORMALIZED, "auto": {"clip_norm": "auto"}}.get(options, {})
    kind = "gru" if options == "gru" else "rows"

    def stop_at(step: int) -> Callable[[list[Array]], None]:
        calls: list[int] = []

        def look(gradients: list[Array]) -> None:
            change(gradients)
            calls.append(1)
            if len(calls) == step:
                raise StopError

        return look

    run, whole = Run(kind, dtype, **chosen), Run(kind, dtype, **chosen)
    with pytest.raises(StopError):
        run.epoch(stop_at(3))
    assert run.trainer.step == 2
    if kind == "rows":  # an epoch of two batches is two steps
        X, y, order = whole.data
        whole.data = (X, y, order[: 2 * BATCH])
        whole.epoch(stop_at(0))
        assert same_bits(run.arrays, whole.arrays)
        states = [r.trainer.state_dict() for r in (run, whole)]
        assert states[0].get("norms") == states[1].get("norms")
        for name, slots in states[0]["slots"].items():
            assert same_bits(slots, states[1]["slots"][name])
    before = [a.copy() for a in run.trained]
    run.trainer.load()
    assert run.epoch(nothing)[1]
    assert not same_bits(run.trained, before)


def test_an_exception_in_the_first_step_changes_nothing(dtype: type) -> None:
    def stop(_: list[Array]) -> None:
        raise KeyboardInterrupt

    for kind in ("rows", "lstm"):
        run = Run(kind, dtype)
        before = [a.copy() for a in run.arrays]
        with pytest.raises(KeyboardInterrupt):
            run.epoch(stop)
        assert run.trainer.step == 0
        assert same_bits(run.arrays, before)


@pytest.mark.parametrize("kind", ["rows", "gru"])
def test_it_must_be_callable(kind: str, dtype: type) -> None:
    with pytest.raises(TypeError, match="on_gradient must be callable or None, got 3"):
        Run(kind, dtype).epoch(3)


def test_the_trainer_is_busy_meanwhile(dtype: type) -> None:
    run = Run("rows", dtype)
    with pytest.raises(RuntimeError, match="already at work"):
        run.epoch(lambda _: run.trainer.state_dict())


def test_another_trainer_may_run_within(dtype: type) -> None:
    run, other, within = Run("rows", dtype), Run("rows", dtype), Run("gru", dtype)
    assert run.epoch(lambda _: within.epoch(nothing)) == other.epoch()
    assert same_bits(run.arrays, other.arrays)
