"""What the callbacks of docs/callbacks.md log, to stand-ins for the libraries that they need."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import gdfast.estimators  # noqa: F401  # now, for scikit-learn asks a torch that has been imported for its arrays
import pytest
from pages import ROOT, blocks_of

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


def run_block_with(words: str) -> None:
    (block,) = (block for block in blocks_of(ROOT / "docs" / "callbacks.md") if words in block.text)
    exec(block.text, {})


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def test_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            written.append(log_dir)

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((tag, scalar_value, global_step))

        def close(self) -> None:
            written.append("closed")

    stand_in(monkeypatch, "torch")
    stand_in(monkeypatch, "torch.utils")
    stand_in(monkeypatch, "torch.utils.tensorboard", SummaryWriter=SummaryWriter)
    run_block_with("class TensorBoard")
    folder, *scalars, end = written
    assert (folder, end) == ("runs", "closed")
    losses = [(epoch, loss) for name, loss, epoch in scalars if name == "loss"]
    assert [epoch for epoch, _ in losses] == list(range(20))
    assert losses[-1][1] < losses[0][1]


def test_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(params={}, metrics=[])
    stand_in(
        monkeypatch,
        "mlflow",
        set_tracking_uri=lambda uri: None,
        start_run=contextlib.nullcontext,
        log_params=run.params.update,
        log_metrics=lambda metrics, step: run.metrics.append((step, metrics)),
    )
    run_block_with("class MLflow")
    assert run.params["max_iter"] == 20
    assert [step for step, _ in run.metrics] == list(range(20))
    assert {"loss", "learning_rate", "time"} <= run.metrics[0][1].keys()
