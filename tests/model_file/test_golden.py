"""Files of every version of the format load for ever, and predict what they did when they were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast._model_file import files

FOLDER = Path(__file__).parents[1] / "data" / "model_files"
VERSIONS = [path for path in sorted(FOLDER.iterdir()) if path.is_dir() and path.name.startswith("version_")]
KINDS = {"mlp": gdfast.MLPClassifier, "rnn": gdfast.RNNRegressor, "table": gdfast.TabularRegressor}


def inputs(name: str, values: Any) -> np.ndarray:
    return np.array(values, object if name == "table" else float)


def check(found: np.ndarray, expected: Any) -> None:
    """Labels are the same. Numbers are those of another instruction set, perhaps.

    Its sums round elsewhere, and its exponentials differ in the last bits. These networks are small, and
    what is recorded of float32 (tables) has a relative error of some 1e-7.
    """
    expected = np.array(expected)
    if found.dtype.kind in "OU":
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_golden_files(folder: Path, name: str) -> None:
    expected = json.loads((folder / "expected.json").read_text())[name]
    X = inputs(name, expected.pop("X"))
    est = gdfast.load(folder / f"{name}.safetensors")
    assert type(est) is KINDS[name]
    for model in (est, gdfast.load(folder / f"{name}.safetensors", training=False)):
        for method, values in expected.items():
            check(getattr(model, method)(X), values)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_training_goes_on_from_golden_files(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    mlp, rnn = (gdfast.load(folder / f"{name}.safetensors") for name in ("mlp", "rnn"))
    assert mlp._training.optimizer.state_dict()["step"] == 20
    X = np.tile(inputs("mlp", expected["mlp"]["X"]), (10, 1))
    mlp.partial_fit(X, mlp.predict(X))
    assert mlp._training.optimizer.state_dict()["step"] == 21
    assert len(rnn.state_) == 2
    assert rnn.state_[0].shape == (12, 6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_fits_continue_from_golden_checkpoints(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())["checkpoint"]
    X, y = np.array(expected["X"]), np.array(expected["y"])
    path = folder / "checkpoint.safetensors"
    est = gdfast.load(path)
    assert est.loss_curve_ == expected["loss_curve"]
    est.set_params(max_iter=8, resume=path).fit(X, y)
    assert est.loss_curve_[:4] == expected["loss_curve"]
    assert len(est.loss_curve_) == len(est.validation_scores_) == 8
    whole = gdfast.MLPClassifier(**{**est.get_params(deep=False), "resume": None}).fit(X, y)
    check(np.array(est.loss_curve_), whole.loss_curve_)
    check(est.coefs_[0], whole.coefs_[0])


def test_the_current_version_has_its_files() -> None:
    assert [folder.name for folder in VERSIONS] == [f"version_{i + 1}" for i in range(files.FORMAT_VERSION)]
