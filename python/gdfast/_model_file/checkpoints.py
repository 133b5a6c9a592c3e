"""Checkpoints: model files with the state of a run, which ``fit`` continues."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gdfast import _random, optim
from gdfast._model_file import files, objects
from gdfast._model_file.errors import ModelFormatError
from gdfast._model_file.models import checked, name_in_file
from gdfast._model_file.tree import Encoder, NotPlainError, Stored
from gdfast.schedules import Schedule
from gdfast.schedules._base import Lambda
from gdfast.training.optimizer import Optimizer
from gdfast.training.state import TrainingState
from gdfast.training.weights import Weights

# Arguments that may be others when a run continues: they change no step.
FREE = frozenset(
    {"callbacks", "keep_optimizer_state", "max_iter", "max_time", "n_jobs", "resume", "verbose", "warm_start"}
)


@dataclass
class Checkpoint:
    """A run as it was after an epoch.

    Attributes
    ----------
    stored : Stored
        The estimator with its state of training.
    path : str
        Where it is from, or empty.
    """

    stored: Stored
    path: str = ""

    @property
    def run(self) -> dict[str, Any]:
        """What belongs to the run, see `Snapshots`."""
        run: dict[str, Any] = self.stored.parts[objects.RUN]
        return run

    @contextmanager
    def _continuing(self) -> Iterator[None]:
        """ValueErrors name the path; others, of what cannot be put together, are ModelFormatErrors."""
        try:
            yield
        except ValueError as error:
            raise ValueError(
                f"resume={self.path!r} has a run that this fit cannot continue: {error}"
            ) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise ModelFormatError(f"resume={self.path!r} has a run that is none: {error}") from error

    def check_arguments(self, est: Any) -> None:
        """ValueError that names an argument of an estimator which the run did not have."""
        with self._continuing():
            _check_same(est, self)

    def restore(self, state: TrainingState) -> None:
        """Set the state of a new run, but for its optimizer; ValueError if the data are others.

        The state's random state is set, and stays the same object.
        """
        with self._continuing():
            _restore(self.run, self._before, state)

    def restore_optimizer(self, optimizer: Optimizer) -> None:
        with self._continuing():
            if (before := self._before.optimizer) is None:
                return
            if self.run["ended_by"] is None and not before.is_finite():
                raise ValueError("the moments of its optimizer are not finite.")
            optimizer.load_training_state_dict(before.training_state_dict())

    def restore_callbacks(self, callbacks: Sequence[Any]) -> None:
        """Load the states of callbacks of each kind of which there are as many as in the run, in order."""
        given, saved = defaultdict(list), defaultdict(list)
        for callback in callbacks:
            if hasattr(callback, "state_dict"):
                given[type(callback).__name__].append(callback)
        for one in self.run["callbacks"]:
            saved[one["kind"]].append(one["state"])
        for kind, of_kind in given.items():
            if len(of_kind) == len(saved[kind]):
                for callback, state in zip(of_kind, saved[kind], strict=True):
                    callback.load_state_dict(state)

    @cached_property
    def _before(self) -> TrainingState:
        """The state with the weights and the records of the estimator."""
        est = objects.build(self.stored)
        before: TrainingState = est._training
        before.weights = Weights.of(vars(est))
        return before


class Snapshots:
    """Takes checkpoints of an estimator in the course of its fit, at the end of epochs.

    TypeError if a file cannot hold the estimator; arguments that it cannot hold are left out.
    """

    def __init__(self, est: Any) -> None:
        self._name = name_in_file(est)
        self._dropped = _dropped_of(est)
        stored: Stored = objects.store(est, self._dropped)
        self._arguments: dict[str, Any] = stored.parts["arguments"]

    def take(self, est: Any) -> Checkpoint:
        """A copy of the estimator, its state of training and its run."""
        state: TrainingState = est._training
        stored = objects.store_estimator(self._name, est, self._dropped, self._arguments)
        run = {
            "epoch": state.epoch,
            "ended_by": state.ended_by,
            "average": None if state.average is None else state.average.lists,
            "n_averaged": state.n_averaged,
            "best_weights": None if state.best_weights is None else state.best_weights.lists,
            "solver_state": state.solver_state,
            "fingerprint": state.fingerprint,
            "callbacks": [
                {"kind": type(callback).__name__, "state": callback.state_dict()}
                for callback in est.callbacks or ()
                if hasattr(callback, "state_dict")
            ],
            "dropped": sorted(self._dropped),
        }
        if state.order_seed is not None:
            run["ranks"] = {"n": state.n_ranks, "order_seed": state.order_seed}
        return Checkpoint(_copied(Stored(stored.name, {**stored.parts, objects.RUN: run}), {}))


def _dropped_of(est: Any) -> frozenset[str]:
    """The arguments of an estimator that a file cannot hold."""
    drop = {"callbacks"}
    arguments = est.get_params(deep=False)
    while True:
        try:
            Encoder(copies=False).node(objects.store(est, drop))
        except NotPlainError as error:
            name = next((part for part in error.path if part in arguments), None)
            if name is None or name in drop:
                raise
            drop.add(name)
        else:
            return frozenset(drop)


def _copied(value: Any, random: dict[int, np.random.RandomState]) -> Any:
    """A copy of a tree; what is one random state stays one."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | tuple):
        return type(value)(_copied(item, random) for item in value)
    if isinstance(value, dict):
        return {name: _copied(item, random) for name, item in value.items()}
    if isinstance(value, Stored):
        return Stored(value.name, _copied(value.parts, random))
    if isinstance(value, np.random.RandomState):
        if id(value) not in random:
            random[id(value)] = _random.from_state(_random.state_of(value))
        return random[id(value)]
    return value


def ended(checkpoint: Checkpoint, reason: str) -> Checkpoint:
    """The same with the reason why its run has ended."""
    parts = {**checkpoint.stored.parts, objects.RUN: {**checkpoint.run, "ended_by": reason}}
    return Checkpoint(Stored(checkpoint.stored.name, parts))


def write(path: Path, checkpoint: Checkpoint) -> None:
    files.write(path, files.encode_tree(checkpoint.stored, copies=False))


def find(path: str | os.PathLike[str], est: Any) -> Checkpoint | None:
    """The checkpoint in a file, whose run an estimator can continue; None if there is no file.

    ModelFormatError if it holds no run; ValueError if it is one with other arguments.
    """
    try:
        found = Checkpoint(files.read(path, _with_run), os.fsdecode(path))
    except FileNotFoundError:
        return None
    found.check_arguments(est)
    return found


def _with_run(tree: Any) -> Stored:
    stored, _ = checked(tree)
    if objects.RUN not in stored.parts:
        raise ModelFormatError("it is a model file without a run, not one of a ModelCheckpoint.")
    return stored


def _check_same(est: Any, checkpoint: Checkpoint) -> None:
    kind = objects.name_of(est)
    if kind != checkpoint.stored.name:
        raise ValueError(f"it is of {checkpoint.stored.name}, not of {type(est).__name__}.")
    # An argument that is newer than the file had its default.
    defaults = objects.store(type(est)().get_params(deep=False))
    before = {**defaults, **checkpoint.stored.parts["arguments"]}
    free = set(FREE)
    if est.solver == "annealing":
        free.discard("max_iter")  # which decides how it cools
    for name, value in est.get_params(deep=False).items():
        if name in free or (name == "random_state" and isinstance(value, np.random.RandomState)):
            continue
        if name in checkpoint.run["dropped"]:
            _check_dropped(name, value)
        elif not _is_same(objects.store(value), before[name]):
            raise ValueError(f"its {name} is {_shown(before[name])}, but now it is {value!r}.")


def _check_dropped(name: str, value: Any) -> None:
    """ValueError if an argument that is not in the file has a state, which is lost."""
    try:
        Encoder(copies=False).node(objects.store(value))
    except NotPlainError:
        if isinstance(value, optim.Optimizer) or (
            isinstance(value, Schedule) and not isinstance(value, Lambda)
        ):
            raise ValueError(f"the state of {name}={value!r} is not in it, and cannot be.") from None
        return
    raise ValueError(f"its {name} was an object of your own, but now it is {value!r}.")


def _is_same(a: Any, b: Any) -> bool:
    """Whether two trees are equal: by their JSON, and the checksums of their arrays in it."""
    try:
        return bool(Encoder(copies=False).node(a) == Encoder(copies=False).node(b))
    except NotPlainError:
        return False


def _shown(value: Any) -> str:
    return value.name.rpartition(".")[2] + "(...)" if isinstance(value, Stored) else repr(value)


def _restore(run: dict[str, Any], before: TrainingState, state: TrainingState) -> None:
    ranks = run.get("ranks", {"n": 1, "order_seed": None})
    state.order_seed = ranks["order_seed"] if state.n_ranks > 1 else None
    # Among another number of ranks the rows lie otherwise, so that nothing can be said of them.
    if ranks["n"] == state.n_ranks and run["fingerprint"] != state.fingerprint:
        raise ValueError("X, y, sample_weight or the validation set are not those of its run.")
    lists = {name: Weights(run[name]) for name in ("average", "best_weights") if run[name] is not None}
    size = state.weights.as_vector().size
    vectors = [value for value in run["solver_state"].values() if isinstance(value, np.ndarray)]
    for found in (before.weights, *lists.values()):
        if not found.is_alike(state.weights):
            raise ValueError("its weights have other shapes or dtypes than those of this network.")
    if any(vector.size != size for vector in vectors):
        raise ValueError("its solver has another number of weights.")
    state.weights.assign(before.weights)
    state.average, state.best_weights = lists.get("average"), lists.get("best_weights")
    state.n_averaged, state.epoch, state.ended_by = run["n_averaged"], run["epoch"], run["ended_by"]
    state.solver_state = run["solver_state"]
    state.records = before.records
    _random.set_state(state.random_state, _random.state_of(before.random_state))
    if state.order is not None and before.order is not None:
        if before.order.n_samples != state.order.n_samples:
            raise ValueError("its order of rows has another number of rows.")
        if before.order._random_state is before.random_state:
            before.order._random_state = state.random_state
        state.order = before.order
