"""Progression of diabetes from ten measurements: a network with scaled targets.

Run with ``python examples/regression.py``. It prints the held-out R2 score of a linear model, of gdfast and
of scikit-learn's network, and the time that each takes.
"""

from __future__ import annotations

import time

import gdfast
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor as SklearnMLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ARGUMENTS = {
    "hidden_layer_sizes": (50,),
    "activation": "tanh",
    "alpha": 10.0,
    "max_iter": 1000,
    "random_state": 0,
}


def main() -> None:
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)

    regressors = {
        "linear model": LinearRegression(),
        "gdfast": gdfast.MLPRegressor(**ARGUMENTS),
        "scikit-learn": SklearnMLPRegressor(**ARGUMENTS),
    }
    for name, regressor in regressors.items():
        # The scale of y matters as much as that of X: the initial outputs of a network are near 0.
        model = TransformedTargetRegressor(
            make_pipeline(StandardScaler(), regressor), transformer=StandardScaler()
        )
        start = time.perf_counter()
        model.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        print(f"{name:<13} test R2 {model.score(X_test, y_test):.4f}   fitted in {seconds:.3f} s")


if __name__ == "__main__":
    main()
