"""What `backprop_depth` saves: the time of an epoch against the weight layers that the deltas reach.

python benchmarks/depth.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import pairwise

import numpy as np
from gdfast import _core

UNITS = (64, *(64,) * 19, 10)  # twenty weight layers
BATCH, ROWS = 128, 6400


class Fit:
    """Its epochs reach `depth` layers, counted from the output."""

    def __init__(self, depth: int) -> None:
        rng = np.random.default_rng(0)
        self.depth = depth
        self.X = rng.standard_normal((ROWS, UNITS[0]), dtype=np.float32)
        self.y = rng.integers(0, UNITS[-1], ROWS).astype(np.int32)
        pairs = list(pairwise(UNITS))
        self.trainer = _core.Trainer(
            [(rng.standard_normal(pair) / pair[0] ** 0.5).astype(np.float32) for pair in pairs],
            [np.zeros(fan_out, np.float32) for _, fan_out in pairs],
            ["tanh"] * (len(pairs) - 1),
            "cross_entropy",
            batch_size=BATCH,
            rule="adam",
            rule_params={"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        )

    def epoch(self) -> float:
        start = time.perf_counter()
        self.trainer.run_epoch(self.X, self.y, learning_rate=1e-4, backprop_depth=self.depth)
        return time.perf_counter() - start


def work(depth: int) -> int:
    """Multiply-adds of a row: all layers forward, gradients and deltas of those that are reached."""
    sizes = [a * b for a, b in pairwise(UNITS)]
    reached = sizes[len(sizes) - depth :]
    return sum(sizes) + sum(reached) + sum(reached[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds; the median is reported")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()

    layers = len(UNITS) - 1
    fits = [Fit(depth) for depth in (layers, 15, 10, 5, 1)]
    seconds: dict[int, list[float]] = {fit.depth: [] for fit in fits}
    for fit in fits:
        fit.epoch()
    for _ in range(options.rounds):
        for fit in fits:
            seconds[fit.depth].append(fit.epoch())
    medians = {depth: statistics.median(times) for depth, times in seconds.items()}
    print(f"{layers} layers of 64, batch {BATCH}, float32, Adam; medians of {options.rounds} rounds")
    print("depth   ms an epoch   time saved   multiply-adds saved")
    for depth, median in medians.items():
        time_saved, work_saved = 1 - median / medians[layers], 1 - work(depth) / work(layers)
        print(f"{depth:5} {1e3 * median:13.2f} {time_saved:12.1%} {work_saved:21.1%}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"units": UNITS, "batch": BATCH, "rows": ROWS, "seconds": seconds}, file, indent=1)


if __name__ == "__main__":
    main()
