"""Conversion of ``dropout`` to a rate for each layer."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

from gdfast.training.options import Limits

LIMITS = Limits(0, 1)


def rates(dropout: Any, n_hidden: int) -> list[float]:
    """A rate for the inputs and one for each hidden layer; ValueError or TypeError if invalid."""
    if isinstance(dropout, Real):
        found = [0.0, *[float(dropout)] * n_hidden]
    elif isinstance(dropout, Iterable) and not isinstance(dropout, str):
        found = list(dropout)
        if not all(isinstance(rate, Real) for rate in found):
            raise TypeError(f"dropout must be a number or a sequence of numbers, got {dropout!r}.")
        found = [float(rate) for rate in found]
        if len(found) != n_hidden + 1:
            raise ValueError(
                f"dropout must have a rate for the inputs and one for each of the {n_hidden} hidden layers, "
                f"{n_hidden + 1} in all, got {len(found)}: {found}."
            )
    else:
        raise TypeError(f"dropout must be a number or a sequence of numbers, got {dropout!r}.")
    if not all(map(LIMITS.hold, found)):
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}.")
    return found
