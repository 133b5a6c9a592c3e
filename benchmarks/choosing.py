"""Which estimator, solver, rate, size, batch and truncation: scores on held-out rows of tables and series.

python benchmarks/choosing.py estimator
python benchmarks/choosing.py solver
python benchmarks/choosing.py rate
python benchmarks/choosing.py size
python benchmarks/choosing.py batch
python benchmarks/choosing.py truncation

The first compares estimators on small tables of scikit-learn. The next four train networks on up to 4,000
rows of seven real tables and the digits, three random splits of each into 60 % for training, 20 % for
validation and 20 % for the score; early stopping keeps the weights with the best validation score. The last
trains on the first 60 % of two series, one step ahead, and keeps the weights that are best on the next
20 %; the score is of the last 20 %. Each takes a minute or two of one core. The tables are those of
`benchmarks/tables.py`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _common import DATA, note, number, table
from gdfast import MLPClassifier, MLPRegressor, RNNRegressor, TabularClassifier, TabularRegressor
from gdfast.schedules import OneCycle
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tables import ERRORS, read, tables_in

Array = np.ndarray[Any, Any]

TABLES = ("adult", "california", "wine", "phoneme", "abalone", "letter", "spam")
MOST_ROWS = 4_000
SEEDS = 3

# In each question the first choice is what the others are compared with: the default of the estimators.
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adamw": {"solver": "adamw"},
    "nadam": {"solver": "nadam"},
    "rmsprop": {"solver": "rmsprop"},
    "sgd": {"solver": "sgd"},
    'sgd, rate "auto"': {"solver": "sgd", "learning_rate_init": "auto"},
    "lion, rate 0.0003": {"solver": "lion", "learning_rate_init": 0.0003},
    "muon, rate 0.02": {"solver": "muon", "learning_rate_init": 0.02},
    "soap, rate 0.003": {"solver": "soap", "learning_rate_init": 0.003},
    "schedulefree, rate 0.01": {"solver": "schedulefree", "learning_rate_init": 0.01},
    "prodigy": {"solver": "prodigy"},
    "lbfgs": {"solver": "lbfgs"},
}
RATES: dict[str, dict[str, Any]] = {
    "0.001": {},
    "0.0003": {"learning_rate_init": 0.0003},
    "0.003": {"learning_rate_init": 0.003},
    "0.01": {"learning_rate_init": 0.01},
    "0.03": {"learning_rate_init": 0.03},
    '"auto"': {"learning_rate_init": "auto"},
    "0.01, cosine to 0 in 40 epochs": {"learning_rate_init": 0.01, "schedule": "cosine", "max_iter": 40},
    "one cycle to 0.01 in 40 epochs": {"schedule": OneCycle(0.01), "max_iter": 40},
}
SIZES: dict[str, dict[str, Any]] = {
    "(100,)": {},
    "()": {"hidden_layer_sizes": ()},
    "(10,)": {"hidden_layer_sizes": (10,)},
    "(30,)": {"hidden_layer_sizes": (30,)},
    "(300,)": {"hidden_layer_sizes": (300,)},
    "(30, 30)": {"hidden_layer_sizes": (30, 30)},
    "(100, 100)": {"hidden_layer_sizes": (100, 100)},
    "(256, 256)": {"hidden_layer_sizes": (256, 256)},
    "(100,) * 4": {"hidden_layer_sizes": (100,) * 4},
}
BATCHES: dict[str, dict[str, Any]] = {
    "200": {},
    "20": {"batch_size": 20},
    "50": {"batch_size": 50},
    "1000": {"batch_size": 1000},
    "20, rate 0.003": {"batch_size": 20, "learning_rate_init": 0.003},
    "50, rate 0.003": {"batch_size": 50, "learning_rate_init": 0.003},
    "200, rate 0.003": {"learning_rate_init": 0.003},
    "1000, rate 0.01": {"batch_size": 1000, "learning_rate_init": 0.01},
}
QUESTIONS = {"solver": SOLVERS, "rate": RATES, "size": SIZES, "batch": BATCHES}

SERIES = ("monthly-sunspots.csv", "daily-min-temperatures.csv")
TRUNCATIONS = ((6, 12), (12, 24), (25, 50), (50, 50), (50, 100), (200, 400), (800, 1600), None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("question", choices=["estimator", *QUESTIONS, "truncation"])
    parser.add_argument(
        "--data", type=Path, default=DATA, help="folder of the tables (default: benchmarks/data)"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.question == "estimator":
        print(estimators(options.seeds))
    elif options.question == "truncation":
        print(truncations(options.data, options.seeds))
    else:
        print(compared(QUESTIONS[options.question], options.data, options.seeds))


# ---------------------------------------------------------------------------------------------- estimators


def estimators(seeds: int) -> str:
    """A line for each estimator: the mean score on a quarter of the rows, and its standard error."""
    lines: dict[str, list[str]] = {}
    loaders = (load_digits, load_breast_cancer, load_wine, load_diabetes)
    for loader in loaders:
        X, y = loader(return_X_y=True)
        splits = [train_test_split(X, y, random_state=seed) for seed in range(seeds)]
        for name, make in models(loader is load_diabetes).items():
            scores = [
                make(seed).fit(X, y).score(X_test, y_test)
                for seed, (X, X_test, y, y_test) in enumerate(splits)
            ]
            lines.setdefault(name, [name]).append(
                f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1) / seeds**0.5:.3f}"
            )
        note(f"{loader.__name__} done")
    header = [f"{loader.__name__.removeprefix('load_')}, {len(loader().target):,} rows" for loader in loaders]
    return table(["", *header], list(lines.values()))


def models(regression: bool) -> dict[str, Callable[[int], Any]]:
    """Estimators of scaled columns, and those that take a table as it is; each by its seed."""
    MLP, Tabular = (MLPRegressor, TabularRegressor) if regression else (MLPClassifier, TabularClassifier)

    def scaled(estimator: Any) -> Any:
        model = make_pipeline(StandardScaler(), estimator)
        return TransformedTargetRegressor(model, transformer=StandardScaler()) if regression else model

    def network(**arguments: Any) -> Callable[[int], Any]:
        return lambda seed: scaled(MLP(n_jobs=1, random_state=seed, **arguments))

    def tabular(preset: str) -> Callable[[int], Any]:
        return lambda seed: Tabular(preset, n_jobs=1, random_state=seed)

    return {
        "linear": lambda seed: scaled(Ridge() if regression else LogisticRegression(max_iter=1000)),
        "MLP": network(),
        "MLP, alpha=1": network(alpha=1.0),
        "MLP, early_stopping": network(early_stopping=True),
        "Tabular, fast": tabular("fast"),
        "Tabular, balanced": tabular("balanced"),
    }


# ---------------------------------------------------------------------------------------------- tables


def compared(choices: dict[str, dict[str, Any]], folder: Path, seeds: int) -> str:
    """A line for each choice: its error and CPU seconds, both relative to the first choice's."""
    names = ["digits", *TABLES]
    errors = {choice: np.zeros((len(names), seeds)) for choice in choices}
    seconds = {choice: np.zeros((len(names), seeds)) for choice in choices}
    for i, name in enumerate(names):
        X, y, metric = rows_of(folder, name)
        for seed in range(seeds):
            split = split_of(X, y, metric, seed)
            order = list(choices)
            for choice in order[seed % len(order) :] + order[: seed % len(order)]:  # drift falls on all alike
                errors[choice][i, seed], seconds[choice][i, seed] = fitted(
                    choices[choice], split, metric, seed
                )
        note(f"{name} done")

    first, *_ = choices
    lines = []
    for choice in choices:
        ratios = np.log(errors[choice] / errors[first]).mean(axis=1)
        error = ratios.std(ddof=1) / len(ratios) ** 0.5
        time_ratio = float(np.exp(np.log(seconds[choice] / seconds[first]).mean()))
        lines.append(
            [
                choice,
                *(percent(ratio) for ratio in ratios),
                f"{percent(ratios.mean())} ± {100 * error:.0f}",
                number(time_ratio, 2),
            ]
        )
    return table(["", *names, "all", "CPU time"], lines)


def percent(log_ratio: float) -> str:
    return f"{100 * np.expm1(log_ratio):+.0f} %"


def rows_of(folder: Path, name: str) -> tuple[Any, Array, str]:
    """At most MOST_ROWS rows of a table, their targets, and the score that counts."""
    if name == "digits":
        X, y = load_digits(return_X_y=True, as_frame=True)
        return X, y.to_numpy(), "accuracy"
    X, y, metric = read(tables_in(folder)[name])
    rows = np.random.RandomState(0).permutation(len(y))[:MOST_ROWS]
    return X.iloc[rows], y[rows], metric


def split_of(X: Any, y: Array, metric: str, seed: int) -> list[Array]:
    """Encoded rows of training, validation and test, then their targets; scaled by the training rows."""
    training, rest = train_test_split(np.arange(len(y)), test_size=0.4, random_state=seed)
    parts = [training, *train_test_split(rest, test_size=0.5, random_state=seed)]
    columns = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(max_categories=20, handle_unknown="infrequent_if_exist", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    ).fit(X.iloc[training])
    if metric == "RMSE":
        y = (y - y[training].mean()) / y[training].std()
    encoded = [columns.transform(X.iloc[part]).astype(np.float32) for part in parts]
    return [*encoded, *(y[part] for part in parts)]


def fitted(arguments: dict[str, Any], split: list[Array], metric: str, seed: int) -> tuple[float, float]:
    """Error on the test rows, and the CPU seconds of the fit."""
    X, X_val, X_test, y, y_val, y_test = split
    kind = MLPRegressor if metric == "RMSE" else MLPClassifier
    net = kind(**{"early_stopping": True, "max_iter": 200, "n_jobs": 1, "random_state": seed, **arguments})
    start = time.process_time()
    net.fit(X, y, X_val=X_val, y_val=y_val)
    seconds = time.process_time() - start
    score = (
        root_mean_squared_error(y_test, net.predict(X_test))
        if metric == "RMSE"
        else net.score(X_test, y_test)
    )
    return float(ERRORS[metric](score)), seconds


# ---------------------------------------------------------------------------------------------- series


def truncations(folder: Path, seeds: int) -> str:
    """A line for each (k1, k2): R2 of the change to the next step; CPU seconds relative to (50, 100)."""
    columns = [(file, cell) for file in SERIES for cell in ("elman", "gru")]
    scores = np.zeros((len(TRUNCATIONS), len(columns), seeds))
    seconds = np.zeros_like(scores)
    for j, (file, cell) in enumerate(columns):
        X, change = series_of(folder / file)
        n = X.shape[1]
        training, validation, test = (
            slice(n * 6 // 10),
            slice(n * 6 // 10, n * 8 // 10),
            slice(n * 8 // 10, n),
        )
        for seed in range(seeds):
            for i in np.roll(range(len(TRUNCATIONS)), -seed):
                net = RNNRegressor(
                    16,
                    cell=cell,
                    per_step=True,
                    tbptt=TRUNCATIONS[i],
                    learning_rate_init=0.003,
                    clip_norm=1.0,
                    max_iter=60,
                    tol=0.0,
                    n_jobs=1,
                    random_state=seed,
                )
                start = time.process_time()
                net.fit(
                    X[:, training], change[:, training], X_val=X[:, validation], y_val=change[:, validation]
                )
                seconds[i, j, seed] = time.process_time() - start
                _, state = net.predict(X[:, : test.start], return_state=True)
                predicted = net.predict(X[:, test], initial_state=state)
                scores[i, j, seed] = r2_score(change[0, test], predicted[0])
        note(f"{file}, {cell} done")
    base = TRUNCATIONS.index((50, 100))
    lines = [
        [
            str(truncation),
            *(f"{s.mean():.3f} ± {s.std(ddof=1) / seeds**0.5:.3f}" for s in scores[i]),
            number(float(np.exp(np.log(seconds[i] / seconds[base]).mean())), 2),
        ]
        for i, truncation in enumerate(TRUNCATIONS)
    ]
    return table(
        ["(k1, k2)", *(f"{file.split('-')[-1][:-4]}, {cell}" for file, cell in columns), "CPU time"], lines
    )


def series_of(file: Path) -> tuple[Array, Array]:
    """One standardized sequence of one feature, and the changes to the next step."""
    values = np.genfromtxt(file, delimiter=",", skip_header=1, usecols=1, encoding="utf-8")
    if "sunspots" in file.name:
        values = np.sqrt(values)  # the variance grows with the mean
    first = values[: len(values) * 6 // 10]
    series = ((values - first.mean()) / first.std())[np.newaxis, :, np.newaxis]
    return series[:, :-1], np.diff(series[:, :, 0])


if __name__ == "__main__":
    main()
