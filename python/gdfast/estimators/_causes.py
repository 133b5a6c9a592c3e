"""What may keep a network from learning, as measured: the values of features and of targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_regressor

from gdfast.training.arrays import Array
from gdfast.training.data import Sequences

# Rows or sequences that are measured.
ROWS = 1000
# Features and targets are usually around one. A severity is how many times a figure exceeds its limit.
_LARGE_VALUE = 10.0


@dataclass(frozen=True)
class Cause:
    """A measured figure.

    Attributes
    ----------
    severity : float
        Above 1 for a figure that is not usual.
    finding, remedy : str
    """

    severity: float
    finding: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.finding} (usual)" if self.severity <= 1 else f"{self.finding}: {self.remedy}"


def columns_of(X: Any) -> tuple[Array, Array] | None:
    """Largest magnitude and standard deviation of every feature; None for an encoded table."""
    if isinstance(X, Sequences):
        X = X.steps
    if isinstance(X, np.ndarray):
        magnitude = np.maximum(X.max(axis=0), -X.min(axis=0)).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            return magnitude, _deviation(X, magnitude)
    if len(X) != 3:
        return None
    values, columns, starts = X
    values = np.abs(values[starts[0] : starts[-1]])
    columns = columns[starts[0] : starts[-1]]
    magnitude = np.zeros(int(columns.max(initial=-1)) + 1)
    np.maximum.at(magnitude, columns, values)
    return magnitude, np.full_like(magnitude, np.nan)


def _deviation(values: Array, magnitude: Array) -> Array:
    """Standard deviation of every column, in units of its magnitude, so that squares do not overflow."""
    unit = np.where(magnitude > 0, magnitude, 1.0)
    deviations: Array = np.std(values[:ROWS] / unit, axis=0) * unit
    return deviations


def name_of(est: Any, column: int) -> str:
    """A feature in the words of a message."""
    names = getattr(est, "feature_names_in_", None)
    return f"feature {column}" if names is None else f"feature {names[column]!r}"


def feature(est: Any, X: Any) -> Cause | None:
    """The feature with the largest magnitude; None for an encoded table."""
    found = columns_of(X)
    if found is None or not found[0].size:
        return None
    magnitude, deviation = found
    column = int(np.argmax(magnitude))
    name = name_of(est, column)
    spread = f", standard deviation {deviation[column]:.3g}" if np.isfinite(deviation[column]) else ""
    return Cause(
        magnitude[column] / _LARGE_VALUE,
        f"{name} has values up to {magnitude[column]:.3g}{spread}",
        "scale X, for instance by StandardScaler",
    )


def target(est: Any, y: Array) -> Cause | None:
    """The target with the largest magnitude; None in classification."""
    if y.dtype.kind != "f" or not is_regressor(est):
        return None
    magnitude = np.abs(y).max(axis=0).astype(np.float64)
    column = int(np.argmax(magnitude))
    name = "y" if len(magnitude) == 1 else f"y[:, {column}]"
    spread = _deviation(y, magnitude)[column]
    return Cause(
        magnitude[column] / _LARGE_VALUE,
        f"{name} has values up to {magnitude[column]:.3g}, standard deviation {spread:.3g}",
        "scale y, for instance by TransformedTargetRegressor",
    )
