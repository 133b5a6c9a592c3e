"""How the files of this folder were made: a model of each kind, and what it predicts.

    python tests/data/model_files/make.py tests/data/model_files/version_2

A version of the format has its files once and for all: those that are there are never made again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
from gdfast import schedules
from gdfast.callbacks import ModelCheckpoint


def models() -> dict[str, tuple[Any, Any]]:
    """A fitted estimator and some of its inputs, by name."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(60, 3)), np.array(["ant", "bee", "wasp"])[np.arange(60) % 3]
    X[:, 0] += np.arange(60) % 3
    mlp = gdfast.MLPClassifier(
        hidden_layer_sizes=(4, 3),
        activation=["tanh", "elu"],
        activation_params={"elu": 0.5},
        batch_norm=True,
        max_iter=20,
        random_state=0,
        schedule=schedules.Warmup(schedules.Plateau(patience=1), total_iters=3),
        keep_optimizer_state=True,
        warm_start=True,
        class_weight={"ant": 1.0, "bee": 2.0, "wasp": 1.0},
    ).fit(X, y)
    rnn = gdfast.RNNRegressor(
        (3, 2), "lstm", max_iter=10, random_state=0, per_step=True, tbptt=(2, 4), stateful=True
    )
    sequences = X.reshape(12, 5, 3)
    rnn.fit(sequences, sequences[..., :2].cumsum(axis=1))
    table = np.empty((60, 4), object)
    table[:, 0], table[:, 1], table[:, 2] = X[:, 0], y, [None, "a", "b", "c"] * 15
    table[:, 3] = [None, *(X[1:, 1] > 0).tolist()]
    target = 100 * X[:, 0] + 7
    tabular = gdfast.TabularRegressor(
        n_members=2, n_bins=3, hidden_layer_sizes=(4,), max_iter=4, random_state=0, embed_from=2
    ).fit(table, target)
    return {"mlp": (mlp, X[:4]), "rnn": (rnn, sequences[:2]), "table": (tabular, table[:6])}


def checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of a fit that has ended after its fourth epoch, and what continues it."""
    X = np.random.RandomState(1).normal(size=(40, 3)).round(3)
    y = (X[:, 0] > 0).astype(int)
    est = gdfast.MLPClassifier(
        hidden_layer_sizes=(4,),
        schedule=schedules.Plateau(patience=0),
        max_iter=4,
        tol=0.0,
        early_stopping=True,
        ema_decay=0.5,
        dropout=0.1,
        random_state=0,
        callbacks=[ModelCheckpoint(path)],
    ).fit(X, y)
    return {"X": X.tolist(), "y": y.tolist(), "loss_curve": est.loss_curve_}


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    expected: dict[str, Any] = {"checkpoint": checkpoint(folder / "checkpoint.safetensors")}
    for name, (est, X) in models().items():
        est.save(folder / f"{name}.safetensors")
        method = "predict_proba" if hasattr(est, "predict_proba") else "predict"
        expected[name] = {
            "X": X.tolist(),
            "predict": est.predict(X).tolist(),
            method: getattr(est, method)(X).tolist(),
        }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
