"""Files that are whole at any time, whoever is killed while writing."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: no file can be told from one that is being written, and leftovers stay
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` in the end; after an error nothing has changed.

    Until then it is a file beside ``path``, ``.name.`` and eight hexadecimal digits. A process that is killed
    leaves it behind, and the next to write to ``path`` clears it away: it is locked while it is being
    written, and a lock ends with its process.
    """
    _clear_leftovers(path)
    beside, file = _file_beside(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if path.exists():  # who may read it stays as it was, as with any file that is written over
                shutil.copymode(path, beside)
            if fcntl is not None:
                os.replace(beside, path)  # as long as it is locked
        if fcntl is None:
            os.replace(beside, path)  # an open file cannot be moved there
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _file_beside(path: Path) -> tuple[Path, IO[bytes]]:
    """A new file, locked."""
    while True:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        file = beside.open("xb")
        _lock(file)
        if beside.exists():  # else it was cleared away before it was locked
            return beside, file
        file.close()


def _clear_leftovers(path: Path) -> None:
    looks_like_one = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    with contextlib.suppress(OSError):  # a folder may be one to write to, and not to list
        for beside in path.parent.iterdir():
            if looks_like_one.fullmatch(beside.name) and beside.is_file():
                # Another may be faster, or the file another user's.
                with contextlib.suppress(OSError), beside.open("r+b") as file:
                    if _lock(file, wait=False):
                        beside.unlink()


def _lock(file: IO[bytes], wait: bool = True) -> bool:
    """Lock a file until it is closed; False where it is another's, or the file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
