"""Training by a rule that sees whole gradients: the core's trainer with the rule in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdfast.optim._whole import Layout, Slots, Whole, WholeRule, copied
from gdfast.training.arrays import Array
from gdfast.training.network import CoreTrainer, Network, Trainer
from gdfast.training.options import StepOptions
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
    batch_factors : callable or None
        For a rule that needs them, ``batch_factors(X, y, rows, sample_weight, sampled, seed)`` computes
        Kronecker factors.
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
        batch_factors: Callable[..., Any] | None,
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
        self._batch_factors, self._batch_size, self._seed = batch_factors, batch_size, seed
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
        *,
        learning_rate: Any,
        backprop_depth: int,
        on_gradient: Callable[[list[Array]], None] | None = None,
        dropout: Sequence[float] | None = None,
        weight_decay: float | None = None,
    ) -> tuple[float, bool]:
        decay = self._weight_decay if weight_decay is None else weight_decay
        decay += self._rule.params["weight_decay"]
        first_layer = self._n_layers - backprop_depth
        trained = [layer >= first_layer for layer in self._layers]
        is_matrix = [array.ndim == 2 for array in self._arrays]
        hidden = [i < self._n_layers - 1 for i in range(len(self._arrays))]

        def take_step(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
            self._settle()
            factors = None
            if self._batch_factors is not None:
                batch = slice(number * self._batch_size, (number + 1) * self._batch_size)
                rows = np.arange(len(y))[batch] if order is None else order[batch]

                def factors(sampled: bool) -> Any:
                    assert self._batch_factors is not None
                    seed = (self._seed, self._rule.steps) if sampled else None
                    return self._batch_factors(X, y, rows, sample_weight, seed)

            layout = Layout(self._rates, is_matrix, hidden, trained, inputs_first=True, factors=factors)
            new, slots = self._rule.next(params, grads, rate, layout, decay)
            for param, values in zip(params, new, strict=True):
                param[...] = values
            self._pending = slots

        steps_before = self._core.step
        outside = self._rule.slots_now
        arguments: dict[str, Any] = {} if dropout is None else {"dropout": dropout}
        if self._has_modes:
            self._begin_mode()
            outside = self._rule.slots_now
        finite = False
        try:
            loss, finite = self._core.run_epoch(
                X,
                y,
                order,
                sample_weight,
                learning_rate=learning_rate,
                backprop_depth=backprop_depth,
                on_gradient=on_gradient,
                on_step=take_step,
                **arguments,
            )
        finally:
            # A step that has been given up leaves the rule as it was.
            if self._rule.steps < self._core.step:
                self._settle()
            self._pending = None
            if self._has_modes:
                self._end_mode(outside, keeps=self._core.step > steps_before)
        return loss, finite

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
    loss: Any,
    step: StepOptions,
    *,
    batch_size: int,
    seed: int,
) -> Trainer:
    """The core's trainer, with the rule in its place if it sees whole gradients."""
    if not is_whole(rule):
        return core
    batch_factors = None
    if WholeRule.kinds[rule]._needs_factors:
        batch_factors = network.kronecker_factors(weights, loss)
    return WholeTrainer(
        rule, rule_params, weights, core, step, batch_factors=batch_factors, batch_size=batch_size, seed=seed
    )
