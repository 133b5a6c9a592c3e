"""The state of training: everything needed to continue it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdfast import _random
from gdfast.training.optimizer import Optimizer
from gdfast.training.order import RowOrder
from gdfast.training.outcome import Reason
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
    learning_rate_range : dict
        The test that found the learning rate, see `rate_range`.
    gradient_records : dict of str to list
    validation_scores, validation_loss_curve : list of float or None
    best_validation_score : float or None
    no_improvement_count : int
    alpha, beta, n_effective_parameters : float
        Of Bayesian regularization, see `lm`.
    """

    n_iter: int
    t: int
    loss: float
    best_loss: Any
    loss_curve: list[float]
    learning_rate_curve: list[float]
    learning_rate_range: dict[str, Any]
    gradient_records: dict[str, list[list[float]]]
    validation_scores: Any
    validation_loss_curve: list[float]
    best_validation_score: Any
    no_improvement_count: int
    alpha: float
    beta: float
    n_effective_parameters: float

    def __init__(self, **known: Any) -> None:
        vars(self).update(known)

    def begin(self, *, by_score: bool, validates: bool) -> None:
        """Create the records that a fit extends, unless an earlier fit has created them."""
        # What a user has deleted, or left out of a model file, begins again.
        begun: dict[str, Any] = {"loss_curve": [], "learning_rate_curve": [], "no_improvement_count": 0}
        for name, value in {**begun, "t": 0}.items():
            vars(self).setdefault(name, value)
        if by_score:
            self.best_loss = None
        elif getattr(self, "best_loss", None) is None:
            self.best_loss = np.inf
        if not validates:
            self.validation_scores = self.best_validation_score = None
            vars(self).pop("validation_loss_curve", None)

    def forget_evidence(self) -> None:
        """Delete what an earlier fit with Bayesian regularization has recorded."""
        for name in ("alpha", "beta", "n_effective_parameters"):
            vars(self).pop(name, None)


@dataclass
class TrainingState:
    """Weights, optimizer, order of rows, random state and records of a training run.

    A copy or a pickle continues like the original. Pickles include neither the weights, for outside a run the
    arrays of the owner, such as ``coefs_``, are authoritative, nor what belongs to a run.

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
    average : Weights or None
        The moving average of the weights over epochs.
    n_averaged : int
        Number of epochs that the average has seen after the first.
    epoch : int
        Number of epochs, or iterations, of this run.
    ended_by : str or None
        The reason why this run has ended, see `Outcome`; None while it goes on.
    solver_state : dict
        What a solver without an optimizer needs to continue: annealing's walk, the start of
        lbfgs, weights and damping of lm, weights and radius of newton-cg.
    scored_by : object
        Identifies the score of the recorded validation scores.
    fingerprint : str
        Identifies the data, if that is of use to anyone; see `fingerprint`.
    n_ranks : int
        Number of ranks that train together.
    order_seed : int or None
        The seed of their orders of rows, see `RankOrder`.
    """

    weights: Weights
    random_state: np.random.RandomState
    records: Records = field(default_factory=Records)
    optimizer: Optimizer | None = None
    order: RowOrder | None = None
    best_weights: Weights | None = None
    average: Weights | None = None
    n_averaged: int = 0
    epoch: int = 0
    ended_by: Reason | None = None
    solver_state: dict[str, Any] = field(default_factory=dict)
    scored_by: Any = None
    fingerprint: str = ""
    n_ranks: int = 1
    order_seed: int | None = None

    def end(self) -> None:
        """Release what continuing takes: optimizer, order, the best weights and the average."""
        self.optimizer = self.order = self.best_weights = self.average = None

    def __getstate__(self) -> dict[str, Any]:
        return {
            **vars(self),
            **dict.fromkeys(("best_weights", "average", "ended_by")),
            **dict.fromkeys(("n_averaged", "epoch"), 0),
            "solver_state": {},
            "fingerprint": "",
            "n_ranks": 1,
            "order_seed": None,
            "weights": Weights({}),
        }

    def state_dict(self) -> dict[str, Any]:
        """The whole state as plain arrays, numbers, strings, lists and dicts."""
        return {
            "weights": self.weights.copy().lists,
            "best_weights": None if self.best_weights is None else self.best_weights.copy().lists,
            "average": None if self.average is None else self.average.copy().lists,
            "n_averaged": self.n_averaged,
            "epoch": self.epoch,
            "ended_by": self.ended_by,
            "solver_state": _plain(self.solver_state),
            "random_state": _random.state_of(self.random_state),
            "records": {name: _plain(value) for name, value in vars(self.records).items()},
            "optimizer": None if self.optimizer is None else self.optimizer.training_state_dict(),
            "order": None if self.order is None else self.order.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of a training of the same network, data and arguments."""
        self.weights.assign(Weights(state["weights"]))
        best, average = state["best_weights"], state["average"]
        self.best_weights = None if best is None else Weights(best).copy()
        self.average = None if average is None else Weights(average).copy()
        self.n_averaged, self.epoch, self.ended_by = state["n_averaged"], state["epoch"], state["ended_by"]
        self.solver_state = _plain(state["solver_state"])
        _random.set_state(self.random_state, state["random_state"])
        self.records = Records(**{name: _plain(value) for name, value in state["records"].items()})
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.load_training_state_dict(state["optimizer"])
        if self.order is not None and state["order"] is not None:
            self.order.load_state_dict(state["order"])


def _plain(value: Any) -> Any:
    """A deep copy of lists, dicts and arrays."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
