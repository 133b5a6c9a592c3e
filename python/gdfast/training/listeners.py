"""The interface of listeners, which are called during training and may end it."""

from __future__ import annotations

from collections.abc import Callable

from gdfast.training.arrays import Array
from gdfast.training.state import TrainingState


class Listeners:
    """Base class; its methods do nothing.

    Attributes
    ----------
    is_watched : bool
        Whether a listener may read or edit the weights between two epochs.
    has_begun : bool
        Whether a step has been taken, so that the result is kept however the run ends.
    """

    is_watched: bool = False
    has_begun: bool = False

    def begin(self) -> None:
        """Called when a step has been taken."""
        self.has_begun = True

    def epoch_begins(self, state: TrainingState, epoch: int, logs: dict[str, float]) -> bool:
        """Called before an epoch; returns whether to stop. May replace the state's weights."""
        return False

    def epoch_ends(self, state: TrainingState, epoch: int, logs: dict[str, float]) -> bool:
        """Called after an epoch; returns whether to stop. May replace the state's weights."""
        return False

    def gradient_hook(self, state: TrainingState) -> Callable[[list[Array]], None] | None:
        """The function to call with the gradient of every step before clipping, or None.

        It may change the gradient in place: arrays like the coefs, then the intercepts, then gamma and beta
        of each normalised layer.
        """
        return None

    def is_out_of_time(self) -> bool:
        return False
