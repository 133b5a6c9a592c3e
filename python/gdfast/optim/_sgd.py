"""Gradient descent, with or without momentum."""

from __future__ import annotations

from typing import Any

from gdfast.optim._bare import bare, given
from gdfast.optim._base import FloatArray, Optimizer
from gdfast.optim._parameters import Flag, NotNegative, Number


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, dampening and Nesterov momentum.

    With ``g = grad + weight_decay * param`` ::

        velocity = momentum * velocity + (1 - dampening) * g       # first step: velocity = g
        param    = param - lr * velocity                           # nesterov: lr * (g + momentum * velocity)

    and ``param = param - lr * g`` without momentum.

    Parameters
    ----------
    lr : float, default=1e-3
        Learning rate, not negative.
    momentum : float, default=0.0
        Momentum factor; not negative.
    dampening : float, default=0.0
        Dampening of the gradient in the velocity.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    nesterov : bool, default=False
        Whether to use Nesterov momentum; requires momentum and no dampening.
    dampen_first : bool, default=False
        Whether the first gradient is also dampened, unlike in PyTorch. With ``dampening=momentum`` the
        velocity is then an exponential moving average, as in many textbooks.
    lr_in_velocity : bool, default=False
        Whether the velocity includes the learning rate, ``velocity = momentum * velocity - lr * g``, as in
        scikit-learn. The two forms differ once ``lr`` changes.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods" (1964). Sutskever, Martens,
    Dahl and Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013,
    equations 1 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import SGD
    >>> params, optimizer = np.zeros(2), SGD(lr=0.1, momentum=0.5)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 3., -1.])
    """

    _rule_name = "sgd"

    def __init__(
        self,
        lr: NotNegative = 1e-3,
        *,
        momentum: NotNegative = 0.0,
        dampening: Number = 0.0,
        weight_decay: NotNegative = 0.0,
        nesterov: Flag = False,
        dampen_first: Flag = False,
        lr_in_velocity: Flag = False,
    ) -> None:
        self._begin(locals())

    @classmethod
    def _check(cls, params: dict[str, Any]) -> None:
        super()._check(params)
        if params["nesterov"] and not params["momentum"]:
            raise ValueError("nesterov=True needs momentum: it looks ahead along the velocity")
        if params["nesterov"] and params["dampening"]:
            raise ValueError(
                "nesterov=True needs dampening=0: the look-ahead is defined for the full gradient"
            )


@bare(SGD)
def sgd_update(
    param: FloatArray,
    grad: FloatArray,
    velocity: FloatArray | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    lr_in_velocity: bool = False,
) -> None:
    """One step of gradient descent, written into ``param`` and ``velocity``.

    With ``g = grad + weight_decay * param``, PyTorch's form is ::

        velocity = momentum * velocity + (1 - dampening) * g
        param    = param - lr * velocity                    # nesterov: lr * (g + momentum * velocity)

    and scikit-learn's form, with ``lr_in_velocity=True``, which differs once ``lr`` changes, is ::

        velocity = momentum * velocity - lr * (1 - dampening) * g
        param    = param + velocity                         # nesterov: momentum * velocity - lr * g

    Parameters
    ----------
    velocity : array, the shape and dtype of param, default=None
        Changed in place; initially zeros. Required if momentum is not 0.
    lr : float
        Learning rate, not negative.
    dampening : float, default=0.0
        Dampening of the gradient in the velocity, also in the first step. (PyTorch does not dampen the first
        gradient: call the first step without dampening for that.) With ``dampening=momentum`` the velocity is
        an exponential moving average.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import sgd_update
    >>> param, velocity = np.array([1.0, 2.0]), np.zeros(2)
    >>> sgd_update(param, np.array([0.5, -1.0]), velocity, lr=0.5, momentum=0.5)
    >>> param, velocity
    (array([0.75, 2.5 ]), array([ 0.5, -1. ]))
    """
    if velocity is None and momentum != 0:
        raise ValueError(f"momentum={momentum} needs a velocity: pass np.zeros_like(param) at first")
    rule = SGD(
        lr,
        momentum=momentum,
        dampening=dampening,
        weight_decay=weight_decay,
        nesterov=nesterov and momentum != 0,
        dampen_first=True,
        lr_in_velocity=lr_in_velocity,
    )
    rule.update(param, grad, given(velocity=velocity), 1)
