"""The arguments that all networks have: their valid values, and the constructor's part that is shared."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import os
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options

from gdfast import optim
from gdfast._constraints import StrOptions
from gdfast._described import Described
from gdfast._model_file.models import Savable
from gdfast.estimators import _solvers
from gdfast.schedules import Schedule
from gdfast.training.options import Limits, StepOptions, TrainingOptions


def _constraint(limits: Limits | None) -> list[Any]:
    """The limits that training declares for an argument, as a constraint of scikit-learn."""
    if limits is None:
        return ["boolean"]
    words = {other for other in limits.others if isinstance(other, str)}
    rest: list[Any] = [StrOptions(words)] if words else []
    return [
        Interval(Real, limits.least, limits.most, closed=limits.closed),
        *rest,
        *({None} & {*limits.others}),
    ]


_DECLARED = {
    f.name: _constraint(f.metadata["limits"])
    for options in (StepOptions, TrainingOptions)
    for f in fields(options)
    if "limits" in f.metadata
}

_LARGEST = int(np.finfo(np.float64).max)


class Arguments(Savable, Described, BaseEstimator):
    """The arguments of all networks. Each estimator has its own constructor, as scikit-learn requires."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_DECLARED,
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions(set(_solvers.STOCHASTIC)), optim.Optimizer],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "n_jobs": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
            None,
        ],
        "learning_rate_factors": [dict, None],
        "scoring": [str, callable, None],
        "coefs_init": [list, tuple, None],
        "intercepts_init": [list, tuple, None],
        "keep_optimizer_state": ["boolean"],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, tuple, None],
        "resume": [str, os.PathLike, None],
        "schedule": [str, Schedule, callable, None],
        "weight_decay_schedule": [str, Schedule, callable, None],
    }

    hidden_layer_sizes: Any
    solver: Any
    alpha: float
    batch_size: Any
    learning_rate: str
    learning_rate_init: float | str
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    n_jobs: int | None
    scoring: Any
    coefs_init: Any
    intercepts_init: Any
    keep_optimizer_state: bool
    max_time: float | None
    callbacks: Any
    resume: Any
    schedule: Any
    l1_ratio: float
    weight_decay: float
    learning_rate_factors: dict[str, Any] | None
    weight_decay_schedule: Any
    clip_value: float | None
    clip_norm: Any
    clip_layer_norm: float | None
    gradient_noise: float
    record_gradients: bool

    def _store(self, arguments: dict[str, Any]) -> None:
        """Store a constructor's arguments, its ``locals()``, and do nothing else."""
        for name, value in arguments.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def _check_size_of_numbers(self) -> None:
        """ValueError if an integer is too large for a float."""
        for name, value in vars(self).items():
            if isinstance(value, int) and abs(value) > _LARGEST:
                raise ValueError(
                    f"{name} must be a number that a float can hold, got an integer beyond all of them."
                )
