"""Training by SciPy's L-BFGS-B over the core's loss and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from gdfast import _core
from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import MLP
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import NotFinite, Outcome
from gdfast.training.state import TrainingState


def train_lbfgs(
    network: MLP,
    loss: Loss,
    data: Data,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
) -> Outcome:
    """Train by iterations over all rows.

    The state's weights are set at the end of training, after Ctrl-C to the last accepted iterate, and at
    every iteration if there is a validation set or a listener.

    SciPy's solver has no state that could be saved. A run that continues is repeated from its start, without
    validation and listeners, up to the iteration that it had reached.
    """
    where = state.weights.first_not_finite()  # as given by the user
    if not state.epoch:
        state.solver_state = {"start": state.weights.as_vector(np.float64)}
        state.records.no_improvement_count = 0
    objective = _Objective(network, loss, data, state, options)
    iterations = _Iterations(state, options, objective, monitor, listeners)
    outcome = None
    try:
        result = minimize(
            iterations.evaluate,
            iterations.accepted.x,
            method="L-BFGS-B",
            jac=True,
            callback=iterations.accept,
            options={"maxfun": options.max_fun, "maxiter": options.max_iter, "gtol": options.tol},
        )
    except KeyboardInterrupt:
        if not listeners.has_begun:  # no iterate has been accepted
            raise
        outcome = Outcome("interrupted")
        result = iterations.accepted
    except StopIteration:  # SciPy handles it in a callback, but not in an objective
        result = iterations.accepted

    not_finite = None
    if where is not None or not np.isfinite(result.fun):
        state.weights.put(iterations.accepted.x)
        layer = network.first_overflow(state.weights, data.X)
        where = where or ("the loss" if layer is None else f"the outputs of coefs_[{layer}]")
        not_finite = NotFinite(iterations.accepted.nit + 1, where)
    diverged = not np.isfinite(result.x).all()
    best = iterations.accepted if diverged or iterations.outcome is not None else result
    state.records.n_iter = min(int(best.nit), options.max_iter)
    state.records.loss = float(best.fun)
    state.weights.put(best.x)
    if diverged:
        monitor.record_divergence()
        return Outcome("diverged", not_finite=not_finite)
    if outcome is not None or iterations.outcome is not None:
        return outcome or iterations.outcome or Outcome("stopped")
    if result.status == 0:
        return Outcome("converged", not_finite=not_finite)
    return Outcome("failed", str(result.message), int(result.status), not_finite)


class _Iterations:
    """SciPy's iterations as epochs, with validation and calls of the listeners between them."""

    def __init__(
        self,
        state: TrainingState,
        options: TrainingOptions,
        objective: _Objective,
        monitor: Monitor,
        listeners: Listeners,
    ) -> None:
        self._state = state
        self._options = options
        self._objective = objective
        self._monitor = monitor
        self._listeners = listeners
        self._running = False
        self.accepted = OptimizeResult(x=state.solver_state["start"], fun=np.nan, nit=0)
        self.outcome: Outcome | None = None
        self._repeated = state.epoch
        state.records.n_iter = state.epoch

    def evaluate(self, x: Array) -> tuple[float, Array]:
        # An iteration begins with its first evaluation.
        if not self._running and self.accepted.nit >= self._repeated:
            self._running = True
            if self._listeners.epoch_begins(self._state, self.accepted.nit, {}):
                if not self.accepted.nit:
                    self.accepted.fun, _ = self._objective(x)
                self._stop(Outcome("stopped"))
        return self._objective(x)

    def accept(self, intermediate_result: OptimizeResult) -> None:
        if not np.isfinite(intermediate_result.x).all():
            return
        self._running = False
        self.accepted.x = intermediate_result.x.copy()
        self.accepted.fun = intermediate_result.fun
        self.accepted.nit += 1
        if self.accepted.nit <= self._repeated:
            return
        self._listeners.begin()
        self._state.epoch = self.accepted.nit
        if self._monitor.validation is not None or self._listeners.is_watched:
            self._show()
        if self._listeners.is_out_of_time():
            self._state.records.n_iter = self.accepted.nit
            self._stop(Outcome("out_of_time"))

    def _show(self) -> None:
        state, records = self._state, self._state.records
        state.weights.put(self.accepted.x)
        records.n_iter, records.loss = self.accepted.nit, float(self.accepted.fun)
        if self._monitor.validation is not None:
            self._monitor.epoch_ends(records.loss)
        is_flat = self._options.by_score and self._monitor.is_flat
        if is_flat:
            state.ended_by = "flat"
        logs = {"loss": records.loss, **self._monitor.logs}
        if self._listeners.epoch_ends(state, self.accepted.nit - 1, logs) or is_flat:
            self._stop(Outcome("flat" if is_flat else "stopped"))

    def _stop(self, outcome: Outcome) -> None:
        self.outcome = outcome
        raise StopIteration


class _Objective:
    """Loss and gradient as one function of one vector: all coefs, then all intercepts."""

    def __init__(
        self, network: MLP, loss: Loss, data: Data, state: TrainingState, options: TrainingOptions
    ) -> None:
        weights = state.weights
        self._weights = np.empty(sum(array.size for array in weights), weights.dtype)
        self._gradient = np.empty_like(self._weights)
        at, gradients = weights.split(self._weights), weights.split(self._gradient)
        n_layers = len(weights.coefs)
        alpha = options.step.alpha
        self._coefs = at[:n_layers]
        self._arguments: dict[str, Any] = {
            "X": data.X,
            "y": data.y,
            "coefs": self._coefs,
            "intercepts": at[n_layers:],
            "activations": network.activations,
            "loss": loss,
            "alpha": alpha,
            "sample_weight": data.weight,
            "coef_grads": gradients[:n_layers],
            "intercept_grads": gradients[n_layers:],
            "n_threads": network.n_threads,
        }
        # For several outputs scikit-learn's squared error is the mean over them, but its gradient that of the
        # sum. The line search gives scikit-learn's results only with the same pair.
        self._averaged_outputs = weights.coefs[-1].shape[1] if loss == "squared_error" else 1
        total_weight = len(data.y) if data.weight is None else float(data.weight.sum(dtype=np.float64))
        self._half_decay = 0.5 * alpha / total_weight

    def __call__(self, x: Array) -> tuple[float, Array]:
        np.copyto(self._weights, x, casting="same_kind")
        loss = _core.loss_and_grad(**self._arguments)
        if self._averaged_outputs > 1:
            penalty = 0.0
            if self._half_decay:  # avoids 0 * inf for squares that overflow
                penalty = self._half_decay * sum(float(np.vdot(coef, coef)) for coef in self._coefs)
            loss = (loss - penalty) / self._averaged_outputs + penalty
        return loss, self._gradient.astype(np.float64)
