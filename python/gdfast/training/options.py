"""The options of a step, and of the whole training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from numbers import Integral
from typing import Any

from gdfast.training.parts import Parts

# Batch size for batch_size="auto".
AUTO_BATCH_SIZE = 200


@dataclass(frozen=True)
class Limits:
    """The valid values of a number: an interval, ``closed`` on one side or both, or one of ``others``."""

    least: float
    most: float | None = None
    closed: str = "left"
    others: tuple[Any, ...] = ()

    def hold(self, number: float) -> bool:
        """Whether a number is valid."""
        most = math.inf if self.most is None else self.most
        above = number >= self.least if self.closed in ("left", "both") else number > self.least
        return above and (number <= most if self.closed == "both" else number < most)

    def __str__(self) -> str:
        above = "at least" if self.closed in ("left", "both") else "above"
        below = (
            "finite"
            if self.most is None
            else f"{'at most' if self.closed == 'both' else 'below'} {self.most}"
        )
        return f"{above} {self.least} and {below}"


def of_steps(default: Any, limits: Limits | None = None) -> Any:
    """A field that is an argument of the estimators, with the same name; no further declaration is needed.

    It has no meaning without steps over batches.
    """
    return field(default=default, metadata={"limits": limits, "of_steps": True})


@dataclass(frozen=True)
class StepOptions:
    """The options of a step, with the names of the estimators' arguments.

    Attributes
    ----------
    alpha, l1_ratio : float
        The penalty ``alpha ((1 - l1_ratio) / 2 sum w^2 + l1_ratio sum |w|)``.
    weight_decay : float
        Decoupled weight decay.
    learning_rate_factors : dict of str to list of float, or None
        Factors of the learning rate, for each array of a group of parameters (`weights.GROUPS`).
    clip_value, clip_norm, clip_layer_norm : float, "auto" (of clip_norm) or None
        Limits of the gradient's components, of its norm, and of each layer's norm.
    gradient_noise : float
        Variance of the noise of the first step.
    record_gradients : bool
        Whether to record the norms of gradients and weights, and the size of steps.
    """

    alpha: float = field(default=0.0, metadata={"limits": Limits(0)})
    l1_ratio: float = of_steps(0.0, Limits(0, 1, "both"))
    weight_decay: float = of_steps(0.0, Limits(0))
    learning_rate_factors: Mapping[str, list[float]] | None = field(default=None, metadata={"of_steps": True})
    clip_value: float | None = of_steps(None, Limits(0, None, "neither", (None,)))
    clip_norm: float | str | None = of_steps(None, Limits(0, None, "neither", ("auto", None)))
    clip_layer_norm: float | None = of_steps(None, Limits(0, None, "neither", (None,)))
    gradient_noise: float = of_steps(0.0, Limits(0))
    record_gradients: bool = of_steps(False)

    def core(self) -> dict[str, Any]:
        """The options by the core's names."""
        arguments = asdict(self)
        arguments["records"] = arguments.pop("record_gradients")
        if factors := arguments["learning_rate_factors"]:
            arguments["learning_rate_factors"] = {
                group.removesuffix("_"): numbers for group, numbers in factors.items()
            }
        return arguments


@dataclass(frozen=True)
class TrainingOptions:
    """The options of the whole training.

    Attributes
    ----------
    solver : {"stochastic", "lbfgs", "newton-cg", "lm", "annealing"}
    max_iter : int
        Epochs, or iterations.
    tol : float
        Smallest improvement; for lbfgs, newton-cg and lm, tolerance of the gradient.
    n_iter_no_change : float
        Number of epochs without improvement that are tolerated.
    by_score : bool
        Whether improvement is that of the validation score, or of the training loss.
    batch_size : int
    shuffle : bool
    single_epoch : bool
        Whether to train for a single epoch, without a warning at its end.
    backprop_depth : int, callable or None
        Number of weight layers, from the output, that are backpropagated through, or a function of the epoch.
    max_fun : int
        Maximum number of evaluations of lbfgs.
    bayesian_regularization : bool
        Whether lm finds its penalty by the evidence.
    annealing : mapping
        Arguments of `anneal`.
    verbose : bool
    latest_of_equal : bool
        Whether weights with a score equal to the best replace it.
    ema_decay : float
        Maximum decay of the exponential moving average of the weights; 0 means no average.
    parts : Parts or None
        Those of several ranks that train together; None for one alone.
    """

    solver: str
    max_iter: int
    tol: float
    n_iter_no_change: float
    by_score: bool
    step: StepOptions
    batch_size: int = AUTO_BATCH_SIZE
    shuffle: bool = True
    single_epoch: bool = False
    backprop_depth: int | Callable[[int], int] | None = None
    max_fun: int = 15_000
    bayesian_regularization: bool = False
    annealing: Mapping[str, Any] = field(default_factory=dict)
    verbose: Any = False
    latest_of_equal: bool = False
    ema_decay: float = of_steps(0.0, Limits(0, 1))
    parts: Parts | None = None

    def depth_of_epoch(self, epoch: int, n_layers: int) -> int:
        """The number of weight layers, from the output, that are backpropagated through in this epoch."""
        if self.backprop_depth is None:
            return n_layers
        if not callable(self.backprop_depth):
            return int(self.backprop_depth)
        depth = self.backprop_depth(epoch)
        check_depth(depth, n_layers)
        return int(depth)


def check_depth(depth: Any, n_layers: int) -> None:
    if not isinstance(depth, Integral) or isinstance(depth, bool) or not 1 <= int(depth) <= n_layers:
        raise ValueError(
            f"backprop_depth must be an integer from 1 (the output layer) to {n_layers} (all weight layers "
            f"of this network), a callable of the epoch that returns one, or None for all; got {depth!r}."
        )
