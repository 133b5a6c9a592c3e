"""Gradient descent, with momentum or without."""

from __future__ import annotations

from gdfast.optim._base import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, dampening and Nesterov's look-ahead.

    With ``g = grad + weight_decay * param`` ::

        velocity = momentum * velocity + (1 - dampening) * g       # the first: velocity = g
        param    = param - lr * velocity                           # nesterov: lr * (g + momentum * velocity)

    and ``param = param - lr * g`` without momentum.

    Parameters
    ----------
    lr : float, default=1e-3
        Learning rate, not negative.
    momentum : float, default=0.0
        What stays of the velocity from step to step; not negative.
    dampening : float, default=0.0
        What the velocity leaves out of each gradient.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    nesterov : bool, default=False
        Look ahead along the new velocity. Not with dampening.
    dampen_first : bool, default=False
        Dampen the first gradient too, which PyTorch does not. With ``dampening=momentum`` the velocity is
        then an exponential average, as many texts have it.
    lr_in_velocity : bool, default=False
        Keep the learning rate inside the velocity, ``velocity = momentum * velocity - lr * g``, as
        scikit-learn does. The two part as soon as ``lr`` changes.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or out of its range.

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
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        dampen_first: bool = False,
        lr_in_velocity: bool = False,
    ) -> None:
        self._begin(locals())
