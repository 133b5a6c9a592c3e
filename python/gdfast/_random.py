"""The states of random generators as plain values, checked when they come back.

NumPy takes a state as it is: a position beyond the key would read whatever lies behind it in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_WORDS = {"has_uint32": 2, "uinteger": 2**32}
# For each generator: the limits of numbers below which they stay, and the sizes and dtypes of arrays.
_KINDS: dict[str, dict[str, Any]] = {
    "MT19937": {"state": {"key": (624, np.uint32), "pos": 625}},
    "PCG64": {"state": {"state": 2**128, "inc": 2**128}, **_WORDS},
    "PCG64DXSM": {"state": {"state": 2**128, "inc": 2**128}, **_WORDS},
    "Philox": {
        "state": {"counter": (4, np.uint64), "key": (2, np.uint64)},
        "buffer": (4, np.uint64),
        "buffer_pos": 5,
        **_WORDS,
    },
    "SFC64": {"state": {"state": (4, np.uint64)}, **_WORDS},
}
_GAUSS = {"has_gauss": 2, "gauss": float}


def global_state() -> np.random.RandomState:
    """NumPy's own random state, which stands for ``random_state=None``."""
    return np.random.mtrand._rand


def is_global(random_state: np.random.RandomState) -> bool:
    return random_state is global_state()


def state_of(random_state: np.random.RandomState) -> dict[str, Any]:
    """The state as numbers, strings, arrays and dicts."""
    return dict(random_state.get_state(legacy=False))


def from_state(state: Any) -> np.random.RandomState:
    """A new random state. ValueError if ``state`` is none."""
    kind = state.get("bit_generator") if isinstance(state, dict) else None
    if kind not in _KINDS:
        raise ValueError(f"a random state must be of one of {', '.join(_KINDS)}.")
    random_state = np.random.RandomState(getattr(np.random, kind)(0))
    set_state(random_state, state)
    return random_state


def set_state(random_state: np.random.RandomState, state: Any) -> None:
    """Set the state, checked. ValueError if ``state`` is not one of this generator."""
    kind = random_state.get_state(legacy=False)["bit_generator"]
    expected = {"bit_generator": None, **_KINDS.get(kind, {}), **_GAUSS}
    if not isinstance(state, dict) or state.get("bit_generator") != kind or kind not in _KINDS:
        raise ValueError(f"a random state must be one of {kind}.")
    _check(state, expected, kind)
    random_state.set_state(state)


def is_generator_state(state: Any) -> bool:
    """Whether it is the state of the bit generator of NumPy's `default_rng`."""
    try:
        _check(state, {"bit_generator": None, **_KINDS["PCG64"]}, "PCG64")
    except ValueError:
        return False
    return bool(state["bit_generator"] == "PCG64")


def _check(state: Any, expected: dict[str, Any], kind: str) -> None:
    if not isinstance(state, dict) or set(state) != set(expected):
        raise ValueError(f"a random state of {kind} must have {', '.join(expected)}.")
    for name, limit in expected.items():
        value = state[name]
        if isinstance(limit, dict):
            _check(value, limit, kind)
        elif isinstance(limit, tuple):
            size, dtype = limit
            fits = isinstance(value, np.ndarray) and value.shape == (size,) and value.dtype == dtype
            if not fits:
                raise ValueError(f"{name} of a random state of {kind} must have {size} {dtype.__name__}.")
        elif limit is float:
            if not isinstance(value, float):
                raise ValueError(f"{name} of a random state of {kind} must be a float.")
        elif limit is not None:
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or not 0 <= value < limit:
                raise ValueError(
                    f"{name} of a random state of {kind} must lie in [0, {limit}), got {value!r}."
                )
