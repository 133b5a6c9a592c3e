"""The losses in NumPy: the mean over samples, without any penalty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy.special import xlogy

from gdfast.training.arrays import Array

Loss: TypeAlias = str | tuple[str, Sequence[float]]


def mean_loss(loss: Loss, y: Array, outputs: Array, sample_weight: Array | None) -> float:
    """The mean loss, for y and outputs in the form of the core; NaN or infinite if outputs are.

    It is the sum over several outputs, but for the squared error the mean, as in scikit-learn.
    """
    name, parameters = (loss, ()) if isinstance(loss, str) else loss
    if name.endswith("cross_entropy"):
        # Probabilities are clipped by the machine epsilon, as in scikit-learn.
        margin = np.finfo(outputs.dtype).eps
        outputs = np.clip(outputs, margin, 1 - margin)
    if name == "poisson":
        # The core computes the logarithm even if the output underflows; here the output is clipped.
        outputs = np.maximum(outputs, np.finfo(outputs.dtype).tiny)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        losses = _LOSSES[name](y, outputs.astype(np.float64), *map(np.asarray, parameters))
        return float(np.average(losses, weights=sample_weight))


def constant_loss(loss: Loss, y: Array, n_outputs: int, sample_weight: Array | None) -> float:
    """The least mean loss of outputs that are the same for all samples; weights must not be negative.

    For the Huber loss it is that of the mean or the median, whichever is less.
    """
    name, parameters = (loss, ()) if isinstance(loss, str) else loss
    if name == "cross_entropy":
        counts = np.bincount(y, sample_weight, n_outputs)
        found = [counts / counts.sum()]
    else:
        found = []
        if name not in ("absolute_error", "quantile"):
            found.append(np.average(y.astype(np.float64), axis=0, weights=sample_weight))
        if name in ("absolute_error", "huber"):
            found.append(np.array([_quantile_of(column, 0.5, sample_weight) for column in y.T]))
        if name == "quantile":
            found.append(np.array([_quantile_of(y[:, 0], level, sample_weight) for level in parameters]))
    shape = len(y), n_outputs
    return min(mean_loss(loss, y, np.broadcast_to(outputs, shape), sample_weight) for outputs in found)


def _quantile_of(values: Array, level: float, weight: Array | None) -> float:
    """The least value that ``level`` of the weight does not exceed."""
    order = np.argsort(values)
    below = np.cumsum(np.ones(len(values)) if weight is None else weight[order])
    return float(values[order[np.searchsorted(below, level * below[-1])]])


# Each function takes y and outputs of shape (n_samples, n_outputs) and returns the loss of every sample.


def _cross_entropy(y: Array, outputs: Array) -> Array:
    losses: Array = -np.log(np.take_along_axis(outputs, y[:, np.newaxis], axis=1)[:, 0])
    return losses


def _binary_cross_entropy(y: Array, outputs: Array) -> Array:
    losses: Array = -(xlogy(y, outputs) + xlogy(1 - y, 1 - outputs)).sum(axis=1)
    return losses


def _squared_error(y: Array, outputs: Array) -> Array:
    losses: Array = 0.5 * ((y - outputs) ** 2).mean(axis=1)
    return losses


def _poisson(y: Array, outputs: Array) -> Array:
    deviances = xlogy(y, y / outputs) - y + outputs
    losses: Array = np.where(np.isposinf(outputs), outputs, deviances).sum(axis=1)
    return losses


def _absolute_error(y: Array, outputs: Array) -> Array:
    losses: Array = np.abs(y - outputs).sum(axis=1)
    return losses


def _huber(y: Array, outputs: Array, delta: Array) -> Array:
    error = np.abs(y - outputs)
    losses: Array = np.where(error <= delta, 0.5 * error**2, delta * (error - 0.5 * delta)).sum(axis=1)
    return losses


def _quantile(y: Array, outputs: Array, *quantiles: Array) -> Array:
    error, levels = y - outputs, np.array(quantiles)
    losses: Array = np.maximum(levels * error, (levels - 1) * error).sum(axis=1)
    return losses


_LOSSES: dict[str, Callable[..., Any]] = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "squared_error": _squared_error,
    "poisson": _poisson,
    "absolute_error": _absolute_error,
    "huber": _huber,
    "quantile": _quantile,
}
