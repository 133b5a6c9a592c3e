"""Training by SciPy's L-BFGS-B over the core's loss and gradient."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning

from gdfast import _core
from gdfast.estimators._stochastic import NON_FINITE_WEIGHTS
from gdfast.estimators._validation import Array

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP


def fit_lbfgs(est: BaseMLP, X: Any, y: Array, sample_weight: Array | None) -> None:
    """Train ``est`` in place; X and y as the core takes them.

    Its weights change only when training ends: also by Ctrl-C, with the last iterate that was accepted.
    """
    objective = _Objective(est, X, y, sample_weight)
    start = objective.pack([*est.coefs_, *est.intercepts_])
    accepted = OptimizeResult(x=start, fun=np.nan, nit=0)

    def accept(intermediate_result: OptimizeResult) -> None:
        if np.isfinite(intermediate_result.x).all():
            accepted.x = intermediate_result.x.copy()
            accepted.fun = intermediate_result.fun
            accepted.nit += 1

    try:
        result = minimize(
            objective,
            start,
            method="L-BFGS-B",
            jac=True,
            callback=accept,
            options={"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol},
        )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=5)
        result = accepted
    else:
        _warn_unless_converged(result, est.max_iter)

    diverged = not np.isfinite(result.x).all()
    best = accepted if diverged else result
    est.n_iter_ = min(int(best.nit), est.max_iter)
    est.loss_ = float(best.fun)
    for array, values in zip((*est.coefs_, *est.intercepts_), objective.unpack(best.x), strict=True):
        np.copyto(array, values, casting="same_kind")
    if diverged:
        raise ValueError(NON_FINITE_WEIGHTS)


class _Objective:
    """Loss and gradient as one function of one vector: all coefs, then all intercepts."""

    def __init__(self, est: BaseMLP, X: Any, y: Array, sample_weight: Array | None) -> None:
        arrays = [*est.coefs_, *est.intercepts_]
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
        total_weight = len(y) if sample_weight is None else float(sample_weight.sum())
        if not total_weight:
            raise ValueError("sample_weight sums to zero, so that there is no mean loss to minimize.")
        self._half_decay = 0.5 * network["alpha"] / total_weight

    def __call__(self, x: Array) -> tuple[float, Array]:
        np.copyto(self._weights, x, casting="same_kind")
        loss = _core.loss_and_grad(**self._arguments)
        if self._averaged_outputs > 1:
            penalty = self._half_decay * sum(float(np.vdot(coef, coef)) for coef in self._coefs)
            loss = (loss - penalty) / self._averaged_outputs + penalty
        return loss, self._gradient.astype(np.float64)

    def pack(self, arrays: list[Array]) -> Array:
        return np.concatenate([array.ravel() for array in arrays], dtype=np.float64)

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
    warnings.warn(message, ConvergenceWarning, stacklevel=6)
