"""The attributes under which an estimator shows where training is."""

from __future__ import annotations

from typing import Any

from gdfast.training.state import Records, TrainingState
from gdfast.training.weights import NAMES

# Of what training records.
RECORDS = {
    "n_iter": "n_iter_",
    "t": "t_",
    "loss": "loss_",
    "best_loss": "best_loss_",
    "loss_curve": "loss_curve_",
    "learning_rate_curve": "learning_rate_curve_",
    "gradient_records": "gradient_records_",
    "validation_scores": "validation_scores_",
    "validation_loss_curve": "validation_loss_curve_",
    "best_validation_score": "best_validation_score_",
    "no_improvement_count": "_no_improvement_count",
}


def records_of(est: Any) -> Records:
    """What an estimator's attributes say of its training so far."""
    return Records(**{name: vars(est)[shown] for name, shown in RECORDS.items() if shown in vars(est)})


def publish(est: Any, state: TrainingState, *, as_views: bool = False) -> None:
    """Show weights and records. The lists of weights are the estimator's own, for a user to edit.

    ``as_views`` shows views: what is done to the shape or the flags of an array is not done to the state's.
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
    """Begin anew: no weights, no records, no state."""
    for name in (*NAMES, *RECORDS.values(), "_training"):
        vars(est).pop(name, None)
