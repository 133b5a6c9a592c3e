"""What trains the arrays of a network: the core's trainer, or what stands in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Required, TypedDict, Unpack

from gdfast.training.arrays import Array


class EpochOptions(TypedDict, total=False):
    """What may differ from epoch to epoch.

    Attributes
    ----------
    learning_rate : float or ndarray of shape (n_steps,)
        One for every step, or for each.
    backprop_depth : int
        Number of layers, from the last, that are trained.
    on_gradient : callable or None
        Called in each step with the gradients, which it may change.
    dropout : sequence of float
        The rates of the inputs and of each hidden layer, in place of the trainer's.
    weight_decay : float
        In place of the trainer's.
    """

    learning_rate: Required[Any]
    backprop_depth: Required[int]
    on_gradient: Callable[[list[Array]], None] | None
    dropout: Sequence[float] | None
    weight_decay: float | None


class CoreEpochOptions(EpochOptions, total=False):
    """Those of the core, which may leave the move of a step to others.

    Attributes
    ----------
    on_step : callable or None
        Called in place of the rule, with weights, gradients, learning rate and the number of the step.
    """

    on_step: Callable[[list[Array], list[Array], float, int], None] | None


class Trainer(Protocol):
    """The interface of the core's trainer."""

    @property
    def records(self) -> Any: ...
    @property
    def step(self) -> int: ...
    @property
    def state_is_finite(self) -> bool: ...
    @property
    def not_finite(self) -> tuple[str, int] | None: ...
    def load(self) -> None: ...
    def state_dict(self) -> Any: ...
    def load_state_dict(self, state: Any) -> None: ...
    def run_epoch(
        self,
        X: Any,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        **options: Unpack[EpochOptions],
    ) -> tuple[float, bool]: ...


class CoreTrainer(Trainer, Protocol):
    """A trainer with a place for the rule."""

    def run_epoch(
        self,
        X: Any,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        **options: Unpack[CoreEpochOptions],
    ) -> tuple[float, bool]: ...
