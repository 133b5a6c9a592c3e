"""A learning rate found by a range test.

Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.losses import Loss
from gdfast.training.network import Network
from gdfast.training.optimizer import Optimizer
from gdfast.training.options import TrainingOptions
from gdfast.training.state import TrainingState
from gdfast.training.trainer import Trainer

LOWEST, HIGHEST = 1e-6, 30.0
LEAST_BATCHES = 100  # few rows are passed over several times

_SMOOTHING = 0.9
_FIRST = 10  # batches, whose rates change nothing yet
# Where the loss has taken most of its way down, steps are long, and a third of them is still safe.
_SHARE_OF_DESCENT, _MARGIN = 0.8, 3.0
_BLOWN_UP = 4.0  # times the loss before training: higher rates need no trial


def rate_range(
    network: Network, loss: Loss, data: Data, state: TrainingState, options: TrainingOptions
) -> dict[str, Any]:
    """Train a copy of the state's weights with a new optimizer of the same rule and rising rates.

    Returns
    -------
    dict
        "rates" and "losses", the loss before the step with each rate, as lists; and the rate "found", see
        `_found`. Losses are smoothed, less the differences that batches have before any training.
    """
    assert state.optimizer is not None
    batches = _batches(state, options)
    weights = state.weights.copy()
    optimizer = Optimizer(state.optimizer.rule, state.optimizer.rule_params, 1.0, "constant", 0.5)
    optimizer.seed = state.optimizer.seed
    size: dict[str, Any] = {"batch_size": len(batches[0]), "n_samples": len(batches[0])}
    trainer = optimizer.trainer(network, weights, loss, options.step, **size)
    # The same batches without training: batches differ by more than a step changes, where a few rows have
    # nearly all of the loss.
    still = Optimizer("sgd", {"momentum": 0.0, "nesterov": False}, 0.0, "constant", 0.5)
    still.seed = optimizer.seed
    untrained = still.trainer(network, state.weights.copy(), loss, options.step, **size)

    data = data.in_steps()

    def step(trainer: Trainer, rows: Array, rate: float) -> tuple[float, bool]:
        return trainer.run_epoch(
            data.X, data.y, data.at(rows), data.weight, learning_rate=rate, backprop_depth=len(weights.coefs)
        )

    at_start = [step(untrained, rows, 0.0)[0] for rows in batches]
    level = float(np.mean(at_start))
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    for rate, rows, before in zip(
        np.geomspace(LOWEST, HIGHEST, len(batches)), batches, at_start, strict=True
    ):
        steps_before = trainer.step
        mean_loss, is_finite = step(trainer, rows, float(rate))
        if trainer.step == steps_before:  # the rows weigh nothing
            continue
        average = _SMOOTHING * average + (1 - _SMOOTHING) * (mean_loss - before)
        smoothed = level + average / (1 - _SMOOTHING ** (len(losses) + 1))
        if not is_finite or not math.isfinite(smoothed):
            break
        rates.append(float(rate))
        losses.append(smoothed)
        if smoothed > _BLOWN_UP * abs(level):
            break
    return {"rates": rates, "losses": losses, "found": _found(rates, losses)}


def _batches(state: TrainingState, options: TrainingOptions) -> list[Array]:
    assert state.order is not None
    n = len(state.order)
    rows = np.arange(n, dtype=np.int64) if state.order.training is None else state.order.training
    size = min(options.batch_size, n)
    passes = math.ceil(LEAST_BATCHES / math.ceil(n / size))
    random_state = np.random.RandomState(state.random_state.randint(2**31))
    orders = [random_state.permutation(rows) for _ in range(passes)]
    return [order[first : first + size] for order in orders for first in range(0, n, size)]


def _found(rates: list[float], losses: list[float]) -> float:
    """A third of the first rate at which the loss has fallen by 80 % of its whole descent.

    Where it does not fall, the geometric mean of the rates that kept it finite.
    """
    if not rates:
        return LOWEST
    first, lowest = float(np.median(losses[:_FIRST])), min(losses)
    if not lowest < first:
        return math.sqrt(rates[0] * rates[-1])
    goal = first - _SHARE_OF_DESCENT * (first - lowest)
    return next(rate for rate, loss in zip(rates, losses, strict=True) if loss <= goal) / _MARGIN
