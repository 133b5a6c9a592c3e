"""Training by a rule that sees whole gradients: the core's trainer with the rule in its place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any, Unpack

import numpy as np

from gdfast.optim._whole import Layout, Slots, Whole, WholeRule, copied
from gdfast.training.arrays import Array
from gdfast.training.blas import on_threads
from gdfast.training.losses import Loss
from gdfast.training.network import MLP, Network
from gdfast.training.options import StepOptions
from gdfast.training.trainer import CoreTrainer, EpochOptions, Trainer
from gdfast.training.weights import NORMS, Weights


def is_whole(rule: str) -> bool:
    """Whether it is the name of a rule that sees whole gradients."""
    return rule in WholeRule.kinds


class WholeTrainer:
    """A trainer with the interface `Trainer`.

    Parameters
    ----------
    rule : str
    rule_params : dict
    weights : Weights
        The arrays that ``core`` trains.
    core : Trainer
        It sums gradients, limits them, and takes over what the rule makes of the weights.
    step : StepOptions
    network, loss
        What is trained, for a rule that needs its Kronecker factors.
    batch_size, seed : int
    """

    def __init__(
        self,
        rule: str,
        rule_params: dict[str, Any],
        weights: Weights,
        core: CoreTrainer,
        step: StepOptions,
        *,
        network: Network,
        loss: Loss,
        batch_size: int,
        seed: int,
    ) -> None:
        kind = WholeRule.kinds[rule]
        self._has_modes = kind._has_modes
        self._rule = Whole(kind, kind(**rule_params)._core.params)
        self._core = core
        self._arrays = _in_order(weights)
        self._n_layers = len(weights.coefs)
        self._layers = _layers(weights)
        self._rates = _rates(weights, step.learning_rate_factors)
        self._weight_decay = step.weight_decay
        self._network, self._loss = network, loss
        self._batch_size, self._seed = batch_size, seed
        self._rule.slots_now = self._rule.begin(self._arrays)
        self.load = core.load
        self._pending: Slots | None = None

    @property
    def step(self) -> int:
        return self._core.step

    @property
    def records(self) -> Any:
        return self._core.records

    @property
    def state_is_finite(self) -> bool:
        return self._not_finite() is None

    @property
    def not_finite(self) -> tuple[str, int] | None:
        found = self._core.not_finite
        if found is None and (array := self._not_finite()) is not None:
            return "moments", self._layers[array] if array < len(self._layers) else 0
        return found

    def _not_finite(self) -> int | None:
        for arrays in self._rule.slots_now.values():
            for i, array in enumerate(arrays):
                if not np.isfinite(array).all():
                    return i
        return None

    def state_dict(self) -> Any:
        return {**self._core.state_dict(), "slots": copied(self._rule.slots_now)}

    def load_state_dict(self, state: Any) -> None:
        self._rule.load_state_dict({"step": state["step"], "slots": state["slots"]})
        self._core.load_state_dict({**state, "slots": {}})

    def run_epoch(
        self,
        X: Any,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        **options: Unpack[EpochOptions],
    ) -> tuple[float, bool]:
        of_epoch = options.pop("weight_decay", None)
        decay = self._weight_decay if of_epoch is None else of_epoch
        decay += self._rule.params["weight_decay"]
        first_layer = self._n_layers - options["backprop_depth"]
        trained = [layer >= first_layer for layer in self._layers]
        is_matrix = [array.ndim == 2 for array in self._arrays]
        hidden = [i < self._n_layers - 1 for i in range(len(self._arrays))]

        needs_factors = self._rule.kind._needs_factors
        batches = _Batches(X, y, order, sample_weight, self._batch_size)

        def take_step(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
            self._settle()
            factors = partial(self._factors, params, batches, number) if needs_factors else None
            layout = Layout(self._rates, is_matrix, hidden, trained, inputs_first=True, factors=factors)
            new, slots = self._rule.next(params, grads, rate, layout, decay)
            for param, values in zip(params, new, strict=True):
                param[...] = values
            self._pending = slots

        steps_before = self._core.step
        outside = self._rule.slots_now
        if self._has_modes:
            self._begin_mode()
            outside = self._rule.slots_now
        finite = False
        try:
            with _blas_threads(self._arrays, self._network.n_threads):
                loss, finite = self._core.run_epoch(X, y, order, sample_weight, **options, on_step=take_step)
        finally:
            # A step that has been given up leaves the rule as it was.
            if self._rule.steps < self._core.step:
                self._settle()
            self._pending = None
            if self._has_modes:
                self._end_mode(outside, keeps=self._core.step > steps_before)
        return loss, finite

    def _factors(self, params: list[Array], batches: _Batches, number: int, sampled: bool) -> Any:
        """The Kronecker factors of a batch; ``sampled`` is whether for targets that the network draws."""
        assert isinstance(self._network, MLP)
        return self._network.kronecker_factors(
            params[: self._n_layers],
            params[self._n_layers :],
            self._loss,
            batches.X,
            batches.drawn if sampled else batches.y,
            batches.rows(number),
            batches.weight,
            (self._seed, self._rule.steps) if sampled else None,
        )

    def _settle(self) -> None:
        """Take over the rule's state after a step that has been taken."""
        if self._pending is not None:
            self._rule.commit(self._pending)
            self._pending = None

    # Between epochs the arrays are those that the rule averages; the gradients are those of other points.

    def _begin_mode(self) -> None:
        rule = self._rule
        rule.slots_now, points = rule.kind._to_points(rule.params, self._arrays, rule.slots_now, rule.steps)
        for array, values in zip(self._arrays, points, strict=True):
            array[...] = values
        self._core.load()

    def _end_mode(self, before: Slots, *, keeps: bool) -> None:
        averages = self._rule.kind._averages(self._rule.slots_now if keeps else before)
        if not all(np.isfinite(array).all() for array in averages):
            averages = self._rule.kind._averages(before)
        for array, values in zip(self._arrays, averages, strict=True):
            array[...] = values


# Multiply-adds of a product of matrices that pay for several threads of BLAS. Those wait for one another by
# spinning, as the core's do: with a core too few, a product of small matrices takes milliseconds.
_LARGE_PRODUCT = 1e8


def _blas_threads(arrays: Sequence[Array], n_threads: int) -> Any:
    """A context in which BLAS has the number of threads for products of these matrices."""
    shapes = [array.shape for array in arrays if array.ndim == 2]
    largest = max(rows * columns * min(rows, columns) for rows, columns in shapes)
    if largest < _LARGE_PRODUCT:
        return on_threads(1, beside_core=True)
    if not n_threads:
        return nullcontext()
    return on_threads(min(n_threads, os.cpu_count() or 1), beside_core=True)


class _Batches:
    """The rows of an epoch, for Kronecker factors."""

    def __init__(
        self, X: Any, y: Array, order: Array | None, sample_weight: Array | None, batch_size: int
    ) -> None:
        self.X, self.y = X, y
        self._weight = sample_weight
        self._order = order
        self._batch_size = batch_size

    def rows(self, number: int) -> Array:
        """The rows of a batch, for its number in the epoch."""
        order = np.arange(len(self.y)) if self._order is None else self._order
        return order[number * self._batch_size : (number + 1) * self._batch_size]

    @cached_property
    def weight(self) -> Array | None:
        return None if self._weight is None else np.abs(self._weight)

    @cached_property
    def drawn(self) -> Array:
        """A place for targets that are drawn."""
        return self.y.copy()


def _in_order(weights: Weights) -> list[Array]:
    """The trained arrays in the core's order: weights, biases, each normalised layer's gamma and beta."""
    norms = zip(*(weights.lists.get(name, ()) for name in NORMS[:2]), strict=True)
    return [*weights.coefs, *weights.intercepts, *(array for pair in norms for array in pair)]


def _layers(weights: Weights) -> list[int]:
    """The number of the matrix that each array belongs to."""
    n = len(weights.coefs)
    hidden = range(len(weights.lists.get(NORMS[0], ())))
    return [*range(n), *range(n), *(i for i in hidden for _ in range(2))]


def _rates(weights: Weights, factors: Any) -> list[float]:
    """The factor of the learning rate for each array."""
    of_group = {name: (factors or {}).get(name) for name in ("coefs_", "intercepts_", *NORMS[:2])}
    each = Weights(
        {
            name: [np.asarray(f) for f in of_group[name] or [1.0] * len(weights.lists[name])]
            for name in of_group
            if name in weights.lists
        }
    )
    return [float(factor) for factor in _in_order(each)]


def core_rule(rule: str, rule_params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The rule and hyper-parameters of the core's trainer; a rule over whole gradients takes its place."""
    return ("sgd", {"momentum": 0.0, "nesterov": 0.0}) if is_whole(rule) else (rule, rule_params)


def with_rule(
    core: CoreTrainer,
    rule: str,
    rule_params: dict[str, Any],
    network: Network,
    weights: Weights,
    loss: Loss,
    step: StepOptions,
    *,
    batch_size: int,
    seed: int,
) -> Trainer:
    """The core's trainer, with the rule in its place if it sees whole gradients."""
    if not is_whole(rule):
        return core
    return WholeTrainer(
        rule, rule_params, weights, core, step, network=network, loss=loss, batch_size=batch_size, seed=seed
    )
