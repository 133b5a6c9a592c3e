"""Training by stochastic gradient descent: epochs, and when to stop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gdfast._core import Trainer
from gdfast.estimators import _divergence
from gdfast.estimators._descent import depth_of_epoch
from gdfast.estimators._holdout import Holdout
from gdfast.estimators._order import RowOrder
from gdfast.estimators._progress import Progress
from gdfast.estimators._validation import Samples
from gdfast.estimators._warnings import warn

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP

_AUTO_BATCH_SIZE = 200


def fit_stochastic(
    est: BaseMLP,
    samples: Samples,
    order: RowOrder,
    holdout: Holdout | None,
    progress: Progress,
    *,
    single_epoch: bool,
) -> None:
    """Train ``est`` in place."""
    optimizer = est._optimizer
    batch_size = _batch_size(est, len(order))

    def trainer() -> Trainer:
        est._take_edited_weights(samples.dtype)
        return optimizer.trainer(
            est.coefs_,
            est.intercepts_,
            est._norms(),
            batch_size=batch_size,
            n_samples=len(order),
            **est._core_network(),
            **est._core_descent(),
        )

    steps = math.ceil(len(order) / batch_size) * est._steps_per_batch(samples.X)
    current = trainer()
    watched = progress.is_watched
    finite = True
    est.n_iter_ = 0
    try:
        for epoch in range(est.max_iter):
            rates = optimizer.epoch_begins(est.max_iter - epoch, steps, est.t_)
            learning_rate = float(np.mean(rates))
            if watched:
                if progress.epoch_begins(epoch, {"learning_rate": learning_rate}):
                    break
                current = trainer()  # somebody may have edited or replaced the weights
            rows = order.of_next_epoch(est.shuffle)
            steps_before = current.step
            try:
                loss, finite = current.run_epoch(
                    samples.X,
                    samples.y,
                    rows,
                    samples.weight,
                    learning_rate=rates,
                    backprop_depth=depth_of_epoch(est.backprop_depth, optimizer.epoch, len(est.coefs_)),
                )
            finally:
                if current.step > steps_before:
                    progress.attempt.keep()
            if not single_epoch and current.step == steps_before:
                raise ValueError("sample_weight leaves no batch to train on: in each the weights cancel out.")
            if not finite and holdout is None:
                break
            est.n_iter_ += 1
            est.loss_ = loss
            est.t_ += len(order)
            est.loss_curve_.append(loss)
            est.learning_rate_curve_.append(learning_rate)
            if est.record_gradients:
                _record(est, current)
            if est.verbose:
                print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")

            improved = False
            if holdout is not None:
                improved = holdout.evaluate(est, diverged=not finite)
            if not est.early_stopping:
                # Written so that a NaN is no improvement.
                improved = loss <= est.best_loss_ - est.tol
                if loss < est.best_loss_:
                    est.best_loss_ = loss
            est._no_improvement_count = 0 if improved else est._no_improvement_count + 1
            monitored = loss if holdout is None else holdout.logs["val_loss"]
            stops = optimizer.epoch_ends(est.t_, monitored)
            if est._no_improvement_count > est.n_iter_no_change:
                is_flat = optimizer.stops_on_plateau(_plateau_message(est), est.verbose)
                if not is_flat:
                    est._no_improvement_count = 0
                elif finite and not single_epoch:
                    _divergence.warn_unless_finite(est)
                stops |= is_flat
            if watched:
                logs = {"loss": loss, "learning_rate": learning_rate, **(holdout.logs if holdout else {})}
                stops |= progress.epoch_ends(epoch, logs)
            if stops or single_epoch or not finite:
                break
            if progress.is_out_of_time():
                progress.warn_out_of_time()
                break
        else:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and the optimization "
                "hasn't converged yet.",
                ConvergenceWarning,
            )
    except KeyboardInterrupt:
        if not progress.attempt.is_kept:  # nothing has been trained
            raise
        warn("Training interrupted by user.")
        if not optimizer.is_finite():
            del est._optimizer
    if not finite:
        del est._optimizer  # its moments are lost, so that going on has to begin with new ones
        _divergence.end(est, holdout)


def _record(est: BaseMLP, trainer: Trainer) -> None:
    """Add the last epoch's record of every layer."""
    if not hasattr(est, "gradient_records_"):
        est.gradient_records_ = {}
    for name, values in (trainer.records or {}).items():
        est.gradient_records_.setdefault(name, []).append(values)  # type: ignore[arg-type]


def _batch_size(est: BaseMLP, n_samples: int) -> int:
    if est.batch_size == "auto":
        return _AUTO_BATCH_SIZE
    if est.batch_size > n_samples:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(int(est.batch_size), n_samples)


def _plateau_message(est: BaseMLP) -> str:
    what = "Validation score" if est.early_stopping else "Training loss"
    return f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."
