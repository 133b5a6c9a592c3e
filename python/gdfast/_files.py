"""Atomic writing of files, which leaves no incomplete file if the process is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: without locks, temporary files of killed processes are not deleted
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which replaces ``path`` at the end; an error leaves ``path`` unchanged.

    Until then it is a temporary file beside ``path``, ``.name.`` and eight hexadecimal digits. If the process
    is killed the file remains, and the next write to ``path`` deletes it: the file is locked during writing,
    and the lock ends with its process.

    A pipe or a device is written to as it is.
    """
    path = Path(os.path.realpath(path))  # of a link the file is replaced, and not the link
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if path.exists() and not path.is_file():  # a pipe or a device, such as /dev/null
        with path.open("wb") as special:
            yield special
        return
    _clear_leftovers(path)
    beside, file = _file_beside(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if path.exists():  # keeps the permissions, as overwriting a file does
                shutil.copymode(path, beside)
            if fcntl is not None:
                os.replace(beside, path)  # while it is locked
        if fcntl is None:
            os.replace(beside, path)  # Windows cannot move an open file
        _sync_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def name_of(path: str | os.PathLike[str]) -> str:
    """The path as a string; TypeError for anything else, such as the number of an open file."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be a string or a path, got {path!r}")
    return os.fsdecode(path)


def check_place(path: Path) -> None:
    """OSError if no file can be written there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to write to: make it first.")
    if path.is_dir():
        raise IsADirectoryError(f"The path must be that of a file, but {str(path)!r} is a folder.")


def _sync_folder(folder: Path) -> None:
    """Make a move survive a failure of the machine."""
    if os.name != "posix":  # Windows cannot open a folder
        return
    with contextlib.suppress(OSError):  # some file systems cannot, and a folder may not be readable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _file_beside(path: Path) -> tuple[Path, IO[bytes]]:
    """A new locked file beside ``path``."""
    while True:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        file = beside.open("xb")
        _lock(file)
        if beside.exists():  # else it was deleted before it was locked
            return beside, file
        file.close()


def _clear_leftovers(path: Path) -> None:
    looks_like_one = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    with contextlib.suppress(OSError):  # a folder may be writable, but not readable
        for beside in path.parent.iterdir():
            if looks_like_one.fullmatch(beside.name) and beside.is_file():
                # Another process may delete it first, or the file may belong to another user.
                with contextlib.suppress(OSError), beside.open("r+b") as file:
                    if _lock(file, wait=False):
                        beside.unlink()


def _lock(file: IO[bytes], wait: bool = True) -> bool:
    """Lock a file until it is closed; False if another process has locked it, or there are no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
