"""The whole state of a run of training, in the middle of a fit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast._model_file import files
from gdfast._model_file.models import encode_state, load_state
from gdfast.training.order import RowOrder
from hostile import Parts
from models import CASES, assert_alike

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Keep:
    """Keeps the state after each epoch, as plain values."""

    def __init__(self) -> None:
        self.states: list[Any] = []
        self.last: Any = None

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        self.states.append(est._training.state_dict())
        self.last = est._training


@pytest.mark.parametrize("case", ["everything", "regression", "lstm, stateful", "lbfgs", "a rule"])
def test_states_come_back(case: str, tmp_path: Path) -> None:
    est, X, y = CASES[case]()
    keep = Keep()
    est.set_params(callbacks=[keep]).fit(X, y)
    state = keep.states[1]
    whole = {
        "state": state,
        "epoch": 1,
        "fingerprint": np.arange(4, dtype=np.uint64),
        "more": (None, {1: "a"}),
    }
    files.write(tmp_path / "state", encode_state(whole))
    loaded = load_state(tmp_path / "state")
    assert_alike(whole, loaded)
    training = copy.deepcopy(keep.last)
    training.order = RowOrder(60, training.random_state)  # which the end of a fit releases
    training.load_state_dict(loaded["state"])
    assert_alike(state, training.state_dict())


def test_values_without_a_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^state\.optimizer\.1 cannot be saved: builtins\.function"):
        encode_state({"state": {"optimizer": [1, lambda: 0]}})


def test_hostile_random_states_are_refused(tmp_path: Path) -> None:
    """A plain state is checked where it is set: NumPy would read behind its key."""
    from gdfast.training.state import TrainingState
    from gdfast.training.weights import Weights

    state = TrainingState(Weights({}), np.random.RandomState(0))
    files.write(tmp_path / "state", encode_state(state.state_dict()))
    parts = Parts((tmp_path / "state").read_bytes())
    parts.tree["random_state"]["state"]["pos"] = 10**6
    (tmp_path / "state").write_bytes(parts.whole())
    loaded = load_state(tmp_path / "state")
    with pytest.raises(ValueError, match=r"pos of a random state of MT19937 must lie in \[0, 625\)"):
        state.load_state_dict(loaded)


def test_a_state_is_no_model(tmp_path: Path) -> None:
    files.write(tmp_path / "state", encode_state({"a": 1}))
    with pytest.raises(gdfast.ModelFormatError, match="it holds no model"):
        gdfast.load(tmp_path / "state")
