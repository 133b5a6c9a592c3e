"""Writing on a thread of its own, so that training does not wait for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gdfast._waiting import SECONDS, join


class BackgroundWriter:
    """Writes values to paths, one after the other, on a thread, or at once where none can be started.

    What waits is replaced by a newer value for the same path. A value for another path waits until that one
    is being written, so that at most two are kept.

    Parameters
    ----------
    write : callable
        Called as ``write(path, value)``.
    """

    def __init__(self, write: Callable[[Path, Any], None]) -> None:
        self._write = write
        self._changed = threading.Condition()
        self._waiting: tuple[Path, Any] | None = None
        self._closed = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None
        self._thread = threading.Thread(target=self._run, name="gdfast-writer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there is no memory for it, for instance
            self._thread = None

    def put(self, path: Path, value: Any) -> None:
        """Write soon. An error of an earlier write is raised."""
        if self._thread is None:
            self._write(path, value)
            return
        with self._changed:
            while self._waiting is not None and self._waiting[0] != path and self._error is None:
                self._changed.wait(SECONDS)
            self._raise()
            self._waiting = path, value
            self._changed.notify_all()

    def close(self) -> None:
        """Wait until all is written. An error of a write is raised."""
        if self._thread is None:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        join(self._thread)
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._closed:
                    self._changed.wait()
                if self._waiting is None:
                    return
                path, value = self._waiting
                self._waiting = None
                self._changed.notify_all()
            try:
                self._write(path, value)
            except BaseException as error:  # raised where the writer is used
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
