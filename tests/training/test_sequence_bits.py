"""The same bits for any number of threads, any company in a batch, and any truncation that cuts nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
from builds import needs_threads
from gdfast import _core
from numpy.typing import NDArray
from problems import same_bits
from sequences import ADAM, CELLS, SGD, SequenceProblem, sequence_problem

Array = NDArray[Any]

THREADS = (1, 2, 3, 4, 8)
RAGGED = [7, 3, 9, 1, 4, 9, 2, 11, 12, 5, 6, 1, 1]


def forward(p: SequenceProblem, states: list[Array] | None = None, order: Array | None = None) -> Array:
    return _core.sequence_forward(
        p.X, p.starts, p.coefs, p.intercepts, p.cell, reference.OUTPUT_OF[p.loss],
        per_step=p.per_step, states=states, order=order,
    )  # fmt: skip


def trained(p: SequenceProblem, epochs: int = 2, rule: Any = SGD, **options: Any) -> list[Array]:
    """All that training leaves behind: weights, the rule's state, losses, states."""
    run = p.trainer(rule=rule, learning_rate=0.01, **{"batch_size": 5, **options})
    losses, states = [], p.states(seed=4)
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        loss, finite = run.epoch(rng.permutation(len(p.starts) - 1).astype(np.int64), states)
        assert finite
        losses.append(loss)
    slots = [a for arrays in run.trainer.state_dict()["slots"].values() for a in arrays]
    return [*run.parameters, *slots, *states, np.array(losses)]


@needs_threads
@pytest.mark.parametrize("tbptt", [None, (2, 5)])
@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
@pytest.mark.parametrize("cell", CELLS)
def test_threads(cell: str, per_step: bool, tbptt: Any, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    p = sequence_problem(
        cell, features=3, hidden=[37, 9], outputs=2, lengths=RAGGED, per_step=per_step, dtype=dtype
    )
    results = []
    for threads in THREADS:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        states = p.states(seed=1)
        results.append([*trained(p, rule=ADAM, tbptt=tbptt), forward(p, states), *states])
    for threads, result in zip(THREADS, results, strict=True):
        assert same_bits(result, results[0]), f"{threads} threads"


@needs_threads
def test_threads_where_steps_straddle_blocks_of_rows(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    # 100 rows a step: blocks of 128 or 256 rows end in the midst of one.
    p = sequence_problem(
        "gru", features=2, hidden=[5], outputs=1, lengths=[11] * 100, per_step=True, dtype=dtype
    )
    results = []
    for threads in THREADS:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        results.append([*trained(p, batch_size=100, tbptt=(3, 7)), forward(p)])
    for result in results[1:]:
        assert same_bits(result, results[0])


@pytest.mark.parametrize("lengths", [[7] * 13, RAGGED], ids=["even", "ragged"])
@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
@pytest.mark.parametrize("cell", CELLS)
def test_truncation_that_cuts_nothing(cell: str, per_step: bool, lengths: list[int], dtype: type) -> None:
    p = sequence_problem(
        cell, features=3, hidden=[9, 5], outputs=2, lengths=lengths, per_step=per_step, dtype=dtype
    )
    whole = trained(p)
    longest = max(lengths)
    for k in (longest, longest + 1, 10**9, 2**62):
        assert same_bits(trained(p, tbptt=(k, k)), whole)


def cut(p: SequenceProblem, numbers: list[int]) -> SequenceProblem:
    """These sequences alone."""
    rows = np.concatenate([np.arange(p.starts[i], p.starts[i + 1]) for i in numbers])
    lengths = [p.starts[i + 1] - p.starts[i] for i in numbers]
    return replace(
        p,
        X=p.X[rows],
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        y=p.y[rows] if p.per_step else p.y[numbers],
    )


@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_is_predicted_as_if_it_were_alone(cell: str, per_step: bool, dtype: type) -> None:
    p = sequence_problem(
        cell, features=3, hidden=[9, 5], outputs=2, lengths=RAGGED * 6, per_step=per_step, dtype=dtype
    )
    states = p.states(seed=1)
    together = forward(p, states)
    for i in (0, 3, 40, 77):
        alone = cut(p, [i])
        own_states = [s[i : i + 1].copy() for s in p.states(seed=1)]
        rows = slice(p.starts[i], p.starts[i + 1]) if per_step else slice(i, i + 1)
        assert same_bits([together[rows]], [forward(alone, own_states)])
        assert same_bits([s[i : i + 1] for s in states], own_states)


@pytest.mark.parametrize("cell", CELLS)
def test_prediction_continues_from_a_state(cell: str, dtype: type) -> None:
    p = sequence_problem(
        cell, features=3, hidden=[9, 5], outputs=2, lengths=[100], per_step=True, dtype=dtype
    )
    whole_states = p.states()
    whole = forward(p, whole_states)
    states, parts = p.states(), []
    for first, last in ((0, 1), (1, 34), (34, 99), (99, 100)):
        part = replace(p, X=p.X[first:last], starts=np.array([0, last - first]))
        parts.append(forward(part, states))
    assert same_bits([np.concatenate(parts), *states], [whole, *whole_states])


@pytest.mark.parametrize("tbptt", [(4, 4), (4, 12), (1, 3)])
@pytest.mark.parametrize("cell", CELLS)
def test_training_continues_from_a_state(cell: str, tbptt: tuple[int, int], dtype: type) -> None:
    # Where an update reaches back no further than its own block, a series cut between two blocks is the
    # series.
    k1, k2 = tbptt
    p = sequence_problem(
        cell, features=3, hidden=[6], outputs=1, lengths=[40, 40], per_step=True, dtype=dtype
    )
    whole, parts = p.trainer(batch_size=2, tbptt=tbptt), p.trainer(batch_size=2, tbptt=tbptt)
    whole_states, states = p.states(), p.states()
    whole.epoch(states=whole_states)
    middle = 24
    for first, last in ((0, middle), (middle, 40)):
        rows = np.concatenate([np.arange(first, last), np.arange(40 + first, 40 + last)])
        n = last - first
        parts.p = replace(p, X=p.X[rows], y=p.y[rows], starts=np.array([0, n, 2 * n]))
        parts.epoch(states=states)
    if k1 == k2:
        assert same_bits([*whole.parameters, *whole_states], [*parts.parameters, *states])
    else:
        assert not same_bits(whole.parameters, parts.parameters), (
            "the second part cannot reach into the first"
        )


@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
def test_what_a_diverged_run_leaves_in_memory_does_not_matter(per_step: bool, dtype: type) -> None:
    p = sequence_problem(
        "elman_relu", features=3, hidden=[5], outputs=2, lengths=RAGGED, per_step=per_step, dtype=dtype
    )
    for tbptt in (None, (2, 4)):
        fresh, used = p.trainer(batch_size=5, tbptt=tbptt), p.trainer(batch_size=5, tbptt=tbptt)
        kept = [a.copy() for a in used.parameters]
        for a in used.parameters:
            a[...] = np.nan
        used.trainer.load()
        assert not used.epoch()[1]
        for a, b in zip(used.parameters, kept, strict=True):
            a[...] = b
        used.trainer.load()
        assert fresh.epoch() == used.epoch()
        assert same_bits(fresh.parameters, used.parameters)
