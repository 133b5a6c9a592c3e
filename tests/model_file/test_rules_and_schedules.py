"""Rules and schedules come back from a file with their state."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import optim, preprocessing, schedules
from gdfast._model_file import files, objects
from gdfast.schedules import Progress, Schedule
from gdfast.training.state import TrainingState
from gdfast.training.weights import Weights
from models import assert_alike
from rule_variants import VARIANTS
from whole_variants import WHOLE

# (hidden has a flag for each array.)
ALL = {**VARIANTS, **WHOLE, "muon hidden": optim.Muon(hidden=(False, False))}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def through_a_file(state: Any, path: Path) -> Any:
    files.write(path, files.encode_tree(objects.store(state), copies=False))

    def build(tree: Any) -> Any:
        objects.check(tree)
        return objects.build(tree)

    return files.read(path, build)


def test_the_lists_of_classes_are_whole() -> None:
    """Every rule and schedule has a place, but for what takes a function, and base classes."""
    of_optim = {f"gdfast.optim.{name}" for name in optim.__all__} - {"gdfast.optim.Optimizer"}
    assert of_optim == objects.RULES
    kinds = {name: getattr(schedules, name) for name in schedules.__all__}
    found = {name for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Schedule)}
    assert {f"gdfast.schedules.{name}" for name in found - {"Lambda", "Schedule"}} == objects.SCHEDULES
    estimators = {"MLP", "RNN", "Tabular"}
    wanted = {f"gdfast.{name}{kind}" for name in estimators for kind in ("Classifier", "Regressor")}
    assert wanted | {f"gdfast.preprocessing.{n}" for n in preprocessing.__all__} == objects.ESTIMATORS


@pytest.mark.parametrize("variant", ALL)
def test_rules_come_back_with_their_state(variant: str, tmp_path: Path) -> None:
    rule, weights = copy.deepcopy(ALL[variant]), [np.ones((2, 3)), np.ones(3)]
    for taken in range(3):
        loaded = through_a_file({"rule": rule}, tmp_path / "state")["rule"]
        assert loaded.steps == taken
        assert_alike(rule, loaded)
        again = [array.copy() for array in weights]
        grads = [np.full((2, 3), 0.5), np.arange(3.0)]
        rule.step(weights, grads)
        loaded.step(again, grads)
        assert_alike(weights, again)


SCHEDULES = [
    schedules.Adaptive(n_iter_no_change=1),
    schedules.Constant(),
    schedules.Cosine(T_max=3),
    schedules.CosineRestarts(2, 2),
    schedules.Exponential(0.5),
    schedules.InvScaling(),
    schedules.MultiStep(np.array([1, 3])),
    schedules.OneCycle(),
    schedules.Plateau("max", patience=0),
    schedules.Polynomial(),
    schedules.Step(2),
    schedules.Warmup(schedules.Warmup(schedules.Plateau(patience=0))),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_schedules_come_back_with_their_state(schedule: Schedule, tmp_path: Path) -> None:
    for epoch in range(5):
        [loaded] = through_a_file([schedule], tmp_path / "state")
        assert_alike(schedule, loaded)
        now = Progress(epoch, 2 * epoch, 9 * epoch, 2, 5)
        assert_alike(schedule.rates(0.5, now), loaded.rates(0.5, now))
        schedule.epoch_ends(1.0)


def test_hostile_random_states_are_refused() -> None:
    """A plain state is checked where it is set: NumPy would read behind its key."""
    state = TrainingState(Weights({}), np.random.RandomState(0))
    taken = state.state_dict()
    taken["random_state"]["state"]["pos"] = 10**6
    with pytest.raises(ValueError, match=r"pos of a random state of MT19937 must lie in \[0, 625\)"):
        state.load_state_dict(taken)


def test_rules_are_no_model(tmp_path: Path) -> None:
    files.write(tmp_path / "state", files.encode_tree(objects.store(optim.Adam()), copies=False))
    with pytest.raises(gdfast.ModelFormatError, match="it holds no model"):
        gdfast.load(tmp_path / "state")


def test_a_list_among_the_hyper_parameters(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    rule = optim.Muon(hidden=[True, False, False, False])
    est = gdfast.MLPRegressor(hidden_layer_sizes=(8,), solver=rule, random_state=0).partial_fit(X, X[:, 0])
    est.save(tmp_path / "model")
    loaded = gdfast.load(tmp_path / "model").partial_fit(X, X[:, 0])
    est.partial_fit(X, X[:, 0])
    np.testing.assert_array_equal(loaded.coefs_[0], est.coefs_[0])
