"""Training by stochastic gradient descent: epochs, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdfast.training.blocks import BlockedData
from gdfast.training.data import Data
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import Network
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import NotFinite, Outcome, Reason
from gdfast.training.parts import Parts
from gdfast.training.state import Records, TrainingState
from gdfast.training.trainer import Trainer


def train_stochastic(
    network: Network,
    loss: Loss,
    data: Data | BlockedData,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
) -> Outcome:
    """Train by epochs over the rows of the state's order; ValueError if the sample weights allow no step."""
    watch = _Watch()
    outcome = _run_epochs(network, loss, data, state, options, monitor, listeners, watch)
    return replace(outcome, not_finite=watch.not_finite)


# The core's places of a number that is not finite.
_WHAT = {
    "outputs": "the outputs of coefs_[{}]",
    "gradient": "the gradient of coefs_[{}]",
    "loss": "the loss",
    "weights": "coefs_[{}]",
    "biases": "intercepts_[{}]",
    "gammas": "bn_gamma_[{}]",
    "betas": "bn_beta_[{}]",
    "embeddings": "embeddings_[{}]",
    "moments": "the optimizer's moments of coefs_[{}]",
}


@dataclass
class _Watch:
    """Finds numbers that are not finite at the end of every epoch.

    An infinite loss alone does not end training, as in scikit-learn: it may become finite.
    """

    not_finite: NotFinite | None = None

    def epoch_ends(self, trainer: Trainer, loss: float, finite: bool, epoch: int, rate: float) -> None:
        if finite and math.isfinite(loss) and trainer.state_is_finite:
            self.not_finite = None
        elif self.not_finite is None:
            place, layer = trainer.not_finite or ("loss", 0)
            self.not_finite = NotFinite(epoch, _WHAT[place].format(layer), rate)


def _run_epochs(
    network: Network,
    loss: Loss,
    data: Data | BlockedData,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
    watch: _Watch,
) -> Outcome:
    optimizer, order, records = state.optimizer, state.order, state.records
    assert optimizer is not None
    assert order is not None

    parts = options.parts or Parts((len(order),), options.batch_size)

    def trainer() -> Trainer:
        return optimizer.trainer(
            network,
            state.weights,
            loss,
            options.step,
            batch_size=parts.own_batch_size,
            n_samples=parts.own_rows,
            parts=parts,
        )

    steps = parts.steps * network.steps_per_batch(data.X)
    data = data.in_steps()
    current = trainer()
    records.n_iter = state.epoch
    finite = True
    try:
        for epoch in range(state.epoch, options.max_iter):
            rates = optimizer.epoch_begins(options.max_iter - epoch, steps, records.t)
            learning_rate = float(np.mean(rates)) if isinstance(rates, np.ndarray) else float(rates)
            stops = False
            if listeners.is_watched:
                stops = listeners.epoch_begins(state, epoch, {"learning_rate": learning_rate})
                if not stops:
                    current = trainer()  # a listener may have edited or replaced the weights
            if any(parts.any("the begin of an epoch's callbacks", stops)):
                return Outcome("stopped")
            steps_before = current.step
            try:
                mean_loss, finite = data.run_epoch(
                    current,
                    order,
                    options.batch_size,
                    shuffle=options.shuffle,
                    learning_rate=rates,
                    backprop_depth=options.depth_of_epoch(optimizer.epoch, len(state.weights.coefs)),
                    on_gradient=listeners.gradient_hook(state),
                    **optimizer.of_epoch,
                )
            finally:
                if current.step > steps_before:
                    listeners.begin()
            if current.step > steps_before:
                watch.epoch_ends(current, mean_loss, finite, epoch + 1, learning_rate)
            elif not options.single_epoch:
                raise ValueError("sample_weight leaves no batch to train on: in each the weights cancel out.")
            if not finite and monitor.validation is None:
                break
            _record(records, data.records_of(current), mean_loss, learning_rate, parts.n_rows, options)
            monitor.epoch_ends(mean_loss, diverged=not finite)
            stops = optimizer.epoch_ends(records.t, monitor.logs.get("val_loss", mean_loss))
            reason: Reason = "stopped"
            if monitor.is_flat:
                if optimizer.stops_on_plateau(_plateau_message(options), options.verbose):
                    stops, reason = True, "flat"
                else:
                    records.no_improvement_count = 0
            state.epoch = epoch + 1
            if stops:
                state.ended_by = reason
            if listeners.is_watched:
                logs = {"loss": mean_loss, "learning_rate": learning_rate, **monitor.logs}
                stops |= listeners.epoch_ends(state, epoch, logs)
            if not finite:
                break
            out_of_time = listeners.is_out_of_time()
            stops, out_of_time = parts.any("the end of an epoch", stops, out_of_time)
            if stops or options.single_epoch:
                return Outcome(reason)
            if out_of_time:
                return Outcome("out_of_time")
        else:
            return Outcome("max_iter")
    except KeyboardInterrupt as error:
        if parts.ranks is not None:
            parts.ranks.fail(error)
        if not listeners.has_begun:  # nothing has been trained
            raise
        if not optimizer.is_finite():
            state.optimizer = None
        return Outcome("interrupted")
    state.optimizer = None  # its moments are not finite: further training starts with new ones
    return Outcome("diverged")


def _record(
    records: Records, of_epoch: Any, loss: float, rate: float, n_rows: int, options: TrainingOptions
) -> None:
    records.n_iter += 1
    records.loss = loss
    records.t += n_rows
    records.loss_curve.append(loss)
    records.learning_rate_curve.append(rate)
    if options.step.record_gradients:
        if not hasattr(records, "gradient_records"):
            records.gradient_records = {}
        for name, values in (of_epoch or {}).items():
            records.gradient_records.setdefault(name, []).append(values)
    if options.verbose:
        print(f"Iteration {records.n_iter}, loss = {loss:.8f}")


def _plateau_message(options: TrainingOptions) -> str:
    what = "Validation score" if options.by_score else "Training loss"
    return (
        f"{what} did not improve more than tol={options.tol:f} for {options.n_iter_no_change} consecutive "
        "epochs."
    )
