"""The warnings and errors at the end of a fit, as in scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gdfast.estimators._solvers import is_stochastic
from gdfast.estimators._warnings import PoorFitWarning, warn, warn_of_interruption
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
    diagnosis: Callable[[], str],
    shortcoming: Callable[[], str],
) -> None:
    """Issue the warnings for an outcome; ValueError if there are no finite weights to keep.

    KeyboardInterrupt if a call of ``partial_fit`` was interrupted.

    ``by_score`` is whether training stops by the validation score, ``incremental`` whether it is a call of
    ``partial_fit``. ``diagnosis`` tells where numbers stopped being finite, and the likely causes; it is
    called only if they did. ``shortcoming`` tells what else is wrong with a fit; it is called if training has
    stopped by itself or at ``max_iter``, and nothing worse is known.
    """
    n_iter = state.records.n_iter
    match outcome.reason:
        case "interrupted":
            if incremental:
                raise KeyboardInterrupt  # for the loop of these calls, which is the caller's, to end as well
            warn_of_interruption("Training interrupted by user.")
            return
        case "out_of_time":
            warn(
                f"Training stopped after {n_iter} iteration(s): max_time={max_time} seconds have passed "
                "and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        case "diverged":
            _warn_of_divergence(state, diagnosis())
            return
        case "failed":
            _warn_of_failure(outcome, n_iter, max_iter)
        case "max_iter" if solver != "annealing":
            name = "Stochastic Optimizer" if is_stochastic(solver) else solver
            text = (
                f"{name}: Maximum iterations ({max_iter}) reached and the optimization hasn't converged yet."
            )
            warn(text + _if_memory_allows(shortcoming), ConvergenceWarning)
    is_flat = outcome.reason == "flat" and not incremental
    bad = _not_finite(outcome, state, solver=solver, by_score=is_flat and by_score, is_flat=is_flat)
    if bad is not None:
        warn(
            f"Training stopped after {n_iter} iteration(s): {bad}. The input data may contain large values "
            f"and need to be preprocessed.{diagnosis()}",
            ConvergenceWarning,
        )
    elif (is_flat or outcome.reason == "converged") and (text := _if_memory_allows(shortcoming)):
        warn(text, PoorFitWarning)


def _if_memory_allows(text: Callable[[], str]) -> str:
    # The fit is done: memory that a message lacks does not undo it.
    try:
        return text()
    except MemoryError:
        return ""


def _warn_of_divergence(state: TrainingState, diagnosis: str) -> None:
    """ValueError, or a ConvergenceWarning if earlier weights are kept."""
    best = state.best_weights
    if best is None or not best.is_finite():
        raise ValueError(_NON_FINITE_WEIGHTS + diagnosis)
    any_scored = state.records.best_validation_score > -np.inf
    kept = "scored best on the validation set" if any_scored else "training began with, as none had a score"
    warn(
        f"Training diverged and stopped after {state.records.n_iter} iteration(s). {_NON_FINITE_WEIGHTS} The "
        f"weights are those that {kept}.{diagnosis}",
        ConvergenceWarning,
    )


def _not_finite(
    outcome: Outcome, state: TrainingState, *, solver: Any, by_score: bool, is_flat: bool
) -> str | None:
    """What is not finite although the weights are, so that training has learned nothing from it."""
    loss = getattr(state.records, "loss", 0.0)
    if solver == "annealing" and state.records.n_iter > 0 and not np.isfinite(loss):
        return "annealing has found no weights with a finite loss"
    if by_score:
        score = state.records.validation_scores[-1]
        return None if np.isfinite(score) else f"the validation score is {score}"
    if not np.isfinite(loss) and (is_flat or outcome.not_finite is not None):
        return f"the training loss is {loss}"
    if outcome.not_finite is not None:
        return f"{outcome.not_finite.what} are not finite"
    return None


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
