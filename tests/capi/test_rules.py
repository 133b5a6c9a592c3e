"""Optimizer rules by gdfast.h: the bits of gdfast.optim."""

from __future__ import annotations

import ctypes
import inspect
import re

import numpy as np
import pytest
from capi import EPS_MODES, RULES, CallError, Rule, check, function, rule_of, states_of, update
from gdfast import _core, kernels, optim
from rule_variants import VARIANTS

CLASSES = [
    optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adadelta, optim.Adam, optim.AdamW, optim.NAdam,
    optim.Adamax, optim.Lion, optim.Rprop,
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n", [1, 7, 100])
def test_every_variant_has_the_bits_of_gdfast_optim(variant, n, dtype):
    optimizer = VARIANTS[variant]
    rule = rule_of(optimizer)
    rng = np.random.default_rng(n)
    param = rng.normal(size=n).astype(dtype)
    expected, state = param.copy(), optimizer.init(param)
    names = states_of(rule)
    assert list(names) == list(state)
    states = [np.full(n, initial, dtype) for initial in names.values()]
    for step in range(1, 6):
        grad = rng.normal(size=n).astype(dtype)
        optimizer.update(expected, grad, state, step)
        update(rule, step, param, grad, states)
        np.testing.assert_array_equal(param, expected)
    for mine, name in zip(states, names, strict=True):
        np.testing.assert_array_equal(mine, state[name])


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_defaults_are_those_of_gdfast_optim(cls):
    rule = Rule()
    check(function("rule_init")(ctypes.byref(rule), ctypes.sizeof(rule), RULES.index(cls._rule_name)))
    wanted = rule_of(cls())
    for field, _ in Rule._fields_:
        assert getattr(rule, field) == getattr(wanted, field), field
    assert set(inspect.signature(cls).parameters) - {"betas", "etas", "step_sizes"} <= {
        field for field, _ in Rule._fields_
    }


def test_every_rule_of_the_core_is_there():
    with pytest.raises(ValueError) as error:
        _core.Optimizer("none", {})
    assert re.findall(r"'(\w+)'", str(error.value)) == [*RULES, "none"]


def test_the_bits_are_those_of_the_bare_functions(dtype):
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, 33)).astype(dtype)
    m, v = np.zeros((2, 33), dtype)
    mine = [a.copy() for a in (param, m, v)]
    kernels.adam_update(param, grad, m, v, 3, lr=0.1)
    update(rule_of(optim.Adam(0.1)), 3, mine[0], grad, mine[1:])
    np.testing.assert_array_equal(mine, [param, m, v])


def test_threads_change_no_bit(dtype):
    n = 600_000  # enough for a second thread to pay off
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, n)).astype(dtype)
    results = []
    for n_threads in (1, 2):
        rule = rule_of(optim.Adam(0.1))
        rule.n_threads = n_threads
        arrays = [param.copy(), np.zeros(n, dtype), np.zeros(n, dtype)]
        update(rule, 1, arrays[0], grad, arrays[1:])
        results.append(arrays)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_last_step_there_is_has_a_number(cls):
    rule = rule_of(cls())
    param = np.ones(4)
    update(rule, 2**63 - 1, param, np.ones(4), [np.full(4, initial) for initial in states_of(rule).values()])
    assert np.isfinite(param).all()


def test_a_rule_reads_its_own_hyper_parameters_only():
    rule = rule_of(optim.Lion())
    rule.momentum, rule.eps, rule.eps_mode, rule.rho = -1, np.nan, 99, 7
    assert list(states_of(rule)) == ["m"]


def test_no_numbers_are_no_error():
    check(function("rule_update", np.float32)(ctypes.byref(rule_of(optim.Adam())), 1, 0, None, None, None))


BAD = [
    ("adam", "struct_size", 3, "struct_size 3"),
    ("adam", "struct_size", 0, "gdfast_rule_init"),
    ("adam", "kind", 10, "kind must be one of GDFAST_RULE_"),
    ("adam", "kind", -1, "got -1"),
    ("adam", "n_threads", 0, "n_threads must be at least 1, got 0"),
    ("adam", "lr", -1, "lr must be finite and not negative"),
    ("adam", "lr", np.nan, "lr"),
    ("adam", "lr", np.inf, "lr"),
    ("adam", "weight_decay", -1, "weight_decay"),
    ("adam", "beta_1", 1, "beta_1 must be at least 0 and below 1"),
    ("lion", "beta_2", -0.1, "beta_2"),
    ("adamw", "eps", -1, "eps"),
    ("adam", "eps_mode", 3, "eps_mode must be GDFAST_EPS_OUTSIDE"),
    ("rmsprop", "eps_mode", EPS_MODES.index("uncorrected"), "eps_mode"),
    ("rmsprop", "alpha", 1, "alpha"),
    ("rmsprop", "momentum", -1, "momentum"),
    ("adadelta", "rho", 2, "rho"),
    ("adagrad", "lr_decay", -1, "lr_decay"),
    ("adagrad", "initial_accumulator_value", -1, "initial_accumulator_value"),
    ("nadam", "momentum_decay", -1, "momentum_decay"),
    ("sgd", "momentum", -1, "momentum"),
    ("sgd", "dampening", np.nan, "dampening must be finite"),
    ("sgd", "nesterov", 1, "nesterov needs momentum, and no dampening"),
    ("rprop", "eta_minus", 1, "eta_minus must be below 1"),
    ("rprop", "eta_plus", 1, "eta_plus above 1"),
    ("rprop", "least_step_size", 100, "least_step_size must not be greater"),
    ("rprop", "most_step_size", 0, "most_step_size"),
]


@pytest.mark.parametrize(("name", "field", "value", "message"), BAD)
def test_bad_hyper_parameters_are_refused(name, field, value, message):
    rule = rule_of(CLASSES[RULES.index(name)]())
    setattr(rule, field, value)
    param, grad, *states = np.ones((5, 4))
    with pytest.raises(CallError, match=message):
        update(rule, 1, param, grad, states)
    with pytest.raises(CallError, match=message):
        states_of(rule)
    assert (param == 1).all()


def test_the_limits_are_those_of_gdfast_optim():
    for name, field, value, _ in BAD:
        cls = CLASSES[RULES.index(name)]
        if field in inspect.signature(cls).parameters and field != "eps_mode":
            with pytest.raises((ValueError, TypeError)):
                cls(**{field: value})


@pytest.mark.parametrize("missing", ["rule", "param", "grad", "states", "states[1]"])
def test_null_is_refused(missing):
    rule, param, grad = rule_of(optim.Adam()), np.ones(4), np.ones(4)
    m, v = np.zeros((2, 4))
    states = (ctypes.c_void_p * 2)(m.ctypes.data, None if missing == "states[1]" else v.ctypes.data)
    arguments = {"rule": ctypes.byref(rule), "param": param.ctypes.data, "grad": grad.ctypes.data}
    arguments["states"] = states
    if missing in arguments:
        arguments[missing] = None
    with pytest.raises(CallError) as error:
        check(
            function("rule_update", float)(
                arguments["rule"], 1, 4, arguments["param"], arguments["grad"], arguments["states"]
            )
        )
    assert str(error.value).startswith(f"{missing} must not be NULL")
    assert (param == 1).all()
    assert not m.any()


@pytest.mark.parametrize(
    ("n", "step", "message"),
    [
        (-1, 1, "n must be at least 0"),
        (2**62, 1, "n must .*fit into memory"),
        (4, 0, "step must be at least 1"),
    ],
)
def test_bad_numbers_are_refused(n, step, message):
    rule, array = rule_of(optim.SGD()), np.ones(4)
    with pytest.raises(CallError, match=message):
        check(function("rule_update", float)(ctypes.byref(rule), step, n, *[array.ctypes.data] * 2, None))


def test_shared_memory_is_refused(dtype):
    rule, memory = rule_of(optim.Adam()), np.ones(20, dtype)
    param, grad, m, v = memory.reshape(4, 5)
    update(rule, 1, param, grad, [m, v])  # side by side
    before = memory.copy()
    for arrays, message in (
        ((param, param, m, v), "param must not share memory with grad"),
        ((param, memory[4:9], m, v), "param must not share memory with grad"),
        ((param, grad, param, v), r"param must not share memory with states\[0\]"),
        ((param, grad, m, m), r"states\[0\] must not share memory with states\[1\]"),
        ((param, m, grad, m), r"states\[1\] must not share memory with grad"),
    ):
        with pytest.raises(CallError, match=message):
            update(rule, 1, arrays[0], arrays[1], arrays[2:])
    np.testing.assert_array_equal(memory, before)


def test_an_unaligned_array_is_refused(dtype):
    rule = rule_of(optim.SGD())
    odd = np.zeros(5 * dtype().itemsize, np.uint8)[1 : -dtype().itemsize + 1].view(dtype)
    with pytest.raises(CallError, match=f"grad must be aligned to {dtype().itemsize} bytes"):
        update(rule, 1, np.ones(4, dtype), odd, [])


def test_rule_state_refuses_a_negative_index():
    rule = rule_of(optim.Adam())
    with pytest.raises(CallError, match="index must be at least 0, got -1"):
        check(function("rule_state")(ctypes.byref(rule), -1, None, None))


def test_rule_init_refuses_another_size():
    rule = Rule()
    with pytest.raises(CallError, match=r"another gdfast\.h"):
        check(function("rule_init")(ctypes.byref(rule), ctypes.sizeof(rule) + 8, 0))
    assert rule.struct_size == 0
