"""Arrays that the core must refuse, and the check that it refused them well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from problems import same_bits

Array = NDArray[Any]
Arguments = dict[str, Any]


def strided(array: Array) -> Array:
    """The same shape and numbers, with a gap after each."""
    return np.repeat(array, 2, axis=-1)[..., ::2]


def unaligned(array: Array) -> Array:
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return raw.view(array.dtype).reshape(array.shape)


def read_only(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


# What can be wrong with any array. Another kind of object or number is a TypeError, another shape or layout a
# ValueError.
FAULTS: dict[str, tuple[Callable[[Array], Any], type[Exception]]] = {
    "a list": (lambda a: a.tolist(), TypeError),
    "None": (lambda a: None, TypeError),
    "a number": (lambda a: 1.0, TypeError),
    "integers": (lambda a: a.astype(np.int16), TypeError),
    "float16": (lambda a: a.astype(np.float16), TypeError),
    "complex": (lambda a: a.astype(np.complex128), TypeError),
    "objects": (lambda a: a.astype(object), TypeError),
    "strings": (lambda a: a.astype(str), TypeError),
    "swapped bytes": (lambda a: a.astype(a.dtype.newbyteorder()), TypeError),
    "one dimension more": (lambda a: a[None], ValueError),
    "no dimension": (lambda a: np.array(a.ravel()[0]), ValueError),
    "strided": (strided, ValueError),
    "every other row": (lambda a: np.repeat(a, 2, axis=0)[::2], ValueError),
    "backwards": (lambda a: a[::-1], ValueError),
    "broadcast": (lambda a: np.broadcast_to(a.ravel()[0], a.shape), ValueError),
    "Fortran order": (np.asfortranarray, ValueError),
    "unaligned": (unaligned, ValueError),
    # Two arrays that disagree: the error may name either.
    "the other float": (lambda a: a.astype(np.float32 if a.dtype == np.float64 else np.float64), TypeError),
    "one row more": (lambda a: np.concatenate([a, a[:1]]), ValueError),
    "no rows": (lambda a: a[:0], ValueError),
}
DISAGREEMENTS = ("the other float", "one row more", "no rows")
OTHER_SHAPES = ("one dimension more", "no dimension")


def holder_of(arguments: Arguments, name: str) -> tuple[Any, Any]:
    """Where "X", or "weights[1]", or "out[0][2]" is kept: a container and a key."""
    first, *rest = name.replace("]", "").split("[")
    keys: list[Any] = [first, *map(int, rest)]
    holder: Any = arguments
    for key in keys[:-1]:
        holder = holder[key]
    return holder, keys[-1]


def cases(
    names: list[str],
    *,
    vectors: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    any_rows: tuple[str, ...] = (),
) -> list[Any]:
    """pytest parameters (name, fault) of all that is really wrong.

    One dimension is the same in Fortran order (``vectors``), None may be a choice (``optional``), and nothing
    may disagree with the number of rows (``any_rows``).
    """
    return [
        pytest.param(name, fault, id=f"{name}-{fault}")
        for name in names
        for fault in FAULTS
        if not (fault == "Fortran order" and name.startswith(vectors))
        and not (fault == "None" and name in optional)
        and not (fault == "one row more" and name in any_rows)
    ]


def check_refused_array(
    call: Callable[..., Any], arguments: Arguments, name: str, fault: str, *, any_shape: bool = False
) -> None:
    """``any_shape``: the call takes arrays of any one shape, so that another shape is a disagreement, too."""
    make, kind = FAULTS[fault]
    holder, key = holder_of(arguments, name)
    holder[key] = make(holder[key])
    disagree = fault in DISAGREEMENTS or (any_shape and fault in OTHER_SHAPES)
    check_refused(call, arguments, kind, *(arguments if disagree else [name]))


def check_refused(call: Callable[..., Any], arguments: Arguments, kind: Any, *names: str) -> None:
    """An error of that kind that names one of ``names``, and not a bit of any array changed."""
    arrays = arrays_in(arguments)
    before = [array.copy() for array in arrays]
    with pytest.raises(kind) as caught:
        call(**arguments)
    message = str(caught.value)
    assert any(name in message for name in names), f"none of {names} is named by: {message}"
    assert "incompatible function arguments" not in message, "a list of C++ signatures helps nobody"
    assert same_bits(arrays, before), "an array was written in spite of the error"


def arrays_in(value: Any) -> list[Array]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [array for v in value for array in arrays_in(v)]
    return [value] if isinstance(value, np.ndarray) else []
