"""The listeners of a fit: the user's callbacks, scikit-learn's callbacks, and the time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np

from gdfast._model_file.checkpoints import Checkpoint
from gdfast.estimators._attributes import publish
from gdfast.estimators._sklearn_callbacks import FitTask
from gdfast.estimators._transaction import Transaction
from gdfast.training.arrays import Array
from gdfast.training.listeners import Listeners
from gdfast.training.state import TrainingState
from gdfast.training.weights import NAMES, Weights

HOOKS = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_gradient")


def check_callbacks(callbacks: Iterable[Any] | None) -> None:
    """TypeError if an object has none of the methods of a callback."""
    for callback in callbacks or ():
        if isinstance(callback, type):
            raise TypeError(f"callbacks must hold instances, got the class {callback.__name__} itself.")
        if not any(callable(getattr(callback, hook, None)) for hook in HOOKS):
            raise TypeError(
                f"A callback must have one of the methods {', '.join(sorted(HOOKS))}; {callback!r} has none."
            )


def after_epoch(callbacks: Iterable[Any], est: Any, epoch: int) -> None:
    """Call those that wait until all callbacks have seen the end of an epoch."""
    for callback in callbacks:
        if hook := getattr(callback, "_after_epoch", None):
            hook(est, epoch)


class FitListeners(Listeners):
    """Calls the callbacks in the course of a fit.

    It is a context manager, which calls ``on_train_begin`` on entry and ``on_train_end`` on exit, even after
    an exception, for every callback whose ``on_train_begin`` has been called.

    Parameters
    ----------
    est : Any
    state : TrainingState
        Written to the estimator's attributes before each call.
    task : FitTask or None
        The task for scikit-learn's callbacks; None in ``partial_fit``, which has no callbacks and no time
        limit.
    attempt : Transaction
        Decides whether the result of the fit is kept after an exception.
    takes_edits : bool
        Whether training continues from weights that a callback has edited or replaced.
    checkpoint : Checkpoint or None
        Where the run continues.
    """

    def __init__(
        self,
        est: Any,
        state: TrainingState,
        task: FitTask | None,
        attempt: Transaction,
        *,
        takes_edits: bool,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._est = est
        self._state = state
        self._task = task
        self._attempt = attempt
        self._takes_edits = takes_edits
        self._checkpoint = checkpoint
        self._callbacks = list(est.callbacks or ()) if task is not None else []
        self._gradient_hooks = [c.on_gradient for c in self._callbacks if hasattr(c, "on_gradient")]
        if self._gradient_hooks and not takes_edits:
            raise ValueError(
                f"A callback has on_gradient, which has no meaning with solver={est.solver!r}: it takes no "
                "steps over batches. Use a stochastic solver, such as 'adam'."
            )
        if self._gradient_hooks and state.weights.embeddings:
            raise ValueError(
                "A callback has on_gradient, which is not supported for a network with embeddings. Encode X "
                "with embed_from=None."
            )
        self._max_time = est.max_time if task is not None else None
        self._dtype = state.weights.dtype
        self._exits = ExitStack()
        self._begun = time.perf_counter()

    def __enter__(self) -> Self:
        self._publish()
        with ExitStack() as exits:
            if self._task is not None:
                self._task.begins()
            guards: list[_Guard] = []
            exits.push(lambda *error: guards[0].check("on_train_end") if guards and not error[0] else None)
            for callback in self._callbacks:
                if hook := getattr(callback, "on_train_begin", None):
                    hook(self._est)
                if hook := getattr(callback, "on_train_end", None):
                    exits.callback(hook, self._est)
            if self._checkpoint is not None:
                self._checkpoint.restore_callbacks(self._callbacks)
            if self._callbacks:
                self._take_edits()
                exits.callback(lambda: guards.append(_Guard(self._est)))
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._exits:
            if error is None and self._task is not None:
                self._task.ends()

    @property
    def is_watched(self) -> bool:  # type: ignore[override]
        return bool(self._callbacks) or (self._task is not None and self._task.is_watched)

    def begin(self) -> None:
        self.has_begun = True
        self._attempt.keep()

    def epoch_begins(self, state: TrainingState, epoch: int, logs: dict[str, float]) -> bool:
        self._publish()
        if self._task is not None:
            self._task.epoch_begins()
        return self._call("on_epoch_begin", epoch, logs)

    def epoch_ends(self, state: TrainingState, epoch: int, logs: dict[str, float]) -> bool:
        self._publish()
        stops = self._call("on_epoch_end", epoch, {**logs, "time": time.perf_counter() - self._begun})
        after_epoch(self._callbacks, self._est, epoch)
        return (self._task is not None and self._task.epoch_ends()) or stops

    def gradient_hook(self, state: TrainingState) -> Callable[[list[Array]], None] | None:
        if not self._gradient_hooks:
            return None
        layers = len(state.weights.coefs)

        def show(arrays: list[Array]) -> None:
            gradients = {"coefs_": arrays[:layers], "intercepts_": arrays[layers : 2 * layers]}
            if norms := arrays[2 * layers :]:
                gradients.update(bn_gamma_=norms[::2], bn_beta_=norms[1::2])
            for hook in self._gradient_hooks:
                hook(self._est, gradients)

        return show

    def is_out_of_time(self) -> bool:
        return self._max_time is not None and time.perf_counter() - self._begun >= self._max_time

    def _publish(self) -> None:
        # Solvers that ignore edits must not be affected by an array whose shape is changed.
        publish(self._est, self._state, as_views=not self._takes_edits)

    def _call(self, name: str, epoch: int, logs: dict[str, float]) -> bool:
        stops = False
        hooks = [hook for callback in self._callbacks if (hook := getattr(callback, name, None))]
        guard = _Guard(self._est) if hooks and self._takes_edits else None
        for hook in hooks:
            stops |= bool(hook(self._est, epoch, dict(logs)))
        if self._takes_edits and self._callbacks:
            self._take_edits()
        if guard is not None:
            try:
                guard.check(f"{name} of epoch {epoch}")
            except ValueError:
                self._take_edits()
                raise
        return stops

    def _take_edits(self) -> None:
        embedded = [array.shape for array in self._state.weights.embeddings]
        self._state.weights = self._est._take_weights(self._est._layer_units(), embedded, self._dtype)


class _Guard:
    """Restores the weights if a callback writes numbers to them that are not finite."""

    def __init__(self, est: Any) -> None:
        self._est = est
        self._before = {name: list(vars(est)[name]) for name in NAMES if name in vars(est)}
        self._copies = {name: [array.copy() for array in arrays] for name, arrays in self._before.items()}

    def check(self, where: str) -> None:
        """ValueError after restoring the weights."""
        bad = self._first_not_finite()
        if bad is None:
            return
        for name, copies in self._copies.items():
            for array, copy in zip(self._before[name], copies, strict=True):
                array[...] = copy
        vars(self._est).update(self._before)
        raise ValueError(
            f"A callback wrote numbers that are not finite to {bad} in {where}. The weights are those from "
            "before that call."
        )

    def _first_not_finite(self) -> str | None:
        now = {name: list(vars(self._est).get(name, ())) for name in self._before}
        arrays = [array for each in now.values() for array in each]
        if not all(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in arrays):
            return None  # the next call refuses them
        return Weights(now).first_not_finite()
