"""Whether a fit that ended without an error has learned anything, and what may have kept it from that."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import is_regressor

from gdfast.estimators._causes import ROWS, Cause, columns_of, feature, name_of, target
from gdfast.training.arrays import Array
from gdfast.training.data import Data, Sequences
from gdfast.training.losses import Loss, constant_loss, mean_loss
from gdfast.training.network import MLP, RNN, Network
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import Reason
from gdfast.training.state import TrainingState
from gdfast.training.weights import Weights

# A fit has learned something if its loss is less than that of the best constant by one per cent of it; with
# fewer than 500 targets by as much as a few parameters gain from noise.
_LEAST_GAIN, _MOST_GAIN, _NOISE = 0.01, 0.05, 5.0
# A fit that takes away so much of the constant's loss is good, whatever its inputs are.
_GOOD_GAIN = 0.9
# Scales differ widely if the largest magnitude of a feature is so many times that of the features' lower
# quartile. Features of smaller values than `_ZERO` do not count, nor does what rounding leaves. A fit that
# has learned is slowed by values above `_LARGE`; below, the other features may count little for a reason.
_WIDE, _ZERO, _LARGE = 300.0, 1e-6, 10.0
# Values below this change the outputs of the first layer by next to nothing.
_SMALL = 0.01
# An improvement per epoch of one per cent of the constant's loss should count.
_LARGE_TOL = 0.01
# More layers of these units let next to no gradient through, unless their inputs are normalised: each
# takes away three quarters of it or more (logistic), or all of it where it saturates (tanh).
_DEEP = {"logistic": 2, "tanh": 9}
# A strong penalty leaves small weights, and so a constant.
_LARGE_ALPHA = 10.0
# The defaults of tol and n_iter_no_change: a larger tolerance, or less patience, asks for an early end.
_TOL, _PATIENCE = 1e-4, 10
# What is measured at most: steps of sequences, and values of features, in at least so many rows.
_STEPS, _VALUES, _FEWEST = 100_000, 50_000, 20
# A sample has too few rows of a rare class: what looks stuck is measured again on so many times the rows, or
# steps, and at most so many outputs.
_AGAIN, _STEPS_AGAIN, _OUTPUTS = 100, 10, 10_000_000


def shortcoming(
    est: Any,
    data: Data,
    rows: Array | None,
    network: Network,
    loss: Loss,
    state: TrainingState,
    options: TrainingOptions,
    reason: Reason,
) -> str:
    """What is wrong with a fit, and the remedy; "" if nothing is known.

    At ``max_iter`` it is an addition to the warning of that, and begins with a space.

    Measured on a sample of the training rows: the loss beside that of the best constant prediction, and the
    scales of the inputs.

    Parameters
    ----------
    est : Any
        The estimator, for the names of its arguments and features.
    data : Data
    rows : ndarray or None
        The training rows.
    network, loss, state, options
        Those of the training.
    reason : str
        The reason why training has ended. A fit that has reached ``max_iter`` may be on its way: only the
        scales of inputs and targets are reported then.
    """
    if options.solver == "annealing":  # which may have another aim than the loss
        return ""
    n_rows = len(data.X) if isinstance(data.X, Sequences) else len(data.y)
    n_rows = n_rows if rows is None else len(rows)
    every, n_outputs = rows, len(state.weights.intercepts[-1])
    rows = _sample(every, n_rows, _most_rows(data.X))
    few = _sample(rows, len(rows), max(_FEWEST, _VALUES // est.n_features_in_))
    y, weight = data.targets_of(rows)
    plain, y = _without_smoothing(loss, y)
    constant = _constant(plain, y, weight, n_outputs)
    if constant is None:
        return ""
    X = data.take(few).X
    scales, largest = _scales(est, X)
    slowing = scales if largest > _LARGE else None
    # What is recorded has penalty and dropout in it: it is hardly ever less than the loss of the weights.
    if slowing is None and getattr(state.records, "loss", math.inf) < (1 - 2 * _MOST_GAIN) * constant:
        return ""
    final = _final(plain, data, rows, network, state)
    has_stopped = reason != "max_iter"
    asked_for = has_stopped and (options.tol > _TOL or options.n_iter_no_change < _PATIENCE)
    is_stuck = not asked_for and _is_small(1 - final / constant, len(y))
    if is_stuck and len(rows) < n_rows:
        most = min(_most_rows(data.X, _AGAIN, _STEPS_AGAIN), max(len(rows), _OUTPUTS // n_outputs))
        rows = _sample(every, n_rows, most)
        y, weight = data.targets_of(rows)
        plain, y = _without_smoothing(loss, y)
        constant = _constant(plain, y, weight, n_outputs)
        if constant is None:
            return ""
        final = _final(plain, data, rows, network, state)
        is_stuck = _is_small(1 - final / constant, len(y))
    if not (math.isfinite(final) and 1 - final / constant < _GOOD_GAIN):
        return ""
    causes = [scales if is_stuck else slowing]
    if is_stuck:
        causes += [target(est, y), _small(largest)]
    if is_stuck and has_stopped:
        causes += [
            feature(est, X) if scales is None else None,
            _tol(est, options, constant),
            Cause(options.step.alpha / _LARGE_ALPHA, f"alpha={options.step.alpha:.3g}", "lower it"),
            _truncation(network, X),
            _depth(network, state.weights),
        ]
    unusual = [str(cause) for cause in causes if cause is not None and cause.severity > 1]
    measured = f" Measured: {'; '.join(unusual)}." if unusual else ""
    if not has_stopped or not (is_stuck or unusual):
        return measured
    text = f"Training stopped after {state.records.n_iter} iteration(s) at a loss of {final:.4g}"
    if not is_stuck:
        return f"{text}.{measured}"
    steps = math.ceil(n_rows / options.batch_size) * network.steps_per_batch(data.X)
    return (
        f"{text}, where the best constant prediction has {constant:.4g}: next to nothing has been learned."
        f"{measured} {'Or' if unusual else 'To leave such a plateau,'} "
        f"{_chances(est, options, state.records.n_iter * steps)} Or y hardly depends on X."
    )


def _sample(rows: Array | None, n_rows: int, most: int) -> Array:
    """Some of the rows, evenly spaced; None stands for 0, 1, 2..."""
    chosen = np.linspace(0, n_rows - 1, min(n_rows, most)).astype(np.int64)
    return chosen if rows is None else rows[chosen]


def _most_rows(X: Any, times: int = 1, steps_times: int = 1) -> int:
    """The number of rows or sequences to measure."""
    most = times * ROWS
    return (
        min(most, max(1, round(steps_times * _STEPS / X.lengths.mean())))
        if isinstance(X, Sequences)
        else most
    )


def _final(loss: Loss, data: Data, rows: Array, network: Network, state: TrainingState) -> float:
    """The loss of the fit on these rows."""
    y, weight = data.targets_of(rows)
    loss, y = _without_smoothing(loss, y)
    outputs = np.empty((len(y), len(state.weights.intercepts[-1])), data.dtype)
    network.forward(state.weights, data.X, data.at(rows), outputs)
    return mean_loss(loss, y, outputs, weight)


def _is_small(gain: float, n_targets: int) -> bool:
    return gain < min(max(_NOISE / n_targets, _LEAST_GAIN), _MOST_GAIN)


def _without_smoothing(loss: Loss, y: Array) -> tuple[Loss, Array]:
    """The loss and targets without label smoothing, whose share of the loss no output can take away."""
    if loss == "binary_cross_entropy":
        return loss, np.round(y)
    return ("cross_entropy" if loss[0] == "cross_entropy" else loss), y


def _constant(loss: Loss, y: Array, weight: Array | None, n_outputs: int) -> float | None:
    """The loss of the best constant; None if there is nothing to learn, or no such loss."""
    if weight is not None and (weight.min() < 0 or not weight.any()):
        return None
    constant = constant_loss(loss, y, n_outputs, weight)
    # A constant target leaves what rounding makes.
    classifies = (loss if isinstance(loss, str) else loss[0]).endswith("cross_entropy")
    unit = 1.0 if classifies else float(np.abs(y).max(initial=0.0))
    rounding = unit * float(np.finfo(np.float32).eps)
    # Rounding may leave a constant below zero, too.
    return constant if math.isfinite(constant) and math.sqrt(max(constant, 0.0)) > rounding else None


def _scales(est: Any, X: Any) -> tuple[Cause | None, float]:
    """The feature of such values that others hardly count, and the largest value; NaN if unknown."""
    found = columns_of(X)
    if found is None or not found[0].size:  # an encoded table, or no entries
        return None, math.nan
    magnitude = found[0]
    column = int(np.argmax(magnitude))
    largest = float(magnitude[column])
    counted = magnitude[magnitude > _ZERO]
    if len(counted) < 2:
        return None, largest
    low = float(np.sort(counted)[(len(counted) - 1) // 4])
    if largest <= _WIDE * low:
        return None, largest
    text = (
        f"the scales of the inputs differ widely, {name_of(est, column)} has values up to {largest:.3g}, a "
        f"quarter of the features none above {low:.3g}"
    )
    return Cause(largest / (_WIDE * low), text, "scale X, for instance by StandardScaler"), largest


def _small(largest: float) -> Cause | None:
    """Inputs of which none counts."""
    if not 0 < largest < _SMALL:
        return None
    text = f"no feature has values above {largest:.3g}"
    return Cause(_SMALL / largest, text, "scale X, for instance by StandardScaler")


def _chances(est: Any, options: TrainingOptions, updates: int) -> str:
    """What else may help."""
    if options.solver != "stochastic":
        return "start from other weights (random_state)."
    return (
        f"allow more updates than {updates} (n_iter_no_change={est.n_iter_no_change}, a smaller batch_size), "
        f"or change learning_rate_init={est.learning_rate_init}."
    )


def _tol(est: Any, options: TrainingOptions, constant: float) -> Cause | None:
    """A tolerance that is large beside the loss."""
    if options.by_score and options.solver == "stochastic":
        return None
    scaling = ", or scale y, for instance by TransformedTargetRegressor" if is_regressor(est) else ""
    return Cause(
        options.tol / (_LARGE_TOL * constant),
        f"tol={options.tol:.3g} is {options.tol / constant:.2g} times that loss",
        f"lower tol{scaling}",
    )


def _truncation(network: Network, X: Any) -> Cause | None:
    """A gradient that reaches back over a part of each sequence."""
    if not isinstance(network, RNN) or network.tbptt is None or network.per_step:
        return None
    k2, length = network.tbptt[1], float(X.lengths.mean())
    return Cause(
        length / k2,
        f"tbptt lets gradients reach back {k2} steps of {length:.3g}",
        "raise k2",
    )


def _depth(network: Network, weights: Weights) -> Cause | None:
    """Many layers of units that saturate."""
    if not isinstance(network, MLP) or weights.norms() is not None:
        return None
    found = [
        Cause(
            n_layers / most,
            f"{n_layers} layers of {name} units, through which gradients vanish",
            "set activation='relu' or batch_norm=True",
        )
        for name, most in _DEEP.items()
        if (n_layers := list(network.activations).count(name))
    ]
    return max(found, key=lambda cause: cause.severity, default=None)
