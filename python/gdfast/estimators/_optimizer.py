"""What training carries on from one call to the next: the rule, its learning rate and its moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdfast._core import Trainer
from gdfast.estimators._validation import Array

_SCHEDULE = ("learning_rate_init", "schedule", "power_t")


class Optimizer:
    """The update rule as it was when training began, its learning rate, and the core's trainer.

    It can be pickled and copied at any time: the moments go along, the compiled trainer is built anew.

    Parameters
    ----------
    solver : {"sgd", "adam"}
    rule_params : dict of str to float
        The rule's constants, by the names that the core gives them.
    learning_rate_init : float
    schedule : {"constant", "invscaling", "adaptive"}
    power_t : float
        Exponent of ``invscaling``.
    """

    def __init__(
        self,
        solver: str,
        rule_params: dict[str, float],
        learning_rate_init: float,
        schedule: str,
        power_t: float,
    ) -> None:
        self.solver = solver
        self.rule_params = rule_params
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate_init
        self.schedule = schedule
        self.power_t = power_t
        self._trainer: Trainer | None = None
        self._trains: tuple[Any, ...] = ()
        self._state: Any = None

    def trainer(
        self,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        *,
        batch_size: int,
        n_samples: int,
        make: Callable[..., Trainer] = Trainer,
        **network: Any,
    ) -> Trainer:
        """A trainer of these very arrays that goes on where the last one was."""
        arrays = [*coefs, *intercepts]
        batch_rows = min(batch_size, n_samples)
        if self._trainer is not None:
            trained, built_for, built_rows = self._trains
            same_arrays = len(trained) == len(arrays) and all(map(_is, trained, arrays))
            # A larger batch than there are rows is one batch, whatever its size.
            same_batches = built_rows == batch_rows or n_samples <= min(built_rows, batch_size)
            if same_arrays and same_batches and built_for == network:
                self._trainer.load()  # somebody may have edited the arrays
                return self._trainer
            self._state = self._trainer.state_dict()

        self._trainer = make(
            coefs,
            intercepts,
            batch_size=batch_rows,
            rule=self.solver,
            rule_params=self.rule_params,
            **network,
        )
        self._trains = (arrays, network, batch_rows)
        if self._state is not None:
            self._trainer.load_state_dict(self._state)
            self._state = None
        return self._trainer

    def go_on_from(self, other: Optimizer) -> None:
        """Take over the state of an optimizer of the same rule; of another one, nothing.

        The learning rate goes on where it was, unless the arguments say another one.
        """
        if other.solver != self.solver:
            return
        self._state = other.state_dict()
        if all(getattr(other, name) == getattr(self, name) for name in _SCHEDULE):
            self.learning_rate = other.learning_rate

    def state_dict(self) -> Any:
        """The step and the moments; None where there has been no step."""
        return self._state if self._trainer is None else self._trainer.state_dict()

    def is_finite(self) -> bool:
        """Whether training can go on with these moments."""
        state = self.state_dict()
        return state is None or all(
            np.isfinite(array).all() for slot in state["slots"].values() for array in slot
        )

    def epoch_ends(self, samples_seen: int) -> None:
        """Set the learning rate for the next epoch."""
        if self.schedule == "invscaling":
            self.learning_rate = self.learning_rate_init / (samples_seen + 1) ** self.power_t

    def stops_on_plateau(self, message: str, verbose: Any) -> bool:
        """Whether training ends now that it no longer improves; else the learning rate has been cut."""
        if self.schedule != "adaptive":
            ending, stops = "Stopping.", True
        elif self.learning_rate <= 1e-6:
            ending, stops = "Learning rate too small. Stopping.", True
        else:
            self.learning_rate /= 5.0
            ending, stops = f"Setting learning rate to {self.learning_rate:f}", False
        if verbose:
            print(f"{message} {ending}")
        return stops

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._trainer is not None:
            state.update(_trainer=None, _trains=(), _state=self.state_dict())
        return state


def _is(a: object, b: object) -> bool:
    return a is b
