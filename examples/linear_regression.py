"""Learn y = 2x from four points by plain gradient descent.

Run with ``python examples/linear_regression.py``. The model is one weight and one bias, y = w x + b; each
step computes the loss and its gradient and moves both parameters against it.
"""

from __future__ import annotations

import numpy as np
from gdfast.kernels import mlp_loss_and_grad, sgd_update

LEARNING_RATE = 0.2
STEPS = 600


def chain_rule(X: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """dL/dw and dL/db of L = mean (w x + b - y)^2 / 2, by hand: dL/dw = dL/dy dy/dw."""
    residual = X @ w + b - y  # dL/dy, times the number of points
    return float(np.mean(residual * X)), float(np.mean(residual))


def main() -> tuple[float, float]:
    X = np.array([[1.0], [2.0], [3.0], [4.0]])
    y = 2 * X
    w, b = np.zeros((1, 1)), np.zeros(1)

    for step in range(STEPS + 1):
        loss, ((w_grad,), (b_grad,)) = mlp_loss_and_grad(X, y, [w], [b], loss="squared_error")
        if step == 0:
            print("gradient by hand  ", *chain_rule(X, y, w, b))
            print("gradient by gdfast", w_grad.item(), b_grad.item())
        if step % 100 == 0:
            print(f"step {step:3d}: loss {loss:.3e}, w = {w.item():.7f}, b = {b.item():.7f}")
        if step < STEPS:
            sgd_update(w, w_grad, lr=LEARNING_RATE)
            sgd_update(b, b_grad, lr=LEARNING_RATE)
    return w.item(), b.item()


if __name__ == "__main__":
    main()
