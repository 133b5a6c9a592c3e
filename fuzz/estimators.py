"""Random calls of the estimators, as a careless user makes them; meant for a build with sanitizers.

Weights are replaced, cast, pruned and removed, data come in odd layouts, arguments and data are wrong,
callbacks edit, raise, refit and pickle, and another thread writes to what is read. A call may raise an error
of the kinds that the documentation names; it must neither crash nor raise anything else.

    python fuzz/estimators.py --seconds 600 --seed 1

Every run prints its seed; ``--seed S --runs 1`` repeats it.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gdfast
import numpy as np
from gdfast import optim, schedules
from gdfast.training.encoding import CategoryColumn, EncodedRows, Encoding, NumberColumn
from scipy import sparse

# What a call may raise.
EXPECTED = (ValueError, TypeError, RuntimeError, AttributeError, ZeroDivisionError)


class CallbackError(RuntimeError):
    """A callback's own error."""


class Run:
    """One random estimator, and calls of it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.recurrent = self.chance(0.3)
        self.classifies = self.chance(0.5)
        self.n = int(self.rng.integers(2, 60))
        self.features = int(self.rng.integers(1, 40))
        self.steps = int(self.rng.integers(1, 6))
        self.dtype = self.pick([np.float32, np.float64])
        self.encodes = not self.recurrent and self.chance(0.2)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, options: Any) -> Any:
        return options[self.rng.integers(len(options))]

    # Data.

    def rows(self, features: int | None = None) -> np.ndarray:
        shape = (self.n, self.steps, features or self.features)
        data = self.rng.normal(size=shape if self.recurrent else (shape[0], shape[2]))
        return (data * 10.0 ** self.pick([0, 0, 0, 0, 3, 30])).astype(self.dtype)

    def targets(self, X: np.ndarray) -> np.ndarray:
        sums = X.reshape(len(X), -1)[:, 0]
        if self.classifies:
            return (
                (sums > 0).astype(self.pick([int, bool, object]))
                if self.chance(0.5)
                else self.rng.integers(3, size=len(X))
            )
        return sums

    def odd(self, X: np.ndarray) -> Any:
        """The same data in another form, or wrong ones."""
        if self.encodes and self.chance(0.8):
            return self.encoded(X)
        form = self.pick(
            ["plain"] * 4
            + [
                "fortran",
                "unaligned",
                "strided",
                "read-only",
                "list",
                "bytes",
                "sparse",
                "csc",
                "nan",
                "features",
                "empty",
                "integers",
                "object",
            ]
        )
        if form == "fortran":
            return np.asfortranarray(X)
        if form == "unaligned":
            return np.frombuffer(b"#" + X.tobytes(), X.dtype, offset=1).reshape(X.shape)
        if form == "strided":
            return np.repeat(X, 2, axis=-1)[..., ::2]
        if form == "read-only":
            return np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape)
        if form == "list":
            return list(X)
        if form == "bytes":
            return X.astype(X.dtype.newbyteorder())
        if form in ("sparse", "csc") and X.ndim == 2:
            matrix = sparse.csr_matrix(X * (np.abs(X) > 0.5))
            if self.chance(0.3):
                matrix.indices = matrix.indices.astype(self.pick([np.int64, np.int16, np.uint32]))
            return matrix.tocsc() if form == "csc" else matrix
        if form == "nan":
            X = X.copy()
            X.flat[0] = self.pick([np.nan, np.inf])
        if form == "features":
            return X[..., :-1] if X.shape[-1] > 1 else np.repeat(X, 2, axis=-1)
        if form == "empty":
            return X[:0]
        if form == "integers":
            return np.clip(X, -100, 100).astype(int)
        if form == "object":
            return X.astype(object)
        return X

    def encoded(self, X: np.ndarray) -> EncodedRows:
        """A table whose first column is embedded; now and then another encoding."""
        table = X.copy()
        table[:, 0] = np.floor(np.abs(table[:, 0] * 3) % 8) - 1
        first = CategoryColumn(6, embedding=3 if self.chance(0.9) else 2)
        numbers = [NumberColumn(np.empty(0))] * (X.shape[1] - 1)
        return EncodedRows(table, Encoding([first, *numbers]))

    def weights(self) -> Any:
        kind = self.pick(
            ["none"] * 4 + ["random", "zeros", "some", "tiny", "huge", "cancel", "negative", "short", "nan"]
        )
        random = self.rng.random(self.n)
        return {
            "none": None,
            "random": random,
            "zeros": np.zeros(self.n),
            "some": random * (random > 0.7),
            "tiny": random * 1e-300,
            "huge": random * 1e308,
            "cancel": np.resize([1.0, -1.0], self.n),
            "negative": random - 0.5,
            "short": random[:-1],
            "nan": np.full(self.n, np.nan),
        }[kind]

    # Estimators.

    def arguments(self) -> dict[str, Any]:
        layers = int(self.rng.integers(1 if self.recurrent else 0, 4))
        arguments: dict[str, Any] = {
            "hidden_layer_sizes": tuple(int(n) for n in self.rng.integers(1, 70, size=layers)),
            "max_iter": int(self.rng.integers(1, 5)),
            "random_state": 0,
            "warm_start": self.chance(0.4),
            "batch_size": self.pick(["auto", 1, 7, 1000]),
            "n_jobs": self.pick([None, 1, 2, 3, 10**12, -1, 0]),
            "learning_rate_init": self.pick([1e-3, 1e-2, 1e3, 1e30, "auto"]),
            "keep_optimizer_state": self.chance(0.3),
            "early_stopping": self.chance(0.2),
            "solver": self.pick(
                [
                    "adam",
                    "sgd",
                    "rmsprop",
                    "rprop",
                    "lion",
                    "adadelta",
                    "muon",
                    "schedulefree",
                    optim.KFAC(),
                    optim.SOAP(),
                    optim.Prodigy(),
                    optim.Adam(amsgrad=True),
                    optim.SGD(0.1),
                ]
                + ([] if self.recurrent else ["lbfgs", "newton-cg", "lm", "annealing"])
            ),
        }
        options: dict[str, Any] = {
            "clip_norm": self.pick([None, "auto", 0.1]),
            "gradient_noise": self.pick([0.0, 0.1]),
            "learning_rate_factors": self.pick(
                [None, {"coefs_": 0.5}, {"intercepts_": np.zeros(layers + 1)}, {"bn_beta_": [2.0] * layers}]
            ),
            "record_gradients": self.chance(0.5),
            "alpha": self.pick([0.0, 1e-3, 1.0]),
            "scoring": self.pick([None, "loss", "r2", "accuracy", "neg_max_error", "nonsense"]),
            "schedule": self.pick(
                [None, "cosine", schedules.Exponential(0.5), lambda epoch: 1.0 / (epoch + 1)]
            ),
            "max_time": self.pick([None, 1e-3]),
            "weight_decay": self.pick([0.0, 0.1]),
            "weight_decay_schedule": self.pick([None, "polynomial", schedules.Plateau(patience=0)]),
        }
        if self.recurrent:
            options |= {
                "cell": self.pick(["elman", "gru", "lstm"]),
                "tbptt": self.pick([None, (2, 3)]),
                "stateful": self.chance(0.3),
            }
        else:
            options |= {
                "activation": self.pick(["relu", "tanh", "gelu", "mish", "softplus", "hard_tanh"]),
                "batch_norm": self.chance(0.4) and layers > 0,
                "dropout": self.pick([0.0, 0.3]) if layers else 0.0,
                "dropout_schedule": self.pick([None, "cosine", lambda epoch: 1 - epoch / 2]),
                "backprop_depth": self.pick([None, 1, 2]),
                "init": self.pick(["sklearn", "he_normal", "orthogonal"]),
            }
        chosen = [name for name in options if self.chance(0.25) or name in ("cell", "batch_norm")]
        return arguments | {name: options[name] for name in chosen}

    def estimator(self) -> Any:
        kinds = (
            (gdfast.RNNRegressor, gdfast.RNNClassifier)
            if self.recurrent
            else (gdfast.MLPRegressor, gdfast.MLPClassifier)
        )
        return kinds[self.classifies](**self.arguments())

    # What people do to an estimator.

    def edit(self, est: Any) -> None:
        names = [
            n for n in ("coefs_", "intercepts_", "bn_gamma_", "bn_mean_", "embeddings_") if n in vars(est)
        ]
        if not names:
            return
        name = self.pick(names)
        arrays = getattr(est, name)
        if not isinstance(arrays, list) or not arrays:
            return
        i = int(self.rng.integers(len(arrays)))
        array = arrays[i]
        how = self.pick(
            [
                "in place",
                "copy",
                "cast",
                "other",
                "none",
                "pop",
                "append",
                "tuple",
                "prune",
                "resize",
                "shape",
                "delete",
                "nan",
            ]
        )
        with suppress(AttributeError, ValueError, TypeError, IndexError, KeyError):
            if how == "in place":
                np.clip(array, -0.1, 0.1, out=array)
            elif how == "copy":
                arrays[i] = array.copy(order="F")
            elif how == "cast":
                setattr(
                    est,
                    name,
                    [a.astype(self.pick([np.float32, np.float64, np.float16, int])) for a in arrays],
                )
            elif how == "other":
                arrays[i] = np.zeros(
                    tuple(int(n) for n in self.rng.integers(0, 300, size=self.rng.integers(0, 4)))
                )
            elif how == "none":
                arrays[i] = self.pick([None, "text", 3.0, [1.0, 2.0], object()])
            elif how == "pop":
                arrays.pop()
            elif how == "append":
                arrays.append(array)
            elif how == "tuple":
                setattr(est, name, self.pick([tuple(arrays), None, np.array(1.0), {}]))
            elif how == "prune" and len(est.coefs_) > 1:
                est.coefs_[0], est.coefs_[1] = est.coefs_[0][:, :1].copy(), est.coefs_[1][:1].copy()
                est.intercepts_[0] = est.intercepts_[0][:1].copy()
            elif how == "resize":
                array.resize(tuple(int(n) for n in self.rng.integers(1, 9, size=array.ndim)), refcheck=False)
            elif how == "shape":
                array.shape = (-1,)
            elif how == "delete":
                delattr(est, name)
            elif how == "nan":
                array.flat[0] = np.nan

    def callback(self, X: Any, y: Any) -> Any:
        run = self
        hooks = ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"]
        hook, what = (
            self.pick(hooks),
            self.pick(["edit", "raise", "refit", "pickle", "stop", "predict", "copy"]),
        )

        def act(est: Any, epoch: int = 0, logs: Any = None) -> Any:
            if what == "edit":
                run.edit(est)
            elif what == "raise" and run.chance(0.5):
                raise CallbackError
            elif what == "refit":
                (est.fit if run.chance(0.5) else est.partial_fit)(X, y)
            elif what == "pickle":
                twin = copy.copy(est).set_params(callbacks=None, schedule=None)
                pickle.loads(pickle.dumps(twin))
            elif what == "predict":
                est.predict(X)
            elif what == "copy":
                copy.copy(est).set_params(callbacks=None, max_iter=1).fit(X, y)
            return what == "stop" and run.chance(0.5)

        return type("Callback", (), {hook: staticmethod(act)})()

    # Calls.

    def call(self, est: Any) -> None:
        X = self.rows()
        y = self.targets(X)
        given = self.odd(X)
        if self.chance(0.3) and "partial" not in str(est.callbacks):
            est.set_params(callbacks=[self.callback(given, y)])
        holdout = {"X_val": self.odd(X), "y_val": y} if self.chance(0.2) else {}
        action: Callable[[], Any] = self.pick(
            [
                lambda: est.fit(given, y, self.weights(), **holdout),
                lambda: est.partial_fit(
                    given,
                    y,
                    self.weights(),
                    **({"classes": [0, 1, 2]} if self.classifies and self.chance(0.7) else {}),
                ),
                lambda: est.predict(given),
                lambda: est.score(X, y),
                lambda: pickle.loads(pickle.dumps(copy.copy(est).set_params(callbacks=None, schedule=None))),
                lambda: copy.deepcopy(est),
                lambda: est.set_params(**self.arguments()),
            ]
        )
        # Conversions between formats are scipy's, and do not survive it.
        disturbed = given if sparse.issparse(given) and given.format == "csr" and self.chance(0.5) else None
        ends = threading.Event()

        def disturb() -> None:
            kept = disturbed.indices.copy()
            while not ends.is_set():
                with suppress(ValueError):
                    disturbed.indices[::3] = np.iinfo(disturbed.indices.dtype).max
                    disturbed.indices[...] = kept

        thread = threading.Thread(target=disturb) if disturbed is not None and disturbed.nnz else None
        if thread:
            thread.start()
        try:
            with suppress(*EXPECTED):
                action()
        finally:
            ends.set()
            if thread:
                thread.join()

    def go(self) -> None:
        est = self.estimator()
        for _ in range(int(self.rng.integers(2, 9))):
            self.call(est)
            if self.chance(0.4):
                self.edit(est)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=10**9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    ends = time.monotonic() + options.seconds
    runs = 0
    while runs < options.runs and time.monotonic() < ends:
        seed = options.seed + runs
        print(f"\rseed {seed}", end="", flush=True)
        try:
            Run(seed).go()
        except Exception:
            print(f"\nunexpected error with --seed {seed} --runs 1")
            traceback.print_exc()
            raise SystemExit(1) from None
        runs += 1
    print(f"\r{runs} runs, seeds {options.seed} to {options.seed + runs - 1}: no crash")


if __name__ == "__main__":
    main()
