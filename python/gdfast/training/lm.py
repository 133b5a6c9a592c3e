"""Training by Levenberg and Marquardt's method: damped Gauss-Newton steps for squared errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh
from scipy.linalg.lapack import dpotri

from gdfast import _core
from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.full_batch import Iterations, Objective
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import MLP
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import Outcome
from gdfast.training.state import Records, TrainingState

# The damping, of the normal matrix divided by the number of samples: first, least (so that it can grow
# again) and largest; what a step that lowers the loss, or one that does not, multiplies it by.
MU, MU_LEAST, MU_MOST = 1e-3, 1e-20, 1e10
DECREASE, INCREASE = 0.1, 10.0

# The largest network: its matrix has 800 MB, and a step takes a factorization of it.
MOST_PARAMETERS = 10_000

# How far the penalty that the evidence finds may still move, relatively, in a training that has converged.
EVIDENCE_TOL = 1e-2


def check_size(layer_units: Sequence[int]) -> None:
    """ValueError if a network with layers of these sizes has too many parameters."""
    n = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layer_units))
    if n > MOST_PARAMETERS:
        raise ValueError(
            f"solver='lm' factorizes a matrix of {n:,} x {n:,} numbers, which is {8e-6 * n**2:,.0f} MB, for "
            f"the {n:,} parameters of this network; it takes {MOST_PARAMETERS:,} at most. Use "
            "solver='newton-cg' or 'lbfgs', or smaller hidden_layer_sizes."
        )


def train_lm(
    network: MLP,
    loss: Loss,
    data: Data,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
) -> Outcome:
    """Train by iterations over the rows of the state's order.

    An iteration is a step that lowers the loss. Training has converged where the largest component of the
    gradient is at most ``tol``, or where not even the largest damping gives such a step.

    With ``bayesian_regularization`` the penalty is that of the largest evidence, found anew in every
    iteration.

    References
    ----------
    Hagan and Menhaj, "Training feedforward networks with the Marquardt algorithm", IEEE Transactions on
    Neural Networks 5 (1994). MacKay, "Bayesian interpolation", Neural Computation 4 (1992). Foresee and
    Hagan, "Gauss-Newton approximation to Bayesian learning", ICNN 1997.
    """
    assert loss == "squared_error"
    if state.order is not None:
        data = data.take(state.order.training)
    problem = _LeastSquares(network, data, state, options)
    if not state.epoch:
        state.solver_state = {"x": state.weights.as_vector(np.float64), "mu": MU}
        state.records.no_improvement_count = 0
    x, mu = state.solver_state["x"], state.solver_state["mu"]
    iterations = Iterations(state, options, monitor, listeners, x, state.epoch, keeps_curve=True)
    evidence = _Evidence(problem, state.records) if options.bayesian_regularization else None
    result = iterations.accepted
    outcome = Outcome("converged")
    try:
        problem.move(x)
        result.fun = problem.reported_loss
        if evidence is not None and not state.epoch:
            evidence.begin()
        while problem.is_finite:
            matrix = problem.normal_matrix()
            settled = evidence is None or evidence.update(matrix)
            if settled and float(np.abs(problem.gradient).max()) <= options.tol:
                break
            if result.nit >= options.max_iter:
                outcome = Outcome("max_iter")
                break
            iterations.begin()
            found = _step(problem, matrix, mu)
            if found is None:
                break
            mu = found
            state.solver_state = {"x": problem.x, "mu": mu}
            iterations.accept(problem.x, problem.reported_loss)
    except KeyboardInterrupt:
        iterations.interrupt()
    except StopIteration:
        pass
    return iterations.end(network, data.X, result, outcome)


def _step(problem: _LeastSquares, matrix: Array, mu: float) -> float | None:
    """Take the step of the least damping from ``mu`` on that lowers the loss.

    Returns the damping of the next step, or None if there is no such step.
    """
    while mu <= MU_MOST:
        damped = matrix.copy()
        damped.flat[:: len(damped) + 1] += problem.penalty + mu
        try:
            factor = cho_factor(damped, lower=True, overwrite_a=True, check_finite=False)
            step = cho_solve(factor, -problem.gradient, check_finite=False)
            if problem.moves_down(step):
                return max(mu * DECREASE, MU_LEAST)
        except LinAlgError:  # singular to working precision
            pass
        mu *= INCREASE
    return None


class _LeastSquares:
    """Half the mean squared error, summed over the outputs, and half of ``penalty`` times squared weights.

    It has a current point, ``x``, where the values of its attributes are taken.

    Attributes
    ----------
    x, gradient : ndarray of shape (n_parameters,)
    error : float
        The first part.
    penalty : ndarray of shape (n_parameters,)
    total_weight : float
        Sum of the sample weights.
    """

    def __init__(self, network: MLP, data: Data, state: TrainingState, options: TrainingOptions) -> None:
        weights = state.weights
        without = replace(options, step=replace(options.step, alpha=0.0))
        self._error_and_slope = Objective(network, "squared_error", data, state, without)
        self._at = np.empty(sum(array.size for array in weights), weights.dtype)
        arrays, n_layers = weights.split(self._at), len(weights.coefs)
        self._arguments: dict[str, Any] = {
            "X": data.X,
            "coefs": arrays[:n_layers],
            "intercepts": arrays[n_layers:],
            "activations": network.activations,
            "sample_weight": data.weight,
            "n_threads": network.n_threads,
        }
        self.n_outputs = weights.coefs[-1].shape[1]
        self.total_weight = (
            float(len(data.y)) if data.weight is None else float(data.weight.sum(dtype=np.float64))
        )
        self.penalty = np.zeros(self._at.size)
        n_coefs = sum(coef.size for coef in weights.coefs)
        self.penalty[:n_coefs] = options.step.alpha / self.total_weight
        self._reports_penalty = not options.bayesian_regularization
        self.x = self._slope = self.penalty
        self.error = math.nan

    @property
    def gradient(self) -> Array:
        gradient: Array = self._slope + self.penalty * self.x
        return gradient

    @property
    def reported_loss(self) -> float:
        """The mean over the outputs, as for other solvers; without a penalty that changes."""
        return self.error / self.n_outputs + (self._cost_of(self.x) if self._reports_penalty else 0.0)

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.error) and bool(np.isfinite(self._slope).all())

    def move(self, x: Array) -> None:
        self.x = x
        self.error, self._slope = self._evaluate(x)

    def moves_down(self, step: Array) -> bool:
        """Move if that lowers the sum of error and penalty; whether it does."""
        with np.errstate(over="ignore", invalid="ignore"):
            x = self.x + step
            error, slope = self._evaluate(x)
            lower = error + self._cost_of(x) < self.error + self._cost_of(self.x)
        if not lower or not np.isfinite(slope).all():
            return False
        self.x, self.error, self._slope = x, error, slope
        return True

    def normal_matrix(self) -> Array:
        """The Gauss-Newton matrix of the error."""
        np.copyto(self._at, self.x, casting="same_kind")
        matrix = np.empty((self.x.size, self.x.size))
        _core.gauss_newton_matrix(out=matrix, **self._arguments)
        matrix /= self.total_weight
        return matrix

    def _evaluate(self, x: Array) -> tuple[float, Array]:
        loss, slope = self._error_and_slope(x)
        return loss * self.n_outputs, slope

    def _cost_of(self, x: Array) -> float:
        return float(0.5 * np.dot(self.penalty * x, x))


class _Evidence:
    """MacKay's evidence for the precisions of weights and noise.

    ``alpha`` is the inverse variance of all weights and biases, ``beta`` that of the targets' noise. Their
    ratio, divided by the number of samples, is the penalty of `_LeastSquares`.
    """

    def __init__(self, problem: _LeastSquares, records: Records) -> None:
        self._problem = problem
        self._records = records
        self._n_targets = problem.total_weight * problem.n_outputs
        # Where errors or weights vanish, the precisions stay finite.
        self._least_squares = np.finfo(np.float64).eps ** 2 * self._n_targets
        if "beta" in vars(records):
            self._set_penalty()

    def begin(self) -> None:
        """The first precisions: all parameters count."""
        self._take(float(self._problem.x.size))

    def update(self, matrix: Array) -> bool:
        """Find the precisions for the current weights; whether they have settled."""
        problem = self._problem
        before = problem.penalty[0]
        # The number of parameters whose value the data determine, rather than the penalty.
        self._take(problem.x.size - before * _trace_of_inverse(matrix, before))
        return bool(abs(problem.penalty[0] - before) <= EVIDENCE_TOL * before)

    def _take(self, n_effective: float) -> None:
        problem, records = self._problem, self._records
        squares = float(np.dot(problem.x, problem.x))
        errors = 2 * problem.error * problem.total_weight
        # An error needs a degree of freedom.
        n_effective = min(max(n_effective, 0.0), float(problem.x.size))
        free = max(self._n_targets - n_effective, 1e-3 * self._n_targets)
        records.n_effective_parameters = n_effective
        records.alpha = n_effective / max(squares, self._least_squares)
        records.beta = free / max(errors, self._least_squares)
        self._set_penalty()

    def _set_penalty(self) -> None:
        ratio = self._records.alpha / (self._records.beta * self._problem.total_weight)
        self._problem.penalty = np.full(self._problem.x.size, ratio)


def _trace_of_inverse(matrix: Array, penalty: float) -> float:
    """The trace of the inverse of a matrix with ``penalty`` added to its diagonal."""
    penalized = matrix.copy()
    penalized.flat[:: len(matrix) + 1] += penalty
    try:
        factor, _ = cho_factor(penalized, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:  # singular to working precision
        eigenvalues = np.maximum(eigvalsh(matrix, check_finite=False), 0) + penalty
        return float((1 / np.maximum(eigenvalues, np.finfo(np.float64).tiny)).sum())
    inverse, _ = dpotri(factor, lower=True, overwrite_c=True)
    return float(np.trace(inverse))
