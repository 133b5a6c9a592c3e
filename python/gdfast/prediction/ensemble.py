"""From the predictions of several networks to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdfast.training.arrays import Array


class TargetScale:
    """The target's mean, standard deviation and range, per output."""

    def __init__(self, center: Array, scale: Array, least: Array, most: Array) -> None:
        self.center, self.scale, self.least, self.most = center, scale, least, most

    def standardised(self, y: Array) -> Array:
        standardised: Array = (y - self.center) / self.scale
        return standardised

    def in_units(self, predicted: Array) -> Array:
        """A member's predictions in the target's units and range."""
        clamped: Array = np.clip(predicted * self.scale + self.center, self.least, self.most)
        return clamped


def mean_of(predictions: Sequence[Array], return_std: bool) -> Any:
    """The mean over the members, and with ``return_std`` the standard deviation as well."""
    found = np.stack(predictions)
    mean = found.mean(axis=0)
    return (mean, found.std(axis=0)) if return_std else mean
