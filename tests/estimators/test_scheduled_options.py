"""``dropout_schedule`` and ``weight_decay_schedule``: against arguments set by hand for each epoch."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, trained_arrays
from gdfast import RNNClassifier, RNNRegressor, optim, schedules
from gdfast.schedules import Progress
from ids import text_of
from sklearn.base import clone

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
SEQUENCES = np.random.default_rng(0).standard_normal((12, 5, 2))
FIT: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "max_iter": 6, "random_state": 0}
GOING_ON = {"warm_start": True, "keep_optimizer_state": True}
BASES: dict[str, Any] = {"dropout": 0.4, "weight_decay": 0.3}
ALL_KINDS = {**KINDS, "rnn classifier": RNNClassifier, "rnn regressor": RNNRegressor}
# Each kind of network with the options that it has.
PAIRS = [(name, option) for name in ALL_KINDS for option in BASES if "rnn" not in name or option != "dropout"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def data(kind: Any) -> tuple[Any, Any]:
    return (SEQUENCES, Y[:12]) if kind in (RNNClassifier, RNNRegressor) else (X, Y)


def make_estimator(kind: Any, **arguments: Any) -> Any:
    return kind(**{**FIT, "batch_size": len(data(kind)[1]) // 3, **arguments})


def fit(kind: Any, **arguments: Any) -> Any:
    return make_estimator(kind, **arguments).fit(*data(kind))


def partial_fit(est: Any, times: int = 1) -> Any:
    X, y = data(type(est))
    for _ in range(times):
        more = {"classes": np.unique(y)} if hasattr(est, "predict_proba") and not hasattr(est, "t_") else {}
        est.partial_fit(X, y, **more)
    return est


def by_hand(kind: Any, values: list[dict[str, Any]], **arguments: Any) -> Any:
    """A fit of one epoch after another, each with arguments of its own."""
    est = make_estimator(kind, **{**arguments, **GOING_ON, "max_iter": 1})
    for of_epoch in values:
        est.set_params(**of_epoch).fit(*data(kind))
    return est


def assert_same(left: Any, right: Any) -> None:
    assert_same_bits(trained_arrays(left), trained_arrays(right))
    assert left.loss_curve_ == right.loss_curve_


# ------------------------------------------------------------------------------------------------- by hand

# With what each makes of 1 in six epochs of three steps.
SCHEDULES: dict[str, tuple[Any, Any]] = {
    "function": (lambda epoch: [0.5, 0, 1, 2, 0.1, 1][epoch], [0.5, 0, 1, 2, 0.1, 1]),
    "per epoch": (schedules.Exponential(0.5), [0.5**epoch for epoch in range(6)]),
    "by name": ("polynomial", [1 - epoch / 6 for epoch in range(6)]),
    "per step": (
        schedules.Polynomial(power=1, per="step"),
        [np.mean([1 - (3 * epoch + i) / 18 for i in range(3)]) for epoch in range(6)],
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("name", "option"), PAIRS)
def test_epochs_are_those_of_arguments_set_by_hand(name: str, option: str, schedule: str) -> None:
    given, factors = SCHEDULES[schedule]
    base = BASES[option]
    est = fit(ALL_KINDS[name], **{option: base, f"{option}_schedule": given})
    hand = by_hand(ALL_KINDS[name], [{option: base * factor} for factor in factors], **{option: base})
    for a, b in zip(trained_arrays(est), trained_arrays(hand), strict=True):
        # A mean over steps, and a base times a power, round.
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "option"), PAIRS)
def test_values_of_a_schedule_bit_by_bit(name: str, option: str) -> None:
    schedule, base = schedules.MultiStep([1, 4], gamma=0.5), BASES[option]
    progress = [Progress(epoch, 3 * epoch, 0, 3, 6) for epoch in range(6)]
    values = [{option: schedule.rates(base, now)} for now in progress]
    est = fit(ALL_KINDS[name], **{option: base, f"{option}_schedule": schedule})
    assert_same(est, by_hand(ALL_KINDS[name], values, **{option: base}))
    est = make_estimator(ALL_KINDS[name], **{option: base, f"{option}_schedule": schedule})
    assert_same(partial_fit(est, 6), set_by_hand(ALL_KINDS[name], values))


def set_by_hand(kind: Any, values: list[dict[str, Any]]) -> Any:
    est = make_estimator(kind)
    for of_epoch in values:
        partial_fit(est.set_params(**of_epoch))
    return est


def test_several_rates_are_multiplied(kind: Any) -> None:
    rates, factors = [0.0, 0.5, 0.2], [1.0, 0.0, 1.5, 0.5, 0.5, 1.9]
    est = fit(kind, dropout=rates, dropout_schedule=lambda epoch: factors[epoch])
    values = [{"dropout": [rate * factor for rate in rates]} for factor in factors]
    assert_same(est, by_hand(kind, values, dropout=rates))


def test_several_rates_and_bounds_of_a_schedule(kind: Any) -> None:
    """A least value is of the rate for one number, and of the factor for several."""
    schedule = schedules.Plateau(patience=0, threshold=1e9, factor=0.01, min_lr=0.1)
    one = fit(kind, dropout=0.4, dropout_schedule=schedule)
    assert_same(one, by_hand(kind, [{"dropout": 0.4}] + [{"dropout": 0.1}] * 5))
    several = fit(kind, dropout=[0.0, 0.4, 0.4], dropout_schedule=schedule)
    values = [{"dropout": [0, f * 0.4, f * 0.4]} for f in [1.0] + [0.1] * 5]
    assert_same(several, by_hand(kind, values))


def test_both_beside_a_learning_rate_schedule_and_all_else(kind: Any) -> None:
    shared: dict[str, Any] = {
        "batch_norm": True, "clip_norm": "auto", "solver": "nadam", "gradient_noise": 0.01,
        "schedule": schedules.Exponential(0.9), "learning_rate_factors": {"intercepts_": 0.1},
    }  # fmt: skip
    half = schedules.Step(2, gamma=0.5)
    est = fit(kind, **shared, **BASES, dropout_schedule=half, weight_decay_schedule=half)
    values = [{name: base * 0.5 ** (epoch // 2) for name, base in BASES.items()} for epoch in range(6)]
    assert_same(est, by_hand(kind, values, **shared))


# ----------------------------------------------------------------------------------------- constant schedules


@pytest.mark.parametrize(
    "schedule", ["constant", schedules.Constant(), lambda epoch: 1, schedules.Step(99)], ids=text_of
)
@pytest.mark.parametrize(("name", "option"), PAIRS)
def test_a_constant_schedule_changes_no_bit(name: str, option: str, schedule: Any) -> None:
    base = {option: BASES[option]}
    given = fit(ALL_KINDS[name], **base, **{f"{option}_schedule": schedule})
    assert_same(given, fit(ALL_KINDS[name], **base))


# ------------------------------------------------------------------------------------------------- going on


class Fading(schedules.Schedule):
    """Its state alone tells what comes next: halved by every loss that it hears."""

    def __init__(self) -> None:
        self._factor = 1.0

    def rates(self, lr: float, progress: Any) -> float:
        return lr * self._factor

    def epoch_ends(self, value: float) -> bool:
        self._factor *= 0.5
        return True  # which ends training as a learning rate's schedule alone


@pytest.mark.parametrize(
    "schedule", [Fading(), schedules.Exponential(0.5), lambda epoch: 1 / (1 + epoch)], ids=text_of
)
@pytest.mark.parametrize(("name", "option"), PAIRS)
def test_two_halves_are_a_whole(name: str, option: str, schedule: Any) -> None:
    arguments = {option: BASES[option], f"{option}_schedule": schedule}
    whole = fit(ALL_KINDS[name], **arguments)
    assert whole.n_iter_ == 6
    hand = [{option: BASES[option] * 0.5**epoch} for epoch in range(6)]
    if not callable(schedule):
        assert_same(whole, by_hand(ALL_KINDS[name], hand))
    half = fit(ALL_KINDS[name], **arguments, **{**GOING_ON, "max_iter": 3})
    if not callable(schedule):
        pickled = pickle.loads(pickle.dumps(half)).fit(*data(ALL_KINDS[name]))
        assert_same(pickled, whole)
    assert_same(copy.deepcopy(half).fit(*data(ALL_KINDS[name])), whole)
    assert_same(half.fit(*data(ALL_KINDS[name])), whole)


def test_partial_fit_continues(kind: Any) -> None:
    est = make_estimator(kind, **BASES, dropout_schedule=Fading(), weight_decay_schedule=Fading())
    values = [{name: base * 0.5**epoch for name, base in BASES.items()} for epoch in range(4)]
    partial_fit(est, 2)
    assert_same(partial_fit(pickle.loads(pickle.dumps(est)), 2), set_by_hand(kind, values))


def test_partial_fit_takes_changed_schedules(kind: Any) -> None:
    """As it takes a changed dropout or weight_decay."""
    est = make_estimator(kind, **BASES, dropout_schedule=Fading())
    partial_fit(est, 2)
    partial_fit(est.set_params(dropout_schedule=None, weight_decay_schedule=lambda epoch: epoch))
    partial_fit(est.set_params(weight_decay=0.1))
    hand = [
        {"dropout": 0.4, "weight_decay": 0.3},
        {"dropout": 0.2, "weight_decay": 0.3},
        {"dropout": 0.4, "weight_decay": 0.3 * 2},
        {"dropout": 0.4, "weight_decay": 0.1 * 3},
    ]
    assert_same(est, set_by_hand(kind, hand))


def test_a_new_fit_restarts_the_schedule_and_does_not_change_the_argument(kind: Any) -> None:
    schedule = Fading()
    est = fit(kind, **BASES, dropout_schedule=schedule, weight_decay_schedule=schedule)
    first = [array.copy() for array in trained_arrays(est)]
    assert schedule._factor == 1
    assert_same_bits(trained_arrays(est.fit(X, Y)), first)


def test_a_schedule_gets_the_validation_loss(kind: Any) -> None:
    heard: list[float] = []

    class Listening(schedules.Schedule):
        def rates(self, lr: float, progress: Any) -> float:
            return lr

        def epoch_ends(self, value: float) -> bool:
            heard.append(value)
            return False

    est = make_estimator(kind, weight_decay=0.1, weight_decay_schedule=Listening())
    est.fit(X, Y, X_val=X[:20], y_val=Y[:20])
    assert heard == est.validation_loss_curve_


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"dropout_schedule": "cosine"}, r"^dropout_schedule='cosine' has no meaning with dropout=0"),
        ({"dropout_schedule": "cosine", "dropout": [0, 0, 0]}, "has no meaning with dropout="),
        ({"weight_decay_schedule": "cosine"}, "^weight_decay_schedule='cosine' has no meaning"),
        (
            {"weight_decay_schedule": "cosine", "solver": optim.AdamW(weight_decay=0.1)},
            "^weight_decay_schedule='cosine' has no meaning with weight_decay=0",
        ),
        ({"dropout_schedule": "sine", "dropout": 0.1}, "^dropout_schedule must be one of 'adaptive'"),
        ({"weight_decay_schedule": "sine", "weight_decay": 1}, "^weight_decay_schedule must be one of"),
        ({"dropout_schedule": lambda e: 1 + e, "dropout": 0.6}, "^dropout must be .* got 1.2 in epoch 1"),
        ({"dropout_schedule": lambda e: -1, "dropout": 0.6}, "dropout_schedule=Lambda.*at least 0"),
        ({"dropout_schedule": lambda e: 9, "dropout": [0.5, 0, 0]}, "^dropout must be .* got 4.5 in epoch 0"),
        ({"weight_decay_schedule": lambda e: -1, "weight_decay": 1}, "^weight_decay_schedule=Lambda"),
        ({"weight_decay_schedule": lambda e: np.inf, "weight_decay": 1}, "^weight_decay_schedule=Lambda"),
        (
            {"weight_decay_schedule": schedules.Plateau(mode="max"), "weight_decay": 1},
            "^weight_decay_schedule=Plateau.* waits for its value to rise",
        ),
        (
            {"dropout_schedule": schedules.Warmup(schedules.Plateau(mode="max")), "dropout": 0.1},
            "^dropout_schedule=Warmup.* waits for its value to rise",
        ),
    ],
    ids=lambda value: text_of(value)[:60],
)  # fmt: skip
def test_schedules_that_make_no_sense(arguments: dict[str, Any], match: str, kind: Any) -> None:
    est = make_estimator(kind, **arguments)
    with pytest.raises(ValueError, match=match):
        est.fit(X, Y)
    assert hasattr(est, "coefs_") == ("in epoch 1" in match)


@pytest.mark.parametrize("option", BASES)
def test_what_is_no_schedule(option: str, kind: Any) -> None:
    with pytest.raises(ValueError, match=f"The '{option}_schedule' parameter"):
        fit(kind, **{option: 0.1, f"{option}_schedule": 3})
    with pytest.raises(TypeError, match=f"^{option}_schedule=Lambda.*must return a number"):
        fit(kind, **{option: 0.1, f"{option}_schedule": lambda epoch: None})
    est = partial_fit(make_estimator(kind, **{option: 0.1}))
    before = copy.deepcopy(est)
    with pytest.raises(ValueError, match=f"The '{option}_schedule' parameter"):
        partial_fit(est.set_params(**{f"{option}_schedule": 3}))
    assert_same(est, before)


def test_a_value_that_fails_leaves_the_schedules_as_they_were(kind: Any) -> None:
    est = partial_fit(make_estimator(kind, **BASES, dropout_schedule=Fading()), 2)
    bad = {"weight_decay_schedule": lambda epoch: -1}
    with pytest.raises(ValueError, match="weight_decay_schedule"):
        partial_fit(est.set_params(**bad))
    partial_fit(est.set_params(weight_decay_schedule=None))
    assert_same(est, partial_fit(make_estimator(kind, **BASES, dropout_schedule=Fading()), 3))


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
@pytest.mark.parametrize("option", BASES)
def test_no_schedule_without_steps(option: str, solver: str, kind: Any) -> None:
    with pytest.raises(ValueError, match="has no meaning with"):
        fit(kind, solver=solver, **{f"{option}_schedule": "cosine"})


def test_recurrent_networks_have_no_dropout() -> None:
    assert "dropout_schedule" not in RNNClassifier().get_params()
    assert "dropout_schedule" not in RNNRegressor().get_params()


def test_schedules_are_cloned_and_searched(kind: Any) -> None:
    est = clone(make_estimator(kind, weight_decay=0.1, weight_decay_schedule=schedules.Exponential(0.5)))
    est.set_params(weight_decay_schedule__gamma=0.25)
    assert est.weight_decay_schedule.gamma == 0.25
    assert isinstance(est, gdfast.MLPClassifier | gdfast.MLPRegressor)
