"""gdfast.optim as objects: records of hyper-parameters, lists of arrays, state, errors before any harm."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from bad_arrays import read_only
from gdfast import optim
from numpy.typing import NDArray
from problems import same_bits
from rule_variants import VARIANTS
from sklearn.base import clone
from whole_variants import WHOLE

Array = NDArray[Any]

# (hidden has a flag for each array.)
ALL = {**VARIANTS, **WHOLE, "muon hidden": optim.Muon(0.02, hidden=(True, False, False, False))}
RULES = [getattr(optim, name) for name in optim.__all__ if name != "Optimizer"]


def arrays(dtype: Any = np.float64, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in [(3, 4), (5,), (), (2, 3, 2)]]


def run(rule: optim.Optimizer, params: list[Array], steps: int, seed: int = 1) -> list[Array]:
    for step in range(steps):
        rule.step(params, arrays(params[0].dtype, seed + step))
    return params


# ---------------------------------------------------------------------------------------- steps


@pytest.mark.parametrize("kind", [kind for kind in RULES if not kind._needs_factors])
def test_one_array_is_a_list_of_one(kind: type[optim.Optimizer], dtype: type) -> None:
    alone, listed = arrays(dtype)[0], arrays(dtype)[0]
    first, second = kind(), kind()
    for step in range(3):
        grad = arrays(dtype, step)[0]
        first.step(alone, grad)
        second.step((listed,), [grad])
    assert same_bits([alone], [listed])


def test_arrays_may_be_replaced_by_others_of_their_shapes(dtype: type) -> None:
    kept, replaced = arrays(dtype), arrays(dtype)
    first, second = optim.Adam(), optim.Adam()
    for step in range(4):
        first.step(kept, arrays(dtype, step))
        replaced = [a.copy() for a in replaced]
        second.step(replaced, arrays(dtype, step))
    assert same_bits(kept, replaced)


def test_views_that_are_contiguous_are_updated_where_they_are() -> None:
    whole = np.ones((4, 3))
    optim.SGD(lr=1.0).step([whole[1:3]], [np.ones((2, 3))])
    assert whole.tolist() == [[1] * 3, [0] * 3, [0] * 3, [1] * 3]


def test_gradients_are_only_read_and_may_be_one_array() -> None:
    params, grad = [np.ones(3), np.ones(3)], read_only(np.ones(3))
    optim.SGD(lr=1.0).step(params, [grad, grad])
    assert not any(p.any() for p in params)


def test_lr_may_change_at_any_time() -> None:
    params, rule = np.zeros(1), optim.SGD(lr=1.0, momentum=0.5)
    for lr in (1.0, 0.5, np.float32(0.25), 0):
        rule.lr = lr
        rule.step(params, np.array([-1.0]))
    assert params[0] == 1 + 0.5 * 1.5 + 0.25 * 1.75


def test_other_hyper_parameters_act_from_the_next_step_on() -> None:
    changed, other = arrays(), arrays()
    rule = run_and_return(optim.Adam(lr=0.1), changed)
    rule.betas = (0.5, 0.75)
    rule.set_params(eps=0.1, lr=0.2)
    run(rule, changed, 2, seed=9)

    second = run_and_return(optim.Adam(lr=0.1), other)
    third = optim.Adam(lr=0.2, betas=(0.5, 0.75), eps=0.1)
    third.load_state_dict({**second.state_dict(), "params": third.get_params()})
    run(third, other, 2, seed=9)
    assert same_bits(changed, other)


def run_and_return(rule: optim.Optimizer, params: list[Array]) -> optim.Optimizer:
    run(rule, params, 2)
    return rule


# ---------------------------------------------------------------------------------------- wrong arguments


def refused(rule: optim.Optimizer, params: Any, grads: Any, kind: type[Exception], message: str) -> None:
    """An error that says what, and neither parameters nor state have changed."""
    flat = [
        p for p in (params if isinstance(params, list | tuple) else [params]) if isinstance(p, np.ndarray)
    ]
    before, state = [p.copy() for p in flat], pickle.dumps(rule.state_dict())
    with pytest.raises(kind, match=message):
        rule.step(params, grads)
    assert same_bits(flat, before)
    assert pickle.dumps(rule.state_dict()) == state


def strided(a: Array) -> Array:
    return np.repeat(a, 2, axis=-1)[..., ::2]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    "kind", [optim.SGD, optim.Adam, optim.Muon, optim.ScheduleFree, optim.Prodigy, optim.SOAP]
)
def test_wrong_arrays(kind: type[optim.Optimizer], begun: bool) -> None:
    rule = kind()
    if begun:
        run(rule, arrays(), 1)
    good, grads = arrays(), arrays(seed=1)
    big_endian = np.ones(5, ">f8")
    cases: list[tuple[Any, Any, type[Exception], str]] = [
        (None, grads, TypeError, r"params must be a NumPy array or a list of them, got NoneType"),
        (good, "grads", TypeError, r"grads must be a NumPy array or a list of them, got str"),
        ({0: good[0]}, grads, TypeError, r"params must be .*got dict"),
        (good, grads[:3], ValueError, r"grads must hold as many arrays as params \(4\), got 3"),
        (good[0], grads, ValueError, r"grads must hold as many arrays as params \(1\), got 4"),
        ([], [], ValueError, r"params must hold at least one array"),
        ([[1.0], *good[1:]], grads, TypeError, r"params\[0\] must be a NumPy array, got list"),
        (good, [*grads[:3], 3.0], TypeError, r"grads\[3\] must be a NumPy array, got float"),
        (
            [np.ones((3, 4), int), *good[1:]],
            grads,
            TypeError,
            r"params\[0\] must have dtype float32 or float64",
        ),
        (
            [np.ones((3, 4), np.float16), *good[1:]],
            grads,
            TypeError,
            r"params\[0\] must have dtype float32 or",
        ),
        ([good[0], big_endian, *good[2:]], grads, TypeError, r"params\[1\] must have dtype float64, got >f8"),
        (
            good,
            [grads[0], grads[1].astype(np.float32), *grads[2:]],
            TypeError,
            r"grads\[1\] must have dtype float64",
        ),
        (
            [good[0], good[1].astype(np.float32), *good[2:]],
            grads,
            TypeError,
            r"params\[1\] must have dtype float64",
        ),
        (good, [grads[0].T, *grads[1:]], ValueError, r"grads\[0\] must be C-contiguous"),
        ([good[0], strided(good[1]), *good[2:]], grads, ValueError, r"params\[1\] must be C-contiguous"),
        ([good[0], read_only(good[1]), *good[2:]], grads, ValueError, r"params\[1\] is read-only"),
        (
            good,
            [grads[0].reshape(4, 3), *grads[1:]],
            ValueError,
            r"grads\[0\] must have shape \(3, 4\), got \(4, 3\)",
        ),
        (
            good,
            [*grads[:3], grads[3][:1]],
            ValueError,
            r"grads\[3\] must have shape \(2, 3, 2\), got \(1, 3, 2\)",
        ),
    ]
    if begun:
        cases += [
            ([np.ones((4, 3)), *good[1:]], [np.ones((4, 3)), *grads[1:]], ValueError,
             r"params\[0\] must have shape \(3, 4\) as in the first step, got \(4, 3\)"),
            (good[:3], grads[:3], ValueError, r"params must hold 4 arrays as in the first step, got 3"),
            (arrays(np.float32), arrays(np.float32, 1), TypeError,
             r"params must have dtype float64 as in the first step"),
        ]  # fmt: skip
    for params, gradients, error, message in cases:
        refused(rule, params, gradients, error, message)
    rule.step(good, grads)  # and it is as good as ever
    assert rule.steps == 1 + begun


def test_overlaps_of_any_two_arrays_are_found() -> None:
    line = np.ones(40)
    apart, grads = [line[:10], line[10:20]], [np.ones(10), np.ones(10)]
    optim.SGD().step(apart, grads)
    refused(
        optim.SGD(), [line[:10], line[9:19]], grads, ValueError, r"params\[\d\] must not share memory with"
    )
    refused(optim.SGD(), apart, [line[20:30], line[19:29]], ValueError, r"params\[1\] .* with grads\[1\]")
    refused(optim.SGD(), apart, [line[15:25], line[20:30]], ValueError, r"params\[1\] .* with grads\[0\]")
    refused(optim.SGD(), apart, [grads[0], apart[1]], ValueError, r"params\[1\] .* with grads\[1\]")
    refused(optim.SGD(), [apart[0], apart[0]], grads, ValueError, r"params\[\d\] .* with params\[\d\]")
    # Reading overlapping gradients is no harm; a long one that covers a later parameter is.
    optim.SGD().step(apart, [line[20:30], line[25:35]])
    long, short = [np.ones(30)[:5], line[35:40]], [line[30:35], line[36:40]]
    refused(optim.SGD(), [line[0:4], line[20:24]], [line[4:8], line[21:25]], ValueError, "share memory")
    refused(optim.SGD(), long, [short[0], np.ones(5)[:4]], ValueError, "shape")


@pytest.mark.parametrize("lr", [-1.0, np.nan, np.inf, "0.1", None])
def test_wrong_lr(lr: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="lr"):
        optim.Adam(lr=lr)
    rule = optim.Adam()
    with pytest.raises((TypeError, ValueError), match="lr"):
        rule.lr = lr
    assert rule.lr == 1e-3


WRONG: list[tuple[type[optim.Optimizer], str, Any]] = [
    (optim.SGD, "momentum", -0.1),
    (optim.SGD, "nesterov", 1),
    (optim.SGD, "dampening", np.nan),
    (optim.SGD, "weight_decay", -1e-9),
    (optim.Adagrad, "initial_accumulator_value", -1.0),
    (optim.RMSprop, "alpha", 1.0),
    (optim.RMSprop, "eps_mode", "beside"),
    (optim.RMSprop, "eps_mode", "uncorrected"),
    (optim.Adadelta, "rho", -0.5),
    (optim.Adam, "betas", (0.9, 1.0)),
    (optim.Adam, "betas", 0.9),
    (optim.Adam, "betas", (0.9, 0.99, 0.999)),
    (optim.Adam, "eps", -1e-8),
    (optim.Adam, "amsgrad", "yes"),
    (optim.NAdam, "momentum_decay", -1.0),
    (optim.Lion, "betas", ("a", "b")),
    (optim.Rprop, "etas", (1.1, 1.2)),
    (optim.Rprop, "etas", (0.5, 0.9)),
    (optim.Rprop, "step_sizes", (0.0, 1.0)),
    (optim.Rprop, "step_sizes", (2.0, 1.0)),
    (optim.Muon, "momentum", 1.0),
    (optim.Muon, "ns_coefficients", (1.0, 2.0)),
    (optim.Muon, "ns_coefficients", (1.0, 2.0, np.inf)),
    (optim.Muon, "ns_steps", 0),
    (optim.Muon, "ns_steps", 100),
    (optim.Muon, "adjust_lr_fn", "match"),
    (optim.Muon, "hidden", True),
    (optim.Muon, "hidden", (True, 1)),
    (optim.KFAC, "damping", 0.0),
    (optim.KFAC, "fisher", "both"),
    (optim.KFAC, "factor_steps", 0),
    (optim.KFAC, "kl_clip", 0.0),
    (optim.SOAP, "shampoo_beta", 1.0),
    (optim.SOAP, "precondition_frequency", 0),
    (optim.SOAP, "max_precond_dim", 1.5),
    (optim.ScheduleFree, "warmup_steps", -1),
    (optim.ScheduleFree, "weight_lr_power", -1.0),
    (optim.ScheduleFree, "base", "adam"),
    (optim.Prodigy, "beta3", 1.0),
    (optim.Prodigy, "d0", 0.0),
    (optim.Prodigy, "d_coef", -1.0),
    (optim.Prodigy, "growth_rate", 0.5),
    (optim.Prodigy, "growth_rate", np.nan),
]


@pytest.mark.parametrize(("kind", "name", "value"), WRONG, ids=str)
def test_wrong_hyper_parameters(kind: type[optim.Optimizer], name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        kind(**{name: value})
    rule = kind()
    before = rule.get_params()
    with pytest.raises((TypeError, ValueError), match=name):
        setattr(rule, name, value)
    assert rule.get_params() == before


def test_hyper_parameters_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="nesterov=True needs dampening=0"):
        optim.SGD(momentum=0.9, dampening=0.1, nesterov=True)
    with pytest.raises(ValueError, match="nesterov=True needs momentum"):
        optim.SGD(nesterov=True)


def test_what_decides_about_state_cannot_change_later() -> None:
    rule = optim.SGD(momentum=0.9)
    rule.momentum = 0.0  # nothing has begun
    rule.momentum = 0.9
    run(rule, arrays(), 1)
    rule.momentum = 0.5
    with pytest.raises(ValueError, match="cannot change after the first step"):
        rule.momentum = 0.0
    assert rule.momentum == 0.5


def test_init_wants_an_array_of_floats() -> None:
    for param in ([1.0], 1.0, None, "param"):
        with pytest.raises(TypeError, match="param must be a NumPy array, got"):
            optim.Adam().init(param)  # type: ignore[arg-type]
    for dtype in (int, np.float16, ">f8"):
        with pytest.raises(TypeError, match="param must have dtype float32 or float64, got"):
            optim.Adam().init(np.ones(3, dtype))


def test_states_of_a_strided_array_are_contiguous() -> None:
    for param in (np.ones((3, 4)).T, np.ones(6)[::2], read_only(np.ones(3))):
        state = optim.Adam().init(param)
        assert all(a.flags.c_contiguous and a.flags.writeable for a in state.values())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"state": None}, TypeError, "state must be a dict, as init"),
        ({"state": {}}, ValueError, "state must have 'm' for this rule"),
        ({"state": {"m": np.zeros(3)}}, ValueError, "state must have 'v' for this rule"),
        ({"state": optim.Adam(amsgrad=True).init(np.ones(3))}, ValueError, "more than this rule keeps"),
        ({"state": optim.Adam().init(np.ones(4))}, ValueError, r"m must have shape \(3,\)"),
        ({"state": optim.Adam().init(np.ones(3, np.float32))}, TypeError, "m must have dtype float64"),
        ({"state": dict.fromkeys("mv", np.zeros(3))}, ValueError, "v must not share memory with m"),
        ({"param": [1.0, 2.0, 3.0]}, TypeError, "param must be a NumPy array"),
        ({"grad": np.ones(4)}, ValueError, "grad must have shape"),
        ({"step": 0}, ValueError, "step must be at least 1"),
        ({"step": 1.0}, TypeError, "step must be an integer"),
        ({"lr": -1.0}, ValueError, "lr must be finite and not negative"),
        ({"lr": "0.1"}, TypeError, "lr must be a number"),
    ],
    ids=str,
)
def test_wrong_arguments_of_update(change: dict[str, Any], error: type[Exception], message: str) -> None:
    param = np.ones(3)
    arguments = {"param": param, "grad": np.ones(3), "state": optim.Adam().init(param), "step": 1, **change}
    kept = copy.deepcopy(arguments)
    with pytest.raises(error, match=message):
        optim.Adam().update(**arguments)
    for name in ("param", "grad"):
        assert np.array_equal(arguments[name], kept[name])
    for slot, values in (kept["state"] or {}).items():
        assert same_bits([arguments["state"][slot]], [values])


def test_update_takes_a_learning_rate_of_its_own() -> None:
    rule, param = optim.SGD(lr=1.0), np.zeros(1)
    rule.update(param, np.array([-1.0]), rule.init(param), 1, lr=np.array([0.25]))  # type: ignore[arg-type]
    rule.update(param, np.array([-1.0]), {}, 2)
    assert param[0] == 1.25
    assert rule.lr == 1.0


def test_states_of_rprop() -> None:
    rule, param = optim.Rprop(lr=0.125), np.ones(2)
    rule.step(param, np.array([3.0, -4.0]))
    slots = rule.state_dict()["slots"]
    assert slots["prev"][0].tolist() == [3, -4]
    assert slots["step_size"][0].tolist() == [0.125, 0.125]
    assert slots.keys() == {"prev", "step_size"}


def test_unknown_names() -> None:
    rule = optim.Adam()
    with pytest.raises(AttributeError, match="Adam has no parameter 'momentum'; it has lr, betas"):
        rule.momentum = 0.9  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="Adam has no parameter 'learning_rate'"):
        rule.set_params(learning_rate=1)


# ---------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("name", ALL)
def test_a_resumed_run_is_one_that_never_stopped(name: str, dtype: type) -> None:
    whole, parts = arrays(dtype), arrays(dtype)
    run(clone(ALL[name]), whole, 6)

    first = clone(ALL[name])
    run(first, parts, 3)
    for second in (copied(first), copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert second.steps == 3
        assert second.get_params() == first.get_params()
        again = [p.copy() for p in parts]
        assert same_bits(run(second, again, 3, seed=4), whole)
    assert first.steps == 3, "copies have a state of their own"


def copied(rule: optim.Optimizer) -> optim.Optimizer:
    other = type(rule)()
    other.load_state_dict(rule.state_dict())
    return other


def test_state_dict_is_a_copy() -> None:
    rule = optim.Adam()
    params = run(rule, arrays(), 1) and arrays()
    state = rule.state_dict()
    kept = copy.deepcopy(state)
    run(rule, params, 1)
    assert same_bits(state["slots"]["m"], kept["slots"]["m"])
    other = optim.Adam()
    other.load_state_dict(state)
    run(other, arrays(), 1)
    assert same_bits(state["slots"]["v"], kept["slots"]["v"])


def test_before_the_first_step_there_is_no_state() -> None:
    state = optim.Adam(lr=0.5).state_dict()
    assert state["step"] == 0
    assert state["slots"] == {}
    other = optim.Adam()
    run(other, arrays(), 2)
    other.load_state_dict(state)
    assert other.steps == 0
    assert other.lr == 0.5
    other.step(np.ones(3), np.ones(3))  # bound to nothing


def broken_states() -> list[tuple[str, Any]]:
    rule = optim.Adam()
    run(rule, arrays(), 2)
    state = rule.state_dict()
    slots = state["slots"]
    return [
        ("dict", [state]),
        ("slots", {k: v for k, v in state.items() if k != "slots"}),
        ("rule", {**state, "rule": "sgd"}),
        ("betas", {**state, "params": {**state["params"], "betas": (2.0, 0.9)}}),
        ("step", {**state, "step": -1}),
        ("step", {**state, "step": "two"}),
        ("slots", {**state, "slots": [1]}),
        ("'v'", {**state, "slots": {"m": slots["m"]}}),
        ("slots", {**state, "slots": {**slots, "v_max": slots["v"]}}),
        ("'v'", {**state, "slots": {"m": slots["m"], "w": slots["v"]}}),
        ("length", {**state, "slots": {"m": slots["m"], "v": slots["v"][:2]}}),
        ("'m'", {**state, "slots": {"m": [], "v": []}}),
        ("'v'", {**state, "slots": {"m": slots["m"], "v": 3}}),
        (
            r"'v'\]\[1\]",
            {**state, "slots": {"m": slots["m"], "v": [slots["v"][0], slots["v"][0], *slots["v"][2:]]}},
        ),
        (
            r"'v'\]\[0\]",
            {**state, "slots": {"m": slots["m"], "v": [v.astype(np.float32) for v in slots["v"]]}},
        ),
        (r"'m'\]\[0\]", {**state, "slots": {"m": [1, 2, 3, 4], "v": slots["v"]}}),
    ]


@pytest.mark.parametrize(("message", "state"), broken_states(), ids=range(16))
def test_broken_states_are_refused(message: str, state: Any) -> None:
    rule = optim.Adam(lr=0.3)
    params = run(rule, arrays(), 1)
    before = pickle.dumps(rule.state_dict())
    with pytest.raises((TypeError, ValueError), match=message):
        rule.load_state_dict(state)
    assert pickle.dumps(rule.state_dict()) == before
    rule.step(params, arrays())


# ---------------------------------------------------------------------------------------- a record


@pytest.mark.parametrize("kind", RULES)
def test_is_a_record_of_hyper_parameters(kind: type[optim.Optimizer]) -> None:
    defaults = {k: p.default for k, p in inspect.signature(kind).parameters.items()}
    rule = kind()
    assert rule.get_params() == defaults
    assert rule.get_params(deep=False) == defaults
    assert kind(0.5).lr == 0.5
    if not kind._needs_factors:
        run(rule, arrays(), 1)
    other = clone(rule)
    assert type(other) is kind
    assert other.steps == 0
    assert other.get_params() == defaults
    assert eval(repr(rule), vars(optim)).get_params() == defaults
    name, params = rule._rule()
    assert name == kind.__name__.lower()
    assert {**params, "lr": rule.lr} == defaults


def test_every_hyper_parameter_has_documentation() -> None:
    for kind in RULES:
        for name, value in kind().get_params().items():
            shown = f'"{value}"' if isinstance(value, str) else str(value)
            line = next(x for x in (kind.__doc__ or "").splitlines() if x.strip().startswith(f"{name} :"))
            default = line.split("default=")[1]
            assert default == shown or eval(default) == value, (kind, name)
