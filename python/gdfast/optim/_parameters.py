"""Types of the hyper-parameters, annotated with the checks of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, get_type_hints

from gdfast._checks import (
    check_choice,
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


Number: TypeAlias = Annotated[float, check_number]
NotNegative: TypeAlias = Annotated[float, check_not_negative]
Share: TypeAlias = Annotated[float, check_share]
Flag: TypeAlias = Annotated[bool, check_flag]
Betas: TypeAlias = Annotated[tuple[float, float], check_betas]
Etas: TypeAlias = Annotated[tuple[float, float], check_etas]
StepSizes: TypeAlias = Annotated[tuple[float, float], check_step_sizes]
EpsMode: TypeAlias = Annotated[str, check_eps_mode]


def checks_of(constructor: Callable[..., None]) -> dict[str, Check]:
    """The check of each argument, from its type annotation."""
    hints = get_type_hints(constructor, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if name != "return"}
