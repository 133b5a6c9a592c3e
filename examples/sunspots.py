"""Forecast next month's sunspots by a recurrent network and truncated backpropagation through time.

Run with ``python examples/sunspots.py``. It trains on 1749-1932 as one series, in blocks of 50 months with
gradients that reach back over 100, continues from the final state of that series, and compares the forecast
for 1932-1983 with the naive forecast that next month equals this month. The data (examples/data) are monthly
means.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from gdfast import RNNRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

DATA = Path(__file__).parent / "data" / "monthly-sunspots.csv"
MONTHS = 2200  # to train on


def main() -> None:
    spots = np.genfromtxt(DATA, delimiter=",", skip_header=1, usecols=1, encoding="utf-8")
    # The variance grows with the mean; that of the square roots is about constant.
    roots = np.sqrt(spots)
    mean, spread = roots[:MONTHS].mean(), roots[:MONTHS].std()
    series = ((roots - mean) / spread)[np.newaxis, :, np.newaxis]  # one sequence of one feature
    X, change = series[:, :-1], np.diff(series[:, :, 0])

    net = RNNRegressor(
        16,
        cell="gru",
        per_step=True,
        tbptt=(50, 100),
        learning_rate_init=0.003,
        clip_norm=1.0,
        max_iter=60,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
        net.fit(X[:, :MONTHS], change[:, :MONTHS])

    _, state = net.predict(X[:, :MONTHS], return_state=True)
    predicted = X[0, MONTHS:, 0] + net.predict(X[:, MONTHS:], initial_state=state)[0]
    for name, root in (("recurrent network", predicted), ("like this month", X[0, MONTHS:, 0])):
        forecast = np.maximum(mean + spread * root, 0) ** 2
        print(f"{name:18} test R2 {r2_score(spots[MONTHS + 1 :], forecast):.4f}")


if __name__ == "__main__":
    main()
