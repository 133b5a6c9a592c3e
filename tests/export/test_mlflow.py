"""What docs/export.md says of MLflow's autolog: a bare estimator is not logged, a pipeline of it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
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


@pytest.mark.slow
def test_autolog(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.stdout.split() == ["False", "False", "True", "True"], done.stderr
