"""What hyper-parameters may be: each check raises an error that names the argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

EPS_MODES = ("outside", "uncorrected", "inside")


def check_count(name: str, count: int, least: int = 1) -> None:
    if not isinstance(count, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {type(count).__name__}")
    if not least <= count < 2**63:
        raise ValueError(f"{name} must be at least {least}, and below 2**63, got {count}")


def check_number(name: str, number: float) -> None:
    if not _is_finite(name, number):
        raise ValueError(f"{name} must be finite, got {number}")


def check_not_negative(name: str, number: float) -> None:
    if not (_is_finite(name, number) and number >= 0):
        raise ValueError(f"{name} must be finite and not negative, got {number}")


def _is_finite(name: str, number: float) -> bool:
    if not isinstance(number, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {type(number).__name__}")
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond all floats
        return False


def one_rate(lr: Any) -> Any:
    """The number in an array of one element, as a schedule's rates may be; all else unchecked, as it is."""
    return lr.item() if isinstance(lr, np.ndarray) and lr.size == 1 else lr


def check_positive(name: str, number: float) -> None:
    check_not_negative(name, number)
    if number == 0:
        raise ValueError(f"{name} must be positive, got {number}")


def check_share(name: str, share: float) -> None:
    """The part of a moving average that stays: at least 0, less than 1."""
    check_not_negative(name, share)
    if share >= 1:
        raise ValueError(f"{name} must be below 1, got {share}")


def check_flag(name: str, flag: bool) -> None:
    if not isinstance(flag, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {flag!r}")


def check_pair(name: str, pair: tuple[float, float]) -> None:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{name} must be two numbers, got {pair!r}")


def check_betas(name: str, betas: tuple[float, float]) -> None:
    check_pair(name, betas)
    for i, beta in enumerate(betas):
        check_share(f"{name}[{i}]", beta)


def check_etas(name: str, etas: tuple[float, float]) -> None:
    check_pair(name, etas)
    for i, eta in enumerate(etas):
        check_positive(f"{name}[{i}]", eta)
    if not etas[0] < 1 < etas[1]:
        raise ValueError(f"{name} must be a factor below 1 and one above 1, got {etas!r}")


def check_step_sizes(name: str, sizes: tuple[float, float]) -> None:
    check_pair(name, sizes)
    for i, size in enumerate(sizes):
        check_positive(f"{name}[{i}]", size)
    if sizes[0] > sizes[1]:
        raise ValueError(f"{name} must be the least size and the greatest, got {sizes!r}")


def check_eps_mode(name: str, mode: str) -> None:
    if not isinstance(mode, str):
        raise TypeError(f"{name} must be a string, got {mode!r}")
    if mode not in EPS_MODES:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, EPS_MODES))}; got {mode!r}")


# A hyper-parameter's name means the same in every rule.
RULE_PARAMETERS: dict[str, Callable[[str, Any], None]] = {
    "lr": check_not_negative,
    "weight_decay": check_not_negative,
    "decoupled_weight_decay": check_flag,
    "momentum": check_not_negative,
    "dampening": check_number,
    "dampen_first": check_flag,
    "nesterov": check_flag,
    "lr_in_velocity": check_flag,
    "lr_decay": check_not_negative,
    "initial_accumulator_value": check_not_negative,
    "eps": check_not_negative,
    "eps_mode": check_eps_mode,
    "alpha": check_share,
    "rho": check_share,
    "centered": check_flag,
    "betas": check_betas,
    "amsgrad": check_flag,
    "momentum_decay": check_not_negative,
    "etas": check_etas,
    "step_sizes": check_step_sizes,
}


def check_rule_parameters(rule: str, params: dict[str, Any]) -> None:
    for name, value in params.items():
        RULE_PARAMETERS[name](name, value)
    if params.get("nesterov") and not params["momentum"]:
        raise ValueError("nesterov=True needs momentum: it looks ahead along the velocity")
    if params.get("nesterov") and params["dampening"]:
        raise ValueError("nesterov=True needs dampening=0: the look-ahead is defined for the full gradient")
    if rule == "rmsprop" and params["eps_mode"] == "uncorrected":
        raise ValueError("eps_mode must be one of 'outside', 'inside' for RMSprop, which corrects nothing")
