"""
Predict a band in place of a number
===================================

A forecast of the mean says nothing about how far off it may be. One network with the
quantile loss predicts the whole band, here of the minimum temperature of each day of
the year.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from gdfast import MLPRegressor
from sklearn.exceptions import ConvergenceWarning

# %%
# The temperatures
# ----------------
# These are the daily minima in Melbourne, Australia, from 1981 to 1990:
# :download:`daily-min-temperatures.csv </../examples/data/daily-min-temperatures.csv>`.
# The network learns from the odd years, and the even years test it.
path = Path("daily-min-temperatures.csv")
if not path.exists():  # the program is in the repository
    path = Path(sys.argv[0]).resolve().parent / "../../data" / path
days = pd.read_csv(path, parse_dates=["Date"])
y = days["Temp"].to_numpy()
is_training = days["Date"].dt.year.to_numpy() % 2 == 1

# %%
# The 31st of December and the 1st of January are neighbours, so that the inputs are the
# sine and the cosine of the time of the year.
time = days["Date"].dt.day_of_year.to_numpy()


def circle(day):
    """The place of a day of the year on a circle."""
    angle = 2 * np.pi * np.asarray(day) / 365.25
    return np.column_stack([np.sin(angle), np.cos(angle)])


X = circle(time)

# %%
# Fit
# ---
# ``quantiles`` takes several at once. They are the outputs of one network and never
# cross. The cosine schedule lowers the learning rate to 0 over 100 epochs, so that the
# warning after the last epoch says nothing.
warnings.simplefilter("ignore", ConvergenceWarning)
levels = [0.05, 0.25, 0.5, 0.75, 0.95]
net = MLPRegressor(
    hidden_layer_sizes=(32, 32),
    activation="tanh",
    loss="quantile",
    quantiles=levels,
    learning_rate_init=0.005,
    schedule="cosine",
    max_iter=100,
    n_iter_no_change=100,
    random_state=0,
).fit(X[is_training], y[is_training])

# %%
# The bands
# ---------
grid = np.arange(1, 367)
low, lower, median, upper, high = net.predict(circle(grid)).T

figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
ax.scatter(
    time[~is_training],
    y[~is_training],
    s=4,
    color="0.45",
    label="days of even years (not trained on)",
)
ax.fill_between(
    grid, low, high, color="C0", alpha=0.25, linewidth=0, label="5 % to 95 %"
)
ax.fill_between(
    grid, lower, upper, color="C0", alpha=0.4, linewidth=0, label="25 % to 75 %"
)
ax.plot(grid, median, color="black", label="median")
months = pd.date_range("1990-01-01", "1991-01-01", freq="MS")
ax.set(
    xticks=[*months[:-1].day_of_year, 366],
    xticklabels=[],
    xlim=(1, 366),
    ylabel="daily minimum (°C)",
    title="Minimum temperatures in Melbourne",
)
ax.set_xticks(months[:-1].day_of_year + 14, months[:-1].strftime("%b"), minor=True)
ax.tick_params(axis="x", which="minor", length=0)
ax.legend(ncols=2, frameon=False)
plt.show()

# %%
# Is the band honest?
# -------------------
# If it is, as many days of the even years lie below each quantile as its level says.
predicted = net.predict(X[~is_training])
shares = [(y[~is_training] < predicted[:, k]).mean() for k in range(len(levels))]
print("level   days below")
for level, share in zip(levels, shares):
    print(f"{level:5.0%}   {share:10.1%}")

# %%
# The band is wider in summer, when the nights are now and then as hot as the days:
for name, day in [("mid January (summer)", 15), ("mid July (winter)", 196)]:
    band = net.predict(circle([day]))[0]
    low, high = band[0], band[-1]
    print(f"{name:<21} {low:4.1f} to {high:4.1f} °C, {high - low:.1f} degrees wide")

# %%
# One network finds the seasons, and the width of the band with them. The share of other
# years' days below each quantile is within two percent of its level.
