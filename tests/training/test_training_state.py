"""A training state as plain values, and training that goes on from one."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import make
from gdfast import optim, schedules
from gdfast.training.annealing import Energy
from gdfast.training.data import Data, Sequences
from gdfast.training.fingerprint import fingerprint
from gdfast.training.init import draw
from gdfast.training.listeners import Listeners
from gdfast.training.monitor import Monitor, Validation
from gdfast.training.network import MLP
from gdfast.training.optimizer import Optimizer
from gdfast.training.options import Limits, StepOptions, TrainingOptions
from gdfast.training.order import RowOrder
from gdfast.training.outcome import Outcome
from gdfast.training.scheduled import Scheduled
from gdfast.training.state import TrainingState
from gdfast.training.train import train
from gdfast.training.weights import Weights

NETWORK = MLP(("tanh", "relu"), "identity", n_threads=1, dropout=[0.0, 0.1, 0.0])


class Run:
    """A run of training without an estimator."""

    def __init__(
        self, dtype: Any, rule: optim.Optimizer, schedule: Any, seed: int = 0, scheduled: Any = None
    ) -> None:
        X, labels = make(dtype)
        self.data = Data(X, labels[:, np.newaxis].astype(dtype), None)
        random_state = np.random.RandomState(seed)
        coefs, intercepts = draw(
            "he_normal", [5, 8, 7, 1], ["tanh", "relu", "identity"], np.dtype(dtype), random_state
        )
        self.state = TrainingState(Weights({"coefs_": coefs, "intercepts_": intercepts}), random_state)
        options = {
            name: replace(option, schedule=schedules.resolve(option.schedule))
            for name, option in (scheduled or {}).items()
        }
        rule_name, params = rule._rule()
        self.state.optimizer = Optimizer(
            rule_name, params, rule.lr, schedules.resolve(schedule), 0.5, options
        )
        self.state.optimizer.seed = 7
        self.state.order = RowOrder(len(X), random_state)
        self.state.records.begin(by_score=False, validates=True)
        self.state.records.t = 0
        self.state.scored_by = "loss"

    def go(
        self, epochs: int, listeners: Listeners | None = None, *, resumes: bool = False, **more: Any
    ) -> Outcome:
        options = TrainingOptions(
            **{
                "solver": "stochastic",
                "max_iter": epochs,
                "tol": 0.0,
                "n_iter_no_change": np.inf,
                "by_score": False,
                "step": StepOptions(alpha=0.01, clip_norm="auto", gradient_noise=0.01),
                "batch_size": 17,
                **more,
            }
        )
        if not resumes:
            self.state.epoch = 0  # a run of its own
        validation = Validation(NETWORK, self.data, np.arange(30), "squared_error", 1, None)
        monitor = Monitor(self.state, options, validation, "loss", resumes=resumes)
        listeners = listeners or Listeners()
        energy = Energy(NETWORK, "squared_error", self.data, None, self.state, 0.01, None)
        outcome = train(NETWORK, "squared_error", self.data, self.state, options, monitor, listeners, energy)
        monitor.restore_best()
        return outcome


class Taken(Listeners):
    """Takes the state after an epoch, or after the last if there are fewer."""

    is_watched = True

    def __init__(self, after: int) -> None:
        self.after = after
        self.state: dict[str, Any] = {}
        self.epochs: list[int] = []

    def epoch_ends(self, state: TrainingState, epoch: int, logs: dict[str, float]) -> bool:
        self.epochs.append(epoch)
        if epoch < self.after:
            self.state = state.state_dict()
        return False


RULES = [
    optim.SGD(0.01, momentum=0.9),
    optim.Adam(0.01, amsgrad=True),
    optim.RMSprop(0.01, centered=True),
    optim.Rprop(),
]


@pytest.mark.parametrize(
    "schedule", [schedules.Cosine(T_max=12), schedules.Plateau(patience=0, threshold=0.5)]
)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loaded_state_continues_like_the_original(dtype: Any, rule: Any, schedule: Any) -> None:
    whole = Run(dtype, rule, schedule)
    whole.go(4)
    taken = whole.state.state_dict()
    other = Run(dtype, rule, schedule, seed=1)
    other.state.load_state_dict(taken)
    for run in (whole, other):
        assert run.go(6) == Outcome("max_iter")
    for a, b in zip(whole.state.weights, other.state.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.state.records.loss_curve == other.state.records.loss_curve
    assert whole.state.records.validation_scores == other.state.records.validation_scores
    assert whole.state.random_state.randint(2**31) == other.state.random_state.randint(2**31)


def same(a: Run, b: Run) -> None:
    for x, y in zip(a.state.weights, b.state.weights, strict=True):
        np.testing.assert_array_equal(x, y)
    assert {**vars(a.state.records)} == {**vars(b.state.records)}
    assert a.state.random_state.randint(2**31) == b.state.random_state.randint(2**31)


@pytest.mark.parametrize("after", [1, 4, 9, 10])
@pytest.mark.parametrize("ema_decay", [0.0, 0.7])
@pytest.mark.parametrize("schedule", [schedules.Cosine(T_max=12), "adaptive"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_continues_from_a_state_taken_in_its_course(
    dtype: Any, schedule: Any, ema_decay: float, after: int
) -> None:
    """With its best weights, its average, and the number of epochs that are left."""
    more = {"ema_decay": ema_decay, "tol": 0.01, "n_iter_no_change": 3, "by_score": True}
    rule = optim.Adam(0.03)
    whole, taken = Run(dtype, rule, schedule), Taken(after)
    whole.state.records.best_loss = None
    outcome = whole.go(10, taken, **more)
    resumed = Run(dtype, rule, schedule, seed=1)
    resumed.state.load_state_dict(taken.state)
    assert resumed.go(10, resumes=True, **more) == outcome
    same(whole, resumed)


@pytest.mark.parametrize("after", [1, 7, 20])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solvers_without_an_optimizer_continue_from_a_state(dtype: Any, solver: Any, after: int) -> None:
    whole, taken = Run(dtype, optim.Adam(), "constant"), Taken(after)
    outcome = whole.go(20, taken, solver=solver)
    resumed, seen = Run(dtype, optim.Adam(), "constant", seed=1), Taken(20)
    resumed.state.load_state_dict(taken.state)
    assert resumed.go(20, seen, resumes=True, solver=solver) == outcome
    same(whole, resumed)
    assert seen.epochs == list(range(after, 20))


def test_a_run_that_has_ended_is_not_continued() -> None:
    more = {"tol": 1e3, "n_iter_no_change": 2}
    whole, taken = Run(np.float64, optim.Adam(0.03), "constant"), Taken(4)
    assert whole.go(10, taken, **more) == Outcome("flat")
    resumed = Run(np.float64, optim.Adam(0.03), "constant", seed=1)
    resumed.state.load_state_dict(taken.state)
    assert resumed.go(10, resumes=True, **more) == Outcome("flat")
    same(whole, resumed)
    # But for a limit on epochs.
    whole, taken = Run(np.float64, optim.Adam(0.03), "constant"), Taken(4)
    assert whole.go(4, taken) == Outcome("max_iter")
    resumed.state.load_state_dict({**taken.state, "ended_by": "max_iter"})
    resumed.go(6, resumes=True)
    whole = Run(np.float64, optim.Adam(0.03), "constant")
    whole.go(6)
    same(whole, resumed)


def test_a_fingerprint_tells_data_apart() -> None:
    X, y = np.arange(12.0).reshape(4, 3), np.arange(4.0)[:, np.newaxis]
    csr = (np.ones(2), np.zeros(2, np.int64), np.arange(5, dtype=np.int64))
    steps = Sequences(X, np.array([0, 1, 4]), ragged=True)
    data = [
        Data(X, y, None),
        Data(X, y, np.ones(4)),
        Data(X.astype(np.float32), y, None),
        Data(X.reshape(3, 4), y, None),
        Data(X + np.eye(4, 3) * 1e-15, y, None),
        Data(X, y + 1, None),
        Data(csr, y, None),
        Data(steps, y, None),
        Data(replace(steps, starts=np.array([0, 2, 4])), y, None),
    ]
    found = [fingerprint(one) for one in data] + [fingerprint(data[0], data[0]), fingerprint(data[0], None)]
    assert len(set(found)) == len(found)
    assert fingerprint(Data(X.copy(order="F"), y.copy(), None)) == found[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_options_with_a_schedule_continue_from_a_loaded_state(dtype: Any) -> None:
    falls = schedules.Plateau(patience=0, threshold=0.5, factor=0.5)
    scheduled = {
        "dropout": Scheduled("dropout", 0.1, falls, Limits(0, 1), (0.0, 1.0, 0.0)),
        "weight_decay": Scheduled("weight_decay", 0.5, schedules.Cosine(T_max=12), Limits(0)),
    }
    whole = Run(dtype, optim.Adam(0.01), "constant", scheduled=scheduled)
    whole.go(4)
    taken = whole.state.state_dict()
    other = Run(dtype, optim.Adam(0.01), "constant", seed=1, scheduled=scheduled)
    other.state.load_state_dict(taken)
    for run in (whole, other):
        assert run.go(6) == Outcome("max_iter")
        assert run.state.optimizer is not None
        assert run.state.optimizer.of_epoch["dropout"][1] < 0.1
    for a, b in zip(whole.state.weights, other.state.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    plain = Run(dtype, optim.Adam(0.01), "constant")
    plain.go(10)
    assert not np.array_equal(plain.state.weights.coefs[1], whole.state.weights.coefs[1])


def test_the_state_of_a_schedule_within_another_is_copied() -> None:
    schedule = schedules.Warmup(schedules.Plateau(patience=0, threshold=0.5), total_iters=3)
    whole = Run(np.float64, optim.SGD(0.01), schedule)
    whole.go(4)
    taken = whole.state.state_dict()
    whole.go(3)
    other = Run(np.float64, optim.SGD(0.01), schedule, seed=1)
    other.state.load_state_dict(taken)
    other.go(3)
    assert whole.state.records.learning_rate_curve == other.state.records.learning_rate_curve


def test_a_state_is_plain_values() -> None:
    run = Run(np.float64, optim.Adam(), "cosine")
    run.go(2)
    taken = run.state.state_dict()

    def check(value: Any) -> None:
        if isinstance(value, dict):
            assert all(isinstance(name, str) for name in value)
            list(map(check, value.values()))
        elif isinstance(value, list):
            list(map(check, value))
        else:
            assert value is None or isinstance(value, int | float | str | np.ndarray)

    check(taken)
    # It is a copy: training on does not change it.
    before = json.dumps(taken, default=lambda array: array.tolist())
    run.go(1)
    assert json.dumps(taken, default=lambda array: array.tolist()) == before


def test_training_knows_no_scikit_learn() -> None:
    program = (
        "import sys; import gdfast.training.train; print([m for m in sys.modules if m.startswith('sklearn')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def imports() -> dict[str, set[str]]:
    """What each module of the package imports from it, imports for type checkers included."""
    root = Path(gdfast.__file__).parent
    names = {
        path: ".".join(("gdfast", *path.relative_to(root).with_suffix("").parts))
        for path in root.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): path for path, name in names.items()} | {"gdfast._core": None}
    found: dict[str, set[str]] = {}
    for name, source in modules.items():
        found[name] = set()
        for node in ast.walk(ast.parse(source.read_text() if source else "")):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gdfast"):
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                found[name] |= {module if module in modules else str(node.module) for module in whole}
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names if alias.name in modules}
    return found


def test_arrows_of_imports_run_one_way() -> None:
    """Of these packages none imports one that comes before it."""
    order = ["gdfast.estimators", "gdfast.training", "gdfast.schedules", "gdfast.optim"]
    for name, imported in imports().items():
        for rank, package in enumerate(order):
            if name.startswith(package):
                assert not any(module.startswith(above) for module in imported for above in order[:rank]), (
                    name
                )


def test_imports_have_no_circle() -> None:
    graph = imports()
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())
