"""How near learning_rate_init="auto" comes to the best of a grid, on real tables.

Run `python benchmarks/learning_rates.py FOLDER`, where FOLDER has the tables of `benchmarks/tables.py`. The
best rate is the one of twelve with the least loss on held-out rows in any of 30 epochs.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gdfast import MLPClassifier, MLPRegressor
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tables import tables_in

GRID = np.logspace(-5, 0.5, 12)
MOST_ROWS = 12_000


def data_of(folder: Path, name: str) -> tuple[Any, Any, bool]:
    """Standardized numbers and one-hot categories; the target; whether it is a regression."""
    table = tables_in(folder)[name]
    frame = pd.read_csv(table.file, header=0 if table.header else None)
    target = table.target if isinstance(table.target, str) else frame.columns[table.target]
    y, X = frame[target].to_numpy(), frame.drop(columns=[target])
    numbers = X.select_dtypes("number")
    parts = [StandardScaler().fit_transform(numbers.fillna(numbers.median()))]
    texts = X.drop(columns=numbers.columns).astype(str)
    if texts.shape[1]:
        parts.append(OneHotEncoder(max_categories=30, sparse_output=False).fit_transform(texts))
    is_regression = table.metric == "RMSE"
    if is_regression:
        y = ((y - y.mean()) / y.std()).astype(np.float32)
    rows = np.random.RandomState(0).permutation(len(y))[:MOST_ROWS]
    return np.hstack(parts).astype(np.float32)[rows], y[rows], is_regression


def losses_on(X: Any, y: Any, is_regression: bool, solver: str, rate: Any) -> tuple[float, Any]:
    """The least loss on the last quarter of the rows in 30 epochs, and the fitted estimator."""
    n = len(y) * 3 // 4
    kind = MLPRegressor if is_regression else MLPClassifier
    net = kind(solver=solver, learning_rate_init=rate, max_iter=30, tol=0, random_state=0)
    try:
        net.fit(X[:n], y[:n], X_val=X[n:], y_val=y[n:])
    except ValueError:  # it diverges
        return math.inf, net
    return float(np.nanmin(net.validation_loss_curve_)), net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", default="california,wine,phoneme,letter,spam,adult")
    parser.add_argument("--solvers", default="adam,sgd")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| solver | table | best of the grid | found | found / best | loss: found | best | default |")
    print("| ------ | ----- | ---------------: | ----: | -----------: | ----------: | ---: | ------: |")
    for solver in options.solvers.split(","):
        for name in options.tables.split(","):
            problem = data_of(options.folder, name)
            losses = [losses_on(*problem, solver, rate)[0] for rate in GRID]
            best = float(GRID[int(np.argmin(losses))])
            auto, net = losses_on(*problem, solver, "auto")
            found = net.learning_rate_range_["found"]
            default, _ = losses_on(*problem, solver, 0.001)
            print(
                f"| {solver} | {name} | {best:.2g} | {found:.2g} | {found / best:.2f} | {auto:.3f} "
                f"| {min(losses):.3f} | {default:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
