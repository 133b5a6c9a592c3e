"""What solvers over all rows share: the objective as a function of one vector, and iterations as epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

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


class Objective:
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


class Iterations:
    """A solver's iterations as epochs, with validation and calls of the listeners between them.

    `begin` and `accept` raise StopIteration to end the solver, which SciPy's solvers allow in a callback.

    Parameters
    ----------
    start : ndarray
        The weights, as one vector, after ``nit`` iterations.
    nit : int
        Iterations from there up to that of the state are repeated without validation and listeners.
    keeps_curve : bool
        Whether the loss of every iteration is recorded.

    Attributes
    ----------
    accepted : OptimizeResult
        ``x``, ``fun`` and ``nit`` of the last iteration.
    outcome : Outcome or None
        The outcome of a training that does not end by the solver itself.
    """

    def __init__(
        self,
        state: TrainingState,
        options: TrainingOptions,
        monitor: Monitor,
        listeners: Listeners,
        start: Array,
        nit: int = 0,
        *,
        keeps_curve: bool = False,
    ) -> None:
        self._state = state
        self._options = options
        self._monitor = monitor
        self._listeners = listeners
        self._keeps_curve = keeps_curve
        self._running = False
        self._not_finite = state.weights.first_not_finite()  # as given by the user
        self.accepted = OptimizeResult(x=start, fun=np.nan, nit=nit)
        self.outcome: Outcome | None = None
        self._repeated = state.epoch
        state.records.n_iter = state.epoch

    def begin(self) -> None:
        """Called before an iteration; further calls in the same one have no effect."""
        if self._running or self.accepted.nit < self._repeated:
            return
        self._running = True
        if self._listeners.epoch_begins(self._state, self.accepted.nit, {}):
            self._stop(Outcome("stopped"))

    def accept(self, x: Array, fun: float) -> None:
        """Called with the result of an iteration."""
        if not np.isfinite(x).all():
            return
        self._running = False
        self.accepted.x = x.copy()
        self.accepted.fun = fun
        self.accepted.nit += 1
        if self.accepted.nit <= self._repeated:
            return
        self._listeners.begin()
        self._state.epoch = self.accepted.nit
        if self._keeps_curve or self._monitor.validation is not None or self._listeners.is_watched:
            self._show()
        if self._listeners.is_out_of_time():
            self._state.records.n_iter = self.accepted.nit
            self._stop(Outcome("out_of_time"))

    def interrupt(self) -> None:
        """Called with a KeyboardInterrupt, which is raised again if no iteration has been accepted."""
        if not self._listeners.has_begun:
            raise
        self.outcome = Outcome("interrupted")

    def end(self, network: MLP, X: Any, result: OptimizeResult, outcome: Outcome) -> Outcome:
        """Set the weights and their records to the solver's result, and return the outcome of training."""
        state = self._state
        where, not_finite = self._not_finite, None
        if where is not None or not np.isfinite(result.fun):
            state.weights.put(self.accepted.x)
            layer = network.first_overflow(state.weights, X)
            where = where or ("the loss" if layer is None else f"the outputs of coefs_[{layer}]")
            not_finite = NotFinite(self.accepted.nit + 1, where)
        diverged = not np.isfinite(result.x).all()
        best = self.accepted if diverged or self.outcome is not None else result
        state.records.n_iter = min(int(best.nit), self._options.max_iter)
        state.records.loss = float(best.fun)
        state.weights.put(best.x)
        if diverged:
            self._monitor.record_divergence()
            return Outcome("diverged", not_finite=not_finite)
        return self.outcome or replace(outcome, not_finite=not_finite)

    def _show(self) -> None:
        state, records = self._state, self._state.records
        state.weights.put(self.accepted.x)
        records.n_iter, records.loss = self.accepted.nit, float(self.accepted.fun)
        if self._keeps_curve:
            records.loss_curve.append(records.loss)
            if self._options.verbose:
                print(f"Iteration {records.n_iter}, loss = {records.loss:.8f}")
        if self._keeps_curve or self._monitor.validation is not None:
            self._monitor.epoch_ends(records.loss)
        is_flat = self._options.by_score and self._monitor.is_flat
        if is_flat:
            state.ended_by = "flat"
        logs = {"loss": records.loss, **self._monitor.logs}
        stops = self._listeners.is_watched and self._listeners.epoch_ends(state, records.n_iter - 1, logs)
        if stops or is_flat:
            self._stop(Outcome("flat" if is_flat else "stopped"))

    def _stop(self, outcome: Outcome) -> None:
        self.outcome = outcome
        raise StopIteration
