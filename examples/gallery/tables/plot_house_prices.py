"""
Predict house prices from a table as it is
==========================================

A table with strings, missing values and columns on different scales needs no
preparation: ``TabularRegressor`` takes the frame as it is. The spread of its networks
also says which of its predictions are unsure.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from gdfast import TabularRegressor
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

# %%
# The table
# ---------
# There are 5,000 districts of California, as the census of 1990 saw them. The column to
# predict is the median value of a district's houses. One column has strings,
# ``ocean_proximity``; another, ``total_bedrooms``, has missing values. The file is
# :download:`california-housing.csv.gz </../examples/data/california-housing.csv.gz>`.
path = Path("california-housing.csv.gz")
if not path.exists():  # the program is in the repository
    path = Path(sys.argv[0]).resolve().parent / "../../data" / path
houses = pd.read_csv(path)
print(houses.sample(4, random_state=0).T.to_string(header=False))
print("\nvalues missing in total_bedrooms:", houses["total_bedrooms"].isna().sum())

# %%
# Prices are in units of 1,000 dollars from here on. A fifth of the rows is held out.
X = houses.drop(columns="median_house_value")
y = houses["median_house_value"] / 1000
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)

# %%
# Fit
# ---
# Nothing is scaled, filled in or encoded by hand. Four networks are trained, and the
# prediction is their mean; ``return_std=True`` also returns their standard deviation.
networks = TabularRegressor(hidden_layer_sizes=(128, 128), random_state=0).fit(
    X_train, y_train
)
predicted, spread = networks.predict(X_test, return_std=True)

# %%
# A linear model, for comparison, needs all three preparations.
numbers = list(X.columns.drop("ocean_proximity"))
linear = make_pipeline(
    make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), ["ocean_proximity"]),
    ),
    RidgeCV(),
).fit(X_train, y_train)

for name, prediction in [
    ("mean of the training rows", np.full(len(y_test), y_train.mean())),
    ("linear model", linear.predict(X_test)),
    ("TabularRegressor", predicted),
]:
    error = root_mean_squared_error(y_test, prediction)
    print(f"{name:<26} root mean squared error {error:6.1f}")

# %%
# The map
# -------
# Each point is a district that was held out, the right panel has the differences.
figure, axes = plt.subplots(
    1, 3, figsize=(11, 4.2), layout="constrained", sharex=True, sharey=True
)
errors = predicted - y_test
for ax, title, values, colors, limits in [
    (axes[0], "observed", y_test, "viridis", (0, 500)),
    (axes[1], "predicted", predicted, "viridis", (0, 500)),
    (axes[2], "predicted - observed", errors, "RdBu_r", (-150, 150)),
]:
    points = ax.scatter(
        x=X_test["longitude"],
        y=X_test["latitude"],
        c=values,
        s=14,
        cmap=colors,
        vmin=limits[0],
        vmax=limits[1],
        edgecolors="grey",
        linewidths=0.2,
    )
    # A degree of longitude is shorter than one of latitude by the cosine of 37 degrees.
    ax.set(title=title, xlabel="longitude (degrees)", aspect=1 / np.cos(np.radians(37)))
    if ax is not axes[0]:
        shared = axes[:2] if ax is axes[1] else ax
        extend = "both" if limits[0] else "max"
        figure.colorbar(
            points, ax=shared, label="1,000 dollars", extend=extend, shrink=0.8
        )
axes[0].set_ylabel("latitude (degrees)")
plt.show()

# %%
# Which predictions are unsure?
# -----------------------------
# The held-out districts are sorted by the spread of the networks and cut into five
# groups of equal size.
groups = pd.qcut(spread, 5, labels=False)
doubt = pd.DataFrame({"spread": spread, "error": errors.abs()}).groupby(groups)["error"]

figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
ax.errorbar(range(1, 6), doubt.mean(), yerr=doubt.sem(), fmt="o-", capsize=4)
ax.set(
    xticks=range(1, 6),
    xticklabels=["smallest", "", "middle", "", "largest"],
    xlabel="spread of the networks, in fifths of the districts",
    ylabel="mean absolute error\n(1,000 dollars, with its standard error)",
    ylim=(0, None),
)
ax.grid(axis="y", alpha=0.3)
plt.show()
factor = doubt.mean().iloc[-1] / doubt.mean().iloc[0]
print(f"The last fifth has {factor:.1f} times the error of the first.")

# %%
# The networks predict the prices from the table as it is, with a much smaller error
# than a linear model behind a prepared table. Where the networks disagree, their mean
# is further off as well: about twice as far in the last fifth of the districts as in
# the first.
