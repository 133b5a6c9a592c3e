"""The state of training: everything needed to continue it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdfast import _random
from gdfast.training.optimizer import Optimizer
from gdfast.training.order import RowOrder
from gdfast.training.weights import Weights


class Records:
    """Records of training so far; an attribute exists once it has been recorded.

    Attributes
    ----------
    n_iter : int
        Epochs, or iterations, of the latest fit.
    t : int
        Number of rows seen.
    loss, best_loss : float
    loss_curve, learning_rate_curve : list of float
    gradient_records : dict of str to list
    validation_scores, validation_loss_curve : list of float or None
    best_validation_score : float or None
    no_improvement_count : int
    """

    n_iter: int
    t: int
    loss: float
    best_loss: Any
    loss_curve: list[float]
    learning_rate_curve: list[float]
    gradient_records: dict[str, list[list[float]]]
    validation_scores: Any
    validation_loss_curve: list[float]
    best_validation_score: Any
    no_improvement_count: int

    def __init__(self, **known: Any) -> None:
        vars(self).update(known)

    def begin(self, *, by_score: bool, validates: bool) -> None:
        """Create the records that a fit extends, unless an earlier fit has created them."""
        if not hasattr(self, "loss_curve"):
            self.loss_curve = []
            self.no_improvement_count = 0
        if not hasattr(self, "learning_rate_curve"):  # not an attribute of scikit-learn, so it may be missing
            self.learning_rate_curve = []
        if by_score:
            self.best_loss = None
        elif getattr(self, "best_loss", None) is None:
            self.best_loss = np.inf
        if not validates:
            self.validation_scores = self.best_validation_score = None
            vars(self).pop("validation_loss_curve", None)


@dataclass
class TrainingState:
    """Weights, optimizer, order of rows, random state and records of a training run.

    A copy or a pickle continues like the original. Pickles do not include the weights: outside a run the
    arrays of the owner, such as ``coefs_``, are authoritative.

    Attributes
    ----------
    weights : Weights
    random_state : numpy.random.RandomState
    records : Records
    optimizer : Optimizer or None
        With stochastic solvers only.
    order : RowOrder or None
    best_weights : Weights or None
        The weights with the best score on a validation set.
    scored_by : object
        Identifies the score of the recorded validation scores.
    """

    weights: Weights
    random_state: np.random.RandomState
    records: Records = field(default_factory=Records)
    optimizer: Optimizer | None = None
    order: RowOrder | None = None
    best_weights: Weights | None = None
    scored_by: Any = None

    def end(self) -> None:
        """Release what continuing takes: optimizer, order and the best weights."""
        self.optimizer = self.order = self.best_weights = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "weights": Weights({}), "best_weights": None}

    def state_dict(self) -> dict[str, Any]:
        """The whole state as plain arrays, numbers, strings, lists and dicts."""
        return {
            "weights": self.weights.copy().lists,
            "best_weights": None if self.best_weights is None else self.best_weights.copy().lists,
            "random_state": _random.state_of(self.random_state),
            "records": {name: _plain(value) for name, value in vars(self.records).items()},
            "optimizer": None if self.optimizer is None else self.optimizer.training_state_dict(),
            "order": None if self.order is None else self.order.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of a training of the same network, data and arguments."""
        self.weights.assign(Weights(state["weights"]))
        best = state["best_weights"]
        self.best_weights = None if best is None else Weights(best).copy()
        _random.set_state(self.random_state, state["random_state"])
        self.records = Records(**{name: _plain(value) for name, value in state["records"].items()})
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.load_training_state_dict(state["optimizer"])
        if self.order is not None and state["order"] is not None:
            self.order.load_state_dict(state["order"])


def _plain(value: Any) -> Any:
    """A deep copy of lists and dicts."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
