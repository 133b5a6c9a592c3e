"""The same search over both libraries, which differs in one import only.

Run with ``python examples/drop_in.py``. It searches for a network that classifies three kinds of wine, once
with scikit-learn's ``MLPClassifier`` and once with gdfast's, by the same grid, and prints the scores and the
time that each takes.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import gdfast
import sklearn.neural_network
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

GRID = {
    "mlpclassifier__hidden_layer_sizes": [(20,), (50,), (20, 20)],
    "mlpclassifier__alpha": [1e-4, 1e-1],
    "mlpclassifier__activation": ["relu", "tanh"],
}


def search(classifier: Any) -> GridSearchCV:
    """The same search for the classifier of either library."""
    return GridSearchCV(make_pipeline(StandardScaler(), classifier), GRID, cv=3, n_jobs=1)


def main() -> None:
    X, y = load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    arguments = {"learning_rate_init": 0.01, "batch_size": 32, "max_iter": 60, "random_state": 0}
    warnings.simplefilter("ignore", ConvergenceWarning)  # a search compares short runs

    seconds = {}
    for name, library in (("scikit-learn", sklearn.neural_network), ("gdfast", gdfast)):
        start = time.perf_counter()
        found = search(library.MLPClassifier(**arguments)).fit(X_train, y_train)
        seconds[name] = time.perf_counter() - start
        best = {key.removeprefix("mlpclassifier__"): value for key, value in found.best_params_.items()}
        print(
            f"{name:<13} best score {found.best_score_:.4f}   "
            f"test accuracy {found.score(X_test, y_test):.4f}   searched in {seconds[name]:.2f} s   {best}"
        )
    print(f"gdfast is {seconds['scikit-learn'] / seconds['gdfast']:.1f} x faster than scikit-learn")


if __name__ == "__main__":
    main()
