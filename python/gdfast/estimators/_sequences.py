"""Checks of sequences and their targets, and conversion to the form that the core takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

from gdfast.estimators._validation import check_real_targets
from gdfast.estimators._warnings import warn
from gdfast.training.arrays import Array
from gdfast.training.data import Sequences


def check_targets(y: Any, X: Sequences, *, per_step: bool, numeric: bool) -> Array:
    """y with a row for each sequence or, with ``per_step``, each step; one column becomes one dimension."""
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    if per_step:
        y = _per_step(y, X, "y", "target")
    elif isinstance(y, list | tuple) and len({np.shape(target) for target in y}) > 1:
        raise ValueError(
            "y must have one target for each sequence, of the same shape for all. Set per_step=True for a "
            "target at each step."
        )
    if numeric:
        check_real_targets(y)
    checked: Array = check_array(
        y, ensure_2d=False, allow_nd=True, dtype="numeric" if numeric else None, input_name="y"
    )
    if checked.ndim == 2 and checked.shape[1] == 1:
        checked = checked[:, 0]
    if checked.ndim > 2 or checked.ndim == 0:
        if per_step:
            raise ValueError("y must have one target, or n_outputs of them, for each step.")
        hint = " Set per_step=True for a target at each step." if checked.ndim == 3 else ""
        raise ValueError(f"y must have one row for each sequence, got the shape {checked.shape}.{hint}")
    wanted = len(X.steps) if per_step else len(X)
    if len(checked) != wanted:
        raise ValueError(
            f"X has {wanted} sequences, but y has {len(checked)} targets: one for each is needed."
        )
    return checked


def check_not_per_step(y: Array, X: Sequences, *, numeric: bool) -> None:
    """Detect targets that are meant for each step although ``per_step`` is False.

    A ValueError if no other meaning is possible, else a warning: the number of outputs, or labels, may equal
    the number of steps (a forecast of 24 hours from the 24 hours before).
    """
    if y.ndim != 2 or not (X.lengths == y.shape[1]).all():
        return
    steps, several = y.shape[1], "targets" if numeric else "labels"
    if not numeric and type_of_target(y) != "multilabel-indicator":
        raise ValueError(
            f"y has the shape {y.shape}, a class for each of the {steps} steps of X, but per_step is False. "
            "Set per_step=True, or give one class for each sequence."
        )
    warn(
        f"y has the shape {y.shape}, and X has {steps} steps: with per_step=False these are {several} "
        "of each sequence. Set per_step=True for a target at each step."
    )


def check_step_weights(weight: Any, X: Sequences) -> Array:
    """A weight for each step, from weights for each sequence or each step."""
    if isinstance(weight, np.ndarray) and weight.dtype == object:
        weight = list(weight)
    one_each = not isinstance(weight, list | tuple) or all(np.ndim(w) == 0 for w in weight)
    if one_each and np.ndim(weight) <= 1:
        values = np.full(len(X), weight) if np.ndim(weight) == 0 else np.asarray(weight)
        if values.shape != (len(X),):
            raise ValueError(f"sample_weight has {len(values)} weights, but X has {len(X)} sequences.")
        flat = np.repeat(values, X.lengths)
    else:
        flat = _per_step(weight, X, "sample_weight", "weight")
    if flat.ndim == 2 and flat.size == len(flat):
        flat = flat.ravel()
    if flat.ndim != 1:
        raise ValueError("sample_weight must have one weight for each step, or for each sequence.")
    checked: Array = check_array(flat, ensure_2d=False, dtype=X.dtype, input_name="sample_weight")
    return checked


def _per_step(values: Any, X: Sequences, name: str, what: str) -> Array:
    """Values for each step, concatenated over the sequences like the steps."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if X.ragged:
        if not isinstance(values, list | tuple | np.ndarray) or len(values) != len(X):
            raise ValueError(
                f"{name} must be a list of {len(X)} arrays like X: with per_step=True each step has a {what}."
            )
        arrays = [np.asarray(v) for v in values]
        for i, (array, length) in enumerate(zip(arrays, X.lengths, strict=True)):
            if array.ndim == 0 or len(array) != length:
                got = "none" if array.ndim == 0 else str(len(array))
                raise ValueError(
                    f"{name}[{i}] must have a {what} for each of the {length} steps of X[{i}], got {got}."
                )
            if array.shape[1:] != arrays[0].shape[1:]:
                raise ValueError(
                    f"The arrays of {name} must be alike but for their lengths: {name}[0] has the shape "
                    f"{arrays[0].shape}, {name}[{i}] {array.shape}."
                )
        return np.concatenate(arrays)
    n_steps = int(X.lengths[0])
    outputs = f" or ({len(X)}, {n_steps}, n_outputs)" if what == "target" else ""
    expected = (
        f"With per_step=True {name} must have the shape ({len(X)}, {n_steps}){outputs}, a {what} for each "
        "step of X"
    )
    try:
        array = np.asarray(values)
    except ValueError as error:  # of different lengths
        raise ValueError(f"{expected}, whose sequences are equally long; {name} is ragged.") from error
    if array.shape[:2] != (len(X), n_steps) or 0 in array.shape:
        raise ValueError(f"{expected}; got {array.shape}.")
    return array.reshape(-1, *array.shape[2:])
