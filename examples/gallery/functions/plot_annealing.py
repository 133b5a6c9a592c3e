"""
Leave local minima by simulated annealing
=========================================

Gradient descent ends in the minimum whose valley it begins in. Simulated annealing is a
random walk that goes uphill now and then, less and less while its temperature falls,
and needs no gradient.
"""

import gdfast
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

# %%
# A surface with many minima
# --------------------------
# Rastrigin's function has a minimum near every point of whole numbers. The lowest is at
# (0, 0).


def rastrigin(x):
    return np.sum(x**2 + 10 - 10 * np.cos(2 * np.pi * x), axis=0)


def gradient(x):
    return 2 * x + 20 * np.pi * np.sin(2 * np.pi * x)


START = np.array([4.4, -3.6])

# %%
# Two walks
# ---------
# ``gdfast.minimize`` has the arguments of ``scipy.optimize.minimize``. A callback gets
# the point of every step of gradient descent; for annealing the function itself notes
# where it is asked.
descent = [START]
stuck = gdfast.minimize(
    rastrigin,
    START,
    jac=gradient,
    method="sgd",
    options={"lr": 0.001},
    callback=lambda x: descent.append(x.copy()),
)

proposals = []


def noted(x):
    proposals.append(x)
    return rastrigin(x)


found = gdfast.minimize(
    noted, START, method="annealing", options={"maxfev": 5000, "seed": 0}
)
for name, result in [("gradient descent", stuck), ("annealing", found)]:
    print(f"{name:<17} x = {result.x.round(3)}, f(x) = {result.fun:.4f}")

# %%
# The picture of it
# -----------------
# Points are proposals of annealing, the colour says when they were made.
descent, proposals = np.array(descent), np.array(proposals)
across, up = np.linspace(-5.5, 5.5, 300), np.linspace(-7.2, 5.5, 300)
surface = rastrigin(np.stack(np.meshgrid(across, up)))

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
left.contourf(across, up, surface, levels=20, cmap="Greys")
points = left.scatter(*proposals.T, c=np.arange(len(proposals)), s=5, cmap="plasma")
left.plot(*descent.T, color="tab:cyan", linewidth=3, label="gradient descent")
left.plot(*START, "o", color="tab:cyan", markersize=8, label="start of both")
left.plot(
    *found.x,
    "*",
    color="lime",
    markersize=15,
    markeredgecolor="k",
    label="found by annealing",
)
left.set(
    xlim=(-5.5, 5.5), ylim=(-7.2, 5.5), xlabel="$x_1$", ylabel="$x_2$", aspect="equal"
)
left.legend(loc="lower left", framealpha=0.9)
figure.colorbar(points, ax=left, label="evaluation")

values = rastrigin(proposals.T)
right.plot(values, ".", markersize=2, color="0.6", label="proposals of annealing")
right.plot(
    np.minimum.accumulate(values),
    color="tab:orange",
    linewidth=2,
    label="best of annealing so far",
)
right.axhline(
    stuck.fun, color="tab:cyan", linewidth=2, label="gradient descent ends here"
)
right.set(xlabel="evaluation", ylabel="f(x)", yscale="log", ylim=(1e-4, 5e3))
right.legend(loc="upper right")
plt.show()

# %%
# Annealing a network
# -------------------
# ``solver="annealing"`` anneals the weights of a network. As it needs no gradient, it
# can maximise a score that has none, any function of the estimator and the data: here
# the accuracy itself. An iteration is a hundred proposals.
X, y = make_moons(150, noise=0.15, random_state=0)


def accuracy(estimator, X, y):
    return np.mean(estimator.predict(X) == y)


net = gdfast.MLPClassifier(
    hidden_layer_sizes=(8,),
    solver="annealing",
    scoring=accuracy,
    max_iter=30,
    random_state=0,
).fit(X, y)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(range(1, len(net.loss_curve_) + 1), -np.array(net.loss_curve_), linewidth=2)
left.set(
    xlabel="iteration", ylabel="accuracy on the training points", xticks=range(0, 31, 5)
)
left.grid(alpha=0.3)
DecisionBoundaryDisplay.from_estimator(
    net,
    X,
    response_method="predict",
    plot_method="pcolormesh",
    cmap="coolwarm",
    alpha=0.4,
    ax=right,
)
right.scatter(*X.T, c=y, cmap="coolwarm", edgecolors="k", s=25)
right.set(title="predicted classes, and the points", xlabel="$x_1$", ylabel="$x_2$")
plt.show()
print(f"accuracy {net.score(X, y):.3f} after {100 * net.n_iter_:,} evaluations")

# %%
# Gradient descent stays in its valley, and annealing finds the lowest of a hundred. It
# pays for that with many evaluations: for losses that have a gradient and networks of
# any size, gradient descent is the method of choice.
