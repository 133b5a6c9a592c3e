"""Rules with adaptive learning rates: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from typing import Any

from gdfast.optim._bare import bare, given
from gdfast.optim._base import FloatArray, Optimizer
from gdfast.optim._parameters import EpsMode, Flag, NotNegative, Share


class Adagrad(Optimizer):
    """Adagrad: gradients divided by the square root of the sum of all squared gradients.

    With ``g = grad + weight_decay * param`` ::

        sum   = sum + g**2
        param = param - lr / (1 + (step - 1) * lr_decay) * g / (sqrt(sum) + eps)

    Parameters
    ----------
    lr : float, default=1e-2
        Learning rate, not negative.
    lr_decay : float, default=0.0
        Decay of the learning rate with the number of steps; not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    initial_accumulator_value : float, default=0.0
        Initial value of the sum; not negative.
    eps : float, default=1e-10
        Added for numerical stability; not negative. 0 acts as the smallest positive normal number.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011), figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import Adagrad
    >>> params, optimizer = np.zeros(2), Adagrad(lr=1.0)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 3., -1.])
    """

    _rule_name = "adagrad"

    def __init__(
        self,
        lr: NotNegative = 1e-2,
        *,
        lr_decay: NotNegative = 0.0,
        weight_decay: NotNegative = 0.0,
        initial_accumulator_value: NotNegative = 0.0,
        eps: NotNegative = 1e-10,
    ) -> None:
        self._begin(locals())


@bare(Adagrad)
def adagrad_update(
    param: FloatArray,
    grad: FloatArray,
    sum: FloatArray,
    step: int,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    eps: float = 1e-10,
) -> None:
    """One step of Adagrad, written into ``param`` and ``sum``.

    Parameters
    ----------
    sum : array, the shape and dtype of param
        Sum of the squared gradients, changed in place; initially zeros or a small number.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adagrad_update
    >>> param, sum = np.array([1.0, 2.0]), np.zeros(2)
    >>> adagrad_update(param, np.array([3.0, -4.0]), sum, 1, lr=0.5)
    >>> param.round(6), sum
    (array([0.5, 2.5]), array([ 9., 16.]))
    """
    rule = Adagrad(lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
    rule.update(param, grad, {"sum": sum}, step)


class RMSprop(Optimizer):
    """RMSprop: gradients divided by the square root of a moving average of their squares.

    With ``g = grad + weight_decay * param`` ::

        v        = alpha * v + (1 - alpha) * g**2
        mean     = alpha * mean + (1 - alpha) * g            # centered only; else mean = 0
        move     = g / (sqrt(v - mean**2) + eps)             # "inside": g / sqrt(v - mean**2 + eps)
        velocity = momentum * velocity + move
        param    = param - lr * velocity

    Parameters
    ----------
    lr : float, default=1e-2
        Learning rate, not negative.
    alpha : float, default=0.99
        Decay rate of the moving averages, in [0, 1).
    eps : float, default=1e-8
        Added for numerical stability; not negative. 0 acts as the smallest positive normal number.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    momentum : float, default=0.0
        Momentum factor; not negative.
    centered : bool, default=False
        Whether to divide by the standard deviation: the square of the mean is subtracted from ``v``.
    eps_mode : {"outside", "inside"}, default="outside"
        Whether ``eps`` is added outside the square root (PyTorch) or inside (TensorFlow). RMSprop has no bias
        correction, so that Adam's variant "uncorrected" does not exist.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera (2012). Graves, "Generating sequences with
    recurrent neural networks", arXiv:1308.0850 (2013), equations 38 to 41 (centered, with momentum).

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import RMSprop
    >>> params, optimizer = np.zeros(2), RMSprop(lr=0.1, alpha=0.9)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 3., -1.])
    """

    _rule_name = "rmsprop"

    def __init__(
        self,
        lr: NotNegative = 1e-2,
        *,
        alpha: Share = 0.99,
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0.0,
        momentum: NotNegative = 0.0,
        centered: Flag = False,
        eps_mode: EpsMode = "outside",
    ) -> None:
        self._begin(locals())

    @classmethod
    def _check(cls, params: dict[str, Any]) -> None:
        super()._check(params)
        if params["eps_mode"] == "uncorrected":
            raise ValueError(
                "eps_mode must be one of 'inside', 'outside' for RMSprop, which corrects nothing"
            )


@bare(RMSprop)
def rmsprop_update(
    param: FloatArray,
    grad: FloatArray,
    v: FloatArray,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    velocity: FloatArray | None = None,
    mean: FloatArray | None = None,
    eps_mode: str = "outside",
) -> None:
    """One step of RMSprop, written into ``param``, ``v``, and ``velocity`` and ``mean`` where given.

    Parameters
    ----------
    v : array, the shape and dtype of param
        Moving average of the squared gradient, changed in place; initially zeros.
    velocity : array, the shape and dtype of param, default=None
        Changed in place; initially zeros. Required if momentum is not 0, else not allowed.
    mean : array, the shape and dtype of param, default=None
        Moving average of the gradient, changed in place; initially zeros. If given, RMSprop is centered.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import rmsprop_update
    >>> param, v = np.array([1.0, 2.0]), np.zeros(2)
    >>> rmsprop_update(param, np.array([3.0, -4.0]), v, lr=0.5, alpha=0.75)
    >>> param.round(6), v
    (array([0., 3.]), array([2.25, 4.  ]))
    """
    if (velocity is None) != (momentum == 0):
        raise ValueError(f"momentum={momentum} and velocity go together: pass np.zeros_like(param) at first")
    rule = RMSprop(
        lr,
        alpha=alpha,
        eps=eps,
        weight_decay=weight_decay,
        momentum=momentum,
        centered=mean is not None,
        eps_mode=eps_mode,
    )
    rule.update(param, grad, {"v": v, **given(mean=mean, velocity=velocity)}, 1)


class Adadelta(Optimizer):
    """Adadelta: gradients scaled by the ratio of the root mean squares of steps and gradients.

    With ``g = grad + weight_decay * param`` ::

        v     = rho * v + (1 - rho) * g**2
        move  = sqrt(delta + eps) / sqrt(v + eps) * g
        delta = rho * delta + (1 - rho) * move**2
        param = param - lr * move

    Parameters
    ----------
    lr : float, default=1.0
        Learning rate, not negative.
    rho : float, default=0.9
        Decay rate of the moving averages, in [0, 1).
    eps : float, default=1e-6
        Added under both square roots; it determines the first steps. Not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012), algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import Adadelta
    >>> params, optimizer = np.zeros(2), Adadelta(eps=1e-3)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 3., -1.])
    """

    _rule_name = "adadelta"

    def __init__(
        self,
        lr: NotNegative = 1.0,
        *,
        rho: Share = 0.9,
        eps: NotNegative = 1e-6,
        weight_decay: NotNegative = 0.0,
    ) -> None:
        self._begin(locals())


@bare(Adadelta)
def adadelta_update(
    param: FloatArray,
    grad: FloatArray,
    v: FloatArray,
    delta: FloatArray,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """One step of Adadelta, written into ``param``, ``v`` and ``delta``.

    Parameters
    ----------
    v, delta : array, the shape and dtype of param
        Moving averages of the squared gradient and of the squared step, changed in place; initially zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adadelta_update
    >>> param, v, delta = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adadelta_update(param, np.array([3.0]), v, delta, eps=0.1)
    >>> param.round(6), v.round(6)
    (array([0.051317]), array([0.9]))
    """
    rule = Adadelta(lr, rho=rho, eps=eps, weight_decay=weight_decay)
    rule.update(param, grad, {"v": v, "delta": delta}, 1)
