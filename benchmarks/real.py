"""Real tables through a whole scikit-learn pipeline: seconds, and the held-out score that they bought.

python benchmarks/real.py
python benchmarks/real.py --tables adult,wine --seeds 3
python benchmarks/real.py --csv houses.csv --target price
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _common import DATA, add_json_option, median, n_cores, note, number, parse, report, table
from _workers import FailedError, UnavailableError, Worker
from machine import Machine, heading

LIBRARIES = ("gdfast", "scikit-learn", "torch")


@dataclass(frozen=True)
class Table:
    """A CSV file, what to predict in it, and how."""

    name: str
    file: Path
    target: str | int
    task: str | None = None  # None: told from the target's values
    header: bool = True
    test_file: Path | None = None  # published hold-out, where there is one


def tables_in(folder: Path) -> dict[str, Table]:
    """The tables that the project measures itself on."""
    adult = folder / "adult-train.csv"
    return {
        "adult": Table("adult", adult, 14, "classification", False, folder / "adult-test.csv"),
        "california": Table(
            "california", folder / "california-housing.csv", "median_house_value", "regression"
        ),
        "wine": Table("wine", folder / "winequality-white.csv", 11, "classification", False),
        "phoneme": Table("phoneme", folder / "phoneme.csv", 5, "classification", False),
    }


def main() -> None:
    options = _options()
    result: dict[str, Any] = {
        "benchmark": "real",
        "options": {"threads": options.threads, "seeds": options.seeds, "hidden": options.hidden},
        "tables": {},
        "scores": {},  # what is measured on each table
    }
    with contextlib.ExitStack() as stack:
        result["machine"] = stack.enter_context(
            Worker(Machine, options.threads, threads=options.threads)
        ).call("describe")
        workers = {}
        for library in options.libraries:
            try:
                workers[library] = stack.enter_context(Worker(Fitter, library, threads=options.threads))
            except UnavailableError as reason:
                note(f"{library} is left out: {reason}")
        for chosen in options.chosen:
            runs: dict[str, list[dict[str, float]]] = {library: [] for library in workers}
            for worker in workers.values():
                try:
                    result["scores"][chosen.name] = worker.call("load", chosen, options.hidden)
                except FailedError as error:
                    raise SystemExit(str(error).strip().splitlines()[-1]) from None
            for seed in range(options.seeds):
                for library, worker in workers.items():
                    runs[library].append(worker.call("fit", seed))
                    note(f"{chosen.name}, seed {seed}, {library}: {runs[library][-1]}")
            result["tables"][chosen.name] = runs
    report(result, _text(result), options.json)


def _options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=DATA, help="folder of the tables (default: benchmarks/data)")
    p.add_argument("--tables", type=lambda s: s.split(","), help="which of them (default: all)")
    p.add_argument("--csv", type=Path, help="any table with a header instead; needs --target")
    p.add_argument("--target", help="the column of --csv to predict")
    p.add_argument("--task", choices=("classification", "regression"), help="default: told from the target")
    p.add_argument("--libraries", type=lambda s: s.split(","), default=list(LIBRARIES), help="default: all")
    p.add_argument("--hidden", type=lambda s: tuple(map(int, s.split(","))), default=(128, 64))
    p.add_argument("--seeds", type=int, default=5, help="runs, each with its split and weights (default: 5)")
    p.add_argument("--threads", type=int, default=n_cores(), help="default: all cores")
    add_json_option(p)
    options = parse(p)
    if unknown := set(options.libraries) - set(LIBRARIES):
        p.error(f"unknown libraries {sorted(unknown)}; known are {', '.join(LIBRARIES)}")
    if (options.csv is None) != (options.target is None):
        p.error("--csv and --target go together")
    if options.csv:
        options.chosen = [Table(options.csv.stem, options.csv, options.target, options.task)]
        return options
    known = tables_in(options.data)
    if unknown := set(options.tables or ()) - set(known):
        p.error(f"unknown tables {sorted(unknown)}; known are {', '.join(known)}")
    options.chosen = [known[name] for name in options.tables or known]
    if missing := [str(t.file) for t in options.chosen if not t.file.exists()]:
        p.error(f"not found: {', '.join(missing)}; name the folder with --data")
    return options


class Fitter:
    """One library that fits pipelines; lives in a worker process."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._models = _models(library)

    def load(self, chosen: Table, hidden: tuple[int, ...]) -> str:
        """Read the table; returns what its score is."""
        self._hidden = hidden
        self._X, self._y, self._n_train = read(chosen)
        self._is_regression = (chosen.task or _told_task(self._y)) == "regression"
        return "R2" if self._is_regression else "accuracy"

    def fit(self, seed: int) -> dict[str, float]:
        """Seconds of the whole pipeline's fit, epochs it took, and the score on rows it never saw."""
        from sklearn.model_selection import train_test_split

        if self._n_train:
            train, test = np.arange(self._n_train), np.arange(self._n_train, len(self._y))
        else:
            stratify = None if self._is_regression else self._y
            train, test = train_test_split(np.arange(len(self._y)), random_state=seed, stratify=stratify)
        model = self._pipeline(seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Maximum iterations")
            start = time.perf_counter()
            model.fit(self._X.iloc[train], self._y[train])
            seconds = time.perf_counter() - start
        fitted = model.regressor_ if self._is_regression else model
        score = float(model.score(self._X.iloc[test], self._y[test]))
        return {"seconds": seconds, "epochs": fitted[-1].n_iter_, "score": score}

    def _pipeline(self, seed: int) -> Any:
        from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        columns = ColumnTransformer(
            [
                (
                    "numbers",
                    make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                    make_column_selector(dtype_include="number"),
                ),
                (
                    "categories",
                    make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"), one_hot),
                    make_column_selector(dtype_exclude="number"),
                ),
            ]
        )
        classifier, regressor, own = self._models
        net = (regressor if self._is_regression else classifier)(
            hidden_layer_sizes=self._hidden, batch_size=200, random_state=seed, **own
        )
        pipeline = make_pipeline(columns, net)
        if self._is_regression:
            return TransformedTargetRegressor(pipeline, transformer=StandardScaler())
        return pipeline


def _models(library: str) -> tuple[Any, Any, dict[str, Any]]:
    """The classifier, the regressor, and the arguments that make all libraries stop by one rule."""
    if library == "torch":
        import torch
        from torch_estimator import TorchMLPClassifier, TorchMLPRegressor

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        torch.set_flush_denormal(True)
        return TorchMLPClassifier, TorchMLPRegressor, {}
    module = importlib.import_module({"gdfast": "gdfast", "scikit-learn": "sklearn.neural_network"}[library])
    return module.MLPClassifier, module.MLPRegressor, {"early_stopping": True}


def read(chosen: Table) -> tuple[Any, np.ndarray[Any, Any], int]:
    """Features as a data frame with float32 numbers, the target, and rows of the published training part.

    The last is 0 where nobody published a split.
    """
    import pandas as pd

    def load(path: Path) -> Any:
        # "|1x3 Cross validator" is how the published adult test file begins.
        return pd.read_csv(
            path,
            header=0 if chosen.header else None,
            skipinitialspace=True,
            na_values=["?"],
            comment="|",
        )

    frame = load(chosen.file)
    n_train = 0
    if chosen.test_file:
        n_train = len(frame)
        frame = pd.concat([frame, load(chosen.test_file)], ignore_index=True)
    if chosen.target not in frame.columns:
        raise ValueError(f"{chosen.file} has no column {chosen.target!r}; it has {list(frame.columns)}")
    y = frame.pop(chosen.target)
    frame.columns = frame.columns.astype(str)
    numbers = frame.select_dtypes("number").columns
    categories = frame.columns.difference(numbers)
    frame = frame.astype({**dict.fromkeys(numbers, np.float32), **dict.fromkeys(categories, object)})
    # The adult test file ends its labels with a dot.
    y = y if pd.api.types.is_numeric_dtype(y) else y.str.rstrip(".")
    return frame, y.to_numpy(np.float32 if y.dtype.kind == "f" else None), n_train


def _told_task(y: np.ndarray[Any, Any]) -> str:
    """A target of fractions, or of more than 20 different numbers, is a quantity."""
    if y.dtype.kind in "OUSTb":
        return "classification"
    return "regression" if y.dtype.kind == "f" or len(np.unique(y)) > 20 else "classification"


def _text(result: dict[str, Any]) -> str:
    rows = []
    for name, runs in result["tables"].items():
        for library, fits in runs.items():
            seconds, scores = [fit["seconds"] for fit in fits], [fit["score"] for fit in fits]
            rows.append(
                [
                    f"{name}, {library}",
                    number(median(seconds)),
                    f"{number(min(seconds))}-{number(max(seconds))}",
                    number(median([fit["epochs"] for fit in fits])),
                    f"{np.mean(scores):.4f}",
                    f"{np.std(scores):.4f}",
                ]
            )
    header = ["table, library", "seconds, median", "range", "epochs", "held-out score", "+- (seeds)"]
    return (
        f"{heading(result['machine'], result['options']['threads'])}\n\n"
        f"{table(header, rows)}\n\nScore: accuracy of classifiers, R2 of regressors; "
        f"mean and standard deviation of {result['options']['seeds']} seeds."
    )


if __name__ == "__main__":
    main()
