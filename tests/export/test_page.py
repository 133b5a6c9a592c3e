"""The programs of docs/export.md run, as far as what they need is installed."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "export.md").read_text(encoding="utf-8")
SECTIONS = dict(section.split("\n", 1) for section in PAGE.split("\n## ")[1:])
PROGRAMS = {
    title: re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    for title, text in SECTIONS.items()
    if "```python" in text
}
OPTIONAL = ("onnx", "onnxruntime", "skl2onnx", "torch", "mlflow")
# Of the program before the first, for those that do without ONNX.
SETUP = PROGRAMS["ONNX"].partition("\nto_onnx(")[0]


@pytest.mark.parametrize(
    "title", [pytest.param(t, marks=[pytest.mark.slow] * (t == "MLflow")) for t in PROGRAMS]
)
def test_programs_run(title: str, tmp_path: Path) -> None:
    program, callbacks = PROGRAMS[title], (DOCS / "callbacks.md").read_text(encoding="utf-8")
    if title != "ONNX":
        setup = SETUP if title == "skl2onnx" else re.sub("import onnxruntime\n|.*to_onnx\n", "", SETUP)
        program = setup + "\n" + program
    if title == "MLflow":
        (callback,) = re.findall(r"```python\n(import mlflow\n.*?)```", callbacks, re.DOTALL)
        program = callback + "\n" + program
    for name in OPTIONAL:
        if (
            re.search(rf"^(import|from) {name}\b", program, re.MULTILINE)
            and importlib.util.find_spec(name) is None
        ):
            pytest.skip(f"{name} is not installed")
    # Warnings of MLflow's own are not ours.
    strict = [] if title == "MLflow" else ["-W", "error", "-W", "ignore:Stochastic Optimizer"]
    done = subprocess.run(
        [sys.executable, *strict, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    if title == "C":
        declarations = re.search(r"```c\n(.*?)```", PAGE, re.DOTALL)
        assert declarations
        check_c(declarations[1], tmp_path)
    if title == "MLflow":
        assert (tmp_path / "runs.db").exists()


def check_c(program: str, folder: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return
    head, body = program.split("\n\n")
    main = (
        f"{head}\nint main(void) {{ float features[IRIS_N_FEATURES] = {{0}};\n{body}\nreturn number > 2; }}\n"
    )
    (folder / "main.c").write_text(main)
    done = subprocess.run(
        [compiler, "-std=c99", "-Wall", "-Werror", "main.c", "iris.c", "-o", "main", "-lm"],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert subprocess.run([folder / "main"], timeout=60).returncode == 0


@pytest.mark.slow
def test_mlflows_autolog(tmp_path: Path) -> None:
    """What the page says of it: a bare estimator is not logged, a pipeline of it is."""
    pytest.importorskip("mlflow")
    program = """
import mlflow, numpy as np
from gdfast import MLPClassifier
from sklearn.pipeline import make_pipeline
mlflow.set_tracking_uri("sqlite:///runs.db")
mlflow.sklearn.autolog(log_models=False)
X = np.random.RandomState(0).normal(size=(60, 4))
y = X[:, 0] > 0
for est in (MLPClassifier(3, max_iter=1), make_pipeline(MLPClassifier(3, max_iter=1))):
    with mlflow.start_run() as run:
        est.fit(X, y)
    data = mlflow.get_run(run.info.run_id).data
    print(bool(data.params), "training_score" in data.metrics)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.stdout.split() == ["False", "False", "True", "True"], done.stderr
