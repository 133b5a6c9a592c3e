"""Schedule-Free: an average of the weights in the place of a schedule of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from gdfast.optim._base import FloatArray
from gdfast.optim._parameters import BaseRule, Betas, NotNegative, Number, WholeNumber
from gdfast.optim._whole import Array, Layout, Slots, WholeRule, average, checked_lists


class ScheduleFree(WholeRule):
    """Schedule-Free AdamW and SGD: no schedule, and no end of training to know in advance.

    The rule has three sequences, which begin at the same weights: ``z`` takes the steps, ``x`` is the average
    of ``z``, and gradients are taken at ``y`` between them. A step with the gradient ``g`` at ``y`` is

    ::

        v = beta_2 * v + (1 - beta_2) * g**2
        d = g / (sqrt(v / (1 - beta_2**step)) + eps)      (with base="sgd": d = g)
        z = z - lr * (d + weight_decay * y)
        x = (1 - c) * x + c * z
        y = (1 - beta_1) * z + beta_1 * x

    where ``c`` is the step's share ``w / (sum of all w so far)``, with
    ``w = step**r * (largest lr so far)**weight_lr_power``, and the first ``warmup_steps`` steps multiply
    ``lr`` by ``step / warmup_steps``.

    The weights to use are ``x``. In estimators, validation sets, callbacks, predictions and ``coefs_`` have
    ``x``; gradients are those of ``y`` (as are the running moments of batch normalisation). In a loop of
    one's own, parameters are ``y``: call ``eval`` with them to evaluate or keep ``x``, and ``train`` to go
    on.

    Parameters
    ----------
    lr : float, default=2.5e-3
        Learning rate, not negative. The authors recommend 1 to 10 times that of a schedule for AdamW, and 10
        to 50 times for SGD.
    betas : (float, float), default=(0.9, 0.999)
        The share of ``x`` in ``y``, and the decay rate of ``v``; each in [0, 1).
    eps : float, default=1e-8
        Added for numerical stability; not negative.
    weight_decay : float, default=0.0
        Weight decay coefficient, decoupled from ``v``; not negative. In an estimator it acts on weights, not
        on biases.
    warmup_steps : int, default=0
        Number of steps over which the learning rate rises.
    r : float, default=0.0
        Exponent of the step in the weight of the average.
    weight_lr_power : float, default=2.0
        Exponent of the learning rate in the weight of the average; not negative.
    base : {"adamw", "sgd"}, default="adamw"
        The rule of the steps.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Defazio et al., "The road less scheduled", NeurIPS 2024, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import ScheduleFree
    >>> params, optimizer = np.zeros(2), ScheduleFree(lr=0.5)
    >>> for _ in range(200):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> optimizer.eval(params)
    >>> params.round(2)
    array([ 3., -1.])
    """

    _rule_name = "schedulefree"
    _has_modes = True

    def __init__(
        self,
        lr: NotNegative = 2.5e-3,
        *,
        betas: Betas = (0.9, 0.999),
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0.0,
        warmup_steps: WholeNumber = 0,
        r: Number = 0.0,
        weight_lr_power: NotNegative = 2.0,
        base: BaseRule = "adamw",
    ) -> None:
        self._begin(locals())

    def eval(self, params: FloatArray | Sequence[FloatArray]) -> None:
        """Replace the points of the gradients by the average, in place.

        Parameters
        ----------
        params : array or list of arrays
            The parameters as the last step has left them. Before the first step, or if they are the average
            already, nothing is changed.

        Raises
        ------
        TypeError, ValueError
            If they are not arrays like those of the steps.
        """
        slots = self._bound(params)
        if slots is None or slots["numbers"][0][_IS_AVERAGE]:
            return
        for param, x in zip(_as_list(params), slots["x"], strict=True):
            param[...] = x
        slots["numbers"][0][_IS_AVERAGE] = 1

    def train(self, params: FloatArray | Sequence[FloatArray]) -> None:
        """Replace the average by the points of the next gradients, in place.

        Parameters
        ----------
        params : array or list of arrays
            The average, as `eval` has left it; one that has been changed since is taken as the average from
            now on.

        Raises
        ------
        TypeError, ValueError
            If they are not arrays like those of the steps.
        """
        slots = self._bound(params)
        if slots is None or not slots["numbers"][0][_IS_AVERAGE]:
            return
        arrays = _as_list(params)
        new, points = self._to_points(self._core.params, arrays, slots, self.steps)
        for param, point in zip(arrays, points, strict=True):
            param[...] = point
        self._core.slots_now = new
        new["numbers"][0][_IS_AVERAGE] = 0

    def _bound(self, params: Any) -> Slots | None:
        """The state, if there is one, after checks that the parameters are its own."""
        arrays, _ = checked_lists(params, _as_list(params), ("params", "params"), reads=False)
        self._core.check_bound(arrays)
        return self._core.slots_now or None

    @classmethod
    def _slot_names(cls, p: SimpleNamespace) -> tuple[str, ...]:
        return ("x", "z", "v", "numbers") if p.base == "adamw" else ("x", "z", "numbers")

    @classmethod
    def _begin_slots(cls, p: SimpleNamespace, params: Sequence[Array]) -> Slots:
        slots = {
            "x": [param.copy() for param in params],
            "z": [param.copy() for param in params],
            "v": [np.zeros_like(param) for param in params],
            # The sum of weights, the largest learning rate, and whether the parameters are the average.
            "numbers": [np.zeros(3)],
        }
        return {name: slots[name] for name in cls._slot_names(p)}

    @classmethod
    def _check_ready(cls, slots: Slots) -> None:
        if slots and slots["numbers"][0][_IS_AVERAGE]:
            raise ValueError(
                "params are the average since eval(params): call train(params) before the next step"
            )

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
        weight_sum, largest, mode = map(float, slots["numbers"][0])
        lr = p.lr * (step / p.warmup_steps if step < p.warmup_steps else 1.0)
        largest = max(largest, lr)
        weight = float(step**p.r * np.float64(largest) ** p.weight_lr_power)
        weight_sum += weight
        share = weight / weight_sum if weight_sum > 0 else 0.0
        beta, beta_2 = p.betas
        points, new = list(params), {name: list(arrays) for name, arrays in slots.items()}
        new["numbers"] = [np.array([weight_sum, largest, mode])]
        for i, (y, grad) in enumerate(zip(params, grads, strict=True)):
            rate = lr * layout.rates[i]
            if not layout.trained[i] or layout.rates[i] == 0:
                continue
            direction = grad
            if "v" in slots:
                v = new["v"][i] = average(slots["v"][i], grad * grad, beta_2)
                root = np.sqrt(v / (1 - beta_2**step))
                root += p.eps
                direction = np.divide(grad, root, out=root)
            if p.weight_decay and layout.decays[i]:
                direction = direction + p.weight_decay * y
            z = new["z"][i] = slots["z"][i] - rate * direction
            x = new["x"][i] = average(slots["x"][i], z, 1 - share)
            points[i] = average(x, z, beta)
        return points, new

    @classmethod
    def _to_points(
        cls, params: Mapping[str, Any], averages: Sequence[Array], slots: Slots, steps: int
    ) -> tuple[Slots, list[Array]]:
        if steps == 0:
            return slots, [array.copy() for array in averages]
        beta = params["betas"][0]
        points = [average(x, z, beta) for x, z in zip(averages, slots["z"], strict=True)]
        return {**slots, "x": [array.copy() for array in averages]}, points

    @classmethod
    def _averages(cls, slots: Slots) -> list[Array]:
        return slots["x"]


_IS_AVERAGE = 2


def _as_list(params: Any) -> Any:
    return [params] if isinstance(params, np.ndarray) else params
