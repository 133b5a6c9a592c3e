"""Waits for other threads end after Ctrl-C, also where no system call does."""

from __future__ import annotations

import _thread
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from fits import without_garbage
from gdfast._waiting import acquire, get, join, wait_for
from gdfast._writer import BackgroundWriter


def put_twice(writer: BackgroundWriter) -> None:
    for name in "abc":
        writer.put(Path(name), None)


def close(writer: BackgroundWriter) -> None:
    writer.put(Path("a"), None)
    writer.close()


def behind_a_write_that_takes_long(use: Callable[[BackgroundWriter], None]) -> None:
    ends = threading.Event()
    try:
        use(BackgroundWriter(lambda path, value: ends.wait(60)))
    finally:
        ends.set()


def join_a_thread_that_takes_long() -> None:
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait, args=[60])
    thread.start()
    try:
        join(thread)
    finally:
        ends.set()


WAITS: dict[str, Callable[[], Any]] = {
    "semaphore": lambda: acquire(threading.Semaphore(0)),
    "queue": lambda: get(queue.Queue()),
    "futures": lambda: wait_for([Future()]),
    "first future": lambda: wait_for([Future(), Future()], all_of_them=False),
    "thread": join_a_thread_that_takes_long,
    "writer": lambda: behind_a_write_that_takes_long(put_twice),
    "writer's end": lambda: behind_a_write_that_takes_long(close),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_signal_that_interrupts_no_system_call_ends_a_wait(name: str) -> None:
    """As one that comes just before the call, or whose handler has calls restarted."""
    # A wait that misses it ends by another signal, and too late.
    timer = threading.Timer(0.2, _thread.interrupt_main)
    begun = time.perf_counter()

    def wait() -> None:
        timer.start()
        WAITS[name]()

    with without_garbage(), pytest.raises(KeyboardInterrupt):
        wait()
    assert time.perf_counter() - begun < 10


def test_a_wait_ends_with_what_it_waits_for() -> None:
    done: Future[int] = Future()
    threading.Timer(0.2, done.set_result, [1]).start()
    wait_for([done])
    items: queue.Queue[int] = queue.Queue()
    threading.Timer(0.2, items.put, [3]).start()
    assert get(items) == 3


def test_a_writer_without_a_thread_writes_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    written: list[Any] = []
    writer = BackgroundWriter(lambda path, value: written.append((path, value)))
    writer.put(tmp_path, 1)
    assert written == [(tmp_path, 1)]
    writer.close()
    failing = BackgroundWriter(lambda path, value: path.read_bytes())
    with pytest.raises(OSError, match=r"folder|directory"):
        failing.put(tmp_path, 1)
