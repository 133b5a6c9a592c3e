"""The safetensors layout: named arrays and a dict of strings in one file.

A file is the length of the header (8 bytes, little-endian), the header (JSON), and the arrays' bytes. The
header has an entry for each array, with dtype, shape and the offsets of its first byte and of the byte after
its last one, and ``__metadata__``, a dict of strings. The arrays lie one behind the other without a gap.

This is the only reader and writer, whether or not the package ``safetensors`` is installed: what is written
has the same bytes, and what is read has passed the same checks. The package would add none: it takes
duplicate keys, reads devices, and orders metadata at random. It reads these files, and they may be its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from gdfast._model_file.errors import ModelFormatError
from gdfast.training.arrays import Array

_DTYPES = {
    "BOOL": np.dtype("?"),
    **{f"{kind}{8 * size}": np.dtype(f"<{kind.lower()}{size}") for kind in "IU" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_METADATA = "__metadata__"
_LENGTH_BYTES = 8
# The package takes no longer header, and NumPy no more dimensions (32 in its first versions).
_LONGEST_HEADER = 100_000_000
_MOST_DIMENSIONS = 32
# Parsed JSON takes up to some 50 times the memory of its text; this bounds it for large files.
MOST_VALUES = 1_000_000


def dtype_name(array: Array) -> str | None:
    """The layout's name of an array's dtype; None if it has none."""
    return _NAMES.get(array.dtype.newbyteorder("<"))


def as_stored(array: Array) -> Array:
    """A contiguous little-endian array of one of the layout's dtypes, copied if necessary."""
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def write(file: IO[bytes], arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays as returned by `as_stored`. The bytes depend on the arguments only.

    ValueError if the header would be too long to be read.
    """
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # aligned, as the package does
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": dtype_name(array),
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    if len(text) > _LONGEST_HEADER:
        raise ValueError(
            f"The model cannot be saved: a file's header has at most {_LONGEST_HEADER} bytes, and everything "
            f"but the arrays takes {len(text)}."
        )
    file.write(len(text).to_bytes(_LENGTH_BYTES, "little"))
    file.write(text)
    for name in names:
        file.write(arrays[name].reshape(-1).view(np.uint8).data)


def parse(text: str, what: str) -> Any:
    """The value of a JSON text without duplicate keys, NaN and infinity; ModelFormatError names ``what``."""
    if has_too_many_values(text):
        raise ModelFormatError(f"{what} has more than {MOST_VALUES} values.")
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise ModelFormatError(f"{what} is nested too deeply.") from None
    except ValueError as error:  # an integer of more digits than Python takes, too
        raise ModelFormatError(f"{what} is no valid JSON: {error}.") from None


def has_too_many_values(text: str) -> bool:
    """Whether a JSON text may have more values than are read; commas and brackets in strings count, too."""
    return text.count(",") + text.count("[") + text.count("{") > MOST_VALUES


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


class Reader:
    """An open file whose header has been read and checked; arrays are read one by one.

    Parameters
    ----------
    file : binary file
        At its beginning.
    size : int
        Its number of bytes: no array can make more memory be allocated.

    Attributes
    ----------
    metadata : dict of str to str
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        if size < _LENGTH_BYTES:
            raise ModelFormatError(f"it is not a model file: it has {size} bytes, too few for a header.")
        length = int.from_bytes(self._bytes(_LENGTH_BYTES), "little")
        if length > _LONGEST_HEADER:
            raise ModelFormatError(
                f"it is not a model file: by its first eight bytes its header would have {length} bytes, but "
                f"{_LONGEST_HEADER} are the most."
            )
        self._begin = _LENGTH_BYTES + length
        if self._begin > size:
            raise ModelFormatError(
                f"its header has {length} bytes, but only {size - _LENGTH_BYTES} bytes follow: it is cut "
                "off, or is not a model file."
            )
        text = self._bytes(length)
        if not text.startswith(b"{"):
            raise ModelFormatError("it is not a model file: its header does not begin with '{'.")
        try:
            header = parse(text.decode(), "its header")
        except UnicodeDecodeError as error:
            raise ModelFormatError(f"its header is no UTF-8: {error}.") from None
        self.metadata = self._checked_metadata(header.pop(_METADATA, {}))
        self._entries = {name: self._checked_entry(name, entry) for name, entry in header.items()}
        self._check_places(size - self._begin)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def dtype_name(self, name: str) -> str:
        return _NAMES[self._entries[name][0]]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entries[name][1]

    def read(self, name: str) -> Array:
        """A new array."""
        dtype, shape, begin, end = self._entries[name]
        array = np.empty(shape, dtype)
        self._file.seek(self._begin + begin)
        data = array.reshape(-1).view(np.uint8)
        if end > begin and self._file.readinto(data.data) != end - begin:  # type: ignore[attr-defined]
            raise ModelFormatError(f"the array {shortened(name)} is cut off.")
        if dtype == np.bool_ and (data > 1).any():
            raise ModelFormatError(f"the array {shortened(name)} of booleans holds other bytes than 0 and 1.")
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))

    def _bytes(self, n: int) -> bytes:
        found = self._file.read(n)
        if len(found) < n:
            raise ModelFormatError("it is cut off within its header.")
        return found

    def _checked_metadata(self, metadata: Any) -> dict[str, str]:
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ModelFormatError("its metadata are not a dict of strings.")
        return metadata

    def _checked_entry(self, name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
        what = f"the array {shortened(name)}"
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ModelFormatError(
                f"{what} must have a dtype, a shape and data_offsets, got {shortened(entry)}."
            )
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise ModelFormatError(
                f"{what} has the dtype {shortened(dtype)}, which is none of {', '.join(_DTYPES)}."
            )
        for numbers, role in ((shape, "shape"), (offsets, "offsets")):
            whole = isinstance(numbers, list) and all(type(number) is int for number in numbers)
            if not whole or not all(0 <= number < 2**62 for number in numbers):
                raise ModelFormatError(
                    f"the {role} of {what} must be a list of integers in [0, 2**62), got "
                    f"{shortened(numbers)}."
                )
        if len(shape) > _MOST_DIMENSIONS or len(offsets) != 2:
            raise ModelFormatError(f"{what} has {len(shape)} dimensions and {len(offsets)} offsets.")
        size = math.prod(shape) * _DTYPES[dtype].itemsize
        # Of an empty array the other lengths matter to NumPy.
        if offsets[1] - offsets[0] != size or math.prod(n for n in shape if n) * 8 >= 2**62:
            raise ModelFormatError(
                f"{what} of {dtype} and shape {shape} takes {size} bytes, but its offsets are {offsets}."
            )
        return _DTYPES[dtype], tuple(shape), *offsets

    def _check_places(self, size: int) -> None:
        """Whether the arrays lie one behind the other, from the first of ``size`` bytes to the last."""
        position = 0
        for name, (_, _, begin, end) in sorted(self._entries.items(), key=lambda item: item[1][2:]):
            if begin != position:
                how = "overlaps another one" if begin < position else "has a gap before it"
                raise ModelFormatError(
                    f"the array {shortened(name)} {how}: it begins at {begin}, not at {position}."
                )
            position = end
        if position != size:
            how = "it is cut off" if position > size else "something follows them"
            raise ModelFormatError(f"its arrays take {position} bytes, but there are {size}: {how}.")


def shortened(value: Any) -> str:
    text = repr(value) if not isinstance(value, dict | list) or len(value) < 20 else f"{len(value)} items"
    return text if len(text) <= 100 else f"{text[:100]}..."
