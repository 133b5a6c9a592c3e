"""The rule's place in a step: what a function in the rule's stead gets, and what becomes of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gdfast import _core
from numpy.typing import NDArray
from problems import norm_error, problem, same_bits
from sequences import sequence_problem

Array = NDArray[Any]

SIZES, ROWS = (7, 17, 40, 3), 23  # several panels, and an output layer that is narrow


def descend(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
    for param, grad in zip(params, grads, strict=True):
        param -= rate * grad


def train(
    on_step: Any, dtype: Any, *, depth: int = 3, epochs: int = 3, norm: bool = False, **options: Any
) -> Any:
    p = problem("squared_error", SIZES, ROWS, dtype, weighted=True)
    arrays = [*p.coefs, *p.intercepts]
    if norm:
        norms = [tuple(np.full(n, value, dtype) for value in (1, 0, 0, 1)) for n in SIZES[1:-1]]
        options["batch_norm"] = [*norms]
        arrays += [array for each in norms for array in each]
    trainer = _core.Trainer(
        p.coefs, p.intercepts, p.activations, p.loss, batch_size=6, rule="sgd",
        rule_params={"momentum": 0.0, "nesterov": 0.0}, **options,
    )  # fmt: skip
    losses = [
        trainer.run_epoch(
            p.X, p.y, None, p.sample_weight, learning_rate=np.array([0.1, 0.2, 0.05, 0.0]),
            backprop_depth=depth, on_step=on_step,
        )[0]
        for _ in range(epochs)
    ]  # fmt: skip
    return arrays, losses, trainer


@pytest.mark.parametrize(
    "options",
    [
        {}, {"alpha": 0.5}, {"alpha": 0.5, "l1_ratio": 0.3}, {"clip_value": 0.01}, {"clip_norm": 0.05},
        {"clip_norm": "auto"}, {"clip_layer_norm": 0.02}, {"gradient_noise": 0.1, "seed": 3},
        {"gradient_noise": 0.1, "clip_norm": 0.05, "clip_value": 0.1, "alpha": 0.5, "records": True},
        {"norm": True}, {"norm": True, "gradient_noise": 0.1, "clip_norm": 0.05}, {"depth": 1},
        {"depth": 2, "alpha": 0.5, "gradient_noise": 0.1, "clip_layer_norm": 0.02},
    ],
    ids=str,
)  # fmt: skip
def test_a_function_in_the_rules_stead_is_the_rule(options: dict[str, Any], dtype: type) -> None:
    ours, losses, trainer = train(descend, dtype, **options)
    theirs, expected, other = train(None, dtype, **options)
    tolerance = 1e-12 if dtype is np.float64 else 1e-4  # the kernel fuses product and difference
    for a, b in zip(ours, theirs, strict=True):
        assert norm_error(a, b, scale=np.ones_like(b)) < tolerance
    assert losses == pytest.approx(expected, rel=tolerance)
    assert trainer.step == other.step == 12
    if "records" in options:
        for name, values in other.records.items():
            assert trainer.records[name] == pytest.approx(values, rel=100 * tolerance)


def test_what_it_leaves_is_taken_as_it_is(dtype: type) -> None:
    seen: list[list[Array]] = []
    left: list[list[Array]] = []
    rng = np.random.default_rng(0)

    def on_step(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
        seen.append([p.copy() for p in params])
        assert (rate, number) == ([0.1, 0.2, 0.05, 0.0][number], (len(seen) - 1) % 4)
        for param in params:
            param[...] = rng.standard_normal(param.shape)
        left.append([p.copy() for p in params])

    arrays, _, _ = train(on_step, dtype)
    for now, before in zip(seen[1:], left, strict=False):
        assert same_bits(now, before)
    assert same_bits(arrays, left[-1])


def test_layers_that_are_not_trained_stay_and_have_no_gradient(dtype: type) -> None:
    start = problem("squared_error", SIZES, ROWS, dtype, weighted=True)

    def on_step(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
        assert not any(grads[i].any() for i in (0, 1, 3, 4))
        for param in params:
            param += 1

    arrays, _, _ = train(on_step, dtype, depth=1, epochs=1)
    assert same_bits([arrays[i] for i in (0, 1, 3, 4)], [*start.coefs[:2], *start.intercepts[:2]])
    assert not np.allclose(arrays[2], start.coefs[2])


def test_an_error_gives_the_step_up(dtype: type) -> None:
    left: list[list[Array]] = []

    def on_step(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
        descend(params, grads, rate, number)
        if number == 2:
            raise ZeroDivisionError
        left.append([p.copy() for p in params])

    p = problem("squared_error", SIZES, ROWS, dtype)
    trainer = _core.Trainer(
        p.coefs, p.intercepts, p.activations, p.loss, batch_size=6, rule="sgd",
        rule_params={"momentum": 0.0, "nesterov": 0.0},
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        trainer.run_epoch(p.X, p.y, learning_rate=0.1, on_step=on_step)
    assert trainer.step == 2
    assert same_bits([*p.coefs, *p.intercepts], left[-1])


def test_the_gradients_place_comes_before() -> None:
    order: list[str] = []

    def on_gradient(gradients: list[Array]) -> None:
        order.append("gradient")
        for gradient in gradients:
            gradient[...] = 10

    def on_step(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
        order.append("step")
        assert all((grad == 0.5).all() for grad in grads)

    p = problem("squared_error", SIZES, ROWS)
    trainer = _core.Trainer(
        p.coefs, p.intercepts, p.activations, p.loss, batch_size=ROWS, rule="sgd", clip_value=0.5,
        rule_params={"momentum": 0.0, "nesterov": 0.0},
    )  # fmt: skip
    trainer.run_epoch(p.X, p.y, learning_rate=0.1, on_gradient=on_gradient, on_step=on_step)
    assert order == ["gradient", "step"]


@pytest.mark.parametrize("cell", ["elman_tanh", "gru", "lstm"])
def test_sequences(cell: str, dtype: type) -> None:
    results = []
    for on_step in (descend, None):
        p = sequence_problem(
            cell, features=3, hidden=(5, 18), outputs=2, lengths=[4, 2, 7, 3, 5], dtype=dtype
        )
        trainer = _core.SequenceTrainer(
            p.coefs, p.intercepts, p.cell, p.loss, batch_size=4, per_step=p.per_step, rule="sgd",
            rule_params={"momentum": 0.0, "nesterov": 0.0}, clip_norm=0.1,
        )  # fmt: skip
        trainer.run_epoch(p.X, p.starts, p.y, learning_rate=0.1, on_step=on_step)
        results.append([*p.coefs, *p.intercepts])
    for a, b in zip(*results, strict=True):
        assert norm_error(a, b, scale=np.ones_like(b)) < (1e-12 if dtype is np.float64 else 1e-4)


def test_wrong_functions() -> None:
    p = problem("squared_error", SIZES, ROWS)
    trainer = _core.Trainer(
        p.coefs, p.intercepts, p.activations, p.loss, batch_size=6, rule="sgd",
        rule_params={"momentum": 0.0, "nesterov": 0.0},
    )  # fmt: skip
    with pytest.raises(TypeError, match="on_step must be callable or None, got 3"):
        trainer.run_epoch(p.X, p.y, learning_rate=0.1, on_step=3)

    def reshapes(params: list[Array], grads: list[Array], rate: float, number: int) -> None:
        params[0].shape = (17, 7)

    with pytest.raises(ValueError, match=r"weights\[0\] must have shape \(7, 17\)"):
        trainer.run_epoch(p.X, p.y, learning_rate=0.1, on_step=reshapes)
    assert trainer.step == 0
