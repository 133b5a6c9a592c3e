"""Fitted estimators of every kind with arguments of every kind, and whether two have everything alike."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import gdfast
import numpy as np
import pandas as pd
from gdfast import optim, schedules
from scipy import sparse

N = 60


def rows(dtype: Any = np.float64) -> np.ndarray:
    return np.random.RandomState(0).normal(size=(N, 4)).astype(dtype)


def classes(kind: Any = int) -> np.ndarray:
    numbers = (rows() @ np.random.RandomState(1).normal(size=(4, 3))).argmax(axis=1)
    return np.array(["red", "green", "blue"], dtype=kind)[numbers] if kind in (str, object) else numbers


def sequences() -> np.ndarray:
    return rows().reshape(12, 5, 4)


def table() -> pd.DataFrame:
    rng = np.random.RandomState(2)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=N),
            "color": rng.choice(["red", "green", "blue", "rare"], N, p=[0.4, 0.3, 0.28, 0.02]),
            "sold": rng.rand(N) > 0.5,
            "on": pd.date_range("2020-01-01", periods=N),
            "code": rng.randint(9, size=N).astype(float).astype(object),
        }
    )
    frame.loc[3, "size"] = np.nan
    frame.loc[5, "color"] = None
    return frame


def numbers() -> np.ndarray:
    return rows()[:, 0] * 1e3 + 5


_SHORT: dict[str, Any] = {"max_iter": 4, "random_state": 0}
_NET: dict[str, Any] = {**_SHORT, "hidden_layer_sizes": (5,)}
_TABLE: dict[str, Any] = {**_SHORT, "n_members": 2, "hidden_layer_sizes": (8,), "n_bins": 3}
_LISTENING = schedules.Warmup(schedules.Plateau(patience=0), total_iters=3)

# Each a function of nothing, for a fit changes what an argument holds: an estimator, X and y.
CASES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "classes of strings": lambda: (gdfast.MLPClassifier(**_NET), rows(), classes(str)),
    "classes of objects": lambda: (gdfast.MLPClassifier(**_NET), rows(), classes(object)),
    "two classes": lambda: (gdfast.MLPClassifier(**_NET), rows(np.float32), classes() > 0),
    "one class": lambda: (gdfast.MLPClassifier(**_NET), rows(), np.zeros(N, np.int8)),
    "labels": lambda: (gdfast.MLPClassifier(**_NET), rows(), (rows()[:, :3] > 0).astype(int)),
    "sparse labels": lambda: (
        gdfast.MLPClassifier(**_NET), rows(), sparse.csr_matrix((rows()[:, :3] > 0).astype(int))),
    "regression": lambda: (gdfast.MLPRegressor(**_NET, solver="sgd", momentum=0.5), rows(), rows()[:, :2]),
    "names": lambda: (gdfast.MLPRegressor(**_NET), pd.DataFrame(rows(), columns=list("abcd")), numbers()),
    "no hidden layer": lambda: (gdfast.MLPClassifier((), **_SHORT), rows(), classes()),
    "quantiles": lambda: (
        gdfast.MLPRegressor("quantile", **_NET, quantiles=[0.1, 0.5], activation=["elu"],
                            activation_params={"elu": 0.5}),
        rows(np.float32), rows()[:, 0],
    ),
    "poisson": lambda: (gdfast.MLPRegressor("poisson", **_NET), rows(), np.abs(rows()[:, 0])),
    "lbfgs": lambda: (gdfast.MLPClassifier(**_NET, solver="lbfgs"), rows(), classes()),
    "newton-cg": lambda: (gdfast.MLPRegressor("poisson", **_NET, solver="newton-cg"), rows(), numbers() ** 2),
    "lm": lambda: (
        gdfast.MLPRegressor(**_NET, solver="lm", bayesian_regularization=True), rows(), numbers()),
    "annealing": lambda: (
        gdfast.MLPClassifier(**_NET, solver="annealing", annealing_params={"cooling": "linear"}),
        rows(), classes(),
    ),
    "a rule": lambda: (
        gdfast.MLPClassifier(**_NET, solver=optim.Adam(0.01, amsgrad=True)), rows(), classes()),
    "everything": lambda: (
        gdfast.MLPClassifier(
            (5, 4), max_iter=4, random_state=np.random.RandomState(3), warm_start=True,
            keep_optimizer_state=True, early_stopping=True, batch_norm=True, dropout=0.1,
            schedule=_LISTENING, dropout_schedule="cosine",
            weight_decay=0.01, weight_decay_schedule=schedules.MultiStep([1, 2]), record_gradients=True,
            class_weight={"red": 1, "green": 2.5, "blue": 1}, ema_decay=0.5, gradient_noise=0.01,
            n_iter_no_change=np.inf, learning_rate_factors={"coefs_": [1.0, 0.5, 2]}, scoring="f1_macro",
        ),
        rows(), classes(str),
    ),
    "sparse": lambda: (gdfast.MLPRegressor(**_NET), sparse.csr_array(rows() * (rows() > 0)), numbers()),
    "gru": lambda: (gdfast.RNNClassifier((3, 2), **_SHORT), sequences(), classes()[:12]),
    "lstm, stateful": lambda: (
        gdfast.RNNRegressor((3,), "lstm", **_SHORT, stateful=True), list(sequences()), numbers()[:12]),
    "elman, per step": lambda: (
        gdfast.RNNClassifier((3,), "elman", activation="relu", **_SHORT, per_step=True, tbptt=(2, 3)),
        sequences(), classes(str).reshape(12, 5),
    ),
    "table of classes": lambda: (gdfast.TabularClassifier(**_TABLE), table(), classes(str)),
    "table of labels": lambda: (
        gdfast.TabularClassifier(**_TABLE), table(), (rows()[:, :2] > 0).astype(int)),
    "table of numbers": lambda: (
        gdfast.TabularRegressor(**_TABLE, scoring="neg_mean_absolute_error", cv=2, embed_from=2),
        table(), numbers(),
    ),
    "array as a table": lambda: (gdfast.TabularRegressor(**_TABLE, bins=None), rows(), rows()[:, :2]),
    "sparse table": lambda: (
        gdfast.TabularClassifier(**_TABLE), sparse.csr_array(rows(np.float32) * (rows() > 0)), classes()),
}  # fmt: skip


@functools.cache
def _fitted(case: str) -> Any:
    est, X, y = CASES[case]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return est.fit(X, y)


def fitted(case: str) -> Any:
    """The fitted estimator of a case, made once in a process: not to be changed."""
    return _fitted(case)


# What a file does not hold: scikit-learn's attributes of a fit that is over, the score that records belong
# to, and what is computed before it is used.
_PASSING = {
    "_callback_fit_ctx", "_skl_callbacks_to_teardown", "_parent_callback_ctx", "scored_by", "of_epoch",
}  # fmt: skip


def assert_alike(a: Any, b: Any, where: str = "") -> None:
    """Everything in two objects is of the same type and has the same bits."""
    assert type(a) is type(b) or (sparse.issparse(a) and sparse.issparse(b)), where
    if sparse.issparse(a):
        assert_alike(a.toarray(), b.toarray(), where)
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        np.testing.assert_array_equal(a, b, where)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_alike(x, y, f"{where}[{i}]")
    elif isinstance(a, dict):
        assert a.keys() - _PASSING == b.keys() - _PASSING, where
        for name in a.keys() - _PASSING:
            assert_alike(a[name], b[name], f"{where}.{name}")
    elif isinstance(a, np.random.RandomState):
        assert_alike(a.get_state(legacy=False), b.get_state(legacy=False), where)
    elif type(a).__module__.startswith(("gdfast", "sklearn")) and not callable(a):
        assert_alike(a.__getstate__(), b.__getstate__(), f"{where}<{type(a).__name__}>")
    elif not callable(a):
        assert a == b or (a != a and b != b), where
