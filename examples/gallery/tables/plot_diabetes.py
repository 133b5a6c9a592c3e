"""
Scale the target of a regression
================================

A network's first outputs are near 0, and its steps are small. With targets of some
hundreds it therefore needs many times the epochs that it needs with scaled targets.
"""

import warnings

import matplotlib.pyplot as plt
from gdfast import MLPRegressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# %%
# The data
# --------
# These are ten measurements of each of 442 patients, and a number from 25 to 346, how
# far their diabetes has come a year later. The inputs are scaled to mean 0 and standard
# deviation 1, as networks want them.
X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, random_state=0
)
inputs = StandardScaler().fit(X_train)

# %%
# With and without scaled targets
# -------------------------------
# The same network is trained for 1,000 epochs on the targets as they are, and on scaled
# targets. ``X_val`` makes it record R2 on other rows after each epoch, which does not
# depend on the scale.
warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
arguments = {
    "hidden_layer_sizes": (50,),
    "activation": "tanh",
    "alpha": 10.0,
    "max_iter": 1000,
    "n_iter_no_change": 1000,
    "random_state": 0,
}
targets = StandardScaler().fit(y_train[:, None])
curves = {}
for name, first, second in [
    ("targets as they are", y_train, y_test),
    (
        "scaled targets",
        targets.transform(y_train[:, None])[:, 0],
        targets.transform(y_test[:, None])[:, 0],
    ),
]:
    net = MLPRegressor(**arguments)
    net.fit(
        inputs.transform(X_train), first, X_val=inputs.transform(X_test), y_val=second
    )
    curves[name] = net.validation_scores_

linear = make_pipeline(StandardScaler(), LinearRegression()).fit(X_train, y_train)

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, curve in curves.items():
    ax.semilogx(range(1, len(curve) + 1), curve, label=name, linewidth=2)
ax.axhline(
    linear.score(X_test, y_test), color="0.4", linestyle="--", label="linear model"
)
ax.set(
    xlabel="epoch",
    ylabel="R2 on held-out rows",
    ylim=(-5, 1),
    title="Progression of diabetes",
)
ax.legend(loc="center left", frameon=False)
ax.grid(alpha=0.3)
plt.show()

# %%
# In use
# ------
# ``TransformedTargetRegressor`` scales the target for training and puts predictions
# back on its scale, so that the whole is one estimator, for a search or
# cross-validation.
model = TransformedTargetRegressor(
    make_pipeline(StandardScaler(), MLPRegressor(**arguments)),
    transformer=StandardScaler(),
).fit(X_train, y_train)
print(f"linear model  R2 {linear.score(X_test, y_test):.3f}")
print(f"network       R2 {model.score(X_test, y_test):.3f}")

# %%
# Predictions against what was observed:
figure, ax = plt.subplots(figsize=(4.8, 4.6), layout="constrained")
PredictionErrorDisplay.from_estimator(
    model,
    X_test,
    y_test,
    kind="actual_vs_predicted",
    ax=ax,
    scatter_kwargs={"alpha": 0.6},
)
ax.set(
    xticks=range(50, 351, 50),
    yticks=range(50, 351, 50),
    title="Progression of diabetes",
)
plt.show()

# %%
# On scaled targets the network is as good as the linear model after some thirty epochs,
# and slightly better in the end. On the targets as they are it is still far from it
# after a thousand. The gain over the linear model is small, for so few and so noisy
# rows.
