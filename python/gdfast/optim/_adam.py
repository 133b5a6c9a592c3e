"""Adam and its kin: a moving average of the gradient, divided by its usual size."""

from __future__ import annotations

from gdfast.optim._base import Optimizer


class Adam(Optimizer):
    """Adam, and AMSGrad.

    With ``g = grad + weight_decay * param``, ``m = beta_1 * m + (1 - beta_1) * g``,
    ``v = beta_2 * v + (1 - beta_2) * g**2``, ``m_hat = m / (1 - beta_1**step)`` and
    ``v_hat = v / (1 - beta_2**step)``, ``param`` loses

    - "outside": ``lr * m_hat / (sqrt(v_hat) + eps)``, the paper's algorithm 1 and PyTorch's;
    - "uncorrected": ``lr * sqrt(1 - beta_2**step) / (1 - beta_1**step) * m / (sqrt(v) + eps)``, the paper's
      quicker form (end of its section 2) and scikit-learn's;
    - "inside": ``lr * m_hat / sqrt(v_hat + eps)``.

    Parameters
    ----------
    lr : float, default=1e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative. 0 acts as the least positive normal number.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    amsgrad : bool, default=False
        Divide by the largest ``v`` so far.
    eps_mode : {"outside", "uncorrected", "inside"}, default="outside"
        Where ``eps`` goes: see above.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or out of its range.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015. Reddi, Kale and Kumar, "On the
    convergence of Adam and beyond", ICLR 2018 (AMSGrad, algorithm 2).

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import Adam
    >>> params, optimizer = np.zeros(2), Adam(lr=0.5)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 2.986, -1.004])
    """

    _rule_name = "adam"

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        eps_mode: str = "outside",
    ) -> None:
        self._begin(locals())


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    ``param = (1 - lr * weight_decay) * param``, and then `Adam` on the gradient alone: the decay is the
    same for all parameters, however large their gradients.

    Parameters
    ----------
    lr : float, default=1e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative. 0 acts as the least positive normal number.
    weight_decay : float, default=1e-2
        Share of the parameter, times ``lr``, that is taken off; not negative.
    amsgrad : bool, default=False
        Divide by the largest ``v`` so far.
    eps_mode : {"outside", "uncorrected", "inside"}, default="outside"
        Where ``eps`` goes: see `Adam`.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or out of its range.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import AdamW
    >>> params, optimizer = np.zeros(2), AdamW(lr=0.5)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 2.975, -1.002])
    """

    _rule_name = "adamw"

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        eps_mode: str = "outside",
    ) -> None:
        self._begin(locals())


class NAdam(Optimizer):
    """Adam with Nesterov's look-ahead.

    With Adam's ``m``, ``v`` and ``v_hat``, and ``mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2)``,
    ``param`` loses ::

        lr / (sqrt(v_hat) + eps) * (  mu(step + 1) * m / (1 - mu(1) * ... * mu(step + 1))
                                    + (1 - mu(step)) * g / (1 - mu(1) * ... * mu(step)))

    Parameters
    ----------
    lr : float, default=2e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative. 0 acts as the least positive normal number.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    momentum_decay : float, default=4e-3
        How fast the momentum rises to beta_1; not negative.
    decoupled_weight_decay : bool, default=False
        Take ``lr * weight_decay * param`` off the parameter instead, as `AdamW` does.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or out of its range.

    References
    ----------
    Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop, algorithm 8.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import NAdam
    >>> params, optimizer = np.zeros(2), NAdam(lr=0.5)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 3., -1.])
    """

    _rule_name = "nadam"

    def __init__(
        self,
        lr: float = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        self._begin(locals())


class Adamax(Optimizer):
    """Adam by the largest gradient instead of the mean square.

    With ``g = grad + weight_decay * param`` ::

        m     = beta_1 * m + (1 - beta_1) * g
        u     = maximum(beta_2 * u, abs(g) + eps)
        param = param - lr / (1 - beta_1**step) * m / u

    Parameters
    ----------
    lr : float, default=2e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the average and of the largest, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative. 0 acts as the least positive normal number.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or out of its range.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import Adamax
    >>> params, optimizer = np.zeros(2), Adamax(lr=0.5)
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 2.994, -0.997])
    """

    _rule_name = "adamax"

    def __init__(
        self,
        lr: float = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(locals())
