"""Learns a system from its measurements, in a compiled loop. First: python setup.py build_ext --inplace"""

from __future__ import annotations

import numpy as np
from gdfast.kernels import mlp_forward
from online import OnlineRegressor


def main() -> None:
    model = OnlineRegressor(seed=0)
    for _ in range(5):
        error = model.learn(20_000)
        print(f"after {model.n_steps:7,} rows: mean squared error {error:.2e}")

    # The weights are ordinary arrays: gdfast.kernels computes the same from them.
    X = np.array([[0.5, -1.0], [-0.3, 2.0]])
    predicted = mlp_forward(X, model.weights, model.biases, activation="tanh").ravel()
    assert (model.predict(X) == predicted).all()
    print(f"predicted {predicted.round(2)}, measured {measured(X).round(2)}")


def measured(X: np.ndarray) -> np.ndarray:
    output, control = X.T
    return 0.6 * output + np.tanh(control) * (1 - 0.4 * output**2)


if __name__ == "__main__":
    main()
