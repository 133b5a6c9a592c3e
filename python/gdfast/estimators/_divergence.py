"""How a fit ends whose numbers are no longer finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gdfast.estimators._holdout import Holdout
from gdfast.estimators._warnings import warn

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP

_NON_FINITE_WEIGHTS = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed."
)


def end(est: BaseMLP, holdout: Holdout | None) -> None:
    """End a fit whose weights are not finite: a ConvergenceWarning where there are others to keep.

    Raises
    ------
    ValueError
        Without a validation set, and where the weights that it has kept are not finite, either.
    """
    if holdout is None or not holdout.best_is_finite():
        raise ValueError(_NON_FINITE_WEIGHTS)
    any_scored = est.best_validation_score_ > -np.inf
    kept = "scored best on the validation set" if any_scored else "training began with, as none had a score"
    warn(
        f"Training diverged and stopped after {est.n_iter_} iteration(s). {_NON_FINITE_WEIGHTS} The weights "
        f"are those that {kept}.",
        ConvergenceWarning,
    )


def warn_unless_finite(est: BaseMLP) -> None:
    """Warn where training stops for want of improvement, but what should improve is not finite."""
    what, value = "training loss", est.loss_
    if est.early_stopping:
        what, value = "validation score", est.validation_scores_[-1]
    if not np.isfinite(value):
        warn(
            f"Training stopped after {est.n_iter_} iteration(s): the {what} is {value}. The input data may "
            "contain large values and need to be preprocessed.",
            ConvergenceWarning,
        )
