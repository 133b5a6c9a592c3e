"""What solvers over all rows share: the loss as a function of one vector, and iterations as epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

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
from gdfast.training.weights import Weights


class Value(NamedTuple):
    """The value of an objective.

    Attributes
    ----------
    loss : float
        The sum over the outputs, of which ``gradient`` is the gradient.
    gradient : ndarray of shape (n_parameters,), float64
    reported : float
        For several outputs scikit-learn's squared error is the mean over them.
    """

    loss: float
    gradient: Array
    reported: float

    def is_finite(self) -> bool:
        return bool(np.isfinite(self.loss) and np.isfinite(self.gradient).all())


def loss_arguments(
    network: MLP, loss: Loss, data: Data, coefs: list[Array], intercepts: list[Array], alpha: float
) -> dict[str, Any]:
    """The arguments of the core's functions of the loss, its gradient and its curvature."""
    return {
        "X": data.X,
        "y": data.y,
        "coefs": coefs,
        "intercepts": intercepts,
        "activations": network.activations,
        "loss": loss,
        "alpha": alpha,
        "sample_weight": data.weight,
        "n_threads": network.n_threads,
    }


class Product:
    """A product of the core, such as that with the Hessian, as a function of one vector.

    Parameters
    ----------
    function : callable
        The core's function.
    arguments : dict
        Those of `loss_arguments`.
    weights : Weights
        Their shapes and dtype.
    """

    def __init__(self, function: Callable[..., None], arguments: dict[str, Any], weights: Weights) -> None:
        size, n_layers = sum(array.size for array in weights), len(weights.coefs)
        self._function = function
        self._direction, self._product = np.empty(size, weights.dtype), np.empty(size, weights.dtype)
        direction, product = weights.split(self._direction), weights.split(self._product)
        self._arguments = {
            **arguments,
            "coef_direction": direction[:n_layers],
            "intercept_direction": direction[n_layers:],
            "coef_products": product[:n_layers],
            "intercept_products": product[n_layers:],
        }

    def __call__(self, v: Array) -> Array:
        """A new array, of float64."""
        with np.errstate(over="ignore"):  # in float32
            np.copyto(self._direction, v, casting="same_kind")
        self._function(**self._arguments)
        return self._product.astype(np.float64)


class Objective:
    """The loss as a function of one vector: all coefs, then all intercepts.

    Attributes
    ----------
    arguments : dict
        Those of the core's functions for this loss, at the weights of the last call.
    """

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
        self.arguments = loss_arguments(network, loss, data, self._coefs, at[n_layers:], alpha)
        self._gradients: dict[str, Any] = {
            "coef_grads": gradients[:n_layers],
            "intercept_grads": gradients[n_layers:],
        }
        self._averaged_outputs = weights.coefs[-1].shape[1] if loss == "squared_error" else 1
        total_weight = len(data.y) if data.weight is None else float(data.weight.sum(dtype=np.float64))
        self._half_decay = 0.5 * alpha / total_weight

    def __call__(self, x: Array) -> Value:
        self.move(x)
        loss = reported = _core.loss_and_grad(**self.arguments, **self._gradients)
        if self._averaged_outputs > 1:
            penalty = 0.0
            if self._half_decay:  # avoids 0 * inf for squares that overflow
                penalty = self._half_decay * sum(float(np.vdot(coef, coef)) for coef in self._coefs)
            reported = (loss - penalty) / self._averaged_outputs + penalty
        return Value(loss, self._gradient.astype(np.float64), reported)

    def move(self, x: Array) -> None:
        """Set the weights of ``arguments``."""
        with np.errstate(over="ignore"):  # in float32
            np.copyto(self._weights, x, casting="same_kind")


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
        self._repeated = self._recorded = state.epoch
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
        # In one call, which Ctrl-C does not divide.
        self.accepted.update(x=x.copy(), fun=fun, nit=self.accepted.nit + 1)
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
        if self._keeps_curve and self._recorded < self.accepted.nit:  # Ctrl-C came between the two
            state.records.loss_curve.append(float(self.accepted.fun))
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
            self._recorded = self.accepted.nit
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


class Method(Protocol):
    """The interface of a solver that goes down step by step."""

    @property
    def x(self) -> Array:
        """The current weights, as one vector."""

    @property
    def value(self) -> Value:
        """The value of the objective there."""

    def has_converged(self) -> bool:
        """Whether no further step is wanted."""

    def step(self) -> bool:
        """Take a step that lowers the loss; whether there is one."""

    def state_dict(self) -> dict[str, Any]:
        """What a run that continues takes."""


def descend(
    method: Method,
    network: MLP,
    data: Data,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
) -> Outcome:
    """Train by the steps of a method, each of which is an iteration."""
    if not state.epoch:
        state.records.no_improvement_count = 0
    iterations = Iterations(state, options, monitor, listeners, method.x, state.epoch, keeps_curve=True)
    result = iterations.accepted
    result.fun = method.value.reported
    outcome = Outcome("converged")
    try:
        while method.value.is_finite() and not method.has_converged():
            if result.nit >= options.max_iter:
                outcome = Outcome("max_iter")
                break
            iterations.begin()
            if not method.step():
                break
            state.solver_state = method.state_dict()
            iterations.accept(method.x, method.value.reported)
    except KeyboardInterrupt:
        iterations.interrupt()
    except StopIteration:
        pass
    return iterations.end(network, data.X, result, outcome)
