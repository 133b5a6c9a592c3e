"""Hashes of what training makes, over a grid: to see that a change of structure changes no bit.

    python benchmarks/hashes.py --json before.json
    python benchmarks/hashes.py --compare before.json

Weights, curves, scores, predictions and the random state's next number are hashed for every estimator, solver
and dtype and a list of options, for dense and sparse rows and sequences: fitted, fitted on, and after
``partial_fit``. Bits are promised for one instruction set: GDFAST_ISA chooses it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
from gdfast import optim, schedules
from scipy import sparse

STOCHASTIC = [
    "sgd",
    "adam",
    "adagrad",
    "rmsprop",
    "adadelta",
    "adamw",
    "nadam",
    "adamax",
    "lion",
    "rprop",
    "prodigy",
    "schedulefree",
]
RECORDS = [
    "coefs_", "intercepts_", "bn_gamma_", "bn_beta_", "bn_mean_", "bn_var_", "loss_", "best_loss_",
    "loss_curve_", "learning_rate_curve_", "validation_scores_", "validation_loss_curve_",
    "best_validation_score_", "n_iter_", "n_layers_", "n_outputs_", "out_activation_", "t_",
    "gradient_records_", "state_",
]  # fmt: skip

# Arguments that change training, each by itself on a small network.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "several batches": {"batch_size": 13},
    "in order": {"shuffle": False, "batch_size": 13},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2},
    "scored by loss": {"early_stopping": True, "scoring": "loss"},
    "constant": {"solver": "sgd", "learning_rate": "constant"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "n_iter_no_change": 1,
        "tol": 1.0,
        "max_iter": 9,
    },
    "nesterov": {"solver": "sgd", "nesterovs_momentum": True, "batch_size": 20},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 20},
    "cosine": {"schedule": "cosine"},
    "one cycle": {"schedule": "one_cycle", "batch_size": 13},
    "plateau": {"schedule": schedules.Plateau(patience=0, threshold=1.0)},
    "warm-up": {"schedule": schedules.Warmup(schedules.Cosine(), total_iters=7), "batch_size": 13},
    "a function": {"schedule": lambda epoch: 0.5**epoch},
    "amsgrad": {"solver": optim.Adam(0.01, amsgrad=True)},
    "centered": {"solver": optim.RMSprop(0.01, centered=True, momentum=0.5)},
    "clipped": {"clip_norm": 0.05, "clip_value": 0.02, "clip_layer_norm": 0.04, "batch_size": 13},
    "clipped by itself": {"clip_norm": "auto", "batch_size": 13},
    "noise": {"gradient_noise": 0.01, "batch_size": 13},
    "decay": {"weight_decay": 0.01, "alpha": 0.1, "l1_ratio": 0.5},
    "records": {"record_gradients": True, "batch_size": 13},
}
MLP_OPTIONS: dict[str, dict[str, Any]] = {
    **{
        f"activation {a}": {"activation": a}
        for a in ("identity", "logistic", "tanh", "gelu", "mish", "softplus")
    },
    **{f"init {i}": {"init": i} for i in ("he_normal", "glorot_uniform", "orthogonal", ("normal", 0.1))},
    "activations": {"activation": ["elu", "leaky_relu"], "activation_params": {"elu": 0.5}},
    "deep": {"hidden_layer_sizes": (9, 8, 7, 6), "backprop_depth": 2},
    "depth by epoch": {"backprop_depth": lambda epoch: 1 + epoch % 3},
    "linear": {"hidden_layer_sizes": ()},
    "dropout": {"dropout": [0.2, 0.5, 0.1], "batch_size": 13},
    "normalised": {"batch_norm": True, "batch_size": 20},
    "lbfgs": {"solver": "lbfgs"},
    "lbfgs, stopped": {"solver": "lbfgs", "early_stopping": True},
    "newton-cg": {"solver": "newton-cg"},
    "newton-cg, stopped": {"solver": "newton-cg", "early_stopping": True},
    "annealing": {"solver": "annealing"},
    "annealing, scored": {"solver": "annealing", "scoring": "loss", "early_stopping": True},
}
CLASSIFIER_OPTIONS: dict[str, dict[str, Any]] = {
    "balanced": {"class_weight": "balanced"},
    "smoothed": {"label_smoothing": 0.1},
    "scored": {"scoring": "f1_macro", "early_stopping": True},
}
REGRESSOR_OPTIONS: dict[str, dict[str, Any]] = {
    "lm": {"solver": "lm"},
    "lm, evidence": {"solver": "lm", "bayesian_regularization": True},
    "absolute": {"loss": "absolute_error"},
    "huber": {"loss": "huber", "huber_delta": 0.5},
    "poisson": {"loss": "poisson"},
    "quantiles": {"loss": "quantile", "quantiles": (0.1, 0.5, 0.9)},
}
RNN_OPTIONS: dict[str, dict[str, Any]] = {
    **{cell: {"cell": cell} for cell in ("elman", "gru", "lstm")},
    "relu": {"cell": "elman", "activation": "relu"},
    "two layers": {"hidden_layer_sizes": (6, 5), "cell": "lstm"},
    "per step": {"per_step": True},
    "truncated": {"per_step": True, "tbptt": (2, 3)},
    "stateful": {"per_step": True, "stateful": True, "tbptt": (2, 2)},
}


def hashed(value: Any, into: Any) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            hashed(item, into)
    elif isinstance(value, dict):
        for key in sorted(value):
            into.update(key.encode())
            hashed(value[key], into)
    elif isinstance(value, np.ndarray):
        into.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, float | np.floating):
        into.update(np.float64(value).tobytes())
    else:
        into.update(repr(value).encode())


def digest(est: Any, X: Any, random_state: np.random.RandomState) -> str:
    into = hashlib.sha256()
    for name in RECORDS:
        if name in vars(est):
            into.update(name.encode())
            hashed(vars(est)[name], into)
    hashed(est.predict(X), into)
    if hasattr(est, "predict_proba"):
        hashed(est.predict_proba(X), into)
    into.update(str(random_state.randint(2**31)).encode())
    return into.hexdigest()[:16]


def configurations() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for recurrent in (False, True):
        shared = (
            OPTIONS | (RNN_OPTIONS if recurrent else MLP_OPTIONS) | {s: {"solver": s} for s in STOCHASTIC}
        )
        kinds = (
            (gdfast.RNNClassifier, gdfast.RNNRegressor)
            if recurrent
            else (gdfast.MLPClassifier, gdfast.MLPRegressor)
        )
        for kind, own in zip(kinds, (CLASSIFIER_OPTIONS, REGRESSOR_OPTIONS), strict=True):
            for name, options in (shared | own).items():
                if recurrent and options.get("solver") in ("lbfgs", "newton-cg", "lm", "annealing"):
                    continue
                yield f"{kind.__name__}, {name}", kind, options


def data(kind: Any, options: dict[str, Any], dtype: Any) -> tuple[Any, np.ndarray]:
    rng = np.random.RandomState(0)
    shape = (60, 5, 6) if kind.__name__.startswith("RNN") else (60, 6)
    X = rng.normal(size=shape).astype(dtype)
    per_step = options.get("per_step", False)
    sums = X[..., :3].sum(axis=-1) if X.ndim == 2 or per_step else X[..., :3].sum(axis=(1, 2))
    y = np.digitize(sums, [-1.0, 1.0]) if "Classifier" in kind.__name__ else np.abs(sums)
    return X, y


def hashes() -> Iterator[tuple[str, str]]:
    for name, kind, options in configurations():
        for dtype in (np.float32, np.float64):
            for form in ("dense", "sparse") if name.endswith(("plain", "dropout", "lbfgs")) else ("dense",):
                X, y = data(kind, options, dtype)
                if form == "sparse":
                    if X.ndim == 3:
                        continue
                    X = sparse.csr_matrix(X * (np.abs(X) > 0.5))
                random_state = np.random.RandomState(0)
                arguments = {"hidden_layer_sizes": (20, 7) if X.ndim == 2 else (6,), "max_iter": 4, **options}
                est = kind(random_state=random_state, **arguments)
                label = f"{name}, {np.dtype(dtype).name}, {form}"
                weight = np.linspace(0.5, 1.5, 60).astype(dtype)
                yield label, digest(est.fit(X, y), X, random_state)
                est.fit(X, y, weight, X_val=X[:20], y_val=y[:20], sample_weight_val=weight[:20])
                yield f"{label}, weighted and validated", digest(est, X, random_state)
                est.set_params(warm_start=True, keep_optimizer_state=True)
                yield f"{label}, fitted on", digest(est.fit(X, y).fit(X, y), X, random_state)
                if (
                    est.early_stopping
                    or not hasattr(est, "partial_fit")
                    or est.get_params().get("class_weight") == "balanced"
                ):
                    continue
                for _ in range(2):
                    est.partial_fit(X, y, weight)
                yield f"{label}, partial_fit", digest(est, X, random_state)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="where to write the hashes")
    parser.add_argument("--compare", type=Path, help="hashes to compare with")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {"isa": gdfast.active_isa(), **dict(hashes())}
    print(f"{len(found) - 1} hashes on {found['isa']}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if options.compare:
        before = json.loads(options.compare.read_text())
        changed = [name for name in before.keys() | found.keys() if before.get(name) != found.get(name)]
        print("\n".join(sorted(changed)) or "all are the same")
        sys.exit(bool(changed))


if __name__ == "__main__":
    main()
