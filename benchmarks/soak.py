"""Random work for minutes in several threads and processes: memory stays flat, and no result changes.

    python benchmarks/soak.py --minutes 10

A sequence is an estimator drawn from a seed and some of fit, predict, partial_fit, save and load, pickle,
copy and resume; its result is a hash of all weights and predictions on the way. One process with one thread
runs sequences for a fifth of the time. Then every thread of every process draws from them, with two threads
to each parallel region, and compares each result.

Memory is the resident set of each process, as a straight line through the second half of the run. It must
grow by less than 2 % of its mean; runs under two minutes are not judged, for they are all warm-up. Needs
Linux.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import multiprocessing
import os
import pickle
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _common import add_json_option, note, number, parse, report, table

LEAST_MINUTES = 2  # of a run whose memory is judged
MOST_GROWTH = 0.02


class Sequence:
    """The operations of one seed. Files go to `path`, which is the caller's alone."""

    def __init__(self, seed: int, path: Path) -> None:
        self._rng = np.random.default_rng(seed)
        self._path = path
        self._hash = hashlib.sha256()
        self.done: Counter[str] = Counter()

    def run(self) -> str:
        """Do everything, and return the hash."""
        kind, arguments = self._draw_estimator()
        self._draw_data(kind)
        self.est = kind(**arguments)
        self._do(self.fit)
        operations = [self.fit, self.predict, self.save_and_load, self.pickle, self.copy]
        if hasattr(self.est, "partial_fit") and not self.est.early_stopping:
            operations.append(self.partial_fit)
        if "resume" in self.est.get_params():
            operations.append(self.resume)
        for _ in range(self._integer(3, 8)):
            self._do(self._pick(operations))
        return self._hash.hexdigest()

    # What is drawn.

    def _integer(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high))

    def _pick(self, options: Any) -> Any:
        return options[self._integer(0, len(options))]

    def _draw_estimator(self) -> tuple[Any, dict[str, Any]]:
        import gdfast

        arguments: dict[str, Any] = {
            "hidden_layer_sizes": (self._integer(1, 30),),
            "max_iter": self._integer(2, 6),
            "batch_size": self._integer(10, 60),
            "random_state": self._integer(0, 1000),
        }
        family = self._pick(["MLP", "MLP", "MLP", "RNN", "Tabular"])
        kind = getattr(gdfast, family + self._pick(["Classifier", "Regressor"]))
        if family == "Tabular":
            return kind, arguments | {"n_members": 2, "n_jobs": self._pick([1, 2])}
        arguments["solver"] = self._pick(["adam", "sgd", "rmsprop", "nadam"])
        arguments["ema_decay"] = self._pick([0.0, 0.9])
        arguments["early_stopping"] = bool(self._pick([False, False, True]))
        if family == "RNN":
            return kind, arguments | {"cell": self._pick(["elman", "gru", "lstm"])}
        return kind, arguments | {
            "dropout": self._pick([0.0, 0.3]),
            "batch_norm": bool(self._pick([False, True])),
            "activation": self._pick(["relu", "tanh", "gelu"]),
        }

    def _draw_data(self, kind: Any) -> None:
        rows, features = self._integer(60, 300), self._integer(2, 12)
        shape = (rows, 4, features) if kind.__name__.startswith("RNN") else (rows, features)
        X = self._rng.normal(size=shape).astype(self._pick([np.float32, np.float64]))
        sums = X.reshape(rows, -1)[:, :3].sum(axis=1)
        self._X = X
        self._y = np.digitize(sums, [-0.5, 0.5]) if kind.__name__.endswith("Classifier") else sums

    # Operations.

    def _do(self, operation: Callable[[], Any]) -> None:
        operation()
        self.done[operation.__name__] += 1
        for model in getattr(self.est, "members_", [self.est]):
            for array in [*model.coefs_, *model.intercepts_, *getattr(model, "bn_mean_", [])]:
                if array is not None:
                    self._hash.update(np.ascontiguousarray(array).tobytes())
        self.predict()

    def predict(self) -> None:
        for method in ("predict", "predict_proba"):
            if hasattr(self.est, method):
                self._hash.update(getattr(self.est, method)(self._X).tobytes())

    def fit(self) -> None:
        self.est.fit(self._X, self._y)

    def partial_fit(self) -> None:
        self.est.partial_fit(self._X, self._y)

    def save_and_load(self) -> None:
        import gdfast

        self.est.save(self._path)
        predictor = gdfast.load(self._path, training=False)
        self._hash.update(predictor.predict(self._X).tobytes())
        self.est = gdfast.load(self._path)

    def pickle(self) -> None:
        self.est = pickle.loads(pickle.dumps(self.est))

    def copy(self) -> None:
        self.est = copy.deepcopy(self.est)

    def resume(self) -> None:
        from gdfast.callbacks import ModelCheckpoint

        self._path.unlink(missing_ok=True)
        arguments = self.est.get_params()
        for more in (0, 2):
            est = type(self.est)(**arguments).set_params(
                callbacks=[ModelCheckpoint(self._path)],
                resume=self._path,
                max_iter=arguments["max_iter"] + more,
            )
            est.fit(self._X, self._y)
        self.est = est.set_params(**arguments)


def result_of(seed: int, path: Path) -> tuple[str, Counter[str]]:
    sequence = Sequence(seed, path)
    return sequence.run(), sequence.done


# Processes.


def run_alone(seed: int, seconds: float) -> dict[int, str]:
    """The results of as many sequences as one thread does in that time, at least one."""
    _begin_process()
    found: dict[int, str] = {}
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while not found or time.monotonic() < ends:
            found[seed], _ = result_of(seed, Path(folder, "model"))
            seed += 1
    return found


def run_beside(seed: int, seconds: float, threads: int, expected: dict[int, str]) -> dict[str, Any]:
    """Sequences on threads for that time; resident memory meanwhile."""
    _begin_process()
    ends = time.monotonic() + seconds
    done: Counter[str] = Counter()
    problems: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        rng = np.random.default_rng([seed, number])
        seeds = list(expected)
        while time.monotonic() < ends and not problems:
            one = seeds[int(rng.integers(len(seeds)))]
            try:
                found, operations = result_of(one, Path(folder, f"model-{number}"))
                problem = "" if found == expected[one] else "another result than alone"
            except Exception as error:
                operations, problem = Counter(), f"{type(error).__name__}: {error}"
            with lock:
                done.update(operations)
                done["sequences"] += 1
                if problem:
                    problems.append(f"sequence {one}: {problem}")

    memory: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            memory.append((time.monotonic(), _resident_bytes()))
            time.sleep(min(1.0, seconds / 100))
        for worker in workers:
            worker.join()
    return {"done": dict(done), "problems": problems, "memory": memory}


def _begin_process() -> None:
    warnings.simplefilter("ignore")  # of fits that are cut short


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def growth(memory: list[tuple[float, int]]) -> float:
    """Growth over the second half, by the straight line of least squares, as a share of its mean."""
    times, sizes = np.array(memory, dtype=np.float64).T
    half = times >= (times[0] + times[-1]) / 2
    if half.sum() < 2:
        return 0.0
    times, sizes = times[half] - times[half].mean(), sizes[half]
    slope = (times @ sizes) / (times @ times)
    return float(slope * np.ptp(times) / sizes.mean())


def main() -> int:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("--minutes", type=float, default=10.0)
    p.add_argument("--workers", type=int, default=4, help="threads of a process that run sequences")
    p.add_argument("--processes", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    add_json_option(p)
    options = parse(p)
    seconds = 60 * options.minutes

    # Spawned: each starts anew. The limits are read from the environment when gdfast is first used.
    context = multiprocessing.get_context("spawn")
    os.environ["GDFAST_FORCE_THREADS"] = "1"
    with context.Pool(1) as pool:
        note(f"one thread alone, {number(seconds / 5)} s")
        expected = pool.apply(run_alone, (options.seed, seconds / 5))
    os.environ["GDFAST_FORCE_THREADS"] = "2"
    note(f"{len(expected)} sequences; {options.workers} threads in each of {options.processes} processes")
    with context.Pool(options.processes) as pool:
        runs = pool.starmap(
            run_beside,
            [
                (options.seed + i, 4 * seconds / 5, options.workers, expected)
                for i in range(options.processes)
            ],
            chunksize=1,
        )
    judged = options.minutes >= LEAST_MINUTES
    for run in runs:
        run["growth"] = growth(run["memory"])
        run["mean_bytes"] = float(np.mean([size for _, size in run["memory"]]))
        if judged and run["growth"] >= MOST_GROWTH:
            run["problems"].append(f"memory grew by {100 * run['growth']:.1f} %")
    problems = [problem for run in runs for problem in run["problems"]]
    result = {
        "benchmark": "soak",
        "minutes": options.minutes,
        "seed": options.seed,
        "sequences_alone": len(expected),
        "memory_is_judged": judged,
        "processes": runs,
    }
    report(result, _text(result, problems), options.json)
    return 1 if problems else 0


def _text(result: dict[str, Any], problems: list[str]) -> str:
    rows = []
    for i, run in enumerate(result["processes"], 1):
        operations = sum(n for name, n in run["done"].items() if name != "sequences")
        rows.append(
            [
                str(i),
                number(run["done"].get("sequences", 0)),
                number(operations),
                number(run["mean_bytes"] / 2**20),
                f"{100 * run['growth']:.2f} %",
            ]
        )
    header = ["process", "sequences", "operations", "resident MiB", "growth, second half"]
    end = "\n".join(problems) if problems else "every result as in one thread alone"
    return f"{table(header, rows)}\n\n{end}"


if __name__ == "__main__":
    sys.exit(main())
