"""Kronecker factors of the Fisher matrix against their definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from builds import needs_threads
from gdfast import _core
from gdfast.kernels import mlp_kronecker_factors
from problems import LOSSES, MORE_ACTIVATIONS, MORE_LOSSES, Problem, norm_error, problem, same_bits


def factors_of(p: Problem, **arguments: Any) -> list[Any]:
    return mlp_kronecker_factors(
        p.X, p.y, p.coefs, p.intercepts, activation=list(p.activations), loss=p.loss, **arguments
    )


def check(p: Problem, sample_weight: Any = None) -> None:
    dtype = p.X.dtype
    found = factors_of(p, sample_weight=sample_weight)
    wide = [np.asarray(a, np.float64) for a in (p.X, *p.coefs, *p.intercepts)]
    n = len(p.coefs)
    y = p.y.astype(np.float64) if p.y.dtype.kind == "f" else p.y
    weight = None if sample_weight is None else sample_weight.astype(np.float64)
    expected = reference.kronecker_factors(
        wide[0], y, wide[1 : n + 1], wide[n + 1 :], p.activations, p.loss, weight
    )
    # Sums over some hundred rows of what a few layers have rounded.
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    for pair, wanted in zip(found, expected, strict=True):
        for factor, other in zip(pair, wanted, strict=True):
            assert factor.dtype == dtype
            assert factor.shape == other.shape
            assert norm_error(factor, other) <= tolerance


@pytest.mark.parametrize("loss", [*LOSSES, *MORE_LOSSES], ids=str)
def test_every_loss(loss: Any, dtype: type) -> None:
    if loss == "quantile":
        loss = ("quantile", [0.1, 0.5, 0.9])
    check(problem(loss, (5, 7, 3), 40, dtype))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu", *MORE_ACTIVATIONS], ids=str)
def test_every_activation(activation: Any, dtype: type) -> None:
    check(problem("squared_error", (4, 6, 5, 2), 30, dtype, activation=activation))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 3, 1), (33, 17, 65, 9), (100, 1), (64, 40, 2)], ids=str)
@pytest.mark.parametrize("n", [1, 31, 1100])
def test_awkward_sizes(sizes: tuple[int, ...], n: int, dtype: type) -> None:
    check(problem("squared_error", sizes, n, dtype))


def test_weights_and_rows(dtype: type) -> None:
    p = problem("cross_entropy", (5, 6, 3), 50, dtype)
    weight = np.random.default_rng(0).integers(0, 4, 50).astype(dtype)
    check(p, weight)
    rows = np.random.default_rng(1).permutation(50)[:20].astype(np.int64)
    arguments = (p.coefs, p.intercepts, p.activations, p.loss)
    some = _core.kronecker_factors(p.X, p.y, *arguments, rows=rows, sample_weight=weight)
    alone = _core.kronecker_factors(p.X[rows], p.y[rows], *arguments, sample_weight=weight[rows])
    for pair, other in zip(some, alone, strict=True):
        assert same_bits(list(pair), list(other))


@needs_threads
def test_the_same_bits_for_any_number_of_threads(dtype: type) -> None:
    p = problem("squared_error", (64, 100, 50), 1500, dtype)
    one, two, many = (factors_of(p, n_threads=n) for n in (1, 2, 7))
    for a, b, c in zip(one, two, many, strict=True):
        assert same_bits(list(a), list(b))
        assert same_bits(list(a), list(c))


def test_wrong_arguments() -> None:
    p = problem("squared_error", (4, 3, 2), 10)

    def call(**change: Any) -> Any:
        arguments = {"X": p.X, "y": p.y, "weights": p.coefs, "biases": p.intercepts, **change}
        return mlp_kronecker_factors(**arguments)

    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"X": p.X[:0], "y": p.y[:0]}, ValueError, "X must have at least one row"),
        ({"X": p.X.astype(np.float32)}, TypeError, "float32"),
        ({"y": p.y[:5]}, ValueError, "y must have shape"),
        ({"weights": p.coefs[:1]}, ValueError, "weights|biases"),
        ({"sample_weight": -np.ones(10)}, ValueError, "sample_weight must not be negative"),
        ({"sample_weight": np.zeros(10)}, ValueError, "sample_weight sums to zero"),
        ({"sample_weight": np.full(10, np.nan)}, ValueError, "sample_weight must not be negative"),
        ({"loss": "none"}, ValueError, "loss"),
    ]
    for change, error, message in cases:
        with pytest.raises(error, match=message):
            call(**change)
    sparse = (np.ones(1), np.zeros(1, np.int32), np.r_[0, np.ones(10)].astype(np.int32))
    with pytest.raises((ValueError, TypeError), match="X"):
        call(X=sparse)
