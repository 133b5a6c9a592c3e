"""Rules that use the sign of the gradient: Lion, Rprop."""

from __future__ import annotations

from gdfast.optim._bare import bare
from gdfast.optim._base import FloatArray, Optimizer
from gdfast.optim._parameters import Betas, Etas, NotNegative, StepSizes


class Lion(Optimizer):
    """Lion: every parameter changes by the learning rate.

    ::

        param = param - lr * (sign(beta_1 * m + (1 - beta_1) * grad) + weight_decay * param)
        m     = beta_2 * m + (1 - beta_2) * grad

    The defaults are the authors'. Since every step has full size, they recommend an ``lr`` three to ten times
    smaller than Adam's, and a ``weight_decay`` larger than AdamW's by the same factor.

    Parameters
    ----------
    lr : float, default=1e-4
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.99)
        Decay rates of the moving average: for the sign, and for the state; each in [0, 1).
    weight_decay : float, default=0.0
        Decoupled weight decay coefficient; not negative.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, program 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import Lion
    >>> params, optimizer = np.zeros(2), Lion(lr=0.125, betas=(0.5, 0.75))
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 3., -1.])
    """

    _rule_name = "lion"

    def __init__(
        self,
        lr: NotNegative = 1e-4,
        *,
        betas: Betas = (0.9, 0.99),
        weight_decay: NotNegative = 0.0,
    ) -> None:
        self._begin(locals())


@bare(Lion)
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

    Parameters
    ----------
    m : array, the shape and dtype of param
        Moving average of the gradient, changed in place; initially zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import lion_update
    >>> param, m = np.array([1.0, 2.0]), np.zeros(2)
    >>> lion_update(param, np.array([50.0, -0.25]), m, lr=0.125)
    >>> param
    array([0.875, 2.125])
    """
    rule = Lion(lr, betas=betas, weight_decay=weight_decay)
    rule.update(param, grad, {"m": m}, 1)


class Rprop(Optimizer):
    """Resilient backpropagation: each parameter has its own step size.

    The step size of a parameter is multiplied by ``etas[1]`` while its gradient keeps its sign, and by
    ``etas[0]`` when the sign changes; then the parameter is not changed for one step. Rprop needs gradients
    of the full data: those of small batches change their signs at random.

    Parameters
    ----------
    lr : float, default=1e-2
        Initial step size. Later changes have no effect.
    etas : (float, float), default=(0.5, 1.2)
        Factors of the step size, the first below 1 and the second above 1.
    step_sizes : (float, float), default=(1e-6, 50.0)
        Minimum and maximum step size, positive.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value.

    References
    ----------
    Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
    algorithm", IEEE ICNN 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.optim import Rprop
    >>> params, optimizer = np.zeros(2), Rprop()
    >>> for _ in range(100):
    ...     optimizer.step(params, 2 * (params - [3.0, -1.0]))  # the gradient of (x - 3)^2 + (y + 1)^2
    >>> params.round(3)
    array([ 3., -1.])
    """

    _rule_name = "rprop"

    def __init__(
        self,
        lr: NotNegative = 1e-2,
        *,
        etas: Etas = (0.5, 1.2),
        step_sizes: StepSizes = (1e-6, 50.0),
    ) -> None:
        self._begin(locals())


@bare(Rprop)
def rprop_update(
    param: FloatArray,
    grad: FloatArray,
    prev: FloatArray,
    step_size: FloatArray,
    *,
    lr: float = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
) -> None:
    """One step of Rprop, written into ``param``, ``prev`` and ``step_size``.

    Parameters
    ----------
    prev : array, the shape and dtype of param
        The previous gradient, changed in place; initially zeros.
    step_size : array, the shape and dtype of param
        The step sizes, changed in place; initially zeros, which become ``lr``.
    lr : float, default=1e-2
        Initial step size.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.kernels import rprop_update
    >>> param, prev, step_size = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> rprop_update(param, np.array([50.0, -0.25]), prev, step_size, lr=0.125)
    >>> param
    array([0.875, 2.125])
    """
    rule = Rprop(lr, etas=etas, step_sizes=step_sizes)
    rule.update(param, grad, {"prev": prev, "step_size": step_size}, 1)
