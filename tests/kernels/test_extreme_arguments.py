"""Far out: activations, outputs, losses and cells at arguments up to the largest number and at infinity.

What has a limit or a finite true value is that, what overflows itself is infinite, and NaN passes through.
The reference states all of it, in float64; LIMITS says by hand what it must say at both ends.
"""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pytest
import reference
import reference_layers
import reference_recurrent as ref
from gdfast import _core
from gdfast.kernels import mlp_forward, mlp_loss_and_grad
from gdfast.training.losses import mean_loss
from numpy.typing import NDArray

Array = NDArray[Any]
INF, NAN = np.inf, np.nan

pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")

SCALE = reference.SELU_SCALE
# Value at minus and at plus infinity, and the slope there.
LIMITS: dict[Any, tuple[tuple[float, float], tuple[float, float]]] = {
    "identity": ((-INF, INF), (1, 1)),
    "logistic": ((0, 1), (0, 0)),
    "tanh": ((-1, 1), (0, 0)),
    "relu": ((0, INF), (0, 1)),
    "leaky_relu": ((-INF, INF), (0.01, 1)),
    ("leaky_relu", 0.0): ((0, INF), (0, 1)),
    "elu": ((-1, INF), (0, 1)),
    ("elu", 0.0): ((0, INF), (0, 1)),
    "selu": ((-SCALE * reference.SELU_ALPHA, INF), (0, SCALE)),
    "gelu": ((0, INF), (0, 1)),
    "gelu_tanh": ((0, INF), (0, 1)),
    "silu": ((0, INF), (0, 1)),
    "mish": ((0, INF), (0, 1)),
    "softplus": ((0, INF), (0, 1)),
    "softsign": ((-1, 1), (0, 0)),
    "hard_tanh": ((-1, 1), (0, 0)),
}
POWERS = {
    np.float32: (3, 6, 9, 15, 18, 19, 20, 25, 30, 37),
    np.float64: (3, 8, 14, 16, 18, 30, 102, 155, 200, 300),
}


def far(dtype: type, infinite: bool = True) -> list[float]:
    """Both signs of large numbers, of those around which formulas change over, and of the smallest ones."""
    info = np.finfo(dtype)
    sizes = [float(f"1e{k}") for k in POWERS[dtype]] + [float(info.max), float(info.max) / 3]
    sizes += [12.0, 13.0, 13.3, 19.0, 24.0, 26.0, 37.0, 38.0, 86.0, 90.0, 104.0, 700.0, 708.5, 720.0, 746.0]
    sizes += [0.0, float(info.smallest_subnormal), float(info.tiny) / 3, float(info.tiny)]
    sizes += [INF] if infinite else []
    return [sign * size for size in sizes for sign in (1, -1)]


def value(name: Any, z: float, dtype: type) -> float:
    """Of the hidden activation, with a layer behind it that changes nothing."""
    one, zero = np.ones((1, 1), dtype), np.zeros(1, dtype)
    X = np.array([[z]], dtype)
    return float(mlp_forward(X, [one, one], [zero, zero], activation=name, output="identity")[0, 0])


def slope(name: Any, z: float, dtype: type) -> float:
    """By the gradient of the bias that is the hidden unit's sum, under an absolute error beyond its value."""
    side = -1 if z < 0 else 1
    y = np.array([[-side * np.finfo(dtype).max]], dtype)
    weights, biases = [np.ones((1, 1), dtype)] * 2, [np.array([z], dtype), np.zeros(1, dtype)]
    _, (_, by_bias) = mlp_loss_and_grad(0 * y, y, weights, biases, activation=name, loss="absolute_error")
    return side * float(by_bias[0][0])


def check(actual: Any, expected: Any, dtype: type, what: Any, absolute: float | None = None) -> None:
    """A few roundings; and a denormal factor counts as zero, which is not far above the smallest number."""
    info = np.finfo(dtype)
    absolute = 1e4 * float(info.tiny) if absolute is None else absolute
    wanted = np.asarray(expected).astype(dtype)
    np.testing.assert_allclose(
        actual, wanted, rtol=32 * float(info.eps), atol=absolute, err_msg=f"{what}", equal_nan=True
    )


# Activations.


@pytest.mark.parametrize("name", LIMITS, ids=str)
def test_limits_of_the_reference(name: Any) -> None:
    ends = np.array([-INF, INF])
    values, slopes = LIMITS[name]
    np.testing.assert_allclose(reference.apply(reference.FUNCTIONS, name, ends), values, rtol=1e-15)
    np.testing.assert_allclose(reference.apply(reference.SLOPES, name, ends), slopes, rtol=1e-15)
    for table in (reference.FUNCTIONS, reference.SLOPES):
        assert not np.isnan(reference.apply(table, name, np.array(far(np.float64)))).any()


@pytest.mark.parametrize("name", LIMITS, ids=str)
def test_limits(name: Any, dtype: type) -> None:
    eps = float(np.finfo(dtype).eps)
    for z, wanted, wanted_slope in zip((-INF, INF), *LIMITS[name], strict=True):
        check(value(name, z, dtype), wanted, dtype, (name, z))
        check(slope(name, z, dtype), wanted_slope, dtype, (name, z, "slope"), absolute=2 * eps)


@pytest.mark.parametrize("name", LIMITS, ids=str)
def test_values(name: Any, dtype: type) -> None:
    for z in far(dtype):
        wanted = reference.apply(reference.FUNCTIONS, name, np.array(z, np.float64))
        # The left tail of gelu is as exact as its argument, see test_math.
        info = np.finfo(dtype)
        tail = 4 * float(info.eps) * abs(z) + float(info.tiny) if "gelu" in name and abs(z) < 50 else None
        check(value(name, z, dtype), wanted, dtype, (name, z), tail)


@pytest.mark.parametrize("name", LIMITS, ids=str)
def test_slopes(name: Any, dtype: type) -> None:
    # Where the value tells the slope, the value's rounding is in it.
    absolute = 4 * float(np.finfo(dtype).eps)
    for z in far(dtype):
        if abs(z) < np.finfo(dtype).tiny:
            continue  # a kink may be there, on which a denormal number lies
        wanted = reference.apply(reference.SLOPES, name, np.array(z, np.float64))
        check(slope(name, z, dtype), wanted, dtype, (name, z), absolute)


@pytest.mark.parametrize("name", LIMITS, ids=str)
def test_nan_passes_through(name: Any, dtype: type) -> None:
    assert np.isnan(value(name, NAN, dtype))
    assert np.isnan(slope(name, NAN, dtype))


@pytest.mark.parametrize("name", LIMITS, ids=str)
def test_a_step_of_training_stays_finite(name: Any, dtype: type) -> None:
    """A column of time stamps, of cents, or of nonsense: several rows, units and panels at once."""
    rng = np.random.default_rng(0)
    weights = [rng.choice([-1.0, 1.0], (1, 40)).astype(dtype), np.full((40, 1), 1 / 64, dtype)]
    biases = [np.zeros(40, dtype), np.zeros(1, dtype)]
    for size in (1.7e18, 1e14, 1e30):
        X = (size * np.linspace(-1, 1, 12)[:, None]).astype(dtype)
        for loss in ("absolute_error", ("huber", [1.0])):
            got, (_, by_bias) = mlp_loss_and_grad(X, 0 * X, weights, biases, activation=name, loss=loss)
            assert np.isfinite(got)
            assert all(np.isfinite(g).all() for g in by_bias), (name, size)


# Outputs.


def output(name: str, rows: Any, dtype: type) -> Array:
    z = np.array(rows, dtype)
    k = z.shape[1]
    # Sums come in as a bias: in a product with zero weights infinity would be NaN.
    nothing = np.zeros((1, k), dtype)
    return np.concatenate([mlp_forward(np.zeros((1, 1), dtype), [nothing], [row], output=name) for row in z])


@pytest.mark.parametrize("name", ["identity", "logistic", "exp"])
def test_outputs(name: str, dtype: type) -> None:
    z = np.array(far(dtype), np.float64)[:, None]
    flushed = np.where(np.abs(z) < np.finfo(dtype).tiny, 0, z)
    check(output(name, z, dtype), reference.FUNCTIONS[name](flushed), dtype, name)
    assert np.isnan(output(name, [[NAN]], dtype)).all()


def logits(dtype: type) -> dict[str, list[float]]:
    most = float(np.finfo(dtype).max)
    return {
        "one infinite": [0, INF, 3],
        "one minus infinite": [0, -INF, 1],
        "all but one": [-INF, -INF, 1],
        "both ends": [-INF, INF, 0],
        "most and least": [most, -most, 0],
        "alike at the end": [most, most, -most],
        "infinite and most": [most, INF, 0],
        "hopeless": [1000, -1000, 0],
        "large": [most / 4, -most / 4, most / 8],
        "least": [-most, -most / 2, -most],
    }


WIDTHS = (0, 60)  # more columns: one panel, and several


@pytest.mark.parametrize("more", WIDTHS)
@pytest.mark.parametrize("case", logits(np.float64))
def test_softmax(case: str, more: int, dtype: type) -> None:
    z = np.array([logits(dtype)[case] + [-INF] * more])
    expected = reference.softmax(z.astype(dtype).astype(np.float64))
    assert np.isfinite(expected).all()
    check(output("softmax", z, dtype), expected, dtype, case)


def test_softmax_without_a_limit_is_nan(dtype: type) -> None:
    """So that what diverged is told by its loss."""
    rows = [[0.0, NAN, INF], [NAN, 1.0, 2.0], [INF, 0.0, NAN], [INF, 0.0, INF], [-INF, -INF, -INF]]
    for row in rows:
        for more in WIDTHS:
            z = row + [-INF] * more
            assert np.isnan(output("softmax", [z], dtype)).all()
            assert np.isnan(reference.softmax(np.array([z], np.float64))).all()
            for loss in ("cross_entropy", ("cross_entropy", [0.1])):
                value, delta = loss_and_delta(loss, z, np.array([1], np.int32), dtype)
                assert np.isnan(value)
                assert np.isnan(delta).all()


def test_quantiles(dtype: type) -> None:
    most = float(np.finfo(dtype).max)
    rows = [
        [-INF, 0, 1],
        [0, -INF, 1],
        [0, INF, 1],
        [0, -most, most],
        [-most, most, 1],
        [most, -most, -INF],
        [most, most, 0],
    ]
    expected = [
        [-INF, -INF, -INF],
        [0, 0, np.log1p(np.e)],
        [0, INF, INF],
        [0, 0, most],
        [-most, 0, np.log1p(np.e)],
        [most, most, most],
        [most, INF, INF],
    ]
    check(output("quantiles", rows, dtype), expected, dtype, "quantiles")
    check(reference.quantiles(np.array(rows, dtype)), expected, dtype, "the reference")


# Losses.


def loss_and_delta(loss: Any, z: Any, y: Array, dtype: type) -> tuple[float, Array]:
    """Of one row, whose sums are the biases."""
    row = np.array(z, dtype)
    weights, X = [np.zeros((1, len(row)), dtype)], np.zeros((1, 1), dtype)
    value, (_, by_bias) = mlp_loss_and_grad(X, y, weights, [row], loss=loss)
    return value, by_bias[0]


def check_loss(loss: Any, z: Any, y: Array, dtype: type) -> None:
    wide = np.array([z], dtype).astype(np.float64)
    wide_y = y.astype(np.float64) if y.dtype.kind == "f" else y
    prediction = reference.FUNCTIONS[reference.output_of(loss)](wide)
    expected = reference.mean_loss(loss, wide_y, wide)
    expected_delta = reference.slope_of_loss(loss, wide_y, prediction, wide)[0]
    assert not np.isnan(expected)
    assert not np.isnan(expected_delta).any()
    got, delta = loss_and_delta(loss, z, y, dtype)
    eps = float(np.finfo(dtype).eps)
    # A probability is kept one eps from 0 and 1, and that is rounded.
    absolute = 32 * eps if "entropy" in str(loss) else None
    check(got, expected, dtype, (loss, z, y), absolute)
    check(delta, expected_delta, dtype, (loss, z, y, "delta"), 4 * eps)


@pytest.mark.parametrize("more", WIDTHS)
@pytest.mark.parametrize("case", logits(np.float64))
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_cross_entropy(smoothing: float, case: str, more: int, dtype: type) -> None:
    loss = ("cross_entropy", [smoothing]) if smoothing else "cross_entropy"
    z = logits(dtype)[case]
    z = z + [min(z)] * more  # among several panels, too
    for label in range(3):
        info = np.finfo(dtype)
        y = np.array([label], np.int32)
        wide = np.array([z], dtype).astype(np.float64)
        got, delta = loss_and_delta(loss, z, y, dtype)
        prediction = reference.softmax(wide)
        # Clipped where the loss is clipped, in the dtype: the reference's float64 has another eps.
        if smoothing:
            with np.errstate(divide="ignore"):
                expected = reference.mean_loss(loss, y, wide)
        else:
            expected = float(-np.log(reference.clip_probability(prediction.astype(dtype))[0, label]))
        assert not np.isnan(expected)
        check(got, expected, dtype, (loss, z, label), 32 * float(info.eps))
        expected_delta = reference.slope_of_loss(loss, y, prediction, wide)[0]
        check(delta, expected_delta, dtype, (loss, z, label), 8 * float(info.eps))


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_binary_cross_entropy(y: float, dtype: type) -> None:
    eps = float(np.finfo(dtype).eps)
    target = np.array([[y]], dtype)
    # Between one and the sizes where the probability is clipped, its rounding is a large part of its distance
    # from 1.
    for z in (z for z in far(dtype) if not 1 < abs(z) < 86):
        p = reference.logistic(np.array(z, np.float64))
        kept = reference.clip_probability(p.astype(dtype)).astype(np.float64)
        wanted = -y * np.log(kept) - (1 - y) * np.log(1 - kept)
        got, delta = loss_and_delta("binary_cross_entropy", [z], target, dtype)
        check(got, wanted, dtype, (z, y), absolute=32 * eps)
        check(delta, [p - target.astype(np.float64)[0, 0]], dtype, (z, y), absolute=4 * eps)


@pytest.mark.parametrize("y", [0.0, 1.0, 7.0, 1e6])
def test_poisson(y: float, dtype: type) -> None:
    for z in far(dtype):
        check_loss("poisson", [0.0 if abs(z) < 1e-30 else z], np.array([[y]], dtype), dtype)


def test_poisson_of_the_largest_targets(dtype: type) -> None:
    """Where target and prediction are both about to overflow: infinite perhaps, but never NaN."""
    top = 89.0 if dtype is np.float32 else 710.0
    for y in (1e20, float(np.finfo(dtype).max) / 3, float(np.finfo(dtype).max)):
        for z in (top - 1, top, top + 1, 1e3, INF, -INF, -1e30):
            got, delta = loss_and_delta("poisson", [z], np.array([[y]], dtype), dtype)
            assert not np.isnan(got), (z, y)
            assert not np.isnan(delta).any(), (z, y)


@pytest.mark.parametrize(
    "loss",
    [
        "squared_error",
        "absolute_error",
        ("huber", [1.0]),
        ("huber", [1e-3]),
        ("huber", [1e20]),
        ("quantile", [0.2]),
    ],
    ids=str,
)
def test_losses_of_residuals(loss: Any, dtype: type) -> None:
    most = float(np.finfo(dtype).max)
    half = {np.float32: 2.4e19, np.float64: 1.7e154}[dtype]  # half its square is a number, its square is not
    for y in (0.0, 1.0, -3.0, most, -most):
        for z in [*far(dtype), half, -half]:
            if 0 < abs(z) < 1e-30:
                continue
            check_loss(loss, [z], np.array([[y]], dtype), dtype)


def test_quantile_loss_of_several(dtype: type) -> None:
    most = float(np.finfo(dtype).max)
    loss = ("quantile", [0.1, 0.5, 0.9])
    rows = [
        [0, 1e3, -1e3], [-1e30, 1e30, 1e30], [0, -most, -INF], [most, -most, 0], [-most, most, 0],
        [0, INF, 0], [-INF, 0, 0], [INF, 0, 0], [-most, 0, most],
    ]  # fmt: skip
    for row in rows:
        for y in (0.0, 1.0, 1e30, most, -most):
            check_loss(loss, row, np.array([[y]], dtype), dtype)


WITH_PARAMETERS = {"huber": ("huber", [1.0]), "quantile": ("quantile", [0.2, 0.7])}


@pytest.mark.parametrize("name", [*reference.OUTPUT_OF, "smoothed"])
def test_nan_reaches_loss_and_delta(name: str, dtype: type) -> None:
    loss: Any = ("cross_entropy", [0.1]) if name == "smoothed" else WITH_PARAMETERS.get(name, name)
    y = np.array([[1.0, 1.0]], dtype)
    if "cross_entropy" in (loss, loss[0]):
        y = np.array([1], np.int32)
    elif loss[0] == "quantile":
        y = y[:, :1].copy()
    got, delta = loss_and_delta(loss, [NAN, 0.5], y, dtype)
    assert np.isnan(got)
    assert np.isnan(delta[0])


# Recurrent cells.


@pytest.mark.parametrize("cell", ref.GATES)
def test_cells(cell: str, dtype: type) -> None:
    """Huge and infinite sums in the gates, forward and one step of training."""
    gates = ref.GATES[cell]
    most = float(np.finfo(dtype).max)
    ends = [-INF, -most, -1e30, -1e3, 0.5, 1e3, 1e30, most, INF]
    rng = np.random.default_rng(0)
    for _ in range(60):
        # The sums are the biases: of what comes in, and, for the hidden part of a gru's n, of the last state.
        a, r = rng.choice(ends, gates), np.zeros(gates)
        if cell == "gru":
            r[2] = rng.choice(ends)
        if cell == "elman_relu" and not np.isfinite(a[0]):
            a[0] = most  # an infinite state has no product with a weight of zero
        coefs = [np.zeros((1, gates), dtype), np.zeros((1, gates), dtype), np.ones((1, 1), dtype)]
        biases = [a.astype(dtype), r.astype(dtype), np.zeros(1, dtype)]
        X, starts = np.zeros((1, 1), dtype), np.array([0, 1])
        states = [np.full((1, ref.STATES[cell]), 0.25, dtype)]
        wide = [b.astype(np.float64) for b in biases]
        if cell == "gru" and dtype is np.float32:
            wide[1] = np.clip(wide[1], -most, most)
        expected, expected_states = ref.forward(
            [X.astype(np.float64)], cell, [c.astype(np.float64) for c in coefs], wide, "identity",
            initial=[s.astype(np.float64) for s in states],
        )  # fmt: skip
        ours = [s.copy() for s in states]
        got = _core.sequence_forward(X, starts, coefs, biases, cell, "identity", states=ours)
        assert not np.isnan(expected).any()
        check(got, expected, dtype, (cell, a, r))
        check(ours[0], expected_states[0], dtype, (cell, a, r))

        params = {"momentum": 0.0, "nesterov": 0}
        finite = bool(np.isfinite([*a, *r]).all())
        trainer = _core.SequenceTrainer(
            coefs, biases, cell, "absolute_error", batch_size=1, rule="sgd", rule_params=params
        )
        loss, all_finite = trainer.run_epoch(X, starts, got - 1, learning_rate=0.01, states=states)
        assert loss == pytest.approx(1, rel=1e-5) or got[0, 0] > 1e6
        assert all_finite == finite, (cell, a, r)


# Sums over a batch and over a gradient.


@pytest.mark.parametrize("size", [1e18, 3e19, 1e30, 1e37])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 0.0])
def test_batch_normalisation(size: float, spread: float, dtype: type) -> None:
    """The loss of one step with a column whose squares overflow, or whose sum does."""
    size = size if dtype is np.float32 else size**8
    rng = np.random.default_rng(0)
    X = (size * (1 + spread * rng.standard_normal((60, 1)))).astype(dtype)
    y = rng.standard_normal((60, 1)).astype(dtype)
    losses = []
    for kind, wide in ((_core.Trainer, dtype), (reference_layers.Trainer, np.float64)):
        weights = [np.ones((1, 1), wide) for _ in range(2)]
        biases = [np.zeros(1, wide) for _ in range(2)]
        norm = tuple(np.full(1, start, wide) for start in (1.5, 0.25, 0.0, 1.0))
        trainer: Any = kind(
            weights, biases, ["tanh"], "squared_error", batch_size=60, rule="sgd",
            rule_params={"momentum": 0.0, "nesterov": 0}, batch_norm=[norm],
        )  # fmt: skip
        loss, _ = trainer.run_epoch(X.astype(wide), y.astype(wide), learning_rate=0.0)
        losses.append(loss)
    if spread == 0:  # the rounding of a mean of equal numbers counts as their spread, or there is none
        assert np.isfinite(losses[0])
    else:
        assert losses[0] == pytest.approx(losses[1], rel=1e-3 if dtype is np.float32 else 1e-9)


@pytest.mark.parametrize("limits", [{"clip_norm": 2.0}, {"clip_layer_norm": 2.0}], ids=str)
def test_a_gradient_whose_squares_overflow_is_clipped(limits: dict[str, float], dtype: type) -> None:
    size = 1e25 if dtype is np.float32 else 1e200
    X, y = np.array([[3.0, 4.0]], dtype), np.array([[size]], dtype)
    weights, biases = [np.zeros((2, 1), dtype)], [np.zeros(1, dtype)]
    trainer = _core.Trainer(
        weights, biases, [], "squared_error", batch_size=1, rule="sgd",
        rule_params={"momentum": 0.0, "nesterov": 0}, records=True, **limits,
    )  # fmt: skip
    _, finite = trainer.run_epoch(X, y, learning_rate=1.0)
    assert finite
    # Of length 2, in the direction of (3, 4, 1).
    check(np.append(weights[0], biases[0]), 2 * np.array([3, 4, 1]) / np.sqrt(26), dtype, limits)
    assert trainer.records is not None
    assert trainer.records["gradient_norm"][0] == pytest.approx(size * np.sqrt(26), rel=1e-5)


# In Python.


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_probability_of_zero_has_a_logarithm_without_a_warning() -> None:
    X = np.array([[-1.0], [0.0], [1.0]] * 20)
    for y in (X[:, 0], X[:, 0] > 0):  # softmax, and the logistic function
        est = gdfast.MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
        logarithms = est.predict_log_proba(1e30 * X)
        assert logarithms.min() == -INF
        assert not np.isnan(logarithms).any()


def test_poissons_validation_loss_of_predictions_at_both_ends(dtype: type) -> None:
    """Predictions say less than sums do: one of zero is of any number too small."""
    tiny = float(np.finfo(dtype).tiny)
    ends = np.array([[INF], [0.0], [0.0]], dtype)
    for y, outputs, wanted in (
        (0.0, ends[:1], INF),
        (3.0, ends[:1], INF),
        (0.0, ends[1:], 0.0),
        (3.0, ends[1:], 3 * np.log(3 / tiny) - 3),
    ):
        loss = mean_loss("poisson", np.full(outputs.shape, y, dtype), outputs, None)
        assert loss == pytest.approx(wanted, rel=1e-5, abs=1e-30)


# What users feed in.


@pytest.mark.parametrize(
    "name", ["gelu", "gelu_tanh", "silu", "mish", "softplus", "relu", "elu", "selu", "leaky_relu"]
)
def test_time_stamps_and_prices_in_cents_have_a_slope(name: str, dtype: type) -> None:
    for z in {np.float64: (1e3, 1e14, 1.7e18, 1e30, 1e200), np.float32: (1e3, 1e18, 1e20)}[dtype]:
        assert slope(name, z, dtype) == pytest.approx(SCALE if name == "selu" else 1.0, rel=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg", "annealing"])
def test_without_a_penalty_large_weights_have_a_loss(solver: str) -> None:
    X, y = np.full((50, 1), 1e-30, np.float32), np.full(50, 1e15, np.float32)
    start = [np.full((1, 1), 1e20, np.float32)]  # whose square is infinite in float32
    est = gdfast.MLPRegressor(
        hidden_layer_sizes=(), solver=solver, alpha=0, max_iter=3, coefs_init=start, random_state=0
    ).fit(X, y)
    assert np.isfinite(est.loss_)
