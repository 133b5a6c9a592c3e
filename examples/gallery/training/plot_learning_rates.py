"""
Choose a learning rate and its schedule
=======================================

The learning rate is the argument that matters most. A range test finds a first value,
and a schedule that ends near zero both improves the result and forgives a rate that is
too large.
"""

# sphinx_gallery_thumbnail_number = 2

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from gdfast import LearningRateRangeDisplay, MLPRegressor, schedules
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

# %%
# The data
# --------
# House prices in California, from eight numbers for each district. Counts are on a
# logarithmic scale, and all columns are scaled, the prices as well.
data = Path(sys.argv[0]).resolve().parents[2] / "data"
houses = (
    pd.read_csv(data / "california-housing.csv.gz")
    .drop(columns="ocean_proximity")
    .dropna()
)
counts = ["total_rooms", "total_bedrooms", "population", "households"]
houses[counts] = np.log(houses[counts])
table = StandardScaler().fit_transform(houses).astype(np.float32)
price = houses.columns.get_loc("median_house_value")
X, y = np.delete(table, price, axis=1), table[:, price]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)

# %%
# A range test
# ------------
# With ``learning_rate_init="auto"`` a copy of the network is trained for a pass over
# the rows, while its learning rate rises from 1e-6 to 30. The rate that it finds is a
# cautious one, a third of that at which the loss has almost reached its lowest value.
warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
EPOCHS = 15
network = {
    "hidden_layer_sizes": (64, 64),
    "solver": "sgd",
    "batch_size": 32,
    "max_iter": EPOCHS,
    "n_iter_no_change": EPOCHS,
    "random_state": 0,
}
net = MLPRegressor(**network, learning_rate_init="auto").fit(X_train, y_train)

figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
LearningRateRangeDisplay.from_estimator(net, ax=ax, name="range test")
ax.set_ylim(0, 1)
ax.grid(alpha=0.3)
plt.show()

# %%
# Schedules
# ---------
# These are four ways to spend fifteen epochs. A schedule multiplies the base rate, here
# ten times that of the range test.
ways = {
    "constant": "constant",
    "exponential": schedules.Exponential(gamma=0.85),
    "cosine": "cosine",
    "warm-up and cosine": schedules.Warmup(
        schedules.Cosine(per="step"), total_iters=300
    ),
}


def fit(schedule, rate):
    net = MLPRegressor(**network, schedule=schedule, learning_rate_init=rate)
    return net.fit(X_train, y_train, X_val=X_test, y_val=y_test)


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
epochs = range(1, EPOCHS + 1)
for name, schedule in ways.items():
    fitted = fit(schedule, 10 * net.learning_rate_range_["found"])
    left.plot(epochs, fitted.learning_rate_curve_, label=name, linewidth=2)
    # The loss is half of the mean squared error.
    right.plot(
        epochs, np.sqrt(2 * np.array(fitted.validation_loss_curve_)), linewidth=2
    )
left.set(
    xlabel="epoch", ylabel="learning rate, mean of the epoch", xticks=range(0, 16, 5)
)
right.set(
    xlabel="epoch",
    ylabel="root mean squared error, held-out rows",
    xticks=range(0, 16, 5),
)
left.legend(frameon=False)
for ax in (left, right):
    ax.grid(alpha=0.3)
plt.show()

# %%
# How much does the base rate matter?
# -----------------------------------
# The error after the last epoch, for base rates over a factor of a hundred:
rates = np.geomspace(0.003, 0.3, 6)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, schedule in ways.items():
    last = [2 * fit(schedule, rate).validation_loss_curve_[-1] for rate in rates]
    ax.semilogx(rates, np.sqrt(last), "o-", label=name)
    least, best = np.sqrt(min(last)), rates[np.argmin(last)]
    print(f"{name:<20} least error {least:.3f}, at the rate {best:.3f}")
ax.axvline(
    net.learning_rate_range_["found"],
    color="0.5",
    linestyle="--",
    label="found by the range test",
)
ax.set(xlabel="base rate", ylabel="root mean squared error, held-out rows")
ax.set_ylim(0.46, 0.6)  # at the largest rate three of the four are far above
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()

# %%
# With a constant rate the error goes up and down to the end. Schedules that end near
# zero reach a smaller error, at base rates several times as large; with a warm-up, in
# which the rate rises over the first steps, even the largest rate does little harm. The
# rate of the range test is on the safe side: a schedule wants more.
