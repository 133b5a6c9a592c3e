"""The weights of a network, as lists of plain arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gdfast.training.arrays import Array, array_list, as_weights, weights_dtype

# The attributes of an estimator. Four belong to batch normalisation: lists with an array for each hidden
# layer. The last has an array for each embedded column of an encoded table.
NORMS = ("bn_gamma_", "bn_beta_", "bn_mean_", "bn_var_")
EMBEDDINGS = "embeddings_"
NAMES = ("coefs_", "intercepts_", *NORMS, EMBEDDINGS)
# Those that the rule changes, each of which is a group of parameters.
GROUPS = (*NAMES[:2], *NORMS[:2])


@dataclass
class Weights:
    """Lists of arrays by the names in `NAMES`, some only with batch normalisation or embedded columns."""

    lists: dict[str, list[Array]]

    @classmethod
    def of(cls, attributes: Mapping[str, Any], dtype: np.dtype[Any] | None = None) -> Self:
        """The weights in attributes that a user may have edited or replaced, in ``dtype`` or their own dtype.

        Lists and arrays are copied only if necessary. ValueError names an attribute that is not a list of
        arrays.
        """
        checked = {name: array_list(attributes.get(name), name) for name in NAMES[:2]}
        if any(name in attributes for name in NORMS):
            checked |= {name: array_list(attributes.get(name), name) for name in NORMS}
        if EMBEDDINGS in attributes:
            checked[EMBEDDINGS] = array_list(attributes[EMBEDDINGS], EMBEDDINGS)
        if dtype is None:
            dtype = weights_dtype(checked["coefs_"], checked["intercepts_"])
        lists = {}
        for name, arrays in checked.items():
            taken, given = as_weights(arrays, dtype, writable=True), attributes[name]
            same = isinstance(given, list) and all(a is b for a, b in zip(given, taken, strict=True))
            lists[name] = given if same else taken
        return cls(lists)

    @property
    def coefs(self) -> list[Array]:
        return self.lists["coefs_"]

    @property
    def intercepts(self) -> list[Array]:
        return self.lists["intercepts_"]

    @property
    def dtype(self) -> np.dtype[Any]:
        return weights_dtype(self.coefs, self.intercepts)

    @property
    def embeddings(self) -> list[Array]:
        return self.lists.get(EMBEDDINGS, [])

    def norms(self) -> list[tuple[Array, ...]] | None:
        """Gamma, beta, mean and variance of each hidden layer; None without batch normalisation."""
        if not any(name in self.lists for name in NORMS):
            return None
        return list(zip(*(self.lists[name] for name in NORMS), strict=True))

    def begin_norms(self, sizes: list[int]) -> None:
        """Create the arrays of batch normalisation for hidden layers of these sizes."""
        for name, value in zip(NORMS, (1, 0, 0, 1), strict=True):
            self.lists[name] = [np.full(n, value, self.dtype) for n in sizes]

    def check_norms(self, sizes: list[int]) -> None:
        """ValueError if the arrays of batch normalisation do not match hidden layers of these sizes."""
        for name in NORMS if any(name in self.lists for name in NORMS) else ():
            shapes = [array.shape for array in array_list(self.lists.get(name), name)]
            if shapes != [(n,) for n in sizes]:
                raise ValueError(
                    f"{name} must hold an array for each hidden layer, of the sizes {list(sizes)}; got "
                    f"{shapes}."
                )

    def check_embeddings(self, shapes: list[tuple[int, int]]) -> None:
        """ValueError if the arrays of embedded columns do not have these shapes."""
        if (found := [array.shape for array in self.embeddings]) != shapes:
            raise ValueError(
                f"{EMBEDDINGS} must hold an array for each embedded column, of the shapes {shapes}; got "
                f"{found}."
            )

    def __iter__(self) -> Iterator[Array]:
        for arrays in self.lists.values():
            yield from arrays

    def copy(self) -> Weights:
        return Weights({name: [array.copy() for array in arrays] for name, arrays in self.lists.items()})

    def is_alike(self, other: Weights) -> bool:
        """Whether ``other`` has arrays of the same shapes and dtypes."""

        def kinds(weights: Weights) -> dict[str, list[Any]]:
            return {name: [(a.shape, a.dtype) for a in arrays] for name, arrays in weights.lists.items()}

        return kinds(self) == kinds(other)

    def assign(self, other: Weights) -> None:
        """Copy the values of ``other`` if its arrays are alike, else take its arrays."""
        if not self.is_alike(other):
            self.lists = dict(other.lists)
            return
        for target, source in zip(self, other, strict=True):
            np.copyto(target, source)

    def swap(self, other: Weights) -> None:
        """Exchange values with weights that are alike."""
        for a, b in zip(self, other, strict=True):
            for part in _parts(a):
                held = a[part].copy()
                a[part] = b[part]
                b[part] = held

    def average_in(self, other: Weights, decay: float) -> None:
        """Make these the average of themselves, by ``decay``, and weights that are alike."""
        for mean, array in zip(self, other, strict=True):
            for part in _parts(mean):
                mean[part] *= decay
                mean[part] += (1 - decay) * array[part]

    def is_finite(self) -> bool:
        return self.first_not_finite() is None

    def first_not_finite(self) -> str | None:
        """The name of the first array with a number that is not finite, such as "coefs_[0]"."""
        for name, arrays in self.lists.items():
            for i, array in enumerate(arrays):
                if not np.isfinite(array).all():
                    return f"{name}[{i}]"
        return None

    # For solvers that take one vector.

    def as_vector(self, dtype: Any = None) -> Array:
        return np.concatenate([array.ravel() for array in self], dtype=dtype)

    def split(self, vector: Array) -> list[Array]:
        """Views of the vector in the shapes of the arrays."""
        bounds = np.cumsum([array.size for array in self])[:-1]
        parts = np.split(vector, bounds)
        return [part.reshape(array.shape) for part, array in zip(parts, self, strict=True)]

    def put(self, vector: Array) -> None:
        for array, part in zip(self, self.split(vector), strict=True):
            np.copyto(array, part, casting="same_kind")


def _parts(array: Array) -> Iterator[slice]:
    """Slices of the first axis, so small that a copy of one needs little memory."""
    step = max(1, 2**14 * len(array) // max(array.size, 1))
    return (slice(start, start + step) for start in range(0, len(array), step))
