"""K-FAC: natural gradient by Kronecker factors of the Fisher matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from gdfast.optim._base import FloatArray
from gdfast.optim._parameters import Count, Fisher, NotNegative, Positive, PositiveOrNone, Share
from gdfast.optim._whole import Array, Factors, Layout, Slots, WholeRule, average


class KFAC(WholeRule):
    """K-FAC for multilayer perceptrons: the natural gradient, each layer's Fisher matrix a Kronecker product.

    A layer has the weights ``W``, its biases the last row, and the gradient ``g`` of both. Of its inputs
    ``a``, a 1 behind them, and the derivatives ``d`` of each row's loss with respect to its pre-activations,
    the rule keeps moving averages of the second moments ``A = mean(a a')`` and ``G = mean(d d')``:

    ::

        A, G = decay * (A, G) + (1 - decay) * those of the batch       every factor_steps steps
        pi   = sqrt((trace(A) / len(A)) / (trace(G) / len(G)))
        A_inverse = inverse(A + pi * sqrt(damping) * I)                every inverse_steps steps
        G_inverse = inverse(G + sqrt(damping) / pi * I)
        u    = A_inverse g G_inverse
        nu   = min(1, sqrt(kl_clip / (lr**2 * sum(u * g))))            the sum over all layers
        v    = momentum * v + nu * u
        W    = (1 - lr * weight_decay) * W - lr * v

    where ``decay`` is at most ``1 - 1 / k`` at the k-th average. The inverses are LAPACK's, by SciPy.

    As ``solver=`` of the multilayer perceptrons it computes the factors itself, by
    `gdfast.kernels.mlp_kronecker_factors` on the rows of the batch (without dropout). It needs dense rows, no
    batch normalisation, and, with ``fisher="true"``, a loss that is a log-likelihood: the squared error, the
    cross-entropies or "poisson". In a loop of one's own, ``step`` takes the factors as a third argument.

    Parameters
    ----------
    lr : float, default=0.1
        Learning rate, not negative.
    momentum : float, default=0.9
        Decay rate of the sum of steps, in [0, 1).
    damping : float, default=3e-2
        Added to the Fisher matrix, as the square of what is added to its factors; positive.
    decay : float, default=0.95
        Decay rate of the factors' averages, in [0, 1).
    weight_decay : float, default=0.0
        Decoupled weight decay coefficient of the weights, not of the biases; not negative.
    fisher : {"true", "empirical"}, default="true"
        Whether ``d`` is that of targets drawn from the network's own distribution, or of the batch's targets.
    factor_steps : int, default=5
        Number of steps from one average of the factors to the next.
    inverse_steps : int, default=10
        Number of steps from one inverse to the next.
    kl_clip : float or None, default=1e-2
        Limit of ``lr**2 * sum(u * g)``, to which steps are scaled down; None is no limit.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015
    (with section 6.3's damping). The limit of the step is that of Ba, Grosse and Martens, "Distributed
    second-order optimization using Kronecker-factored approximations", ICLR 2017, section 5.

    Examples
    --------
    A step of linear regression by its Fisher matrix is one of Newton's method.

    >>> import numpy as np
    >>> from gdfast.kernels import mlp_kronecker_factors, mlp_loss_and_grad
    >>> from gdfast.optim import KFAC
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> y = 3 * X - 1
    >>> weights, biases = [np.zeros((1, 1))], [np.zeros(1)]
    >>> optimizer = KFAC(lr=1.0, momentum=0.0, damping=1e-16, kl_clip=None)
    >>> _, (coef_grads, bias_grads) = mlp_loss_and_grad(X, y, weights, biases)
    >>> [(inputs, _)] = mlp_kronecker_factors(X, y, weights, biases)
    >>> optimizer.step(weights + biases, coef_grads + bias_grads, [(inputs, np.eye(1))])
    >>> weights[0].round(3), biases[0].round(3)
    (array([[3.]]), array([-1.]))
    """

    _rule_name = "kfac"
    _needs_factors = True

    def __init__(
        self,
        lr: NotNegative = 0.1,
        *,
        momentum: Share = 0.9,
        damping: Positive = 3e-2,
        decay: Share = 0.95,
        weight_decay: NotNegative = 0.0,
        fisher: Fisher = "true",
        factor_steps: Count = 5,
        inverse_steps: Count = 10,
        kl_clip: PositiveOrNone = 1e-2,
    ) -> None:
        self._begin(locals())

    def step(  # type: ignore[override]
        self,
        params: Sequence[FloatArray],
        grads: Sequence[FloatArray],
        factors: Factors | None = None,
    ) -> None:
        """Update the parameters in place by one step.

        Parameters
        ----------
        params : list of arrays, float32 or float64
            The weights of all layers, of shape (inputs, outputs), then their biases. Changed in place.
        grads : list of arrays like params
            Read only.
        factors : list of (array, array), default=None
            For each layer the second moments of inputs and of deltas, as
            `gdfast.kernels.mlp_kronecker_factors` returns them. None leaves the averages as they are; the
            first step needs factors.

        Raises
        ------
        TypeError, ValueError
            As for the other rules, or if factors are missing or have other shapes. In that case nothing has
            been written.
        """
        self._core.step(params, grads, self.lr, None if factors is None else lambda sampled: factors)

    @classmethod
    def _slot_names(cls, p: SimpleNamespace) -> tuple[str, ...]:
        return ("velocity", "inputs", "deltas", "inputs_inverse", "deltas_inverse", "numbers")

    @classmethod
    def _begin_slots(cls, p: SimpleNamespace, params: Sequence[Array]) -> Slots:
        coefs = _checked_layers(params)
        inputs = [np.zeros((len(coef) + 1,) * 2, coef.dtype) for coef in coefs]
        deltas = [np.zeros((coef.shape[1],) * 2, coef.dtype) for coef in coefs]
        return {
            "velocity": [np.zeros_like(param) for param in params],
            "inputs": inputs,
            "deltas": deltas,
            "inputs_inverse": [array.copy() for array in inputs],
            "deltas_inverse": [array.copy() for array in deltas],
            "numbers": [np.zeros(1)],  # how many averages there have been
        }

    @classmethod
    def _advance(
        cls,
        p: SimpleNamespace,
        step: int,
        params: Sequence[Array],
        grads: Sequence[Array],
        slots: Slots,
        layout: Layout,
    ) -> tuple[list[Array], Slots]:
        n = len(params) // 2
        new = {name: list(arrays) for name, arrays in slots.items()}
        averages = int(slots["numbers"][0][0])
        if layout.factors is not None and (step - 1) % p.factor_steps == 0:
            factors = _checked_factors(layout.factors(p.fisher == "true"), slots)
            decay = min(p.decay, 1 - 1 / (averages + 1))
            for i, pair in enumerate(factors):
                for name, factor in zip(("inputs", "deltas"), pair, strict=True):
                    if np.isfinite(factor).all():  # what overflows has no inverse
                        new[name][i] = average(slots[name][i], factor, decay)
            averages += 1
            new["numbers"] = [np.array([float(averages)])]
        if averages == 0:
            raise ValueError("factors must be given in the first step")
        layers = [i for i in range(n) if layout.trained[i]]
        if (step - 1) % p.inverse_steps == 0 or averages == 1:
            for i in range(n):
                pair = _inverses(new["inputs"][i], new["deltas"][i], p.damping)
                new["inputs_inverse"][i], new["deltas_inverse"][i] = pair
        updates = list(grads)
        product = 0.0
        for i in layers:
            gradient = np.concatenate([grads[i], grads[n + i][None]])
            update = new["inputs_inverse"][i] @ gradient @ new["deltas_inverse"][i]
            product += float(np.sum(update * gradient, dtype=np.float64))
            updates[i], updates[n + i] = update[:-1], update[-1]
        scale = 1.0
        if p.kl_clip is not None and not math.isfinite(product):
            scale = 0.0
        elif p.kl_clip is not None and product > 0 and p.lr > 0:
            scale = min(1.0, math.sqrt(p.kl_clip / product) / p.lr)
        moved = list(params)
        for i in (*layers, *(n + i for i in layers)):
            velocity = new["velocity"][i] = p.momentum * slots["velocity"][i]
            velocity += scale * updates[i]
            rate = p.lr * layout.rates[i]
            decays = layout.decays[i] and i < n
            moved[i] = (1 - rate * p.weight_decay * decays) * params[i]
            moved[i] -= rate * velocity
        return moved, new


def _checked_layers(params: Sequence[Array]) -> Sequence[Array]:
    """The matrices of weights; ValueError if these are not the arrays of layers."""
    n = len(params) // 2
    coefs, biases = params[:n], params[n:]
    if (
        n == 0
        or any(coef.ndim != 2 for coef in coefs)
        or [b.shape for b in biases] != [c.shape[1:] for c in coefs]
    ):
        raise ValueError(
            "params must hold the weights of all layers, of shape (inputs, outputs), then as many biases, of "
            f"shape (outputs,); got {[param.shape for param in params]}"
        )
    return coefs


def _checked_factors(factors: Any, slots: Slots) -> Factors:
    shapes = [(a.shape, g.shape) for a, g in zip(slots["inputs"], slots["deltas"], strict=True)]
    if not isinstance(factors, list | tuple):
        raise TypeError(f"factors must be a list of pairs of arrays, got {type(factors).__name__}")
    for i, pair in enumerate(factors):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise TypeError(f"factors[{i}] must be a pair of arrays, got {type(pair).__name__}")
        for j, factor in enumerate(pair):
            if not isinstance(factor, np.ndarray) or factor.dtype.kind != "f":
                kind = getattr(factor, "dtype", type(factor).__name__)
                raise TypeError(f"factors[{i}][{j}] must be an array of real numbers, got {kind}")
    found = [tuple(factor.shape for factor in pair) for pair in factors]
    if found != shapes:
        raise ValueError(f"factors must have the shapes {shapes}, got {found}")
    return factors


def _inverses(inputs: Array, deltas: Array, damping: float) -> tuple[Array, Array]:
    """The inverses of both factors, with the damping shared among them."""
    means = [float(np.trace(factor)) / len(factor) for factor in (inputs, deltas)]
    ratio = math.sqrt(means[0] / means[1]) if means[0] > 0 and means[1] > 0 else 1.0
    ratio = ratio if 0 < ratio < math.inf else 1.0
    root = math.sqrt(damping)
    return _inverse(inputs, ratio * root), _inverse(deltas, root / ratio)


def _inverse(factor: Array, damping: float) -> Array:
    """The inverse of a factor with a damped diagonal, by Cholesky's decomposition; NaN if there is none."""
    from scipy.linalg import get_lapack_funcs

    damped = factor.copy()
    damped.flat[:: len(factor) + 1] += damping
    for tried in (damped, damped.astype(np.float64)):  # a small damping may be lost in float32
        potrf, potri = get_lapack_funcs(("potrf", "potri"), (tried,))
        root, failed = potrf(tried, lower=True)
        if failed == 0:
            inverse, failed = potri(root, lower=True)
        if failed == 0:
            lower = np.tril(inverse, -1)
            whole = lower + lower.T
            whole.flat[:: len(factor) + 1] = np.diagonal(inverse)
            return np.ascontiguousarray(whole, dtype=factor.dtype)
    return np.full_like(factor, np.nan)
