"""What is done to activations and gradients in training: the arguments for it, as the core takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from gdfast.schedules import Plateau, Warmup

if TYPE_CHECKING:
    from gdfast.estimators._arguments import Arguments


def check(est: Arguments, n_hidden: int) -> None:
    """ValueError or TypeError where the arguments make no sense, alone or together."""
    dropout_rates(est.dropout, n_hidden)
    if not callable(est.backprop_depth) and est.backprop_depth is not None:
        _check_depth(est.backprop_depth, n_hidden + 1)
    if _awaits_a_score(est.schedule):
        raise ValueError(
            f"schedule={est.schedule!r} waits for its value to rise, but what a schedule hears of an "
            "estimator is a loss. Leave Plateau's mode at 'min'."
        )
    if est.schedule is not None and est.learning_rate != "constant":
        raise ValueError(
            f"schedule={est.schedule!r} and learning_rate={est.learning_rate!r} both say how the learning "
            "rate changes. Leave learning_rate at 'constant'."
        )


def _awaits_a_score(schedule: Any) -> bool:
    while isinstance(schedule, Warmup):
        schedule = schedule.schedule
    return isinstance(schedule, Plateau) and schedule.mode == "max"


def options(est: Arguments, n_hidden: int) -> dict[str, Any]:
    """The core's arguments; none where nothing is asked for, so that a plain net is just that."""
    chosen: dict[str, Any] = {
        "l1_ratio": float(est.l1_ratio),
        "weight_decay": float(est.weight_decay),
        "clip_value": None if est.clip_value is None else float(est.clip_value),
        "clip_norm": est.clip_norm if est.clip_norm in (None, "auto") else float(est.clip_norm),
        "clip_layer_norm": None if est.clip_layer_norm is None else float(est.clip_layer_norm),
        "gradient_noise": float(est.gradient_noise),
        "records": bool(est.record_gradients),
    }
    rates = dropout_rates(est.dropout, n_hidden)
    if any(rates):
        chosen["dropout"] = rates
    if est.batch_norm:
        chosen["bn_momentum"], chosen["bn_epsilon"] = float(est.bn_momentum), float(est.bn_epsilon)
    return chosen


def is_random(est: Arguments, n_hidden: int) -> bool:
    """Whether a step draws random numbers of its own."""
    return est.gradient_noise > 0 or any(dropout_rates(est.dropout, n_hidden))


def dropout_rates(dropout: Any, n_hidden: int) -> list[float]:
    """A rate for the inputs and one for each hidden layer; ValueError or TypeError where there are none."""
    if isinstance(dropout, Real):
        rates = [0.0, *[float(dropout)] * n_hidden]
    elif isinstance(dropout, Iterable) and not isinstance(dropout, str):
        rates = list(dropout)
        if not all(isinstance(rate, Real) for rate in rates):
            raise TypeError(f"dropout must be a number or a sequence of numbers, got {dropout!r}.")
        rates = [float(rate) for rate in rates]
        if len(rates) != n_hidden + 1:
            raise ValueError(
                f"dropout must have a rate for the inputs and one for each of the {n_hidden} hidden layers, "
                f"{n_hidden + 1} in all, got {len(rates)}: {rates}."
            )
    else:
        raise TypeError(f"dropout must be a number or a sequence of numbers, got {dropout!r}.")
    if not all(0 <= rate < 1 for rate in rates):
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}.")
    return rates


def depth_of_epoch(backprop_depth: int | Callable[[int], int] | None, epoch: int, n_layers: int) -> int:
    """How many weight layers, counted from the output, this epoch's gradients reach."""
    if backprop_depth is None:
        return n_layers
    if not callable(backprop_depth):
        return int(backprop_depth)
    depth = backprop_depth(epoch)
    _check_depth(depth, n_layers)
    return int(depth)


def _check_depth(depth: Any, n_layers: int) -> None:
    if not isinstance(depth, Integral) or isinstance(depth, bool) or not 1 <= int(depth) <= n_layers:
        raise ValueError(
            f"backprop_depth must be an integer from 1 (the output layer) to {n_layers} (all weight layers "
            f"of this network), a callable of the epoch that returns one, or None for all; got {depth!r}."
        )
