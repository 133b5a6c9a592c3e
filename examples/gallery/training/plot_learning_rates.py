"""
Choose a learning rate and its schedule
=======================================

The learning rate is the argument that matters most. A range test finds a first value.
If the number of epochs is fixed, a schedule that ends near zero both improves the
result and forgives a rate that is too large.
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
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

# %%
# The data
# --------
# House prices in California, from eight numbers for each district:
# :download:`california-housing.csv.gz </../examples/data/california-housing.csv.gz>`.
# Counts are on a logarithmic scale. All columns are scaled, the prices as well, by the
# mean and standard deviation of the training rows. A fifth of the rows is for
# validation, on which rates and schedules are compared, and a fifth for the test at the
# end.
path = Path("california-housing.csv.gz")
if not path.exists():  # the program is in the repository
    path = Path(sys.argv[0]).resolve().parent / "../../data" / path
houses = pd.read_csv(path).drop(columns="ocean_proximity").dropna()
counts = ["total_rooms", "total_bedrooms", "population", "households"]
houses[counts] = np.log(houses[counts])
rest, test = train_test_split(houses, test_size=0.2, random_state=0)
train, validation = train_test_split(rest, test_size=0.25, random_state=0)
scaler = StandardScaler().fit(train)
price = houses.columns.get_loc("median_house_value")


def inputs_and_prices(rows):
    table = scaler.transform(rows).astype(np.float32)
    return np.delete(table, price, axis=1), table[:, price]


X_train, y_train = inputs_and_prices(train)
X_val, y_val = inputs_and_prices(validation)
X_test, y_test = inputs_and_prices(test)

# %%
# A range test
# ------------
# With ``learning_rate_init="auto"`` a copy of the network is trained for one pass over
# the rows, at least 100 batches, while its learning rate rises from 1e-6 to 30. The
# rate that it finds is a cautious one, a third of that at which the loss has almost
# reached its lowest value.
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
    return net.fit(X_train, y_train, X_val=X_val, y_val=y_val)


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
    ylabel="root mean squared error, validation rows",
    xticks=range(0, 16, 5),
)
left.legend(frameon=False)
for ax in (left, right):
    ax.grid(alpha=0.3)
plt.show()

# %%
# How much does the base rate matter?
# -----------------------------------
# The error after the last epoch, for base rates over a factor of a hundred. The rate
# with the least error on the validation rows is chosen for the test:
rates = np.geomspace(0.003, 0.3, 6)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, schedule in ways.items():
    nets = [fit(schedule, rate) for rate in rates]
    last = [np.sqrt(2 * net.validation_loss_curve_[-1]) for net in nets]
    ax.semilogx(rates, last, "o-", label=name)
    best = np.nanargmin(last)  # the error of a fit that diverges is nan
    error = root_mean_squared_error(y_test, nets[best].predict(X_test))
    print(
        f"{name:<20} least error {last[best]:.3f}, at the rate {rates[best]:.3f}; "
        f"on the test rows {error:.3f}"
    )
ax.axvline(
    net.learning_rate_range_["found"],
    color="0.5",
    linestyle="--",
    label="found by the range test",
)
ax.set(xlabel="base rate", ylabel="root mean squared error, validation rows")
ax.set_ylim(0.46, 0.6)  # at the largest rate three of the four are above, or nan
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()

# %%
# With a constant rate the error goes up and down to the end. Within these fifteen
# epochs, schedules that end near zero reach a smaller error, at base rates more than
# twice as large; with a warm-up, in which the rate rises over the first steps, even the
# largest rate does little harm. The rate of the range test is on the safe side: a
# schedule wants more. With early stopping, which keeps the best epoch of a constant
# rate, a schedule may gain nothing.
