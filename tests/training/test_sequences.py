"""Recurrent networks in the core against the reference: outputs, states, and whole training runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
import reference_recurrent as ref
from gdfast import _core
from numpy.typing import NDArray
from problems import LOSSES, norm_error, same_bits
from sequences import ADAM, CELLS, SGD, Run, SequenceProblem, sequence_problem

Array = NDArray[Any]

# Units of one panel and several, of the narrowest and the widest instruction set; stacks of one and of two.
NETWORKS: dict[str, dict[str, Any]] = {
    "one unit": {"features": 1, "hidden": [1], "outputs": 1},
    "small, stacked": {"features": 3, "hidden": [5, 4], "outputs": 2},
    "several panels": {"features": 33, "hidden": [19], "outputs": 3},
    "wide, stacked": {"features": 5, "hidden": [33, 40], "outputs": 17},
}
LENGTHS = {"even": [7] * 5, "ragged": [7, 3, 9, 1, 4, 9, 2]}
# Three batches of two or three sequences.
BATCH = 3

# A run of ten steps keeps twelve digits in float64. In float32 a gradient's sum over some hundred terms is
# off by a few eps; Adam, which divides by gradients' sizes, makes of the relative error of a small one the
# error of a whole step.
TOLERANCE = {np.float64: 1e-11, np.float32: 2e-4}


def check_forward(p: SequenceProblem, states: list[Array] | None) -> None:
    dtype = p.X.dtype.type
    expected, expected_states = p.as_type(np.float64).forward(
        None if states is None else [s.astype(np.float64) for s in states]
    )
    final = p.states() if states is None else [s.copy() for s in states]
    outputs = _core.sequence_forward(
        p.X,
        p.starts,
        p.coefs,
        p.intercepts,
        p.cell,
        reference.OUTPUT_OF[p.loss],
        per_step=p.per_step,
        states=final,
    )
    # Errors of a few eps a step, which a contracting network does not let grow much.
    tolerance = 200 * np.finfo(dtype).eps
    assert outputs.dtype == dtype
    assert norm_error(outputs, expected) < tolerance
    for ours, theirs in zip(final, expected_states, strict=True):
        assert norm_error(ours, theirs) < tolerance


@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("cell", CELLS)
def test_forward(cell: str, network: str, lengths: str, per_step: bool, dtype: type) -> None:
    p = sequence_problem(cell, lengths=LENGTHS[lengths], per_step=per_step, dtype=dtype, **NETWORKS[network])
    check_forward(p, None)
    check_forward(p, p.states(seed=1))


def check_training(
    p: SequenceProblem, rule: Any, learning_rate: float, tolerance: float | None = None, **options: Any
) -> tuple[Run, Run]:
    options = {"batch_size": BATCH, **options}
    ours = p.trainer(rule=rule, learning_rate=learning_rate, **options)
    theirs = p.as_type(np.float64).trainer(ref.Trainer, rule=rule, learning_rate=learning_rate, **options)
    rng = np.random.default_rng(3)
    tolerance = tolerance or TOLERANCE[p.X.dtype.type]
    for _ in range(2):
        order = rng.permutation(len(p.starts) - 1).astype(np.int64)
        states, expected_states = p.states(seed=2), [s.astype(np.float64) for s in p.states(seed=2)]
        loss, finite = ours.epoch(order, states)
        expected, _ = theirs.epoch(order, expected_states)
        assert finite
        assert loss == pytest.approx(expected, rel=tolerance)
        for a, b in zip([*ours.parameters, *states], [*theirs.parameters, *expected_states], strict=True):
            assert norm_error(a, b) < tolerance
    return ours, theirs


@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("cell", CELLS)
def test_training(cell: str, network: str, lengths: str, per_step: bool, dtype: type) -> None:
    p = sequence_problem(cell, lengths=LENGTHS[lengths], per_step=per_step, dtype=dtype, **NETWORKS[network])
    check_training(p, SGD, 0.05)


@pytest.mark.parametrize("tbptt", [(1, 1), (1, 4), (2, 2), (2, 3), (3, 5), (4, 9), (9, 9), (20, 30)])
@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("cell", ["elman_tanh", "gru", "lstm"])
def test_truncation(cell: str, lengths: str, per_step: bool, tbptt: tuple[int, int]) -> None:
    p = sequence_problem(
        cell, lengths=LENGTHS[lengths], per_step=per_step, features=3, hidden=[6, 9], outputs=2, weighted=True
    )
    check_training(p, SGD, 0.05, tbptt=tbptt)


@pytest.mark.parametrize("rule", [SGD, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_rules_weights_and_penalty(loss: str, rule: Any, dtype: type) -> None:
    p = sequence_problem(
        "gru", lengths=LENGTHS["ragged"], per_step=True, features=3, hidden=[6], outputs=3,
        loss=loss, weighted=True, dtype=dtype,
    )  # fmt: skip
    check_training(p, rule, 0.005, alpha=0.1, tbptt=(2, 4))


@pytest.mark.parametrize("batch_size", [2**40, 2**57, 2**63 - 1])
def test_a_batch_larger_than_the_data_is_all_of_it(batch_size: int) -> None:
    """However large, and with learning rates batch by batch: there is one batch."""
    p = sequence_problem("gru", lengths=LENGTHS["ragged"], per_step=False, features=3, hidden=[6], outputs=2)
    results = []
    for size in (len(p.starts) - 1, batch_size):
        run = p.trainer(learning_rate=np.array([0.1]), batch_size=size)  # type: ignore[arg-type]
        results.append([*run.parameters, np.array(run.epoch()[0])])
    assert same_bits(*results)
