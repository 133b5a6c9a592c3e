"""Small made-up problems, and the measure by which results are compared with the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
MORE_ACTIVATIONS: tuple[Any, ...] = (
    "leaky_relu", ("leaky_relu", 0.3), ("leaky_relu", 0.0), "elu", ("elu", 0.5), "selu", "gelu", "gelu_tanh",
    "silu", "mish", "softplus", "softsign", "hard_tanh",
)  # fmt: skip
LOSSES = ("cross_entropy", "binary_cross_entropy", "squared_error", "poisson")
MORE_LOSSES: tuple[Any, ...] = ("absolute_error", ("huber", [0.7]), ("cross_entropy", [0.2]), "quantile")

# One: a single row, input or unit. Odd. One beside the vectors of every ISA (4, 8 and 16 numbers) and beside
# the panels (8, 16 and 32 columns). The last ones span several panels and the blocks of rows.
AWKWARD = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 100)


@dataclass(frozen=True)
class Problem:
    X: Array
    y: Array
    coefs: list[Array]
    intercepts: list[Array]
    activations: list[Any]
    loss: Any
    sample_weight: Array | None = None

    def arrays(self) -> list[Array]:
        weight = [] if self.sample_weight is None else [self.sample_weight]
        return [self.X, self.y, *self.coefs, *self.intercepts, *weight]

    def in_float64(self) -> Problem:
        """The same numbers in float64: what the kernels' float32 results are measured against."""
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in self.arrays()]
        X, y, *rest = wide
        layers = len(self.coefs)
        weight = None if self.sample_weight is None else rest[-1]
        return replace(
            self, X=X, y=y, coefs=rest[:layers], intercepts=rest[layers : 2 * layers], sample_weight=weight
        )


def network(
    rng: np.random.Generator, sizes: Sequence[int], dtype: DTypeLike, gain: float = 1.0
) -> tuple[list[Array], list[Array]]:
    """Weights that keep the size of what goes through them, whatever the widths."""
    pairs = list(pairwise(sizes))
    coefs = [(gain * rng.standard_normal((i, o)) / np.sqrt(max(i, 1))).astype(dtype) for i, o in pairs]
    intercepts = [(0.3 * rng.standard_normal(o)).astype(dtype) for _, o in pairs]
    return coefs, intercepts


def levels(k: int) -> tuple[str, list[float]]:
    """The loss of k quantiles."""
    return "quantile", [(j + 1) / (k + 1) for j in range(k)]


def targets(rng: np.random.Generator, loss: str, n: int, k: int, dtype: DTypeLike) -> Array:
    if loss == "cross_entropy":
        return rng.integers(0, k, n).astype(np.int32)
    if loss == "binary_cross_entropy":
        # Mostly classes, and some probabilities in between, as label smoothing gives.
        soft = rng.random((n, k))
        return np.where(soft < 0.3, soft, soft > 0.6).astype(dtype)
    if loss == "poisson":
        return rng.poisson(1.0, (n, k)).astype(dtype)  # a good third of them are 0
    if loss == "quantile":
        return rng.standard_normal((n, 1)).astype(dtype)
    return rng.standard_normal((n, k)).astype(dtype)


def problem(
    loss: Any,
    sizes: Sequence[int],
    n: int,
    dtype: DTypeLike = np.float64,
    *,
    activation: Any = "tanh",
    weighted: bool = False,
    seed: int = 0,
) -> Problem:
    rng = np.random.default_rng([seed, n, *sizes])
    coefs, intercepts = network(rng, sizes, dtype)
    hidden = len(sizes) - 2
    return Problem(
        X=rng.standard_normal((n, sizes[0])).astype(dtype),
        y=targets(rng, loss if isinstance(loss, str) else loss[0], n, sizes[-1], dtype),
        coefs=coefs,
        intercepts=intercepts,
        activations=list(activation) if isinstance(activation, list) else [activation] * hidden,
        loss=levels(sizes[-1]) if loss == "quantile" else loss,
        # Some rows weigh nothing: they must leave no trace.
        sample_weight=rng.integers(0, 4, n).astype(dtype) if weighted else None,
    )


def norm_error(actual: Array, expected: Array, scale: Array | None = None) -> float:
    """Distance of two arrays, relative to the norm of the expected one (or of ``scale``, if larger)."""
    assert actual.shape == expected.shape
    distance = float(np.linalg.norm(np.asarray(actual, np.float64) - expected))
    size = max(float(np.linalg.norm(a)) for a in ((expected,) if scale is None else (expected, scale)))
    return 0.0 if distance == 0 else distance / size if size > 0 else np.inf


def same_bits(first: Sequence[Array], second: Sequence[Array]) -> bool:
    """Equal to the last bit: -0 is not 0, and NaN is itself."""
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(first, second, strict=True)
    )
