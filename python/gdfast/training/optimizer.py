"""The optimizer of a training: the update rule, its learning rate and its moments."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from gdfast.schedules import Progress, Rates, Schedule
from gdfast.training import whole
from gdfast.training.losses import Loss
from gdfast.training.network import Network
from gdfast.training.options import StepOptions
from gdfast.training.parts import Parts
from gdfast.training.scheduled import Scheduled, continued, load_state, state_of
from gdfast.training.shared import local_step, of_ranks
from gdfast.training.trainer import Trainer
from gdfast.training.weights import Weights

_SCHEDULE = ("learning_rate_init", "power_t")


class Optimizer:
    """The update rule, its learning rate, and the core's trainer.

    Copies and pickles include the moments; the compiled trainer is created again.

    Parameters
    ----------
    rule : str
        The core's name of the rule.
    rule_params : dict
        Its hyper-parameters, by the core's names.
    learning_rate_init : float
    schedule : {"constant", "invscaling", "adaptive"} or Schedule
        One of scikit-learn's by name, or one of `gdfast.schedules`, whose state training changes.
    power_t : float
        Exponent of ``invscaling``.
    scheduled : mapping of str to Scheduled
        Options that have a schedule, by name.

    Attributes
    ----------
    learning_rate : float or ndarray
        Learning rate of the coming epoch, or of each of its steps.
    of_epoch : dict
        The values of ``scheduled`` in the coming epoch.
    seed : int
        Seed of the random numbers in steps.
    """

    def __init__(
        self,
        rule: str,
        rule_params: dict[str, Any],
        learning_rate_init: float,
        schedule: str | Schedule,
        power_t: float,
        scheduled: Mapping[str, Scheduled] | None = None,
    ) -> None:
        self.rule = rule
        self.rule_params = rule_params
        self.learning_rate_init = learning_rate_init
        self.learning_rate: Rates = learning_rate_init
        self.schedule = schedule
        self.power_t = power_t
        self.scheduled = dict(scheduled or {})
        self.of_epoch: dict[str, Any] = {}
        self.seed = 0
        self._epochs = self._steps = 0  # so far
        self._trainer: Trainer | None = None
        self._trains: tuple[Any, ...] = ()
        self._state: Any = None

    def trainer(
        self,
        network: Network,
        weights: Weights,
        loss: Loss,
        step: StepOptions,
        *,
        batch_size: int,
        n_samples: int,
        parts: Parts | None = None,
    ) -> Trainer:
        """A trainer of these arrays that continues from the state of the last one.

        ``batch_size`` and ``n_samples`` are those of this rank, if it has a part of what several ranks train.
        """
        arrays = list(weights)
        ranks = None if parts is None else parts.ranks
        what = (network, loss, step, None if ranks is None else parts)
        batch_rows = max(1, min(batch_size, n_samples))
        seed = self.seed
        if ranks is not None and ranks.sync_every > 1:  # each rank draws numbers of its own
            seed, step = seed + ranks.rank, local_step(step, ranks)
        if self._trainer is not None:
            trained, built_for, built_rows = self._trains
            same_arrays = len(trained) == len(arrays) and all(map(_is, trained, arrays))
            # A batch size above the number of rows gives one batch, whatever its value.
            same_batches = built_rows == batch_rows or n_samples <= min(built_rows, batch_size)
            if same_arrays and same_batches and built_for == what:
                self._trainer.load()  # the arrays may have been edited
                return self._trainer
            self._state = self._trainer.state_dict()

        rule, rule_params = whole.core_rule(self.rule, self.rule_params)
        core = network.trainer(
            weights,
            loss,
            step,
            batch_size=batch_rows,
            rule=rule,
            rule_params=rule_params,
            seed=seed,
        )
        if ranks is not None:
            assert parts is not None
            core = of_ranks(core, weights, parts)
        self._trainer = whole.with_rule(
            core,
            self.rule,
            self.rule_params,
            network,
            weights,
            loss,
            step,
            batch_size=batch_rows,
            seed=self.seed,
        )
        self._trains = (arrays, what, batch_rows)
        if self._state is not None:
            # Moments of another variant of the rule, or of layers that are now normalised, do not fit.
            if _is_alike(self._trainer.state_dict(), self._state):
                self._trainer.load_state_dict(self._state)
            self._state = None
        return self._trainer

    def start_at(self, learning_rate: float) -> None:
        """Set the initial learning rate, before the first step."""
        self.learning_rate_init = self.learning_rate = learning_rate

    def continue_from(self, other: Optimizer) -> None:
        """Take over the state of another optimizer, if it has the same rule.

        The learning rate continues as well, unless the arguments have changed.
        """
        if other.rule != self.rule:
            return
        self._state = other.state_dict()
        self.seed = other.seed
        self._epochs, self._steps = other._epochs, other._steps
        same = all(getattr(other, name) == getattr(self, name) for name in _SCHEDULE)
        if same and repr(other.schedule) == repr(self.schedule):
            self.schedule = copy.deepcopy(other.schedule)
            self.learning_rate = other.learning_rate
        self.scheduled = continued(self.scheduled, other.scheduled)

    def reschedule(self, scheduled: Mapping[str, Scheduled]) -> None:
        """Change the options that have a schedule; a schedule with the same arguments continues."""
        self.scheduled = continued(scheduled, self.scheduled)

    def state_dict(self) -> Any:
        """The step count and the moments; None before the first step."""
        return self._state if self._trainer is None else self._trainer.state_dict()

    def training_state_dict(self) -> dict[str, Any]:
        """The whole state: step count, moments, learning rate, schedule and seed."""
        rate = self.learning_rate
        return {
            "state": self.state_dict(),
            "learning_rate": rate.copy() if isinstance(rate, np.ndarray) else rate,
            "learning_rate_init": self.learning_rate_init,
            "epochs": self._epochs,
            "steps": self._steps,
            "seed": self.seed,
            "schedule": state_of(self.schedule) if isinstance(self.schedule, Schedule) else self.schedule,
            "scheduled": {name: state_of(option.schedule) for name, option in self.scheduled.items()},
        }

    def load_training_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of another optimizer with the same arguments; schedules may be left out."""
        self._trainer, self._trains, self._state = None, (), state["state"]
        self.learning_rate, self.seed = state["learning_rate"], state["seed"]
        self.learning_rate_init = state["learning_rate_init"]
        self._epochs, self._steps = state["epochs"], state["steps"]
        if isinstance(self.schedule, Schedule) and isinstance(state["schedule"], dict):
            load_state(self.schedule, state["schedule"])
        for name, option in self.scheduled.items():
            load_state(option.schedule, state["scheduled"].get(name, {}))

    def is_finite(self) -> bool:
        """Whether the moments are finite, so that training can continue."""
        if self._trainer is not None:
            return self._trainer.state_is_finite
        state = self._state
        return state is None or all(
            np.isfinite(array).all() for slot in state["slots"].values() for array in slot
        )

    @property
    def epoch(self) -> int:
        """The number of the latest epoch, from 0, counted over all calls that continue one another."""
        return self._epochs - 1

    def epoch_begins(self, epochs: int, steps: int, samples_seen: int) -> Rates:
        """The learning rates of the coming epoch of ``steps``: one of at most ``epochs`` in this fit."""
        now = Progress(self._epochs, self._steps, samples_seen, steps, self._epochs + epochs)
        if isinstance(self.schedule, Schedule):
            rates = self.schedule.rates(self.learning_rate_init, now)
            if not (np.isfinite(rates).all() and np.min(rates) >= 0):
                raise ValueError(
                    f"Learning rates must be finite and at least 0, got {rates} in epoch {self._epochs} of "
                    f"schedule={self.schedule!r}."
                )
            self.learning_rate = rates
        self.of_epoch = {name: option.of_epoch(now) for name, option in self.scheduled.items()}
        self._epochs += 1
        self._steps += steps
        return self.learning_rate

    def epoch_ends(self, samples_seen: int, monitored: float) -> bool:
        """Set the learning rate for the next epoch; whether its schedule ends training."""
        for option in self.scheduled.values():
            option.schedule.epoch_ends(monitored)
        if isinstance(self.schedule, Schedule):
            return self.schedule.epoch_ends(monitored)
        if self.schedule == "invscaling":
            with np.errstate(over="ignore"):  # a huge power gives a rate of zero
                self.learning_rate = float(
                    self.learning_rate_init / np.float64(samples_seen + 1) ** self.power_t
                )
        return False

    def stops_on_plateau(self, message: str, verbose: Any) -> bool:
        """Whether training ends when it no longer improves; if not, the learning rate is reduced."""
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


def _is_alike(state: Any, other: Any) -> bool:
    """Whether two states have arrays of the same names, shapes and dtypes."""
    kinds, others = (
        {name: [(array.shape, array.dtype) for array in arrays] for name, arrays in s["slots"].items()}
        for s in (state, other)
    )
    return kinds == others


def _is(a: object, b: object) -> bool:
    return a is b
