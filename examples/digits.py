"""Handwritten digits: a pipeline with a scaler and a network, compared with scikit-learn's network.

Run with ``python examples/digits.py``. It prints the loss of every epoch while it trains, then the accuracy
on held-out images and the time that both libraries take for the same fit, and writes the loss curve to
``digits_loss.png`` (or the path given) if matplotlib is installed.
"""

from __future__ import annotations

import sys
import time

import gdfast
import numpy as np
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


def write_loss_curve(path: str, losses: list[float]) -> None:
    try:
        import matplotlib
    except ImportError:
        print("No loss curve: matplotlib is not installed (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.semilogy(range(1, len(losses) + 1), losses)
    axes.set(xlabel="epoch", ylabel="log-loss", title="gdfast.MLPClassifier on handwritten digits")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"Loss curve written to {path}.")


def main(image: str = "digits_loss.png") -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.float32), y, test_size=0.25, stratify=y, random_state=0
    )

    # Only gdfast prints its losses, which can only be a disadvantage in the comparison.
    ours = make_pipeline(StandardScaler(), gdfast.MLPClassifier(**ARGUMENTS, verbose=True))
    theirs = make_pipeline(StandardScaler(), SklearnMLPClassifier(**ARGUMENTS))
    our_time = timed_fit(ours, X_train, y_train)
    their_time = timed_fit(theirs, X_train, y_train)

    rows = (
        ("gdfast", ours, our_time),
        ("scikit-learn", theirs, their_time),
    )
    print(
        f"\n{len(X_train)} images to train on, {len(X_test)} to test with, float32, ISA {gdfast.active_isa()}"
    )
    for name, model, seconds in rows:
        accuracy = model.score(X_test, y_test)
        print(f"{name:<13} test accuracy {accuracy:.4f}   {model[-1].n_iter_} epochs in {seconds:.3f} s")
    print(f"gdfast is {their_time / our_time:.1f} x faster than scikit-learn")
    write_loss_curve(image, ours[-1].loss_curve_)


if __name__ == "__main__":
    main(*sys.argv[1:2])
