"""Dropout and batch normalisation: against the reference, bit by bit over threads, and what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
import reference_layers
from builds import needs_threads
from gdfast import _core
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from problems import ACTIVATIONS, MORE_ACTIVATIONS, Problem, norm_error, problem, same_bits

Array = NDArray[Any]
Norms = list[Any]

RULES: dict[str, tuple[str, dict[str, float], float]] = {
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": 1}, 0.05),
    "adam": ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}, 0.01),
}
# In float64 ten steps keep eleven digits: a batch's standard deviation may be a tenth of what it divides. In
# float32 Adam turns the relative error of a small gradient into part of a step.
TOLERANCE = {np.float64: 1e-11, np.float32: 5e-4}
SIZES, ROWS, BATCH = [7, 17, 40, 9, 3], 23, 5
SEED = 2**40 + 77


def norms_for(sizes: list[int], dtype: Any, which: list[bool] | None = None) -> Norms:
    rng = np.random.default_rng(4)
    which = [True] * (len(sizes) - 2) if which is None else which
    return [
        (
            rng.uniform(0.5, 1.5, n).astype(dtype), rng.normal(0, 0.3, n).astype(dtype),
            rng.normal(0, 1, n).astype(dtype), rng.uniform(0.5, 2, n).astype(dtype),
        ) if normalized else None
        for n, normalized in zip(sizes[1:-1], which, strict=True)
    ]  # fmt: skip


def copies(norms: Norms | None, dtype: Any = None) -> Norms | None:
    if norms is None:
        return None
    return [
        None if four is None else tuple(a.astype(dtype or a.dtype, copy=True) for a in four) for four in norms
    ]


class Run:
    def __init__(
        self,
        p: Problem,
        rule: str = "adam",
        *,
        kind: Any = _core.Trainer,
        norms: Norms | None = None,
        **options: Any,
    ) -> None:
        self.p = p
        self.coefs, self.intercepts = [c.copy() for c in p.coefs], [b.copy() for b in p.intercepts]
        self.norms = norms
        name, params, self.rate = RULES[rule]
        self.trainer = kind(
            self.coefs, self.intercepts, p.activations, p.loss,
            **{
                "batch_size": BATCH, "rule": name, "rule_params": params,
                "batch_norm": norms, "seed": SEED, **options,
            },
        )  # fmt: skip

    @property
    def arrays(self) -> list[Array]:
        norms = [a for four in self.norms or [] if four is not None for a in four]
        return [*self.coefs, *self.intercepts, *norms]

    def epochs(self, n: int = 2, depth: int | None = None) -> list[float]:
        rng = np.random.default_rng(5)
        losses = []
        for _ in range(n):
            loss, finite = self.trainer.run_epoch(
                self.p.X, self.p.y, rng.permutation(len(self.p.X)), self.p.sample_weight,
                learning_rate=self.rate, backprop_depth=depth,
            )  # fmt: skip
            assert finite
            losses.append(loss)
        return losses


def check(p: Problem, rule: str, norms: Norms | None, depth: int | None = None, **options: Any) -> None:
    kind = p.X.dtype.type
    ours = Run(p, rule, norms=copies(norms), **options)
    theirs = Run(
        p.in_float64(), rule, kind=reference_layers.Trainer, norms=copies(norms, np.float64), **options
    )
    assert ours.epochs(depth=depth) == pytest.approx(theirs.epochs(depth=depth), rel=TOLERANCE[kind])
    for i, (actual, wanted) in enumerate(zip(ours.arrays, theirs.arrays, strict=True)):
        assert norm_error(actual, wanted) <= TOLERANCE[kind], f"array {i}"


# ------------------------------------------------------------------------------------------------- dropout


PI = ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3))
ONES = ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF))
ZEROS = ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("rounds", "key_and_counter", "answer"),
    [
        (13, ZEROS, (0x9D1C5EC6, 0x8BD50731)),
        (13, ONES, (0xFD36D048, 0x2D17272C)),
        (13, PI, (0xBA3E4725, 0xF27D669E)),
        (20, ZEROS, (0x6B200159, 0x99BA4EFE)),
        (20, ONES, (0x1CB996FC, 0xBB002BE7)),
        (20, PI, (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_generator_gives_the_published_words(
    rounds: int, key_and_counter: Any, answer: tuple[int, int]
) -> None:
    """Random123's known answers for Threefry-2x32."""
    key, counter = key_and_counter
    x0, x1 = reference_layers.threefry(key, np.array([counter[0]]), np.array([counter[1]]), rounds)
    assert (int(x0[0]), int(x1[0])) == answer


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rates", [[0.2, 0, 0, 0], [0, 0.5, 0.5, 0.5], [0.1, 0.2, 0.3, 0.9]], ids=str)
def test_ten_steps_of_dropout(rates: list[float], rule: str, dtype: type) -> None:
    check(problem("cross_entropy", SIZES, ROWS, dtype, weighted=True), rule, None, dropout=rates)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *MORE_ACTIVATIONS], ids=str)
def test_dropout_of_every_activation(activation: Any, dtype: type) -> None:
    # Of an unbounded activation cross-entropy would clip probabilities, at the dtype's epsilon, and squares
    # would diverge.
    p = problem(("huber", [1.0]), SIZES, ROWS, dtype, activation=activation)
    check(p, "nesterov", None, dropout=[0.2, 0.5, 0.3, 0.1])


def test_no_dropout_changes_no_bit(dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype, activation="relu")
    plain, none = Run(p), Run(p, dropout=[0.0] * 4)
    assert plain.epochs() == none.epochs()
    assert same_bits(plain.arrays, none.arrays)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "gelu"])
def test_dropout_of_many_rows(activation: str, dtype: type) -> None:
    """Several blocks of rows, and a last one that ends within a counter's four rows."""
    p = problem("squared_error", [5, 33, 2, 64, 3], 1203, dtype, activation=activation)
    check(p, "nesterov", None, dropout=[0.2, 0.5, 0.3, 0.1], batch_size=601)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity", "tanh"])
def test_dropout_at_zero(activation: str, dtype: type) -> None:
    """A value of zero, of either sign, is not a dropped one."""
    p = problem("squared_error", [3, 20, 20, 2], 40, dtype, activation=activation)
    for coef in p.coefs[:-1]:
        coef[:, ::2] = -0.0
    for intercept in p.intercepts[:-1]:
        intercept[::2] = -0.0
    check(p, "nesterov", None, dropout=[0, 0.5, 0.5], batch_size=20)


@pytest.mark.parametrize("rate", [1e-7, 0.3 / 65536, 0.6 / 65536, 1 - 1e-9], ids=str)
def test_rates_are_multiples_of_a_65536th(rate: float, dtype: type) -> None:
    p = problem("squared_error", [3, 40, 2], 40, dtype)
    check(p, "nesterov", None, dropout=[0, rate], batch_size=20)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_masks_are_independent(rate: float) -> None:
    """Each score is nearly standard normal for independent masks: 4.5 standard deviations are the limit."""
    # By seed, step, layer, row and column; 0 on average, with a variance of 1.
    masks = np.array(
        [
            [
                [reference_layers.kept(seed, step, layer, 64, 96, rate, np.float64) for layer in range(3)]
                for step in range(8)
            ]
            for seed in (0, 1, SEED)
        ]
    )
    unit = ((masks > 0) - (1 - rate)) / np.sqrt(rate * (1 - rate))

    def score(values: Array) -> Any:
        return values.sum() / np.sqrt(values.size)

    found = {"share": score(unit)}
    for axis, name in enumerate(["seeds", "steps", "layers", "rows", "columns"]):
        others = tuple(i for i in range(unit.ndim) if i != axis)
        shares = unit.sum(axis=others) / np.sqrt(unit.size / unit.shape[axis])
        found[f"shares of {name}"] = (shares**2 - 1).sum() / np.sqrt(2 * shares.size)
        length = unit.shape[axis]
        for apart in {1, 2, 3, 4, 5, 8, 16, 32} & set(range(1, length)):
            first, second = unit.take(range(length - apart), axis), unit.take(range(apart, length), axis)
            found[f"{name} {apart} apart"] = score(first * second)
    found["diagonals"] = score(unit[..., 1:, :-1] * unit[..., :-1, 1:])
    found["three rows"] = score(unit[..., 2:, :] * unit[..., 1:-1, :] * unit[..., :-2, :])
    found["three columns"] = score(unit[..., 2:] * unit[..., 1:-1] * unit[..., :-2])
    assert {name: value for name, value in found.items() if abs(value) > 4.5} == {}


# ----------------------------------------------------------------------------------- batch normalisation


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", [[1, 1, 1], [1, 0, 0], [0, 0, 1], [1, 0, 1]], ids=str)
def test_ten_steps_of_batch_normalisation(which: list[int], rule: str, dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype, weighted=True)
    check(p, rule, norms_for(SIZES, dtype, list(map(bool, which))), alpha=0.1)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *MORE_ACTIVATIONS], ids=str)
def test_normalised_sums_of_every_activation(activation: Any, dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype, activation=activation)
    check(p, "nesterov", norms_for(SIZES, dtype), bn_momentum=0.3, bn_epsilon=1e-3)


@pytest.mark.parametrize("sizes", [[40, 2, 40, 2, 1], [5, 33, 64, 3], [3, 300, 2]], ids=str)
def test_normalised_layers_of_awkward_widths(sizes: list[int], dtype: type) -> None:
    p = problem("squared_error", sizes, 600, dtype)
    check(p, "adam", norms_for(sizes, dtype), batch_size=290)  # more rows than a block has


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_batch_normalisation_of_limited_depth(depth: int, dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    norms = norms_for(SIZES, dtype)
    check(p, "adam", norms, depth=depth, dropout=[0.1, 0.2, 0.3, 0.4])
    run = Run(p, norms=copies(norms))
    before = [a.copy() for a in run.arrays]
    run.epochs(depth=depth)
    changed = [not same_bits([a], [b]) for a, b in zip(before, run.arrays, strict=True)]
    weights, biases, moments = changed[:4], changed[4:8], changed[8:]
    assert weights == [layer >= 4 - depth for layer in range(4)]
    # The bias of a normalised layer is taken off again: it stays.
    assert biases == [False, False, False, True]
    assert moments == [layer >= 4 - depth for layer in range(3) for _ in range(4)]


def test_a_batch_of_one_row_normalises_to_beta(dtype: type) -> None:
    p = problem("squared_error", [3, 5, 2], 4, dtype)
    check(p, "nesterov", norms_for([3, 5, 2], dtype), batch_size=3)


@given(st.data())
def test_any_combination(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=3, max_size=6), "sizes")
    which = data.draw(st.lists(st.booleans(), min_size=len(sizes) - 2, max_size=len(sizes) - 2), "normalised")
    rates = data.draw(
        st.lists(st.sampled_from([0.0, 0.3]), min_size=len(sizes) - 1, max_size=len(sizes) - 1), "dropout"
    )
    activation = data.draw(st.sampled_from([*ACTIVATIONS, *MORE_ACTIVATIONS]), "activation")
    options = {
        "alpha": data.draw(st.sampled_from([0.0, 0.3]), "alpha"),
        "l1_ratio": data.draw(st.sampled_from([0.0, 0.5]), "l1_ratio"),
        "clip_norm": data.draw(st.sampled_from([None, 0.5]), "clip_norm"),
    }
    depth = data.draw(st.integers(1, len(sizes) - 1), "depth")
    # Wide batches: of two or three rows a standard deviation may be as small as its rounding.
    p = problem("squared_error", sizes, 60, np.float64, activation=activation)
    p = Problem(**{**vars(p), "activations": list(p.activations)})
    check(p, "nesterov", norms_for(sizes, np.float64, which), depth, dropout=rates, batch_size=20, **options)


def test_gradient_through_moments_is_the_central_difference() -> None:
    """The reference's own: one step of plain descent tells its gradient, and its loss the differences."""
    p = problem("squared_error", [3, 5, 4, 2], 9, np.float64)
    norms = norms_for([3, 5, 4, 2], np.float64)

    def run(
        shift: float = 0.0, which: int = 0, index: int = 0, rate: float = 0.0
    ) -> tuple[float, list[Array]]:
        one = Run(
            p, "nesterov", kind=reference_layers.Trainer, norms=copies(norms), batch_size=9,
            dropout=[0, 0.3, 0], rule_params={"momentum": 0.0, "nesterov": 0},
        )  # fmt: skip
        one.trainer.params[which].flat[index] += shift
        loss, _ = one.trainer.run_epoch(p.X, p.y, learning_rate=rate)
        return loss * 2, one.trainer.params  # half the squares' mean over two outputs is reported

    before, after = run()[1], run(rate=1.0)[1]
    for which in range(len(before)):
        for index in range(min(before[which].size, 5)):
            slope = (run(1e-5, which, index)[0] - run(-1e-5, which, index)[0]) / 2e-5
            gradient = (before[which] - after[which]).flat[index]
            assert gradient == pytest.approx(slope, rel=1e-6, abs=1e-9), (which, index)


SMOOTH = ["identity", "logistic", "tanh", "gelu", "gelu_tanh", "silu", "mish", "softplus"]


@given(st.data())
def test_gradient_of_any_combination_is_the_central_difference(data: st.DataObject) -> None:
    """The core's own loss and step: where functions have no kinks, whatever else is on."""
    activations = data.draw(st.lists(st.sampled_from(SMOOTH), min_size=1, max_size=3), "activations")
    hidden = data.draw(
        st.lists(st.integers(1, 5), min_size=len(activations), max_size=len(activations)), "units"
    )
    sizes = [3, *hidden, 2]
    loss = data.draw(
        st.sampled_from(["cross_entropy", ("cross_entropy", [0.2]), "binary_cross_entropy", "poisson"]),
        "loss",
    )
    rates = data.draw(
        st.lists(st.sampled_from([0.0, 0.3]), min_size=len(sizes) - 1, max_size=len(sizes) - 1), "dropout"
    )
    which = data.draw(st.lists(st.booleans(), min_size=len(hidden), max_size=len(hidden)), "normalised")
    options: dict[str, Any] = {
        "alpha": data.draw(st.sampled_from([0.0, 0.5]), "alpha"),
        "l1_ratio": data.draw(st.sampled_from([0.0, 0.5, 1.0]), "l1_ratio"),
        "dropout": rates, "batch_size": 12, "rule_params": {"momentum": 0.0, "nesterov": 0},
        "bn_epsilon": 0.1,  # so that a unit that hardly varies bends no more than the others
    }  # fmt: skip
    p = problem(loss, sizes, 12, np.float64, activation=list(activations), weighted=True)
    norms = norms_for(sizes, np.float64, which)

    def run(rate: float, which: int = 0, index: int = 0, shift: float = 0.0) -> tuple[float, list[Array]]:
        one = Run(p, "nesterov", norms=copies(norms), **options)
        one.arrays[which].flat[index] += shift
        one.trainer.load()
        loss, _ = one.trainer.run_epoch(p.X, p.y, None, p.sample_weight, learning_rate=rate)
        return loss, one.arrays

    before, after = run(0.0)[1], run(1.0)[1]
    trained = [i for i in range(len(before)) if i < 2 * len(p.coefs) or (i - 2 * len(p.coefs)) % 4 < 2]
    step = 1e-4  # its square, times a third derivative, is what a central difference is off by
    for i in trained:
        for index in range(min(before[i].size, 4)):
            up, down = run(0.0, i, index, step)[0], run(0.0, i, index, -step)[0]
            gradient = (before[i] - after[i]).flat[index]
            assert gradient == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6), (i, index)


@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_prediction_by_running_moments(activation: str, rows: int, dtype: type) -> None:
    sizes = [7, 40, 2, 33, 3]  # one of them narrow
    p = problem("squared_error", sizes, rows, dtype, activation=activation)
    norms = norms_for(sizes, dtype, [True, True, False])
    actual = _core.forward(p.X, p.coefs, p.intercepts, p.activations, "identity", batch_norm=norms)
    wide = p.in_float64()
    expected = reference_layers.forward(
        wide.X, wide.coefs, wide.intercepts, p.activations, "identity", copies(norms, np.float64)
    )
    # As test_kernels has it for gradients: far above rounding, far below any mistake.
    assert norm_error(actual, expected) <= 100 * np.finfo(dtype).eps
    each = [
        _core.forward(p.X[i : i + 1], p.coefs, p.intercepts, p.activations, "identity", batch_norm=norms)
        for i in range(rows)
    ]
    assert same_bits([np.concatenate(each)], [actual])


# ------------------------------------------------------------------------------------------------- both


@needs_threads
@pytest.mark.parametrize("sizes", [[37, 61, 70, 7], [50, 100, 2, 30, 1]], ids=str)
def test_same_bits_for_any_number_of_threads(
    sizes: list[int], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = problem("squared_error", sizes, 100, dtype)

    def train(threads: int) -> list[Array]:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        run = Run(
            p,
            norms=copies(norms_for(sizes, dtype)),
            dropout=[0.2] * (len(sizes) - 1),
            batch_size=33,
            n_threads=threads,
        )
        assert run.trainer.n_threads == threads
        losses = run.epochs(8)
        slots = [a for arrays in run.trainer.state_dict()["slots"].values() for a in arrays]
        return [*run.arrays, *slots, np.array(losses)]

    expected = train(1)
    for threads in (2, 3, 4, 8):
        assert same_bits(train(threads), expected), f"{threads} threads"


def test_training_continues_as_if_it_had_never_stopped(dtype: type) -> None:
    p = problem("cross_entropy", SIZES, ROWS, dtype)
    options: dict[str, Any] = {"dropout": [0.1, 0.5, 0.5, 0.5], "gradient_noise": 0.01}
    whole, first = (Run(p, norms=norms_for(SIZES, dtype), **options) for _ in range(2))
    whole.epochs(1)
    whole.epochs(1)
    first.epochs(1)
    second = Run(p, norms=copies(first.norms), **options)
    for mine, theirs in zip(second.arrays, first.arrays, strict=True):
        mine[...] = theirs
    second.trainer.load()
    second.trainer.load_state_dict(first.trainer.state_dict())
    second.epochs(1)
    assert same_bits(second.arrays, whole.arrays)


# -------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "rates", [[0.1], [0.1] * 5, [1.0, 0, 0, 0], [-0.1, 0, 0, 0], [np.nan, 0, 0, 0]], ids=str
)
def test_rates_that_make_no_sense(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="dropout"):
        Run(problem("squared_error", SIZES, ROWS), dropout=rates)


def test_norms_that_make_no_sense(dtype: type) -> None:
    p = problem("squared_error", SIZES, ROWS, dtype)
    good = norms_for(SIZES, dtype)
    short = [tuple(a[:-1] for a in four) for four in good]
    other = copies(good, np.float32 if dtype == np.float64 else np.float64)
    for bad in (good[:2], [*good, None], short, other, [four[:3] for four in good], 7):
        with pytest.raises((ValueError, TypeError), match="batch_norm"):
            Run(p, norms=bad)
        with pytest.raises((ValueError, TypeError), match="batch_norm"):
            _core.forward(p.X, p.coefs, p.intercepts, p.activations, "identity", batch_norm=bad)
    for name, value in (("bn_momentum", 1.1), ("bn_momentum", -0.1), ("bn_epsilon", 0.0)):
        with pytest.raises(ValueError, match=name):
            Run(p, norms=good, **{name: value})
    assert reference.norm([a for four in good for a in four]) > 0
