"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from gdfast.optim._parameters import Betas, Count, NotNegative, ShareOrNone
from gdfast.optim._whole import Array, Layout, Slots, WholeRule, adamw, average


class SOAP(WholeRule):
    """SOAP for matrices: Adam in the eigenbasis of Shampoo's preconditioner; AdamW for all other arrays.

    For a matrix with the gradient ``g``

    ::

        h = Q_L' g Q_R
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * h**2
        param = (1 - lr * weight_decay) * param - lr * Q_L (Q_L' m_hat Q_R / (sqrt(v_hat) + eps)) Q_R'
        L = shampoo_beta * L + (1 - shampoo_beta) * g g'
        R = shampoo_beta * R + (1 - shampoo_beta) * g' g

    with the moments' biases corrected as in `Adam`. The orthogonal bases ``Q_L`` and ``Q_R`` follow the
    eigenvectors of ``L`` and ``R``: every ``precondition_frequency`` steps their columns are sorted by the
    eigenvalues that they stand for, and take one step of the power method, with a QR decomposition. The first
    step only computes the first bases and moves no matrix. A side longer than ``max_precond_dim`` has no
    basis of its own.

    Parameters
    ----------
    lr : float, default=3e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.95, 0.95)
        Decay rates of the moments, each in [0, 1).
    shampoo_beta : float or None, default=None
        Decay rate of ``L`` and ``R``, in [0, 1); None is ``betas[1]``.
    eps : float, default=1e-8
        Added for numerical stability; not negative.
    weight_decay : float, default=0.01
        Decoupled weight decay coefficient; not negative. In an estimator it acts on weights, not on biases.
    precondition_frequency : int, default=10
        Number of steps from one update of the bases to the next.
    max_precond_dim : int, default=10000
        Longest side of a matrix that has a basis.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR 2025, algorithm 3.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import SOAP
    >>> target = np.array([[3.0, -1.0], [2.0, 0.0]])
    >>> params, optimizer = np.zeros((2, 2)), SOAP(lr=0.1, weight_decay=0.0)
    >>> for _ in range(300):
    ...     optimizer.step(params, 2 * (params - target))
    >>> bool(np.abs(params - target).max() < 0.1)
    True
    """

    _rule_name = "soap"

    def __init__(
        self,
        lr: NotNegative = 3e-3,
        *,
        betas: Betas = (0.95, 0.95),
        shampoo_beta: ShareOrNone = None,
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0.01,
        precondition_frequency: Count = 10,
        max_precond_dim: Count = 10_000,
    ) -> None:
        self._begin(locals())

    @classmethod
    def _slot_names(cls, p: SimpleNamespace) -> tuple[str, ...]:
        return ("m", "v", "L", "R", "Q_L", "Q_R")

    @classmethod
    def _begin_slots(cls, p: SimpleNamespace, params: Sequence[Array]) -> Slots:
        slots = {name: [np.zeros_like(param) for param in params] for name in ("m", "v")}
        for side, name in enumerate("LR"):
            sizes = [
                n if param.ndim == 2 and (n := param.shape[side]) <= p.max_precond_dim else 0
                for param in params
            ]
            for slot in (name, f"Q_{name}"):
                slots[slot] = [np.zeros((n, n), w.dtype) for n, w in zip(sizes, params, strict=True)]
        return slots

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
        moved, new = list(params), {name: list(arrays) for name, arrays in slots.items()}
        shampoo_beta = p.betas[1] if p.shampoo_beta is None else p.shampoo_beta
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if not layout.trained[i]:
                continue
            lr, decay = p.lr * layout.rates[i], p.weight_decay * layout.decays[i]
            if param.ndim != 2 or param.size == 0:
                moved[i], new["m"][i], new["v"][i] = adamw(
                    param, grad, slots["m"][i], slots["v"][i], step,
                    lr=lr, betas=p.betas, eps=p.eps, decay=decay,
                )  # fmt: skip
                continue
            left, right = slots["Q_L"][i], slots["Q_R"][i]
            # A matrix that was not trained before has no basis yet.
            begun = bool(left.any() or right.any()) or (not left.size and not right.size and step > 1)
            if begun:
                m = new["m"][i] = average(slots["m"][i], grad, p.betas[0])
                rotated = _rotated(grad, left, right)
                v = new["v"][i] = average(slots["v"][i], rotated * rotated, p.betas[1])
                root = np.sqrt(v / (1 - p.betas[1] ** (step - 1)))
                root += p.eps
                update = _rotated(_rotated(m, left, right) / root, left.T, right.T)
                moved[i] = (1 - lr * decay) * param
                moved[i] -= (lr / (1 - p.betas[0] ** (step - 1))) * update
            for name, rows in (("L", grad), ("R", grad.T)):
                if slots[name][i].size:
                    mean = average(slots[name][i], rows @ rows.T, shampoo_beta)
                    if np.isfinite(mean).all():  # what overflows has no eigenvectors
                        new[name][i] = mean
            if not begun:
                new["Q_L"][i], new["Q_R"][i] = _basis(new["L"][i]), _basis(new["R"][i])
            elif (step - 1) % p.precondition_frequency == 0:
                new["Q_L"][i], order = _followed(left, new["L"][i])
                v = new["v"][i][order] if left.size else new["v"][i]
                new["Q_R"][i], order = _followed(right, new["R"][i])
                new["v"][i] = np.ascontiguousarray(v[:, order]) if right.size else v
        return moved, new


def _rotated(matrix: Array, left: Array, right: Array) -> Array:
    """The matrix in the bases of its sides, of which one without elements stays."""
    rotated = left.T @ matrix if left.size else matrix
    return rotated @ right if right.size else rotated


def _basis(square: Array) -> Array:
    """The eigenvectors, of the largest eigenvalue first."""
    if not square.size:
        return square
    return np.ascontiguousarray(np.linalg.eigh(square)[1][:, ::-1])


def _followed(basis: Array, square: Array) -> tuple[Array, Array]:
    """The basis after a step of the power method, and the order of the old columns in it."""
    if not basis.size:
        return basis, np.arange(len(basis))
    image = square @ basis
    order = np.argsort(-np.sum(basis * image, axis=0), kind="stable")
    return np.ascontiguousarray(np.linalg.qr(image[:, order])[0]), order
