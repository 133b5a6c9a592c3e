"""What an estimator keeps of its training, from which ``partial_fit`` and ``warm_start`` go on."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from gdfast import _random
from gdfast._model_file.attributes import (
    has,
    is_array,
    is_count,
    is_dict_of,
    is_finite,
    is_list_of,
    is_number,
    is_numbers,
    is_positive,
    is_text,
)
from gdfast._model_file.errors import ModelFormatError
from gdfast._model_file.tree import Stored
from gdfast.training.outcome import Reason
from gdfast.training.weights import NAMES

if TYPE_CHECKING:
    from gdfast.training.optimizer import Optimizer
    from gdfast.training.state import TrainingState

_SCHEDULES = {"dropout_schedule": "dropout", "weight_decay_schedule": "weight_decay"}
# A score that no ``scoring`` equals: the next fit begins its records anew.
_DROPPED = "left out of the model file"


def store(state: TrainingState, drop: Collection[str]) -> dict[str, Any]:
    """The state as plain values and schedules, without weights and records, which are attributes."""
    optimizer = None
    if state.optimizer is not None and "solver" not in drop:
        optimizer = _store_optimizer(state.optimizer, drop)
    from gdfast.training.order import RankOrder

    order = None
    if state.order is not None and not isinstance(state.order, RankOrder):  # that is drawn again, by its seed
        order = {
            "n_samples": state.order.n_samples,
            "random_state": state.order._random_state,
            **state.order.state_dict(),
        }
    return {
        "random_state": state.random_state,
        "optimizer": optimizer,
        "order": order,
        "scored_by": _DROPPED if "scoring" in drop else state.scored_by,
    }


def _store_optimizer(optimizer: Optimizer, drop: Collection[str]) -> dict[str, Any]:
    whole = optimizer.training_state_dict()
    stored = {name: whole[name] for name in ("state", "learning_rate", "epochs", "steps", "seed")}
    stored.update({name: vars(optimizer)[name] for name in _ARGUMENTS}, schedule=optimizer.schedule)
    if "schedule" in drop:
        stored.update(schedule="constant", learning_rate=optimizer.learning_rate_init)
    left_out = {option for argument, option in _SCHEDULES.items() if argument in drop}
    stored["scheduled"] = {
        name: {
            "base": option.base,
            "schedule": option.schedule,
            "limits": dict(vars(option.limits)),
            "factors": option.factors,
        }
        for name, option in optimizer.scheduled.items()
        if name not in left_out
    }
    return stored


_ARGUMENTS = ("rule", "rule_params", "learning_rate_init", "power_t")


def _is_rate(value: Any) -> bool:
    return is_number(value) or is_array("f")(value)


def _is_schedule(value: Any) -> bool:
    if isinstance(value, Stored):
        return value.name.startswith("gdfast.schedules.")
    return value in ("constant", "invscaling", "adaptive")


def _is_order_of_rows(value: Any) -> bool:
    return value is None or (is_array("i")(value) and value.dtype == np.int64)


def _is_plain_number(value: Any) -> bool:
    return value is None or is_number(value) or isinstance(value, bool | np.bool_ | str)


def _is_moments(value: Any) -> bool:
    known = {"step": is_count, "slots": is_dict_of(is_list_of(is_array("f", None)))}
    if isinstance(value, dict) and "norms" in value:  # of clip_norm="auto"
        known["norms"] = is_numbers
    return value is None or has(known)(value)


def _is_random(value: Any) -> bool:
    return isinstance(value, np.random.RandomState)


_is_optimizer = has(
    {
        "rule": is_text,
        "rule_params": is_dict_of(lambda value: _is_plain_number(value) or isinstance(value, tuple | list)),
        "learning_rate_init": is_number,
        "power_t": is_number,
        "schedule": _is_schedule,
        "state": _is_moments,
        "learning_rate": _is_rate,
        "epochs": is_count,
        "steps": is_count,
        "seed": is_count,
        "scheduled": is_dict_of(
            has(
                {
                    "base": is_number,
                    "schedule": lambda value: isinstance(value, Stored) and _is_schedule(value),
                    "limits": has(
                        {
                            "least": is_number,
                            "most": lambda value: value is None or is_number(value),
                            "closed": is_text,
                            "others": lambda value: isinstance(value, tuple),
                        }
                    ),
                    "factors": lambda value: (
                        value is None or (isinstance(value, tuple) and all(map(is_number, value)))
                    ),
                }
            )
        ),
    }
)
_is_order = has(
    {
        "n_samples": is_count,
        "random_state": _is_random,
        "rows": _is_order_of_rows,
        "validation": _is_order_of_rows,
    }
)


def _has_rows(order: Any) -> bool:
    """Whether an order has each row once at most, and no other."""
    given = [rows for rows in (order["rows"], order["validation"]) if rows is not None]
    if not given:
        return True
    rows, n = np.concatenate(given), order["n_samples"]
    within = len(rows) <= n and bool((rows >= 0).all() and (rows < n).all())
    return within and len(np.unique(rows)) == len(rows)


def check(stored: Any) -> None:
    """ModelFormatError if this is not what `store` returns."""
    names = {"random_state", "optimizer", "order", "scored_by"}
    if not isinstance(stored, dict) or stored.keys() != names or not _is_random(stored["random_state"]):
        raise ModelFormatError("the state of training is not one.")
    if stored["optimizer"] is not None and not _is_optimizer(stored["optimizer"]):
        raise ModelFormatError("the optimizer of training is not one.")
    if stored["order"] is not None and not (_is_order(stored["order"]) and _has_rows(stored["order"])):
        raise ModelFormatError("the order of training rows is not one.")


def _is_weights(value: Any) -> bool:
    lists = is_dict_of(is_list_of(is_finite))
    return value is None or (lists(value) and {"coefs_", "intercepts_"} <= value.keys() <= {*NAMES})


def _is_vector(value: Any) -> bool:
    return is_array("f")(value)


_is_walk = has(
    {
        "x": _is_vector,
        "best": _is_vector,
        "moves": has(
            {"at": is_count, "before": lambda value: value is None or _random.is_generator_state(value)}
        ),
        **dict.fromkeys(("energy", "best_energy", "initial_temp", "final_temp", "scale"), is_number),
        **dict.fromkeys(("evaluations", "step"), is_count),
    }
)


_SOLVER_STATES = (
    has({}),
    has({"start": _is_vector}),
    has({"x": _is_vector, "mu": is_positive}),
    has({"x": _is_vector, "radius": is_positive}),
    _is_walk,
)

_is_run = has(
    {
        "epoch": is_count,
        "ended_by": lambda value: value is None or value in get_args(Reason),
        "average": _is_weights,
        "n_averaged": is_count,
        "best_weights": _is_weights,
        "solver_state": lambda value: any(holds(value) for holds in _SOLVER_STATES),
        "fingerprint": is_text,
        "callbacks": is_list_of(has({"kind": is_text, "state": is_dict_of(lambda value: True)})),
        "dropped": is_list_of(is_text),
    }
)
# Of a run of several ranks, beside the above.
_is_of_ranks = has({"n": is_count, "order_seed": is_count})


def check_run(parts: dict[str, Any]) -> None:
    """ModelFormatError if the parts of an estimator are not those of a checkpoint."""
    run = parts["run"]
    if isinstance(run, dict) and "ranks" in run and _is_of_ranks(run["ranks"]):
        run = {name: value for name, value in run.items() if name != "ranks"}
    if parts.get("training") is None or not _is_run(run):
        raise ModelFormatError("the run of the checkpoint is not one.")
    needed = {"n_iter_", "t_"}
    if run["best_weights"] is not None:
        needed |= {"best_validation_score_", "validation_loss_curve_", "validation_scores_"}
    if missing := needed - parts["attributes"].keys():
        raise ModelFormatError(f"the run of the checkpoint lacks {min(missing)}.")


def build(est: Any, stored: dict[str, Any]) -> TrainingState:
    """The state of training of an estimator that has its attributes."""
    # Training needs scipy, which predictors do without.
    from gdfast.estimators._attributes import records_of
    from gdfast.training.order import RowOrder
    from gdfast.training.state import TrainingState
    from gdfast.training.weights import Weights

    state = TrainingState(Weights({}), stored["random_state"], records_of(est))
    state.scored_by = stored["scored_by"]
    if stored["optimizer"] is not None:
        state.optimizer = _build_optimizer(stored["optimizer"])
    if (order := stored["order"]) is not None:
        state.order = RowOrder(order["n_samples"], order["random_state"])
        state.order.load_state_dict(order)
    return state


def _build_optimizer(stored: dict[str, Any]) -> Optimizer:
    from gdfast.training.optimizer import Optimizer
    from gdfast.training.options import Limits
    from gdfast.training.scheduled import Scheduled

    scheduled = {
        name: Scheduled(
            name, option["base"], option["schedule"], Limits(**option["limits"]), option["factors"]
        )
        for name, option in stored["scheduled"].items()
    }
    arguments = {name: stored[name] for name in _ARGUMENTS}
    optimizer = Optimizer(**arguments, schedule=stored["schedule"], scheduled=scheduled)
    optimizer._state = stored["state"]
    optimizer.learning_rate, optimizer.seed = stored["learning_rate"], stored["seed"]
    optimizer._epochs, optimizer._steps = stored["epochs"], stored["steps"]
    return optimizer
