"""Learning-rate schedules: plain formulas, torch's schedulers where installed, state, copies, errors."""

from __future__ import annotations

import copy
import fractions
import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gdfast import optim, schedules
from gdfast.kernels import sgd_update
from gdfast.schedules import Progress, Schedule
from sklearn.base import clone

EPOCHS, STEPS = 12, 5
LR = 0.3


def curve(schedule: Schedule, values: Any = None, epochs: int = EPOCHS, lr: float = LR) -> list[float]:
    """Every step's learning rate of a whole training, which reports ``values`` after its epochs."""
    rates: list[float] = []
    for epoch in range(epochs):
        now = Progress(epoch, epoch * STEPS, epoch * STEPS * 32, STEPS, epochs)
        asked = schedule.rates(lr, now)
        assert isinstance(asked, float) or (asked.shape == (STEPS,) and asked.dtype == np.float64)
        rates += np.broadcast_to(asked, STEPS).tolist()
        schedule.epoch_ends(0.0 if values is None else values[epoch])
    return rates


def per_epoch(formula: Callable[[int], float]) -> list[float]:
    return [formula(epoch) for epoch in range(EPOCHS) for _ in range(STEPS)]


def per_step(formula: Callable[[int], float]) -> list[float]:
    return [formula(step) for step in range(EPOCHS * STEPS)]


def half_cosine(part: float, high: float = LR, low: float = 0.0) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * part)) / 2


def two_phases(step: int) -> float:
    total = EPOCHS * STEPS
    up = 0.3 * total - 1
    low, end = LR / 25, LR / 25 / 1e4
    return (
        half_cosine(step / up, low, LR)
        if step <= up
        else half_cosine((step - up) / (total - 1 - up), LR, end)
    )


FORMULAS: dict[str, tuple[Schedule, list[float]]] = {
    "constant": (schedules.Constant(), per_epoch(lambda e: LR)),
    "invscaling": (schedules.InvScaling(0.7), per_epoch(lambda e: LR / (e * STEPS * 32 + 1) ** 0.7)),
    "step": (schedules.Step(4, 0.5), per_epoch(lambda e: LR * 0.5 ** (e // 4))),
    "step by step": (schedules.Step(7, 0.5, per="step"), per_step(lambda t: LR * 0.5 ** (t // 7))),
    "multi-step": (
        schedules.MultiStep([8, 3, 3]), per_epoch(lambda e: LR * 0.1 ** (2 * (e >= 3) + (e >= 8)))
    ),
    "exponential": (schedules.Exponential(0.8), per_epoch(lambda e: LR * 0.8**e)),
    "polynomial": (schedules.Polynomial(power=2.0), per_epoch(lambda e: LR * (1 - e / EPOCHS) ** 2)),
    "polynomial, short": (schedules.Polynomial(5), per_epoch(lambda e: LR * (1 - min(e, 5) / 5))),
    "polynomial by step": (
        schedules.Polynomial(per="step"), per_step(lambda t: LR * (1 - t / (EPOCHS * STEPS)))
    ),
    "cosine": (schedules.Cosine(eta_min=0.01), per_epoch(lambda e: half_cosine(e / EPOCHS, LR, 0.01))),
    "cosine, up again": (schedules.Cosine(5), per_epoch(lambda e: half_cosine(e / 5))),
    "cosine by step": (schedules.Cosine(per="step"), per_step(lambda t: half_cosine(t / EPOCHS / STEPS))),
    "restarts": (schedules.CosineRestarts(4), per_step(lambda t: half_cosine(t / STEPS % 4 / 4))),
    "restarts, longer": (
        schedules.CosineRestarts(2, 2, 0.01),  # epochs 0-1, 2-5, 6-13
        per_step(lambda t: half_cosine(
            t / STEPS / 2 if t < 2 * STEPS else (t / STEPS - 2) / 4 if t < 6 * STEPS else (t / STEPS - 6) / 8,
            LR, 0.01,
        )),
    ),
    "one-cycle": (schedules.OneCycle(), per_step(two_phases)),
    "warm-up": (
        schedules.Warmup(total_iters=7, start_factor=0.1),
        per_step(lambda t: LR * (0.1 + 0.9 * min(t, 7) / 7)),
    ),
    "warm-up, step": (
        schedules.Warmup(schedules.Step(1, 0.5), total_iters=7, start_factor=0.1),
        per_step(lambda t: LR * 0.5 ** (t // STEPS) * (0.1 + 0.9 * min(t, 7) / 7)),
    ),
    "warm-up by epoch": (
        schedules.Warmup(total_iters=3, start_factor=0.25, per="epoch"),
        per_epoch(lambda e: LR * (0.25 + 0.75 * min(e, 3) / 3)),
    ),
    "function": (schedules.Lambda(lambda e: 1 / (1 + e)), per_epoch(lambda e: LR / (1 + e))),
    "function of the step": (
        schedules.Lambda(lambda t: 1 / (1 + t), per="step"), per_step(lambda t: LR / (1 + t))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str) -> None:
    schedule, expected = FORMULAS[name]
    np.testing.assert_allclose(curve(schedule), expected, rtol=1e-12, atol=1e-17)
    np.testing.assert_allclose(curve(schedule), expected, rtol=1e-12, atol=1e-17)  # stateless


LOSSES = [
    1.0,
    0.9,
    0.9,
    0.9,
    0.9,
    0.5,
    0.6,
    0.7,
    0.49999,
    0.7,
    0.8,
    0.9,
    0.9,
    0.9,
    0.9,
    0.9,
    0.1,
    0.1,
    0.1,
    0.1,
]


def test_adaptive_is_scikit_learns() -> None:
    lr, best, without, expected = LR, math.inf, 0, []
    for loss in LOSSES:
        expected += [lr] * STEPS
        without = without + 1 if loss > best - 1e-4 else 0
        best = min(best, loss)
        if without > 2:
            lr, without = lr / 5, 0
    assert curve(schedules.Adaptive(1e-4, 2), LOSSES, len(LOSSES)) == expected
    assert len(set(expected)) > 3


def test_adaptive_ends_training_when_nothing_is_left() -> None:
    schedule = schedules.Adaptive(n_iter_no_change=1)
    assert schedule.rates(4e-6, Progress(0, 0, 0, 1, 9)) == 4e-6
    assert [schedule.epoch_ends(1.0) for _ in range(7)] == [False] * 4 + [True] * 3
    assert schedule.rates(4e-6, Progress(6, 6, 6, 1, 9)) == 8e-7


# ------------------------------------------------------------------------------------ torch, where installed

IN_TORCH: dict[str, tuple[Schedule, Any, bool]] = {
    # ours, torch's by its module and optimizer, whether it steps with every step
    "step": (schedules.Step(4, 0.5), lambda m, o: m.StepLR(o, 4, 0.5), False),
    "multi-step": (schedules.MultiStep([3, 8]), lambda m, o: m.MultiStepLR(o, [3, 8]), False),
    "exponential": (schedules.Exponential(0.8, per="step"), lambda m, o: m.ExponentialLR(o, 0.8), True),
    "polynomial": (schedules.Polynomial(5, 2.0), lambda m, o: m.PolynomialLR(o, 5, 2.0), False),
    "cosine": (schedules.Cosine(5, 0.01), lambda m, o: m.CosineAnnealingLR(o, 5, 0.01), False),
    "restarts": (
        schedules.CosineRestarts(2, 2), lambda m, o: m.CosineAnnealingWarmRestarts(o, 2 * STEPS, 2), True
    ),
    "one-cycle": (schedules.OneCycle(), lambda m, o: m.OneCycleLR(o, LR, EPOCHS * STEPS), True),
    "one-cycle, 3 phases": (
        schedules.OneCycle(0.7, three_phase=True, anneal_strategy="linear", pct_start=0.25, div_factor=10.0),
        lambda m, o: m.OneCycleLR(
            o, 0.7, EPOCHS * STEPS, three_phase=True,
            anneal_strategy="linear", pct_start=0.25, div_factor=10.0,
        ),
        True,
    ),
    "warm-up": (
        schedules.Warmup(schedules.Exponential(0.9, per="step"), total_iters=7),
        lambda m, o: m.ChainedScheduler([m.LinearLR(o, total_iters=7), m.ExponentialLR(o, 0.9)]),
        True,
    ),
    "function": (schedules.Lambda(lambda e: 0.9**e), lambda m, o: m.LambdaLR(o, lambda e: 0.9**e), False),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_TORCH)
def test_curves_are_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, make, every_step = IN_TORCH[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR, momentum=0.9)
    peer = make(torch.optim.lr_scheduler, optimizer)
    expected = []
    for step in range(EPOCHS * STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (every_step and step + 1 < EPOCHS * STEPS) or (not every_step and (step + 1) % STEPS == 0):
            peer.step()
    np.testing.assert_allclose(curve(ours), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("cooldown", [0, 2])
def test_plateau_is_torchs(mode: str, threshold_mode: str, cooldown: int) -> None:
    torch = pytest.importorskip("torch")
    options: dict[str, Any] = {
        "patience": 1, "threshold": 0.05, "threshold_mode": threshold_mode,
        "cooldown": cooldown, "min_lr": 1e-4,
    }  # fmt: skip
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, **options)
    expected = []
    for loss in LOSSES:
        expected += [optimizer.param_groups[0]["lr"]] * STEPS
        peer.step(loss)
    rates = curve(schedules.Plateau(mode, **options), LOSSES, len(LOSSES))
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert len(set(rates)) > 2


def test_plateau() -> None:
    """By hand, for where torch is not."""
    #                          better | patience 1: third one cuts | cools two epochs | better
    losses = [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.4]
    rates = curve(schedules.Plateau(patience=1, cooldown=2, factor=0.5), losses, len(losses), lr=1.0)[::STEPS]
    assert rates == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


# ------------------------------------------------------------------------------------ objects


@pytest.mark.parametrize("how", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
@pytest.mark.parametrize(
    "schedule",
    [schedules.Plateau(patience=0, factor=0.5), schedules.Adaptive(n_iter_no_change=1),
     schedules.Warmup(schedules.Plateau(patience=0))],
    ids=str,
)  # fmt: skip
def test_copies_continue_and_clones_restart(schedule: Schedule, how: Callable[[Schedule], Schedule]) -> None:
    schedule = clone(schedule)
    begin = curve(schedule, LOSSES, 6)
    twin = how(schedule)
    assert curve(twin, LOSSES, 6) == curve(schedule, LOSSES, 6) != begin
    assert curve(clone(schedule), LOSSES, 6) == begin


@pytest.mark.parametrize("name", FORMULAS)
def test_records(name: str) -> None:
    schedule = FORMULAS[name][0]
    other = clone(schedule)
    assert curve(other) == curve(schedule)
    if "function" not in name:
        assert repr(eval(repr(schedule), vars(schedules))) == repr(schedule)


def test_set_params() -> None:
    schedule = schedules.Step(3)
    assert schedule.set_params(gamma=0.5, step_size=2) is schedule
    assert curve(schedule) == curve(schedules.Step(2, 0.5))
    for params, message in (
        ({"factor": 1}, r"Step has no parameter 'factor'; it has step_size, gamma, per"),
        ({"gamma": 0.1, "step_size": 0}, "step_size must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            schedule.set_params(**params)
        assert repr(schedule) == repr(schedules.Step(2, 0.5))
    with pytest.raises(ValueError, match="Constant has no parameter 'lr'; it has none"):
        schedules.Constant().set_params(lr=1)
    listening = schedules.Plateau(patience=0, factor=0.5)
    fresh = curve(listening, LOSSES, 6)
    assert curve(listening, LOSSES, 6) != fresh
    assert curve(listening.set_params(patience=0), LOSSES, 6) == fresh


@pytest.mark.parametrize("result", ["a", None, [1.0, 2.0], "1"], ids=str)
def test_a_function_that_returns_no_number(result: Any) -> None:
    with pytest.raises(
        TypeError, match=r"must return a number, the learning rate's factor; got .* for epoch 0"
    ):
        curve(schedules.Lambda(lambda epoch: result))


def test_numbers_of_any_kind_are_factors() -> None:
    expected = curve(schedules.Lambda(lambda epoch: 0.5))
    for half in (np.float32(0.5), np.array(0.5), np.array([0.5]), fractions.Fraction(1, 2)):
        assert curve(schedules.Lambda(lambda epoch, half=half: half)) == expected  # type: ignore[misc]


@pytest.mark.parametrize(
    "schedule", [schedules.Plateau(patience=1, factor=0.2), schedules.Adaptive(n_iter_no_change=1)]
)
def test_nan_is_no_improvement(schedule: Schedule) -> None:
    losses = [1.0] + [math.nan] * 5
    assert len(set(curve(schedule, losses, len(losses)))) > 2


def test_resolve() -> None:
    assert isinstance(schedules.resolve(None), schedules.Constant)
    for name in ("constant", "invscaling", "adaptive", "polynomial", "cosine", "one_cycle", "plateau"):
        assert len(curve(schedules.resolve(name))) == EPOCHS * STEPS
    plateau = schedules.Plateau(patience=0)
    resolved = schedules.resolve(plateau)
    curve(resolved)
    assert plateau._lr is None, "the caller's own has heard nothing"
    assert curve(schedules.resolve(lambda epoch: 0.5**epoch))[STEPS] == LR / 2
    with pytest.raises(ValueError, match=r"schedule must be one of 'adaptive', .*; got 'cosinus'"):
        schedules.resolve("cosinus")
    with pytest.raises(TypeError, match="schedule must be a schedule"):
        schedules.resolve(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.Step(0), "step_size"),
        (lambda: schedules.Step(3, -0.1), "gamma"),
        (lambda: schedules.Step(3, per="batch"), "per must be one of 'epoch', 'step'; got 'batch'"),
        (lambda: schedules.MultiStep([3, 0.5]), "milestones"),  # type: ignore[list-item]
        (lambda: schedules.MultiStep(3), "milestones must be a sequence of integers, got 3"),  # type: ignore[arg-type]
        (lambda: schedules.MultiStep(np.array(3)), "milestones must be a sequence"),  # type: ignore[arg-type]
        (lambda: schedules.Exponential(math.nan), "gamma"),
        (lambda: schedules.Polynomial(0), "total_iters"),
        (lambda: schedules.Cosine(2.5), "T_max"),  # type: ignore[arg-type]
        (lambda: schedules.CosineRestarts(0), "T_0"),
        (lambda: schedules.CosineRestarts(2, 0), "T_mult"),
        (lambda: schedules.OneCycle(pct_start=1.0), "pct_start"),
        (lambda: schedules.OneCycle(anneal_strategy="cosine"), "anneal_strategy"),
        (lambda: schedules.OneCycle(0.0), "max_lr"),
        (lambda: schedules.InvScaling(-1), "power_t"),
        (lambda: schedules.Adaptive(n_iter_no_change=0), "n_iter_no_change"),
        (lambda: schedules.Plateau("less"), "mode"),
        (lambda: schedules.Plateau(factor=1.0), "factor"),
        (lambda: schedules.Plateau(patience=-1), "patience"),
        (lambda: schedules.Plateau(threshold_mode="both"), "threshold_mode"),
        (lambda: schedules.Warmup("cosine"), "schedule"),  # type: ignore[arg-type]
        (lambda: schedules.Warmup(start_factor=1.5), "start_factor"),
        (lambda: schedules.Warmup(total_iters=0), "total_iters"),
        (lambda: schedules.Lambda(0.1), "lr_lambda"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


BIG = 1e300
BEYOND_ALL_NUMBERS: dict[str, Callable[[], Schedule]] = {
    f"gamma={BIG!r}": lambda: schedules.Exponential(BIG),
    f"Step(step_size=1, gamma={BIG!r}": lambda: schedules.Step(1, BIG),
    f"MultiStep(milestones=[1, 2], gamma={BIG!r}": lambda: schedules.MultiStep([1, 2], BIG),
    f"gamma={BIG!r}, per='step'": lambda: schedules.Exponential(BIG, per="step"),
    "OneCycle(max_lr=1e+300": lambda: schedules.OneCycle(BIG, div_factor=1e-300),
    "Cosine(T_max=None, eta_min=1.7e+308": lambda: schedules.Cosine(eta_min=1.7e308),
    "CosineRestarts(T_0=3, T_mult=1, eta_min=1.7e+308": lambda: schedules.CosineRestarts(3, eta_min=1.7e308),
    "lr_lambda=": lambda: schedules.Lambda(lambda epoch: math.inf),
    "Lambda": lambda: schedules.Lambda(lambda epoch: math.nan),
    "per='step'": lambda: schedules.Lambda(lambda step: -1.0, per="step"),
    "Exponential": lambda: schedules.Warmup(schedules.Exponential(BIG)),
}


@pytest.mark.parametrize("argument", BEYOND_ALL_NUMBERS)
def test_rates_that_are_no_learning_rates(argument: str) -> None:
    message = r"Learning rates must be finite and at least 0, got .* in epoch \d+ of schedule=.*"
    with pytest.raises(ValueError, match=message + re.escape(argument)):
        curve(BEYOND_ALL_NUMBERS[argument]())


@pytest.mark.parametrize("lr", [math.inf, math.nan, -1.0])
def test_no_schedule_hands_on_what_is_no_learning_rate(lr: float) -> None:
    curves = [schedule for schedule, _ in FORMULAS.values()]
    for schedule in (*curves, schedules.Plateau(), schedules.Adaptive(), schedules.Warmup()):
        with pytest.raises(ValueError, match="Learning rates must be finite"):
            curve(schedule, lr=lr)
        assert np.isfinite(curve(schedule)).all(), "what is refused is not remembered"


@pytest.mark.parametrize("power_t", [1e300, 10**300, 1000])
def test_a_power_beyond_all_numbers_divides_to_nothing(power_t: float) -> None:
    assert set(curve(schedules.InvScaling(power_t), lr=0.5)) == {0.5, 0.0}


@pytest.mark.parametrize("big", [10**400, -(10**400)])
def test_an_integer_beyond_all_floats_is_not_finite(big: int) -> None:
    with pytest.raises(ValueError, match="gamma must be finite and not negative"):
        schedules.Exponential(big)
    with pytest.raises(ValueError, match="dampening must be finite"):
        optim.SGD(dampening=big)


@pytest.mark.parametrize("name", ["patience", "cooldown"])
@pytest.mark.parametrize(("value", "message"), [
    ("a", "must be an integer, got str"), (1.0, "must be an integer, got float"), (-1, "must be at least 0"),
    (2**63, r"must be at least 0, and below 2\*\*63"),
])  # fmt: skip
def test_counts_of_plateau_are_named(name: str, value: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} {message}"):
        schedules.Plateau(**{name: value})


class Own(Schedule):
    """A user's, which returns an array, as it may."""

    def rates(self, lr: float, progress: Progress) -> schedules.Rates:
        return np.full(progress.steps_per_epoch, lr / 2)


OF_ONE_STEP: dict[str, Schedule] = {
    **{name: FORMULAS[name][0] for name in FORMULAS},
    "plateau": schedules.Plateau(),
    "adaptive": schedules.Adaptive(),
    "your own": Own(),
    "warm-up of your own": schedules.Warmup(Own()),
}


@pytest.mark.parametrize("name", OF_ONE_STEP)
def test_what_rates_returns_for_one_step_is_a_learning_rate(name: str) -> None:
    """Of an optimizer, however it is given, and of a bare function."""
    schedule = OF_ONE_STEP[name]
    optimizer, same = optim.SGD(lr=LR), np.ones(2)
    for epoch in range(EPOCHS):
        rates = schedule.rates(LR, Progress(epoch, epoch, epoch, 1, EPOCHS))
        expected = float(np.ravel(rates)[0])
        params = np.ones(2)
        optimizer.lr = rates  # type: ignore[assignment]
        optimizer.step(params, np.ones(2))
        np.testing.assert_array_equal(params, 1 - expected)
        assert (type(optimizer.lr), optimizer.lr) == (float, expected)
        assert clone(optim.Adam(lr=rates)).lr == optim.Adam().set_params(lr=rates).lr == expected
        sgd_update(same, np.ones(2), lr=rates)  # type: ignore[arg-type]
        same += expected
    np.testing.assert_allclose(same, 1.0)


@pytest.mark.parametrize("lr", [np.array(0.25), np.array([0.25]), np.array([[0.25]], np.float32)])
def test_an_array_of_one_element_is_a_learning_rate(lr: Any) -> None:
    optimizer = optim.SGD()
    optimizer.lr = lr
    assert optimizer.lr == 0.25
    lr[...] = 1.0
    assert optimizer.lr == 0.25


@pytest.mark.parametrize("lr", [np.ones(2), np.ones(0), np.array(["a"]), [0.1], np.array([None])])
def test_other_arrays_are_none(lr: Any) -> None:
    optimizer = optim.SGD(lr=0.5)
    with pytest.raises(TypeError, match="lr must be a number, got"):
        optimizer.lr = lr
    with pytest.raises(TypeError, match="lr must be a number, got"):
        optim.SGD(lr=lr)
    assert optimizer.lr == 0.5


@pytest.mark.parametrize("choice", [np.array(["a", "b"]), None, 1, ["min"]], ids=str)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda value: schedules.Cosine(3, per=value), "per"),
        (lambda value: schedules.Warmup(total_iters=3, per=value), "per"),
        (lambda value: schedules.Plateau(value), "mode"),
        (lambda value: schedules.Plateau(threshold_mode=value), "threshold_mode"),
        (lambda value: schedules.OneCycle(anneal_strategy=value), "anneal_strategy"),
    ],
)
def test_a_choice_that_is_no_string(make: Any, name: str, choice: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a string"):
        make(choice)
