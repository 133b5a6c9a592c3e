"""The attributes of an estimator that hold the state of training."""

from __future__ import annotations

from typing import Any

from gdfast.training.state import Records, TrainingState
from gdfast.training.weights import NAMES

# The attributes of training's records.
RECORDS = {
    "n_iter": "n_iter_",
    "t": "t_",
    "loss": "loss_",
    "best_loss": "best_loss_",
    "loss_curve": "loss_curve_",
    "learning_rate_curve": "learning_rate_curve_",
    "learning_rate_range": "learning_rate_range_",
    "gradient_records": "gradient_records_",
    "validation_scores": "validation_scores_",
    "validation_loss_curve": "validation_loss_curve_",
    "best_validation_score": "best_validation_score_",
    "no_improvement_count": "_no_improvement_count",
    "alpha": "alpha_",
    "beta": "beta_",
    "n_effective_parameters": "n_effective_parameters_",
}


def records_of(est: Any) -> Records:
    """The records of training so far, from an estimator's attributes."""
    return Records(**{name: vars(est)[shown] for name, shown in RECORDS.items() if shown in vars(est)})


def publish(est: Any, state: TrainingState, *, as_views: bool = False) -> None:
    """Set the attributes for weights and records. The lists are new, so that a user may edit them.

    With ``as_views`` the arrays are views, so that changes of their shape or flags do not affect the state's.
    """
    attributes = vars(est)
    for name in NAMES:
        if name in state.weights.lists:
            arrays = state.weights.lists[name]
            attributes[name] = [array.view() for array in arrays] if as_views else list(arrays)
        else:
            attributes.pop(name, None)
    for name, shown in RECORDS.items():
        if name in vars(state.records):
            attributes[shown] = vars(state.records)[name]
        else:
            attributes.pop(shown, None)


def forget(est: Any) -> None:
    """Delete weights, records, state, and the recurrent states that belong to the weights."""
    for name in (*NAMES, *RECORDS.values(), "_training", "state_"):
        vars(est).pop(name, None)
