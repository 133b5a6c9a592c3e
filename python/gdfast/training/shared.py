"""Steps of several ranks: trainers with the interface `Trainer` around the core's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from gdfast.training.arrays import Array, weight_sums
from gdfast.training.options import StepOptions
from gdfast.training.parts import Parts
from gdfast.training.ranks import Ranks, digest
from gdfast.training.trainer import CoreEpochOptions, CoreTrainer
from gdfast.training.weights import Weights

_EPOCH = "the begin of an epoch"


class _OfRanks:
    """What is the same in both."""

    def __init__(self, core: Any, weights: Weights, parts: Parts) -> None:
        assert parts.ranks is not None
        self._core = core
        self._arrays = list(weights)
        self._parts = parts
        self._ranks: Ranks = parts.ranks
        self._not_finite: tuple[str, int] | None = None
        self.load = core.load
        self.state_dict = core.state_dict
        self.load_state_dict = core.load_state_dict

    @property
    def step(self) -> int:
        return int(self._core.step)

    @property
    def records(self) -> Any:
        return self._core.records

    @property
    def state_is_finite(self) -> bool:
        return bool(self._core.state_is_finite)

    @property
    def not_finite(self) -> tuple[str, int] | None:
        found: tuple[str, int] | None = self._not_finite or self._core.not_finite
        return found

    def _begin(self, options: CoreEpochOptions) -> bool:
        """Check that all ranks begin the same epoch; whether any of them has a hook."""
        numbers = [
            options.get(name) for name in ("learning_rate", "backprop_depth", "dropout", "weight_decay")
        ]
        own = digest(self._arrays), digest(*numbers), options.get("on_gradient") is not None
        weights, of_epoch, hooks = zip(*self._ranks.gather(_EPOCH, own), strict=True)
        self._ranks.check_same("The weights", weights)
        self._ranks.check_same("The learning rates or other options of the epoch", of_epoch)
        return any(hooks)

    def _end(self, loss: float, finite: bool) -> None:
        self._not_finite = None
        if not (finite and math.isfinite(loss)):
            places = self._ranks.gather("a number that is not finite", self._core.not_finite)
            self._not_finite = next((place for place in places if place is not None), None)


class SharedTrainer(_OfRanks):
    """Trains by steps that all ranks take together: synchronous gradient descent.

    Parameters
    ----------
    core : CoreTrainer
        The core's trainer, with this rank's part of the batch size.
    weights : Weights
        The arrays that it trains.
    parts : Parts
    """

    def run_epoch(
        self,
        X: Any,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        **options: Unpack[CoreEpochOptions],
    ) -> tuple[float, bool]:
        own = self._own_weights(order, sample_weight)
        terms, first_rows = self._parts.of_steps()
        looks = self._begin(options)
        if own is None:
            sums = terms.astype(np.float64)
        else:
            self._ranks.add_up(own)
            sums = weight_sums(own[0], own[1], self._arrays[0].dtype)
        self._to_come = int(np.count_nonzero(sums))
        if looks:
            options["on_gradient"] = self._agreeing("on_gradient", options.get("on_gradient"))
        if (on_step := options.get("on_step")) is not None:
            options["on_step"] = self._agreeing("the rule", on_step)
        shared = sums, terms, first_rows, self._add_up
        try:
            loss, finite = self._core.run_epoch(X, y, order, sample_weight, **options, shared=shared)
        except BaseException as error:
            if not self._ranks.is_known(error) and self._to_come:
                self._refuse_step(options["backprop_depth"])
            self._ranks.fail(error, _STEP)
            raise
        self._end(loss, finite)
        return loss, finite

    def _refuse_step(self, backprop_depth: int) -> None:
        """Send the others, who wait for this rank's part of the step, word that there is none."""
        try:
            part = np.zeros(self._core.count_sums(backprop_depth), self._arrays[0].dtype)
        except MemoryError:
            self._ranks.abort()
            raise
        part[-1] = 1
        self._ranks.add_up(part)

    def _add_up(self, sums: Array) -> None:
        """The core's hook. The last number is how many ranks will not go on."""
        sums[-1] = self._ranks.is_interrupted
        self._to_come -= 1
        self._ranks.add_up(sums)
        if sums[-1]:
            self._ranks.gather(_STEP)

    def _agreeing(self, what: str, function: Callable[..., None] | None) -> Callable[..., None]:
        """A function for the core after which no rank goes on unless it has succeeded on all."""

        def call(*arguments: Any) -> None:
            error: BaseException | None = None
            try:
                if function is not None:
                    function(*arguments)
            except BaseException as raised:
                error = raised
            self._ranks.settle(what, error)

        return call

    def _own_weights(self, order: Array | None, sample_weight: Array | None) -> Array | None:
        """For each step, the sum of the weights of this rank's rows, and of their magnitudes."""
        if sample_weight is None:
            return None
        weights = (sample_weight if order is None else sample_weight[order]).astype(np.float64)
        size, steps = self._parts.own_batch_size, self._parts.steps
        padded = np.zeros(steps * size)
        padded[: len(weights)] = weights
        of_steps = padded.reshape(steps, size)
        return np.stack([of_steps.sum(axis=1), np.abs(of_steps).sum(axis=1)])


_STEP = "a step"


class LocalTrainer(_OfRanks):
    """Trains by steps that each rank takes alone, with averages in between: local SGD.

    Stich, "Local SGD converges fast and communicates little", ICLR 2019. A rank counts in the average, of
    weights and of the rule's moments, by the weight of the rows that it has seen since the last one.

    Parameters
    ----------
    core, weights, parts
        As for `SharedTrainer`; the core's options are those of `local_step`.
    """

    def run_epoch(
        self,
        X: Any,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        **options: Unpack[CoreEpochOptions],
    ) -> tuple[float, bool]:
        on_gradient = options.pop("on_gradient", None)
        self._begin(options)
        learning_rate = options["learning_rate"]
        rows = np.arange(self._parts.own_rows, dtype=np.int64) if order is None else order
        size, k = self._parts.own_batch_size, self._ranks.sync_every
        total = seen = 0.0
        for first in range(0, self._parts.steps, k):
            now = rows[first * size : (first + k) * size]
            steps = -(-len(now) // size)
            rates = learning_rate
            if isinstance(rates, np.ndarray):
                rates = np.ascontiguousarray(rates[first : first + steps])
            loss, finite, weight = 0.0, True, 0.0
            error: BaseException | None = None
            try:
                before = self._core.step
                if steps:
                    options["learning_rate"] = rates
                    loss, finite = self._core.run_epoch(
                        X, y, now, sample_weight, **options, on_gradient=on_gradient
                    )
                if self._core.step > before:
                    weight = len(now) if sample_weight is None else float(np.abs(sample_weight[now]).sum())
            except BaseException as raised:
                error = raised
            found = self._ranks.settle("an average", error, (weight, self._core.step, loss, len(now), finite))
            weights, taken, losses, counts, all_finite = (np.array(each) for each in zip(*found, strict=True))
            counts = np.where(weights > 0, counts, 0)  # steps without weight have no loss
            total += float(np.dot(counts, np.where(counts > 0, losses, 0.0)))
            seen += float(counts.sum())
            if not all_finite.all():
                self._end(math.nan, False)
                return math.nan, False
            if weights.sum() > 0:
                self._average(weight / weights.sum(), int(taken.max()))
        loss = total / seen if seen else math.nan
        self._end(loss, True)
        return loss, True

    def _average(self, share: float, step: int) -> None:
        """Average weights and moments, of which this rank has a share; the steps taken become ``step``."""
        state = self._core.state_dict()
        moments = [array for slot in state["slots"].values() for array in slot]
        arrays = [*self._arrays, *moments]
        flat = np.concatenate([array.ravel() for array in arrays])
        flat *= flat.dtype.type(share)
        self._ranks.add_up(flat)
        for array, values in zip(
            arrays, np.split(flat, np.cumsum([a.size for a in arrays])[:-1]), strict=True
        ):
            array[...] = values.reshape(array.shape)
        self._core.load()
        self._core.load_state_dict({**state, "step": step})


def local_step(step: StepOptions, ranks: Ranks) -> StepOptions:
    """The options of a rank's own steps: its batches are smaller, but the penalty weighs as much."""
    return replace(step, alpha=step.alpha / ranks.size)


def of_ranks(core: CoreTrainer, weights: Weights, parts: Parts) -> CoreTrainer:
    """The core's trainer as one of several that train together."""
    assert parts.ranks is not None
    kind = SharedTrainer if parts.ranks.sync_every == 1 else LocalTrainer
    return kind(core, weights, parts)
