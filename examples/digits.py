"""Handwritten digits: a pipeline with a scaler and a network, compared with scikit-learn's network.

Run with ``python examples/digits.py``; it needs tqdm and matplotlib (``pip install ".[plot,progress]"``). It
shows a progress bar while it trains, prints the accuracy on held-out images and the time that both libraries
take for the same fit, and writes a picture to ``digits.png`` (or the path given).
"""

from __future__ import annotations

import sys
import time

import gdfast
import matplotlib.pyplot as plt
import numpy as np
from gdfast.callbacks import ProgressBar
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

ARGUMENTS = {"hidden_layer_sizes": (100,), "max_iter": 400, "random_state": 0}


def timed_fit(model: Pipeline, X: np.ndarray, y: np.ndarray) -> float:
    start = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - start


def draw(path: str, fits: dict[str, tuple[Pipeline, float]], X: np.ndarray, y: np.ndarray) -> None:
    """Draw the losses of both fits against seconds, and test images that gdfast reads rightly and wrongly."""
    figure, axes = plt.subplot_mosaic(
        [["losses", 0, 1, 2, 3], ["losses", 4, 5, 6, 7]],
        figsize=(8, 3.2),
        width_ratios=[4, 1, 1, 1, 1],
        layout="constrained",
    )
    for name, (model, seconds) in fits.items():
        losses = model[-1].loss_curve_
        passed = np.linspace(seconds / len(losses), seconds, len(losses))
        axes["losses"].semilogy(passed, losses, label=f"{name}, {seconds:.2f} s", linewidth=2)
    axes["losses"].set(xlabel="seconds", ylabel="log-loss", title="the same fit, epoch by epoch")
    axes["losses"].legend(frameon=False)
    predicted = fits["gdfast"][0].predict(X)
    shown = np.flatnonzero(predicted == y)[:4], np.flatnonzero(predicted != y)[:4]
    for place, row in enumerate(np.concatenate(shown)):
        axes[place].imshow(X[row].reshape(8, 8), cmap="gray_r")
        axes[place].set_axis_off()
        right = predicted[row] == y[row]
        axes[place].set_title(
            f"{predicted[row]}" if right else f"{predicted[row]}, not {y[row]}",
            color="black" if right else "tab:red",
            fontsize=10,
        )
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"Picture written to {path}.")


def main(image: str = "digits.png") -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.float32), y, test_size=0.25, stratify=y, random_state=0
    )

    # Only gdfast shows its progress, which can only be a disadvantage in the comparison.
    ours = make_pipeline(StandardScaler(), gdfast.MLPClassifier(**ARGUMENTS, callbacks=[ProgressBar()]))
    theirs = make_pipeline(StandardScaler(), SklearnMLPClassifier(**ARGUMENTS))
    fits = {
        "gdfast": (ours, timed_fit(ours, X_train, y_train)),
        "scikit-learn": (theirs, timed_fit(theirs, X_train, y_train)),
    }

    print(
        f"{len(X_train)} images to train on, {len(X_test)} to test with, float32, ISA {gdfast.active_isa()}"
    )
    for name, (model, seconds) in fits.items():
        accuracy = model.score(X_test, y_test)
        print(f"{name:<13} test accuracy {accuracy:.4f}   {model[-1].n_iter_} epochs in {seconds:.3f} s")
    print(f"gdfast is {fits['scikit-learn'][1] / fits['gdfast'][1]:.1f} x faster than scikit-learn")
    draw(image, fits, X_test, y_test)


if __name__ == "__main__":
    plt.switch_backend("Agg")
    main(*sys.argv[1:2])
