"""One step of each optimizer rule on a caller's arrays: part of `gdfast.kernels`, which see."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gdfast import _core
from gdfast._checks import check_count, check_not_negative, check_rule_parameters, one_rate

FloatArray: TypeAlias = NDArray[np.float32] | NDArray[np.float64]


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

    and scikit-learn's, with ``lr_in_velocity=True``, from which it parts as soon as ``lr`` changes, is ::

        velocity = momentum * velocity - lr * (1 - dampening) * g
        param    = param + velocity                         # nesterov: momentum * velocity - lr * g

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    velocity : array, the shape and dtype of param, default=None
        Changed in place; begin with zeros. Needed if momentum is not 0.
    lr : float
        Learning rate, not negative.
    momentum : float, default=0.0
        Not negative.
    dampening : float, default=0.0
        What the velocity leaves out of each gradient, this one included. (PyTorch takes the very first
        gradient whole: call the first step without dampening for that.) Equal to ``momentum`` it makes the
        velocity an exponential average.
    nesterov : bool, default=False
        Nesterov's momentum: look ahead along the new velocity. Not with dampening.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    lr_in_velocity : bool, default=False
        Keep the learning rate inside the velocity.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, a
        number is out of its range, or there is momentum but no velocity.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods" (1964). Sutskever, Martens,
    Dahl and Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013, equations
    1 to 4.

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
    params = {
        "momentum": momentum,
        "dampening": dampening,
        "dampen_first": True,
        "nesterov": nesterov and momentum != 0,
        "weight_decay": weight_decay,
        "lr_in_velocity": lr_in_velocity,
    }
    _update("sgd", params, param, grad, () if velocity is None else (velocity,), 1, lr)


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

    With ``g = grad + weight_decay * param``, ``m = beta_1 * m + (1 - beta_1) * g``,
    ``v = beta_2 * v + (1 - beta_2) * g**2``, ``m_hat = m / (1 - beta_1**step)`` and
    ``v_hat = v / (1 - beta_2**step)``, ``param`` loses

    - "outside": ``lr * m_hat / (sqrt(v_hat) + eps)``, the paper's algorithm 1 and PyTorch's;
    - "uncorrected": ``lr * sqrt(1 - beta_2**step) / (1 - beta_1**step) * m / (sqrt(v) + eps)``, the paper's
      quicker form (end of its section 2) and scikit-learn's;
    - "inside": ``lr * m_hat / sqrt(v_hat + eps)``.

    AMSGrad puts ``v_max = maximum(v_max, v)`` in the place of ``v``.

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    m, v : array, the shape and dtype of param
        First and second moments, changed in place; begin with zeros.
    step : int
        The number of this step; the first is 1.
    lr : float, default=1e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    eps_mode : {"outside", "uncorrected", "inside"}, default="outside"
        Where ``eps`` goes: see above.
    v_max : array, the shape and dtype of param, default=None
        AMSGrad's largest second moments, changed in place; begin with zeros. None is Adam.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, a
        number is out of its range, or eps_mode is unknown.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015. Reddi, Kale and Kumar, "On the
    convergence of Adam and beyond", ICLR 2018 (AMSGrad).

    Examples
    --------
    The first step moves every parameter by the learning rate, whatever the size of its gradient.

    >>> import numpy as np
    >>> from gdfast.kernels import adam_update
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> adam_update(param, np.array([50.0, -0.25]), m, v, 1, lr=0.125)
    >>> param.round(6)
    array([0.875, 2.125])
    """
    params = {
        "betas": betas,
        "eps": eps,
        "weight_decay": weight_decay,
        "eps_mode": eps_mode,
        "amsgrad": v_max is not None,
    }
    _update("adam", params, param, grad, (m, v) if v_max is None else (m, v, v_max), step, lr)


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

    With ``g = grad + weight_decay * param`` ::

        sum   = sum + g**2
        param = param - lr / (1 + (step - 1) * lr_decay) * g / (sqrt(sum) + eps)

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    sum : array, the shape and dtype of param
        Sum of the squared gradients, changed in place; begin with zeros or a small number.
    step : int
        The number of this step; the first is 1.
    lr : float, default=1e-2
        Learning rate, not negative.
    lr_decay : float, default=0.0
        How fast the learning rate falls with the steps; not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    eps : float, default=1e-10
        Keeps the divisor away from 0; not negative.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, or a
        number is out of its range.

    References
    ----------
    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011), figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adagrad_update
    >>> param, sum = np.array([1.0, 2.0]), np.zeros(2)
    >>> adagrad_update(param, np.array([3.0, -4.0]), sum, 1, lr=0.5)
    >>> param.round(6), sum
    (array([0.5, 2.5]), array([ 9., 16.]))
    """
    params = {
        "lr_decay": lr_decay,
        "initial_accumulator_value": 0.0,
        "eps": eps,
        "weight_decay": weight_decay,
    }
    _update("adagrad", params, param, grad, (sum,), step, lr)


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

    With ``g = grad + weight_decay * param`` ::

        v        = alpha * v + (1 - alpha) * g**2
        mean     = alpha * mean + (1 - alpha) * g           # centered only; else mean = 0
        move     = g / (sqrt(v - mean**2) + eps)            # "inside": g / sqrt(v - mean**2 + eps)
        velocity = momentum * velocity + move               # with momentum only; else velocity = move
        param    = param - lr * velocity

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    v : array, the shape and dtype of param
        Moving average of the squared gradient, changed in place; begin with zeros.
    lr : float, default=1e-2
        Learning rate, not negative.
    alpha : float, default=0.99
        What stays of the averages, in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.
    momentum : float, default=0.0
        Not negative.
    velocity : array, the shape and dtype of param, default=None
        Changed in place; begin with zeros. Needed if momentum is not 0, and only then.
    mean : array, the shape and dtype of param, default=None
        Moving average of the gradient, changed in place; begin with zeros. Given, the average is centered.
    eps_mode : {"outside", "inside"}, default="outside"
        Whether ``eps`` stands beside the root or under it.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, a
        number is out of its range, or there is momentum without velocity or the reverse.

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera (2012). Graves, "Generating sequences with recurrent
    neural networks", arXiv:1308.0850 (2013), equations 38 to 41 (centered, with momentum).

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
    states = (v, *(state for state in (mean, velocity) if state is not None))
    params = {
        "alpha": alpha,
        "eps": eps,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "centered": mean is not None,
        "eps_mode": eps_mode,
    }
    _update("rmsprop", params, param, grad, states, 1, lr)


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

    With ``g = grad + weight_decay * param`` ::

        v     = rho * v + (1 - rho) * g**2
        move  = sqrt(delta + eps) / sqrt(v + eps) * g
        delta = rho * delta + (1 - rho) * move**2
        param = param - lr * move

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    v, delta : array, the shape and dtype of param
        Moving averages of the squared gradient and of the squared move, changed in place; begin with zeros.
    lr : float, default=1.0
        Learning rate, not negative.
    rho : float, default=0.9
        What stays of the averages, in [0, 1).
    eps : float, default=1e-6
        Under both roots: what the first moves are made of; not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, or a
        number is out of its range.

    References
    ----------
    Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012), algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adadelta_update
    >>> param, v, delta = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adadelta_update(param, np.array([3.0]), v, delta, eps=0.1)
    >>> param.round(6), v.round(6)
    (array([0.051317]), array([0.9]))
    """
    params = {"rho": rho, "eps": eps, "weight_decay": weight_decay}
    _update("adadelta", params, param, grad, (v, delta), 1, lr)


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

    ``param = (1 - lr * weight_decay) * param``, and then a step of `adam_update` with ``grad`` alone.

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    m, v : array, the shape and dtype of param
        First and second moments, changed in place; begin with zeros.
    step : int
        The number of this step; the first is 1.
    lr : float, default=1e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative.
    weight_decay : float, default=1e-2
        Share of the parameter, times ``lr``, that is taken off; not negative.
    eps_mode : {"outside", "uncorrected", "inside"}, default="outside"
        Where ``eps`` goes: see `adam_update`.
    v_max : array, the shape and dtype of param, default=None
        AMSGrad's largest second moments, changed in place; begin with zeros. None is plain AdamW.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, or a
        number is out of its range.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adamw_update
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> adamw_update(param, np.array([50.0, -0.25]), m, v, 1, lr=0.125, weight_decay=0.5)
    >>> param.round(6)
    array([0.8125, 2.    ])
    """
    params = {
        "betas": betas,
        "eps": eps,
        "weight_decay": weight_decay,
        "eps_mode": eps_mode,
        "amsgrad": v_max is not None,
    }
    _update("adamw", params, param, grad, (m, v) if v_max is None else (m, v, v_max), step, lr)


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
    """One step of NAdam, Adam with Nesterov's look-ahead, written into ``param``, ``m`` and ``v``.

    With ``g = grad + weight_decay * param``, the moments ``m`` and ``v`` and ``v_hat`` of `adam_update`, and
    ``mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2)``, ``param`` loses ::

        lr / (sqrt(v_hat) + eps) * (  mu(step + 1) * m / (1 - mu(1) * ... * mu(step + 1))
                                    + (1 - mu(step)) * g / (1 - mu(1) * ... * mu(step)))

    A ``step`` far from 1 takes some microseconds more, to multiply the factors up to it.

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    m, v : array, the shape and dtype of param
        First and second moments, changed in place; begin with zeros.
    step : int
        The number of this step; the first is 1.
    lr : float, default=2e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates of the moments, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient, if not decoupled; not negative.
    momentum_decay : float, default=4e-3
        How fast the momentum rises to beta_1; not negative.
    decoupled_weight_decay : bool, default=False
        Take ``lr * weight_decay * param`` off the parameter instead.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, or a
        number is out of its range.

    References
    ----------
    Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop, algorithm 8.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import nadam_update
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> nadam_update(param, np.array([50.0, -0.25]), m, v, 1, lr=0.125)
    >>> param.round(4)
    array([0.8679, 2.1321])
    """
    params = {
        "betas": betas,
        "eps": eps,
        "weight_decay": weight_decay,
        "momentum_decay": momentum_decay,
        "decoupled_weight_decay": decoupled_weight_decay,
    }
    _update("nadam", params, param, grad, (m, v), step, lr)


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

    With ``g = grad + weight_decay * param`` ::

        m     = beta_1 * m + (1 - beta_1) * g
        u     = maximum(beta_2 * u, abs(g) + eps)
        param = param - lr / (1 - beta_1**step) * m / u

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    m, u : array, the shape and dtype of param
        First moment and largest gradient, changed in place; begin with zeros.
    step : int
        The number of this step; the first is 1.
    lr : float, default=2e-3
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.999)
        Decay rates, each in [0, 1).
    eps : float, default=1e-8
        Keeps the divisor away from 0; not negative.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; not negative.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, or a
        number is out of its range.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import adamax_update
    >>> param, m, u = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> adamax_update(param, np.array([50.0, -0.25]), m, u, 1, lr=0.125)
    >>> param.round(6)
    array([0.875, 2.125])
    """
    params = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
    _update("adamax", params, param, grad, (m, u), step, lr)


def lion_update(
    param: FloatArray,
    grad: FloatArray,
    m: FloatArray,
    *,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> None:
    """One step of Lion, written into ``param`` and ``m``.

    ::

        param = param - lr * (sign(beta_1 * m + (1 - beta_1) * grad) + weight_decay * param)
        m     = beta_2 * m + (1 - beta_2) * grad

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    m : array, the shape and dtype of param
        Moving average of the gradient, changed in place; begin with zeros.
    lr : float, default=1e-4
        Learning rate, not negative: every parameter moves by just so much.
    betas : (float, float), default=(0.9, 0.99)
        What stays of the average: for the direction, and from step to step; each in [0, 1).
    weight_decay : float, default=0.0
        Decoupled; not negative.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, or a
        number is out of its range.

    References
    ----------
    Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, program 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import lion_update
    >>> param, m = np.array([1.0, 2.0]), np.zeros(2)
    >>> lion_update(param, np.array([50.0, -0.25]), m, lr=0.125)
    >>> param
    array([0.875, 2.125])
    """
    params = {"betas": betas, "weight_decay": weight_decay}
    _update("lion", params, param, grad, (m,), 1, lr)


def rprop_update(
    param: FloatArray,
    grad: FloatArray,
    before: FloatArray,
    size: FloatArray,
    *,
    lr: float = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
) -> None:
    """One step of Rprop, written into ``param``, ``before`` and ``size``.

    Every parameter has a step of its own, which grows by ``etas[1]`` while its gradient keeps its sign and
    falls by ``etas[0]`` where it turns; there the parameter rests for one step. For gradients of the whole
    data: it looks at signs only, and those of small batches turn for no reason.

    Parameters
    ----------
    param : array of any shape, float32 or float64
        Changed in place.
    grad : array, the shape and dtype of param
        Read only.
    before : array, the shape and dtype of param
        The last gradient, changed in place; begin with zeros.
    size : array, the shape and dtype of param
        The steps' sizes, changed in place; begin with zeros, which become ``lr``.
    lr : float, default=1e-2
        Size of the first step.
    etas : (float, float), default=(0.5, 1.2)
        Factors of the size, below 1 and above 1.
    step_sizes : (float, float), default=(1e-6, 50.0)
        The least and the greatest size, positive.

    Raises
    ------
    TypeError
        If an argument is not an array, or an array has another dtype.
    ValueError
        If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, or a
        number is out of its range.

    References
    ----------
    Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm",
    IEEE ICNN 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import rprop_update
    >>> param, before, size = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> rprop_update(param, np.array([50.0, -0.25]), before, size, lr=0.125)
    >>> param
    array([0.875, 2.125])
    """
    params = {"etas": etas, "step_sizes": step_sizes}
    _update("rprop", params, param, grad, (before, size), 1, lr)


def _update(
    rule: str,
    params: dict[str, Any],
    param: FloatArray,
    grad: FloatArray,
    states: tuple[FloatArray, ...],
    step: int,
    lr: float,
) -> None:
    lr = one_rate(lr)
    check_not_negative("lr", lr)
    check_rule_parameters(rule, params)
    check_count("step", step)
    _core.update(rule, params, param, grad, states, step, lr)
