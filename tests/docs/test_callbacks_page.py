"""The programs of docs/callbacks.md run as they stand, but for libraries that only they need."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gdfast
import pytest
from fits import make

PAGE = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def program_with(words: str) -> str:
    (found,) = (program for program in PROGRAMS if words in program)
    return found


def fit_with(callback: Any) -> Any:
    return gdfast.MLPRegressor(max_iter=3, random_state=0, callbacks=[callback]).fit(*make())


def test_those_that_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(program_with("EarlyStopping("), names)
    assert list(tmp_path.glob("digits-*.safetensors"))
    exec(program_with("resume"), names)


def test_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a writer that takes what SummaryWriter takes."""
    written: list[Any] = []

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            written.append(log_dir)

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((tag, scalar_value, global_step))

        def close(self) -> None:
            written.append("closed")

    for name in ("torch", "torch.utils", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["torch.utils.tensorboard"].SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    names: dict[str, Any] = {}
    exec(program_with("class TensorBoard"), names)
    est = fit_with(names["TensorBoard"]("runs"))
    assert (written[0], written[-1]) == ("runs", "closed")
    assert [entry[1:] for entry in written if entry[0] == "loss"] == [
        (loss, epoch) for epoch, loss in enumerate(est.loss_curve_)
    ]


def test_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = ModuleType("mlflow")
    logged: list[Any] = []
    mlflow.log_params = lambda params: logged.append(params)  # type: ignore[attr-defined]
    mlflow.log_metrics = lambda metrics, step: logged.append((metrics, step))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    names: dict[str, Any] = {}
    exec(program_with("class MLflow"), names)
    est = fit_with(names["MLflow"]())
    assert logged[0]["alpha"] == est.alpha
    assert [step for _, step in logged[1:]] == [0, 1, 2]


def test_scikit_learns_own() -> None:
    pytest.importorskip("sklearn.callback")
    exec(program_with("sklearn.callback"), {})
