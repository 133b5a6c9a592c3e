"""The optimizer rules by trajectory: against the reference, against textbooks' figures, against peers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import gdfast.kernels
import numpy as np
import pytest
import reference_rules
from builds import needs_threads
from gdfast import optim
from gdfast.optim._whole import WholeRule
from numpy.typing import NDArray
from problems import AWKWARD, norm_error, same_bits
from rule_variants import VARIANTS

Array = NDArray[Any]

STEPS = 200


def fresh(name: str) -> optim.Optimizer:
    rule = VARIANTS[name]
    return type(rule)(**rule.get_params())


def reference_of(rule: optim.Optimizer) -> reference_rules.Optimizer:
    name, params = rule._rule()
    return reference_rules.Optimizer(name, lr=rule.lr, **params)


def arrays(dtype: Any, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    shapes = [(), (1,), (0,), (5, 7), (2, 3, 4), (33,), (100,)]
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def noisy(rng: np.random.Generator, params: list[Array]) -> list[Array]:
    """Gradients of every size, and of none."""
    grads = [rng.standard_normal(p.shape) * 10.0 ** rng.integers(-3, 3, p.shape) for p in params]
    return [
        np.asarray(np.where(rng.random(g.shape) < 0.1, 0, g), p.dtype)
        for g, p in zip(grads, params, strict=True)
    ]


def distance(actual: Array, expected: Array) -> float:
    """Relative to parameters of size 1, as they begin: on their way some pass by 0."""
    return norm_error(actual, expected, scale=np.ones_like(expected))


@pytest.mark.parametrize("name", VARIANTS)
def test_trajectory_is_the_references(name: str, dtype: type) -> None:
    ours, theirs = arrays(dtype), [a.astype(np.float64) for a in arrays(dtype)]
    rule, expected = fresh(name), reference_of(VARIANTS[name])
    rng = np.random.default_rng(1)
    # float32 rounds each of 200 steps, and the betas; a mean square less a squared mean loses digits besides.
    tolerance = 1e-12 if dtype is np.float64 else 1e-4
    for _ in range(STEPS):
        grads = noisy(rng, ours)
        rule.step(ours, grads)
        expected.step(theirs, [g.astype(np.float64) for g in grads])
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == dtype
            assert distance(a, b) <= tolerance
    assert rule.steps == STEPS
    for slot, values in rule.state_dict()["slots"].items():
        for i, value in enumerate(values):
            assert distance(value, expected.state[i][slot]) <= tolerance, slot


# ------------------------------------------------------------------------------------ one rule, used three
# ways

STEPLESS = ("sgd", "rmsprop", "adadelta", "lion", "rprop")


def by_bare_function(
    rule: optim.Optimizer, t: int, param: Array, grad: Array, state: dict[str, Array]
) -> None:
    name, params = rule._rule()
    function: Callable[..., None] = getattr(gdfast.kernels, f"{name}_update")
    named = dict(state)
    for option, slot in (("amsgrad", "v_max"), ("centered", "mean")):
        params.pop(option, None)
        if slot in named:
            params[slot] = named.pop(slot)
    if name == "rmsprop" and "velocity" in named:
        params["velocity"] = named.pop("velocity")
    params.pop("initial_accumulator_value", None)
    first_whole = not params.pop("dampen_first", True)
    if t == 1 and first_whole:
        params.pop("dampening")
    step = () if name in STEPLESS else (t,)
    function(param, grad, *named.values(), *step, lr=rule.lr, **params)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_bare_function_is_the_same_rule(name: str, dtype: type) -> None:
    rule = fresh(name)
    ours, theirs = [np.asarray(a) for a in arrays(dtype)], [np.asarray(a) for a in arrays(dtype)]
    begin = reference_rules.slots(*rule._rule())
    states = [{slot: np.full_like(p, value) for slot, value in begin.items()} for p in theirs]
    rng = np.random.default_rng(2)
    for t in range(1, 6):
        grads = noisy(rng, ours)
        rule.step(ours, grads)
        for param, grad, state in zip(theirs, grads, states, strict=True):
            by_bare_function(rule, t, param, grad, state)
    assert same_bits(ours, theirs)
    for slot, values in rule.state_dict()["slots"].items():
        assert same_bits(values, [state[slot] for state in states])


@pytest.mark.parametrize("name", VARIANTS)
def test_init_and_update_are_the_same_rule(name: str, dtype: type) -> None:
    rule, bare = fresh(name), fresh(name)
    ours, theirs = arrays(dtype), arrays(dtype)
    states = [bare.init(p) for p in theirs]
    begin = reference_rules.slots(*rule._rule())
    for param, state in zip(theirs, states, strict=True):
        assert {slot: list(np.unique(a)) for slot, a in state.items() if a.size} == {
            slot: [value] for slot, value in begin.items() if param.size
        }
        assert list(state) == list(begin)
        assert all(a.shape == param.shape and a.dtype == dtype for a in state.values())
    rng = np.random.default_rng(7)
    for t in range(1, 6):
        grads = noisy(rng, ours)
        rule.step(ours, grads)
        for param, grad, state in zip(theirs, grads, states, strict=True):
            bare.update(param, grad, state, t)
    assert same_bits(ours, theirs)
    for slot, values in rule.state_dict()["slots"].items():
        assert same_bits(values, [state[slot] for state in states])
    assert bare.steps == 0, "the state is the caller's"


# (One that sees whole gradients has no function of one array.)
BARE = [
    kind for n in optim.__all__ if n != "Optimizer" and not issubclass(kind := getattr(optim, n), WholeRule)
]


@pytest.mark.parametrize("kind", BARE)
def test_a_bare_function_has_its_rules_defaults(kind: type[optim.Optimizer]) -> None:
    function = getattr(gdfast.kernels, f"{kind.__name__.lower()}_update")
    assert function.__module__ == kind.__module__
    theirs = {k: p.default for k, p in inspect.signature(function).parameters.items()}
    ours = {k: p.default for k, p in inspect.signature(kind).parameters.items()}
    if kind is optim.SGD:
        assert theirs.pop("lr") is inspect.Parameter.empty
    for name in theirs.keys() & ours.keys():
        assert theirs[name] == ours[name], name
    # What the function lacks is told by its arrays of state, or belongs to the first step.
    told = {"amsgrad", "centered", "initial_accumulator_value", "dampen_first", "lr"}
    assert ours.keys() - theirs.keys() <= told


@pytest.mark.parametrize("name", VARIANTS)
def test_bits_do_not_depend_on_where_an_element_lies(name: str, dtype: type) -> None:
    """Vectors and tails of every length run the same operations."""
    rng = np.random.default_rng(6)
    whole = rng.standard_normal(sum(AWKWARD)).astype(dtype)
    pieces = [piece.copy() for piece in np.split(whole, np.cumsum(AWKWARD)[:-1])]
    first, second = fresh(name), fresh(name)
    for _ in range(3):
        [grad] = noisy(rng, [whole])
        first.step(whole, grad)
        second.step(pieces, [piece.copy() for piece in np.split(grad, np.cumsum(AWKWARD)[:-1])])
    assert same_bits([np.concatenate(pieces)], [whole])


@needs_threads
@pytest.mark.parametrize("name", VARIANTS)
def test_bits_do_not_depend_on_threads(name: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(threads: int) -> list[Array]:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        rng = np.random.default_rng(3)
        # More than a chunk, and several; short ones beside it.
        params = [np.asarray(rng.standard_normal(n), dtype) for n in (50_001, 3, 16_384, 70)]
        rule = fresh(name)
        for _ in range(3):
            rule.step(params, noisy(rng, params))
        return [*params, *(a for slot in rule.state_dict()["slots"].values() for a in slot)]

    expected = run(1)
    for threads in (2, 3, 4, 8):
        assert same_bits(run(threads), expected), f"{threads} threads"


# ------------------------------------------------------------------------------------ edges


@pytest.mark.parametrize("name", VARIANTS)
def test_without_gradients_nothing_moves_and_nothing_is_nan(name: str, dtype: type) -> None:
    params = VARIANTS[name].get_params()
    if "weight_decay" in params:
        params["weight_decay"] = 0.0
    for eps in {params.get("eps"), 0.0, 1e-60} - {None}:
        if "eps" in params:
            params["eps"] = eps
        rule, w = type(VARIANTS[name])(**params), np.ones(21, dtype)
        for _ in range(3):
            rule.step(w, np.zeros(21, dtype))
        assert (w == 1).all(), eps


# Not Lion: its direction is the sign of what has been flushed, and so it rests.
@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "lion"])
def test_vanishing_gradients_do_not_explode(name: str, dtype: type) -> None:
    """Their squares flush to zero; the moves must stay as small as the rule's usual ones."""
    rule, w = fresh(name), np.ones(21, dtype)
    w64, expected = np.ones(21), reference_of(VARIANTS[name])
    tiny = np.full(21, np.finfo(dtype).tiny * 4)
    for _ in range(5):
        rule.step(w, tiny.astype(dtype))
        expected.step([w64], [tiny])
    assert norm_error(w, w64) <= (1e-12 if dtype is np.float64 else 1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_nan_is_not_lost(name: str, dtype: type) -> None:
    rule, w, g = fresh(name), np.ones(21, dtype), np.ones(21, dtype)
    g[7] = np.nan
    rule.step(w, g)
    assert np.isnan(w[7])
    assert np.isfinite(np.delete(w, 7)).all()


def test_nadam_begins_at_any_step() -> None:
    """Its product of momenta is a function of the step alone, whatever was asked before."""
    for t in (1, 2, 400, 3, 5000, 399):
        ours, m, v = np.ones(3), np.full(3, 0.1), np.full(3, 0.2)
        state = {"m": m.copy(), "v": v.copy()}
        expected, _ = reference_rules.nadam(ours.copy(), np.full(3, 0.5), state, t, lr=0.1)
        gdfast.kernels.nadam_update(ours, np.full(3, 0.5), m, v, t, lr=0.1)
        assert norm_error(ours, expected) <= 1e-12


# ------------------------------------------------------------------------------------ (theta - 3)^2 from 0


def descend(rule: optim.Optimizer) -> list[float]:
    theta, path = np.zeros(1), []
    for _ in range(100):
        rule.step(theta, 2 * (theta - 3))
        path.append(float(theta[0]))
    return path


def textbook(update: Callable[[float, int], float]) -> list[float]:
    theta, path = 0.0, []
    for t in range(1, 101):
        theta -= update(2 * (theta - 3), t)
        path.append(theta)
    return path


def gradient_descent() -> Callable[[float, int], float]:
    return lambda g, t: 0.1 * g


def averaged_momentum() -> Callable[[float, int], float]:
    v = 0.0

    def update(g: float, t: int) -> float:
        nonlocal v
        v = 0.9 * v + 0.1 * g
        return 0.1 * v

    return update


def rmsprop() -> Callable[[float, int], float]:
    s = 0.0

    def update(g: float, t: int) -> float:
        nonlocal s
        s = 0.9 * s + 0.1 * g * g
        return 0.1 * g / math.sqrt(s + 1e-8)

    return update


def adam() -> Callable[[float, int], float]:
    m = v = 0.0

    def update(g: float, t: int) -> float:
        nonlocal m, v
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        return 0.1 * m / (1 - 0.9**t) / math.sqrt(v / (1 - 0.999**t) + 1e-8)

    return update


@pytest.mark.parametrize(
    ("rule", "update", "end"),
    [
        (optim.SGD(0.1), gradient_descent, 2.9999999993888893),
        (
            optim.SGD(0.1, momentum=0.9, dampening=0.9, dampen_first=True),
            averaged_momentum,
            2.9873156588456142,
        ),
        (optim.RMSprop(0.1, alpha=0.9, eps=1e-8, eps_mode="inside"), rmsprop, 3.0),
        (optim.Adam(0.1, eps_mode="inside"), adam, 2.98065543759733),
    ],
    ids=["gradient descent", "momentum", "rmsprop", "adam"],
)
def test_a_parabola_as_in_textbooks(rule: optim.Optimizer, update: Any, end: float) -> None:
    path, expected = descend(rule), textbook(update())
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-12)
    assert path[-1] == pytest.approx(end, abs=1e-12)


# ------------------------------------------------------------------------------------ the peers, where
# installed

# What of ours torch does not have.
OURS_ONLY = ("eps_mode", "dampen_first", "lr_in_velocity")


def in_torch(name: str) -> dict[str, Any] | None:
    params = VARIANTS[name].get_params()
    for option in OURS_ONLY:
        value = params.pop(option, None)
        if value not in (None, False, "outside"):
            return None
    return None if name == "lion" else params


@pytest.mark.parametrize("name", [name for name in VARIANTS if in_torch(name) is not None])
def test_trajectory_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # else NAdam keeps its product in float32
    try:
        ours = [a.copy() for a in arrays(np.float64)]
        theirs = [torch.tensor(a, requires_grad=True) for a in ours]
        rule = fresh(name)
        peer = getattr(torch.optim, type(rule).__name__)(theirs, **in_torch(name))
        rng = np.random.default_rng(4)
        for _ in range(STEPS):
            grads = noisy(rng, ours)
            rule.step(ours, grads)
            for tensor, grad in zip(theirs, grads, strict=True):
                tensor.grad = torch.tensor(grad)
            peer.step()
            for a, b in zip(ours, theirs, strict=True):
                assert distance(a, b.detach().numpy()) <= 1e-9
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize(
    "rule", [optim.Lion(), optim.Lion(0.01, betas=(0.8, 0.95), weight_decay=0.1)], ids=str
)
def test_lions_trajectory_is_optaxs(rule: optim.Lion) -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    ours = arrays(np.float64)
    theirs = [jax.numpy.asarray(a) for a in ours]
    peer = optax.lion(rule.lr, *rule.betas, weight_decay=rule.weight_decay)
    state = peer.init(theirs)
    rng = np.random.default_rng(5)
    for _ in range(STEPS):
        grads = noisy(rng, ours)
        rule.step(ours, grads)
        updates, state = peer.update([jax.numpy.asarray(g) for g in grads], state, theirs)
        theirs = optax.apply_updates(theirs, updates)
    assert max(distance(a, np.asarray(b)) for a, b in zip(ours, theirs, strict=True)) <= 1e-9


@pytest.mark.parametrize("kind", [getattr(optim, n) for n in optim.__all__ if n not in ("Optimizer", "Lion")])
def test_defaults_are_torchs(kind: type[optim.Optimizer]) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, kind.__name__)([torch.zeros(1, requires_grad=True)]).defaults
    ours = {k: v for k, v in kind().get_params().items() if k not in OURS_ONLY}
    assert ours == {k: theirs[k] for k in ours}
