"""What is done between gradient and rule: limits, penalties, decay, noise, truncated depth, records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from gdfast import _core
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from problems import Problem, norm_error, problem, same_bits

Array = NDArray[Any]

RULES: dict[str, tuple[str, dict[str, float], float]] = {
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": 1}, 0.05),
    "adam": ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}, 0.01),
}
# As in test_training: ten steps in float64 keep twelve digits; in float32 Adam turns the relative error of a
# small gradient into part of a step.
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-4}
SIZES, ROWS, BATCH = [7, 17, 40, 9, 3], 23, 5  # several panels, and an output layer that is narrow

OPTIONS: dict[str, dict[str, Any]] = {
    "l1": {"alpha": 0.3, "l1_ratio": 1.0},
    "elastic net": {"alpha": 0.3, "l1_ratio": 0.4},
    "weight decay": {"weight_decay": 0.5},
    "weight decay and l2": {"weight_decay": 0.5, "alpha": 0.3},
    "values": {"clip_value": 0.02},
    "norm": {"clip_norm": 0.3},
    "layers": {"clip_layer_norm": 0.1},
    "auto": {"clip_norm": "auto"},
    "all": {
        "alpha": 0.3, "l1_ratio": 0.4, "weight_decay": 0.5,
        "clip_value": 0.1, "clip_layer_norm": 0.3, "clip_norm": 0.4,
    },
    "no limit that is reached": {"clip_value": 1e9, "clip_norm": 1e9, "clip_layer_norm": 1e9},
}  # fmt: skip


class Run:
    def __init__(self, p: Problem, rule: str = "adam", *, kind: Any = _core.Trainer, **options: Any) -> None:
        self.p = p
        self.coefs, self.intercepts = [c.copy() for c in p.coefs], [b.copy() for b in p.intercepts]
        name, params, self.rate = RULES[rule]
        self.trainer = kind(
            self.coefs, self.intercepts, p.activations, p.loss,
            **{"batch_size": BATCH, "rule": name, "rule_params": params, **options},
        )  # fmt: skip

    @property
    def arrays(self) -> list[Array]:
        return [*self.coefs, *self.intercepts]

    def epochs(self, n: int = 2, rate: Any = None, depth: int | None = None) -> list[float]:
        rng = np.random.default_rng(5)
        losses = []
        for _ in range(n):
            loss, finite = self.trainer.run_epoch(
                self.p.X, self.p.y, rng.permutation(len(self.p.X)), self.p.sample_weight,
                learning_rate=self.rate if rate is None else rate, backprop_depth=depth,
            )  # fmt: skip
            assert finite
            losses.append(loss)
        return losses


def check(p: Problem, rule: str, *, depth: int | None = None, rate: Any = None, **options: Any) -> None:
    kind = p.X.dtype.type
    ours = Run(p, rule, **options)
    theirs = Run(p.in_float64(), rule, kind=reference.Trainer, **options)
    losses, expected = ours.epochs(rate=rate, depth=depth), theirs.epochs(rate=rate, depth=depth)
    assert losses == pytest.approx(expected, rel=TOLERANCE[kind])
    for i, (actual, wanted) in enumerate(zip(ours.arrays, theirs.arrays, strict=True)):
        assert norm_error(actual, wanted) <= TOLERANCE[kind], f"array {i}"


# ------------------------------------------------------------------------------------------- as the reference


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("options", OPTIONS)
def test_ten_steps(options: str, rule: str, dtype: type) -> None:
    check(problem("cross_entropy", SIZES, ROWS, dtype, weighted=True), rule, **OPTIONS[options])


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("options", ["l1", "weight decay", "values", "norm", "auto", "all"])
def test_ten_steps_of_limited_depth(options: str, depth: int, dtype: type) -> None:
    check(problem("squared_error", SIZES, ROWS, dtype), "adam", depth=depth, **OPTIONS[options])


@given(st.data())
def test_any_combination(data: st.DataObject) -> None:
    def some(name: str, values: Any) -> dict[str, Any]:
        value = data.draw(st.none() | st.sampled_from(values), name)
        return {} if value is None else {name: value}

    options = {
        **some("alpha", [0.1, 1.0]), **some("l1_ratio", [0.0, 0.5, 1.0]), **some("weight_decay", [0.1]),
        **some("clip_value", [0.01, 1.0]), **some("clip_norm", [0.1, "auto"]),
        **some("clip_layer_norm", [0.05, 1.0]),
    }  # fmt: skip
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=5), "sizes")
    depth = data.draw(st.integers(1, len(sizes) - 1), "depth")
    rule = data.draw(st.sampled_from(list(RULES)), "rule")
    check(problem("squared_error", sizes, 11, np.float64), rule, depth=depth, **options)


def test_a_learning_rate_for_every_step(dtype: type) -> None:
    rates = np.array([0.05, 0.0, 0.01, 0.03, 0.02])
    check(problem("squared_error", SIZES, ROWS, dtype), "nesterov", rate=rates)


# ------------------------------------------------------------------------------------------------- limits


def test_limits_that_are_not_reached_change_no_bit(dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    plain, limited = Run(p), Run(p, **OPTIONS["no limit that is reached"])
    assert plain.epochs() == limited.epochs()
    assert same_bits(limited.arrays, plain.arrays)


def test_gradients_that_overflow_single_precision_when_squared_are_still_clipped() -> None:
    p = problem("squared_error", [3, 4, 1], 8, np.float32)
    p.y[...] = 1e25
    run = Run(p, "nesterov", clip_norm=1.0)
    run.epochs(1)
    # Two steps at most as long as learning rate, limit and momentum allow.
    assert all(
        np.abs(a - b).max() < 0.05 * 4 for a, b in zip(run.arrays, [*p.coefs, *p.intercepts], strict=True)
    )


def test_auto_limit_continues_from_its_state() -> None:
    p = problem("squared_error", SIZES, ROWS, np.float64)
    whole, first = Run(p, clip_norm="auto"), Run(p, clip_norm="auto")
    whole.epochs(1)
    whole.epochs(1)
    first.epochs(1)
    state = first.trainer.state_dict()
    assert len(state["norms"]) == 5
    second = Run(p, clip_norm="auto")
    for mine, theirs in zip(second.arrays, first.arrays, strict=True):
        mine[...] = theirs
    second.trainer.load()
    second.trainer.load_state_dict(state)
    second.epochs(1)
    assert same_bits(second.arrays, whole.arrays)
    with pytest.raises(ValueError, match="norms"):
        second.trainer.load_state_dict({**state, "norms": [1.0] * 1001})


def test_auto_limit_looks_back_a_thousand_steps() -> None:
    p = problem("squared_error", [2, 3, 1], 1020, np.float64)
    check(p, "adam", batch_size=1, clip_norm="auto")


# -------------------------------------------------------------------------------------------------- depth


@pytest.mark.parametrize("options", [{}, *OPTIONS.values()], ids=str)
def test_whole_depth_is_the_whole_method(options: dict[str, Any], dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    whole, deep = Run(p, **options), Run(p, **options)
    assert whole.epochs() == deep.epochs(depth=len(SIZES) - 1)
    assert same_bits(deep.arrays, whole.arrays)


@pytest.mark.parametrize("options", [{"gradient_noise": 0.1}, *OPTIONS.values()], ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_layers_below_the_depth_keep_every_bit(depth: int, options: dict[str, Any], dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    run = Run(p, **options)
    run.epochs(1)
    states = run.trainer.state_dict()["slots"].values()
    before = [a.copy() for a in run.arrays]
    run.epochs(2, depth=depth)
    still = [i % 4 < 4 - depth for i in range(8)]  # four layers' weights, then their biases
    after = run.trainer.state_dict()["slots"].values()
    for old, new in zip([before, *states], [run.arrays, *after], strict=True):
        assert [same_bits([a], [b]) for a, b in zip(old, new, strict=True)] == still


# ----------------------------------------------------------------------------------------- noise and records


def noise_of(p: Problem, steps: int, **options: Any) -> list[Array]:
    """What gradient noise alone adds to the weights."""
    run = Run(p, "nesterov", rule_params={"momentum": 0.0, "nesterov": 0}, batch_size=len(p.X), **options)
    calm = Run(p, "nesterov", rule_params={"momentum": 0.0, "nesterov": 0}, batch_size=len(p.X))
    for _ in range(steps - 1):  # nothing moves, the steps are counted
        run.epochs(1, rate=0.0)
    run.epochs(1, rate=1e-3)
    calm.epochs(1, rate=1e-3)
    return [(b - a) / 1e-3 for a, b in zip(run.arrays, calm.arrays, strict=True)]


@pytest.mark.parametrize("steps", [1, 4])
def test_gradient_noise_is_normal_and_fades(steps: int, dtype: type) -> None:
    p = problem("squared_error", [60, 100, 50], 5, dtype)
    # Weights of size 0.1 keep 1e-8 in float32: of a step of 1e-3, 1e-5.
    noise = np.concatenate([a.ravel() for a in noise_of(p, steps, gradient_noise=0.09, seed=3)])
    sigma = np.sqrt(0.09 / steps**0.55)
    n = len(noise)
    assert abs(noise.mean()) < 4 * sigma / np.sqrt(n)
    assert noise.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * n))
    # Deciles, each within four standard errors of a share of a tenth.
    from scipy.special import ndtri

    counts = np.histogram(noise / sigma, np.concatenate([[-np.inf], ndtri(np.arange(1, 10) / 10), [np.inf]]))[
        0
    ]
    assert np.abs(counts / n - 0.1).max() < 4 * np.sqrt(0.09 / n)
    assert np.abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 4 / np.sqrt(n)


def test_noise_depends_on_seed_and_step_only() -> None:
    p = problem("squared_error", [9, 20, 3], 5, np.float64)
    first, again, other = (noise_of(p, 1, gradient_noise=0.1, seed=s) for s in (2**40 + 1, 2**40 + 1, 1))
    assert same_bits(first, again)
    assert not any(np.allclose(a, b) for a, b in zip(first, other, strict=True))
    later = noise_of(p, 2, gradient_noise=0.1, seed=2**40 + 1)
    assert not any(np.allclose(a, b) for a, b in zip(first, later, strict=True))


@pytest.mark.parametrize("depth", [None, 2])
@pytest.mark.parametrize("options", [{}, OPTIONS["all"]], ids=["plain", "all"])
def test_records(options: dict[str, Any], depth: int | None, dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    ours = Run(p, records=True, **options)
    theirs = Run(p.in_float64(), kind=reference.Trainer, **options)
    ours.epochs(1, depth=depth)
    theirs.epochs(1, depth=depth)
    records = ours.trainer.records
    for i, name in enumerate(("gradient_norm", "weight_norm", "update_ratio")):
        expected = np.mean([record[i] for record in theirs.trainer.records], axis=0)
        np.testing.assert_allclose(records[name], expected, rtol=1e-10 if dtype == np.float64 else 1e-3)


def test_records_change_no_bit(dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    plain, recorded = Run(p, alpha=0.1), Run(p, alpha=0.1, records=True)
    assert plain.trainer.records is None
    assert recorded.epochs() == pytest.approx(plain.epochs(), rel=1e-6)
    # The penalty is added in a pass of its own, by the same fused product.
    assert same_bits(recorded.arrays, plain.arrays)


# -------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l1_ratio", -0.1), ("l1_ratio", 1.1), ("l1_ratio", np.nan), ("weight_decay", -1.0),
        ("gradient_noise", -1.0), ("clip_value", 0.0), ("clip_norm", -1.0), ("clip_norm", "often"),
        ("clip_layer_norm", np.nan),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Run(problem("squared_error", SIZES, ROWS), **{name: value})


@pytest.mark.parametrize("depth", [0, -1, 5])
def test_depths_that_there_are_not(depth: int) -> None:
    with pytest.raises(ValueError, match="backprop_depth must be from 1 to the number of layers, 4"):
        Run(problem("squared_error", SIZES, ROWS)).epochs(1, depth=depth)


def test_learning_rates_of_the_wrong_number() -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        Run(problem("squared_error", SIZES, ROWS)).epochs(1, rate=np.ones(4))
