"""Real tables as they are: the held-out score of every estimator for tables, and the CPU seconds it took.

python benchmarks/tables.py
python benchmarks/tables.py --tables adult,wine --models balanced,lightgbm --splits 5
python benchmarks/tables.py --csv houses.csv --target price
"""

from __future__ import annotations

import argparse
import contextlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _common import DATA, add_json_option, n_cores, note, parse, report, table
from _workers import FailedError, UnavailableError, Worker
from machine import Machine, heading

# The error of a score, whose logarithms are compared: smaller is better.
ERRORS = {"RMSE": lambda score: score, "accuracy": lambda score: 1 - score, "AUC": lambda score: 1 - score}


@dataclass(frozen=True)
class Table:
    """A CSV file, the column to predict, and the score that counts."""

    name: str
    file: Path
    target: str | int
    metric: str | None = None  # None: told from the target's values
    header: bool = True


def tables_in(folder: Path) -> dict[str, Table]:
    """The tables that the project measures itself on."""
    return {
        "adult": Table("adult", folder / "adult-train.csv", 14, "accuracy", False),
        "california": Table("california", folder / "california-housing.csv", "median_house_value", "RMSE"),
        "wine": Table("wine", folder / "winequality-white.csv", 11, "RMSE", False),
        "phoneme": Table("phoneme", folder / "phoneme.csv", 5, "accuracy", False),
        "abalone": Table("abalone", folder / "abalone.csv", 8, "RMSE", False),
        "letter": Table("letter", folder / "letter.csv", "lettr", "accuracy"),
        "spam": Table("spam", folder / "spam.csv", "type", "accuracy"),
        "german": Table("german", folder / "german-credit.csv", "credit_risk", "AUC"),
    }


# ---------------------------------------------------------------------------------------------- the models

# Each makes an estimator for (whether it is a regression, the score, a seed, threads, categorical columns).


def _gdfast(preset: str) -> Callable[..., Any]:
    def make(regression: bool, metric: str, seed: int, threads: int, categories: list[str]) -> Any:
        from gdfast import TabularClassifier, TabularRegressor

        if regression:
            return TabularRegressor(preset, random_state=seed, n_jobs=threads)
        scoring = "roc_auc" if metric == "AUC" else None
        return TabularClassifier(preset, scoring=scoring, random_state=seed, n_jobs=threads)

    return make


def _plain_mlp(regression: bool, metric: str, seed: int, threads: int, categories: list[str]) -> Any:
    from gdfast import MLPClassifier, MLPRegressor
    from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
    )
    arguments: dict[str, Any] = {"hidden_layer_sizes": (256, 256), "early_stopping": True}
    arguments |= {"random_state": seed, "n_jobs": threads}
    if regression:
        net = make_pipeline(columns, MLPRegressor(**arguments))
        return TransformedTargetRegressor(net, transformer=StandardScaler())
    return make_pipeline(columns, MLPClassifier(**arguments))


def _lightgbm(regression: bool, metric: str, seed: int, threads: int, categories: list[str]) -> Any:
    import lightgbm

    kind = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
    return kind(random_state=seed, n_jobs=threads, verbose=-1)


def _catboost(regression: bool, metric: str, seed: int, threads: int, categories: list[str]) -> Any:
    import catboost

    kind = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
    return kind(
        random_seed=seed, thread_count=threads, cat_features=categories, verbose=0, allow_writing_files=False
    )


def _xgboost(regression: bool, metric: str, seed: int, threads: int, categories: list[str]) -> Any:
    import xgboost

    kind = xgboost.XGBRegressor if regression else xgboost.XGBClassifier
    return kind(random_state=seed, n_jobs=threads, enable_categorical=True)


def _boosting(regression: bool, metric: str, seed: int, threads: int, categories: list[str]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return kind(random_state=seed)


def _pytabkit(name: str) -> Callable[..., Any]:
    def make(regression: bool, metric: str, seed: int, threads: int, categories: list[str]) -> Any:
        from pytabkit import models

        kind = getattr(
            models.sklearn.sklearn_interfaces, f"{name}_{'Regressor' if regression else 'Classifier'}"
        )
        return kind(device="cpu", random_state=seed, n_threads=threads)

    return make


MODELS: dict[str, Callable[..., Any]] = {
    "MLP": _plain_mlp,
    "fast": _gdfast("fast"),
    "balanced": _gdfast("balanced"),
    "best": _gdfast("best"),
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "xgboost": _xgboost,
    "histgb": _boosting,
    "realmlp": _pytabkit("RealMLP_TD"),
    "tabm": _pytabkit("TabM_D"),
}
PACKAGES = {
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "xgboost": "xgboost",
    "realmlp": "pytabkit",
    "tabm": "pytabkit",
}


class Fitter:
    """One model on one table after another; lives in a worker process."""

    def __init__(self, name: str, threads: int) -> None:
        if package := PACKAGES.get(name):
            __import__(package)
        self._name = name
        self._threads = threads

    def fit(self, chosen: Table, split: int) -> dict[str, Any]:
        """Score on the rows that were held out, and CPU and wall seconds of fit."""
        from sklearn.metrics import accuracy_score, roc_auc_score, root_mean_squared_error
        from sklearn.model_selection import train_test_split

        X, y, metric = read(chosen)
        train, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=split)
        categories = [name for name in X if str(X[name].dtype) == "category"]
        if self._name == "catboost":
            X = X.astype(dict.fromkeys(categories, object)).fillna(dict.fromkeys(categories, "missing"))
        regression = metric == "RMSE"
        model = MODELS[self._name](regression, metric, split, self._threads, categories)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cpu, wall = time.process_time(), time.perf_counter()
            model.fit(X.iloc[train], y[train])
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if regression:
                score = root_mean_squared_error(y[test], model.predict(X.iloc[test]))
            elif metric == "accuracy":
                score = accuracy_score(y[test], np.ravel(model.predict(X.iloc[test])))
            else:
                score = roc_auc_score(y[test], model.predict_proba(X.iloc[test])[:, 1])
            found = {"metric": metric, "score": float(score), "cpu": cpu, "wall": wall}
            if not regression:
                found.update(calibration(y[test], model.predict_proba(X.iloc[test])))
        return found


def calibration(y: np.ndarray[Any, Any], proba: np.ndarray[Any, Any]) -> dict[str, float]:
    """Log-loss, and the expected calibration error of the most probable class over 15 bins of probability."""
    from sklearn.metrics import log_loss

    sure, right = proba.max(axis=1), proba.argmax(axis=1) == y
    bins = np.minimum((sure * 15).astype(int), 14)
    gaps = [np.abs(np.sum(sure[bins == b] - right[bins == b])) for b in range(15)]
    return {"log_loss": float(log_loss(y, proba)), "ece": float(np.sum(gaps) / len(y))}


def read(chosen: Table) -> tuple[Any, np.ndarray[Any, Any], str]:
    """The frame, with text as categories; the target, classes as numbers from 0; and the score."""
    import pandas as pd

    frame = pd.read_csv(
        chosen.file, header=0 if chosen.header else None, skipinitialspace=True, na_values=["?"]
    )
    if chosen.target not in frame.columns:
        raise ValueError(f"{chosen.file} has no column {chosen.target!r}; it has {list(frame.columns)}")
    y = frame.pop(chosen.target)
    frame.columns = [f"c_{name}" for name in frame.columns]
    for name in frame:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].astype("category")
    metric = chosen.metric
    if metric is None:
        quantity = y.dtype.kind == "f" or (pd.api.types.is_numeric_dtype(y) and y.nunique() > 20)
        metric = "RMSE" if quantity else "accuracy"
    return frame, y.to_numpy(float) if metric == "RMSE" else np.unique(y, return_inverse=True)[1], metric


# --------------------------------------------------------------------------------------------- the program


def main() -> None:
    options = _options()
    result: dict[str, Any] = {
        "benchmark": "tables",
        "options": {"threads": options.threads, "splits": options.splits},
        "tables": {chosen.name: {} for chosen in options.chosen},
    }
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(Worker(Machine, options.threads, threads=options.threads))
        result["machine"] = machine.call("describe")
        workers = {}
        for name in options.models:
            try:
                workers[name] = stack.enter_context(
                    Worker(Fitter, name, options.threads, threads=options.threads)
                )
            except UnavailableError as reason:
                note(f"{name} is left out: {reason}")
        for chosen in options.chosen:
            for split in range(options.splits):
                for name, worker in workers.items():
                    try:
                        found = worker.call("fit", chosen, split)
                    except FailedError as error:
                        raise SystemExit(str(error).strip().splitlines()[-1]) from None
                    result["tables"][chosen.name].setdefault(name, []).append(found)
                    note(f"{chosen.name}, split {split}, {name}: {found['score']:.4f}, {found['cpu']:.1f} s")
    report(result, _text(result), options.json)


def _options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=DATA, help="folder of the tables (default: benchmarks/data)")
    p.add_argument("--tables", type=lambda s: s.split(","), help="which of them (default: all)")
    p.add_argument("--csv", type=Path, help="any table with a header instead; needs --target")
    p.add_argument("--target", help="the column of --csv to predict")
    p.add_argument("--metric", choices=tuple(ERRORS), help="of --csv (default: RMSE or accuracy)")
    default = [name for name in MODELS if name not in ("realmlp", "tabm")]
    p.add_argument(
        "--models",
        type=lambda s: s.split(","),
        default=default,
        help=f"of {', '.join(MODELS)} (default: all but realmlp and tabm, which take minutes a fit)",
    )
    p.add_argument("--splits", type=int, default=3, help="random splits, 20 %% held out (default: 3)")
    p.add_argument("--threads", type=int, default=n_cores(), help="default: all cores")
    add_json_option(p)
    options = parse(p)
    if unknown := set(options.models) - set(MODELS):
        p.error(f"unknown models {sorted(unknown)}; known are {', '.join(MODELS)}")
    if (options.csv is None) != (options.target is None):
        p.error("--csv and --target go together")
    if options.csv:
        options.chosen = [Table(options.csv.stem, options.csv, options.target, options.metric)]
        return options
    known = tables_in(options.data)
    if unknown := set(options.tables or ()) - set(known):
        p.error(f"unknown tables {sorted(unknown)}; known are {', '.join(known)}")
    options.chosen = [known[name] for name in options.tables or known]
    if missing := [str(t.file) for t in options.chosen if not t.file.exists()]:
        p.error(f"not found: {', '.join(missing)}; name the folder with --data")
    return options


def log_errors(result: dict[str, Any]) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """By table and model: the logarithm of the error of each split."""
    return {
        name: {
            model: np.log([max(ERRORS[fit["metric"]](fit["score"]), 1e-12) for fit in fits])
            for model, fits in runs.items()
        }
        for name, runs in result["tables"].items()
    }


def summary(result: dict[str, Any]) -> list[dict[str, Any]]:
    """For each model, over all tables: log-error ratio to the first model, rank, and CPU seconds of a fit."""
    errors = log_errors(result)
    models = list(next(iter(errors.values())))
    means = {t: {m: e.mean() for m, e in by_model.items()} for t, by_model in errors.items()}
    return [
        {
            "model": m,
            "ratio": float(np.mean([of[m] - of[models[0]] for of in means.values()])),
            "rank": float(
                np.mean([1 + sum(other < of[m] for other in of.values()) for of in means.values()])
            ),
            "cpu": float(np.mean([fit["cpu"] for runs in result["tables"].values() for fit in runs[m]])),
        }
        for m in models
    ]


def _text(result: dict[str, Any]) -> str:
    tables = result["tables"]
    models = list(next(iter(tables.values())))

    def cell(fits: list[dict[str, Any]]) -> str:
        scores = [fit["score"] for fit in fits]
        spread = np.std(scores, ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.nan
        return f"{np.mean(scores):.4f} +- {spread:.4f}"

    scores = [
        [f"{name}, {next(iter(runs.values()))[0]['metric']}", *(cell(runs[m]) for m in models)]
        for name, runs in tables.items()
    ]
    seconds = [[name, *(f"{_mean(runs[m], 'cpu'):.2f}" for m in models)] for name, runs in tables.items()]
    calibrated = [
        [name, *(f"{_mean(runs[m], 'log_loss'):.4f} / {_mean(runs[m], 'ece'):.3f}" for m in models)]
        for name, runs in tables.items()
        if "log_loss" in next(iter(runs.values()))[0]
    ]
    overall = [
        [s["model"], f"{s['ratio']:+.3f}", f"{s['rank']:.2f}", f"{s['cpu']:.2f}"] for s in summary(result)
    ]
    parts = [
        heading(result["machine"], result["options"]["threads"]),
        f"Held-out score, mean and its standard error over {result['options']['splits']} splits:",
        table(["table", *models], scores),
        "CPU seconds of fit:",
        table(["table", *models], seconds),
        f"Over all tables: mean logarithm of the error's ratio to {models[0]}'s, rank, CPU seconds:",
        table(["model", "log ratio", "rank", "CPU s"], overall),
    ]
    if calibrated:
        parts += ["Log-loss / expected calibration error:", table(["table", *models], calibrated)]
    return "\n\n".join(parts)


def _mean(fits: list[dict[str, Any]], what: str) -> float:
    return float(np.mean([fit[what] for fit in fits]))


if __name__ == "__main__":
    main()
