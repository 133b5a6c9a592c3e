"""Training without a gradient: simulated annealing of the weights over the compiled forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gdfast._annealing import Walk, anneal
from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss, mean_loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import Network
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import NotFinite, Outcome
from gdfast.training.state import TrainingState

# Evaluations in one iteration; listeners are called between iterations.
EVALUATIONS = 100


def train_annealing(
    energy: Callable[[], float],
    n_rows: int,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
) -> Outcome:
    """Train by simulated annealing; listeners always see the best weights so far.

    Parameters
    ----------
    energy : callable
        The function to minimize, evaluated at the state's current weights.
    n_rows : int
        Number of rows of one evaluation.
    """
    weights, records = state.weights, state.records

    def energy_at(x: Array) -> float:
        if not np.isfinite(x).all():  # a bounded activation would hide it
            return np.inf
        weights.put(x)
        return energy()

    start = weights.as_vector()
    best = start
    if not state.epoch:
        records.no_improvement_count = 0
        records.loss = np.nan  # not known yet
    records.n_iter = state.epoch
    outcome = Outcome("max_iter")

    def iterate(walk: Walk) -> bool:
        nonlocal best, outcome
        listeners.begin()
        best, value = walk.best, walk.best_energy
        records.loss = value
        if walk.step % EVALUATIONS:
            return False
        weights.put(best)
        records.n_iter += 1
        records.t += EVALUATIONS * n_rows
        records.loss_curve.append(value)
        if options.verbose:
            print(f"Iteration {records.n_iter}, loss = {value:.8f}")
        monitor.epoch_ends(value)
        # At high temperature the best energy is constant for long, so only a validation set can stop the
        # walk.
        is_flat = options.by_score and monitor.is_flat
        stops = is_flat
        state.epoch = records.n_iter
        if is_flat:
            state.ended_by = "flat"
        if listeners.is_watched:
            state.solver_state = walk.state_dict()
            stops |= listeners.epoch_ends(state, records.n_iter - 1, {"loss": value, **monitor.logs})
            if not stops and records.n_iter < options.max_iter:
                stops = listeners.epoch_begins(state, records.n_iter, {})
        if stops:
            outcome = Outcome("flat" if is_flat else "stopped")
        elif listeners.is_out_of_time():
            outcome, stops = Outcome("out_of_time"), True
        return bool(stops)

    evaluations = options.max_iter * EVALUATIONS
    try:
        ended = state.epoch >= options.max_iter
        if listeners.is_watched and not ended and listeners.epoch_begins(state, state.epoch, {}):
            records.loss = energy_at(start)
            return Outcome("stopped")
        # The seed of a walk that continues has been drawn.
        rng = np.random.default_rng(None if state.solver_state else state.random_state.randint(2**31))
        found = anneal(
            energy_at,
            start,
            rng=rng,
            max_evaluations=evaluations + _probes(evaluations) + 1,
            **{"step_size": 0.1, **options.annealing},
            callback=iterate,
            state=state.solver_state or None,
        )
        best, records.loss = found.x, found.energy
    except KeyboardInterrupt:
        if not listeners.has_begun:  # nothing has been evaluated
            raise
        return Outcome("interrupted")
    finally:
        weights.put(best)
    if not np.isfinite(records.loss):
        return replace(outcome, not_finite=NotFinite(records.n_iter, "the loss"))
    return outcome


def _probes(evaluations: int) -> int:
    """Number of evaluations for the initial temperature, see `anneal`."""
    return min(max(1, evaluations // 100), 200)


class Energy:
    """The training loss with its penalty, or minus a score, of the state's weights.

    Parameters
    ----------
    rows : ndarray or None
        The rows of ``data`` to train on, None for all.
    score : callable or None
        Maps outputs to a score; raises a ValueError for outputs outside of its domain. None uses the loss.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        data: Data,
        rows: Array | None,
        state: TrainingState,
        alpha: float,
        score: Callable[[Array], float] | None,
    ) -> None:
        self._network, self._loss, self._data, self._rows, self._state = network, loss, data, rows, state
        self._y, self._weight = data.targets_of(rows)
        self._outputs = np.empty((len(self._y), state.weights.coefs[-1].shape[1]), data.dtype)
        self._score = score
        total = len(self._y) if self._weight is None else float(self._weight.sum(dtype=np.float64))
        self._half_decay = 0.5 * alpha / total

    def outputs(self) -> Array:
        """The outputs for the current weights; the next call overwrites them."""
        self._network.forward(self._state.weights, self._data.X, self._rows, self._outputs)
        return self._outputs

    def __call__(self) -> float:
        outputs = self.outputs()
        if self._score is None:
            total = mean_loss(self._loss, self._y, outputs, self._weight)
            if self._half_decay:  # avoids 0 * inf for squares that overflow
                coefs = self._state.weights.coefs
                total += self._half_decay * sum(float(np.vdot(coef, coef)) for coef in coefs)
            return total
        # Long jumps may leave a metric's domain, with infinite predictions or, for a deviance, zero.
        try:
            score = self._score(outputs)
        except ValueError:
            return np.inf
        return np.inf if np.isnan(score) and not np.isfinite(outputs).all() else -score
