"""Small made-up problems on sequences, and trainers of the core and of the reference on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import problems
import reference
import reference_recurrent as ref
from gdfast import _core
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

CELLS = ("elman_tanh", "elman_relu", "gru", "lstm")
SGD: tuple[str, dict[str, float]] = ("sgd", {"momentum": 0.0, "nesterov": 0})
ADAM: tuple[str, dict[str, float]] = ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8})


@dataclass(frozen=True)
class SequenceProblem:
    cell: str
    X: Array  # the steps of all sequences after one another
    starts: Array
    y: Array
    coefs: list[Array]
    intercepts: list[Array]
    loss: str
    per_step: bool
    sample_weight: Array | None = None

    @property
    def parameters(self) -> list[Array]:
        return [*self.coefs, *self.intercepts]

    @property
    def sequences(self) -> list[Array]:
        return np.split(self.X, self.starts[1:-1])

    @property
    def units(self) -> list[int]:
        return [u.shape[0] for u in self.coefs[1:-1:2]]

    def states(self, seed: int | None = None) -> list[Array]:
        """One array for each layer: zeros, or random ones."""
        rng = np.random.default_rng(seed)
        shapes = [(len(self.starts) - 1, ref.STATES[self.cell] * n) for n in self.units]
        return [
            (np.zeros(shape) if seed is None else rng.uniform(-1, 1, shape)).astype(self.X.dtype)
            for shape in shapes
        ]

    def as_type(self, dtype: DTypeLike) -> SequenceProblem:
        def cast(a: Array) -> Array:
            return a.astype(dtype) if a.dtype.kind == "f" else a

        weight = None if self.sample_weight is None else cast(self.sample_weight)
        return replace(
            self,
            X=cast(self.X),
            y=cast(self.y),
            coefs=[cast(a) for a in self.coefs],
            intercepts=[cast(a) for a in self.intercepts],
            sample_weight=weight,
        )

    def trainer(
        self,
        kind: Any = None,
        *,
        rule: tuple[str, dict[str, float]] = SGD,
        learning_rate: float = 0.1,
        **options: Any,
    ) -> Run:
        return Run(self, kind or _core.SequenceTrainer, rule, learning_rate, options)

    def forward(self, states: Sequence[Array] | None = None) -> tuple[Array, list[Array]]:
        return ref.forward(
            self.sequences,
            self.cell,
            self.coefs,
            self.intercepts,
            reference.OUTPUT_OF[self.loss],
            per_step=self.per_step,
            initial=states,
        )


class Run:
    """A trainer with the arrays that it trains."""

    def __init__(
        self,
        p: SequenceProblem,
        kind: Any,
        rule: tuple[str, dict[str, float]],
        learning_rate: float,
        options: dict[str, Any],
    ) -> None:
        self.p, self.learning_rate = p, learning_rate
        self.coefs, self.intercepts = [a.copy() for a in p.coefs], [a.copy() for a in p.intercepts]
        self.trainer = kind(
            self.coefs,
            self.intercepts,
            p.cell,
            p.loss,
            per_step=p.per_step,
            rule=rule[0],
            rule_params=rule[1],
            **options,
        )

    @property
    def parameters(self) -> list[Array]:
        return [*self.coefs, *self.intercepts]

    def epoch(self, order: Array | None = None, states: list[Array] | None = None) -> tuple[float, bool]:
        p = self.p
        return self.trainer.run_epoch(
            p.X, p.starts, p.y, order, p.sample_weight, learning_rate=self.learning_rate, states=states
        )


def sequence_problem(
    cell: str,
    *,
    features: int,
    hidden: Sequence[int],
    outputs: int,
    lengths: Sequence[int],
    per_step: bool = False,
    loss: str = "squared_error",
    weighted: bool = False,
    dtype: DTypeLike = np.float64,
    seed: int = 0,
) -> SequenceProblem:
    rng = np.random.default_rng([seed, features, *hidden, *lengths])
    shapes = []
    inputs = features
    for units in hidden:
        shapes += [(inputs, ref.GATES[cell] * units), (units, ref.GATES[cell] * units)]
        inputs = units
    shapes.append((inputs, outputs))
    coefs = [(rng.standard_normal(shape) / np.sqrt(shape[0])).astype(dtype) for shape in shapes]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    terms = int(starts[-1]) if per_step else len(lengths)
    return SequenceProblem(
        cell=cell,
        X=rng.standard_normal((int(starts[-1]), features)).astype(dtype),
        starts=starts,
        y=problems.targets(rng, loss, terms, outputs, dtype),
        coefs=coefs,
        intercepts=[(0.3 * rng.standard_normal(shape[1])).astype(dtype) for shape in shapes],
        loss=loss,
        per_step=per_step,
        # Some terms weigh nothing: they must leave no trace.
        sample_weight=rng.integers(0, 4, terms).astype(dtype) if weighted else None,
    )
