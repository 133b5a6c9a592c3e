"""Accuracy of recurrent classifiers at their defaults on real series, and with other initial biases.

Run `python benchmarks/recurrent_series.py`, which needs aeon (`pip install aeon`), with whose package the
data sets come. Scores are those of the published test parts, means over the seeds.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
from aeon import datasets
from gdfast import MLPClassifier, RNNClassifier

SETS = {
    "ArrowHead": datasets.load_arrow_head,
    "GunPoint": datasets.load_gunpoint,
    "BasicMotions": datasets.load_basic_motions,
    "JapaneseVowels": datasets.load_japanese_vowels,
    "ItalyPowerDemand": datasets.load_italy_power_demand,
}
UNITS = 64
# Cell, and the bias of the gate that keeps the state.
MODELS: dict[str, tuple[str, float | None]] = {
    "GRU, bias 0": ("gru", 0.0),
    "GRU": ("gru", None),
    "GRU, bias 2": ("gru", 2.0),
    "LSTM": ("lstm", None),
    "Elman": ("elman", None),
}


def series(load: Any, split: str) -> tuple[list[Any], Any]:
    """Sequences of shape (n_steps, n_features), which aeon has the other way round, and their labels."""
    X, y = load(split=split)
    return [np.ascontiguousarray(x.T, dtype=np.float32) for x in X], y


def classifier(cell: str, bias: float | None, n_classes: int, seed: int) -> RNNClassifier:
    """One at its defaults, except for the bias of the second gate."""
    biases = None
    if bias is not None:
        inputs = np.zeros({"gru": 3, "lstm": 4}[cell] * UNITS)
        inputs[UNITS : 2 * UNITS] = bias
        biases = [inputs, np.zeros_like(inputs), np.zeros(n_classes if n_classes > 2 else 1)]
    return RNNClassifier(UNITS, cell=cell, intercepts_init=biases, random_state=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="names, with commas between them")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"| | sequences | steps | features | {' | '.join(MODELS)} | MLP |")
    print(f"| --- | {' | '.join(['---:'] * (len(MODELS) + 4))} |")
    for name in options.sets.split(","):
        (X, y), (X_test, y_test) = (series(SETS[name], split) for split in ("train", "test"))
        cells = [name, str(len(X)), f"{np.mean([len(x) for x in X]):.0f}", str(X[0].shape[1])]
        for cell, bias in MODELS.values():
            nets = [classifier(cell, bias, len(np.unique(y)), seed) for seed in range(options.seeds)]
            cells.append(f"{np.mean([net.fit(X, y).score(X_test, y_test) for net in nets]):.2f}")
        if len({len(x) for x in X + X_test}) == 1:
            rows, rows_test = (np.reshape(part, (len(part), -1)) for part in (X, X_test))
            scores = [
                MLPClassifier(random_state=seed).fit(rows, y).score(rows_test, y_test)
                for seed in range(options.seeds)
            ]
            cells.append(f"{np.mean(scores):.2f}")
        else:  # an MLP takes no sequences of several lengths
            cells.append("")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
