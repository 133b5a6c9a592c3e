"""
Gradient descent, step by step
==============================

Learn y = 2x from four points. The model is one weight and one bias, ``gdfast.kernels``
has its loss and gradient, and each step moves both parameters against the gradient.
"""

import matplotlib.pyplot as plt
import numpy as np
from gdfast.kernels import mlp_loss_and_grad, sgd_update

X = np.array([[1.0], [2.0], [3.0], [4.0]])
y = 2 * X

# %%
# The gradient
# ------------
# The loss is the mean of (w x + b - y)^2 / 2. By the chain rule its derivative with
# respect to w is the mean of (w x + b - y) x, and with respect to b the mean of (w x +
# b - y). The kernel computes the same for networks of any depth; without a hidden layer
# it is this line.
w, b = np.zeros((1, 1)), np.zeros(1)
residual = X @ w + b - y
print("gradient by hand  ", np.mean(residual * X), np.mean(residual))

loss, ((w_grad,), (b_grad,)) = mlp_loss_and_grad(X, y, [w], [b], loss="squared_error")
print("gradient by gdfast", w_grad.item(), b_grad.item())


# %%
# Descent
# -------
# ``sgd_update`` changes an array in place, by minus the learning rate times the
# gradient.
def descend(learning_rate, n_steps):
    """The parameters and the loss at the beginning and after every step."""
    w, b = np.zeros((1, 1)), np.zeros(1)
    path = []
    for _ in range(n_steps + 1):
        loss, ((w_grad,), (b_grad,)) = mlp_loss_and_grad(
            X, y, [w], [b], loss="squared_error"
        )
        path.append((w.item(), b.item(), loss))
        sgd_update(w, w_grad, lr=learning_rate)
        sgd_update(b, b_grad, lr=learning_rate)
    return np.array(path)


path = descend(learning_rate=0.2, n_steps=600)
for step in range(0, 601, 100):
    w_now, b_now, loss = path[step]
    print(f"step {step:3d}: loss {loss:.3e}, w = {w_now:.7f}, b = {b_now:.7f}")

# %%
# The learning rate
# -----------------
# The loss is a bowl that is steep in one direction and flat in the other. With the
# Hessian ``H`` of the loss, descent converges at rates below 2 / (largest eigenvalue of
# H).
inputs = np.hstack([X, np.ones((4, 1))])
eigenvalues = np.linalg.eigvalsh(inputs.T @ inputs / 4)
limit = 2 / eigenvalues[-1]
print(f"eigenvalues {eigenvalues.round(3)}, largest learning rate {limit:.4f}")

# %%
# Below the limit but near it, the path goes to and fro across the valley; above it
# every step is longer than the one before.
grid_w, grid_b = np.meshgrid(np.linspace(-1.5, 5.5, 200), np.linspace(-1.5, 2, 200))
surface = np.mean(
    [(grid_w * x + grid_b - 2 * x) ** 2 / 2 for x in (1, 2, 3, 4)], axis=0
)

figure, axes = plt.subplots(
    1, 3, figsize=(12, 3.9), layout="constrained", sharex=True, sharey=True
)
for ax, factor, n_steps in zip(axes, [0.3, 0.9, 1.03], [60, 60, 8]):
    path = descend(factor * limit, n_steps)
    ax.contourf(
        grid_w,
        grid_b,
        surface,
        levels=np.geomspace(1e-3, 100, 24),
        cmap="Blues_r",
        norm="log",
    )
    ax.plot(path[:, 0], path[:, 1], ".-", color="tab:orange", linewidth=1)
    ax.plot(2, 0, "*", color="red", markersize=12)
    ax.set(title=f"{factor:g} times the limit, {n_steps} steps", xlabel="weight w")
axes[0].set_ylabel("bias b")
plt.show()

# %%
# Descent finds w = 2 and b = 0. A few steps are enough for the steep direction, but the
# rate that it allows is small for the flat one, along which most of the 600 steps are
# taken.
