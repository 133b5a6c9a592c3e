"""Factors of the learning rate for groups of parameters: against the reference, by hand, beside others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
import reference_layers
import reference_recurrent
from gdfast import _core
from numpy.typing import NDArray
from problems import norm_error, problem, same_bits
from runs import ALL_RULES, MORE_RULES, RULES, Run
from sequences import ADAM, sequence_problem

Array = NDArray[Any]

SIZES, ROWS = [7, 17, 40, 9, 3], 23  # several panels, and an output layer that is narrow
FACTORS = {"coefs": [0.5, 2.0, 0.0, 1.0], "intercepts": [0.1, 0.3, 1.0, 4.0]}
# As in test_training and test_dropout_norm.
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-4}
TOLERANCE_OF_NORMS = {np.float64: 1e-11, np.float32: 5e-4}
STEPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay and penalty": {"weight_decay": 0.5, "alpha": 0.3},
    "limits": {"weight_decay": 0.5, "alpha": 0.3, "l1_ratio": 0.4, "clip_norm": 0.4, "clip_value": 0.1},
}


def train(run: Run, epochs: int = 2, **options: Any) -> Run:
    rng = np.random.default_rng(5)
    p = run.p
    for i in range(epochs):
        _, finite = run.trainer.run_epoch(
            p.X, p.y, rng.permutation(len(p.X)), p.sample_weight,
            **{"learning_rate": run.learning_rate / (i + 1), **options},
        )  # fmt: skip
        assert finite
    return run


def check_as_the_reference(rule: str, dtype: Any, **options: Any) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype, weighted=True)
    ours = train(Run(p, rule, **options))
    theirs = train(Run(p.in_float64(), rule, kind=reference.Trainer, **options))
    for i, (actual, wanted) in enumerate(zip(ours.arrays, theirs.arrays, strict=True)):
        assert norm_error(actual, wanted) <= TOLERANCE[dtype], f"array {i}"


# ------------------------------------------------------------------------------------------- as the reference


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("rule", [*RULES, *MORE_RULES])
def test_every_rule(rule: str, threads: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
    check_as_the_reference(rule, dtype, learning_rate_factors=FACTORS)


@pytest.mark.parametrize("given", ["coefs", "intercepts"])
@pytest.mark.parametrize("options", STEPS)
def test_one_group_beside_the_other_options(options: str, given: str, dtype: type) -> None:
    factors = {given: FACTORS[given]}
    check_as_the_reference("nesterov", dtype, learning_rate_factors=factors, **STEPS[options])


@pytest.mark.parametrize("rule", ["nesterov", "adam", "optim adamw"])
def test_batch_norm(rule: str, dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    factors = {**FACTORS, "bn_gamma": [3.0, 0.0, 0.2], "bn_beta": [0.0, 0.4, 2.0]}
    which = [True, False, True]
    found = []
    for kind, q in ((_core.Trainer, p), (reference_layers.Trainer, p.in_float64())):
        rng = np.random.default_rng(4)
        norms = [
            tuple(rng.uniform(0.5, 1.5, n).astype(q.X.dtype) for _ in range(4)) if normalised else None
            for n, normalised in zip(SIZES[1:-1], which, strict=True)
        ]
        run = Run(q, rule, kind=kind, batch_norm=norms, learning_rate_factors=factors)
        train(run)
        found.append([*run.arrays, *(a for four in norms if four is not None for a in four)])
    for i, (actual, wanted) in enumerate(zip(*found, strict=True)):
        assert norm_error(actual, wanted) <= TOLERANCE_OF_NORMS[p.X.dtype.type], f"array {i}"


@pytest.mark.parametrize("cell", ["elman_tanh", "gru", "lstm"])
def test_recurrent_layers(cell: str, dtype: type) -> None:
    p = sequence_problem(cell, features=3, hidden=[5, 4], outputs=2, lengths=[7, 3, 9, 1, 4], dtype=dtype)
    factors = {"coefs": [0.5, 2.0, 0.0, 1.0, 0.1], "intercepts": [1.0, 0.0, 0.3, 2.0, 1.0]}
    options: dict[str, Any] = {
        "rule": ADAM, "learning_rate": 0.01, "batch_size": 3, "learning_rate_factors": factors
    }  # fmt: skip
    ours = p.trainer(**options)
    theirs = p.as_type(np.float64).trainer(reference_recurrent.Trainer, **options)
    order = np.arange(5)
    for run in (ours, theirs):
        for _ in range(2):
            run.epoch(order, None)
    for a, b in zip(ours.parameters, theirs.parameters, strict=True):
        assert norm_error(a, b) < {np.float64: 1e-11, np.float32: 2e-4}[p.X.dtype.type]


# --------------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_parameter_groups_by_hand(decay: float) -> None:
    """As torch.optim.AdamW with a group for each array, whose rate is lr times its factor."""
    p = problem("squared_error", [4, 6, 2], 12)
    factors = {"coefs": [0.5, 2.0], "intercepts": [0.1, 3.0]}
    run = Run(p, "adam", batch_size=12, weight_decay=decay, learning_rate_factors=factors)
    lr, eps, b1, b2 = 0.01, 1e-8, 0.9, 0.999
    params = [c.copy() for c in (*p.coefs, *p.intercepts)]
    m, v = ([np.zeros_like(q) for q in params] for _ in range(2))
    rates = [lr * f for f in (*factors["coefs"], *factors["intercepts"])]
    for t in range(1, 8):
        run.trainer.run_epoch(p.X, p.y, learning_rate=lr)
        _, *both = reference.loss_and_grad(p.X, p.y, params[:2], params[2:], p.activations, p.loss)
        for i, g in enumerate([g for grads in both for g in grads]):
            if i < 2:
                params[i] *= 1 - rates[i] * decay
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g * g
            correction = np.sqrt(1 - b2**t)
            params[i] -= rates[i] * correction / (1 - b1**t) * m[i] / (np.sqrt(v[i]) + eps)
    for i, (actual, wanted) in enumerate(zip(run.arrays, params, strict=True)):
        assert norm_error(actual, wanted) < 1e-12, f"array {i}"


# -------------------------------------------------------------------------------------------------- promises


@pytest.mark.parametrize("options", STEPS)
@pytest.mark.parametrize("rule", ALL_RULES)
def test_one_factor_for_all_is_another_learning_rate(rule: str, options: str, dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    factors = {"coefs": [0.3] * 4, "intercepts": [0.3] * 4}
    given = Run(p, rule, learning_rate_factors=factors, **STEPS[options])
    scaled = Run(p, rule, **STEPS[options])
    train(given, learning_rate=given.learning_rate)
    train(scaled, learning_rate=0.3 * given.learning_rate)
    assert same_bits(given.arrays, scaled.arrays)


@pytest.mark.parametrize("factors", [None, {}, {"coefs": [1.0] * 4}, {"intercepts": np.ones(4)}], ids=str)
def test_factors_of_one_change_no_bit(factors: Any, dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    options = {**STEPS["limits"], "records": True, "gradient_noise": 0.1}
    given, plain = (
        train(Run(p, "adam", **options, learning_rate_factors=factors)),
        train(Run(p, "adam", **options)),
    )
    assert same_bits(given.arrays, plain.arrays)
    assert given.trainer.records == plain.trainer.records


def test_any_number_of_threads_gives_the_same_bits(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem("squared_error", [37, 61, 70, 70, 7], 120, dtype, activation="relu")
    found = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
        run = Run(p, "adam", batch_size=50, learning_rate_factors=FACTORS, **STEPS["limits"])
        found.append(train(run).arrays)
    assert same_bits(found[1], found[0])
    assert same_bits(found[2], found[0])


def test_a_factor_of_zero_keeps_every_bit_and_moves_the_moments(dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    factors = {"coefs": [0.0, 1.0, 0.0, 1.0], "intercepts": [1.0, 1.0, 0.0, 0.0]}
    run = train(Run(p, "adam", learning_rate_factors=factors, weight_decay=0.5))
    before = [*p.coefs, *p.intercepts]
    kept = [same_bits([a], [b]) for a, b in zip(before, run.arrays, strict=True)]
    assert kept == [factor == 0 for name in ("coefs", "intercepts") for factor in factors[name]]
    assert all(np.any(m) for m in run.trainer.state_dict()["slots"]["m"])


def test_on_gradient_sees_the_gradient_itself() -> None:
    p = problem("squared_error", SIZES, 5)
    seen: list[list[Array]] = [[], []]
    for into, factors in zip(seen, (None, FACTORS), strict=True):
        train(
            Run(p, "adam", learning_rate_factors=factors), 1,
            on_gradient=lambda gradients, into=into: into.extend(g.copy() for g in gradients),
        )  # fmt: skip
    assert same_bits(*seen)


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("factors", "error", "match"),
    [
        ({"weights": [1.0]}, ValueError, "learning_rate_factors has no group 'weights'"),
        ({"coefs": [1.0] * 3}, ValueError, r"learning_rate_factors\['coefs'\] must hold 4 numbers, got 3"),
        ({"coefs": []}, ValueError, r"learning_rate_factors\['coefs'\] must hold numbers, got none"),
        ({"intercepts": [1.0, -1.0, 1.0, 1.0]}, ValueError, r"learning_rate_factors\['intercepts'\]"),
        ({"coefs": [1.0, np.inf, 1.0, 1.0]}, ValueError, r"learning_rate_factors\['coefs'\]"),
        ({"coefs": [1.0, np.nan, 1.0, 1.0]}, ValueError, r"learning_rate_factors\['coefs'\]"),
        ({"coefs": 1.0}, TypeError, "learning_rate_factors"),
        ({"coefs": ["much"] * 4}, TypeError, "learning_rate_factors"),
        ([1.0] * 8, TypeError, "learning_rate_factors"),
        ({"bn_gamma": [1.0] * 3}, ValueError, r"learning_rate_factors\['bn_gamma'\].*batch_norm"),
    ],
    ids=str,
)
def test_factors_that_make_no_sense(factors: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Run(problem("squared_error", SIZES, ROWS), "adam", learning_rate_factors=factors)
