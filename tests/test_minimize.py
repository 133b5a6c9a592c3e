"""gdfast.minimize: scipy's conventions, every method, bounds, callbacks, annealing."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import minimize, optim, schedules
from gdfast._annealing import COOLINGS, anneal
from ids import text_of
from numpy.typing import NDArray
from scipy.optimize import Bounds, OptimizeResult, rosen, rosen_der

Array = NDArray[Any]


def parabola(x: Array, center: float = 3.0) -> float:
    return float(((x - center) ** 2).sum())


def slope(x: Array, center: float = 3.0) -> Array:
    return 2 * (x - center)


METHODS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.1},
    "adagrad": {"lr": 1.0},
    "rmsprop": {"lr": 0.05, "alpha": 0.9, "schedule": "polynomial", "maxiter": 1000},
    "adadelta": {"lr": 1.0, "eps": 1e-3},
    "adam": {"lr": 0.3},
    "adamw": {"lr": 0.3, "weight_decay": 0.0},
    "nadam": {"lr": 0.3},
    "adamax": {"lr": 0.3},
    "lion": {"lr": 0.1, "schedule": "polynomial", "maxiter": 1000},
    "rprop": {},
    "muon": {"lr": 0.3, "weight_decay": 0.0, "schedule": "polynomial", "maxiter": 1000},
    "prodigy": {},
    "soap": {"lr": 0.3, "weight_decay": 0.0, "schedule": "polynomial", "maxiter": 1000},
    "schedulefree": {"lr": 1.0, "maxiter": 2000},
}


@pytest.mark.parametrize("by_object", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_bottom(method: str, by_object: bool) -> None:
    options, how = dict(METHODS[method]), method
    if by_object:
        kind = next(getattr(optim, n) for n in optim.__all__ if n.lower() == method)
        ours = {k: options.pop(k) for k in list(options) if k not in ("schedule", "maxiter")}
        how = kind(**ours)
    start = np.array([0.0, 5.0, -2.0])
    result = minimize(parabola, start, jac=slope, method=how, options=options)
    # The last step of a rule that moves by the learning rate is as long as that: 1e-4 of 0.1.
    assert np.abs(result.x - 3).max() < 1e-3
    assert result.fun == parabola(result.x)
    assert isinstance(result, OptimizeResult)
    assert start.tolist() == [0, 5, -2]
    if by_object:
        assert how.steps == 0, "a copy was used"


@pytest.mark.parametrize(
    ("rule", "end"),
    [
        (optim.SGD(0.1), 2.9999999993888893),
        (optim.SGD(0.1, momentum=0.9, dampening=0.9, dampen_first=True), 2.9873156588456142),
        (optim.RMSprop(0.1, alpha=0.9, eps_mode="inside"), 3.0),
        (optim.Adam(0.1, eps_mode="inside"), 2.98065543759733),
    ],
    ids=text_of,
)
def test_figures_of_textbooks(rule: optim.Optimizer, end: float) -> None:
    result = minimize(parabola, 0.0, jac=slope, method=rule, options={"maxiter": 100, "gtol": 0})
    assert result.x[0] == pytest.approx(end, abs=1e-12)
    assert (result.nit, result.status, result.success) == (100, 1, False)


def test_counts_and_messages() -> None:
    calls = {"fun": 0, "jac": 0}

    def fun(x: Array) -> float:
        calls["fun"] += 1
        return parabola(x)

    def jac(x: Array) -> Array:
        calls["jac"] += 1
        return slope(x)

    result = minimize(fun, [0.0, 1.0], jac=jac, method="SGD", options={"lr": 0.25})
    assert (result.nfev, result.njev) == (calls["fun"], calls["jac"])
    assert result.njev == result.nit + 1
    assert result.success
    assert result.status == 0
    assert np.abs(result.jac).max() <= 1e-5
    assert "difference" not in result.message

    calls["fun"] = 0
    result = minimize(fun, [0.0, 1.0], method="sgd", options={"lr": 0.25})
    assert result.nfev == calls["fun"] == 4 * result.njev + 1
    assert result.success
    assert result.message.endswith("It was estimated by central differences.")

    def both(x: Array, center: float) -> tuple[float, Array]:
        calls["fun"] += 1
        return parabola(x, center), slope(x, center)

    calls["fun"] = 0
    result = minimize(both, [0.0], (4.0,), jac=True, method="sgd", options={"lr": 0.25})
    assert result.nfev == result.njev == calls["fun"]
    assert result.x[0] == pytest.approx(4, abs=1e-5)


def test_central_differences_are_accurate() -> None:
    x = np.array([-1.2, 1.0, 1.5])
    result = minimize(rosen, x, method="sgd", options={"lr": 0.0, "maxiter": 1, "gtol": 0})
    # The cube root of eps balances truncation and rounding: two thirds of the digits.
    np.testing.assert_allclose(result.jac, rosen_der(x), rtol=1e-8)


def test_rosenbrock() -> None:
    result = minimize(rosen, [-1.2, 1.0], jac=rosen_der, options={"lr": 0.05})
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-4)


@pytest.mark.parametrize(
    "bounds", [[(None, 2.0), (-1.0, None), (4.0, 9.0)], Bounds([-np.inf, -1, 4], [2, np.inf, 9])]
)
@pytest.mark.parametrize("jac", [slope, None])
@pytest.mark.parametrize("method", ["sgd", "adam", "rprop"])
def test_bounds_are_projected_onto(bounds: Any, jac: Any, method: str) -> None:
    seen = []

    def fun(x: Array) -> float:
        seen.append(x.copy())
        return parabola(x)

    result = minimize(
        fun, [8.0, 0.0, 0.0], jac=jac, method=method, bounds=bounds, options={"lr": 0.2}, callback=seen.append
    )
    assert result.success
    np.testing.assert_allclose(result.x, [2, 3, 4], atol=1e-4)
    low, high = np.array([-np.inf, -1, 4]), np.array([2, np.inf, 9])
    assert all(((low <= x) & (x <= high)).all() for x in seen), "fun is never called outside"


def test_callbacks_are_scipys() -> None:
    points: list[Array] = []
    minimize(parabola, [0.0], jac=slope, method="sgd", options={"maxiter": 3}, callback=points.append)
    assert len(points) == 3
    assert len({float(p[0]) for p in points}) == 3, "copies"

    results = []

    def by_keyword(intermediate_result: OptimizeResult) -> None:
        results.append(intermediate_result)
        if len(results) == 2:
            raise StopIteration

    result = minimize(parabola, [0.0], jac=slope, method="sgd", callback=by_keyword)
    assert [r.fun for r in results] == [parabola(r.x) for r in results]
    assert (result.nit, result.status, result.success) == (2, 99, False)
    assert "StopIteration" in result.message

    def fails(x: Array) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        minimize(parabola, [0.0], jac=slope, callback=fails)


def test_divergence_is_reported_with_the_last_finite_point() -> None:
    with np.errstate(over="ignore"):  # parabola's own
        result = minimize(parabola, [0.0], jac=slope, method="sgd", options={"lr": 1e200})
    assert (result.status, result.success) == (2, False)
    assert np.isfinite(result.x).all()
    assert "smaller lr" in result.message
    assert minimize(lambda x: math.nan, [0.0], jac=slope, method="sgd").status == 2


def test_options() -> None:
    base: dict[str, Any] = {"lr": 1.0, "maxiter": 1, "gtol": 0}
    by_norm = minimize(parabola, [0.0, 0.0], jac=slope, method="sgd", options={**base, "clip_norm": 0.5})
    np.testing.assert_allclose(by_norm.x, 0.5 / math.sqrt(2))
    by_value = minimize(parabola, [0.0, 2.9], jac=slope, method="sgd", options={**base, "clip_value": 0.5})
    np.testing.assert_allclose(by_value.x, [0.5, 3.1])
    scheduled = minimize(
        parabola, [0.0], jac=slope, method="sgd",
        options={"lr": 0.5, "maxiter": 2, "gtol": 0, "schedule": schedules.Step(1, 0.5)},
    )  # fmt: skip
    assert scheduled.x[0] == 3.0
    plateau = minimize(
        parabola, [0.0], jac=slope, method="lion",
        options={
            "lr": 0.7, "maxiter": 300, "gtol": 1e-3, "schedule": schedules.Plateau(patience=2, factor=0.5)
        },
    )  # fmt: skip
    assert plateau.success


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "newton"}, "method must be one of .*'annealing', .*'sgd'.*; got 'newton'"),
        ({"method": 3}, "method must be one of"),
        (
            {"options": {"learning_rate": 1}},
            "unknown option 'learning_rate'; this method has amsgrad, .*maxiter",
        ),
        ({"method": optim.Adam(), "options": {"lr": 1.0}}, r"options\['lr'\] contradicts method=Adam"),
        ({"method": optim.Adam(), "options": {"momentum": 1.0}}, "unknown option 'momentum'"),
        ({"options": {"maxiter": 0}}, "maxiter"),
        ({"options": {"gtol": -1.0}}, "gtol"),
        ({"options": {"clip_norm": 0}}, "clip_norm"),
        ({"options": {"schedule": "cosinus"}}, "schedule"),
        ({"options": {"betas": 3}}, "betas"),
        ({"fun": 3}, "fun must be callable"),
        ({"jac": "2-point"}, "jac must be callable, True or None"),
        ({"callback": 3}, "callback must be callable"),
        ({"x0": np.ones((2, 2))}, "one dimension"),
        ({"bounds": [(0, 1), (0, 1)]}, "bounds"),
        ({"bounds": [(1, 0)]}, "bounds"),
        ({"jac": lambda x: np.ones(2)}, r"jac must return an array of shape \(1,\), got \(2,\)"),
        ({"fun": lambda x: np.ones(2), "jac": None}, "fun must return a number"),
        ({"method": "annealing"}, "takes no gradient"),
        (
            {"method": "annealing", "jac": None, "options": {"lr": 1}},
            "unknown option 'lr'; this method has cooling, .*maxfev",
        ),
        ({"method": "annealing", "jac": None, "options": {"cooling": "fast"}}, "cooling"),
        ({"method": "annealing", "jac": None, "options": {"maxfev": 0}}, "maxfev"),
        ({"method": "annealing", "jac": None, "options": {"initial_temp": -1}}, "initial_temp"),
        ({"method": "annealing", "jac": None, "options": {"seed": "x"}}, r"options\['seed'\] must be"),
        ({"method": "annealing", "jac": None, "options": {"seed": -1}}, r"options\['seed'\] must be"),
        *(
            (
                {"method": "annealing", "jac": None, "options": {"step_size": size}},
                r"options\['step_size'\] must be",
            )
            for size in (0, -1, math.nan, math.inf, "a", "1", None, [1, 2], [[1]], [0.0], np.ones(0))
        ),
        ({"bounds": [(1,)]}, r"bounds must be a pair .* for each of the elements of x0 \(1\)"),
        ({"bounds": [1]}, "bounds must be a pair"),
        ({"bounds": [("a", 1)]}, "bounds must be a pair"),
        ({"bounds": 3}, "bounds must be a pair"),
        ({"bounds": Bounds([0, 0], [1, 1])}, "bounds must be a pair"),
        ({"options": [1]}, r"options must be a dict, got \[1\]"),
        ({"x0": None}, "x0 must be an array of numbers, got None"),
        ({"x0": ["a"]}, "x0 must be an array of numbers"),
        ({"x0": np.array(["2024-01-01"], "datetime64[D]")}, "x0 must be an array of numbers"),
        ({"jac": lambda x: np.ones(1, "timedelta64[s]")}, "jac must return an array"),
        ({"fun": lambda x: None}, "fun must return a number, got None"),
        ({"fun": lambda x: "1", "jac": None}, "fun must return a number, got '1'"),
        ({"fun": lambda x: None, "method": "annealing", "jac": None}, "fun must return a number, got None"),
        ({"jac": lambda x: None}, r"jac must return an array of shape \(1,\), got None"),
        ({"jac": True}, "with jac=True fun must return a pair"),
        ({"jac": True, "method": "annealing"}, "with jac=True fun must return a pair"),
    ],
    ids=text_of,
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        minimize(**{"fun": parabola, "x0": [0.0], "jac": slope, **arguments})


def test_a_schedule_that_ends_the_iterations_is_reported() -> None:
    options = {"schedule": "adaptive", "lr": 0.1, "maxiter": 100_000, "gtol": 0}
    result = minimize(parabola, [0.0], jac=slope, method="sgd", options=options)
    assert result.nit < 1000
    assert (result.status, result.success) == (3, False)
    assert result.message == "The schedule has ended the iterations."


def beyond_one(x: Array) -> float:
    return math.inf if x[0] > 1 else parabola(x)


@pytest.mark.parametrize("how", ["together", "schedule", "callback", "differences"])
def test_the_last_point_where_the_function_is_finite_is_returned(how: str) -> None:
    """The gradient alone does not tell; where fun's value is at hand it is looked at, too."""
    arguments: dict[str, Any] = {"jac": slope, "options": {"lr": 0.3}}
    fun: Any = beyond_one
    if how == "together":
        fun, arguments["jac"] = lambda x: (beyond_one(x), slope(x)), True
    elif how == "schedule":
        arguments["options"]["schedule"] = "plateau"
    elif how == "callback":
        arguments["callback"] = lambda intermediate_result: None
    else:
        arguments["jac"] = None
    result = minimize(fun, [0.0], **arguments)
    assert result.status == 2
    assert 0 < result.x[0] <= 1
    assert result.fun == parabola(result.x)


def test_a_function_that_is_asked_in_the_end_only() -> None:
    result = minimize(beyond_one, [0.0], jac=slope, options={"lr": 0.3})
    assert result.nfev == 1
    assert (result.status, result.fun) == (2, math.inf)
    assert result.x == pytest.approx([3.0], abs=1e-4)


# ---------------------------------------------------------------------------------------- annealing


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_a_step_size_for_each_variable(kind: Any) -> None:
    options = {"seed": 0, "maxfev": 300}
    results = [
        minimize(rastrigin, [4.5, 4.5], method="annealing", options={**options, "step_size": size})
        for size in (kind([0.5, 2]), np.array([0.5, 2.0]))
    ]
    assert results[0].x.tolist() == results[1].x.tolist()


def rastrigin(x: Array) -> float:
    return sum(t * t + 10 - 10 * math.cos(2 * math.pi * t) for t in x.tolist())


def ackley(x: Array) -> float:
    a, b = x.tolist()
    rings = math.cos(2 * math.pi * math.fmod(a, 1.0)) + math.cos(2 * math.pi * math.fmod(b, 1.0))
    return -20 * math.exp(-0.2 * math.sqrt((a * a + b * b) / 2)) - math.exp(rings / 2) + 20 + math.e


@pytest.mark.parametrize("function", [rastrigin, ackley])
@pytest.mark.parametrize(
    ("cooling", "evaluations"), [("geometric", 10_000), ("linear", 20_000), ("logarithmic", 20_000)]
)
def test_annealing_finds_the_global_minimum(function: Any, cooling: str, evaluations: int) -> None:
    seeds = range(20) if cooling == "geometric" else range(3)
    found = [
        minimize(function, [4.5, 4.5], method="annealing",
                 options={"seed": seed, "maxfev": evaluations, "cooling": cooling})
        for seed in seeds
    ]  # fmt: skip
    good = [r for r in found if r.fun < 1e-2 and np.abs(r.x).max() < 1e-2]
    assert len(good) >= len(found) - 1
    assert all(r.success and r.nfev == evaluations and r.fun == function(r.x) for r in found)


@pytest.mark.parametrize("function", [rastrigin, ackley])
def test_gradient_descent_stays_where_it_is(function: Any) -> None:
    result = minimize(function, [4.5, 4.5], method="sgd", options={"lr": 1e-3})
    assert result.fun > 1
    assert np.abs(result.x - 4.5).max() < 1


def test_annealing_is_reproducible_and_keeps_the_best() -> None:
    options: dict[str, Any] = {"seed": 3, "maxfev": 500}
    seen: list[float] = []

    def watch(intermediate_result: OptimizeResult) -> None:
        seen.append(intermediate_result.fun)

    first = minimize(rastrigin, [4.5, 4.5], method="annealing", options=options)
    second = minimize(rastrigin, [4.5, 4.5], method="annealing", options=options, callback=watch)
    assert first.x.tolist() == second.x.tolist()
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == second.fun
    assert len(seen) == second.nit


def test_annealing_within_bounds_and_stopped() -> None:
    seen = []

    def fun(x: Array) -> float:
        seen.append(x.copy())
        return rastrigin(x)

    def stop(xk: Array) -> None:
        if len(seen) > 700:
            raise StopIteration

    result = minimize(
        fun,
        [4.5, 4.5],
        method="annealing",
        bounds=[(1.5, None), (None, 5)],
        callback=stop,
        options={"seed": 0},
    )
    assert result.status == 99
    assert result.nfev == len(seen) == 701
    assert all(x[0] >= 1.5 and x[1] <= 5 for x in seen)


@pytest.mark.parametrize("cooling", COOLINGS)
@pytest.mark.parametrize("evaluations", [1, 2, 3, 150])
def test_annealing_asks_no_more_often_than_it_may(cooling: str, evaluations: int, dtype: type) -> None:
    calls = 0

    def energy(x: Array) -> float:
        nonlocal calls
        calls += 1
        assert x.dtype == dtype
        return math.nan if calls % 7 == 0 else math.inf if calls % 5 == 0 else float((x**2).sum())

    x = np.ones(4, dtype)
    found = anneal(energy, x, rng=np.random.default_rng(0), max_evaluations=evaluations, cooling=cooling)
    assert calls == found.evaluations == evaluations
    assert found.energy == float((found.x**2).sum()) <= 4
    assert found.x.dtype == dtype
    assert (x == 1).all()


def test_annealing_in_many_dimensions() -> None:
    result = minimize(parabola, np.zeros(50), method="annealing", options={"seed": 0, "maxfev": 20_000})
    assert result.fun < 1e-2 * parabola(np.zeros(50))


def test_minimize_is_public() -> None:
    assert gdfast.minimize is minimize


# ---------------------------------------------------------------------------------------- what is lent


TARGET = np.array([3.0, 1.0, 2.0])
WAYS: dict[str, dict[str, Any]] = {
    "jac": {"jac": lambda x: 2 * (x - TARGET), "options": {"lr": 0.1, "maxiter": 50, "gtol": 0}},
    "together": {"jac": True, "options": {"lr": 0.1, "maxiter": 50, "gtol": 0}},
    "differences": {"options": {"lr": 0.1, "maxiter": 50, "gtol": 0}},
    "listening": {"options": {"lr": 0.1, "maxiter": 50, "gtol": 0, "schedule": "plateau"}},
    "annealing": {"method": "annealing", "options": {"seed": 0, "maxfev": 400}},
}


def called(way: str, fun: Any, wrap: Any, **more: Any) -> OptimizeResult:
    """`minimize` in this way, all of the user's functions wrapped."""
    x0 = more.pop("x0", np.zeros(3))
    arguments = {**WAYS[way], **more}
    if callable(arguments.get("jac")):
        arguments["jac"] = wrap(arguments["jac"])
    elif arguments.get("jac"):
        value = fun
        fun = lambda x: (value(x), 2 * (x - TARGET))  # noqa: E731
    return minimize(wrap(fun), x0, **arguments)


@pytest.mark.parametrize("bounds", [None, [(-1, 2.5)] * 3])
@pytest.mark.parametrize("way", WAYS)
def test_points_are_the_users_to_change_and_to_keep(way: str, bounds: Any) -> None:
    """fun, jac and callback get arrays of their own: changed, they harm nothing; kept, they do not change."""
    kept: list[tuple[Array, bytes]] = []

    def keeps(f: Any) -> Any:
        def keeping(x: Array) -> Any:
            kept.append((x, x.tobytes()))
            return f(x)

        return keeping

    def spoils(f: Any) -> Any:
        def spoiling(x: Array) -> Any:
            result = f(x)
            x[:] = math.nan
            return result

        return spoiling

    def distance(x: Array) -> float:
        return float(((x - TARGET) ** 2).sum())

    callback = keeps(lambda x: None)
    plain = called(way, distance, keeps, bounds=bounds, callback=callback)
    assert all(x.tobytes() == bits for x, bits in kept), "what is kept does not change"
    assert len({id(x) for x, _ in kept}) == len(kept)
    points = [x for x, _ in kept] + [plain.x]
    assert not any(np.shares_memory(a, b) for a, b in pairwise(points))
    spoiled = called(way, distance, spoils, bounds=bounds, callback=spoils(lambda x: None))
    for name in ("x", "fun", "jac", "nit", "nfev", "status"):
        np.testing.assert_array_equal(spoiled.get(name), plain.get(name))

    def spoils_result(intermediate_result: OptimizeResult) -> None:
        intermediate_result.x[:] = math.nan
        intermediate_result.fun = math.nan

    result = called(way, distance, spoils, bounds=bounds, callback=spoils_result)
    assert result.x.tobytes() == plain.x.tobytes()


@pytest.mark.parametrize("schedule", [None, "plateau"])
@pytest.mark.parametrize("together", [True, False])
def test_what_a_function_returned_may_be_used_again(together: bool, schedule: Any) -> None:
    """One buffer for every gradient, spoiled by the next call of either function."""
    buffer = np.empty(3)

    def fun(x: Array) -> Any:
        buffer[:] = math.nan
        value = np.array(((x - TARGET) ** 2).sum())
        return (value, jac(x)) if together else value

    def jac(x: Array) -> Array:
        buffer[:] = 2 * (x - TARGET)
        return buffer

    options = {"lr": 0.25, "schedule": schedule}
    result = minimize(fun, np.zeros(3), jac=together or jac, method="sgd", options=options)
    assert result.success
    np.testing.assert_allclose(result.x, TARGET, atol=1e-4)
    assert not np.shares_memory(result.jac, buffer)


@pytest.mark.parametrize("way", WAYS)
def test_the_users_own_arguments_stay_as_they_are(way: str) -> None:
    """x0 is neither changed nor returned, and changed bounds change nothing on the way."""
    x0, limits = np.array([-9.0, 0.0, 9.0]), Bounds(np.full(3, -1.0), np.full(3, 2.5))
    limits.lb, limits.ub = limits.lb.copy(), limits.ub.copy()  # of broadcasts, in older versions of SciPy
    schedule = schedules.Plateau(patience=0)
    optimizer = optim.Adam(lr=0.1)
    options = dict(WAYS[way]["options"])
    more: dict[str, Any] = {"options": options}
    if way != "annealing":
        del options["lr"]
        options["schedule"] = schedule
        more["method"] = optimizer
    given = dict(options)

    def spoils(x: Array) -> None:
        x0[:] = limits.lb[:] = limits.ub[:] = 100.0
        if "schedule" in given:
            optimizer.lr = 100.0
            schedule.rates(100.0, schedules.Progress(0, 0, 0, 1, 9))

    before = x0.tobytes()
    plain = called(way, parabola, lambda f: f, x0=x0, bounds=limits, **more)
    assert x0.tobytes() == before
    assert schedule._lr is None
    assert optimizer.steps == 0
    assert options == given
    spoiled = called(way, parabola, lambda f: f, x0=x0, bounds=limits, callback=spoils, **more)
    assert spoiled.x.tobytes() == plain.x.tobytes()
    assert not np.shares_memory(plain.x, x0)


def test_a_rule_that_averages_returns_the_average() -> None:
    """With few steps it is not the point of the last gradient."""
    rule, x = optim.ScheduleFree(0.5), np.array([0.0, 5.0])
    result = minimize(parabola, x, jac=slope, method=rule, options={"maxiter": 5, "gtol": 0})
    for _ in range(5):
        rule.step(x, slope(x))
    assert not np.array_equal(result.x, x)
    rule.eval(x)
    assert np.array_equal(result.x, x)
    assert np.array_equal(result.jac, slope(x))
    with pytest.raises(ValueError, match=r"bounds are not supported with method=ScheduleFree"):
        minimize(parabola, x, jac=slope, method=rule, bounds=[(0, 1), (0, 1)])


def test_a_rule_of_layers_has_no_place() -> None:
    with pytest.raises(ValueError, match=r"method=KFAC.* needs the layers of a network"):
        minimize(parabola, np.zeros(2), jac=slope, method=optim.KFAC())
    with pytest.raises(ValueError, match="method must be one of"):
        minimize(parabola, np.zeros(2), jac=slope, method="kfac")


@pytest.mark.parametrize("lr", [0.05, 0.1])
def test_success_is_that_of_the_average(lr: float) -> None:
    """schedulefree returns another point than that of its gradients."""
    result = gdfast.minimize(
        lambda x: float(((x - 3) ** 2).sum()), np.zeros(2), jac=lambda x: 2 * (x - 3),
        method="schedulefree", options={"lr": lr, "maxiter": 5000},
    )  # fmt: skip
    assert not result.success or np.abs(2 * (result.x - 3)).max() <= 1e-4
