"""Who is told of a training run, and may end it."""

from __future__ import annotations

from collections.abc import Callable

from gdfast.training.arrays import Array
from gdfast.training.state import TrainingState


class Listeners:
    """Nobody; to be derived from.

    Attributes
    ----------
    is_watched : bool
        Whether somebody may look at the weights, or edit them, between two epochs.
    has_begun : bool
        Whether a step has been taken, so that the run is to stay however it ends.
    """

    is_watched: bool = False
    has_begun: bool = False

    def begin(self) -> None:
        """Hear that a step has been taken."""
        self.has_begun = True

    def epoch_begins(self, state: TrainingState, epoch: int, logs: dict[str, float]) -> bool:
        """Hear that an epoch begins; whether to stop before it. May replace the state's weights."""
        return False

    def epoch_ends(self, state: TrainingState, epoch: int, logs: dict[str, float]) -> bool:
        """Hear that an epoch is over; whether to stop. May replace the state's weights."""
        return False

    def gradient_hook(self, state: TrainingState) -> Callable[[list[Array]], None] | None:
        """What is called with the gradient of every step before any limit, and may change it in place: arrays
        like the coefs, then the intercepts, then each normalised layer's gamma and beta. None for nothing."""
        return None

    def is_out_of_time(self) -> bool:
        return False
