"""Checks of hyper-parameters; each raises an error that names the argument."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

# Created once: an update function takes only some microseconds.
_NUMBERS = float | int | np.floating | np.integer
_FLAGS = bool | np.bool_


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
    if not isinstance(number, _NUMBERS):
        raise TypeError(f"{name} must be a number, got {type(number).__name__}")
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer too large for a float
        return False


def one_rate(lr: Any) -> Any:
    """The number in an array of one element, as a schedule may return; anything else unchanged."""
    return lr.item() if isinstance(lr, np.ndarray) and lr.size == 1 else lr


def check_positive(name: str, number: float) -> None:
    check_not_negative(name, number)
    if number == 0:
        raise ValueError(f"{name} must be positive, got {number}")


def check_share(name: str, share: float) -> None:
    """Check a decay rate: at least 0, less than 1."""
    check_not_negative(name, share)
    if share >= 1:
        raise ValueError(f"{name} must be below 1, got {share}")


def check_flag(name: str, flag: bool) -> None:
    if not isinstance(flag, _FLAGS):
        raise TypeError(f"{name} must be True or False, got {flag!r}")


def check_choice(name: str, choice: str, choices: Collection[str]) -> None:
    if not isinstance(choice, str):
        raise TypeError(f"{name} must be a string, got {choice!r}")
    if choice not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, sorted(choices)))}; got {choice!r}")
