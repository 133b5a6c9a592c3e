"""Monitoring of improvement: by the training loss, or by the score on a validation set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gdfast.training.arrays import Array
from gdfast.training.blocks import BlockedValidation
from gdfast.training.data import Data, Sequences
from gdfast.training.losses import Loss, mean_loss
from gdfast.training.network import Network
from gdfast.training.options import TrainingOptions
from gdfast.training.ranks import Ranks
from gdfast.training.state import Records, TrainingState


class Validation:
    """A validation set.

    Parameters
    ----------
    network : Network
    data : Data
    rows : ndarray of shape (n_rows,) or None
        The rows of ``data`` in the set, None for all.
    loss : str or tuple
        The core's name of the loss.
    n_outputs : int
    score : callable or None
        Maps outputs, of shape (n_rows, n_outputs), to a score; None scores by minus the loss.

    Attributes
    ----------
    is_weighted : bool
    """

    def __init__(
        self,
        network: Network,
        data: Data,
        rows: Array | None,
        loss: Loss,
        n_outputs: int,
        score: Callable[[Array], float] | None,
    ) -> None:
        self._network = network
        self._X, self._rows = data.X, data.at(rows)
        if rows is not None and isinstance(data.X, Sequences):  # copied once, and not in each epoch
            self._X, self._rows = data.X.take(rows), None
        self._y, self._weight = data.targets_of(rows)
        self.is_weighted = self._weight is not None
        self._loss = loss
        self._score = score
        self._outputs = np.empty((len(self._y), n_outputs), data.dtype)

    def measure(self, state: TrainingState) -> tuple[float, float]:
        """Loss and score of the state's weights."""
        self._network.forward(state.weights, self._X, self._rows, self._outputs)
        loss = mean_loss(self._loss, self._y, self._outputs, self._weight)
        return loss, -loss if self._score is None else self._score(self._outputs)


class RanksValidation:
    """The validation sets of several ranks, each of which scores its own; the interface of `Validation`.

    Loss and score are means over the ranks, by the number of their rows or, if these have weights, the sum of
    those: of the loss that is the mean over all rows.

    Parameters
    ----------
    ranks : Ranks
    own : Validation or None
        That of this rank; None if it has no rows.
    share : float
        Number of its rows, or sum of their weights.
    """

    def __init__(self, ranks: Ranks, own: Validation | None, share: float) -> None:
        self._ranks, self._own, self._share = ranks, own, share
        self.is_weighted = own is not None and own.is_weighted

    def measure(self, state: TrainingState) -> tuple[float, float]:
        """Loss and score of the state's weights."""
        own = (0.0, 0.0) if self._own is None else self._own.measure(state)
        found = self._ranks.gather("a validation", (self._share, *own))
        shares, losses, scores = np.array([one for one in found if one[0] != 0]).T
        return float(np.average(losses, weights=shares)), float(np.average(scores, weights=shares))


class Monitor:
    """Records improvement, averages the weights, and keeps the weights with the best score.

    Parameters
    ----------
    state : TrainingState
        Its weights are the initial ones: they are the best until others score better.
    options : TrainingOptions
    validation : Validation, BlockedValidation or None
    scored_by : object
        Identifies the score (``scoring``); records of another score are discarded.
    resumes : bool, default=False
        Whether the state is that of a run which goes on, with its records, average and best weights.

    Attributes
    ----------
    logs : dict of str to float
        The last loss and score on the validation set, as in ``logs`` of callbacks.
    """

    def __init__(
        self,
        state: TrainingState,
        options: TrainingOptions,
        validation: Validation | BlockedValidation | RanksValidation | None,
        scored_by: Any,
        *,
        resumes: bool = False,
    ) -> None:
        self._state = state
        self._options = options
        self.validation = validation
        self.logs: dict[str, float] = {}
        # partial_fit does not average.
        self._averages = options.ema_decay > 0 and not options.single_epoch
        if resumes:
            state.scored_by = scored_by
            return
        state.best_weights = state.average = None
        state.n_averaged = 0
        if validation is None:
            return
        state.best_weights = state.weights.copy()
        records = state.records
        has_scores = getattr(records, "validation_scores", None) is not None
        if not has_scores or not hasattr(records, "validation_loss_curve") or state.scored_by != scored_by:
            records.validation_scores, records.best_validation_score = [], -np.inf
            records.validation_loss_curve = []
        else:
            # Scores on another set cannot be compared: the best weights so far are scored on this one.
            _, score = validation.measure(state)
            records.best_validation_score = score if score > -np.inf else -np.inf
        state.scored_by = scored_by

    @property
    def _records(self) -> Records:
        return self._state.records

    def epoch_ends(self, loss: float, *, diverged: bool = False) -> None:
        """Record an epoch's training loss, and evaluate its weights.

        If it has ``diverged``, NaN is recorded, because the current weights are those of the epoch before.
        """
        records, tol = self._records, self._options.tol
        if self._averages and not diverged:
            self._add_to_average()
        improved = False
        if self.validation is not None:
            improved = self._validate(diverged)
        if not self._options.by_score and self._options.solver != "lbfgs":
            # This comparison makes a NaN no improvement.
            improved = loss <= records.best_loss - tol
            if loss < records.best_loss:
                records.best_loss = loss
        records.no_improvement_count = 0 if improved else records.no_improvement_count + 1

    @property
    def is_flat(self) -> bool:
        """Whether there has been no improvement for more than ``n_iter_no_change`` epochs."""
        return self._records.no_improvement_count > self._options.n_iter_no_change

    def record_divergence(self) -> None:
        """Record NaN for weights that are not finite."""
        if self.validation is not None:
            self._validate(diverged=True)

    def restore_best(self) -> None:
        """Set the final weights: those with the best score, else the average, else the current ones."""
        final = self._state.best_weights or self._state.average
        if final is not None:
            self._state.weights.assign(final)
        self._state.average = None

    def _add_to_average(self) -> None:
        state = self._state
        if state.average is None or not state.average.is_alike(state.weights):
            state.average, state.n_averaged = state.weights.copy(), 0
            return
        state.n_averaged += 1
        decay = min(self._options.ema_decay, (1 + state.n_averaged) / (10 + state.n_averaged))
        state.average.average_in(state.weights, decay)

    def _validate(self, diverged: bool) -> bool:
        """Evaluate the current weights, or their average if there is one; whether the score has improved."""
        state = self._state
        if state.average is None or diverged:
            return self._evaluate(diverged)
        state.weights.swap(state.average)
        try:
            return self._evaluate(diverged)
        finally:
            state.weights.swap(state.average)

    def _evaluate(self, diverged: bool) -> bool:
        records, state = self._records, self._state
        assert self.validation is not None
        loss, score = (np.nan, np.nan) if diverged else self.validation.measure(state)
        records.validation_loss_curve.append(loss)
        records.validation_scores.append(score)
        self.logs = {"val_loss": loss, "val_score": score}
        if self._options.verbose:
            print(f"Validation score: {score:f}")
        # This comparison makes neither a NaN nor an infinite error an improvement.
        improved = score > -np.inf and score >= records.best_validation_score + self._options.tol
        equals = self._options.latest_of_equal and score == records.best_validation_score
        if score > records.best_validation_score or equals:
            records.best_validation_score = score
            if state.best_weights is not None and state.best_weights.is_alike(state.weights):
                state.best_weights.assign(state.weights)
            else:
                state.best_weights = state.weights.copy()
        return bool(improved)
