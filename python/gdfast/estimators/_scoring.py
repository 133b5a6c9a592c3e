"""Conversion of ``scoring`` to a function of the outputs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring, get_scorer

from gdfast.estimators._warnings import warn
from gdfast.training.arrays import Array

Score = Callable[[Array], float]


def check_scorer(scoring: Any) -> None:
    """ValueError if ``scoring`` is not the name of a scorer."""
    if not isinstance(scoring, str) or scoring == "loss":
        return
    try:
        get_scorer(scoring)
    except ValueError:
        raise ValueError(
            f"scoring must be the name of one of scikit-learn's scorers (sklearn.metrics.get_scorer_names() "
            f"lists them), 'loss', a callable or None; got {scoring!r}."
        ) from None


def scorer_of(est: Any, X: Any, y: Any, weight: Array | None, *, warns: bool = True) -> Score:
    """The function that scores the estimator by ``scoring`` on these samples; NaN if outputs are not finite.

    It warns if ``scoring`` does not take sample weights; ``warns=False`` leaves the warning out.
    """
    scorer = check_scoring(est, est.scoring)
    weights = {} if weight is None else {"sample_weight": weight}
    if weights and not _takes_weights(scorer):
        if warns:
            warn(f"scoring={est.scoring!r} takes no sample_weight: it is used without.")
        weights = {}

    def score(outputs: Array) -> float:
        # scikit-learn's metrics raise if a prediction is not finite.
        if not np.isfinite(outputs).all():
            return np.nan
        with np.errstate(over="ignore", invalid="ignore"):
            return float(scorer(_with_outputs(est, X, outputs), X, y, **weights))

    return score


def check_scores(est: Any, score: Callable[[], Any]) -> None:
    """ValueError that names ``scoring`` if it cannot score the initial weights."""
    if est.scoring is None or est.scoring == "loss":
        return
    try:
        score()
    except Exception as error:
        raise ValueError(f"scoring={est.scoring!r} cannot score this model: {error}") from error


def _takes_weights(scorer: Any) -> bool:
    function = getattr(scorer, "_score_func", scorer)  # the metric, for scikit-learn's scorers
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin
        return False
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


def _with_outputs(est: Any, X: Any, outputs: Array) -> Any:
    """A copy whose outputs for X are known, so that they are not computed again.

    It has no feature names, so that plain arrays raise no warning about them.
    """
    copied = copy.copy(est)
    copied.__dict__.pop("feature_names_in_", None)
    copied.__dict__["_outputs"] = lambda other: outputs if other is X else type(est)._outputs(copied, other)
    return copied
