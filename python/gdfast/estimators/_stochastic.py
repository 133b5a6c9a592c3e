"""Training by stochastic gradient descent: epochs, when to stop, and which weights to keep."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from gdfast import _core
from gdfast.estimators._validation import Array

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP

NON_FINITE_WEIGHTS = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed."
)
_AUTO_BATCH_SIZE = 200


def fit_stochastic(
    est: BaseMLP,
    X: Any,
    y: Array,
    sample_weight: Array | None,
    random_state: np.random.RandomState,
    *,
    single_epoch: bool,
) -> None:
    """Train ``est`` in place; X and y as the core takes them."""
    train_rows: Array | None = None
    validation: _Validation | None = None
    if est.early_stopping:
        train_rows, validation_rows = _split(est, y, random_state)
        validation = _Validation(est, X, y, sample_weight, validation_rows)
    n_samples = len(y) if train_rows is None else len(train_rows)

    order = train_rows
    if est.shuffle and order is None:
        order = np.arange(n_samples, dtype=np.int64)
    shuffled = order if est.shuffle else None
    optimizer = est._optimizer
    run_epoch = optimizer.trainer(
        est.coefs_,
        est.intercepts_,
        batch_size=_batch_size(est, n_samples),
        n_samples=n_samples,
        **est._core_network(),
    ).run_epoch

    diverged = False
    est.n_iter_ = 0
    try:
        for _ in range(est.max_iter):
            if shuffled is not None:
                # Shuffling the last order in place draws and gives what shuffling a fresh one and then
                # indexing with it would.
                random_state.shuffle(shuffled)
            loss, finite = run_epoch(X, y, order, sample_weight, learning_rate=optimizer.learning_rate)
            if not finite:
                diverged = True
                break
            est.n_iter_ += 1
            est.loss_ = loss
            est.t_ += n_samples
            est.loss_curve_.append(loss)
            if est.verbose:
                print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")

            if validation is None:
                _count_loss(est, loss)
            else:
                validation.count_score(est)
            optimizer.epoch_ends(est.t_)
            if est._no_improvement_count > est.n_iter_no_change:
                if optimizer.stops_on_plateau(_plateau_message(est), est.verbose):
                    break
                est._no_improvement_count = 0
            if single_epoch:
                break
        else:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and the optimization "
                "hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=5)

    if validation is not None:
        validation.restore_best(est)
    if diverged:
        del est._optimizer  # its moments are lost, so that going on has to begin with new ones
        raise ValueError(NON_FINITE_WEIGHTS)


def _batch_size(est: BaseMLP, n_samples: int) -> int:
    if est.batch_size == "auto":
        return _AUTO_BATCH_SIZE
    if est.batch_size > n_samples:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=6
        )
    return min(int(est.batch_size), n_samples)


def _split(est: BaseMLP, y: Array, random_state: np.random.RandomState) -> tuple[Array, Array]:
    """Row numbers to train on and to validate with, drawn as scikit-learn draws them."""
    train, validation = train_test_split(
        np.arange(len(y), dtype=np.int64),
        random_state=random_state,
        test_size=est.validation_fraction,
        stratify=y.ravel() if est._stratifies() else None,
    )
    if len(validation) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
        )
    return train, validation


def _count_loss(est: BaseMLP, loss: float) -> None:
    # Written so that a NaN is no improvement.
    improved = loss <= est.best_loss_ - est.tol
    est._no_improvement_count = 0 if improved else est._no_improvement_count + 1
    if loss < est.best_loss_:
        est.best_loss_ = loss


def _plateau_message(est: BaseMLP) -> str:
    what = "Validation score" if est.early_stopping else "Training loss"
    return f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."


class _Validation:
    """The rows set aside, the score on them, and the weights that scored best."""

    def __init__(self, est: BaseMLP, X: Any, y: Array, sample_weight: Array | None, rows: Array) -> None:
        weights = None if sample_weight is None else sample_weight[rows]
        if weights is not None and not weights.sum():
            raise ValueError(
                "sample_weight sums to zero over the validation set. Increase 'validation_fraction', or "
                "train without early_stopping."
            )
        self._X = X
        self._rows = rows
        self._outputs = np.empty((len(rows), est.n_outputs_), est.coefs_[0].dtype)
        self._score: Callable[[Array], float] = est._scorer(y[rows], weights)
        self._network = est._core_outputs()
        self._best = [array.copy() for array in (*est.coefs_, *est.intercepts_)]

    def count_score(self, est: BaseMLP) -> None:
        """Score this epoch's weights; keep them if they are the best so far."""
        _core.forward(
            self._X, est.coefs_, est.intercepts_, rows=self._rows, out=self._outputs, **self._network
        )
        score = self._score(self._outputs)
        est.validation_scores_.append(score)
        if est.verbose:
            print(f"Validation score: {score:f}")
        # Written so that a NaN is no improvement.
        improved = score >= est.best_validation_score_ + est.tol
        est._no_improvement_count = 0 if improved else est._no_improvement_count + 1
        if score > est.best_validation_score_:
            est.best_validation_score_ = score
            self._copy((*est.coefs_, *est.intercepts_), self._best)

    def restore_best(self, est: BaseMLP) -> None:
        self._copy(self._best, (*est.coefs_, *est.intercepts_))

    @staticmethod
    def _copy(sources: Any, targets: Any) -> None:
        for source, target in zip(sources, targets, strict=True):
            np.copyto(target, source)
