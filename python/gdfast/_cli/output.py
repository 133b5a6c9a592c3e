"""What commands print and write."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from gdfast._cli.errors import STANDARD_OUTPUT, CommandError, naming
from gdfast._files import check_place

_MOST_NAMES = 8
_MOST_CHOICES = 10
_MOST_LETTERS = 40


def show(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns, at once: the reader may wait for hours for the next lines."""
    facts = list(facts)
    width = max(len(name) for name, _ in facts)
    show_line("\n".join(f"{name:<{width}}  {value}" for name, value in facts))


def show_line(line: str) -> None:
    """Print a line at once."""
    with naming(STANDARD_OUTPUT):
        print(line, flush=True)


def listed(names: Sequence[str]) -> str:
    """The number of names, and the first of them."""
    shown = ", ".join(names[:_MOST_NAMES]) + ", ..." * (len(names) > _MOST_NAMES)
    return f"{len(names)} ({shown})" if names else "0"


def first_of(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    shown, rest = ", ".join(names[:_MOST_CHOICES]), len(names) - _MOST_CHOICES
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def counted(number: int, noun: str) -> str:
    """A number and what there are so many of."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def quoted(text: str) -> str:
    """A text as errors show it, the beginning of a long one."""
    return repr(text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}...")


def option(name: str, value: str) -> str:
    """An option as it is typed in a shell."""
    return name + ("=" if value.startswith("-") else " ") + shlex.quote(value)


def check_writable(path: Path, option: str, *inputs: Path) -> None:
    """CommandError if no file can be written there, or one of ``inputs`` would be overwritten."""
    try:
        check_place(path)
        for read in inputs:
            if path.exists() and read.exists() and os.path.samefile(path, read):
                raise CommandError(f"{option} {path} is the file that is read: name another one.")
        if path.exists() and not path.is_file():  # a pipe or a device is written to as it is
            if not path.resolve().exists():  # /dev/stdout leads to a pipe without a name
                raise CommandError(f"{option} {path} cannot be written: it is a pipe that has no path.")
            return
        with tempfile.TemporaryFile(dir=path.parent):  # permissions alone do not tell, for instance of root
            pass
    except OSError as error:
        raise CommandError(f"{option} {path} cannot be written: {error.strerror or error}") from None
