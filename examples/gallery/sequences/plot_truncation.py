"""
How far back must the gradient reach?
=====================================

Truncated backpropagation through time cuts the gradient off after k2 steps. A network
then learns no dependency that is longer than that, however simple. More steps than it
needs cost time and, where k1 grows with them, updates.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from gdfast import RNNRegressor
from sklearn.exceptions import ConvergenceWarning

# %%
# A task with a known delay
# -------------------------
# The inputs are random numbers, and the target of each step is the input of some steps
# before. Nothing but the memory of the network helps.
rng = np.random.default_rng(0)


def echo(delay, n_sequences=100, n_steps=60):
    """Random sequences, and the same sequences some steps later."""
    X = rng.standard_normal((n_sequences, n_steps, 1)).astype(np.float32)
    y = np.zeros((n_sequences, n_steps), np.float32)
    y[:, delay:] = X[:, : n_steps - delay, 0]
    return X, y


# %%
# Fit
# ---
# ``tbptt=(k1, k2)`` updates the weights every k1 steps, with a gradient that reaches
# back over the last k2 steps. Here k2 is twice k1, but for the smallest. The states of
# the network go on from block to block in all cases.
warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
DELAYS = [1, 2, 3, 5]
REACHES = [1, 2, 3, 4, 6, 12]


def fit(X, y, reach):
    net = RNNRegressor(
        hidden_layer_sizes=(32,),
        cell="gru",
        per_step=True,
        tbptt=((reach + 1) // 2, reach),
        clip_norm=1.0,
        learning_rate_init=0.01,
        batch_size=20,
        max_iter=20,
        random_state=0,
    )
    return net.fit(X, y)


scores = np.zeros((len(DELAYS), len(REACHES)))
nets = {}
for row, delay in enumerate(DELAYS):
    X, y = echo(delay)
    X_test, y_test = echo(delay)
    for column, reach in enumerate(REACHES):
        nets[delay, reach] = net = fit(X, y, reach)
        scores[row, column] = net.score(X_test, y_test)
    print(
        f"delay {delay}: "
        + ", ".join(f"k2 = {k} {score:.2f}" for k, score in zip(REACHES, scores[row]))
    )

# %%
# A staircase
# -----------
# A target that is the input of d steps before needs a gradient over d + 1 steps: the
# line marks them.
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
image = ax.imshow(np.clip(scores, 0, 1), cmap="viridis", vmin=0, vmax=1, aspect="auto")
for (row, column), score in np.ndenumerate(scores):
    ax.text(
        column,
        row,
        f"{max(score, 0):.2f}",
        ha="center",
        va="center",
        color="w" if score < 0.6 else "k",
    )
enough = [
    next(k for k, reach in enumerate(REACHES) if reach > delay) - 0.5
    for delay in DELAYS
]
ax.plot(
    np.repeat(enough, 2),
    np.repeat(np.arange(5), 2)[1:-1] - 0.5,
    color="tab:red",
    linewidth=3,
)
ax.set(
    xticks=range(len(REACHES)),
    xticklabels=REACHES,
    yticks=range(len(DELAYS)),
    yticklabels=DELAYS,
    xlabel="steps that the gradient reaches back (k2)",
    ylabel="delay of the target (steps)",
)
figure.colorbar(image, ax=ax, label="R2 on new sequences")
plt.show()

# %%
# What a reach of one step too few means
# --------------------------------------
# The outputs of two networks on a sequence whose targets are the inputs of three
# steps before:
X_test, y_test = echo(3, n_sequences=1)
figure, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
ax.plot(y_test[0], color="0.7", linewidth=4, label="target")
for reach, style in [(4, "-"), (3, "--")]:
    ax.plot(nets[3, reach].predict(X_test)[0], style, label=f"network, k2 = {reach}")
ax.set(xlabel="step", ylabel="value", xlim=(0, 59))
ax.legend(loc="lower right", ncols=3)
plt.show()

# %%
# Left of the line the networks learn little, at most what their untrained memory
# happens to hold. Right of it they learn the task. Beyond the delay, more reach changes
# nothing. So k2 should be as long as the dependencies in the data; where that is not
# known, double k2 until the score on other data no longer rises.
