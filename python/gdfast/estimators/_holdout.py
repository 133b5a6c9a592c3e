"""The validation set: the loss and the score on it, and the weights that scored best."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils import _safe_indexing

from gdfast.estimators._losses import mean_loss
from gdfast.estimators._validation import NORMS, Array, Samples, check_mean_weight
from gdfast.estimators._warnings import warn

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP

_Score = Callable[["BaseMLP", Array], float]


def check_scorer(scoring: Any) -> None:
    """ValueError where ``scoring`` names no scorer."""
    if not isinstance(scoring, str) or scoring == "loss":
        return
    try:
        get_scorer(scoring)
    except ValueError:
        raise ValueError(
            f"scoring must be the name of one of scikit-learn's scorers (sklearn.metrics.get_scorer_names() "
            f"lists them), 'loss', a callable or None; got {scoring!r}."
        ) from None


class Holdout:
    """Samples that are not trained on.

    Parameters
    ----------
    est : BaseMLP
        Its weights are those to begin with: they are kept until others score better.
    samples : Samples
        As the core takes them.
    rows : ndarray of shape (n_rows,) or None
        The rows of ``samples`` that are meant, None for all.
    as_checked : tuple
        X and y of ``samples`` as scorers take them.

    Attributes
    ----------
    is_weighted : bool
    logs : dict of str to float
        The last loss and score, by the names that callbacks know.
    """

    def __init__(
        self,
        est: BaseMLP,
        samples: Samples,
        rows: Array | None,
        as_checked: tuple[Any, Any],
    ) -> None:
        self._X = samples.X
        self._rows = rows
        self._y, self._weight = samples.y, samples.weight
        if rows is not None:
            self._y = samples.y[rows]
            self._weight = None if samples.weight is None else samples.weight[rows]
        hint = "Increase 'validation_fraction', or train without early_stopping."
        check_mean_weight(self._weight, "sample_weight", " over the validation set", hint)
        self.is_weighted = self._weight is not None
        self._outputs = np.empty((len(self._y), est.n_outputs_), est.coefs_[0].dtype)
        self._loss = est._choose_output()[1]
        self._best: dict[str, list[Array]] = {}
        self._score = self._make_score(est, *as_checked)
        self._keep(est)
        self.logs: dict[str, float] = {}
        check_scores(est, lambda: self._measure(est))
        self._begin_records(est)

    def _begin_records(self, est: BaseMLP) -> None:
        # Scores of another kind cannot be compared with those to come.
        if getattr(est, "validation_scores_", None) is None or est._scored_by != est.scoring:
            est.validation_scores_, est.best_validation_score_ = [], -np.inf
            est.validation_loss_curve_ = []
        else:
            # Nor can those on another set: the weights that were best there are what has to be beaten here.
            _, score = self._measure(est)
            est.best_validation_score_ = score if score > -np.inf else -np.inf
        est._scored_by = est.scoring

    def _measure(self, est: BaseMLP) -> tuple[float, float]:
        """Loss and score of the weights at hand."""
        est._forward(self._X, self._rows, self._outputs)
        loss = mean_loss(self._loss, self._y, self._outputs, self._weight)
        return loss, self._score(est, self._outputs) if est.scoring != "loss" else -loss

    def evaluate(self, est: BaseMLP, *, diverged: bool = False) -> bool:
        """Record loss and score of the weights at hand, keep them if they are the best so far.

        Where training has ``diverged``, NaN is recorded: the weights at hand are those of the epoch before.
        Returns whether the score has improved by ``tol``.
        """
        loss, score = (np.nan, np.nan) if diverged else self._measure(est)
        est.validation_loss_curve_.append(loss)
        est.validation_scores_.append(score)
        self.logs = {"val_loss": loss, "val_score": score}
        if est.verbose:
            print(f"Validation score: {score:f}")
        # Written so that neither NaN nor an error beyond all numbers is an improvement.
        improved = score > -np.inf and score >= est.best_validation_score_ + est.tol
        if score > est.best_validation_score_:
            est.best_validation_score_ = score
            self._keep(est)
        return bool(improved)

    def best_is_finite(self) -> bool:
        """Whether the weights that scored best are finite."""
        return all(np.isfinite(array).all() for arrays in self._best.values() for array in arrays)

    def restore_best(self, est: BaseMLP) -> None:
        """Put the weights that scored best back into the estimator."""
        for name, best in self._best.items():
            weights = getattr(est, name, None)
            if _are_alike(weights, best):
                _copy(best, weights)
            else:  # a callback has put others in their place
                setattr(est, name, best)

    def _keep(self, est: BaseMLP) -> None:
        """Keep the weights at hand as the best."""
        for name in ("coefs_", "intercepts_", *NORMS):
            weights = est.__dict__.get(name)
            if weights is None:
                self._best.pop(name, None)
            elif _are_alike(weights, self._best.get(name)):
                _copy(weights, self._best[name])
            else:
                self._best[name] = [array.copy() for array in weights]

    def _make_score(self, est: BaseMLP, X: Any, y: Any) -> _Score:
        if est.scoring is None or est.scoring == "loss":
            of_outputs = est._scorer(self._y, self._weight)
            return lambda est, outputs: of_outputs(outputs)

        if self._rows is not None:
            X, y = _safe_indexing(X, self._rows), y[self._rows]
        return scorer_of(est, X, y, self._weight)


def scorer_of(est: BaseMLP, X: Any, y: Any, weight: Array | None, *, told: bool = False) -> _Score:
    """The function that scores an estimator, and its finite outputs, by ``scoring`` on this set.

    Where ``scoring`` takes no weights, it warns of that, unless the user has been ``told``.
    """
    scorer = check_scoring(est, est.scoring)
    weights = {} if weight is None else {"sample_weight": weight}
    if weights and not _takes_weights(scorer):
        if not told:
            warn(f"scoring={est.scoring!r} takes no sample_weight: it is used without.")
        weights = {}

    def score(est: BaseMLP, outputs: Array) -> float:
        # scikit-learn's metrics raise where a prediction is not finite.
        if not np.isfinite(outputs).all():
            return np.nan
        with np.errstate(over="ignore", invalid="ignore"):
            return float(scorer(nameless(est), X, y, **weights))

    return score


def check_scores(est: BaseMLP, score: Callable[[], Any]) -> None:
    """ValueError that names ``scoring`` where it cannot score the first weights."""
    if est.scoring is None or est.scoring == "loss":
        return
    try:
        score()
    except Exception as error:
        raise ValueError(f"scoring={est.scoring!r} cannot score this model: {error}") from error


def _takes_weights(scorer: Any) -> bool:
    function = getattr(scorer, "_score_func", scorer)  # of scikit-learn's own scorers, the metric's
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin
        return False
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


def nameless(est: BaseMLP) -> BaseMLP:
    """The estimator for plain arrays: with feature names it would miss them every time."""
    twin = copy.copy(est)
    twin.__dict__.pop("feature_names_in_", None)
    return twin


def _are_alike(arrays: Any, others: Any) -> bool:
    """Whether both are lists of arrays of the same shapes and dtypes."""
    if not (isinstance(arrays, list) and isinstance(others, list) and len(arrays) == len(others)):
        return False
    pairs = zip(arrays, others, strict=True)
    return all(isinstance(a, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)


def _copy(sources: Any, targets: Any) -> None:
    for source, target in zip(sources, targets, strict=True):
        np.copyto(target, source)
