"""Model files that an attacker, a bad disk or a bad tool has changed: each is loaded and used, or refused.

What is mutated is either a file's bytes, or its tree and arrays, whose checksums are then made to fit.
Loading returns a model or raises ModelFormatError; a model then predicts and trains, or raises an error of
the kinds that the documentation names. Memory is limited by the system, time by an alarm.

    python fuzz/model_file.py --seconds 600 --seed 1        # mutations drawn at random
    python fuzz/model_file.py --seed 1 --first 17 --runs 1  # the same input as run 17 of seed 1
    python fuzz/model_file.py --libfuzzer -- -max_total_time=600 fuzz/corpus/model_file  # by atheris
    python fuzz/model_file.py --make-corpus                 # the models that mutations begin with
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "fuzz" / "corpus" / "model_file"
sys.path.insert(0, str(ROOT / "tests" / "support"))

# What using a loaded model may raise: NotFittedError is a ValueError, and AttributeError says that a solver
# has no partial_fit.
EXPECTED = (ValueError, TypeError, AttributeError)
SECONDS = 20  # for one file
MEMORY = 4 << 30

with contextlib.ExitStack() as stack:
    if "--libfuzzer" in sys.argv:
        import atheris

        stack.enter_context(atheris.instrument_imports(include=["gdfast", "hostile"]))
    import gdfast
    import gdfast.estimators
    import gdfast.preprocessing._table
    import numpy as np
    from hostile import Parts, mutate

    gdfast.load, gdfast.schedules, gdfast.optim  # noqa: B018 - imported here to be instrumented

warnings.simplefilter("ignore")


def use(model: Any, trains: bool) -> None:
    """Predict with a model, and train it."""
    n = getattr(model, "n_features_in_", 0)
    if not isinstance(n, int) or not 0 < n < 1000:
        return
    X: Any = np.random.RandomState(0).normal(size=(6, n))
    if "RNN" in repr(model):
        X = X.reshape(2, 3, n)
    if "Tabular" in repr(model):
        X = X.astype(object)
        X[:, -1] = ["a", "b", None, "c", "a", "b"]
    calls: list[Any] = [
        lambda method=method: getattr(model, method)(X)
        for method in ("predict", "predict_proba", "predict_log_proba", "transform")
        if hasattr(type(model), method)
    ]
    if trains and hasattr(type(model), "fit"):
        y = _targets(model, len(X))
        calls += [
            lambda: model.set_params(max_iter=1),
            lambda: model.partial_fit(X, y),
            lambda: model.set_params(warm_start=True).fit(X, y),
            lambda: model.get_params(),
            lambda: repr(model),
        ]
    for call in calls:
        with contextlib.suppress(*EXPECTED):
            call()


def _targets(model: Any, n: int) -> Any:
    if hasattr(model, "classes_"):
        return np.resize(model.classes_, n)
    outputs = getattr(model, "n_outputs_", 1)
    return np.ones((n, outputs if isinstance(outputs, int) and 0 < outputs < 100 else 1))


def try_file(whole: bytes, path: Path) -> str:
    """Load and use a file; what has become of it."""
    path.write_bytes(whole)
    outcomes = []
    for training in (False, True):
        try:
            model = gdfast.load(path, training=training)
        except gdfast.ModelFormatError as error:
            outcomes.append(str(error).removeprefix(f"{path} cannot be loaded: ")[:24])
            continue
        except ValueError as error:
            if training or "does not predict" not in str(error):
                raise
            outcomes.append("does not predict")
            continue
        outcomes.append("loaded")
        use(model, training)
    return outcomes[-1]


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """The file with some of its bytes changed or, more often, of its values."""
    if rng.random() < 0.2:
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(changed))
            kind = rng.random()
            if kind < 0.5:
                changed[place] ^= 1 << rng.randrange(8)
            elif kind < 0.7:
                changed[place] = rng.randrange(256)
            elif kind < 0.85:
                del changed[place : place + rng.randint(1, 20)]
            else:
                changed[place:place] = rng.randbytes(rng.randint(1, 20))
        return bytes(changed)
    parts = Parts(whole)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        mutate(parts, rng)
    return parts.whole()


def run_mutations(options: argparse.Namespace, path: Path) -> int:
    """Random mutations of the corpus; the number of files that were neither used nor refused."""
    corpus = [file.read_bytes() for file in sorted(CORPUS.iterdir())]
    counts: collections.Counter[str] = collections.Counter()
    failures, end = 0, time.monotonic() + options.seconds
    run = options.first
    while time.monotonic() < end and run - options.first < options.runs:
        rng = random.Random(f"{options.seed} {run}")
        whole = mutated(rng.choice(corpus), rng)
        signal.alarm(SECONDS)
        try:
            counts[try_file(whole, path)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failures += 1
            print(f"run {run} of seed {options.seed}:")
            traceback.print_exc(limit=-4)
        signal.alarm(0)
        run += 1
    print(f"{run - options.first} files, {failures} failures; {counts['loaded']} were loaded and used")
    for outcome, n in counts.most_common(60):
        print(f"{n:8d}  {outcome}")
    return failures


def run_libfuzzer(arguments: list[str], path: Path) -> None:
    """By atheris: bytes are mutated by libFuzzer, or in a tree's values by `mutate`."""

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.3:
            return atheris.Mutate(data, max_size)
        try:
            changed = mutated(data, rng)
        except (LookupError, RecursionError, TypeError, ValueError):  # it is no file any more
            return atheris.Mutate(data, max_size)
        return changed if len(changed) <= max_size else data

    def one(data: bytes) -> None:
        try_file(data, path)

    atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutator)
    atheris.Fuzz()


def make_corpus() -> None:
    """Write small models of every kind, from which mutations begin."""
    from gdfast import preprocessing, schedules

    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(40, 2)), np.arange(40) % 3
    table = X.astype(object)
    table[:, 1] = np.array(["a", "b", "c"], object)[y]
    net: dict[str, Any] = {"hidden_layer_sizes": (2,), "max_iter": 2, "random_state": 0}
    models = {
        "classifier": gdfast.MLPClassifier(
            **net, batch_norm=True, keep_optimizer_state=True, schedule=schedules.Warmup(schedules.Plateau())
        ).fit(X, np.array(["x", "y", "z"])[y]),
        "regressor": gdfast.MLPRegressor(**net, solver=gdfast.optim.Adagrad()).fit(X, X),
        "lbfgs": gdfast.MLPClassifier(**net, solver="lbfgs").fit(X, y > 1),
        "gru": gdfast.RNNClassifier(**net, stateful=True).fit(X.reshape(10, 4, 2), y[:10]),
        "elman": gdfast.RNNRegressor(**net, cell="elman", per_step=True).fit(
            X.reshape(10, 4, 2), X[:, 0].reshape(10, 4)
        ),
        "table_of_classes": gdfast.TabularClassifier(n_members=1, n_bins=2, **net).fit(table, y),
        "table_of_numbers": gdfast.TabularRegressor(n_members=1, bins=None, embed_from=2, **net).fit(
            table, X[:, 0]
        ),
        "unfitted": gdfast.RNNRegressor(random_state=0),
        "encoder": preprocessing.CategoricalEncoder().fit(table),
    }
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        # The state of training twice only: it is the larger part.
        leaves_out = name not in ("classifier", "regressor") and hasattr(model, "_training")
        model.save(CORPUS / name, drop=["training"] if leaves_out else [])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--runs", type=int, default=sys.maxsize)
    parser.add_argument("--libfuzzer", action="store_true")
    parser.add_argument("--make-corpus", action="store_true")
    parser.add_argument("rest", nargs="*", help="arguments of libFuzzer, behind --")
    options = parser.parse_args()
    if options.make_corpus:
        make_corpus()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        if options.libfuzzer:
            run_libfuzzer(options.rest, path)
            return 0
        if "ASAN_OPTIONS" not in os.environ:  # AddressSanitizer takes terabytes of addresses
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        print(f"seed {options.seed}")
        return min(run_mutations(options, path), 1)


if __name__ == "__main__":
    sys.exit(main())
