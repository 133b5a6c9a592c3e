"""Muon: momentum whose matrices are made nearly orthogonal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from gdfast.optim._parameters import (
    AdjustLr,
    Betas,
    Coefficients,
    FewSteps,
    Flag,
    Flags,
    NotNegative,
    Share,
)
from gdfast.optim._whole import Array, Layout, Slots, WholeRule, adamw, average


class Muon(WholeRule):
    """Muon for hidden weight matrices, AdamW for all other arrays.

    For a matrix with the gradient ``g``

    ::

        m     = momentum * m + (1 - momentum) * g
        u     = momentum * m + (1 - momentum) * g   (with nesterov=False: m)
        u     = newton_schulz(u)
        param = (1 - lr * weight_decay) * param - lr * factor * u

    ``newton_schulz`` divides by the Frobenius norm (at least ``eps``), then takes ``ns_steps`` times
    ``u = a u + (b u u' + c (u u')**2) u`` with ``(a, b, c) = ns_coefficients``: the singular values come near
    1, the singular vectors stay. ``factor`` is ``sqrt(max(1, rows / columns))`` by default, and
    ``0.2 * sqrt(max(rows, columns))`` with ``adjust_lr_fn="match_rms_adamw"``, where Muon and AdamW have
    updates of the same size.

    Muon is for the matrices of hidden layers; its author recommends AdamW for biases and other vectors, for
    embeddings and for the output layer. In an estimator all ``coefs_`` but the output layer's are hidden
    matrices, the recurrent ones too, and a matrix has ``outputs / inputs`` for ``rows / columns``, as
    PyTorch stores it. ``step`` in a loop of one's own takes every array with two dimensions as a hidden
    matrix, as ``torch.optim.Muon`` does, unless ``hidden`` says otherwise.

    Arithmetic is that of the arrays' dtype, where PyTorch orthogonalises in bfloat16. Products of matrices
    are NumPy's: their bits depend on its BLAS and that library's number of threads.

    Parameters
    ----------
    lr : float, default=1e-3
        Learning rate, not negative.
    weight_decay : float, default=0.1
        Decoupled weight decay coefficient; not negative. In an estimator it acts on weights, not on biases.
    momentum : float, default=0.95
        Decay rate of the moving average of the gradient, in [0, 1).
    nesterov : bool, default=True
        Whether to look ahead by one more average with the gradient.
    ns_coefficients : (float, float, float), default=(3.4445, -4.775, 2.0315)
        Coefficients of the polynomial.
    eps : float, default=1e-7
        Least norm to divide by; not negative.
    ns_steps : int, default=5
        Number of Newton-Schulz steps, from 1 to 99.
    adjust_lr_fn : {"original", "match_rms_adamw"} or None, default=None
        The ``factor``, see above; None is "original".
    adamw_lr_factor : float, default=1.0
        Learning rate of AdamW relative to ``lr``, so that a schedule acts on both; not negative.
    adamw_betas : (float, float), default=(0.9, 0.95)
        Decay rates of AdamW's moments, each in [0, 1).
    adamw_eps : float, default=1e-10
        AdamW's ``eps``; not negative.
    hidden : sequence of bool or None, default=None
        Whether each array is a hidden matrix, for a loop of one's own. None: those with two dimensions.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/. Liu et al., "Muon is scalable for LLM training", 2025
    (``match_rms_adamw``).

    Examples
    --------
    The update of a matrix is nearly orthogonal, whatever its gradient.

    >>> import numpy as np
    >>> from gdfast.optim import Muon
    >>> params = [np.zeros((3, 3)), np.zeros(3)]
    >>> optimizer = Muon(lr=1.0, weight_decay=0.0, ns_steps=20, ns_coefficients=(1.5, -0.5, 0.0))
    >>> optimizer.step(params, [np.diag([3.0, 1.0, -2.0]), np.ones(3)])
    >>> params[0].round(6) + 0.0
    array([[-1.,  0.,  0.],
           [ 0., -1.,  0.],
           [ 0.,  0.,  1.]])
    """

    _rule_name = "muon"

    def __init__(
        self,
        lr: NotNegative = 1e-3,
        weight_decay: NotNegative = 0.1,
        momentum: Share = 0.95,
        nesterov: Flag = True,
        *,
        ns_coefficients: Coefficients = (3.4445, -4.775, 2.0315),
        eps: NotNegative = 1e-7,
        ns_steps: FewSteps = 5,
        adjust_lr_fn: AdjustLr = None,
        adamw_lr_factor: NotNegative = 1.0,
        adamw_betas: Betas = (0.9, 0.95),
        adamw_eps: NotNegative = 1e-10,
        hidden: Flags = None,
    ) -> None:
        self._begin(locals())

    @classmethod
    def _slot_names(cls, p: SimpleNamespace) -> tuple[str, ...]:
        return ("m", "v")

    @classmethod
    def _begin_slots(cls, p: SimpleNamespace, params: Sequence[Array]) -> Slots:
        return {name: [np.zeros_like(param) for param in params] for name in ("m", "v")}

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
        hidden = _hidden(p, params, layout)
        new, slots = list(params), {name: list(arrays) for name, arrays in slots.items()}
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if not layout.trained[i]:
                continue
            lr, decay = p.lr * layout.rates[i], p.weight_decay * layout.decays[i]
            if not hidden[i]:
                new[i], slots["m"][i], slots["v"][i] = adamw(
                    param, grad, slots["m"][i], slots["v"][i], step,
                    lr=lr * p.adamw_lr_factor, betas=p.adamw_betas, eps=p.adamw_eps, decay=decay,
                )  # fmt: skip
                continue
            m = slots["m"][i] = average(slots["m"][i], grad, p.momentum)
            update = average(m, grad, p.momentum) if p.nesterov else m
            update = newton_schulz(update, p.ns_coefficients, p.ns_steps, p.eps)
            shape = param.shape[::-1] if layout.inputs_first else param.shape
            new[i] = (1 - lr * decay) * param
            new[i] -= lr * _factor(p.adjust_lr_fn, *shape) * update
        return new, slots


def _hidden(p: SimpleNamespace, params: Sequence[Array], layout: Layout) -> Sequence[bool]:
    given = p.hidden
    if given is None:
        return layout.hidden
    if len(given) != len(params):
        raise ValueError(
            f"hidden must hold a flag for each of the {len(params)} arrays of params, got {len(given)}"
        )
    for i, (flag, param) in enumerate(zip(given, params, strict=True)):
        if flag and param.ndim != 2:
            raise ValueError(f"hidden[{i}] must be False: params[{i}] has the shape {param.shape}, no matrix")
    return list(given)


def newton_schulz(matrix: Array, coefficients: Any, steps: int, eps: float) -> Array:
    """The matrix with its singular values brought near 1."""
    a, b, c = coefficients
    if matrix.size == 0:
        return matrix
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / max(float(np.linalg.norm(wide)), eps, float(np.finfo(wide.dtype).tiny))
    for _ in range(steps):
        gram = x @ x.T
        gram_update = gram @ gram
        gram_update *= c
        gram *= b
        gram_update += gram
        update = gram_update @ x
        x *= a
        update += x
        x = update
    return x.T if wide is not matrix else x


def _factor(adjust_lr_fn: str | None, rows: int, columns: int) -> float:
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns)) if columns else 1.0
