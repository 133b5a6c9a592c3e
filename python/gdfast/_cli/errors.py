"""The errors that end a command."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

STANDARD_OUTPUT = "standard output"


class CommandError(Exception):
    """A command cannot do what it is asked for. The message is one sentence for the user."""


@contextlib.contextmanager
def naming(file: str | os.PathLike[str]) -> Iterator[None]:
    """Makes errors of reading and writing name the file, as those of opening do."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(file)
        raise
