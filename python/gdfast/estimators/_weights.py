"""The weights that training begins with: drawn, or given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gdfast.estimators._validation import Array, convert


def draw(
    layer_units: Sequence[int],
    activations: Sequence[str],
    dtype: np.dtype[Any],
    random_state: np.random.RandomState,
) -> tuple[list[Array], list[Array]]:
    """Weights by Glorot and Bengio (2010), equation 16, in the order in which scikit-learn draws them.

    ``activations`` has one for each layer, the output layer included.
    """
    coefs, intercepts = [], []
    for (fan_in, fan_out), activation in zip(pairwise(layer_units), activations, strict=True):
        # The bound of the paper is for tanh; scikit-learn has a narrower one for the logistic function.
        factor = 2.0 if activation == "logistic" else 6.0
        bound = np.sqrt(factor / (fan_in + fan_out))
        coefs.append(random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
        intercepts.append(random_state.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
    return coefs, intercepts


def given(arrays: Sequence[Any], like: Sequence[Array], name: str) -> list[Array]:
    """Copies of a user's arrays in the shapes and the dtype of ``like``; ValueError where they do not fit."""
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
