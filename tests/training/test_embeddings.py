"""Embedded columns: against the reference, against one-hot inputs, bit by bit over threads; promises."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import reference_embeddings
from builds import needs_threads
from gdfast import _core
from gdfast.training.encoding import CategoryColumn, EncodedRows, Encoding, NumberColumn
from numpy.typing import NDArray
from problems import network, norm_error, same_bits, targets
from runs import ALL_RULES

Array = NDArray[Any]

# In float64 ten steps keep eleven digits; in float32 Adam turns the relative error of a small gradient into
# part of a step.
TOLERANCE = {np.float64: 1e-11, np.float32: 5e-4}
ROWS, BATCH, SEED = 67, 9, 2**40 + 77

# Within a panel, from one to the next, and over several; side by side and with other inputs between.
COLUMNS: list[Any] = [
    NumberColumn(np.array([-1.0, -0.25, 0.0, 0.5, 2.0]), flagged=True),
    CategoryColumn(7, embedding=3),
    CategoryColumn(5),
    CategoryColumn(40, embedding=33),
    CategoryColumn(3, binary=True, embedding=1),
    NumberColumn(np.empty(0)),
    CategoryColumn(30, embedding=8),
]
HIDDEN = {"two layers": [20, 35], "wide": [70], "narrow": [2, 9], "none": []}


def table(dtype: Any, n: int = ROWS, columns: Any = COLUMNS) -> EncodedRows:
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(-1, column.n_categories + 1, n).astype(dtype)
        if isinstance(column, CategoryColumn)
        else rng.normal(size=n).astype(dtype)
        for column in columns
    ]
    rows = EncodedRows(np.stack(arrays, axis=1), Encoding(columns))
    rows.table[rng.random(rows.table.shape) < 0.1] = np.nan
    return rows


class Run:
    """A trainer of a table, with the arrays that it trains."""

    def __init__(
        self,
        dtype: Any,
        hidden: list[int],
        rule: str = "adam",
        *,
        kind: Any = _core.Trainer,
        loss: str = "cross_entropy",
        weighted: bool = False,
        activation: Any = "tanh",
        normalized: bool = False,
        n: int = ROWS,
        columns: Any = COLUMNS,
        embeddings: list[Array] | None = None,
        **options: Any,
    ) -> None:
        rng = np.random.default_rng(1)
        single = np.float32 if dtype is np.float32 else np.float64
        self.X = table(single, n, columns)
        sizes = [self.X.shape[1], *hidden, 3]
        # Drawn as float32's, so that a run in float64 begins with the same numbers.
        first, bias = network(rng, sizes, np.float32)
        self.coefs, self.intercepts = ([a.astype(dtype) for a in arrays] for arrays in (first, bias))
        of_embeddings = np.random.default_rng(2)
        drawn = [of_embeddings.normal(0, 0.5, s).astype(np.float32) for s in self.X.encoding.embedding_shapes]
        self.embeddings = [a.astype(dtype) for a in drawn] if embeddings is None else embeddings
        y = targets(rng, loss, n, sizes[-1], np.float32)
        self.y = y if loss == "cross_entropy" else y.astype(dtype)
        self.weight = rng.integers(0, 3, n).astype(dtype) if weighted else None
        self.norms = None
        if normalized:
            self.norms = [
                tuple(rng.uniform(0.5, 1.5, n).astype(np.float32).astype(dtype) for _ in range(4))
                for n in hidden
            ]
            options["batch_norm"] = self.norms
        name, params, self.rate = ALL_RULES[rule]
        if self.embeddings:
            options["embeddings"] = self.embeddings
        self.trainer = kind(
            self.coefs, self.intercepts, [activation] * len(hidden), loss,
            **{"batch_size": BATCH, "rule": name, "rule_params": params, **options},
        )  # fmt: skip

    @property
    def arrays(self) -> list[Array]:
        norms = [a for four in self.norms or [] for a in four]
        return [*self.embeddings, *self.coefs, *self.intercepts, *norms]

    @property
    def core(self) -> Any:
        return self.X.core(self.coefs[0].dtype)

    def epochs(self, n: int = 2, rate: float | None = None, **arguments: Any) -> list[float]:
        rng = np.random.default_rng(5)
        X = self.core if isinstance(self.trainer, _core.Trainer) else self.X
        losses = []
        for _ in range(n):
            loss, finite = self.trainer.run_epoch(
                X, self.y, rng.permutation(len(self.X)), self.weight,
                learning_rate=self.rate if rate is None else rate, **arguments,
            )  # fmt: skip
            assert finite
            losses.append(loss)
        return losses


def check(
    dtype: Any, hidden: list[int], rule: str = "adam", depth: int | None = None, **options: Any
) -> None:
    ours = Run(dtype, hidden, rule, **options)
    theirs = Run(np.float64, hidden, rule, kind=reference_embeddings.Trainer, **options)
    if dtype is np.float32:
        theirs.X = table(np.float32, len(theirs.X))
        theirs.X = replace(theirs.X, table=theirs.X.table.astype(np.float64))
        ours.X = replace(theirs.X, table=theirs.X.table.astype(np.float32))
    tolerance = TOLERANCE[dtype]
    losses = ours.epochs(backprop_depth=depth), theirs.epochs(backprop_depth=depth)
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)
    for i, (actual, wanted) in enumerate(zip(ours.arrays, theirs.arrays, strict=True)):
        assert norm_error(actual, wanted) <= tolerance, f"array {i}"


# ------------------------------------------------------------------------------------------------ reference


@pytest.mark.parametrize("kind", [_core.Trainer, reference_embeddings.Trainer], ids=["core", "reference"])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_the_gradient_is_that_of_the_loss(hidden: str, kind: Any) -> None:
    """By central differences; a step of plain descent with learning rate 1 shows the gradient."""

    def build() -> Run:
        return Run(
            np.float64, HIDDEN[hidden], kind=kind, weighted=True, alpha=0.3, batch_size=ROWS, rule="sgd",
            dropout=[0.2] + [0.0] * len(HIDDEN[hidden]), seed=SEED,
        )  # fmt: skip

    run = build()
    before = [e.copy() for e in run.embeddings]
    run.epochs(1, rate=1.0)
    rng = np.random.default_rng(3)
    for i, array in enumerate(before):
        gradient = array - run.embeddings[i]
        for _ in range(3):
            direction = rng.normal(size=array.shape)
            direction[(gradient == 0).all(axis=1)] = 0  # the penalty is that of the batch's categories
            losses = []
            for sign in (1, -1):
                moved = build()
                moved.embeddings[i] += sign * 1e-5 * direction
                moved.trainer.load()
                losses.append(moved.epochs(1, rate=0.0)[0])
            slope = (losses[0] - losses[1]) / 2e-5
            assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-7)


@pytest.mark.parametrize("rule", ["adam", "nesterov"])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_steps(hidden: str, rule: str, dtype: Any) -> None:
    check(dtype, HIDDEN[hidden], rule)


@pytest.mark.parametrize("rule", ALL_RULES)
def test_every_rule(rule: str) -> None:
    check(np.float64, [20], rule)


@pytest.mark.parametrize(
    "options",
    [
        {"weighted": True},
        {"normalized": True},
        {"dropout": [0.3, 0.2, 0.0], "seed": SEED},
        {
            "dropout": [0.3, 0.2, 0.1],
            "seed": SEED,
            "normalized": True,
            "weighted": True,
            "activation": "gelu",
        },
        {"alpha": 0.3, "weighted": True},
        {"alpha": 0.3, "l1_ratio": 0.4, "loss": "squared_error"},
        {"weight_decay": 0.5, "alpha": 0.1},
        {"clip_value": 0.01},
        {"clip_norm": 0.05, "alpha": 0.1},
        {"clip_norm": "auto"},
        {"clip_layer_norm": 0.02, "clip_norm": 0.03},
        {"batch_size": 3, "weighted": True},
        {"batch_size": ROWS},
        {"learning_rate_factors": {"coefs": [0.5, 2.0, 0.0]}, "weight_decay": 0.5, "alpha": 0.1},
    ],
    ids=str,
)
def test_options(options: dict[str, Any], dtype: Any) -> None:
    check(dtype, [20, 11], **options)


@pytest.mark.parametrize("hidden", ["narrow", "none"])
def test_dropout_of_the_inputs_of_a_narrow_layer(hidden: str, dtype: Any) -> None:
    check(dtype, HIDDEN[hidden], dropout=[0.3] + [0.0] * len(HIDDEN[hidden]), seed=SEED)


def test_many_rows_in_a_batch(dtype: Any) -> None:
    """Several blocks."""
    columns = [CategoryColumn(900, embedding=5), NumberColumn(np.empty(0))]
    runs = [
        Run(d, [20], n=1000, columns=columns, batch_size=600, kind=kind)
        for d, kind in ((dtype, _core.Trainer), (np.float64, reference_embeddings.Trainer))
    ]
    runs[1].X = EncodedRows(runs[0].X.table.astype(np.float64), runs[0].X.encoding)
    losses = [run.epochs() for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE[dtype])
    assert norm_error(runs[0].embeddings[0], runs[1].embeddings[0]) <= TOLERANCE[dtype]


# -------------------------------------------------------------------------------------------------- one-hot


def test_the_identity_is_one_hot(dtype: Any) -> None:
    """Bit by bit, in training and prediction, as long as it stays the identity."""
    columns = [NumberColumn(np.empty(0)), CategoryColumn(12, embedding=12), CategoryColumn(6)]
    one_hot = [NumberColumn(np.empty(0)), CategoryColumn(12), CategoryColumn(6)]
    eye = np.eye(12, dtype=dtype)
    ours = Run(dtype, [9], columns=columns, embeddings=[eye.copy()], batch_size=ROWS)
    theirs = Run(dtype, [9], columns=one_hot, batch_size=ROWS)
    np.testing.assert_array_equal(ours.X.toarray([eye]), theirs.X.toarray())
    for _ in range(4):
        assert ours.epochs(1) == theirs.epochs(1)
        assert not np.array_equal(ours.embeddings[0], eye)
        ours.embeddings[0][...] = eye
        ours.trainer.load()
    assert same_bits(ours.coefs + ours.intercepts, theirs.coefs + theirs.intercepts)
    for n in (1, 15, 16, ROWS):
        outputs = [
            _core.forward(run[:n].core(dtype), theirs.coefs, theirs.intercepts, ["tanh"], "softmax", **more)
            for run, more in ((ours.X, {"embeddings": [eye]}), (theirs.X, {}))
        ]
        assert same_bits(outputs[:1], outputs[1:])


@pytest.mark.parametrize("n", [1, 7, 15, 16, ROWS])
def test_prediction(n: int, dtype: Any) -> None:
    run = Run(dtype, [20, 11])
    inputs = reference_embeddings.encode(run.X[:n], run.embeddings)
    np.testing.assert_array_equal(run.X[:n].toarray(run.embeddings), inputs)
    arguments = (run.coefs, run.intercepts, ["tanh", "tanh"], "softmax")
    outputs = _core.forward(run.X[:n].core(dtype), *arguments, embeddings=run.embeddings)
    assert same_bits([outputs], [_core.forward(inputs, *arguments)])
    rows = np.random.default_rng(0).integers(0, ROWS, n)
    chosen = _core.forward(run.core, *arguments, rows, embeddings=run.embeddings)
    assert same_bits([chosen], [_core.forward(run.X.toarray(run.embeddings), *arguments, rows)])


# ----------------------------------------------------------------------------------------------------- bits


@needs_threads
@pytest.mark.parametrize("rule", ["adam", "momentum", "optim rprop"])
@pytest.mark.parametrize("hidden", ["two layers", "narrow"])
def test_the_same_bits_for_any_number_of_threads(
    hidden: str, rule: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(threads: int) -> list[Array]:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        run = Run(
            dtype, HIDDEN[hidden], rule, alpha=0.1, clip_norm=0.5, batch_size=40, n_threads=threads, n=300,
            dropout=[0.2] * (1 + len(HIDDEN[hidden])), seed=SEED,
        )  # fmt: skip
        assert run.trainer.n_threads == threads
        losses = run.epochs()
        slots = [a for arrays in run.trainer.state_dict()["slots"].values() for a in arrays]
        return [*run.arrays, *slots, np.array(losses)]

    expected = train(1)
    for threads in (2, 3, 8):
        assert same_bits(train(threads), expected), f"{threads} threads"


ON_ISA = """
import sys
sys.path[:0] = ["tests/support", "tests/training"]
import numpy as np
from gdfast import _core
import test_embeddings
for dtype in (np.float32, np.float64):
    for hidden in test_embeddings.HIDDEN.values():
        test_embeddings.check(dtype, hidden)
        test_embeddings.check(dtype, hidden, dropout=[0.2] + [0.0] * len(hidden), seed=3)
print(_core.active_isa())
"""


@pytest.mark.parametrize("isa", _core.available_isas())
def test_every_isa(isa: str, run_on_isa: Callable[[str, str], CompletedProcess[str]]) -> None:
    done = run_on_isa(isa, ON_ISA)
    assert done.stdout.strip() == isa, done.stderr


# ------------------------------------------------------------------------------------------------- promises


def test_rows_that_the_batch_lacks_stay(dtype: Any) -> None:
    run = Run(dtype, [20], "optim adamw", weighted=True, alpha=0.1, weight_decay=0.1)
    before = [e.copy() for e in run.embeddings]
    counts = run.weight != 0
    run.epochs(3)
    for (column, _), array, old in zip(
        reference_embeddings.embedded(run.X.encoding), run.embeddings, before, strict=True
    ):
        numbers = run.X.table[counts, column]
        seen = np.isin(np.arange(len(array)), numbers)
        assert not seen.all() or len(array) < 10
        assert same_bits([array[~seen]], [old[~seen]])
        assert (array[seen] != old[seen]).all()


def test_an_epoch_that_stays_above_the_first_layer_leaves_embeddings_alone(dtype: Any) -> None:
    run = Run(dtype, [20, 11])
    before = [e.copy() for e in run.embeddings]
    slots = [[a.copy() for a in arrays] for arrays in run.trainer.state_dict()["slots"].values()]
    run.epochs(backprop_depth=2)
    assert same_bits(run.embeddings, before)
    for old, new in zip(slots, run.trainer.state_dict()["slots"].values(), strict=True):
        assert same_bits(old[-4:], new[-4:])
    check(dtype, [20, 11], depth=2, alpha=0.1)


def test_a_trainer_continues_from_another_s_state(dtype: Any) -> None:
    whole, first = Run(dtype, [20], "adam"), Run(dtype, [20], "adam")
    whole.epochs(1)
    whole.epochs(1)
    first.epochs(1)
    second = Run(dtype, [20], "adam")
    for to, array in zip(second.arrays, first.arrays, strict=True):
        to[...] = array
    second.trainer.load()
    state = first.trainer.state_dict()
    assert [a.shape for a in state["slots"]["m"][-4:]] == [e.shape for e in first.embeddings]
    second.trainer.load_state_dict(state)
    second.epochs(1)
    assert same_bits(second.arrays, whole.arrays)


def test_weights_that_are_not_finite_are_not_written_back(dtype: Any) -> None:
    run = Run(dtype, [20], "sgd", activation="identity", loss="squared_error")
    run.embeddings[1][0, 5] = np.inf
    run.trainer.load()
    before = [a.copy() for a in run.arrays]
    _, finite = run.trainer.run_epoch(run.core, run.y, learning_rate=0.1)
    assert not finite
    assert same_bits(run.arrays, before)


def test_moments_that_are_not_finite_are_found() -> None:
    run = Run(np.float64, [20], "adam")
    state = run.trainer.state_dict()
    state["slots"]["v"][-1][3, 2] = np.inf
    run.trainer.load_state_dict(state)
    assert not run.trainer.state_is_finite


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}], ids=["at once", "apart"])
def test_an_epoch_that_is_stopped_has_made_whole_steps(options: dict[str, Any], dtype: Any) -> None:
    arguments: dict[str, Any] = {"n": 20_000, "columns": COLUMNS, "batch_size": 32, **options}
    rows = np.random.default_rng(3).integers(0, 20_000, 10_000_000)
    for seconds in (0.05, 0.5, 5):  # a slow machine has not taken a step at once
        stopped, flag = Run(dtype, [100, 100], **arguments), _core.StopFlag()
        with flag:
            timer = threading.Timer(seconds, flag.set)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                stopped.trainer.run_epoch(stopped.core, stopped.y, rows, learning_rate=0.001)
        if stopped.trainer.step:
            break
    again = Run(dtype, [100, 100], **arguments)
    done = rows[: stopped.trainer.step * 32]
    assert 0 < len(done) < len(rows)
    again.trainer.run_epoch(again.core, again.y, done, learning_rate=0.001)
    assert same_bits(stopped.arrays, again.arrays)
    slots = (run.trainer.state_dict()["slots"].values() for run in (stopped, again))
    assert all(same_bits(a, b) for a, b in zip(*slots, strict=True))


def test_what_does_not_fit_is_refused() -> None:
    run = Run(np.float64, [20])
    before = [a.copy() for a in run.arrays]
    epoch: dict[str, Any] = {"learning_rate": 0.1}
    with pytest.raises(ValueError, match=r"embeddings must hold .*\(7, 3\).* got \[\]"):
        Run(np.float64, [20], embeddings=[]).epochs(1)
    with pytest.raises(ValueError, match="embeddings must hold"):
        Run(np.float64, [20], embeddings=run.embeddings[::-1]).epochs(1)
    with pytest.raises(TypeError, match=r"embeddings\[0\] must have dtype float64"):
        Run(np.float64, [20], embeddings=[e.astype(np.float32) for e in run.embeddings])
    with pytest.raises(ValueError, match=r"embeddings\[0\] must not be empty"):
        Run(np.float64, [20], embeddings=[np.empty((0, 2))])
    with pytest.raises(ValueError, match=r"embeddings\[0\] must have shape"):
        Run(np.float64, [20], embeddings=[np.zeros(3)])
    with pytest.raises(TypeError, match="embeddings must be a list"):
        Run(np.float64, [20], embeddings=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gradient_noise is not supported"):
        Run(np.float64, [20], gradient_noise=0.1)
    with pytest.raises(ValueError, match="on_gradient is not supported"):
        run.trainer.run_epoch(run.core, run.y, on_gradient=lambda _: None, **epoch)
    with pytest.raises(ValueError, match="X must be a table"):
        run.trainer.run_epoch(run.X.toarray(run.embeddings), run.y, **epoch)
    with pytest.raises(ValueError, match="embeddings must hold"):
        run.X.toarray()
    with pytest.raises(ValueError, match="embeddings must hold"):
        _core.forward(run.core, run.coefs, run.intercepts, ["tanh"], "softmax")
    gradients = [np.empty_like(a) for a in run.coefs], [np.empty_like(a) for a in run.intercepts]
    arguments = run.coefs, run.intercepts, ["tanh"], "cross_entropy", 0.0, None
    with pytest.raises(ValueError, match="embedded columns"):
        _core.loss_and_grad(run.core, run.y, *arguments, *gradients)
    with pytest.raises(ValueError, match="at least one category and one input"):
        _core.Encoding([(3, False, 0)])
    state = run.trainer.state_dict()
    state["slots"]["m"].pop()
    with pytest.raises(ValueError, match="must hold 8 arrays"):
        run.trainer.load_state_dict(state)
    assert same_bits(run.arrays, before)
