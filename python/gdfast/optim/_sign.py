"""Rules that look at the gradient's sign only."""

from __future__ import annotations

from gdfast.optim._base import Optimizer


class Lion(Optimizer):
    """Lion: every parameter moves by the learning rate.

    ::

        param = param - lr * (sign(beta_1 * m + (1 - beta_1) * grad) + weight_decay * param)
        m     = beta_2 * m + (1 - beta_2) * grad

    The defaults are the authors' own. Since every move has full length, ``lr`` is to be three to ten times
    smaller than Adam's, and ``weight_decay`` so much larger than AdamW's.

    Parameters
    ----------
    lr : float, default=1e-4
        Learning rate, not negative.
    betas : (float, float), default=(0.9, 0.99)
        What stays of the average: for the direction, and from step to step; each in [0, 1).
    weight_decay : float, default=0.0
        Decoupled: share of the parameter, times ``lr``, that is taken off; not negative.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or out of its range.

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
        lr: float = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(locals())


class Rprop(Optimizer):
    """Resilient backpropagation: each parameter finds its own step.

    The step of a parameter grows by ``etas[1]`` while its gradient keeps its sign and shrinks by
    ``etas[0]`` where it turns; there the parameter rests for one step. For gradients of the whole data:
    those of small batches change their signs for no reason.

    Parameters
    ----------
    lr : float, default=1e-2
        Size of the first step. Changes of it later have no effect.
    etas : (float, float), default=(0.5, 1.2)
        Factors of the size, the first below 1 and the second above.
    step_sizes : (float, float), default=(1e-6, 50.0)
        The least and the greatest size, positive.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or out of its range.

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
        lr: float = 1e-2,
        *,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
    ) -> None:
        self._begin(locals())
