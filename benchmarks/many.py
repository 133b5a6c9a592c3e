"""Many networks in one call: `gdfast.fit_many` beside one after the other, and beside processes of joblib.

python benchmarks/many.py
python benchmarks/many.py --layers 20,64,64,2 --batch 64 --nets 8 --samples 4000
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _common import Net, interleave, make_data, median, note, number, parse, parser, report, table
from _workers import Worker
from machine import Machine, heading

# The settings of the search over digits.
SETTINGS = [
    {"hidden_layer_sizes": sizes, "learning_rate_init": rate}
    for sizes in ((64,), (64, 64))
    for rate in (1e-3, 3e-3)
]
FOLDS = 5

# The ways of each part; the first is the one that the others are compared with.
SIDE_BY_SIDE = "fit_many"
ONE_THREAD = "one after the other, n_jobs=1"
OWN_THREADS = "one after the other, n_jobs=None"
WARM, COLD = "joblib, processes at hand", "joblib, loky's start included"


class Throughput:
    """Equal networks on the same rows."""

    def __init__(self, net: Net, nets: int, samples: int, epochs: int, threads: int) -> None:
        from gdfast import MLPClassifier, MLPRegressor

        self._X, self._y = make_data(net, samples)
        self._threads, self._n = threads, nets
        kind = MLPRegressor if net.task == "regression" else MLPClassifier
        endless = {"max_iter": epochs, "tol": 0.0, "n_iter_no_change": epochs}
        self._make = partial(kind, hidden_layer_sizes=net.layers[1:-1], batch_size=net.batch, **endless)
        warnings.simplefilter("ignore")

    def seconds(self, way: str) -> float:
        """Seconds of all fits."""
        import gdfast

        own = 1 if way == ONE_THREAD else None
        nets = [self._make(random_state=seed, n_jobs=own) for seed in range(self._n)]
        begun = time.perf_counter()
        if way == SIDE_BY_SIDE:
            gdfast.fit_many(nets, self._X, self._y, n_jobs=self._threads)
        else:
            for each in nets:
                each.fit(self._X, self._y)
        return time.perf_counter() - begun


class Search:
    """Settings by folds over scikit-learn's digits."""

    def __init__(self, epochs: int, threads: int) -> None:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import StratifiedKFold

        X, self._y = load_digits(return_X_y=True)
        self._X = X / 16
        self._threads, self._epochs = threads, epochs
        self._folds = list(StratifiedKFold(FOLDS).split(self._X, self._y))
        warnings.simplefilter("ignore")

    def _nets(self) -> list[tuple[Any, Any, Any]]:
        from gdfast import MLPClassifier

        return [
            (MLPClassifier(**setting, max_iter=self._epochs, random_state=0), *fold)
            for setting in SETTINGS
            for fold in self._folds
        ]

    def seconds(self, way: str) -> float:
        """Seconds of all fits and scores."""
        import gdfast
        import joblib
        from joblib.externals.loky import get_reusable_executor

        nets = self._nets()
        parallel = joblib.Parallel(n_jobs=self._threads)
        if way == COLD:
            get_reusable_executor().shutdown(wait=True)
        elif way == WARM:  # whichever way was before
            parallel(joblib.delayed(_nothing)(i) for i in range(4 * self._threads))
        begun = time.perf_counter()
        if way == SIDE_BY_SIDE:
            fitted = gdfast.fit_many(
                [net for net, _, _ in nets],
                self._X,
                self._y,
                rows=[training for _, training, _ in nets],
                n_jobs=self._threads,
            )
            for net, (_, _, held_out) in zip(fitted, nets, strict=True):
                net.score(self._X[held_out], self._y[held_out])
        elif way in (WARM, COLD):
            parallel(joblib.delayed(_score)(net, self._X, self._y, *fold) for net, *fold in nets)
        else:
            for net, *fold in nets:
                _score(net.set_params(n_jobs=1 if way == ONE_THREAD else None), self._X, self._y, *fold)
        return time.perf_counter() - begun


def _nothing(number: int) -> int:
    import gdfast

    gdfast.MLPClassifier(hidden_layer_sizes=(2,), max_iter=1).fit(np.eye(4), [0, 1, 0, 1])
    return number


def _score(net: Any, X: Any, y: Any, training: Any, held_out: Any) -> float:
    warnings.simplefilter("ignore")  # in joblib's processes, too
    return float(net.fit(X[training], y[training]).score(X[held_out], y[held_out]))


def main() -> None:
    p = parser("Many networks in one call, beside one after the other and joblib's processes.", [])
    p.set_defaults(threads=2)
    p.add_argument("--layers", default="20,64,64,2", help="widths of the equal nets")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--nets", type=int, default=8, help="how many of them")
    p.add_argument("--samples", type=int, default=4096, help="rows that they are trained on")
    p.add_argument("--epochs", type=int, default=20, help="epochs of each fit")
    options = parse(p)
    net = Net(tuple(int(width) for width in options.layers.split(",")), options.batch)
    with contextlib.ExitStack() as stack:

        def worker(kind: Callable[..., Any], *args: Any) -> Worker:
            return stack.enter_context(Worker(kind, *args, options.threads, threads=options.threads))

        machine = worker(Machine)
        equal = worker(Throughput, net, options.nets, options.samples, options.epochs)
        search = worker(Search, options.epochs)
        result = {
            "benchmark": "many",
            "machine": machine.call("describe"),
            "options": {"threads": options.threads, "rounds": options.rounds, "epochs": options.epochs},
            "net": str(net),
            "nets": options.nets,
            "samples": options.samples,
            "equal_nets": _measure(equal, "equal nets", (SIDE_BY_SIDE, ONE_THREAD, OWN_THREADS), options),
            "search": _measure(
                search, "a search over digits", (SIDE_BY_SIDE, ONE_THREAD, OWN_THREADS, WARM, COLD), options
            ),
        }
    report(result, _text(result), options.json)


def _measure(worker: Worker, what: str, ways: tuple[str, ...], options: Any) -> dict[str, list[float]]:
    """Seconds of each way, of every round."""
    note(what)
    jobs = {way: partial(worker.call, "seconds", way) for way in ways}
    for job in jobs.values():  # imports, threads
        job()
    return interleave(options.rounds, jobs)


def _text(result: dict[str, Any]) -> str:
    parts = [heading(result["machine"], result["options"]["threads"])]
    for title, what in (
        (f"{result['nets']} nets of {result['net']}, {result['samples']} rows", "equal_nets"),
        (f"{len(SETTINGS)} settings, {FOLDS} folds of digits", "search"),
    ):
        figures = result[what]
        base = figures[SIDE_BY_SIDE]
        rows = []
        for way, seconds in figures.items():
            ratios = [own / first for own, first in zip(seconds, base, strict=True)]
            spread = f"{number(min(ratios))} to {number(max(ratios))}"
            rows.append([way, number(median(seconds)), number(median(ratios)), spread])
        header = [title, "seconds", "times fit_many's, of one round", "all rounds"]
        parts.append(table(header, rows))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
