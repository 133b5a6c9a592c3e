"""Writing and reading of model files.

A file's metadata are its format, the format's version, the version of gdfast that wrote it, the tree as JSON
and its checksum. The version counts changes after which an older gdfast cannot read a file.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from gdfast._core import __version__
from gdfast._files import check_place, name_of, written_whole
from gdfast._model_file import safetensors
from gdfast._model_file.errors import ModelFormatError
from gdfast._model_file.tree import Decoder, Encoder
from gdfast.training.arrays import Array

Built = TypeVar("Built")

FORMAT = "gdfast"
FORMAT_VERSION = 1
_KEYS = {"format", "format_version", "gdfast_version", "tree", "tree_crc32"}


class Encoded(NamedTuple):
    """A tree as what a file holds."""

    arrays: dict[str, Array]
    metadata: dict[str, str]


def encode_tree(tree: Any, *, copies: bool) -> Encoded:
    """Encode a tree of plain values and `Stored` objects, with ``copies`` of its arrays or themselves.

    `NotPlainError` if a value is no tree; ValueError if there are too many.
    """
    encoder = Encoder(copies)
    text = json.dumps(encoder.node(tree), allow_nan=False, separators=(",", ":"))
    if safetensors.has_too_many_values(text):
        raise ValueError(
            f"The model cannot be saved: a file has at most {safetensors.MOST_VALUES} values beside arrays."
        )
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "gdfast_version": __version__,
        "tree": text,
        "tree_crc32": f"{zlib.crc32(text.encode()):08x}",
    }
    return Encoded(encoder.arrays, metadata)


def write(path: str | os.PathLike[str], encoded: Encoded) -> None:
    """Write to a file that replaces ``path`` as a whole; OSError leaves ``path`` as it was."""
    place = Path(name_of(path))
    check_place(place)
    with written_whole(place) as file:
        safetensors.write(file, encoded.arrays, encoded.metadata)


def read(
    path: str | os.PathLike[str], build: Callable[[Any], Built], leave_out: Collection[str] = ()
) -> Built:
    """What ``build`` makes of the tree of a file, without the parts of objects with a name in ``leave_out``.

    ModelFormatError if it is no file of `write`, or ``build`` fails: its errors are the file's. OSError if it
    cannot be opened.
    """
    name, writer = name_of(path), ""
    try:
        with _regular_file(path) as file:
            reader = safetensors.Reader(file, os.fstat(file.fileno()).st_size)
            writer = reader.metadata.get("gdfast_version", "")[:40]
            return build(tree_of(reader, leave_out))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        said = str(error)  # whose names and values are the file's, of any length
        message = f"{name} cannot be loaded: {said if len(said) <= 500 else said[:500] + '...'}"
        if writer not in ("", __version__):
            message += f" It was written by gdfast {writer}, and this is gdfast {__version__}."
        raise ModelFormatError(message) from error


def tree_of(reader: safetensors.Reader, leave_out: Collection[str] = ()) -> Any:
    """The tree of a file; parts of objects with a name in ``leave_out`` are None, and are not read."""
    metadata = reader.metadata
    if metadata.get("format") != FORMAT:
        raise ModelFormatError(
            "it has the safetensors layout, but is not of gdfast: its metadata have no format 'gdfast'."
        )
    _check_version(metadata)
    if metadata.keys() != _KEYS:
        raise ModelFormatError(f"its metadata must have {', '.join(sorted(_KEYS))}.")
    text = metadata["tree"]
    if f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}" != metadata["tree_crc32"]:
        raise ModelFormatError("it has changed since it was written: the checksum of its tree differs.")
    return Decoder(reader, leave_out).value(safetensors.parse(text, "its tree"))


def _check_version(metadata: dict[str, str]) -> None:
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdecimal() and 0 < len(version) < 10):
        raise ModelFormatError(f"{safetensors.shortened(version)} is no version of the format.")
    if int(version) > FORMAT_VERSION:
        writer = metadata.get("gdfast_version", "unknown")[:40]
        raise ModelFormatError(
            f"it is in version {version} of the format, which gdfast {writer} has written, and gdfast "
            f"{__version__} reads up to version {FORMAT_VERSION}. Install gdfast {writer} or newer."
        )
    if int(version) < 1:
        raise ModelFormatError(f"there is no version {version} of the format.")


def _regular_file(path: str | os.PathLike[str]) -> BinaryIO:
    """A file open for reading. ModelFormatError if it is a folder, a device or the like."""
    # A pipe without a writer would make a plain open wait for ever.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # not all exist on every system
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ENXIO, errno.ENODEV) or Path(os.fsdecode(path)).is_dir():
            raise ModelFormatError("it is no regular file.") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelFormatError("it is no regular file.")
    return os.fdopen(descriptor, "rb")
