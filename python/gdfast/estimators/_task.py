"""What a network is trained for: the output layer, the loss and the targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from gdfast.estimators import _validation
from gdfast.estimators._shared_rows import SharedRows
from gdfast.training.arrays import Array, convert
from gdfast.training.data import Data
from gdfast.training.losses import Loss


@dataclass(frozen=True)
class Task(ABC):
    """A task, determined by a checked y.

    Attributes
    ----------
    n_outputs : int
        Number of units of the output layer.
    output : str
        Their activation, by the core's name.
    loss : str or tuple
        The core's name of the loss.
    """

    n_outputs: int
    output: str
    loss: Loss

    @abstractmethod
    def check(self, y: Any) -> None:
        """ValueError if a checked y, that of a validation set for instance, is not one for this task."""

    @abstractmethod
    def encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """A checked y in the form that the core takes."""

    @abstractmethod
    def scorer(self, y: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        """The function that scores outputs against this encoded y."""

    def weigh(self, y: Any, sample_weight: Array | None) -> Array | None:
        """The sample weights of training, for a checked y."""
        return sample_weight

    def for_training(self, y: Array) -> tuple[Array, Loss]:
        """The targets of training, from encoded targets, and their loss."""
        return y, self.loss

    @property
    def stratifies(self) -> bool:
        """Whether the validation split is stratified by the encoded y."""
        return False


def as_columns(y: Any, dtype: np.dtype[Any]) -> Array:
    """A checked y of one or two dimensions as an array of shape (n_samples, n_outputs)."""
    if sparse.issparse(y):
        raise TypeError("Sparse targets are not supported here. Use '.toarray()' to make y dense.")
    return convert(y[:, None] if y.ndim == 1 else y, dtype, "y")


def data_for(task: Task, X: Any, y: Any, sample_weight: Array | None, dtype: np.dtype[Any]) -> Data:
    """Checked samples in the form for training."""
    if sample_weight is not None:
        sample_weight = convert(sample_weight, dtype, "sample_weight")
    rows = X.rows if isinstance(X, SharedRows) else None
    return Data(_validation.for_training(X, dtype), task.encode(y, dtype), sample_weight, rows)
