"""What trains the arrays of a network: the core's trainer, or what stands in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gdfast.training.arrays import Array


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
        *,
        learning_rate: Any,
        backprop_depth: int,
        on_gradient: Callable[[list[Array]], None] | None = None,
        dropout: Sequence[float] | None = None,
        weight_decay: float | None = None,
    ) -> tuple[float, bool]: ...


class CoreTrainer(Trainer, Protocol):
    """A trainer with a place for the rule."""

    def run_epoch(
        self,
        X: Any,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        *,
        learning_rate: Any,
        backprop_depth: int,
        on_gradient: Callable[[list[Array]], None] | None = None,
        dropout: Sequence[float] | None = None,
        weight_decay: float | None = None,
        on_step: Callable[[list[Array], list[Array], float, int], None] | None = None,
    ) -> tuple[float, bool]: ...
