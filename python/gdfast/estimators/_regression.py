"""Real numbers as targets, one or several for a sample."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.utils._param_validation import Interval

from gdfast._constraints import StrOptions
from gdfast.estimators import _validation
from gdfast.estimators._task import Task, as_columns
from gdfast.training.arrays import Array
from gdfast.training.losses import Loss


@dataclass(frozen=True)
class RegressionTask(Task):
    """Regression.

    Attributes
    ----------
    quantiles : list of float or None
        The quantiles to predict; None predicts numbers.
    """

    quantiles: Sequence[float] | None

    def check(self, y: Any) -> None:
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(
                "loss='poisson' requires y >= 0, but y has negative values. Use loss='squared_error' for "
                "them."
            )
        if self.quantiles is not None and y.ndim == 2:
            raise ValueError(
                f"loss='quantile' takes one target, but y has {y.shape[1]} columns. Fit a model for each, "
                "for instance by sklearn.multioutput.MultiOutputRegressor."
            )
        if self.quantiles is None and _width(y) != self.n_outputs:
            raise ValueError(f"y has the shape {y.shape}, which does not fit what is trained on.")

    def encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        return as_columns(y, dtype)

    def scorer(self, y: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        if self.quantiles is not None:
            quantiles = self.quantiles
            return lambda outputs: _d2_pinball(y[:, 0], outputs, quantiles, sample_weight)
        truth = y.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(truth, axis=0, weights=sample_weight)
            spread = np.average((truth - mean) ** 2, axis=0, weights=sample_weight)

        def r2(outputs: Array) -> float:
            with np.errstate(over="ignore", invalid="ignore"):
                error = np.average((truth - outputs) ** 2, axis=0, weights=sample_weight)
            if not np.isfinite(error).all():
                return np.nan
            # The score of a constant target is 1 if it is predicted exactly, else 0.
            scores = np.where(error == 0, 1.0, 0.0)
            np.divide(error, spread, out=scores, where=spread != 0)
            return float(np.where(spread != 0, 1.0 - scores, scores).mean())

        return r2


class Regression(RegressorMixin):
    """A network estimator's part for real targets."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "loss": [StrOptions({"squared_error", "poisson", "absolute_error", "huber", "quantile"})],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "quantiles": [Interval(Real, 0, 1, closed="neither"), "array-like"],
    }

    loss: str
    huber_delta: float
    quantiles: Any
    scoring: Any

    _has_numeric_targets = True

    def _check_target_arguments(self, *, incremental: bool) -> None:
        several = self.loss == "quantile" and len(quantiles_of(self.quantiles)) > 1
        if several and isinstance(self.scoring, str) and self.scoring != "loss":
            raise ValueError(
                f"scoring={self.scoring!r} takes one prediction for each target, but there are several "
                "quantiles. Leave it at None (the D2 pinball score), or give 'loss' or a callable."
            )

    def _task(self, y: Any, *, incremental: bool, classes: Any) -> RegressionTask:
        n_outputs, output = _width(y), "identity"
        loss: Loss = self.loss
        quantiles: list[float] | None = None
        match self.loss:
            case "poisson":
                output = "exp"
            case "huber":
                loss = "huber", [float(self.huber_delta)]
            case "quantile":
                quantiles = quantiles_of(self.quantiles)
                n_outputs, loss = len(quantiles), ("quantile", quantiles)
                # Several quantiles are cumulative sums, so that they cannot cross.
                output = "quantiles" if n_outputs > 1 else "identity"
        task = RegressionTask(n_outputs, output, loss, quantiles)
        task.check(y)
        return task

    @staticmethod
    def _predictions(outputs: Array) -> Array:
        """The predicted numbers for the values of the output layer."""
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _score_of(self, y: Any, predicted: Array, sample_weight: Any) -> float:
        """The score of predictions."""
        quantiles = quantiles_of(self.quantiles) if self.loss == "quantile" else None
        return score(y, predicted, sample_weight, quantiles)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags


def quantiles_of(given: Any) -> list[float]:
    """``quantiles`` as a list; ValueError or TypeError if it is not increasing within (0, 1)."""
    quantiles = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(quantile, Real) for quantile in quantiles):
        raise TypeError(f"quantiles must be a number or a sequence of numbers, got {given!r}.")
    quantiles = [float(quantile) for quantile in quantiles]
    increasing = all(lower < upper for lower, upper in pairwise([0.0, *quantiles, 1.0]))
    if not quantiles or not increasing:
        raise ValueError(f"quantiles must be strictly increasing and lie within (0, 1), got {given!r}.")
    return quantiles


def score(y: Any, predicted: Array, sample_weight: Any, quantiles: Sequence[float] | None) -> float:
    """R2, or the D2 pinball score of quantiles."""
    _validation.check_real_targets(y)
    if quantiles is not None:
        return _d2_pinball(y, predicted, quantiles, sample_weight)
    return float(r2_score(y, predicted, sample_weight=sample_weight))


def _d2_pinball(y: Array, predicted: Array, quantiles: Sequence[float], sample_weight: Any) -> float:
    """The mean over quantiles of scikit-learn's score; NaN if a prediction is not finite."""
    predicted = predicted.reshape(len(predicted), -1)
    if not np.isfinite(predicted).all():
        return np.nan
    scores = [
        d2_pinball_score(y, column, sample_weight=sample_weight, alpha=quantile)
        for quantile, column in zip(quantiles, predicted.T, strict=True)
    ]
    return float(np.mean(scores))


def _width(y: Any) -> int:
    return 1 if y.ndim == 1 else int(y.shape[1])
