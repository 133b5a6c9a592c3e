"""A training state as plain values, and training that goes on from one."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import make
from gdfast import optim, schedules
from gdfast.training.data import Data
from gdfast.training.init import draw
from gdfast.training.listeners import Listeners
from gdfast.training.monitor import Monitor, Validation
from gdfast.training.network import MLP
from gdfast.training.optimizer import Optimizer
from gdfast.training.options import StepOptions, TrainingOptions
from gdfast.training.order import RowOrder
from gdfast.training.outcome import Outcome
from gdfast.training.state import TrainingState
from gdfast.training.train import train
from gdfast.training.weights import Weights

NETWORK = MLP(("tanh", "relu"), "identity", n_threads=1, dropout=[0.0, 0.1, 0.0])


class Run:
    """A run of training without an estimator."""

    def __init__(self, dtype: Any, rule: optim.Optimizer, schedule: Any, seed: int = 0) -> None:
        X, labels = make(dtype)
        self.data = Data(X, labels[:, np.newaxis].astype(dtype), None)
        random_state = np.random.RandomState(seed)
        coefs, intercepts = draw(
            "he_normal", [5, 8, 7, 1], ["tanh", "relu", "identity"], np.dtype(dtype), random_state
        )
        self.state = TrainingState(Weights({"coefs_": coefs, "intercepts_": intercepts}), random_state)
        name, params = rule._rule()
        self.state.optimizer = Optimizer(name, params, rule.lr, schedules.resolve(schedule), 0.5)
        self.state.optimizer.seed = 7
        self.state.order = RowOrder(len(X), random_state)
        self.state.records.begin(by_score=False, validates=True)
        self.state.records.t = 0
        self.state.scored_by = "loss"

    def go(self, epochs: int) -> Outcome:
        options = TrainingOptions(
            solver="stochastic",
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=np.inf,
            by_score=False,
            step=StepOptions(alpha=0.01, clip_norm="auto", gradient_noise=0.01),
            batch_size=17,
        )
        validation = Validation(NETWORK, self.data, np.arange(30), "squared_error", 1, None)
        monitor = Monitor(self.state, options, validation, "loss")
        return train(NETWORK, "squared_error", self.data, self.state, options, monitor, Listeners())


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
def test_a_loaded_state_goes_on_as_the_one_that_it_was_taken_of(dtype: Any, rule: Any, schedule: Any) -> None:
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


def test_arrows_of_imports_run_one_way() -> None:
    """Of these packages none imports one that comes before it, imports for type checkers included."""
    root = Path(gdfast.__file__).parent
    order = ["estimators", "training", "schedules", "optim"]
    for rank, package in enumerate(order):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
                for above in order[:rank]:
                    assert not any(name.startswith(f"gdfast.{above}") for name in names), (path, names)
