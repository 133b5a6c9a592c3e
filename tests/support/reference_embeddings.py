"""Embeddings in plain NumPy: reference_layers.py's trainer on tables with embedded columns.

An embedded column of n categories has a trained array E of shape (n, d). Its d inputs are ``E[number]``, and
zeros where the row has no category. A step trains the rows of the categories that its batch has, on rows of
some weight: gradient, penalty, decay and rule's state of all others stay out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import reference
import reference_layers
import reference_rules
from gdfast.training.encoding import CategoryColumn, EncodedRows, Encoding
from numpy.typing import NDArray

Array = NDArray[Any]


def embedded(encoding: Encoding) -> list[tuple[int, slice]]:
    """Of each embedded column its number, and its inputs."""
    found, first = [], 0
    for i, column in enumerate(encoding.columns):
        if isinstance(column, CategoryColumn) and column.embedding:
            found.append((i, slice(first, first + column.embedding)))
        first += column.n_inputs
    return found


def has_category(numbers: Array, n_categories: int) -> Array:
    with np.errstate(invalid="ignore"):
        return (numbers >= 0) & (numbers < n_categories)


def encode(X: EncodedRows, embeddings: Sequence[Array]) -> Array:
    """The inputs of a table."""
    inputs = X.toarray([np.zeros_like(array) for array in embeddings])
    for (column, place), array in zip(embedded(X.encoding), embeddings, strict=True):
        numbers = X.table[:, column]
        known = has_category(numbers, len(array))
        inputs[known, place] = array[numbers[known].astype(int)]
    return inputs


class Trainer(reference_layers.Trainer):
    """``embeddings``: the caller's arrays, in the order of the embedded columns."""

    def __init__(self, *args: Any, embeddings: Sequence[Array], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.first_embedding = len(self.plain)
        self.plain = [*self.plain, *embeddings]
        self.load()
        self.slots = {
            name: [np.full_like(p, value) for p in self.plain]
            for name, value in reference_rules.slots(self.rule, self.rule_params).items()
        }
        self.limits: list[float] = []

    @property
    def embeddings(self) -> list[Array]:
        return self.params[self.first_embedding :]

    def train_step(
        self,
        X: Any,
        y: Array,
        sample_weight: Array | None,
        learning_rate: float,
        backprop_depth: int | None,
    ) -> float:
        counts = np.ones(len(X), bool) if sample_weight is None else sample_weight != 0
        self.places, self.batch_categories = [place for _, place in embedded(X.encoding)], []
        self.numbers = []
        for (column, _), array in zip(embedded(X.encoding), self.embeddings, strict=True):
            numbers = X.table[:, column]
            known = has_category(numbers, len(array)) & counts
            self.numbers.append(np.where(known, numbers, -1).astype(int))
            self.batch_categories.append(np.unique(self.numbers[-1][known]))
        inputs = encode(X, self.embeddings)
        rows = [array[c] for array, c in zip(self.embeddings, self.batch_categories, strict=True)]
        loss = super().train_step(inputs, y, sample_weight, learning_rate, backprop_depth)
        if backprop_depth in (None, len(self.dropout)):
            total = reference.total_weight(len(X), sample_weight)
            loss += reference.penalty(rows, self.alpha, total, self.l1_ratio)
        return loss

    def back_to_inputs(self, grads: list[Array | None], gradient: Array, total: float) -> None:
        every = zip(self.embeddings, self.numbers, self.places, self.batch_categories, strict=True)
        for i, (array, numbers, place, batch) in enumerate(every):
            sums = np.zeros_like(array)
            np.add.at(sums, numbers[numbers >= 0], gradient[numbers >= 0, place])
            rows = array[batch]
            sums[batch] += self.alpha * ((1 - self.l1_ratio) * rows + self.l1_ratio * np.sign(rows)) / total
            grads[self.first_embedding + i] = sums

    def limited(self, grads: list[Array | None]) -> list[Array | None]:
        """Limits, for which each array of embeddings is a layer."""
        if self.clip_value is not None:
            grads = [None if g is None else np.clip(g, -self.clip_value, self.clip_value) for g in grads]
        if self.clip_layer_norm is not None:
            layers = len(self.dropout)
            groups = [[i, layers + i] for i in range(layers)]
            groups += [[i] for i in range(self.first_embedding, len(grads))]
            for group in groups:
                there = [i for i in group if grads[i] is not None]
                clipped = reference.clipped_to([grads[i] for i in there], self.clip_layer_norm)  # type: ignore[misc]
                for i, g in zip(there, clipped, strict=True):
                    grads[i] = g
        if self.clip_norm == "auto":
            self.limits.append(reference.norm([g for g in grads if g is not None]))
            size, limit = self.limits[-1], reference.auto_limit(self.limits)
            return [None if g is None else g * min(1.0, limit / size) for g in grads]
        return super().limited(grads)

    def update(self, grads: Sequence[Array | None], learning_rate: float) -> None:
        """The rule: on rows of the batch's categories only, where it is embeddings that it moves."""
        kept = 1 - learning_rate * self.decay
        for i in range(self.n_weights):
            if grads[i] is not None:
                self.params[i] = self.params[i] * (1 - learning_rate * self.factors[i] * self.decay)
        super().update([*grads[: self.first_embedding], *[None] * len(self.embeddings)], learning_rate)
        for i in range(self.first_embedding, len(grads)):
            grad = grads[i]
            if grad is None:
                continue
            batch = self.batch_categories[i - self.first_embedding]
            state = {name: arrays[i][batch] for name, arrays in self.slots.items()}
            rule = reference_rules.RULES[self.rule]
            rows, state = rule(
                self.params[i][batch] * kept,
                grad[batch],
                state,
                self.step,
                lr=learning_rate,
                **self.rule_params,
            )
            self.params[i][batch] = rows
            for name, array in state.items():
                self.slots[name][i][batch] = array
