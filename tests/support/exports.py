"""Fitted estimators to export: small, with moments and weights that are not those of the start."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np

N = 40
RNG = np.random.RandomState
LABELS = {
    "int": np.array([3, -1, 10**12]),
    "str": np.array(["red", "green", "blå"]),
    "object": np.array(["red", "green", "blue"], object),
    "float": np.array([0.0, 1.0, 5.0]),
    "bool": np.array([False, True]),
    "binary": np.array(["no", "yes"]),
    "single": np.array(["only"]),
}
OUTPUTS = ("one", "several", "poisson", "quantiles", "quantile")
CELLS = [("elman", "tanh"), ("elman", "relu"), ("gru", "tanh"), ("lstm", "tanh")]


def rows(dtype: Any = np.float64, n: int = N) -> np.ndarray:
    return RNG(0).normal(0.3, 1, (n, 4)).astype(dtype)


def stirred(est: Any, by: float = 1.0) -> Any:
    """The estimator with weights, and moments of batch normalisation, drawn at random."""
    rng = RNG(1)
    for name in ("coefs_", "intercepts_", "bn_gamma_", "bn_beta_", "bn_mean_"):
        arrays = getattr(est, name, [])
        # So that pre-activations are of the size of 1, whatever the number of inputs.
        arrays[:] = [(a + by * rng.normal(0, len(a) ** -0.5, a.shape)).astype(a.dtype) for a in arrays]
    for array in getattr(est, "bn_var_", []):
        array[...] = rng.uniform(0.3, 3, array.shape)
    return est


def classifier(labels: Any = "str", dtype: Any = np.float64, **arguments: Any) -> Any:
    """Of labels of a kind, or of several labels for a row ("multilabel")."""
    if isinstance(labels, str) and labels == "multilabel":
        y: Any = (RNG(2).rand(N, 3) > 0.5).astype(int)
    else:
        kinds = LABELS[labels]
        y = kinds[np.arange(N) % len(kinds)]
    arguments = {"hidden_layer_sizes": (6, 5), "solver": "sgd", "max_iter": 1, "random_state": 0, **arguments}
    return stirred(gdfast.MLPClassifier(**arguments).fit(rows(dtype), y))


def regressor(outputs: str = "one", dtype: Any = np.float64, **arguments: Any) -> Any:
    y = RNG(3).poisson(2.0, N).astype(float)
    losses = {"poisson": "poisson", "quantiles": "quantile", "quantile": "quantile"}
    arguments = {
        "loss": losses.get(outputs, "squared_error"),
        "quantiles": (0.1, 0.5, 0.6, 0.9) if outputs == "quantiles" else 0.3,
        "hidden_layer_sizes": (6, 5),
        "max_iter": 1,
        "random_state": 0,
        **arguments,
    }
    if "quantile" not in arguments["loss"]:
        del arguments["quantiles"]
    est = gdfast.MLPRegressor(**arguments).fit(rows(dtype), np.c_[y, -y] if outputs == "several" else y)
    return stirred(est)


def beyond_float32(what: str) -> Any:
    """A network of float64 that float32 cannot say: a weight, an activation's parameter or a factor."""
    norm = {"batch_norm": True, "bn_epsilon": 1e-300} if what == "factor" else {}
    est = classifier(activation="elu", **norm)
    if what == "weight":
        est.coefs_[0][0, 0] = 1e300
    elif what == "parameter":
        est.activation_params = {"elu": 1e300}
    else:
        est.bn_var_[0][0] = 0
    return est


def sequences(dtype: Any = np.float64, n: int = 7, steps: int = 5) -> np.ndarray:
    return RNG(4).normal(size=(n, steps, 3)).astype(dtype)


def recurrent(
    cell: str = "gru",
    activation: str = "tanh",
    *,
    classifies: bool = True,
    per_step: bool = False,
    dtype: Any = np.float64,
    **arguments: Any,
) -> Any:
    X = sequences(dtype)
    shape = X.shape[: 1 + per_step]
    arguments = {"hidden_layer_sizes": (5, 4), "max_iter": 1, "random_state": 0, **arguments}
    # Weights that are changed by little leave states of the size of 1 over many steps.
    arguments |= {"cell": cell, "activation": activation, "per_step": per_step}
    if cell != "elman":
        del arguments["activation"]
    if classifies:
        y: Any = np.array(["a", "b", "c"])[np.arange(np.prod(shape)).reshape(shape) % 3]
        return stirred(gdfast.RNNClassifier(**arguments).fit(X, y), 0.3)
    return stirred(gdfast.RNNRegressor(**arguments).fit(X, RNG(5).normal(size=(*shape, 2))), 0.3)


def close(found: Any, expected: Any, tolerance: float) -> None:
    """Assert that numbers differ by at most ``tolerance`` of their scale, and agree in shape."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max()))
    assert float(np.abs(found - expected).max()) <= tolerance * scale
