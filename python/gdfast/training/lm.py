"""Training by Levenberg and Marquardt's method: damped Gauss-Newton steps for squared errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh
from scipy.linalg.lapack import dposv, dpotrf, dpotri

from gdfast import _core
from gdfast.training.arrays import Array
from gdfast.training.blas import on_threads
from gdfast.training.data import Data
from gdfast.training.full_batch import Objective, Value, descend
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import MLP
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import Outcome
from gdfast.training.state import Records, TrainingState

# The damping, of the normal matrix divided by the number of samples: first, least (so that it can grow
# again) and largest, times the largest element of that matrix if it is above 1; what a step that lowers the
# loss, or one that does not, multiplies it by.
MU, MU_LEAST, MU_MOST = 1e-3, 1e-20, 1e10
DECREASE, INCREASE = 0.1, 10.0

# The largest network: its matrix has 800 MB, and a step takes a factorization of it.
MOST_PARAMETERS = 10_000

# The share of the parameters below which the data determine none of them: the weights vanish, and the penalty
# that belongs to them would grow without end.
NEGLIGIBLE = 1e-9

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
    gradient is at most ``tol``, or where not even the largest damping gives such a step. LAPACK works on one
    thread, so that the results do not depend on the number of threads; the sums take most of the time.

    With ``bayesian_regularization`` the penalty is that of the largest evidence, found anew in every
    iteration.

    References
    ----------
    Hagan and Menhaj, "Training feedforward networks with the Marquardt algorithm", IEEE Transactions on
    Neural Networks 5 (1994). MacKay, "Bayesian interpolation", Neural Computation 4 (1992). Foresee and
    Hagan, "Gauss-Newton approximation to Bayesian learning", ICNN 1997.
    """
    assert loss == "squared_error"
    data = data.of(state.order)
    method = _LevenbergMarquardt(network, data, state, options)
    return descend(method, network, data, state, options, monitor, listeners)


class _LevenbergMarquardt:
    """The method for half the mean squared error, summed over the outputs, and a penalty.

    Attributes
    ----------
    x, value
        See `Method`.
    """

    def __init__(self, network: MLP, data: Data, state: TrainingState, options: TrainingOptions) -> None:
        weights = state.weights
        self._tol = options.tol
        total = float(len(data.y)) if data.weight is None else float(data.weight.sum(dtype=np.float64))
        self._evidence: _Evidence | None = None
        if options.bayesian_regularization:
            self._evidence = _Evidence(state.records, total, weights.coefs[-1].shape[1])
            options = replace(options, step=replace(options.step, alpha=0.0))
        self._objective = Objective(network, "squared_error", data, state, options)
        self._total_weight = total
        size = sum(array.size for array in weights)
        # Half of this times squared weights is the penalty, which the evidence finds or the objective has.
        self._penalty = np.zeros(size)
        self._penalty[: sum(coef.size for coef in weights.coefs)] = options.step.alpha / total
        self.x: Array = weights.as_vector(np.float64)
        self._mu = MU
        resumes = "mu" in state.solver_state
        if resumes:
            self.x, self._mu = state.solver_state["x"], state.solver_state["mu"]
        self.value: Value = self._objective(self.x)
        self._matrix = np.empty((size, size))
        if self._evidence is not None and self.value.is_finite():
            if not resumes or not self._evidence.is_known:
                self._evidence.find(self.x, self.value.loss, float(size))
            self._penalty[:] = self._evidence.penalty

    def has_converged(self) -> bool:
        settled = self._evidence is None or self._update(self._evidence)
        return settled and float(np.abs(self._gradient()).max()) <= self._tol

    def step(self) -> bool:
        """Take the first step that lowers the loss, with more damping each time."""
        if self._evidence is None:
            self._find_matrix()
        gradient = self._gradient()
        # Rounding makes a matrix of float32 indefinite by as much as its size.
        most = MU_MOST * min(max(1.0, float(np.diagonal(self._matrix).max())), 1e30)
        while self._mu <= most:
            with on_threads(1):
                step = _solve(self._matrix, self._penalty + self._mu, -gradient)
            if step is not None and self._moves_down(step):
                self._mu = max(self._mu * DECREASE, MU_LEAST)
                return True
            self._mu *= INCREASE
        return False

    def state_dict(self) -> dict[str, Any]:
        return {"x": self.x, "mu": self._mu}

    def _find_matrix(self) -> None:
        self._objective.move(self.x)
        names = ("X", "coefs", "intercepts", "activations", "sample_weight", "n_threads")
        arguments = {name: self._objective.arguments[name] for name in names}
        _core.gauss_newton_matrix(out=self._matrix, **arguments)
        self._matrix /= self._total_weight

    def _moves_down(self, step: Array) -> bool:
        """Move if that lowers the loss; whether it does."""
        with np.errstate(over="ignore", invalid="ignore"):
            x = self.x + step
            value = self._objective(x)
            lower = value.loss + self._penalty_of(x) < self.value.loss + self._penalty_of(self.x)
        if not lower or not value.is_finite():
            return False
        self.x, self.value = x, value
        return True

    # The evidence's penalty, in addition to the objective.

    def _penalty_of(self, x: Array) -> float:
        return 0.0 if self._evidence is None else 0.5 * self._evidence.penalty * float(np.dot(x, x))

    def _gradient(self) -> Array:
        if self._evidence is None:
            return self.value.gradient
        gradient: Array = self.value.gradient + self._evidence.penalty * self.x
        return gradient

    def _update(self, evidence: _Evidence) -> bool:
        """Find the penalty for the current weights; whether it has hardly changed."""
        self._find_matrix()
        before = evidence.penalty
        # The parameters whose values the data determine, rather than the penalty.
        with on_threads(1):
            n_penalized = before * _trace_of_inverse(self._matrix, before) if before else 0.0
        n_effective = self.x.size - n_penalized
        evidence.find(self.x, self.value.loss, n_effective)
        self._penalty[:] = evidence.penalty
        return abs(evidence.penalty - before) <= EVIDENCE_TOL * before


class _Evidence:
    """The precisions of weights and noise that have the largest evidence.

    ``alpha`` is the inverse variance of all weights and biases, ``beta`` that of the targets' noise; both are
    kept in the records.
    """

    def __init__(self, records: Records, total_weight: float, n_outputs: int) -> None:
        if total_weight <= 0:
            raise ValueError("bayesian_regularization=True takes sample weights with a positive sum.")
        self._records = records
        self._total_weight = total_weight
        self._n_targets = total_weight * n_outputs
        # Where errors or weights vanish, the precisions stay finite.
        self._least_squares = float(np.finfo(np.float64).eps) ** 2 * self._n_targets

    def find(self, x: Array, loss: float, n_effective: float) -> None:
        """Find the precisions for weights with this loss, of which so many are determined by the data."""
        records = self._records
        errors = 2 * loss * self._total_weight
        records.n_effective_parameters = n_effective = min(max(n_effective, 0.0), float(x.size))
        if n_effective <= NEGLIGIBLE * x.size and self.is_known and x.any():
            return
        # The noise is estimated from what is left of the targets: from some of them at least.
        free = max(self._n_targets - n_effective, 1e-3 * self._n_targets)
        # Weights that are all zero, as given by the user, tell nothing of their variance.
        records.alpha = n_effective / max(float(np.dot(x, x)), self._least_squares) if x.any() else 0.0
        records.beta = free / max(errors, self._least_squares)

    @property
    def is_known(self) -> bool:
        return {"alpha", "beta"} <= vars(self._records).keys()

    @property
    def penalty(self) -> float:
        """Half of this times the squared weights belongs to the mean loss."""
        return self._records.alpha / (self._records.beta * self._total_weight)


def _increased(matrix: Array, diagonal: Array | float) -> Array:
    """A symmetric matrix with more on its diagonal, in the order of LAPACK's arrays."""
    increased: Array = matrix.T.copy(order="F")
    np.einsum("ii->i", increased)[:] += diagonal
    return increased


def _solve(matrix: Array, diagonal: Array, right: Array) -> Array | None:
    """The solution of the system of a matrix with more on its diagonal; None if that is singular."""
    # LAPACK's function itself: for the matrices of small networks SciPy's checks would take longer than it.
    _, solution, info = dposv(_increased(matrix, diagonal), right, lower=True, overwrite_a=True)
    return None if info else solution


def _trace_of_inverse(matrix: Array, penalty: float) -> float:
    """The trace of the inverse of a matrix with ``penalty`` added to its diagonal."""
    factor, info = dpotrf(_increased(matrix, penalty), lower=True, overwrite_a=True)
    if info:
        eigenvalues = np.maximum(eigvalsh(matrix, check_finite=False), 0) + penalty
        return float((1 / np.maximum(eigenvalues, np.finfo(np.float64).tiny)).sum())
    inverse, _ = dpotri(factor, lower=True, overwrite_c=True)
    return float(np.trace(inverse))
