"""Conversion of arrays to the form that the core takes, and checks of a user's arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from gdfast.training.ranks import Ranks

Array = NDArray[Any]


def convert(array: Array, dtype: DTypeLike, name: str) -> Array:
    """A C-contiguous, aligned array of ``dtype``, copied if necessary; ValueError if a value overflows."""
    with np.errstate(over="ignore"):
        converted = np.require(array, dtype, ["C", "A"])
    narrowed = array.dtype != converted.dtype and not np.can_cast(array.dtype, converted.dtype, "safe")
    if narrowed and not np.isfinite(converted).all():
        raise ValueError(f"Input {name} contains infinity or a value too large for {converted.dtype!r}.")
    return converted


def weights_dtype(coefs: Sequence[Array], intercepts: Sequence[Array]) -> np.dtype[Any]:
    """float32 if all weights are float32, else float64."""
    all_single = all(np.asarray(a).dtype == np.float32 for a in (*coefs, *intercepts))
    return np.dtype(np.float32 if all_single else np.float64)


def as_weights(arrays: Sequence[Array], dtype: DTypeLike, *, writable: bool) -> list[Array]:
    """The arrays in the form that the core takes, copied only if necessary."""
    with np.errstate(over="ignore"):  # training detects infinite weights
        # Subclasses, such as np.matrix, become plain arrays.
        plain = map(np.asarray, arrays)
        return [np.require(array, dtype, ["C", "A", "W"] if writable else ["C", "A"]) for array in plain]


def array_list(arrays: Any, name: str) -> list[Array]:
    """An attribute that a user may have edited, as a list of real arrays; ValueError that names it."""
    if not isinstance(arrays, Sequence):
        raise ValueError(f"{name} must be a list of arrays, got {arrays!r}.")
    for i, array in enumerate(arrays):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            what = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{name}[{i}] must be an array of real numbers, got {what}.")
    return list(arrays)


def check_shapes(
    coefs: Sequence[Array], intercepts: Sequence[Array], expected: Sequence[tuple[int, int]], arguments: str
) -> None:
    """ValueError if the shapes of the weights are not those that ``arguments`` determine."""
    coef_shapes = [coef.shape for coef in coefs]
    intercept_shapes = [intercept.shape for intercept in intercepts]
    if coef_shapes != list(expected) or intercept_shapes != [(fan_out,) for _, fan_out in expected]:
        raise ValueError(
            f"The current weights do not fit: {arguments} give weights of the shapes {list(expected)}, with "
            f"one bias for each column, but coefs_ have the shapes {coef_shapes} and intercepts_ "
            f"{intercept_shapes}. Set hidden_layer_sizes to fit them, or fit again with warm_start=False."
        )


def check_addressable(layer_units: Sequence[int], itemsize: int) -> None:
    """ValueError if a network of these sizes is too large for the address space."""
    n_parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layer_units))
    if n_parameters * itemsize > sys.maxsize:
        raise ValueError(
            f"The network is too large: layers of {list(layer_units)} units have {n_parameters:.3g} "
            f"parameters, more than {sys.maxsize} bytes can hold. Use smaller hidden_layer_sizes."
        )


def weight_sums(totals: Any, magnitudes: Any, dtype: DTypeLike) -> Array:
    """What means are divided by: sums of weights, or zero where rounding leaves too little of one."""
    limits = np.finfo(np.dtype(dtype))
    least = np.maximum(float(limits.tiny), 4 * float(limits.eps) * magnitudes)
    return np.where(np.abs(totals) > least, totals, 0.0)


def check_mean_weight(
    weight: Array | None, name: str, where: str = "", hint: str = "", ranks: Ranks | None = None
) -> None:
    """ValueError if the sum of these weights, on all ranks, cannot be divided by in the dtype of training."""
    if weight is None:
        return
    with np.errstate(over="ignore"):
        total = float(weight.sum(dtype=np.float64))
        magnitude = float(np.abs(weight).sum(dtype=np.float64))
    if ranks is not None:
        total, magnitude = np.sum(ranks.gather(name, (total, magnitude)), axis=0)
    divisor = weight_sums(total, magnitude, weight.dtype)
    if divisor != 0 and magnitude < 1 / float(np.finfo(weight.dtype).tiny):
        return
    how = "zero" if not magnitude else f"{total:.3g}, with magnitudes of {magnitude:.3g}"
    message = f"{name} sums to {how}{where}: in {weight.dtype} a mean cannot be divided by that. {hint}"
    raise ValueError(message.rstrip())
