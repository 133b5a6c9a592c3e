"""Twenty layers of tanh, badly initialised: vanishing gradients, exploding gradients, and remedies.

Run with ``python examples/deep_tanh.py``. It trains the same deep network on handwritten digits from initial
weights that are too small or too large, without a remedy and with one remedy at a time, and prints the final
accuracies. With ``--plot deep_tanh.png`` it also plots the gradients of every layer and the loss curves (this
requires matplotlib).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gdfast import MLPClassifier, optim
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

LAYERS = 20
PLAIN: Mapping[str, Any] = {
    "hidden_layer_sizes": (50,) * (LAYERS - 1),
    "activation": "tanh",
    "solver": "sgd",
    "momentum": 0.0,
    "learning_rate_init": 0.2,
    "alpha": 0.0,
    "batch_size": 100,
}
# A layer of 50 units preserves the scale of its inputs at a standard deviation of 1 / sqrt(50) = 0.14.
STARTS: Mapping[str, Any] = {
    "too small": ("normal", 0.08),
    "too large": ("normal", 0.3),
}
REMEDIES: Mapping[str, dict[str, Any]] = {
    "plain SGD": {},
    "clip_norm=1": {"clip_norm": 1.0},
    'clip_norm="auto"': {"clip_norm": "auto"},
    "backprop_depth=10": {"backprop_depth": LAYERS // 2},
    "backprop_depth growing": {"backprop_depth": lambda epoch: min(LAYERS, epoch + 1)},
    'init="glorot_uniform"': {"init": "glorot_uniform"},
    'init="he_normal"': {"init": "he_normal"},
    "batch_norm=True": {"batch_norm": True},
    "Adam": {"solver": optim.Adam(lr=0.001), "momentum": 0.9, "learning_rate_init": 0.001},
}

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Outcome(NamedTuple):
    """Medians over the seeds."""

    curve: np.ndarray  # loss of each epoch
    training_accuracy: float
    test_accuracy: float


def digits() -> Data:
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    mean, deviation = X_train.mean(), X_train.std()
    return (X_train - mean) / deviation, (X_test - mean) / deviation, y_train, y_test


def outcome(data: Data, epochs: int, seeds: int, **arguments: Any) -> Outcome:
    X_train, X_test, y_train, y_test = data
    found = []
    for seed in range(seeds):
        # Training does not stop for lack of progress: the plot is to show flat curves.
        clf = MLPClassifier(
            **{**PLAIN, **arguments}, max_iter=epochs, n_iter_no_change=epochs, random_state=seed
        )
        clf.fit(X_train, y_train)
        found.append((clf.loss_curve_, clf.score(X_train, y_train), clf.score(X_test, y_test)))
    curves, *accuracies = (np.median(values, axis=0) for values in zip(*found, strict=True))
    return Outcome(curves, *map(float, accuracies))


def gradients_at(init: Any, data: Data) -> list[float]:
    """The gradient norm of each layer at the initial weights, which tiny steps leave almost unchanged."""
    clf = MLPClassifier(
        **{**PLAIN, "init": init, "learning_rate_init": 1e-12},
        max_iter=1,
        record_gradients=True,
        random_state=0,
    )
    return clf.fit(data[0], data[2]).gradient_records_["gradient_norm"][0]


def draw(path: str, outcomes: Mapping[str, Mapping[str, Outcome]], data: Data) -> None:
    try:
        import matplotlib
    except ImportError:
        print("No picture: matplotlib is not installed (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Okabe and Ito's colours, one for each family of remedies, and dashed lines within a family, so that
    # curves differ in colour or in line style.
    black, orange, sky, green, blue, red = "#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00"
    colors = [black, orange, orange, sky, sky, green, green, red, blue]
    dashes = ["-", "-", "--", "-", "--", "-", "--", "-", "-"]

    figure, (left, *others) = plt.subplots(1, 3, figsize=(13, 5), layout="constrained")
    starts = {
        "too large (0.3)": (STARTS["too large"], red, "s"),
        "Glorot's": ("glorot_uniform", green, "o"),
        "too small (0.08)": (STARTS["too small"], blue, "^"),
    }
    for name, (init, color, marker) in starts.items():
        norms = gradients_at(init, data)
        left.semilogy(range(1, LAYERS + 1), norms, color=color, marker=marker, markersize=5, label=name)
    left.set(
        title="Gradients where training begins",
        xlabel="weight layer, from the input to the output",
        ylabel="norm of the gradient",
        xticks=[1, 5, 10, 15, 20],
    )
    left.legend(title="first weights", frameon=False)

    for axes, (start, curves) in zip(others, outcomes.items(), strict=True):
        for (name, (curve, _, _)), color, dash in zip(curves.items(), colors, dashes, strict=True):
            width = 2.8 if color == black else 1.6
            epochs = range(1, len(curve) + 1)
            axes.semilogy(epochs, curve, color=color, linestyle=dash, linewidth=width, label=name)
        axes.set(
            title=f"First weights {start} (deviation {STARTS[start][1]})", xlabel="epoch", ylabel="log-loss"
        )
    others[0].annotate(
        "plain SGD, clip_norm and backprop_depth\nall lie here",
        xy=(0.5, 2.6),
        xycoords=("axes fraction", "data"),
        ha="center",
        va="bottom",
        fontsize="small",
    )
    low = min(axes.get_ylim()[0] for axes in others)
    for axes in others:
        axes.set_ylim(low, 8)
    for axes in (left, *others):
        axes.grid(alpha=0.25)
    figure.legend(*others[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"Picture written to {path}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="PATH", help="where to draw a picture")
    parser.add_argument("--epochs", type=int, default=60, help="of every fit")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each kind, of which the median counts")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed on purpose

    data = digits()
    outcomes: dict[str, dict[str, Outcome]] = {}
    print(f"{LAYERS} layers, {options.epochs} epochs, medians of {options.seeds} seed(s)")
    for start, init in STARTS.items():
        print(f"\n{'first weights ' + start:<26} {'loss':>7} {'training':>9} {'test':>6}")
        outcomes[start] = {}
        for name, remedy in REMEDIES.items():
            found = outcome(data, options.epochs, options.seeds, **{"init": init, **remedy})
            outcomes[start][name] = found
            print(
                f"{name:<26} {found.curve[-1]:7.3f} {found.training_accuracy:9.3f} {found.test_accuracy:6.3f}"
            )
    if options.plot:
        draw(options.plot, outcomes, data)


if __name__ == "__main__":
    main()
