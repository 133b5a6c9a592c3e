"""Types of the hyper-parameters, annotated with the checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, get_type_hints

from gdfast._checks import (
    check_choice,
    check_count,
    check_flag,
    check_not_negative,
    check_number,
    check_positive,
    check_share,
)

Check: TypeAlias = Callable[[str, Any], None]

EPS_MODES = ("outside", "uncorrected", "inside")


def check_pair(name: str, pair: tuple[float, float]) -> None:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
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
    check_choice(name, mode, EPS_MODES)


def check_few_steps(name: str, steps: int) -> None:
    check_count(name, steps)
    if steps >= 100:
        raise ValueError(f"{name} must be below 100, got {steps}")


def check_coefficients(name: str, coefficients: tuple[float, float, float]) -> None:
    if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
        raise TypeError(f"{name} must be three numbers, got {coefficients!r}")
    for i, coefficient in enumerate(coefficients):
        check_number(f"{name}[{i}]", coefficient)


def check_adjust_lr(name: str, choice: str | None) -> None:
    if choice is not None and choice not in ("original", "match_rms_adamw"):
        raise ValueError(f"{name} must be one of 'match_rms_adamw', 'original', or None; got {choice!r}")


def check_flags(name: str, flags: Sequence[bool] | None) -> None:
    if flags is None:
        return
    if not isinstance(flags, (tuple, list)):
        raise TypeError(f"{name} must be a sequence of True and False or None, got {flags!r}")
    for i, flag in enumerate(flags):
        check_flag(f"{name}[{i}]", flag)


def check_whole(name: str, number: int) -> None:
    check_count(name, number, 0)


def check_share_or_none(name: str, share: float | None) -> None:
    if share is not None:
        check_share(name, share)


def check_growth_rate(name: str, rate: float | None) -> None:
    if rate is None:
        return
    check_number(name, rate)
    if rate < 1:
        raise ValueError(f"{name} must be at least 1, got {rate}")


def check_positive_or_none(name: str, number: float | None) -> None:
    if number is not None:
        check_positive(name, number)


def check_fisher(name: str, fisher: str) -> None:
    if fisher not in ("true", "empirical"):
        raise ValueError(f"{name} must be 'true' or 'empirical', got {fisher!r}")


def check_base_rule(name: str, base: str) -> None:
    if base not in ("adamw", "sgd"):
        raise ValueError(f"{name} must be 'adamw' or 'sgd', got {base!r}")


Number: TypeAlias = Annotated[float, check_number]
NotNegative: TypeAlias = Annotated[float, check_not_negative]
Share: TypeAlias = Annotated[float, check_share]
Flag: TypeAlias = Annotated[bool, check_flag]
Betas: TypeAlias = Annotated[tuple[float, float], check_betas]
Etas: TypeAlias = Annotated[tuple[float, float], check_etas]
StepSizes: TypeAlias = Annotated[tuple[float, float], check_step_sizes]
EpsMode: TypeAlias = Annotated[str, check_eps_mode]
Count: TypeAlias = Annotated[int, check_count]
Fisher: TypeAlias = Annotated[str, check_fisher]
PositiveOrNone: TypeAlias = Annotated[float | None, check_positive_or_none]
Positive: TypeAlias = Annotated[float, check_positive]
WholeNumber: TypeAlias = Annotated[int, check_whole]
ShareOrNone: TypeAlias = Annotated[float | None, check_share_or_none]
GrowthRate: TypeAlias = Annotated[float | None, check_growth_rate]
BaseRule: TypeAlias = Annotated[str, check_base_rule]
FewSteps: TypeAlias = Annotated[int, check_few_steps]
Coefficients: TypeAlias = Annotated[tuple[float, float, float], check_coefficients]
AdjustLr: TypeAlias = Annotated[str | None, check_adjust_lr]
Flags: TypeAlias = Annotated[Sequence[bool] | None, check_flags]


def checks_of(constructor: Callable[..., None]) -> dict[str, Check]:
    """The check of each argument, from its type annotation."""
    hints = get_type_hints(constructor, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if name != "return"}
