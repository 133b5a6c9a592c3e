"""Adam and its variants."""

from __future__ import annotations

from gdfast.optim._bare import bare, given
from gdfast.optim._base import FloatArray, Optimizer
from gdfast.optim._parameters import Betas, EpsMode, Flag, NotNegative


class Adam(Optimizer):
    """Adam and AMSGrad.

    With ``g = grad + weight_decay * param``, ``m = beta_1 * m + (1 - beta_1) * g``,
    ``v = beta_2 * v + (1 - beta_2) * g**2``, ``m_hat = m / (1 - beta_1**step)`` and
    ``v_hat = v / (1 - beta_2**step)``, a step subtracts from ``param``

    - "outside": ``lr * m_hat / (sqrt(v_hat) + eps)``, the paper's algorithm 1 and PyTorch's;
    - "uncorrected": ``lr * sqrt(1 - beta_2**step) / (1 - beta_1**step) * m / (sqrt(v) + eps)``, the paper's
      more efficient form (end of its section 2) and scikit-learn's;
    - "inside": ``lr * m_hat / sqrt(v_hat + eps)``.

    Parameters
    ----------
    lr : float, default=1e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Added for numerical stability; not negative. 0 acts as the smallest positive normal number.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    amsgrad : bool, default=False
        Whether to divide by the maximum of all ``v`` so far (AMSGrad).
    eps_mode : {"outside", "uncorrected", "inside"}, default="outside"
        Where ``eps`` is added; see above.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

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
        lr: NotNegative = 1e-3,
        *,
        betas: Betas = (0.9, 0.999),
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0.0,
        amsgrad: Flag = False,
        eps_mode: EpsMode = "outside",
    ) -> None:
        self._begin(locals())


@bare(Adam)
def adam_update(
    param: FloatArray,
    grad: FloatArray,
    m: FloatArray,
    v: FloatArray,
    step: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    eps_mode: str = "outside",
    v_max: FloatArray | None = None,
) -> None:
    """One step of Adam, written into ``param``, ``m`` and ``v``, and of AMSGrad into ``v_max`` too.

    Parameters
    ----------
    m, v : array, the shape and dtype of param
        First and second moments, changed in place; initially zeros.
    v_max : array, the shape and dtype of param, default=None
        AMSGrad's maximum of the second moments, changed in place; initially zeros. None is Adam.

    Examples
    --------
    The first step changes every parameter by the learning rate, whatever the size of its gradient.

    >>> import numpy as np
    >>> from gdfast.kernels import adam_update
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> adam_update(param, np.array([50.0, -0.25]), m, v, 1, lr=0.125)
    >>> param.round(6)
    array([0.875, 2.125])
    """
    rule = Adam(
        lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        amsgrad=v_max is not None,
        eps_mode=eps_mode,
    )
    rule.update(param, grad, {"m": m, "v": v, **given(v_max=v_max)}, step)


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    ``param = (1 - lr * weight_decay) * param``, followed by a step of `Adam` without L2 penalty: the decay
    does not depend on the size of the gradients.

    Parameters
    ----------
    lr : float, default=1e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Added for numerical stability; not negative. 0 acts as the smallest positive normal number.
    weight_decay : float, default=1e-2
        Decoupled weight decay coefficient; not negative.
    amsgrad : bool, default=False
        Whether to divide by the maximum of all ``v`` so far (AMSGrad).
    eps_mode : {"outside", "uncorrected", "inside"}, default="outside"
        Where ``eps`` is added; see `Adam`.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

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
        lr: NotNegative = 1e-3,
        *,
        betas: Betas = (0.9, 0.999),
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 1e-2,
        amsgrad: Flag = False,
        eps_mode: EpsMode = "outside",
    ) -> None:
        self._begin(locals())


@bare(AdamW)
def adamw_update(
    param: FloatArray,
    grad: FloatArray,
    m: FloatArray,
    v: FloatArray,
    step: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    eps_mode: str = "outside",
    v_max: FloatArray | None = None,
) -> None:
    """One step of Adam with decoupled weight decay, written into ``param``, ``m`` and ``v``.

    ``param = (1 - lr * weight_decay) * param``, followed by a step of `adam_update` without L2 penalty.

    Parameters
    ----------
    m, v : array, the shape and dtype of param
        First and second moments, changed in place; initially zeros.
    v_max : array, the shape and dtype of param, default=None
        AMSGrad's maximum of the second moments, changed in place; initially zeros. None is plain AdamW.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adamw_update
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> adamw_update(param, np.array([50.0, -0.25]), m, v, 1, lr=0.125, weight_decay=0.5)
    >>> param.round(6)
    array([0.8125, 2.    ])
    """
    rule = AdamW(
        lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        amsgrad=v_max is not None,
        eps_mode=eps_mode,
    )
    rule.update(param, grad, {"m": m, "v": v, **given(v_max=v_max)}, step)


class NAdam(Optimizer):
    """Adam with Nesterov momentum.

    With Adam's ``m``, ``v`` and ``v_hat``, and ``mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2)``,
    a step subtracts from ``param`` ::

        lr / (sqrt(v_hat) + eps) * (  mu(step + 1) * m / (1 - mu(1) * ... * mu(step + 1))
                                    + (1 - mu(step)) * g / (1 - mu(1) * ... * mu(step)))

    Parameters
    ----------
    lr : float, default=2e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Added for numerical stability; not negative. 0 acts as the smallest positive normal number.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    momentum_decay : float, default=4e-3
        Rate at which the momentum increases to beta_1; not negative.
    decoupled_weight_decay : bool, default=False
        Whether the weight decay is decoupled, as in `AdamW`.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

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
        lr: NotNegative = 2e-3,
        *,
        betas: Betas = (0.9, 0.999),
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0.0,
        momentum_decay: NotNegative = 4e-3,
        decoupled_weight_decay: Flag = False,
    ) -> None:
        self._begin(locals())


@bare(NAdam)
def nadam_update(
    param: FloatArray,
    grad: FloatArray,
    m: FloatArray,
    v: FloatArray,
    step: int,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> None:
    """One step of NAdam, Adam with Nesterov momentum, written into ``param``, ``m`` and ``v``.

    With ``g = grad + weight_decay * param``, the moments ``m`` and ``v`` and ``v_hat`` of `adam_update`, and
    ``mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2)``, a step subtracts from ``param`` ::

        lr / (sqrt(v_hat) + eps) * (  mu(step + 1) * m / (1 - mu(1) * ... * mu(step + 1))
                                    + (1 - mu(step)) * g / (1 - mu(1) * ... * mu(step)))

    A large ``step`` takes some microseconds more, to compute the product of the factors ``mu``.

    Parameters
    ----------
    m, v : array, the shape and dtype of param
        First and second moments, changed in place; initially zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import nadam_update
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> nadam_update(param, np.array([50.0, -0.25]), m, v, 1, lr=0.125)
    >>> param.round(4)
    array([0.8679, 2.1321])
    """
    rule = NAdam(
        lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        momentum_decay=momentum_decay,
        decoupled_weight_decay=decoupled_weight_decay,
    )
    rule.update(param, grad, {"m": m, "v": v}, step)


class Adamax(Optimizer):
    """Adamax: Adam with the infinity norm in place of the second moment.

    With ``g = grad + weight_decay * param`` ::

        m     = beta_1 * m + (1 - beta_1) * g
        u     = maximum(beta_2 * u, abs(g) + eps)
        param = param - lr / (1 - beta_1**step) * m / u

    Parameters
    ----------
    lr : float, default=2e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the first moment and of the infinity norm, each in [0, 1).
    eps : float, default=1e-8
        Added for numerical stability; not negative. 0 acts as the smallest positive normal number.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

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
        lr: NotNegative = 2e-3,
        *,
        betas: Betas = (0.9, 0.999),
        eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0.0,
    ) -> None:
        self._begin(locals())


@bare(Adamax)
def adamax_update(
    param: FloatArray,
    grad: FloatArray,
    m: FloatArray,
    u: FloatArray,
    step: int,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """One step of Adamax, written into ``param``, ``m`` and ``u``.

    Parameters
    ----------
    m, u : array, the shape and dtype of param
        First moment and infinity norm, changed in place; initially zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adamax_update
    >>> param, m, u = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> adamax_update(param, np.array([50.0, -0.25]), m, u, 1, lr=0.125)
    >>> param.round(6)
    array([0.875, 2.125])
    """
    rule = Adamax(lr, betas=betas, eps=eps, weight_decay=weight_decay)
    rule.update(param, grad, {"m": m, "u": u}, step)
