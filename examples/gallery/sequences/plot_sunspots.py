"""
Forecast sunspots five years ahead
==================================

Recurrent networks read two centuries of monthly sunspot numbers as one series, and
learn to forecast the next 60 months at every month. Truncated backpropagation through
time gives them many updates in an epoch, where the whole series would give one.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from gdfast import RNNRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

# %%
# The series
# ----------
# There are monthly means from 1749 to 1983, in
# :download:`monthly-sunspots.csv </../examples/data/monthly-sunspots.csv>`.
# Their variance grows with their mean, that of their square roots is about constant.
# The network learns from the months before 1932.
path = Path("monthly-sunspots.csv")
if not path.exists():  # the program is in the repository
    path = Path(sys.argv[0]).resolve().parent / "../../data" / path
spots = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=1)
years = 1749 + np.arange(len(spots)) / 12
N_TRAIN, HORIZON = 2196, 60

roots = np.sqrt(spots)
mean, spread = roots[:N_TRAIN].mean(), roots[:N_TRAIN].std()
series = (roots - mean) / spread

# %%
# The targets of a month are the changes from it to each of the 60 months that follow. A
# recurrent network takes inputs of shape (n_sequences, n_steps, n_features): here one
# sequence of one feature.
future = np.lib.stride_tricks.sliding_window_view(series[1:], HORIZON)
present = series[: len(future)]
X, y = present[np.newaxis, :, np.newaxis], (future - present[:, np.newaxis])[np.newaxis]

# %%
# Fit
# ---
# ``tbptt=(24, 144)`` updates the weights every 24 months, with a gradient that reaches
# back over 144 months, a little more than a solar cycle. Months from 1927 on are left
# out, because their targets lie beyond 1931. Three networks are trained, which differ
# in their first weights.
warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
known = N_TRAIN - HORIZON
arguments = {
    "hidden_layer_sizes": (32,),
    "cell": "gru",
    "per_step": True,
    "tbptt": (24, 144),
    "clip_norm": 1.0,
    "learning_rate_init": 0.005,
    "schedule": "cosine",
    "max_iter": 40,
}
nets = [
    RNNRegressor(**arguments, random_state=seed).fit(X[:, :known], y[:, :known])
    for seed in range(3)
]

# %%
# The state of a network at the end of 1931 is where its forecasts go on:
# ``return_state`` returns it, and ``initial_state`` takes it. The forecast is the mean
# of those of the three networks.
changes = 0
for net in nets:
    _, state = net.predict(X[:, :N_TRAIN], return_state=True)
    changes += net.predict(X[:, N_TRAIN:], initial_state=state)[0] / len(nets)


def to_spots(values):
    """Numbers of sunspots from scaled square roots."""
    return np.maximum(mean + spread * values, 0) ** 2


forecasts = to_spots(present[N_TRAIN:, np.newaxis] + changes)
observed = to_spots(future[N_TRAIN:])

# %%
# The forecasts
# -------------
# Every line begins in one month, and knows nothing of what comes after it.
figure, ax = plt.subplots(figsize=(10, 4), layout="constrained")
shown = slice(N_TRAIN - 240, None)
ax.plot(years[shown], spots[shown], color="0.6", linewidth=0.8, label="observed")
ax.axvline(years[N_TRAIN], color="0.3", linestyle=":", linewidth=1.2)
ax.text(years[N_TRAIN] - 0.4, 262, "training ends", ha="right", va="top", color="0.3")
for number, origin in enumerate(range(0, len(forecasts), 48)):
    first = N_TRAIN + origin
    ax.plot(
        years[first + 1 : first + 1 + HORIZON],
        forecasts[origin],
        color=f"C{number % 4}",
        linewidth=2,
    )
    ax.plot(years[first], spots[first], "o", color=f"C{number % 4}")
ax.plot([], [], "o-", color="0.2", label="forecasts, from the month with the dot")
ax.set(xlim=(1913, 1984), ylim=(0, 265), xlabel="year", ylabel="sunspots, monthly mean")
ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
plt.show()

# %%
# How good is a forecast, by the months ahead?
# --------------------------------------------
# R2 over all months from 1932 on, beside two forecasts that need no network: that
# nothing changes, and that the last cycle of 11 years comes again.
ahead = np.arange(1, HORIZON + 1)
months = N_TRAIN + np.arange(len(observed))[:, np.newaxis]
present_month = np.tile(spots[months], HORIZON)
last_cycle = spots[months + ahead - 132]

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, values in [
    ("recurrent networks", forecasts),
    ("as 11 years before", last_cycle),
    ("as in the present month", present_month),
]:
    skill = [r2_score(observed[:, k], values[:, k]) for k in range(HORIZON)]
    ax.plot(ahead, skill, label=name, linewidth=2)
    first, mean_skill = skill[0], np.mean(skill)
    print(f"{name:<24} R2 {first:.3f} one month ahead, {mean_skill:6.3f} in the mean")
ax.axhline(0, color="0.3", linewidth=0.8)
ax.set(xlabel="months ahead", ylabel="R2", ylim=(-1, 1), xticks=range(0, 61, 12))
ax.legend(frameon=False, loc="lower left")
ax.grid(alpha=0.3)
plt.show()

# %%
# The forecasts rise and fall with the cycle. Up to two years ahead they are better than
# both simple rules, from the fourth year on the last cycle is the better forecast. How
# high a maximum will be is the hardest to foresee.
