"""Whole training runs, against the reference's, array by array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from fits import ctrl_c_after
from numpy.typing import NDArray
from problems import (
    ACTIVATIONS,
    LOSSES,
    MORE_ACTIVATIONS,
    MORE_LOSSES,
    Problem,
    norm_error,
    problem,
    same_bits,
)
from runs import ALL_RULES, BATCH, MORE_RULES, RULES, Run

Array = NDArray[Any]

# 23 rows in batches of 5: the last has 3. Two epochs are ten steps.
ROWS, EPOCHS = 23, 2

# In float64 ten steps keep twelve digits of every array. In float32 one step loses a few eps in each
# gradient, and Adam divides by gradients' sizes, so that the relative error of a small one becomes an error
# of a whole step: ten steps of 0.01 beside weights of size 0.3 leave about 1e-4.
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-4}


def orders(n: int = ROWS, epochs: int = EPOCHS) -> list[Array]:
    rng = np.random.default_rng(5)
    return [rng.permutation(n).astype(np.int64) for _ in range(epochs)]


def check_runs_agree(p: Problem, rule: str, X: Any = None, **options: Any) -> None:
    kind = p.X.dtype.type
    ours = Run(p, rule, **options)
    theirs = Run(p.in_float64(), rule, kind=reference.Trainer, **options)
    for i, order in enumerate(orders(len(p.X))):
        # A learning rate that changes, as the estimators' schedules have it.
        rate = ours.learning_rate / (i + 1)
        loss, finite = ours.epoch(order, X=X, learning_rate=rate)
        expected_loss, _ = theirs.epoch(order, learning_rate=rate)
        assert finite
        # Probabilities are clipped one eps of their own dtype away from 0 and 1, hence the absolute part.
        eps = float(np.finfo(kind).eps)
        assert loss == pytest.approx(expected_loss, rel=TOLERANCE[kind], abs=4 * eps)
    for i, (actual, expected) in enumerate(zip(ours.arrays, theirs.arrays, strict=True)):
        assert actual.dtype == kind
        assert norm_error(actual, expected) <= TOLERANCE[kind], f"array {i}"


def as_csr(X: Array, index: type = np.int32) -> tuple[Array, Array, Array]:
    filled = X != 0
    indptr = np.concatenate([[0], filled.sum(axis=1).cumsum()]).astype(index)
    return X[filled], np.nonzero(filled)[1].astype(index), indptr


# --------------------------------------------------------------------------------------------- ten steps


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_ten_steps_for_every_loss_and_rule(loss: str, rule: str, dtype: type) -> None:
    check_runs_agree(problem(loss, [7, 17, 9, 3], ROWS, dtype), rule, alpha=0.05)


@pytest.mark.parametrize("sizes", [[7, 17, 9, 3], [5, 33, 1]], ids=str)
@pytest.mark.parametrize("rule", MORE_RULES)
def test_ten_steps_for_the_rules_of_optim(rule: str, sizes: list[int], dtype: type) -> None:
    loss = "cross_entropy" if sizes[-1] > 1 else "squared_error"
    check_runs_agree(problem(loss, sizes, ROWS, dtype), rule, alpha=0.05)


@pytest.mark.parametrize("rule", ["nesterov", "adam"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_ten_steps_for_every_activation(activation: str, rule: str, dtype: type) -> None:
    check_runs_agree(problem("cross_entropy", [7, 17, 9, 3], ROWS, dtype, activation=activation), rule)


@pytest.mark.parametrize("activation", MORE_ACTIVATIONS, ids=str)
def test_ten_steps_for_more_activations(activation: Any, dtype: type) -> None:
    check_runs_agree(problem("cross_entropy", [7, 17, 9, 3], ROWS, dtype, activation=activation), "nesterov")


@pytest.mark.parametrize("loss", MORE_LOSSES, ids=str)
def test_ten_steps_for_more_losses(loss: Any, dtype: type) -> None:
    # Momentum alone: Adam turns the sign of a residual near zero into a whole step.
    check_runs_agree(problem(loss, [7, 17, 3], ROWS, dtype, weighted=True), "nesterov", alpha=0.05)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_ten_steps_with_sample_weights(loss: str, rule: str, dtype: type) -> None:
    check_runs_agree(problem(loss, [7, 9, 2], ROWS, dtype, weighted=True), rule, alpha=0.1)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("loss", LOSSES)
def test_ten_steps_on_csr_rows(loss: str, index: type, dtype: type) -> None:
    p = problem(loss, [19, 17, 3], ROWS, dtype)
    p.X[np.random.default_rng(2).random(p.X.shape) < 0.8] = 0
    p.X[[4, 22]] = 0  # empty rows, the last one among them
    check_runs_agree(p, "nesterov", X=as_csr(p.X, index), alpha=0.05)


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("loss", LOSSES)
def test_ten_steps_with_narrow_outputs(loss: str, outputs: int, dtype: type) -> None:
    check_runs_agree(problem(loss, [5, 33, outputs], ROWS, dtype), "nesterov")


@pytest.mark.parametrize(
    "sizes", [[1, 1], [3, 2], [1, 1, 1], [1, 16, 1], [31, 33, 65, 2], [6, *[8] * 9, 2]], ids=str
)
@pytest.mark.parametrize("rule", RULES)
def test_ten_steps_of_awkward_networks(sizes: list[int], rule: str, dtype: type) -> None:
    check_runs_agree(problem("squared_error", sizes, ROWS, dtype, activation="tanh"), rule, alpha=0.01)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 16, 17, 23, 200])
def test_batches_of_any_size(batch_size: int, dtype: type) -> None:
    check_runs_agree(problem("cross_entropy", [7, 9, 3], ROWS, dtype), "nesterov", batch_size=batch_size)


def test_an_order_may_take_rows_twice_or_not_at_all() -> None:
    p = problem("squared_error", [4, 9, 2], ROWS, weighted=True)
    ours, theirs = Run(p, "adam"), Run(p, "adam", kind=reference.Trainer)
    order = np.array([3, 3, 22, 0, 1, 1, 1, 9], np.int64)
    assert ours.epoch(order)[0] == pytest.approx(theirs.epoch(order)[0], rel=1e-12)
    assert max(map(norm_error, ours.arrays, theirs.arrays)) <= 1e-12


def test_no_order_is_the_natural_one(dtype: type) -> None:
    p = problem("cross_entropy", [4, 9, 3], ROWS, dtype)
    first, second = Run(p, "adam"), Run(p, "adam")
    assert first.epoch() == second.epoch(np.arange(ROWS, dtype=np.int64))
    assert same_bits(first.arrays, second.arrays)


def test_a_batch_that_weighs_nothing_is_skipped(dtype: type) -> None:
    p = problem("squared_error", [4, 9, 2], 3 * BATCH, dtype, weighted=True)
    assert p.sample_weight is not None
    p.sample_weight[BATCH : 2 * BATCH] = 0
    ours, kept = Run(p, "momentum"), Run(p, "momentum")
    with_it = ours.epoch()
    without = kept.epoch(np.r_[0:BATCH, 2 * BATCH : 3 * BATCH].astype(np.int64))
    assert same_bits(ours.arrays, kept.arrays)  # momentum did not roll on either
    assert ours.trainer.state_dict()["step"] == 2
    assert with_it[0] == without[0]  # the mean is over the rows that were trained on


def test_weights_that_are_all_zero_change_nothing(dtype: type) -> None:
    p = problem("squared_error", [4, 9, 2], ROWS, dtype, weighted=True)
    assert p.sample_weight is not None
    p.sample_weight[:] = 0
    run = Run(p, "adam", alpha=0.1)
    loss, finite = run.epoch()
    assert np.isnan(loss)  # of nothing there is no mean
    assert finite
    assert same_bits(run.arrays, [*p.coefs, *p.intercepts])


# --------------------------------------------------------------------------------------------- the trainer's
# state


@pytest.mark.parametrize("rule", ALL_RULES)
def test_a_resumed_run_is_one_that_never_stopped(rule: str, dtype: type) -> None:
    p = problem("cross_entropy", [7, 17, 3], ROWS, dtype)
    first, second = orders()
    whole = Run(p, rule, alpha=0.01)
    whole.epoch(first)
    whole.epoch(second)

    before = Run(p, rule, alpha=0.01)
    before.epoch(first)
    state = before.trainer.state_dict()
    after = Run(p, rule, alpha=0.01)
    for target, source in zip(after.arrays, before.arrays, strict=True):
        target[...] = source
    after.trainer.load()
    after.trainer.load_state_dict(state)
    after.epoch(second)
    assert same_bits(after.arrays, whole.arrays)


@pytest.mark.parametrize("rule", ALL_RULES)
def test_a_trainer_may_go_back_to_an_earlier_state(rule: str, dtype: type) -> None:
    run = Run(problem("cross_entropy", [7, 17, 3], ROWS, dtype), rule)
    run.epoch()
    state, before = run.trainer.state_dict(), [a.copy() for a in run.arrays]
    run.epoch()
    first = [a.copy() for a in run.arrays]
    for target, source in zip(run.arrays, before, strict=True):
        target[...] = source
    run.trainer.load()
    run.trainer.load_state_dict(state)
    run.epoch()
    assert same_bits(run.arrays, first)


@pytest.mark.parametrize("rule", [rule for rule in ALL_RULES if rule not in ("sgd", "optim sgd")])
def test_state_is_in_the_plain_arrays_layout(rule: str, dtype: type) -> None:
    p = problem("cross_entropy", [7, 17, 3], ROWS, dtype)
    ours, theirs = Run(p, rule), Run(p.in_float64(), rule, kind=reference.Trainer)
    fresh = ours.trainer.state_dict()
    assert fresh["step"] == 0
    begin = ALL_RULES[rule][1].get("initial_accumulator_value", 0.0)
    assert all((slot == begin).all() for slots in fresh["slots"].values() for slot in slots)
    for run in (ours, theirs):
        run.epoch(orders()[0])
    state = ours.trainer.state_dict()
    assert state["step"] == theirs.trainer.step == 5
    assert set(state["slots"]) == set(theirs.trainer.slots)
    for name, expected in theirs.trainer.slots.items():
        for actual, wide in zip(state["slots"][name], expected, strict=True):
            assert actual.dtype == dtype
            # Second moments are squares, which doubles a relative error.
            assert norm_error(actual, wide) <= 2 * TOLERANCE[dtype], name


def test_state_dict_is_a_copy(dtype: type) -> None:
    p = problem("cross_entropy", [7, 17, 3], ROWS, dtype)
    run = Run(p, "adam")
    run.epoch()
    state = run.trainer.state_dict()
    kept = [m.copy() for m in state["slots"]["m"]]
    run.epoch()
    assert same_bits(kept, state["slots"]["m"])


def test_load_takes_edited_weights(dtype: type) -> None:
    p = problem("squared_error", [4, 9, 2], ROWS, dtype)
    edited = Run(p, "sgd")
    for array in edited.arrays:
        array *= dtype(0.5)
    edited.trainer.load()
    halved = Problem(p.X, p.y, [c * dtype(0.5) for c in p.coefs], [b * dtype(0.5) for b in p.intercepts],
                     p.activations, p.loss)  # fmt: skip
    fresh = Run(halved, "sgd")
    assert edited.epoch() == fresh.epoch()
    assert same_bits(edited.arrays, fresh.arrays)


@pytest.mark.parametrize("rule", ALL_RULES)
def test_a_diverging_run_keeps_the_last_finite_weights(rule: str, dtype: type) -> None:
    p = problem("squared_error", [4, 9, 2], ROWS, dtype, activation="relu")
    run = Run(p, rule)
    assert run.epoch()[1]
    kept = [a.copy() for a in run.arrays]
    run.p.X[3, 1] = np.nan  # one bad number is enough
    assert not run.epoch()[1]
    assert same_bits(run.arrays, kept)
    # load() takes the finite weights back; the rule's own state is replaced beside it.
    run.p.X[3, 1] = 0
    run.trainer.load()
    run.trainer.load_state_dict(Run(p, rule).trainer.state_dict())
    assert run.epoch()[1]
    assert not same_bits(run.arrays, kept)


def test_a_learning_rate_that_is_far_too_large_is_reported(dtype: type) -> None:
    p = problem("squared_error", [4, 9, 2], ROWS, dtype, activation="relu")
    run = Run(p, "momentum")
    kept = [a.copy() for a in run.arrays]
    finite = True
    for _ in range(100):
        kept = [a.copy() for a in run.arrays]
        finite = run.epoch(learning_rate=1e6)[1]
        if not finite:
            break
    assert not finite
    assert same_bits(run.arrays, kept)
    assert all(np.isfinite(a).all() for a in run.arrays)


def test_inputs_are_only_read(dtype: type) -> None:
    p = problem("cross_entropy", [7, 17, 3], ROWS, dtype, weighted=True)
    for array in (p.X, p.y, p.sample_weight):
        assert array is not None
        array.flags.writeable = False
    order = orders()[0]
    order.flags.writeable = False
    assert Run(p, "adam").epoch(order)[1]


def test_memmap_is_read_where_it_is(tmp_path: Any, dtype: type) -> None:
    p = problem("cross_entropy", [7, 17, 3], ROWS, dtype)
    p.X.tofile(tmp_path / "X")
    mapped = np.memmap(tmp_path / "X", dtype, "r", shape=p.X.shape)
    on_disk, in_memory = Run(p, "adam"), Run(p, "adam")
    assert on_disk.epoch(X=mapped) == in_memory.epoch()
    assert same_bits(on_disk.arrays, in_memory.arrays)


def test_an_interrupt_leaves_the_last_whole_step() -> None:
    # Many seconds of work, were it not interrupted: on a fast machine too, the signal comes in its middle.
    p = problem("squared_error", [64, 512, 512, 1], 512, np.float32, activation="relu")
    order = np.tile(np.arange(512, dtype=np.int64), 4000)
    run = Run(p, "nesterov", batch_size=64)
    with ctrl_c_after(0.5), pytest.raises(KeyboardInterrupt):
        run.epoch(order, learning_rate=1e-4)
    steps = run.trainer.state_dict()["step"]
    assert 0 < steps < len(order) // 64
    again = Run(p, "nesterov", batch_size=64)
    again.epoch(order[: 64 * steps], learning_rate=1e-4)
    assert same_bits(run.arrays, again.arrays)
