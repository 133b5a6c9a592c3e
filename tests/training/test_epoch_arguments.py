"""Dropout's rates and weight decay of a single epoch, in place of the trainer's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
import reference_layers
from gdfast import _core
from numpy.typing import NDArray
from problems import MORE_ACTIVATIONS, Problem, norm_error, problem, same_bits
from runs import Run
from sequences import ADAM, sequence_problem

Array = NDArray[Any]

SIZES, ROWS = [7, 17, 40, 9, 3], 23  # several panels, and an output layer that is narrow
SEED = 2**40 + 77
RATES = [0.1, 0.0, 0.5, 0.3]
# Those of five epochs: None is the trainer's own.
EPOCHS: list[list[float] | None] = [[0.2, 0.0, 0.1, 0.0], None, [0.0] * 4, [0.0, 0.0, 0.9, 0.05], None]
DECAYS = [0.3, None, 0.0, 0.7, None]
# As in test_dropout_norm.
TOLERANCE = {np.float64: 1e-11, np.float32: 5e-4}


def norms_for(dtype: Any) -> list[Any]:
    rng = np.random.default_rng(4)
    four = [[rng.uniform(0.5, 1.5, n).astype(dtype) for _ in range(4)] for n in SIZES[1:-1]]
    return [None, *map(tuple, four[1:])]


def train(run: Run, arguments: list[dict[str, Any]], X: Any = None) -> list[float]:
    rng = np.random.default_rng(5)
    losses = []
    for epoch in arguments:
        loss, finite = run.trainer.run_epoch(
            run.p.X if X is None else X, run.p.y, rng.permutation(ROWS), run.p.sample_weight,
            learning_rate=run.learning_rate, **epoch,
        )  # fmt: skip
        assert finite
        losses.append(loss)
    return losses


def by_name(name: str, values: list[Any]) -> list[dict[str, Any]]:
    return [{} if value is None else {name: value} for value in values]


def copy_of(run: Run, trainer: Any, p: Problem, **options: Any) -> Run:
    """A new trainer that goes on from the arrays and the state of another one."""
    other = Run(p, "adam", **options)
    for mine, theirs in zip(other.arrays, run.arrays, strict=True):
        mine[...] = theirs
    other.trainer.load()
    other.trainer.load_state_dict(trainer.state_dict())
    return other


# -------------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("norm", [False, True], ids=["", "batch norm"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "elu"])
def test_dropout_of_an_epoch(
    activation: str, norm: bool, threads: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
    p = problem("cross_entropy", SIZES, ROWS, dtype, activation=activation)
    found = []
    for kind, q in ((_core.Trainer, p), (reference_layers.Trainer, p.in_float64())):
        norms = norms_for(q.X.dtype) if norm else None
        # Plain descent: in 25 steps of float32 Adam would turn errors of small gradients into too much.
        run = Run(q, "sgd", kind=kind, dropout=RATES, batch_norm=norms, seed=SEED)
        losses = train(run, by_name("dropout", EPOCHS))
        found.append([np.array(losses), *run.arrays, *(a for four in norms or [] if four for a in four)])
    for i, (actual, wanted) in enumerate(zip(*found, strict=True)):
        assert norm_error(actual, wanted) <= TOLERANCE[p.X.dtype.type], f"array {i}"


@pytest.mark.parametrize("sparse", [False, True], ids=["", "sparse"])
@pytest.mark.parametrize("activation", ["relu", *MORE_ACTIVATIONS], ids=str)
def test_dropout_of_an_epoch_is_that_of_a_trainer_made_for_it(
    activation: Any, sparse: bool, dtype: type
) -> None:
    """Bit for bit, with no dropout among the rates: memory for dropout leaves no trace."""
    p = problem("squared_error", SIZES, ROWS, dtype, activation=activation)
    X: Any = p.X
    if sparse:
        X = (
            p.X.ravel(),
            np.tile(np.arange(7, dtype=np.int32), ROWS),
            np.arange(0, p.X.size + 1, 7, np.int32),
        )
    run = Run(p, "adam", dropout=RATES, seed=SEED)
    for rates in (EPOCHS[0], [0.0] * 4, EPOCHS[3]):
        fresh = copy_of(run, run.trainer, p, dropout=rates, seed=SEED)
        assert train(run, [{"dropout": rates}], X) == train(fresh, [{}], X)
        assert same_bits(run.arrays, fresh.arrays)


def test_the_trainers_own_rates_come_back(dtype: type) -> None:
    p = problem("squared_error", SIZES, ROWS, dtype)
    run = Run(p, "adam", dropout=RATES, seed=SEED)
    train(run, [{"dropout": [0.0] * 4}])
    fresh = copy_of(run, run.trainer, p, dropout=RATES, seed=SEED)
    assert train(run, [{}]) == train(fresh, [{}])
    assert same_bits(run.arrays, fresh.arrays)


@pytest.mark.parametrize(
    ("rates", "match"),
    [
        ([0.1] * 4, r"dropout\[1\] must be 0 as it is in the trainer's dropout, got 0\.1"),
        ([0.1] * 3, "dropout must hold a rate for the inputs and one for each hidden layer, 4 in all, got 3"),
        ([1.0, 0.0, 0.0, 0.0], "dropout must be at least 0 and below 1"),
        ([-0.1, 0.0, 0.0, 0.0], "dropout must be at least 0 and below 1"),
        ([np.nan, 0.0, 0.0, 0.0], "dropout must be at least 0 and below 1"),
    ],
    ids=str,
)  # fmt: skip
def test_rates_that_make_no_sense(rates: list[float], match: str) -> None:
    p = problem("squared_error", SIZES, ROWS)
    run = Run(p, "adam", dropout=RATES)
    with pytest.raises(ValueError, match=match):
        train(run, [{"dropout": rates}])
    assert run.trainer.step == 0
    assert same_bits(run.arrays, [*p.coefs, *p.intercepts])
    with pytest.raises(ValueError, match=r"dropout\[0\] must be 0"):
        train(Run(p, "adam"), [{"dropout": [0.1, 0.0, 0.0, 0.0]}])


# --------------------------------------------------------------------------------------------- weight decay


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.3, "alpha": 0.2}], ids=["plain", "clipped"])
@pytest.mark.parametrize("rule", ["nesterov", "adam", "optim adamw"])
def test_weight_decay_of_an_epoch(rule: str, options: dict[str, Any], dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    options = {**options, "weight_decay": 0.1, "learning_rate_factors": {"coefs": [1.0, 0.5, 2.0, 1.0]}}
    ours = Run(p, rule, **options)
    theirs = Run(p.in_float64(), rule, kind=reference.Trainer, **options)
    train(ours, by_name("weight_decay", DECAYS))
    train(theirs, by_name("weight_decay", DECAYS))
    for i, (actual, wanted) in enumerate(zip(ours.arrays, theirs.arrays, strict=True)):
        assert norm_error(actual, wanted) <= TOLERANCE[p.X.dtype.type], f"array {i}"


def test_weight_decay_of_an_epoch_is_that_of_a_trainer_made_for_it(dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    run = Run(p, "adam", weight_decay=0.1)
    for decay in (0.3, 0.0, 0.1):
        fresh = copy_of(run, run.trainer, p, weight_decay=decay)
        train(run, [{"weight_decay": decay}])
        train(fresh, [{}])
        assert same_bits(run.arrays, fresh.arrays)


def test_weight_decay_of_an_epoch_of_sequences() -> None:
    p = sequence_problem("gru", features=3, hidden=[5], outputs=2, lengths=[7, 3, 9])
    found = []
    for made, given in ((0.3, None), (0.1, 0.3)):
        run = p.trainer(rule=ADAM, learning_rate=0.01, batch_size=2, weight_decay=made)
        more = {} if given is None else {"weight_decay": given}
        run.trainer.run_epoch(p.X, p.starts, p.y, learning_rate=0.01, **more)
        found.append(run.parameters)
    assert same_bits(*found)


@pytest.mark.parametrize("decay", [-0.1, np.inf, np.nan])
def test_weight_decay_that_makes_no_sense(decay: float) -> None:
    p = problem("squared_error", SIZES, ROWS)
    run = Run(p, "adam", weight_decay=0.1)
    with pytest.raises(ValueError, match="weight_decay must be"):
        train(run, [{"weight_decay": decay}])
    assert run.trainer.step == 0
