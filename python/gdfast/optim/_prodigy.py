"""Prodigy: Adam with an estimate of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from gdfast.optim._parameters import (
    Betas,
    Flag,
    GrowthRate,
    NotNegative,
    Positive,
    ShareOrNone,
)
from gdfast.optim._whole import Array, Layout, Slots, WholeRule, average


class Prodigy(WholeRule):
    """Prodigy: Adam whose learning rate is estimated from the distance to the first weights.

    With the first weights ``x0``, ``d = d0`` before the first step, and ``rate = d * lr`` (times Adam's bias
    correction with ``use_bias_correction``)

    ::

        r = beta_3 * r + d / d0 * rate * sum(g * (x0 - param))     over all arrays
        s = beta_3 * s + d / d0 * rate * g
        m = beta_1 * m + (1 - beta_1) * d * g
        v = beta_2 * v + (1 - beta_2) * (d * g)**2
        d = the largest of d and d_coef * r / sum(|s|)
        param = (1 - rate * weight_decay) * param - rate * m / (sqrt(v) + d * eps)

    so that ``d`` grows to an estimate of the distance to the solution, and the step with it. ``lr`` only
    scales it: leave it at 1, and choose a schedule, such as "cosine".

    Parameters
    ----------
    lr : float, default=1.0
        Factor of the estimated learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    beta3 : float or None, default=None
        Decay rate of ``r`` and ``s``, in [0, 1); None is ``sqrt(betas[1])``.
    eps : float, default=1e-8
        Added for numerical stability; not negative.
    weight_decay : float, default=0.0
        Weight decay coefficient; not negative. In an estimator it acts on weights, not on biases.
    decouple : bool, default=True
        Whether weight decay is decoupled as in `AdamW`, or added to the gradient.
    use_bias_correction : bool, default=False
        Whether to correct the bias of the moments as `Adam` does.
    safeguard_warmup : bool, default=False
        Whether ``s`` sums by ``d`` instead of ``rate``, for a learning rate that warms up.
    d0 : float, default=1e-6
        First estimate; positive.
    d_coef : float, default=1.0
        Factor of the estimate; positive.
    growth_rate : float or None, default=None
        Largest factor by which ``d`` grows in a step, at least 1; None is any.

    Attributes
    ----------
    d : float
        The estimate.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Mishchenko and Defazio, "Prodigy: an expeditiously adaptive parameter-free learner", 2023, algorithm 4.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import Prodigy
    >>> params, optimizer = np.zeros(2), Prodigy()
    >>> for _ in range(300):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(2)
    array([ 3., -1.])
    """

    _rule_name = "prodigy"

    def __init__(
        self,
        lr: NotNegative = 1.0,
        *,
        betas: Betas = (0.9, 0.999),
        beta3: ShareOrNone = None,
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0.0,
        decouple: Flag = True,
        use_bias_correction: Flag = False,
        safeguard_warmup: Flag = False,
        d0: Positive = 1e-6,
        d_coef: Positive = 1.0,
        growth_rate: GrowthRate = None,
    ) -> None:
        self._begin(locals())

    @property
    def d(self) -> float:
        slots = self._core.slots_now
        return float(slots["numbers"][0][0]) if slots else float(self.get_params()["d0"])

    @classmethod
    def _slot_names(cls, p: SimpleNamespace) -> tuple[str, ...]:
        return ("x0", "s", "m", "v", "numbers")

    @classmethod
    def _begin_slots(cls, p: SimpleNamespace, params: Sequence[Array]) -> Slots:
        zeros = {name: [np.zeros_like(param) for param in params] for name in ("s", "m", "v")}
        # d, its largest estimate, r, and the number of steps with a gradient.
        numbers = np.array([p.d0, p.d0, 0.0, 0.0])
        return {"x0": [param.copy() for param in params], **zeros, "numbers": [numbers]}

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
        d, d_max, numerator, steps = map(float, slots["numbers"][0])
        beta_1, beta_2 = p.betas
        beta_3 = math.sqrt(beta_2) if p.beta3 is None else p.beta3
        rate = d * p.lr
        if p.use_bias_correction:
            rate *= math.sqrt(1 - beta_2 ** (steps + 1)) / (1 - beta_1 ** (steps + 1))
        moved = [i for i, factor in enumerate(layout.rates) if layout.trained[i] and factor > 0]
        new = {name: list(arrays) for name, arrays in slots.items()}
        numerator *= beta_3
        denominator = 0.0
        for i in moved:
            grad = grads[i]
            if p.weight_decay and layout.decays[i] and not p.decouple:
                grad = grad + p.weight_decay * params[i]
            away = slots["x0"][i] - params[i]
            away *= grad
            numerator += d / p.d0 * rate * float(away.sum(dtype=np.float64))
            scaled = d * grad
            new["m"][i] = average(slots["m"][i], scaled, beta_1)
            new["v"][i] = average(slots["v"][i], scaled * scaled, beta_2)
            s = new["s"][i] = beta_3 * slots["s"][i]
            s += (d / p.d0 * (d if p.safeguard_warmup else rate)) * grad
            denominator += float(np.abs(s).sum(dtype=np.float64))
        if denominator == 0:  # there has been no gradient
            return list(params), {**slots}
        if p.lr > 0:
            estimate = p.d_coef * numerator / denominator
            before = d
            if d == p.d0:
                d = max(d, estimate)
            d_max = max(d_max, estimate)
            d = d_max if p.growth_rate is None else min(d_max, d * p.growth_rate)
            d = d if d == d else before  # a NaN is the gradient's, and shows in the parameters
        moves = list(params)
        for i in moved:
            root = np.sqrt(new["v"][i])
            root += d * p.eps
            np.divide(new["m"][i], root, out=root)
            root *= -rate * layout.rates[i]
            decays = p.decouple and layout.decays[i]
            root += (1 - rate * layout.rates[i] * p.weight_decay * decays) * params[i]
            moves[i] = root
        new["numbers"] = [np.array([d, d_max, numerator, steps + 1])]
        return moves, new
