"""
Save a model and serve it
=========================

A model file holds no code, so that it can be loaded from anywhere, and a server needs
NumPy only to predict from it. The example trains, saves, loads in a process without
scikit-learn, and measures how long a prediction takes.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gdfast
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

# %%
# Train and save
# --------------
# ``n_jobs=1``, because a server has other requests for its other cores. The file is in
# the safetensors format: arrays, and a header of JSON. It is written beside its final
# place and then moved, so that a crash leaves the old file or the new one. Without the
# state of the optimizer it has a third of the size.
X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
clf = gdfast.MLPClassifier(hidden_layer_sizes=(128, 64), n_jobs=1, random_state=0).fit(
    X_train, y_train
)

folder = Path(tempfile.mkdtemp())
clf.save(folder / "whole.safetensors")
clf.save(folder / "digits.safetensors", drop=["training"])
for path in sorted(folder.iterdir()):
    print(f"{path.name:<20} {path.stat().st_size / 1024:4.0f} KiB")

# %%
# Load
# ----
# ``gdfast.load`` returns the estimator, which can be trained further. With
# ``training=False`` it returns a predictor, whose results have the same bits.
estimator = gdfast.load(folder / "whole.safetensors")
predictor = gdfast.load(folder / "digits.safetensors", training=False)
print(type(estimator).__name__, type(predictor).__name__)
print(
    "the same bits:",
    (predictor.predict_proba(X_test) == clf.predict_proba(X_test)).all(),
)

# %%
# In a process of its own it can be seen what a predictor brings in: scikit-learn and
# SciPy are not among it.
program = """
import sys, time
start = time.perf_counter()
import gdfast, numpy as np
predictor = gdfast.load(sys.argv[1], training=False)
predictor.predict(np.zeros((1, 64), np.float32))
print(f"import, load, first prediction: {time.perf_counter() - start:.2f} s")
print("scikit-learn imported:", "sklearn" in sys.modules)
print("SciPy imported:", "scipy" in sys.modules)
"""
done = subprocess.run(
    [sys.executable, "-c", program, folder / "digits.safetensors"],
    capture_output=True,
    text=True,
    check=True,
)
print(done.stdout)


# %%
# How long does a prediction take?
# --------------------------------
# The median of 30 calls, from a single row to ten thousand, with the estimator and with
# the predictor.
def seconds(function, rows, repeats=30):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(rows)
        times.append(time.perf_counter() - start)
    return np.median(times)


sizes = np.array([1, 10, 100, 1000, 10_000])
rows = np.resize(X_test, (sizes[-1], 64))
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, model in [("estimator", estimator), ("predictor", predictor)]:
    times = np.array([seconds(model.predict_proba, rows[:size]) for size in sizes])
    ax.loglog(sizes, 1e6 * times, "o-", label=name, linewidth=2)
    one, many = 1e6 * times[0], 1e6 * times[-1] / sizes[-1]
    print(f"{name}: {one:.0f} µs for one row, {many:.2f} µs a row for 10,000")
ax.set(xlabel="rows in a call", ylabel="time of a call (µs, median of 30)")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()

# %%
# Clean up
# --------
for path in folder.iterdir():
    path.unlink()
folder.rmdir()

# %%
# A server needs one file, NumPy and gdfast. A single row is predicted in tens of
# microseconds with the estimator and about a hundred with the predictor. Rows in one
# call cost much less each, so that requests are worth collecting.
