"""``gdfast predict``: from a model file and a table to predictions."""

from __future__ import annotations

import csv
import io
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from gdfast._cli import models, tables
from gdfast._cli.columns import CATEGORY, UNUSED, Kinds
from gdfast._cli.errors import STANDARD_OUTPUT, CommandError, naming
from gdfast._cli.output import check_writable, counted, first_of
from gdfast._files import written_whole
from gdfast._model_file.tree import Stored
from gdfast.preprocessing._columns import Column
from gdfast.training.arrays import Array


def run(arguments: Namespace) -> None:
    if arguments.out is not None:
        check_writable(arguments.out, "--out", arguments.model, arguments.data)
    stored, predictor = models.read(arguments.model)
    name = stored.name.rpartition(".")[2]
    if predictor is None:
        raise CommandError(f"{arguments.model} holds {name}, which is not fitted, or does not predict.")
    if name.startswith("RNN"):
        raise CommandError(f"{arguments.model} holds {name}, which takes sequences: load it by gdfast.load.")
    if arguments.proba and not hasattr(predictor, "predict_proba"):
        raise CommandError(f"--proba: {arguments.model} holds {name}, which predicts numbers.")

    names = getattr(predictor, "feature_names_in_", None)
    known = categories_of(stored)

    def kinds_of(found: Sequence[str]) -> dict[str, Kinds]:
        _check_features(arguments.data, found, names, len(known))
        kinds = zip(found if names is None else names, _kinds(stored, names, known), strict=True)
        return {**dict.fromkeys(found, UNUSED), **dict(kinds)}

    table = tables.read(arguments.data, kinds_of, arguments.decimal)
    columns = list(table.values()) if names is None else [table[column] for column in names]
    rows = tables.as_rows([_as_known(column, values) for column, values in zip(columns, known, strict=True)])
    if not name.startswith("Tabular"):
        _check_whole(arguments.data, columns)
    with warnings.catch_warnings():
        # They have been found by their names.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        try:
            results = _results(predictor, rows, arguments.proba)
        except (TypeError, ValueError) as error:
            raise CommandError(f"{arguments.data}: {' '.join(str(error).split())}") from None
    if arguments.out is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")  # as a file that is written
        with naming(STANDARD_OUTPUT):
            _write(sys.stdout, results)
    else:
        with naming(arguments.out), written_whole(arguments.out) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            _write(text, results)
            text.detach()  # flushes it, and leaves the file open


def categories_of(stored: Stored) -> list[Array | None]:
    """The categories of each column that holds some, None for a column of numbers."""
    attributes = stored.parts["attributes"]
    encoder = attributes.get("encoder_")
    if not isinstance(encoder, Stored):
        return [None] * attributes["n_features_in_"]
    fitted = encoder.parts["attributes"]
    categories = iter(fitted["_categories"].parts["attributes"]["_columns"])
    return [next(categories)["values"] if holds else None for holds in fitted["categorical_features_"]]


def _kinds(stored: Stored, names: Array | None, known: list[Array | None]) -> list[Kinds]:
    """What each column was in training."""
    if not stored.name.rpartition(".")[2].startswith("Tabular"):
        return [("number", "date")] * len(known)
    encoder = stored.parts["attributes"].get("encoder_")
    dates = encoder.parts["attributes"].get("date_features_", ()) if isinstance(encoder, Stored) else ()
    # Columns without names are called as the encoder calls them.
    called = [f"x{i}" for i in range(len(known))] if names is None else names
    return [
        CATEGORY if values is not None else ("date",) if name in dates else ("number",)
        for name, values in zip(called, known, strict=True)
    ]


def _check_features(path: Path, found: Sequence[str], names: Array | None, n_features: int) -> None:
    """CommandError if a file does not have the columns of the model."""
    known = set(found)
    if names is None:
        if len(found) != n_features:
            raise CommandError(
                f"{path} has {counted(len(found), 'column')}, but the model was trained on {n_features} "
                "without names."
            )
    elif missing := [name for name in names if name not in known]:
        raise CommandError(
            f"{path} lacks columns that the model was trained on: {first_of(list(map(repr, missing)))}."
        )


def _as_known(column: Column, values: Array | None) -> Column:
    """Texts as the categories that they stand for, which may be numbers or booleans."""
    if values is None or all(isinstance(value, str) for value in values):
        return column
    of_text = {str(value): value for value in values}
    known = np.array([*(of_text.get(text, text) for text in column.values), None], dtype=object)[:-1]
    return Column(column.name, known, column.kind)


def _check_whole(path: Path, columns: list[Column]) -> None:
    for column in columns:
        missing = np.flatnonzero(np.isnan(column.values))
        if len(missing):
            raise CommandError(f"{path}: column {column.name!r} has no value in row {missing[0] + 1}.")


def _results(predictor: Any, rows: Any, proba: bool) -> list[tuple[str, Array]]:
    """Columns of predictions with their names."""
    predicted = np.asarray(predictor.predict(rows))
    results = _named("prediction", predicted, range(1, predicted.shape[-1] + 1))
    if proba:
        results += _named("probability", predictor.predict_proba(rows), predictor.classes_)
    return results


def _named(name: str, values: Array, parts: Any) -> list[tuple[str, Array]]:
    if values.ndim == 1:
        return [(name, values)]
    return [(f"{name}_{part}", column) for part, column in zip(parts, values.T, strict=True)]


def _write(file: IO[str], results: list[tuple[str, Array]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([name for name, _ in results])
    writer.writerows(_lines(results))


def _lines(results: list[tuple[str, Array]]) -> Iterator[Any]:
    return zip(*(column.tolist() for _, column in results), strict=True)
