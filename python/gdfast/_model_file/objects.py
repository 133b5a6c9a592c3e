"""The fixed list of classes, what is stored of their objects, and how they are built again.

A name in a file is looked up here and nowhere else. What is built is made by the class's constructor from
arguments that are plain values, and gets attributes whose names and types `attributes` knows.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from gdfast._model_file import attributes, training
from gdfast._model_file.attributes import ATTRIBUTES, is_count, is_dict_of, is_list_of, is_number_or_none
from gdfast._model_file.errors import ModelFormatError
from gdfast._model_file.tree import DEEPEST, NotPlainError, Stored

RULES = frozenset(
    f"gdfast.optim.{name}"
    for name in (
        "SGD",
        "Adagrad",
        "RMSprop",
        "Adadelta",
        "Adam",
        "AdamW",
        "NAdam",
        "Adamax",
        "Lion",
        "Rprop",
        "Muon",
        "KFAC",
        "SOAP",
        "Prodigy",
        "ScheduleFree",
    )
)
SCHEDULES = frozenset(
    f"gdfast.schedules.{name}"
    for name in (
        "Adaptive",
        "Constant",
        "Cosine",
        "CosineRestarts",
        "Exponential",
        "InvScaling",
        "MultiStep",
        "OneCycle",
        "Plateau",
        "Polynomial",
        "Step",
        "Warmup",
    )
)
ESTIMATORS = frozenset(ATTRIBUTES)
CLASSES = ESTIMATORS | RULES | SCHEDULES

# Attributes that scikit-learn's callbacks set during a fit, and what users call them.
_OF_THE_FIT = frozenset({"_callback_fit_ctx", "_skl_callbacks_to_teardown", "_parent_callback_ctx"})
_SKLEARN_CALLBACKS = "_skl_callbacks"
# What may be left out beside arguments.
TRAINING = "training"
# The part of a checkpoint that belongs to its run.
RUN = "run"


def class_of(name: str) -> type:
    """The class of a name in the list."""
    module, _, name = name.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


def name_of(value: Any) -> str | None:
    """The name of an object's class; None if it is not in the list. A subclass is not."""
    kind = type(value)
    if not kind.__module__.startswith("gdfast."):
        return None
    for name in CLASSES:
        if name.endswith(f".{kind.__name__}") and class_of(name) is kind:
            return name
    return None


# From objects to what is stored.


def store(value: Any, drop: Collection[str] = (), depth: int = 0) -> Any:
    """What is stored of an object, or of all objects in lists and dicts; other values as they are.

    ``drop`` has the names of arguments and attributes of estimators to leave out.
    """
    if depth > DEEPEST:  # a list in itself, which the encoder refuses
        return value
    if type(value) is list:
        return [store(item, drop, depth + 1) for item in value]
    if type(value) is dict:
        return {key: store(item, drop, depth + 1) for key, item in value.items()}
    name = name_of(value)
    if name is None:
        return value
    if name in ESTIMATORS:
        return store_estimator(name, value, drop)
    arguments = {key: store(item) for key, item in value.get_params().items()}
    if name in SCHEDULES:
        state = {key: item for key, item in vars(value).items() if key not in arguments}
    else:
        state = {key: item for key, item in value.state_dict().items() if key in ("step", "slots")}
    return Stored(name, {"arguments": arguments, "state": state})


def store_estimator(
    name: str, est: Any, drop: Collection[str], arguments: dict[str, Any] | None = None
) -> Stored:
    """What is stored of an estimator, ``name`` in the list; its arguments may have been stored before."""
    if arguments is None:
        arguments = {key: store(item) for key, item in est.get_params(deep=False).items() if key not in drop}
    if "callbacks" in arguments:
        if arguments["callbacks"]:
            raise NotPlainError(("callbacks",), est.callbacks, "a model file holds no callbacks")
        if getattr(est, _SKLEARN_CALLBACKS, None):
            raise NotPlainError(("callbacks",), est._skl_callbacks, "a model file holds no callbacks")
    known = ATTRIBUTES[name]
    found = {}
    for key in sorted(vars(est).keys() - {*_names_of_arguments(name)} - _OF_THE_FIT):
        if key in drop or key in (_SKLEARN_CALLBACKS, "_training"):
            continue
        if key not in known:
            raise NotPlainError((key,), vars(est)[key], f"it is no attribute of {name}")
        # A member's scoring is made of the whole's, when that is built.
        without = {*drop, "scoring"} if key == "members_" else drop
        try:
            plain = known[key].store(vars(est)[key])
        except (AttributeError, TypeError) as error:
            raise NotPlainError((key,), vars(est)[key], f"it is not {known[key].what}") from error
        found[key] = store(plain, without)
    parts: dict[str, Any] = {"arguments": arguments, "attributes": found}
    if "_training" in vars(est) and TRAINING not in drop:
        parts[TRAINING] = store(training.store(vars(est)["_training"], drop))
    return Stored(name, parts)


# And back.


def check(stored: Any) -> None:
    """ModelFormatError if a `Stored`, or one within it, is not of a class in the list with its parts."""
    if isinstance(stored, list | tuple):
        for item in stored:
            check(item)
    elif isinstance(stored, dict):
        for item in stored.values():
            check(item)
    elif isinstance(stored, Stored):
        _check_object(stored)
        for part in stored.parts.values():
            check(part)


def _check_object(stored: Stored) -> None:
    if stored.name not in CLASSES:
        raise ModelFormatError(f"{stored.name[:100]!r} is no class that a model file may name.")
    is_estimator = stored.name in ESTIMATORS
    parts = {"arguments", "attributes"} if is_estimator else {"arguments", "state"}
    found = stored.parts.keys() - ({TRAINING, RUN} if is_estimator else set())
    if found != parts or not all(isinstance(stored.parts[part], dict) for part in parts):
        raise ModelFormatError(f"{stored.name} must have the parts {', '.join(sorted(parts))}.")
    if is_estimator:
        if stored.parts["arguments"].get("callbacks"):
            raise ModelFormatError("a model file holds no callbacks.")
        attributes.check(stored)
        if stored.parts.get(TRAINING) is not None:
            training.check(stored.parts[TRAINING])
        if stored.parts.get(RUN) is not None:
            training.check_run(stored.parts)


def build(stored: Any) -> Any:
    """The object of a checked `Stored`, or all objects in lists and dicts; other values as they are.

    ValueError or TypeError if a constructor refuses its arguments.
    """
    if type(stored) is list:
        return [build(item) for item in stored]
    if type(stored) is dict:
        return {key: build(item) for key, item in stored.items()}
    if not isinstance(stored, Stored):
        return stored
    arguments = build(stored.parts["arguments"])
    if unknown := arguments.keys() - {*_names_of_arguments(stored.name)}:
        raise ModelFormatError(f"{stored.name} has no argument {min(unknown)!r} in this version of gdfast.")
    built = class_of(stored.name)(**arguments)
    if stored.name in RULES:
        _load_rule(built, stored.parts["state"])
    elif stored.name in SCHEDULES:
        _load_schedule(built, stored.parts["state"])
    else:
        _load_attributes(built, stored)
    return built


@cache
def _names_of_arguments(name: str) -> Collection[str]:
    kind: Any = class_of(name)
    if name in ESTIMATORS:
        names: Collection[str] = kind._get_param_names()
        return names
    return tuple(kind._names)


def _load_rule(rule: Any, state: Any) -> None:
    slots = is_dict_of(is_list_of(lambda array: isinstance(array, np.ndarray)))
    if state.keys() != {"step", "slots"} or not is_count(state["step"]) or not slots(state["slots"]):
        raise ModelFormatError(f"the state of {type(rule).__name__} has not the step and the slots of one.")
    rule._core.load_state_dict(state)


def _load_schedule(schedule: Any, state: Any) -> None:
    expected = vars(schedule).keys() - schedule.get_params().keys()
    if state.keys() != expected or not all(map(is_number_or_none, state.values())):
        raise ModelFormatError(f"the state of {type(schedule).__name__} is not one.")
    vars(schedule).update(state)


def _load_attributes(est: Any, stored: Stored) -> None:
    known = ATTRIBUTES[stored.name]
    for name, value in stored.parts["attributes"].items():
        if name == "_metadata_request":
            _load_requests(est, value)
        else:
            vars(est)[name] = known[name].build(build(value))
    if stored.parts.get(TRAINING) is not None:
        vars(est)["_training"] = training.build(est, build(stored.parts[TRAINING]))
    for member in vars(est).get("members_", ()):
        if member.early_stopping:
            member.scoring = est._member_scoring()


def _load_requests(est: Any, stored: dict[str, dict[str, Any]]) -> None:
    """Set what metadata the methods ask for, as ``set_fit_request`` and the like do."""
    requests = est._get_metadata_request()
    for method, names in stored.items():
        known = getattr(getattr(requests, method, None), "requests", {})
        for name, value in names.items():
            if name not in known:
                raise ModelFormatError(f"{method} of {type(est).__name__} takes no {name!r}.")
            getattr(requests, method).add_request(param=name, alias=value)
    est._metadata_request = requests
