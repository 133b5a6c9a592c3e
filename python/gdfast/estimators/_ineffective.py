"""Errors for arguments that have no effect in combination with the others.

scikit-learn's arguments raise no error where scikit-learn ignores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from inspect import signature
from numbers import Real
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from gdfast import optim
from gdfast.estimators import _dropout, _solvers, _validation
from gdfast.training import activations
from gdfast.training.options import StepOptions, TrainingOptions


class Rule(NamedTuple):
    """The condition under which some arguments have an effect, and the error if it does not hold."""

    names: tuple[str, ...]
    holds: Callable[[Any], bool]
    why: str  # may contain {name} and all arguments


def _has_layers(given: Any) -> bool:
    return bool(_validation.hidden_sizes(given.hidden_layer_sizes))


def _is_object(given: Any) -> bool:
    return isinstance(given.solver, optim.Optimizer)


# Declared in training's options to require steps.
_OF_STEPS = tuple(
    f.name for options in (StepOptions, TrainingOptions) for f in fields(options) if "of_steps" in f.metadata
)

_SCHEDULES = ("schedule", "dropout_schedule", "weight_decay_schedule")


def _drops_out(given: Any) -> bool:
    return any(_dropout.rates(given.dropout, len(_validation.hidden_sizes(given.hidden_layer_sizes))))


RULES = (
    Rule(("huber_delta",), lambda given: given.loss == "huber", "has no meaning without loss='huber'."),
    Rule(("quantiles",), lambda given: given.loss == "quantile", "has no meaning without loss='quantile'."),
    Rule(
        ("activation_params",),
        # One dict may serve several activations, in a search.
        lambda given: activations.takes_any(given.activation, given.activation_params or {}),
        "has no meaning with activation={activation!r}: no layer has one of these activations.",
    ),
    Rule(
        ("annealing_params",),
        lambda given: not given.annealing_params or given.solver == "annealing",
        "has no meaning without solver='annealing'.",
    ),
    Rule(
        ("solver",),
        lambda given: given.solver != "lm" or getattr(given, "loss", None) == "squared_error",
        "is for MLPRegressor(loss='squared_error'): it minimizes squared errors only. For other losses and "
        "for classifiers use 'newton-cg', 'lbfgs' or a stochastic solver, such as 'adam'.",
    ),
    Rule(
        ("solver",),
        lambda given: (
            given.solver != "newton-cg" or getattr(given, "loss", None) not in ("absolute_error", "quantile")
        ),
        "has no meaning with loss={loss!r}, which has no second derivative. Use 'lbfgs' or a stochastic "
        "solver, such as 'adam', or another loss, such as 'huber'.",
    ),
    Rule(
        ("bayesian_regularization",),
        lambda given: not given.bayesian_regularization or given.solver == "lm",
        "has no meaning without solver='lm'.",
    ),
    Rule(
        ("alpha",),
        lambda given: not getattr(given, "bayesian_regularization", False),
        "has no meaning with bayesian_regularization=True, which finds the penalty.",
    ),
    Rule(
        ("bn_momentum", "bn_epsilon"),
        lambda given: given.batch_norm,
        "has no meaning without batch_norm=True.",
    ),
    Rule(
        ("batch_norm",),
        _has_layers,
        "has no meaning with hidden_layer_sizes={hidden_layer_sizes!r}: it normalises hidden layers.",
    ),
    Rule(
        ("dropout",),
        lambda given: not isinstance(given.dropout, Real) or _has_layers(given),
        "has no meaning with hidden_layer_sizes={hidden_layer_sizes!r}: one number is for hidden layers. "
        "Give dropout=[{dropout!r}] for the inputs.",
    ),
    Rule(
        ("dropout_schedule",),
        _drops_out,
        "has no meaning with dropout={dropout!r}: it multiplies the rates of dropout.",
    ),
    Rule(
        ("weight_decay_schedule",),
        lambda given: given.weight_decay != 0,
        "has no meaning with weight_decay={weight_decay!r}: it multiplies weight_decay.",
    ),
    Rule(
        ("init",),
        lambda given: given.coefs_init is None or given.intercepts_init is None,
        "has no meaning where coefs_init and intercepts_init give all initial weights.",
    ),
    Rule(
        ("label_smoothing",),
        lambda given: given.solver != "annealing" or given.scoring in (None, "loss"),
        "has no meaning with solver='annealing' and scoring={scoring!r}, a score of the labels as they are.",
    ),
    Rule(
        ("l1_ratio",),
        lambda given: given.alpha != 0,
        "divides the penalty, but with alpha=0 there is none.",
    ),
    Rule(
        (*_SCHEDULES, "backprop_depth", "dropout", "batch_norm", *_OF_STEPS),
        lambda given: _solvers.is_stochastic(given.solver),
        "has no meaning with solver={solver!r}, which takes no steps over batches. Use a stochastic solver, "
        "such as 'adam', or leave it out.",
    ),
    Rule(
        ("beta_1", "beta_2", "epsilon"),
        lambda given: _is_object(given) or given.solver not in _solvers.RULES,
        "has no meaning with solver={solver!r}, which has the hyper-parameters that gdfast.optim has for it. "
        "Give an object of that module for others.",
    ),
    Rule(
        ("learning_rate_init",),
        lambda given: given.solver != "prodigy",
        "has no meaning with solver='prodigy', which finds the learning rate. Give optim.Prodigy(lr=...) for "
        "a factor of it.",
    ),
    Rule(
        ("learning_rate_init", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon"),
        lambda given: not _is_object(given),
        "contradicts solver={solver!r}, whose own hyper-parameters count. Leave {name} alone, or name the "
        "solver by a string.",
    ),
    Rule(
        ("learning_rate",),
        lambda given: not _is_object(given),
        "is for solver='sgd'. With solver={solver!r} set schedule={learning_rate!r}, or give it one of "
        "gdfast.schedules.",
    ),
    Rule(
        ("weight_decay",),
        lambda given: not getattr(given.solver, "weight_decay", 0),
        "contradicts solver={solver!r}, which has one of its own.",
    ),
)  # fmt: skip

RULES_OF_CELLS = (
    Rule(
        ("activation",),
        lambda given: given.cell == "elman",
        "has no meaning with cell={cell!r}, which has its own activations. It is for cell='elman'.",
    ),
)


def check(kind: type, arguments: Mapping[str, Any], rules: tuple[Rule, ...] = RULES) -> None:
    """ValueError if an argument has no effect and is not at its default.

    Parameters
    ----------
    kind : type
        A class of estimators, whose constructors have the defaults. Rules about arguments that it does not
        have are ignored.
    arguments : mapping of str to object
    rules : tuple of Rule
    """
    defaults = _defaults(kind)
    given = SimpleNamespace(**arguments)
    for names, holds, why in rules:
        has = [name for name in names if name in defaults and name in arguments]
        changed = [name for name in has if not _is_same(arguments[name], defaults[name])]
        if changed and not holds(given):
            name, value = changed[0], arguments[changed[0]]
            raise ValueError(f"{name}={value!r} {why.format_map({**arguments, 'name': name})}")


@cache
def _defaults(kind: Any) -> dict[str, Any]:
    """The defaults of the arguments of a class and its base classes."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base) and base is not object:
            found |= {
                p.name: p.default for p in signature(base).parameters.values() if p.default is not p.empty
            }
    return found


def _is_same(value: Any, default: Any) -> bool:
    plain = isinstance(value, Real | str | np.bool_)
    return value is default or (plain and bool(value == default))
