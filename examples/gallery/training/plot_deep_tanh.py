"""
Train twenty layers of tanh
===========================

In a deep network the gradient is multiplied by one layer's weights after the other, so
that it vanishes or explodes where the first weights are too small or too large. The
example shows how to see this, and what helps.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from gdfast import GradientNormDisplay, MLPClassifier
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

# %%
# The network
# -----------
# Twenty weight layers of 50 units read the digits, trained by plain gradient descent in
# batches, the method that is the most sensitive to all this. A layer of 50 units keeps
# the scale of its inputs if the standard deviation of its weights is about 1 / sqrt(50)
# = 0.14, as Glorot's initial weights have.
X, y = load_digits(return_X_y=True)
X = ((X - X.mean()) / X.std()).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

EPOCHS = 30
network = {
    "hidden_layer_sizes": (50,) * 19,
    "activation": "tanh",
    "solver": "sgd",
    "momentum": 0.0,
    "learning_rate_init": 0.2,
    "alpha": 0.0,
    "batch_size": 100,
    "max_iter": EPOCHS,
    "n_iter_no_change": EPOCHS,
    "random_state": 0,
}
warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
starts = {
    "too small (0.08)": ("normal", 0.08),
    "Glorot's": "glorot_uniform",
    "too large (0.3)": ("normal", 0.3),
}

# %%
# Look at the gradients
# ---------------------
# ``record_gradients`` records the norm of each layer's gradient in every epoch, and
# ``GradientNormDisplay`` plots it. In a healthy network the curves of all layers lie
# together.
figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained", sharey=True)
nets = {}
for ax, (name, init) in zip(axes, starts.items()):
    nets[name] = MLPClassifier(**network, init=init, record_gradients=True).fit(
        X_train, y_train
    )
    display = GradientNormDisplay.from_estimator(
        nets[name], ax=ax, name=f"first weights {name}"
    )
    if ax is not axes[-1]:
        display.colorbar_.remove()  # one is enough for all
    ax.label_outer()
    ax.grid(alpha=0.3)
plt.show()

# %%
# From weights that are too small, the gradient of the first layers (dark) is a
# ten-thousandth of that of the last (pale): they do not move. From weights that are too
# large the gradient of the first layers is the largest at the beginning. A few steps of
# this size drive the units to where tanh is flat, and from then on gradients vanish,
# too.
#
# Remedies
# --------
# Two of the remedies leave the first weights as they are and change the step:
# ``clip_norm`` limits the norm of the whole gradient, and ``backprop_depth`` truncates
# the backward pass, here to one layer more in each epoch. Batch normalisation changes
# the network, and ``init`` the first weights. Adam divides the step of each weight by
# its size.
remedies = {
    "clip_norm=1": {"clip_norm": 1.0},
    "backprop_depth, growing": {"backprop_depth": lambda epoch: min(20, epoch + 1)},
    "Adam": {"solver": "adam", "momentum": 0.9, "learning_rate_init": 0.001},
    "batch_norm=True": {"batch_norm": True},
}
colors = ["black", "tab:orange", "tab:purple", "tab:red", "tab:blue", "tab:green"]

figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
for ax, start in zip(axes, ["too small (0.08)", "too large (0.3)"]):
    fitted = {"plain gradient descent": nets[start]}
    for name, arguments in remedies.items():
        net = MLPClassifier(**{**network, "init": starts[start], **arguments})
        fitted[name] = net.fit(X_train, y_train)
    fitted['init="glorot_uniform"'] = nets["Glorot's"]

    print(f"first weights {start}")
    for (name, net), color in zip(fitted.items(), colors):
        ax.semilogy(range(1, EPOCHS + 1), net.loss_curve_, color=color, label=name)
        print(f"    {name:<24} test accuracy {net.score(X_test, y_test):.2f}")
    ax.set(title=f"first weights {start}", xlabel="epoch")
    ax.grid(alpha=0.3)
axes[0].set_ylabel("training log-loss")
figure.legend(
    *axes[0].get_legend_handles_labels(),
    loc="outside lower center",
    ncols=3,
    frameon=False,
)
plt.show()

# %%
# Where gradients explode, clipping and truncation help. Where they vanish, neither
# does, because they cannot enlarge a gradient: left, their curves lie on that of plain
# gradient descent. First weights of the right size and batch normalisation fix both.
