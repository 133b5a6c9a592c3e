"""Training by SciPy's L-BFGS-B over the core's loss and gradient."""

from __future__ import annotations

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from gdfast.training.arrays import Array
from gdfast.training.blas import on_threads
from gdfast.training.data import Data
from gdfast.training.full_batch import Iterations, Objective
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import MLP
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import Outcome
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
    if not state.epoch:
        state.solver_state = {"start": state.weights.as_vector(np.float64)}
        state.records.no_improvement_count = 0
    objective = Objective(network, loss, data, state, options)
    iterations = Iterations(state, options, monitor, listeners, state.solver_state["start"])

    def evaluate(x: Array) -> tuple[float, Array]:
        iterations.begin()  # an iteration begins with its first evaluation
        # For several outputs it is not the gradient of the loss that is reported. The line search gives
        # scikit-learn's results only with the same pair.
        value = objective(x)
        return value.reported, value.gradient

    def accept(intermediate_result: OptimizeResult) -> None:
        iterations.accept(intermediate_result.x, intermediate_result.fun)

    outcome = Outcome("stopped")
    try:
        with on_threads(1, beside_core=True):
            result = minimize(
                evaluate,
                iterations.accepted.x,
                method="L-BFGS-B",
                jac=True,
                callback=accept,
                options={"maxfun": options.max_fun, "maxiter": options.max_iter, "gtol": options.tol},
            )
        if result.status == 0:
            outcome = Outcome("converged")
        else:
            outcome = Outcome("failed", str(result.message), int(result.status))
    except KeyboardInterrupt:
        iterations.interrupt()
        result = iterations.accepted
    except StopIteration:  # SciPy handles it in a callback, but not in an objective
        result = iterations.accepted
        if not result.nit:
            result.fun = objective(result.x).reported
    return iterations.end(network, data.X, result, outcome)
