"""The warnings and errors at the end of a fit, as in scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gdfast.estimators._warnings import warn
from gdfast.training.outcome import Outcome
from gdfast.training.state import TrainingState

_NON_FINITE_WEIGHTS = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed."
)


def warn_of(
    outcome: Outcome,
    state: TrainingState,
    *,
    solver: Any,
    max_iter: int,
    max_time: float | None,
    by_score: bool,
    incremental: bool,
) -> None:
    """Issue the warnings for an outcome; ValueError if there are no finite weights to keep.

    ``by_score`` is whether training stops by the validation score, ``incremental`` whether it is a call of
    ``partial_fit``.
    """
    n_iter = state.records.n_iter
    match outcome.reason:
        case "interrupted":
            warn("Training interrupted by user.")
        case "out_of_time":
            warn(
                f"Training stopped after {n_iter} iteration(s): max_time={max_time} seconds have passed "
                "and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        case "diverged":
            _warn_of_divergence(state)
        case "failed":
            _warn_of_failure(outcome, n_iter, max_iter)
        case "flat" if not incremental:
            _warn_unless_finite(state, by_score=by_score)
        case "max_iter" if solver != "annealing":
            warn(
                f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization "
                "hasn't converged yet.",
                ConvergenceWarning,
            )
    is_over = outcome.reason not in ("interrupted", "diverged") and n_iter > 0
    if solver == "annealing" and is_over and not np.isfinite(state.records.loss):
        warn(
            "Annealing has found no weights with a finite loss: the input data may contain large values and "
            "need to be preprocessed.",
            ConvergenceWarning,
        )


def _warn_of_divergence(state: TrainingState) -> None:
    """ValueError, or a ConvergenceWarning if earlier weights are kept."""
    best = state.best_weights
    if best is None or not best.is_finite():
        raise ValueError(_NON_FINITE_WEIGHTS)
    any_scored = state.records.best_validation_score > -np.inf
    kept = "scored best on the validation set" if any_scored else "training began with, as none had a score"
    warn(
        f"Training diverged and stopped after {state.records.n_iter} iteration(s). {_NON_FINITE_WEIGHTS} The "
        f"weights are those that {kept}.",
        ConvergenceWarning,
    )


def _warn_unless_finite(state: TrainingState, *, by_score: bool) -> None:
    """Warn if training stops for lack of improvement because the monitored value is not finite."""
    what, value = "training loss", state.records.loss
    if by_score:
        what, value = "validation score", state.records.validation_scores[-1]
    if not np.isfinite(value):
        warn(
            f"Training stopped after {state.records.n_iter} iteration(s): the {what} is {value}. The input "
            "data may contain large values and need to be preprocessed.",
            ConvergenceWarning,
        )


def _warn_of_failure(outcome: Outcome, n_iter: int, max_iter: int) -> None:
    message = (
        f"lbfgs failed to converge after {n_iter} iteration(s) (status={outcome.status}):\n"
        f"{outcome.message}\n"
    )
    if n_iter == max_iter:
        message += f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
    message += (
        "\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )
    warn(message, ConvergenceWarning)
