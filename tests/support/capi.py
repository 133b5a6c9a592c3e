"""The functions of gdfast.h by ctypes: as they are declared there, and as the tests call them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any

import gdfast
import numpy as np
from gdfast import optim

OK, INVALID_ARGUMENT, OUT_OF_MEMORY, IN_USE, NOT_IMPORTED, INTERNAL_ERROR = range(6)
RULES = ["sgd", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "nadam", "adamax", "lion", "rprop"]
EPS_MODES = ["outside", "uncorrected", "inside"]
ACTIVATIONS = [
    "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish",
    "softplus", "softsign", "hard_tanh",
]  # fmt: skip
OUTPUTS = ["identity", "softmax", "logistic", "exp", "quantiles"]
LOSSES = [
    "cross_entropy", "binary_cross_entropy", "squared_error", "poisson", "absolute_error", "huber",
    "quantile",
]  # fmt: skip


class Rule(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_int32),
        ("n_threads", c_int32),
        *[(name, c_double) for name in ("lr", "weight_decay", "momentum", "dampening")],
        *[(name, c_int32) for name in ("nesterov", "dampen_first", "lr_in_velocity", "amsgrad", "centered")],
        ("decoupled_weight_decay", c_int32),
        *[(name, c_double) for name in ("beta_1", "beta_2", "eps")],
        ("eps_mode", c_int32),
        ("reserved", c_int32),
        *[(name, c_double) for name in ("alpha", "rho", "lr_decay", "initial_accumulator_value")],
        *[(name, c_double) for name in ("momentum_decay", "eta_minus", "eta_plus")],
        *[(name, c_double) for name in ("least_step_size", "most_step_size")],
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("dtype", c_int32),
        ("n_layers", c_int32),
        ("layer_sizes", POINTER(c_int64)),
        ("activations", POINTER(c_int32)),
        ("activation_parameters", POINTER(c_double)),
        ("output", c_int32),
        ("loss", c_int32),
        ("n_loss_parameters", c_int32),
        ("n_threads", c_int32),
        ("loss_parameters", POINTER(c_double)),
        ("alpha", c_double),
        ("max_rows", c_int64),
    ]


_POINTER = c_void_p
_ROWS = [_POINTER, _POINTER, _POINTER, c_int64]  # X, y, sample_weight, n_rows
_ARGUMENTS: dict[str, list[Any]] = {
    "rule_init": [POINTER(Rule), c_size_t, c_int],
    "rule_state": [POINTER(Rule), c_int, POINTER(c_char_p), POINTER(c_double)],
    "rule_update": [POINTER(Rule), c_int64, c_int64, _POINTER, _POINTER, _POINTER],
    "mlp_options_init": [POINTER(Options), c_size_t],
    "mlp_create": [POINTER(Options), POINTER(c_void_p)],
    "mlp_forward": [c_void_p, _POINTER, _POINTER, _POINTER, c_int64, _POINTER],
    "mlp_loss_and_grad": [c_void_p, _POINTER, _POINTER, *_ROWS, POINTER(c_double), _POINTER, _POINTER],
    "mlp_step": [
        c_void_p, _POINTER, _POINTER, _POINTER, *_ROWS, POINTER(Rule), c_int64, POINTER(c_double),
    ],
}  # fmt: skip


def function(name: str, dtype: Any = None) -> Any:
    """A function by its name without prefix and type; it runs without the GIL."""
    suffix = "" if dtype is None else "_f32" if np.dtype(dtype) == np.float32 else "_f64"
    address = gdfast.function_address(f"gdfast_{name}{suffix}")
    return ctypes.CFUNCTYPE(c_int, *_ARGUMENTS[name])(address)


def last_error() -> str:
    address = gdfast.function_address("gdfast_last_error")
    return str(ctypes.CFUNCTYPE(c_char_p)(address)().decode())


class CallError(Exception):
    """A status that is not OK, and its sentence."""

    def __init__(self, status: int):
        self.status = status
        super().__init__(last_error())


def check(status: int) -> None:
    if status != OK:
        raise CallError(status)


def pointer(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def pointers(arrays: Sequence[np.ndarray] | None) -> Any:
    """A C array of pointers; it keeps nothing alive."""
    return None if arrays is None else (c_void_p * max(1, len(arrays)))(*map(pointer, arrays))


def rule_of(optimizer: optim.Optimizer) -> Rule:
    """The hyper-parameters of an optimizer of gdfast.optim."""
    rule = Rule()
    check(function("rule_init")(byref(rule), ctypes.sizeof(Rule), RULES.index(optimizer._rule_name)))
    pairs = {"betas": ("beta_1", "beta_2"), "etas": ("eta_minus", "eta_plus")}
    pairs["step_sizes"] = ("least_step_size", "most_step_size")
    for name in optimizer._names:
        value = getattr(optimizer, name)
        if name == "eps_mode":
            value = EPS_MODES.index(value)
        for field, number in zip(pairs.get(name, (name,)), value if name in pairs else (value,), strict=True):
            setattr(rule, field, number)
    return rule


def states_of(rule: Rule) -> dict[str, float]:
    """Name and first value of every array of state."""
    states: dict[str, float] = {}
    while True:
        name, initial = c_char_p(), c_double()
        check(function("rule_state")(byref(rule), len(states), byref(name), byref(initial)))
        if name.value is None:
            return states
        states[name.value.decode()] = initial.value


def update(rule: Rule, step: int, param: np.ndarray, grad: np.ndarray, states: Sequence[np.ndarray]) -> None:
    call = function("rule_update", param.dtype)
    check(call(byref(rule), step, param.size, pointer(param), pointer(grad), pointers(states)))


class MLP:
    """A gdfast_mlp, destroyed with this object."""

    def __init__(self, layer_sizes: Sequence[int], dtype: Any = np.float32, **options: Any):
        self.dtype = np.dtype(dtype)
        self.layers = len(layer_sizes) - 1
        o = Options()
        check(function("mlp_options_init")(byref(o), ctypes.sizeof(Options)))
        o.dtype = int(self.dtype == np.float64)
        o.n_layers = self.layers
        o.layer_sizes = (c_int64 * len(layer_sizes))(*layer_sizes)
        arrays = {"activations": c_int32, "activation_parameters": c_double, "loss_parameters": c_double}
        # "type" and "sizes" are for what this class would not take as dtype and layer_sizes.
        names = {"type": "dtype", "sizes": "layer_sizes"}
        for name, value in options.items():
            field = names.get(name, name)
            setattr(o, field, (arrays[name] * len(value))(*value) if name in arrays else value)
        self._handle = c_void_p()
        check(function("mlp_create")(byref(o), byref(self._handle)))

    def __del__(self) -> None:
        destroy = gdfast.function_address("gdfast_mlp_destroy")
        ctypes.CFUNCTYPE(None, c_void_p)(destroy)(getattr(self, "_handle", None))

    def call(self, name: str, *arguments: Any) -> None:
        check(function(name, self.dtype)(self._handle, *arguments))

    def forward(self, weights: Any, biases: Any, X: np.ndarray, out: np.ndarray) -> None:
        self.call("mlp_forward", pointers(weights), pointers(biases), pointer(X), len(X), pointer(out))

    def loss_and_grad(
        self, weights: Any, biases: Any, X: Any, y: Any, out: Any, sample_weight: Any = None
    ) -> float:
        loss = c_double()
        rows = pointer(X), pointer(y), pointer(sample_weight), len(X)
        self.call(
            "mlp_loss_and_grad", pointers(weights), pointers(biases), *rows, byref(loss), *map(pointers, out)
        )
        return loss.value

    def step(
        self, weights: Any, biases: Any, states: Any, X: Any, y: Any, rule: Rule, step: int,
        sample_weight: Any = None,
    ) -> float:  # fmt: skip
        loss = c_double()
        rows = pointer(X), pointer(y), pointer(sample_weight), len(X)
        arrays = pointers(weights), pointers(biases), pointers(states)
        self.call("mlp_step", *arrays, *rows, byref(rule), step, byref(loss))
        return loss.value
