"""Other readers and writers: the package safetensors, skops, pickle and joblib."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import gdfast
import joblib
import numpy as np
import pytest
from models import CASES, assert_alike, fitted
from sklearn.base import clone


@pytest.mark.parametrize("case", CASES)
def test_the_package_safetensors_reads_our_files(case: str, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    est, path = fitted(case), tmp_path / "model.safetensors"
    est.save(path)
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata()["format"] == "gdfast"
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    members = getattr(est, "members_", [est])
    for number, member in enumerate(members):
        prefix = f"members_.{number}." if "table" in case else ""
        for name in ("coefs_", "intercepts_"):
            for i, array in enumerate(getattr(member, name)):
                assert_alike(array, found[f"{prefix}{name}.{i}"])


def test_we_read_what_the_package_writes(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    est, path = fitted("everything"), tmp_path / "model.safetensors"
    est.save(path)
    with pytest.importorskip("safetensors").safe_open(path, "numpy") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    safetensors.save_file(arrays, tmp_path / "again.safetensors", metadata)
    assert_alike(est, gdfast.load(tmp_path / "again.safetensors"))


def test_somebody_elses_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    for metadata in (None, {"format": "pt"}):
        safetensors.save_file({"weight": np.ones((3, 4))}, tmp_path / "model", metadata)
        with pytest.raises(gdfast.ModelFormatError, match="has the safetensors layout, but is not of gdfast"):
            gdfast.load(tmp_path / "model")


# What skops is told to trust: plain classes of gdfast, by their names.
TRUSTED = (
    "gdfast.estimators.",
    "gdfast.optim.",
    "gdfast.prediction.",
    "gdfast.preprocessing.",
    "gdfast.schedules.",
    "gdfast.training.",
)


@pytest.mark.parametrize("case", CASES)
def test_skops(case: str) -> None:
    io_of = pytest.importorskip("skops.io")
    est = fitted(case)
    whole = io_of.dumps(est)
    unknown = io_of.get_untrusted_types(data=whole)
    # Beside them some of NumPy's own, and of scikit-learn's where its scorer is held.
    assert all(name.startswith((*TRUSTED, "numpy.", "sklearn.metrics.", "builtins.")) for name in unknown)
    assert_alike(est.predict(CASES[case]()[1]), io_of.loads(whole, trusted=unknown).predict(CASES[case]()[1]))


@pytest.mark.parametrize("case", CASES)
def test_pickle_and_joblib(case: str) -> None:
    est, file = fitted(case), io.BytesIO()
    joblib.dump(est, file)
    file.seek(0)
    for again in (pickle.loads(pickle.dumps(est)), joblib.load(file), copy.deepcopy(est)):
        assert_alike(est, again)
        assert not hasattr(again, "_gdfast_version")


@pytest.mark.parametrize("case", ["everything", "gru", "table of numbers"])
def test_a_pickle_of_another_version_says_so(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gdfast._model_file import models

    est = fitted(case)
    monkeypatch.setattr(models, "__version__", "0.0.1")
    old = pickle.dumps(est)
    monkeypatch.undo()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = pickle.loads(old)
    assert {warning.category for warning in caught} == {gdfast.InconsistentVersionWarning}
    # One for each estimator and encoder within it.
    said = f"This pickle of {type(est).__name__} was written by gdfast 0.0.1, and is loaded by gdfast"
    assert any(str(warning.message).startswith(said) for warning in caught)
    assert_alike(est, again)


def test_a_pickle_without_a_version_says_so() -> None:
    class Old(gdfast.MLPClassifier):
        def __getstate__(self) -> Any:
            return dict(vars(self))

    state = Old().__getstate__()
    with pytest.warns(gdfast.InconsistentVersionWarning, match="was written by gdfast unknown"):
        gdfast.MLPClassifier().__setstate__(state)


def test_copies_and_clones_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est = fitted("everything")
        assert_alike(est, copy.copy(est))
        clone(est)
