"""The initial weights: drawn at random, or given by the user."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np

from gdfast import _core
from gdfast._waiting import wait_for
from gdfast.training.arrays import Array, convert
from gdfast.training.network import GATES

# Variance times fan-in (He, LeCun) or times the mean of both fans (Glorot).
_SCALED = {"glorot": 1.0, "he": 2.0, "lecun": 1.0}
_FORMS = ("normal", "uniform")
# The default scale: standard deviation, bound, factor.
_FREE = {"normal": 0.05, "uniform": 0.05, "orthogonal": 1.0}

NAMES = frozenset(
    {"sklearn", "zeros", *_FREE, *(f"{author}_{form}" for author in _SCALED for form in _FORMS)}
)


def check(init: Any) -> None:
    """ValueError if ``init`` is neither a name nor a pair of a name and its scale."""
    if isinstance(init, str):
        if init not in NAMES:
            raise ValueError(f"init must be one of {sorted(NAMES)}, got {init!r}.")
        return
    if not (isinstance(init, tuple) and len(init) == 2 and isinstance(init[0], str) and init[0] in _FREE):
        raise ValueError(
            f"init must be a name, or a pair of one of {sorted(_FREE)} and its scale, got {init!r}."
        )
    if isinstance(init[1], bool) or not isinstance(init[1], Real) or not 0 < float(init[1]) < np.inf:
        raise ValueError(f"The scale of init={init!r} must be a positive number.")


def draw(
    init: Any,
    layer_units: Sequence[int],
    activations: Sequence[str],
    dtype: np.dtype[Any],
    random_state: np.random.RandomState,
) -> tuple[list[Array], list[Array]]:
    """The weights and biases of each layer; biases are zero except with "sklearn".

    ``activations`` has one for each layer, the output layer included.
    """
    coefs, intercepts = [], []
    for (fan_in, fan_out), activation in zip(pairwise(layer_units), activations, strict=True):
        if init == "sklearn":
            # Glorot and Bengio (2010), equation 16, with its bound for tanh; scikit-learn uses a smaller
            # bound for the logistic function.
            bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (fan_in + fan_out))
            coef = _uniform(bound, (fan_in, fan_out), dtype, random_state)
            intercept = random_state.uniform(-bound, bound, fan_out).astype(dtype, copy=False)
        else:
            coef = _matrix(init, fan_in, fan_out, dtype, random_state)
            intercept = np.zeros(fan_out, dtype)
        coefs.append(coef)
        intercepts.append(intercept)
    return coefs, intercepts


def draw_recurrent(
    cell: str, layer_units: Sequence[int], dtype: np.dtype[Any], random_state: np.random.RandomState
) -> tuple[list[Array], list[Array]]:
    """Input-to-hidden uniform by Glorot and Bengio (2010), hidden-to-hidden orthogonal, gate by gate.

    Biases are zero, except one for the gates that keep the state: an LSTM's forget gates (Gers et al., 2000)
    and a GRU's update gates. A state initially lasts for 1 + e steps (Tallec and Ollivier, 2018).
    """
    gates = GATES[cell]
    coefs, intercepts = [], []
    for fan_in, units in pairwise(layer_units[:-1]):
        coefs.append(np.hstack([_glorot(fan_in, units, random_state) for _ in range(gates)]))
        coefs.append(np.hstack([orthogonal((units, units), random_state) for _ in range(gates)]))
        input_bias = np.zeros(gates * units)
        if cell in ("gru", "lstm"):
            input_bias[units : 2 * units] = 1
        intercepts += [input_bias, np.zeros(gates * units)]
    coefs.append(_glorot(layer_units[-2], layer_units[-1], random_state))
    intercepts.append(np.zeros(layer_units[-1]))
    return [c.astype(dtype) for c in coefs], [b.astype(dtype) for b in intercepts]


def _glorot(fan_in: int, fan_out: int, random_state: np.random.RandomState) -> Array:
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    return random_state.uniform(-bound, bound, (fan_in, fan_out))


def embeddings(
    shapes: Sequence[tuple[int, int]], dtype: np.dtype[Any], random_state: np.random.RandomState
) -> list[Array]:
    """The arrays of embedded columns, uniform within 0.05, as in Keras.

    So small that categories with few rows begin with nearly the same inputs: larger ones are soon overfitted.
    """
    return [_uniform(0.05, shape, dtype, random_state) for shape in shapes]


def _matrix(
    init: Any, fan_in: int, fan_out: int, dtype: np.dtype[Any], random_state: np.random.RandomState
) -> Array:
    shape = fan_in, fan_out
    name, scale = init if isinstance(init, tuple) else (init, _FREE.get(init, 0.0))
    if name == "zeros":
        return np.zeros(shape, dtype)
    if name == "orthogonal":
        return np.asarray(scale * orthogonal(shape, random_state), dtype)
    author, _, form = name.rpartition("_")
    if author:
        # Glorot and Bengio (2010), He et al. (2015), LeCun et al. (1998).
        fan = (fan_in + fan_out) / 2 if author == "glorot" else fan_in
        scale = np.sqrt(_SCALED[author] / fan)
        if form == "uniform":
            scale *= np.sqrt(3)  # a uniform distribution of bound b has the variance b^2 / 3
    if form == "normal":
        return _filled(shape, dtype, lambda size: random_state.normal(0.0, scale, size))
    return _uniform(scale, shape, dtype, random_state)


def _uniform(
    bound: float, shape: tuple[int, int], dtype: np.dtype[Any], random_state: np.random.RandomState
) -> Array:
    return _filled(shape, dtype, lambda size: random_state.uniform(-bound, bound, size))


def _filled(shape: tuple[int, int], dtype: np.dtype[Any], draw: Callable[[tuple[int, int]], Array]) -> Array:
    """A matrix, drawn a million numbers at a time so that Ctrl-C can interrupt it."""
    matrix = np.empty(shape, dtype)
    rows = max(1, 10**6 // shape[1])
    for first in range(0, shape[0], rows):
        piece = matrix[first : first + rows]
        piece[...] = draw((len(piece), shape[1]))
    return matrix


def orthogonal(shape: tuple[int, int], random_state: np.random.RandomState) -> Array:
    """Orthonormal rows or columns, whichever are fewer (Saxe, McClelland and Ganguli, 2014)."""
    tall = random_state.normal(size=(max(shape), min(shape)))
    q, r = _qr(tall)
    q *= np.sign(np.diag(r))  # makes the distribution uniform (Mezzadri, 2007)
    return np.asarray(q if shape[0] >= shape[1] else np.ascontiguousarray(q.T))


def _qr(matrix: Array) -> tuple[Array, Array]:
    """NumPy's ``qr``; for a large matrix in a thread, if there is one, so that Ctrl-C can interrupt it."""
    if matrix.size < 10**4 or _core.startable_threads(2) < 2:
        return np.linalg.qr(matrix)
    found: Future[Any] = Future()

    def decompose() -> None:
        try:
            found.set_result(np.linalg.qr(matrix))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=decompose, daemon=True).start()
    wait_for([found])
    q, r = found.result()
    return q, r


def given(arrays: Sequence[Any], like: Sequence[Array], name: str) -> list[Array]:
    """Copies of a user's arrays in the shapes and the dtype of ``like``; ValueError if they do not match."""
    found = [np.asarray(array) for array in arrays]
    shapes, expected = [array.shape for array in found], [array.shape for array in like]
    if shapes != expected:
        raise ValueError(
            f"{name} must hold {len(expected)} arrays of the shapes {expected}, as features, "
            f"hidden_layer_sizes and outputs make them, got {shapes}."
        )
    copies = []
    for array, model in zip(found, like, strict=True):
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"{name} must hold finite real numbers only.")
        copies.append(convert(array, model.dtype, name).copy())
    return copies
