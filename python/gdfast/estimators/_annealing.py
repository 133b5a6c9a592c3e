"""Checks and conversion of ``annealing_params``."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from gdfast._annealing import COOLINGS

_PARAMETERS = ("cooling", "initial_temp", "final_temp", "step_size")


def check(params: Mapping[Any, Any] | None) -> None:
    """ValueError if annealing_params are not valid for `anneal`."""
    for name, value in (params or {}).items():
        if name not in _PARAMETERS:
            raise ValueError(f"annealing_params may have {', '.join(sorted(_PARAMETERS))}, got {name!r}.")
        if name == "cooling":
            if value not in COOLINGS:
                raise ValueError(
                    f"annealing_params['cooling'] must be one of {sorted(COOLINGS)}, got {value!r}."
                )
        elif not isinstance(value, Real) or not 0 < float(value) < np.inf:
            raise ValueError(f"annealing_params[{name!r}] must be a positive number, got {value!r}.")


def as_floats(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters with all numbers as Python floats."""
    return {name: value if name == "cooling" else float(value) for name, value in (params or {}).items()}
