"""What every benchmark shares: the nets, their data, the options, the interleaving, the tables."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.float32]]

# Where real tables are looked for; README.md says where they come from.
DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Net:
    """A multilayer perceptron with ReLU hidden layers, and the batch it is trained with.

    The width of the last layer says the task: 1 is regression, 2 is two classes (one logistic output, as
    scikit-learn has it), more are that many classes under softmax.
    """

    layers: tuple[int, ...]
    batch: int

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.layers))} ({self.batch})"

    @property
    def task(self) -> str:
        return {1: "regression", 2: "binary"}.get(self.layers[-1], "multiclass")

    @property
    def units(self) -> tuple[int, ...]:
        """Widths as they are computed: two classes need one output."""
        return (*self.layers[:-1], 1) if self.task == "binary" else self.layers

    @property
    def flops_per_sample(self) -> int:
        """Arithmetic of the matrix products of one training step: forward, weight gradients, input deltas.

        The first layer needs no input deltas. Activations, loss and the optimizer count for nothing, so a
        share of peak computed with this is a lower bound of how busy the arithmetic units are.
        """
        first, *others = (a * b for a, b in pairwise(self.units))
        return 4 * first + 6 * sum(others)

    @property
    def epoch_samples(self) -> int:
        """Samples of an epoch of about 8 GFLOP, in 4 to 1024 whole batches and at most 65536 rows."""
        wanted = min(65536.0, 8e9 / self.flops_per_sample) / self.batch
        return self.batch * int(min(1024, max(4, wanted)))


DESIGN_NETS = (
    Net((64, 100, 10), 200),
    Net((20, 64, 64, 2), 64),
    Net((50, 100, 1), 200),
    Net((100, 256, 256, 256, 5), 256),
    Net((784, 512, 256, 10), 128),
    Net((1024, 2048, 2048, 10), 512),
)


def make_data(net: Net, n_samples: int) -> tuple[FloatArray, np.ndarray[Any, Any]]:
    """Random rows with targets that a net can learn, but not exactly.

    The noise keeps every library's deltas in the range of normal numbers: nobody gains or loses by denormals.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, net.layers[0]), dtype=np.float32)
    teacher = rng.standard_normal((net.layers[0], net.layers[-1]), dtype=np.float32) / net.layers[0] ** 0.5
    scores = X @ teacher + rng.standard_normal((n_samples, net.layers[-1]), dtype=np.float32)
    if net.task == "regression":
        return X, scores[:, 0]
    return X, scores.argmax(axis=1).astype(np.int64)


def initial_weights(net: Net) -> list[tuple[FloatArray, FloatArray]]:
    """Glorot's uniform weights and biases, drawn as scikit-learn draws them for ``random_state=0``."""
    rng = np.random.RandomState(0)
    weights = []
    for fan_in, fan_out in pairwise(net.units):
        bound = (6.0 / (fan_in + fan_out)) ** 0.5
        W = rng.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32)
        weights.append((W, rng.uniform(-bound, bound, fan_out).astype(np.float32)))
    return weights


def parser(description: str, peers: Sequence[str]) -> argparse.ArgumentParser:
    """A command line with the options that all benchmarks of speed have."""
    p = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    p.add_argument("--peers", type=lambda s: s.split(","), default=",".join(peers), help="which libraries")
    p.add_argument("--rounds", type=int, default=5, help="interleaved rounds; the median is reported")
    p.add_argument("--threads", type=int, default=n_cores(), help="threads of each library, and its cores")
    p.add_argument("--seconds", type=float, default=1.0, help="length of one measurement, about")
    add_json_option(p)
    return p


def add_json_option(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const="-",
        default=argparse.SUPPRESS,
        help="write all figures to FILE as JSON; without FILE to standard output, instead of the tables",
    )


def parse(p: argparse.ArgumentParser, known_peers: Iterable[str] | None = None) -> argparse.Namespace:
    """Parse the command line and refuse what could only fail later."""
    options = p.parse_args()
    options.json = getattr(options, "json", None)
    unknown = set(getattr(options, "peers", ())) - set(known_peers or ())
    if known_peers is not None and unknown:
        p.error(f"unknown peers {sorted(unknown)}; known are {', '.join(known_peers)}")
    if getattr(options, "threads", 1) not in range(1, n_cores() + 1):
        p.error(f"--threads is {options.threads}; this process may use 1 to {n_cores()} cores")
    if getattr(options, "rounds", 1) < 1:
        p.error(f"--rounds is {options.rounds}; at least 1 is needed")
    return options


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def interleave(rounds: int, jobs: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run every job once a round, each round beginning with another, so that drift falls on all alike."""
    names = list(jobs)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            figures[name].append(jobs[name]())
    return figures


def median(figures: Sequence[float]) -> float:
    return float(statistics.median(figures))


def note(text: str) -> None:
    """Progress goes to standard error, so that standard output is only results."""
    print(text, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well in a terminal: first column left, others right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) for c, w in zip(cells, widths, strict=True)]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *padded[1:]]) + " |"

    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def number(x: float | None, digits: int = 3) -> str:
    """`digits` significant digits without exponents; nothing measured is a dash."""
    if x is None:
        return "-"
    if x == 0 or abs(x) >= 10 ** (digits - 1):
        return f"{x:,.0f}"
    decimals = digits - 1 - int(np.floor(np.log10(abs(x))))
    return f"{x:.{min(decimals, 6)}f}"


def report(result: dict[str, Any], text: str, destination: str | None) -> None:
    """Print the text, or the JSON, or print one and save the other, as ``--json`` asked."""
    if destination == "-":
        print(json.dumps(result, indent=1))
        return
    print(text)
    if destination:
        with open(destination, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
