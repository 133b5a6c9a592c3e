"""
Measure the curvature of a loss
===============================

The largest eigenvalue of the Hessian limits the learning rate of gradient descent:
steps diverge above two divided by it. The example computes the spectrum of a network's
loss, tests the limit, and lets two solvers use the curvature.
"""

import copy
import warnings

import matplotlib.pyplot as plt
import numpy as np
from gdfast import CurvatureDisplay, MLPRegressor
from gdfast.inspect import curvature
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

# %%
# A minimum
# ---------
# ``newton-cg`` takes a small network to a minimum of its loss, with a penalty, so that
# the minimum is a proper one.
warnings.simplefilter(
    "ignore", ConvergenceWarning
)  # where the number of epochs is fixed
X, y = load_diabetes(return_X_y=True)
X, y = scale(X), scale(y)
network = {
    "hidden_layer_sizes": (10,),
    "activation": "tanh",
    "alpha": 30.0,
    "random_state": 0,
}
net = MLPRegressor(solver="newton-cg", tol=1e-8, **network).fit(X, y)

# %%
# The spectrum
# ------------
# The Hessian is never formed: ``curvature`` needs only its products with vectors, which
# are exact.
found = curvature(net, X, y, n_eigenvalues=3, random_state=0)
print(f"parameters           {found.n_parameters}")
print(f"largest eigenvalues  {found.eigenvalues.round(3)}")
print(f"smallest eigenvalue  {found.smallest_eigenvalue:.4f}")
print(f"trace                {found.trace:.1f} +- {found.trace_error:.1f}")
print(f"max. learning rate   {found.max_learning_rate:.3f}")

# %%
# The density says how many eigenvalues lie where: most near zero, and a few far apart.
# The marks below the curve are the three largest and the smallest.
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
CurvatureDisplay(found, estimator_name="loss at the minimum").plot(ax=ax)
ax.grid(alpha=0.3)
plt.show()

# %%
# The largest learning rate
# -------------------------
# Gradient descent begins near the minimum, with rates below and above 2 / largest
# eigenvalue. Its steps are those of the whole gradient, without momentum.
at_minimum = net.loss_
curves = {}
for factor in [0.5, 0.9, 1.0, 1.02, 1.1]:
    near = copy.deepcopy(net)
    near.coefs_ = [1.001 * coef for coef in net.coefs_]
    near.set_params(solver="sgd", momentum=0.0, batch_size=len(X), warm_start=True)
    near.set_params(
        learning_rate_init=factor * found.max_learning_rate,
        max_iter=300,
        n_iter_no_change=1000,
    )
    # The curve goes on behind that of newton-cg.
    curves[factor] = (
        np.array(near.fit(X, y).loss_curve_[len(net.loss_curve_) :]) - at_minimum
    )

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (factor, curve), color in zip(
    curves.items(), plt.colormaps["coolwarm"](np.linspace(0, 1, len(curves)))
):
    ax.semilogy(
        range(1, len(curve) + 1),
        curve,
        color=color,
        linewidth=2,
        label=f"{factor:g} times the limit",
    )
ax.set(xlabel="step of gradient descent", ylabel="loss - loss at the minimum")
ax.legend(
    title="learning rate", frameon=False, loc="center right", bbox_to_anchor=(1, 0.38)
)
ax.grid(alpha=0.3)
plt.show()

# %%
# Below the limit the loss falls to that of the minimum, above it the descent leaves the
# minimum, along the eigenvector of the largest eigenvalue. It ends where the curvature
# is smaller.
#
# Solvers that use the curvature
# ------------------------------
# On a sine without noise, Levenberg-Marquardt (``"lm"``) and Newton's method
# (``"newton-cg"``) reach in a few dozen iterations what Adam does not reach in 2,000
# steps. An iteration of theirs costs more, but not a hundred times more.
x = np.linspace(-1, 1, 100)[:, np.newaxis]
sine = np.sin(np.pi * x[:, 0])

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for solver, max_iter in [("adam", 2000), ("newton-cg", 200), ("lm", 50)]:
    fitted = MLPRegressor(
        hidden_layer_sizes=(10,),
        activation="tanh",
        solver=solver,
        learning_rate_init=0.01,
        alpha=0.0,
        tol=1e-12,
        max_iter=max_iter,
        n_iter_no_change=max_iter,
        random_state=0,
    ).fit(x, sine)
    error = 2 * np.array(
        fitted.loss_curve_
    )  # the loss is half of the mean squared error
    ax.loglog(range(1, len(error) + 1), error, label=solver, linewidth=2)
    print(
        f"{solver:<10} mean squared error {error[-1]:.0e} after {len(error)} iterations"
    )
ax.set(xlabel="iteration (of Adam: step)", ylabel="mean squared error")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()

# %%
# Most eigenvalues of the Hessian are near zero and a few are large, which is why plain
# gradient descent is slow: the large ones limit its rate, the small ones need a large
# rate. Solvers that divide by the curvature have no such limit.
