"""Training by SciPy's L-BFGS-B over the core's loss and gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning

from gdfast import _core
from gdfast.estimators import _divergence
from gdfast.estimators._holdout import Holdout
from gdfast.estimators._progress import Progress
from gdfast.estimators._validation import Array, Samples
from gdfast.estimators._warnings import warn

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP


def fit_lbfgs(est: BaseMLP, samples: Samples, holdout: Holdout | None, progress: Progress) -> None:
    """Train ``est`` in place.

    Its weights change when training ends, also by Ctrl-C with the last iterate that was accepted; and at
    every iteration where somebody looks at them.
    """
    est._take_edited_weights(samples.dtype)
    objective = _Objective(est, samples)
    iterations = _Iterations(est, objective, holdout, progress)
    try:
        result = minimize(
            iterations.evaluate,
            iterations.accepted.x,
            method="L-BFGS-B",
            jac=True,
            callback=iterations.accept,
            options={"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol},
        )
    except KeyboardInterrupt:
        if not progress.attempt.is_kept:  # no iterate has been accepted
            raise
        warn("Training interrupted by user.")
        result = iterations.accepted
    except StopIteration:  # SciPy knows it from a callback, but not from an objective
        result = iterations.accepted
    else:
        if iterations.out_of_time:
            progress.warn_out_of_time()
        elif not iterations.stopped:
            _warn_unless_converged(result, est.max_iter)

    diverged = not np.isfinite(result.x).all()
    best = iterations.accepted if diverged or iterations.stopped else result
    est.n_iter_ = min(int(best.nit), est.max_iter)
    est.loss_ = float(best.fun)
    objective.put(best.x)
    if diverged:
        if holdout is not None:
            holdout.evaluate(est, diverged=True)
        _divergence.end(est, holdout)


class _Iterations:
    """SciPy's iterations as the epochs of a fit: what is validated, told and asked between two of them."""

    def __init__(
        self, est: BaseMLP, objective: _Objective, holdout: Holdout | None, progress: Progress
    ) -> None:
        self._est = est
        self._objective = objective
        self._holdout = holdout
        self._progress = progress
        self._running = False
        self.accepted = OptimizeResult(x=objective.start(), fun=np.nan, nit=0)
        self.stopped = self.out_of_time = False
        est.n_iter_ = est._no_improvement_count = 0

    def evaluate(self, x: Array) -> tuple[float, Array]:
        # An iteration begins with its first evaluation.
        if not self._running:
            self._running = True
            if self._progress.epoch_begins(self.accepted.nit, {}):
                if not self.accepted.nit:
                    self.accepted.fun, _ = self._objective(x)
                self._stop()
        return self._objective(x)

    def accept(self, intermediate_result: OptimizeResult) -> None:
        if not np.isfinite(intermediate_result.x).all():
            return
        self._running = False
        self._progress.attempt.keep()
        self.accepted.x = intermediate_result.x.copy()
        self.accepted.fun = intermediate_result.fun
        self.accepted.nit += 1
        if self._holdout is not None or self._progress.is_watched:
            self._show()
        if self._progress.is_out_of_time():
            self._est.n_iter_ = self.accepted.nit
            self.out_of_time = True
            self._stop()

    def _show(self) -> None:
        est = self._est
        self._objective.put(self.accepted.x)
        est.n_iter_, est.loss_ = self.accepted.nit, float(self.accepted.fun)
        logs = {"loss": est.loss_}
        if self._holdout is not None:
            improved = self._holdout.evaluate(est)
            logs |= self._holdout.logs
            est._no_improvement_count = 0 if improved else est._no_improvement_count + 1
        stops = est.early_stopping and est._no_improvement_count > est.n_iter_no_change
        if stops:
            _divergence.warn_unless_finite(est)
        if self._progress.epoch_ends(self.accepted.nit - 1, logs) or stops:
            self._stop()

    def _stop(self) -> None:
        self.stopped = True
        raise StopIteration


class _Objective:
    """Loss and gradient as one function of one vector: all coefs, then all intercepts."""

    def __init__(self, est: BaseMLP, samples: Samples) -> None:
        self._est = est
        # Views of our own: a callback may give an array another shape, or make it read-only.
        self._arrays = arrays = [array.view() for array in (*est.coefs_, *est.intercepts_)]
        X, y, sample_weight = samples
        n_layers = len(est.coefs_)
        self._shapes = [array.shape for array in arrays]
        self._bounds = np.cumsum([array.size for array in arrays])[:-1]
        self._weights = np.empty(sum(array.size for array in arrays), arrays[0].dtype)
        self._gradient = np.empty_like(self._weights)
        weights, gradients = self.unpack(self._weights), self.unpack(self._gradient)

        network = est._core_network()
        self._coefs = weights[:n_layers]
        self._arguments = {
            "X": X,
            "y": y,
            "coefs": self._coefs,
            "intercepts": weights[n_layers:],
            "sample_weight": sample_weight,
            "coef_grads": gradients[:n_layers],
            "intercept_grads": gradients[n_layers:],
            **network,
        }
        # For several outputs scikit-learn's squared error is their mean, its gradient their sum's: its
        # results come only from a line search over this very pair.
        self._averaged_outputs = est.n_outputs_ if network["loss"] == "squared_error" else 1
        total_weight = len(y) if sample_weight is None else float(sample_weight.sum(dtype=np.float64))
        self._half_decay = 0.5 * network["alpha"] / total_weight

    def __call__(self, x: Array) -> tuple[float, Array]:
        np.copyto(self._weights, x, casting="same_kind")
        loss = _core.loss_and_grad(**self._arguments)
        if self._averaged_outputs > 1:
            penalty = 0.0
            if self._half_decay:  # or squares beyond all numbers would count, times zero
                penalty = self._half_decay * sum(float(np.vdot(coef, coef)) for coef in self._coefs)
            loss = (loss - penalty) / self._averaged_outputs + penalty
        return loss, self._gradient.astype(np.float64)

    def start(self) -> Array:
        """The estimator's weights as one vector."""
        return np.concatenate([array.ravel() for array in self._arrays], dtype=np.float64)

    def put(self, x: Array) -> None:
        """Make x the estimator's weights, whatever a callback has put in their place."""
        n_layers = len(self._coefs)
        views = [array.view() for array in self._arrays]
        self._est.coefs_, self._est.intercepts_ = views[:n_layers], views[n_layers:]
        for array, values in zip(self._arrays, self.unpack(x), strict=True):
            np.copyto(array, values, casting="same_kind")

    def unpack(self, x: Array) -> list[Array]:
        """Views of x in the shapes of the weights."""
        parts = np.split(x, self._bounds)
        return [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]


def _warn_unless_converged(result: OptimizeResult, max_iter: int) -> None:
    if result.status == 0:
        return
    n_iter = min(result.nit, max_iter)
    message = (
        f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}):\n{result.message}\n"
    )
    if n_iter == max_iter:
        message += f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
    message += (
        "\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )
    warn(message, ConvergenceWarning)
