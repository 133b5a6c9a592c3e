"""Diagnosis of training whose numbers stopped being finite: where, and the likely causes as measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gdfast.estimators._causes import ROWS, Cause, columns_of, feature, target
from gdfast.training.arrays import Array
from gdfast.training.data import Data, Sequences
from gdfast.training.losses import Loss
from gdfast.training.network import Network
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import NotFinite
from gdfast.training.weights import NORMS, Weights

# Usual are updates of a thousandth of the weights.
_LARGE_UPDATE = 0.1


def diagnose(
    est: Any,
    data: Data,
    network: Network,
    loss: Loss,
    options: TrainingOptions,
    not_finite: NotFinite | None,
) -> str:
    """Text that begins with a space; "" if nothing is known.

    Parameters
    ----------
    est : Any
        The estimator, for its arguments and the names of its features.
    data, network, loss, options
        Those of the training.
    not_finite : NotFinite or None
    """
    if not_finite is None:
        return ""
    kind = "iteration" if options.solver != "stochastic" else "epoch"
    text = f" In {kind} {not_finite.epoch} the first numbers that are not finite were {not_finite.what}."
    found = [
        feature(est, data.X),
        target(est, data.y),
        _rate(est, data, network, loss, options, not_finite),
    ]
    causes = sorted((cause for cause in found if cause is not None), key=lambda cause: -cause.severity)
    if causes:
        text += " Measured, the likeliest cause first: " + "; ".join(map(str, causes)) + "."
    return text


def _rate(
    est: Any, data: Data, network: Network, loss: Loss, options: TrainingOptions, not_finite: NotFinite
) -> Cause | None:
    """The size of one step on scaled data, so that the scales of X and y do not count twice."""
    if not_finite.learning_rate is None or len(data.y) == 0:
        return None
    rate = not_finite.learning_rate
    ratio = _update_ratio(est, data, network, loss, options, rate)
    if ratio is None:
        return None
    return Cause(
        ratio / _LARGE_UPDATE,
        f"learning rate {rate:.3g} changes weights by {ratio:.2g} of their norm in one step on scaled data",
        "lower it, or set clip_norm",
    )


def _update_ratio(
    est: Any, data: Data, network: Network, loss: Loss, options: TrainingOptions, rate: float
) -> float | None:
    """Norm of one step's update divided by that of the weights, the largest over layers, from new weights."""
    X, y, weight, _ = _scaled(est, data)
    coefs, intercepts = est._draw_weights(est._layer_units(), data.dtype, np.random.RandomState(0))
    lists = {"coefs_": coefs, "intercepts_": intercepts}
    if "embeddings_" in vars(est):
        lists["embeddings_"] = [array.copy() for array in est.embeddings_]
    weights = Weights(lists)
    hidden = network.hidden_units(weights)
    if NORMS[0] in est._n_arrays(len(hidden)):
        weights.begin_norms(hidden)
    n_rows = min(X.shape[0] if isinstance(X, Sequences | np.ndarray) else len(y), options.batch_size, ROWS)
    optimizer = est._new_optimizer()
    step = replace(options.step, record_gradients=True)
    trainer = optimizer.trainer(network, weights, loss, step, batch_size=n_rows, n_samples=n_rows)
    order = np.arange(n_rows, dtype=np.int64)
    trainer.run_epoch(X, y, order, weight, learning_rate=rate, backprop_depth=len(coefs))
    ratios = (trainer.records or {}).get("update_ratio", [])
    if not len(ratios):
        return None  # the first rows have no weight
    # What overflows even on scaled data has no bound.
    return float(np.max(np.where(np.isfinite(ratios), ratios, np.inf)))


def _scaled(est: Any, data: Data) -> Data:
    """The first rows with features standardised (or divided by their magnitude, as targets are)."""
    X, y, weight, _ = data
    if isinstance(X, Sequences):
        part = X.take(np.arange(min(len(X), ROWS)))
        n = len(part.steps) if est.per_step else len(part)
        X = replace(part, steps=_standardised(part.steps))
    elif isinstance(X, np.ndarray):
        n = min(len(X), ROWS)
        X = _standardised(X[:n])
    else:
        n = len(y)
        if (found := columns_of(X)) is not None:  # sparse
            values, columns, starts = X
            magnitude = np.append(found[0], 1.0)  # entries beyond the rows may have any column
            magnitude = magnitude[np.minimum(columns, len(found[0]))]
            scaled = values / np.where(magnitude > 0, magnitude, 1)
            X = np.ascontiguousarray(scaled, dtype=values.dtype), columns, starts
    y, weight = y[:n], None if weight is None else weight[:n]
    if target(est, y) is not None:
        magnitude = np.abs(y).max(axis=0)
        y = np.ascontiguousarray(y / np.where(magnitude > 0, magnitude, 1), dtype=y.dtype)
    return Data(X, y, weight)


def _standardised(values: Array) -> Array:
    magnitude = np.abs(values).max(axis=0)
    values = values / np.where(magnitude > 0, magnitude, 1)
    deviation = values.std(axis=0)
    scaled: Array = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return np.ascontiguousarray(scaled)
