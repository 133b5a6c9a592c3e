"""Fits of several networks side by side, on threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gdfast import _core
from gdfast._waiting import acquire, wait_for
from gdfast.estimators._listeners import after_epoch
from gdfast.training.outcome import Outcome

Job = Callable[[], Outcome | None]


def side_by_side(jobs: Sequence[Job], n_threads: int) -> list[Outcome | None]:
    """The outcomes of all jobs, of which ``n_threads`` run at a time.

    After Ctrl-C those that run end as one fit does, and no other begins: its outcome is None, as is that of a
    job that has taken no step. KeyboardInterrupt if all are None. An error of a job stops all and is raised.
    """
    if n_threads > 1:
        # Under a limit of memory there may be fewer. The calling thread only waits.
        n_threads = max(1, _core.startable_threads(n_threads + 1) - 1)
    outcomes = _one_by_one(jobs) if n_threads == 1 else _on_threads(jobs, n_threads)
    if not any(outcomes):
        raise KeyboardInterrupt
    return outcomes


def _one_by_one(jobs: Sequence[Job]) -> list[Outcome | None]:
    outcomes: list[Outcome | None] = []
    for job in jobs:
        try:
            outcomes.append(job())
        except KeyboardInterrupt:
            break
        outcome = outcomes[-1]
        if outcome is not None and outcome.reason == "interrupted":
            break
    return outcomes + [None] * (len(jobs) - len(outcomes))


def _on_threads(jobs: Sequence[Job], n_threads: int) -> list[Outcome | None]:
    stop = _core.StopFlag()
    # Python waits for ever for a thread that has no memory to begin: jobs take memory once all threads have.
    begun, all_have_begun = threading.Semaphore(0), threading.Event()

    def begin() -> None:
        try:
            _core.prepare_thread()
        finally:
            begun.release()

    def work(job: Job) -> Outcome | None:
        all_have_begun.wait()
        if stop.is_set():
            return None
        with stop:
            try:
                return job()
            except KeyboardInterrupt:  # from the flag, before the first step
                return None

    with ThreadPoolExecutor(n_threads, "gdfast-member", begin) as pool:
        futures: list[Future[Outcome | None]] = []
        try:
            for job in jobs:
                futures.append(pool.submit(work, job))
            for _ in range(min(n_threads, len(jobs))):
                acquire(begun)
            all_have_begun.set()
            wait_for(futures, all_of_them=False)
        except KeyboardInterrupt:
            stop.set()
        except BaseException:
            stop.set()
            raise
        finally:
            all_have_begun.set()
            # After an error; if all have ended there is nothing to stop.
            if not all(future.done() for future in futures) or any(f.exception() for f in futures):
                stop.set()
            while not all(future.done() for future in futures):
                try:
                    wait_for(futures)
                except KeyboardInterrupt:
                    continue
    return [future.result() for future in futures] + [None] * (len(jobs) - len(futures))


class SharedCallbacks:
    """The user's callbacks as one callback of each member, called by one thread at a time.

    ``est`` is the member, and ``logs`` have its number as ``"member"``. To the callbacks it is one training:
    ``on_train_begin`` and ``on_train_end`` are called once, by `begin` and `end`, with the whole estimator.
    """

    def __init__(self, callbacks: Sequence[Any]) -> None:
        self._callbacks = callbacks
        self._lock = threading.Lock()
        self._epoch = 0
        self._begun: list[Any] = []

    def begin(self, est: Any) -> None:
        for callback in self._callbacks:
            if hook := getattr(callback, "on_train_begin", None):
                hook(est)
            self._begun.append(callback)

    def end(self, est: Any) -> None:
        for callback in reversed(self._begun):
            if hook := getattr(callback, "on_train_end", None):
                hook(est)

    def of_member(self, number: int) -> list[Any]:
        """The callbacks of one member."""
        return [_MemberCallback(self, number)] if self._callbacks else []

    def call(self, name: str, number: int, member: Any, logs: dict[str, float]) -> bool:
        stops = False
        with self._lock:
            for callback in self._callbacks:
                if hook := getattr(callback, name, None):
                    stops |= bool(hook(member, self._epoch, {**logs, "member": number}))
            if name == "on_epoch_end":
                after_epoch(self._callbacks, member, self._epoch)
                self._epoch += 1
        return stops

    def show_gradient(self, member: Any, gradients: dict[str, Any]) -> None:
        with self._lock:
            for callback in self._callbacks:
                if hook := getattr(callback, "on_gradient", None):
                    hook(member, gradients)


class _MemberCallback:
    def __init__(self, shared: SharedCallbacks, number: int) -> None:
        self._shared = shared
        self._number = number
        if any(hasattr(callback, "on_gradient") for callback in shared._callbacks):
            self.on_gradient = shared.show_gradient

    def on_epoch_begin(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
        return self._shared.call("on_epoch_begin", self._number, est, logs)

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
        return self._shared.call("on_epoch_end", self._number, est, logs)
