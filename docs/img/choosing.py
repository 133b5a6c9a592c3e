"""Draw choosing.png beside this file: which estimator, and what to set first.

python docs/img/choosing.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

QUESTION, ESTIMATOR, SETTINGS = "#dce9f2", "#f7d9dc", "#f2f2f2"

# A question, the answers that lead on, and for each the estimator and what to set.
BRANCHES = (
    (
        "a table: columns that\nmean different things,\nstrings, missing values",
        (
            ("classes", "TabularClassifier", 'preset="fast", then "balanced", "best"'),
            ("numbers", "TabularRegressor", 'preset="fast", then "balanced", "best"'),
        ),
    ),
    (
        "numbers, scaled and encoded,\nor code written for\nscikit-learn",
        (
            (
                "many rows",
                "MLPClassifier,\nMLPRegressor",
                'solver="adam",\nlearning_rate_init=0.003 to 0.01',
            ),
            (
                "hundreds of rows",
                "MLPClassifier,\nMLPRegressor",
                "alpha=1, no early stopping;\ncompare with a linear model",
            ),
            (
                "a smooth curve,\nlittle noise",
                "MLPRegressor",
                'solver="lm", activation="tanh"',
            ),
        ),
    ),
    (
        "sequences",
        (
            (
                "a target for\neach sequence",
                "RNNClassifier,\nRNNRegressor",
                "subsample the series,\nlearning_rate_init=0.01, batch_size=20",
            ),
            (
                "a target for\neach step",
                "RNNClassifier,\nRNNRegressor",
                "per_step=True, tbptt=(50, 100),\nclip_norm=1",
            ),
        ),
    ),
    (
        "a function or a loop\nof your own",
        (
            ("a function", "gdfast.minimize", 'method="adam", "annealing", ...'),
            (
                "a loop",
                "gdfast.optim,\ngdfast.kernels",
                "optimizers and schedules\nfor NumPy arrays",
            ),
        ),
    ),
)
HEIGHT, GAP = 1.0, 0.32
COLUMNS = {"question": (0.0, 3.3), "estimator": (6.1, 2.3), "settings": (9.1, 4.3)}


def main() -> None:
    leaves = sum(len(answers) for _, answers in BRANCHES)
    total = leaves * (HEIGHT + GAP) + len(BRANCHES) * GAP
    figure, ax = plt.subplots(
        figsize=(10, 0.72 * total * 10 / 13.4), layout="constrained"
    )
    ax.set(xlim=(-0.1, 13.5), ylim=(total, -0.9))
    ax.axis("off")
    for x, title in ((0.0, "You have"), (6.1, "Use"), (9.1, "Set first")):
        ax.text(x, -0.45, title, fontweight="bold", va="center")
    top = 0.0
    for question, answers in BRANCHES:
        bottom = top + len(answers) * (HEIGHT + GAP) - GAP
        middle = (top + bottom) / 2
        box(
            ax,
            "question",
            middle,
            question,
            QUESTION,
            max(HEIGHT, 1.25 if "\n" in question else HEIGHT),
        )
        for i, (answer, estimator, settings) in enumerate(answers):
            y = top + i * (HEIGHT + GAP) + HEIGHT / 2
            ax.annotate(
                "",
                (6.1, y),
                (3.3, middle),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": "grey",
                    "shrinkA": 2,
                    "shrinkB": 2,
                },
            )
            ax.text(
                4.85,
                y + (middle - y) * 0.35,
                answer,
                ha="center",
                va="center",
                fontsize=8,
                bbox={"color": "white", "pad": 1},
            )
            box(ax, "estimator", y, estimator, ESTIMATOR, HEIGHT)
            box(ax, "settings", y, settings, SETTINGS, HEIGHT)
            ax.plot([8.4, 9.1], [y, y], color="grey", linewidth=1)
        top = bottom + 2 * GAP
    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=150, facecolor="white")
    print(path)


def box(ax: Any, column: str, y: float, text: str, colour: str, height: float) -> None:
    x, width = COLUMNS[column]
    style = "round,pad=0,rounding_size=0.12"
    ax.add_patch(
        FancyBboxPatch(
            (x, y - height / 2),
            width,
            height,
            boxstyle=style,
            facecolor=colour,
            edgecolor="grey",
        )
    )
    ax.text(x + width / 2, y, text, ha="center", va="center", fontsize=9)


if __name__ == "__main__":
    main()
