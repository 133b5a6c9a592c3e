"""``gdfast train``: from a table to a model file."""

from __future__ import annotations

import sys
import time
import warnings
from argparse import Namespace
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn import metrics
from sklearn.model_selection import train_test_split

import gdfast
from gdfast._cli import tables
from gdfast._cli.columns import CATEGORY, UNUSED, MistakenTextError
from gdfast._cli.errors import CommandError, naming
from gdfast._cli.output import check_writable, counted, listed, option, quoted, show
from gdfast._cli.tables import Table
from gdfast._files import written_whole
from gdfast.callbacks import ProgressBar
from gdfast.preprocessing._columns import Column, Kind
from gdfast.training.arrays import Array

Task = Literal["classification", "regression"]

# Whole numbers are classes up to this many values, and where a value has ten rows on average.
_MOST_CLASSES = 20
_ROWS_OF_A_CLASS = 10
_PICTURES = (".pdf", ".png", ".svg")


@dataclass(frozen=True)
class Problem:
    """Rows that have a target.

    Attributes
    ----------
    columns : list of Column
        The features.
    target : ndarray of shape (n_rows,)
        Strings or integers for classes, else floats.
    weight : ndarray of shape (n_rows,) or None
    n_left_out : int
        Number of rows without a target.
    """

    task: Task
    columns: list[Column]
    target: Array
    weight: Array | None
    n_left_out: int


def run(arguments: Namespace) -> None:
    check_writable(arguments.out, "--out", arguments.data)
    if arguments.plot is not None:
        _check_plot(arguments.plot, arguments.out, arguments.data)
    table = _table(arguments)
    problem = _problem(arguments, table)
    _show_problem(arguments, table, problem)

    training, held_out = _split(problem, arguments.test_size, arguments.seed)
    est = _estimator(arguments, problem.task)
    begin = time.perf_counter()
    _fit(est, problem, training)
    seconds = time.perf_counter() - begin
    scores = _scores(est, problem, held_out) if len(held_out) else []
    scored = f"{len(held_out):,} rows held out" if scores else _why_none(arguments.test_size, held_out)
    with naming(arguments.out):
        est.save(arguments.out)
    if arguments.plot is not None:
        _plot(est, arguments.plot)
    show(
        [
            ("trained on", f"{len(training):,} rows in {seconds:.1f} s, epochs: {est.n_iter_.tolist()}"),
            ("score on", scored),
            *((f"  {name}", f"{score:.6g}") for name, score in scores),
            ("model", str(arguments.out)),
            *([("plot", str(arguments.plot))] if arguments.plot is not None else []),
        ]
    )


def _table(arguments: Namespace) -> Table:
    kinds = dict.fromkeys(arguments.categorical, CATEGORY)
    if arguments.task is not None:
        kinds[arguments.target] = CATEGORY if arguments.task == "classification" else ("number", "date")
    kinds.update(dict.fromkeys(arguments.drop, UNUSED))
    if arguments.weight is not None:
        kinds[arguments.weight] = ("number",)
    try:
        return tables.read(arguments.data, lambda names: kinds, arguments.decimal)
    except MistakenTextError as error:
        raise CommandError(f"{error.what}: {_advice(arguments, error.column)}.") from None


def _advice(arguments: Namespace, column: str) -> str:
    """What to do about a mistaken text."""
    if column == arguments.weight:
        return "correct it"
    if column == arguments.target:
        return "correct it, or give --task classification"
    return f"correct it, or give {option('--categorical', column)} or {option('--drop', column)}"


def _problem(arguments: Namespace, table: Table) -> Problem:
    target, weight, path = arguments.target, arguments.weight, arguments.data
    tables.check_has(path, table, [target], "--target")
    tables.check_has(path, table, arguments.drop, "--drop")
    tables.check_has(path, table, arguments.categorical, "--categorical")
    if weight is not None:
        tables.check_has(path, table, [weight], "--weight")
    left_out = {target, weight, *arguments.drop}
    if target in {weight, *arguments.drop}:
        raise CommandError(f"--target {target} is also given as --weight or --drop.")
    features = [column for name, column in table.items() if name not in left_out]
    if not features:
        raise CommandError(f"{path} has no columns beside {', '.join(map(repr, table))}.")

    column = table[target]
    known = _is_known(column)
    if known.sum() < 2:
        raise CommandError(
            f"{path}: column {target!r} has {counted(int(known.sum()), 'value')}, and 2 are the fewest."
        )
    y = column.values[known]
    task: Task = arguments.task or _task(column.kind, y)
    if task == "classification":
        y = _classes(y)
        if len(np.unique(y)) < 2:
            raise CommandError(f"{path}: column {target!r} has one class only, {quoted(str(y[0]))}.")
    elif np.ptp(y) == 0:
        value = np.datetime64(round(86_400 * y[0]), "s") if column.kind == "date" else y[0]
        raise CommandError(f"{path}: column {target!r} has one value only, {value}.")
    weights = None
    if weight is not None:
        _check_weights(path, table[weight], np.flatnonzero(known))
        weights = table[weight].values[known]
    rows = [Column(feature.name, feature.values[known], feature.kind) for feature in features]
    return Problem(task, rows, y, weights, int((~known).sum()))


def _check_weights(path: Path, column: Column, rows: Array) -> None:
    """CommandError if rows have no weights to train with."""
    what, weights = f"{path}: column {column.name!r}", column.values[rows]
    wrong = np.flatnonzero(~(weights >= 0))
    if len(wrong):
        weight, row = weights[wrong[0]], rows[wrong[0]] + 1
        if np.isnan(weight):
            raise CommandError(f"{what} has no weight in row {row}.")
        raise CommandError(f"{what} has the weight {weight} in row {row}, and 0 is the least.")
    if not weights.any():
        raise CommandError(f"{what} has no weight other than 0.")


def _is_known(column: Column) -> Array:
    if column.kind != "category":
        return ~np.isnan(column.values)
    return np.array([value is not None for value in column.values])


def _task(kind: Kind, y: Array) -> Task:
    if kind == "category":
        return "classification"
    n_values = len(np.unique(y))
    few = n_values == 2 or n_values <= min(_MOST_CLASSES, len(y) / _ROWS_OF_A_CLASS)
    return "classification" if kind == "number" and few and not (y % 1).any() else "regression"


def _classes(y: Array) -> Array:
    """Classes as integers where all are, else as strings."""
    try:
        numbers = y.astype(np.float64)
    except ValueError:
        return y.astype(str)
    # Beyond 2**53 several integers are the same float.
    if not np.isfinite(numbers).all() or (numbers % 1).any() or np.abs(numbers).max() >= 2**53:
        return y.astype(str)
    return numbers.astype(np.int64)


def _show_problem(arguments: Namespace, table: Table, problem: Problem) -> None:
    y = problem.target
    if problem.task == "classification":
        what = f"classes: {listed([str(value) for value in np.unique(y)])}"
    else:
        what = f"{y.min():.6g} to {y.max():.6g}"
    other = "regression" if problem.task == "classification" else "classification"
    hint = "" if arguments.task else f"; --task {other} overrides"
    names: dict[Kind, list[str]] = {"number": [], "category": [], "date": []}
    for column in problem.columns:
        names[column.kind].append(column.name)
    titles = {"number": "  numbers", "category": "  categories", "date": "  dates"}
    rows = f"{len(y):,} rows" + f", {problem.n_left_out:,} more without a target" * (problem.n_left_out > 0)
    show(
        [
            ("data", f"{arguments.data}: {rows}, {len(table)} columns"),
            ("target", f"{arguments.target}, {problem.task} ({what}{hint})"),
            ("features", str(len(problem.columns))),
            *((titles[kind], listed(found)) for kind, found in names.items() if found),
            *([("weight", arguments.weight)] if arguments.weight is not None else []),
            *([("left out", listed(arguments.drop))] if arguments.drop else []),
        ]
    )


def _split(problem: Problem, test_size: float, seed: int) -> tuple[Array, Array]:
    """Rows to train on, and rows held out."""
    y = problem.target
    rows = np.arange(len(y))
    if test_size == 0:
        return rows, rows[:0]
    n_held_out = int(np.ceil(test_size * len(y)))
    if len(y) - n_held_out < 2:
        raise CommandError(
            f"--test-size {test_size} leaves {len(y) - n_held_out} of {len(y)} rows to train on."
        )
    classes = None
    if problem.task == "classification":
        found, counts = np.unique(y, return_counts=True)
        if counts.min() > 1 and len(found) <= min(n_held_out, len(y) - n_held_out):
            classes = y
    training, held_out = train_test_split(rows, test_size=n_held_out, random_state=seed, stratify=classes)
    if problem.task == "classification":  # a class that is not trained cannot be scored
        unseen = ~np.isin(y[held_out], y[training])
        training, held_out = np.concatenate([training, held_out[unseen]]), held_out[~unseen]
    return training, held_out


def _why_none(test_size: float, held_out: Array) -> str:
    """Why no rows are scored."""
    if len(held_out):
        return "no rows: those held out have no weight"
    return "no rows: " + (
        "those drawn are needed to train their classes" if test_size else "none are held out"
    )


def _estimator(arguments: Namespace, task: Task) -> Any:
    kind = gdfast.TabularClassifier if task == "classification" else gdfast.TabularRegressor
    try:
        bar = [ProgressBar(file=sys.stderr, disable=None)]  # None: only on a terminal
    except ImportError:
        bar = None
    return kind(
        arguments.preset,
        max_iter=arguments.max_iter,
        max_time=arguments.time,
        random_state=arguments.seed,
        callbacks=bar,
    )


def _fit(est: Any, problem: Problem, rows: Array) -> None:
    weight = None if problem.weight is None else problem.weight[rows]
    if weight is not None and not weight.any():
        raise CommandError("no row to train on has a weight: give another --seed or --test-size.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("error", "Training interrupted")
        try:
            est.fit(_rows(problem.columns, rows), problem.target[rows], weight)
        except UserWarning as interrupted:
            raise KeyboardInterrupt from interrupted
        except (TypeError, ValueError) as error:
            raise CommandError(" ".join(str(error).split())) from None
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"gdfast: warning: {message}", file=sys.stderr)
    est.set_params(callbacks=None)  # a file holds none
    if not hasattr(est, "feature_names_in_"):  # of an array
        est.feature_names_in_ = np.array([column.name for column in problem.columns], dtype=object)
    # It has seen their days only; predict asks for dates.
    est.encoder_.date_features_ = [column.name for column in problem.columns if column.kind == "date"]


def _rows(columns: list[Column], rows: Array) -> Any:
    return tables.as_rows([Column(column.name, column.values[rows], column.kind) for column in columns])


def _scores(est: Any, problem: Problem, rows: Array) -> list[tuple[str, float]]:
    X, y = _rows(problem.columns, rows), problem.target[rows]
    weight = None if problem.weight is None else problem.weight[rows]
    if weight is not None and not weight.any():
        return []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        if problem.task == "regression":
            predicted = est.predict(X)
            found = [
                ("RMSE", metrics.root_mean_squared_error(y, predicted, sample_weight=weight)),
                ("MAE", metrics.mean_absolute_error(y, predicted, sample_weight=weight)),
            ]
            if len(y) > 1:
                found.insert(0, ("R2", metrics.r2_score(y, predicted, sample_weight=weight)))
            return found
        probabilities = est.predict_proba(X)
    predicted = est.classes_[probabilities.argmax(axis=1)]
    loss = metrics.log_loss(y, probabilities, labels=est.classes_, sample_weight=weight)
    found = [("accuracy", metrics.accuracy_score(y, predicted, sample_weight=weight)), ("log-loss", loss)]
    if len(est.classes_) == 2 and len(np.unique(y)) == 2:
        auc = metrics.roc_auc_score(y == est.classes_[1], probabilities[:, 1], sample_weight=weight)
        found.append(("AUC", auc))
    return found


def _check_plot(path: Path, out: Path, *others: Path) -> None:
    if path.suffix.lower() not in _PICTURES:
        raise CommandError(f"--plot {path} must end in {', '.join(_PICTURES)}.")
    try:
        import_module("matplotlib")
    except ImportError:
        raise CommandError("--plot needs matplotlib: install it.") from None
    check_writable(path, "--plot", out, *others)
    if path.resolve() == out.resolve():
        raise CommandError(f"--plot {path} is the file of the model: name another one.")


def _plot(est: Any, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    ax = figure.subplots()
    for number, history in enumerate(est.history_):
        display = gdfast.LossCurveDisplay(
            history["loss"],
            validation_loss_curve=history["val_loss"] or None,
            estimator_name=f"network {number + 1}",
        )
        display.plot(ax=ax, color=f"C{number}", validation_kwargs={"color": f"C{number}", "linestyle": "--"})
    with naming(path), written_whole(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())
