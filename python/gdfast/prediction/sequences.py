"""Checks of sequences and their states, and conversion to the form that the core takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdfast.prediction.inputs import holds_dates
from gdfast.training.arrays import Array
from gdfast.training.data import Sequences
from gdfast.training.network import RNN
from gdfast.training.weights import Weights

_HOW = (
    "X must be an array of shape (n_sequences, n_steps, n_features) or a list of arrays of shape "
    "(n_steps, n_features), one for each sequence"
)


def check_sequences(X: Any) -> Sequences:
    """X as sequences of finite float32 or float64; ValueError or TypeError that names the invalid part."""
    if isinstance(X, Sequences):
        return X
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim:
        X = list(X)
    if isinstance(X, list | tuple):
        return _check_list(X)
    if np.ndim(X) == 0:
        raise ValueError(f"{_HOW}; got {X!r}.")
    steps = _checked(X, "X")
    if steps.ndim != 3:
        hint = ""
        if steps.ndim == 2:
            hint = "; X[np.newaxis] makes one sequence of it, X[..., np.newaxis] sequences of one feature"
        raise ValueError(f"{_HOW}; got an array of shape {steps.shape}{hint}.")
    n_sequences, n_steps, n_features = steps.shape
    if 0 in steps.shape:
        raise ValueError(f"{_HOW}; got the shape {steps.shape}: there must be at least one of each.")
    _check_finite(
        steps.reshape(-1, n_features), lambda row: f"sequence {row // n_steps}, step {row % n_steps}"
    )
    starts = np.arange(0, n_sequences * n_steps + 1, n_steps, dtype=np.int64)
    return Sequences(steps.reshape(-1, n_features), starts, ragged=False)


def _check_list(X: Sequence[Any]) -> Sequences:
    if not len(X):
        raise ValueError(f"{_HOW}; got an empty list.")
    arrays = [_checked(x, f"X[{i}]") for i, x in enumerate(X)]
    for i, x in enumerate(arrays):
        if x.ndim != 2:
            raise ValueError(f"{_HOW}; X[{i}] has the shape {x.shape}.")
        if len(x) == 0:
            raise ValueError(f"X[{i}] is empty: every sequence must have at least one step. Leave it out.")
        if x.shape[1] != arrays[0].shape[1] or x.shape[1] == 0:
            raise ValueError(
                f"All sequences must have the same features, at least one: X[0] has {arrays[0].shape[1]}, "
                f"X[{i}] has {x.shape[1]}."
            )
        _check_finite(x, lambda step, i=i: f"sequence {i}, step {step}")
    starts = np.concatenate([[0], np.cumsum([len(x) for x in arrays])]).astype(np.int64)
    dtype = np.float32 if all(x.dtype == np.float32 for x in arrays) else np.float64
    frame = X[0] if hasattr(X[0], "columns") else None
    for i, x in enumerate(X):
        if frame is not None and list(getattr(x, "columns", [])) != list(frame.columns):
            raise ValueError(
                f"All sequences must have the same columns in the same order: X[{i}] has others."
            )
    return Sequences(np.concatenate(arrays).astype(dtype, copy=False), starts, ragged=True, frame=frame)


def _checked(X: Any, name: str) -> Array:
    if np.ma.is_masked(X):
        raise ValueError(
            f"{name} has masked values. Sequences of different lengths are given as a list of arrays; "
            "missing values have to be filled in."
        )
    # For ragged lists, strings and the like, NumPy's errors do not name the valid forms of X.
    try:
        array = np.asarray(X)
        if array.dtype.kind == "c":
            raise ValueError("Complex data not supported")
        if holds_dates(array):
            raise ValueError("it holds dates or time differences")
        if array.dtype.kind not in "fiub":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_HOW}, of real numbers; {name} is none ({error}).") from error
    if array.dtype in (np.float32, np.float64):
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(array, np.float64)


def _check_finite(steps: Array, where: Any) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # the sum may overflow although all values are finite
        if np.isfinite(steps.sum()) or np.isfinite(steps).all():
            return
    row = int(np.flatnonzero(~np.isfinite(steps).all(axis=1))[0])
    what = "NaN" if np.isnan(steps[row]).any() else "infinity"
    raise ValueError(
        f"Input X contains {what}, first in {where(row)}. Sequences of different lengths are given as a "
        "list of arrays, without padding; missing values have to be filled in."
    )


def run(network: RNN, weights: Weights, X: Sequences, initial_state: Any) -> tuple[Array, list[Array]]:
    """The values of the output layer for each step or each sequence, and the final states."""
    single = np.result_type(X.dtype, weights.dtype) == np.float32
    dtype = np.dtype(np.float32 if single else np.float64)
    states = initial_states(network, weights, len(X), initial_state, dtype, "initial_state")
    return network.run(weights, X, states), states


def initial_states(
    network: RNN,
    weights: Weights,
    n_sequences: int,
    initial: Sequence[Any] | None,
    dtype: np.dtype[Any],
    name: str,
) -> list[Array]:
    """New arrays of states: zeros, or a checked copy of the user's, whose argument is ``name``."""
    shapes = [(n_sequences, width) for width in network.state_widths(weights)]
    if initial is None:
        return [np.zeros(shape, dtype) for shape in shapes]
    what = "hidden state and cell state side by side" if network.cell == "lstm" else "the hidden state"
    expected = f"{name} must hold an array for each layer, {what} of every sequence, of the shapes {shapes}"
    try:
        given = [np.asarray(state) for state in initial]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{expected}; {error}.") from error
    found = [state.shape for state in given]
    if found != shapes:
        raise ValueError(f"{expected}, got {found}.")
    if not all(state.dtype.kind in "fiu" for state in given):
        raise ValueError(f"{name} must hold real numbers only.")
    with np.errstate(over="ignore"):
        states = [np.array(state, dtype, order="C") for state in given]
    if not all(np.isfinite(state).all() for state in states):
        raise ValueError(f"{name} must hold finite numbers only, also as {dtype}.")
    return states
