"""Trees of plain values as JSON and arrays, and back.

A tree is made of None, booleans, integers, floats, strings, lists, tuples, dicts, NumPy's scalars and arrays,
paths, random states, and `Stored` objects. JSON says all of them but for the elements of arrays. What JSON
has not is an object with one key that begins with a dollar sign:

==================  =========================================================================================
``$tuple``          a list of the elements
``$dict``           a list of pairs, where a key is no string, or begins with a dollar sign
``$int``            an integer beyond 64 bits, hexadecimal
``$float``          "nan", "inf" or "-inf"
``$floats``         an array: a long list of floats, or of equally long lists of floats
``$scalar``         dtype and value of a NumPy scalar
``$array``          an array of numbers: its name among the file's arrays, its checksum, the dtype of dates
``$text``           an array of strings of one length, as code points
``$objects``        an array of objects: shape and elements, or an array if all are alike
``$path``           a path
``$random``         a random state; a later one with the same number is the same object
``$object``         the class of a `Stored`, beside its parts
==================  =========================================================================================

No value has a meaning that runs code: a class is a string, which is looked up in the fixed list of `classes`.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NoReturn

import numpy as np

from gdfast import _random
from gdfast._model_file import safetensors
from gdfast._model_file.errors import ModelFormatError
from gdfast.training.arrays import Array

DEEPEST = 64
_LONG_LIST = 256  # of floats, from which an array takes their place
_DATES = re.compile(r"(datetime64|timedelta64)\[\d{0,9}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]")
_SCALARS = re.compile(r"[?]|[biu][1248]|f[248]")
# Elements of arrays of objects that an array of numbers holds, if all are of one of these types.
_ALIKE = {bool: np.bool_, int: np.int64, float: np.float64}


@dataclass(frozen=True)
class Stored:
    """An object as plain values: its class's name in the fixed list, and named parts that are trees."""

    name: str
    parts: dict[str, Any]


class NotPlainError(TypeError):
    """A value that is no tree.

    Attributes
    ----------
    path : tuple of str
        The names and numbers that lead to the value.
    value : object
    """

    def __init__(self, path: tuple[str, ...], value: Any, why: str) -> None:
        super().__init__(f"{'.'.join(path)}: {why}")
        self.path, self.value, self.why = path, value, why


class Encoder:
    """Makes JSON of a tree, and collects its arrays.

    Parameters
    ----------
    copies : bool
        Whether arrays are copied, which may change before they are written.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Those of the file, by their names.
    """

    def __init__(self, copies: bool) -> None:
        self._copies = copies
        self.arrays: dict[str, Array] = {}
        self._random: list[np.random.RandomState] = []
        self._depth = 0

    def node(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        """The JSON of a value. `NotPlainError` if there is none."""
        if self._depth > DEEPEST:
            raise NotPlainError(path, value, f"it is nested more than {DEEPEST} deep")
        self._depth += 1
        try:
            return self._node(value, path)
        finally:
            self._depth -= 1

    def _node(self, value: Any, path: tuple[str, ...]) -> Any:
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**64 else {"$int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind in (list, tuple):
            return self._sequence(value, path)
        if kind is dict:
            return self._dict(value, path)
        if kind is Stored:
            parts = {name: self.node(part, path) for name, part in value.parts.items()}
            return {"$object": value.name, **parts}
        if isinstance(value, np.generic):
            return self._scalar(value, path)
        if isinstance(value, np.ndarray):
            return self._array(value, path)
        if kind is np.random.RandomState:
            return {"$random": self._random_state(value, path)}
        if isinstance(value, PurePath):
            return {"$path": os.fspath(value)}
        raise NotPlainError(path, value, f"{kind.__module__}.{kind.__qualname__} is no plain value")

    def _sequence(self, values: Any, path: tuple[str, ...]) -> Any:
        if type(values) is list and len(values) >= _LONG_LIST and _are_floats(values):
            return {"$floats": self._numbers(np.array(values), path)}
        nodes = [self.node(item, (*path, str(i))) for i, item in enumerate(values)]
        return nodes if type(values) is list else {"$tuple": nodes}

    def _dict(self, values: dict[Any, Any], path: tuple[str, ...]) -> Any:
        if all(type(key) is str and not key.startswith("$") for key in values):
            return {key: self.node(item, (*path, key)) for key, item in values.items()}
        for key in values:
            if not _is_key(key):
                raise NotPlainError((*path, repr(key)), key, "this key of a dict is no plain value")
        return {
            "$dict": [
                [self.node(key, (*path, f"{i}")), self.node(item, (*path, f"{i}"))]
                for i, (key, item) in enumerate(values.items())
            ]
        }

    def _scalar(self, value: np.generic, path: tuple[str, ...]) -> Any:
        if value.dtype.kind in "mM":
            return {"$scalar": [value.dtype.name, int(value.astype(np.int64))]}
        code = value.dtype.str[1:] if value.dtype.kind != "b" else "?"
        if type(value) is np.str_:
            return {"$scalar": ["U", str(value)]}
        if not _SCALARS.fullmatch(code):
            raise NotPlainError(path, value, f"a file has no place for {value.dtype}")
        return {"$scalar": [code, self.node(value.item(), path)]}

    def _array(self, array: Array, path: tuple[str, ...]) -> Any:
        if type(array) not in (np.ndarray, np.memmap, np.matrix):
            raise NotPlainError(path, array, f"{type(array).__name__} is no plain array")
        array = np.asarray(array)
        kind = array.dtype.kind
        if kind == "O":
            return {"$objects": {"shape": list(array.shape), **self._elements(array, path)}}
        if kind == "U":
            width = max(array.dtype.itemsize // 4, 1)
            points = np.array(array, f"<U{width}", order="C").reshape(-1).view("<u4")
            return {"$text": self._numbers(points.reshape(*array.shape, width), path)}
        if kind in "mM":
            if not _DATES.fullmatch(array.dtype.name):
                raise NotPlainError(path, array, f"a file has no place for {array.dtype}")
            numbers = np.asarray(array, order="C").astype(array.dtype.newbyteorder("=")).view(np.int64)
            return {"$array": {**self._numbers(numbers, path), "dates": array.dtype.name}}
        if safetensors.dtype_name(array) is None:
            raise NotPlainError(path, array, f"a file has no place for arrays of {array.dtype}")
        return {"$array": self._numbers(array, path)}

    def _elements(self, array: Array, path: tuple[str, ...]) -> dict[str, Any]:
        """The elements of an array of objects."""
        values = list(array.flat)
        kinds = {*map(type, values)}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is str:
            texts = [value.encode("utf-8", "surrogatepass") for value in values]
            ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
            utf8 = np.frombuffer(b"".join(texts), np.uint8)
            return {
                "utf8": self._numbers(utf8, (*path, "utf8")),
                "ends": self._numbers(ends, (*path, "ends")),
            }
        small = kind is not int or all(-(2**63) <= value < 2**63 for value in values)
        if kind in _ALIKE and small:
            return {"alike": self._numbers(np.array(values, _ALIKE[kind]), path)}
        return {"values": [self.node(value, (*path, str(i))) for i, value in enumerate(values)]}

    def _numbers(self, array: Array, path: tuple[str, ...]) -> dict[str, Any]:
        name = ".".join(path) or "array"
        while name in self.arrays or name == "__metadata__":
            name += "_"
        stored = safetensors.as_stored(array)
        if self._copies and np.may_share_memory(stored, array):
            stored = stored.copy()
        self.arrays[name] = stored
        return {"name": name, "crc32": checksum(name, stored)}

    def _random_state(self, value: np.random.RandomState, path: tuple[str, ...]) -> Any:
        if _random.is_global(value):
            return "global"
        for number, known in enumerate(self._random):
            if known is value:
                return {"number": number}
        self._random.append(value)
        return {"number": len(self._random) - 1, "state": self.node(_random.state_of(value), path)}


class Decoder:
    """Makes a tree of JSON and the arrays of a file.

    Every array is read once at most, so that the tree is about as large as the file.

    Parameters
    ----------
    reader : safetensors.Reader
    leave_out : collection of str
        Parts of `Stored` objects that are None instead; random states are, too, if there are any.
    """

    def __init__(self, reader: safetensors.Reader, leave_out: Collection[str] = ()) -> None:
        self._reader = reader
        self._leave_out = leave_out
        self._read: set[str] = set()
        self._random: dict[int, np.random.RandomState] = {}
        self._depth = 0

    def value(self, node: Any) -> Any:
        """The value of a JSON; ModelFormatError if it is not one of `Encoder`."""
        if self._depth > DEEPEST:
            raise ModelFormatError(f"the model is nested more than {DEEPEST} deep.")
        self._depth += 1
        try:
            return self._value(node)
        finally:
            self._depth -= 1

    def _value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$object" in node:
            return self._stored(node)
        tags = [key for key in node if key.startswith("$")]
        if not tags:
            return {key: self.value(item) for key, item in node.items()}
        decode = _TAGS.get(tags[0])
        if len(node) > 1 or decode is None:
            _refuse(node, "a value")
        return decode(self, node[tags[0]])

    def _stored(self, node: dict[str, Any]) -> Stored:
        name = node["$object"]
        if not isinstance(name, str) or any(key.startswith("$") for key in node if key != "$object"):
            _refuse(node, "an object")
        parts = {
            key: None if key in self._leave_out else self.value(part)
            for key, part in node.items()
            if key != "$object"
        }
        return Stored(name, parts)

    def _tuple(self, content: Any) -> tuple[Any, ...]:
        if not isinstance(content, list):
            _refuse(content, "a tuple")
        return tuple(self.value(item) for item in content)

    def _dict(self, content: Any) -> dict[Any, Any]:
        if not isinstance(content, list) or not all(isinstance(p, list) and len(p) == 2 for p in content):
            _refuse(content, "a dict")
        values = {}
        for key_node, item in content:
            key = self.value(key_node)
            if not _is_key(key) or key in values:
                _refuse(key_node, "a key of a dict")
            values[key] = self.value(item)
        return values

    def _int(self, content: Any) -> int:
        if not isinstance(content, str) or not re.fullmatch("-?0x[0-9a-f]+", content):
            _refuse(content, "an integer")
        return int(content, 16)

    def _float(self, content: Any) -> float:
        if content not in ("nan", "inf", "-inf"):
            _refuse(content, "a float")
        return float(content)

    def _floats(self, content: Any) -> list[Any]:
        numbers = self._numbers(content)
        if numbers.dtype != np.float64 or numbers.ndim not in (1, 2) or 0 in numbers.shape:
            _refuse(content, "a list of floats")
        found: list[Any] = numbers.tolist()
        return found

    def _scalar(self, content: Any) -> Any:
        if not isinstance(content, list) or len(content) != 2 or not isinstance(content[0], str):
            _refuse(content, "a NumPy scalar")
        code, value = content[0], self.value(content[1])
        try:
            if code == "U" and type(value) is str:
                return np.str_(value)
            if _DATES.fullmatch(code) and type(value) is int:
                return np.array(value, np.int64).view(code)[()]
            if _SCALARS.fullmatch(code) and type(value) in (bool, int, float):
                if code[0] in "iu" and not np.iinfo(code).min <= value <= np.iinfo(code).max:
                    raise OverflowError  # which NumPy 1 would only warn of
                return np.array(value, code)[()]
        except (OverflowError, ValueError, TypeError):
            pass
        _refuse(content, "a NumPy scalar")

    def _array(self, content: Any) -> Array:
        if not isinstance(content, dict) or "dates" not in content:
            return self._numbers(content)
        numbers = self._numbers({key: value for key, value in content.items() if key != "dates"})
        dates = content["dates"]
        if numbers.dtype != np.int64 or not isinstance(dates, str) or not _DATES.fullmatch(dates):
            _refuse(content, "an array of dates")
        try:
            return numbers.view(dates)
        except (TypeError, ValueError):
            _refuse(content, "an array of dates")

    def _text(self, content: Any) -> Array:
        points = self._numbers(content)
        if points.dtype != np.uint32 or points.ndim == 0 or not 0 < points.shape[-1] < 2**27:
            _refuse(content, "an array of strings")
        if points.size and points.max() > 0x10FFFF:
            raise ModelFormatError(f"the array {content['name']!r} of strings holds no code points.")
        width = points.shape[-1]
        texts: Array = points.reshape(-1).view(f"U{width}").reshape(points.shape[:-1])
        return texts

    def _objects(self, content: Any) -> Array:
        what = "an array of objects"
        if not isinstance(content, dict) or len(content) not in (2, 3):
            _refuse(content, what)
        shape = content.get("shape")
        if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**31 for n in shape):
            _refuse(content, what)
        if set(content) == {"shape", "utf8", "ends"}:
            values = self._strings(content["utf8"], content["ends"])
        elif set(content) == {"shape", "alike"}:
            numbers = self._numbers(content["alike"])
            if numbers.ndim != 1 or numbers.dtype not in _ALIKE.values():
                _refuse(content, what)
            values = numbers.tolist()
        elif set(content) == {"shape", "values"} and isinstance(content["values"], list):
            values = [self.value(value) for value in content["values"]]
        else:
            _refuse(content, what)
        if len(shape) > 32 or math.prod(shape) != len(values) or math.prod(n or 1 for n in shape) >= 2**58:
            _refuse(content, what)
        array = np.empty(len(values), object)
        for i, value in enumerate(values):  # elements may be sequences
            array[i] = value
        return array.reshape(shape)

    def _strings(self, utf8: Any, ends: Any) -> list[str]:
        data, ends = self._numbers(utf8), self._numbers(ends)
        if data.dtype != np.uint8 or ends.dtype != np.int64 or data.ndim != 1 or ends.ndim != 1:
            _refuse(utf8, "an array of strings")
        begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        if (begins > ends).any() or (ends[-1] if len(ends) else 0) != len(data):
            raise ModelFormatError("the ends of an array of strings do not fit their bytes.")
        whole = data.tobytes()
        try:
            return [
                whole[begin:end].decode("utf-8", "surrogatepass")
                for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
            ]
        except UnicodeDecodeError as error:
            raise ModelFormatError(f"a string is no UTF-8: {error}.") from None

    def _numbers(self, content: Any) -> Array:
        if not isinstance(content, dict) or set(content) != {"name", "crc32"}:
            _refuse(content, "an array")
        name = content["name"]
        if not isinstance(name, str) or name not in self._reader:
            raise ModelFormatError(f"the array {safetensors.shortened(name)} is missing.")
        if name in self._read:
            raise ModelFormatError(f"the array {safetensors.shortened(name)} is used twice.")
        self._read.add(name)
        array = self._reader.read(name)
        if checksum(name, array) != content["crc32"]:
            raise ModelFormatError(
                f"the array {safetensors.shortened(name)} has changed since it was written: checksums differ."
            )
        return array

    def _path(self, content: Any) -> Path:
        if not isinstance(content, str):
            _refuse(content, "a path")
        return Path(content)

    def _random_state(self, content: Any) -> np.random.RandomState | None:
        if self._leave_out:
            return None
        if content == "global":
            return _random.global_state()
        what = "a random state"
        if not isinstance(content, dict) or type(content.get("number")) is not int:
            _refuse(content, what)
        number = content["number"]
        if set(content) == {"number", "state"}:
            try:
                self._random[number] = _random.from_state(self.value(content["state"]))
            except ValueError as error:
                raise ModelFormatError(f"{error}") from None
        elif set(content) != {"number"} or number not in self._random:
            _refuse(content, what)
        return self._random[number]


_TAGS = {
    "$tuple": Decoder._tuple,
    "$dict": Decoder._dict,
    "$int": Decoder._int,
    "$float": Decoder._float,
    "$floats": Decoder._floats,
    "$scalar": Decoder._scalar,
    "$array": Decoder._array,
    "$text": Decoder._text,
    "$objects": Decoder._objects,
    "$path": Decoder._path,
    "$random": Decoder._random_state,
}


def checksum(name: str, array: Array) -> int:
    """The CRC-32 of an array's name, dtype, shape and bytes as they are in a file."""
    stored = safetensors.as_stored(array)
    what = f"{name} {safetensors.dtype_name(stored)} {stored.shape}"
    return zlib.crc32(
        stored.reshape(-1).view(np.uint8).data, zlib.crc32(what.encode("utf-8", "surrogatepass"))
    )


def _are_floats(values: list[Any]) -> bool:
    """Whether all values are floats, or all are equally long lists of floats."""
    if {*map(type, values)} == {list} and len({*map(len, values)}) == 1:
        values = [item for items in values for item in items]
    return {*map(type, values)} == {float}


def _is_key(key: Any) -> bool:
    """Whether a dict's key is plain, and can be hashed."""
    if type(key) is tuple:
        return all(map(_is_key, key))
    return key is None or type(key) in (bool, int, float, str) or isinstance(key, np.generic)


def _refuse(node: Any, what: str) -> NoReturn:
    raise ModelFormatError(f"{safetensors.shortened(node)} is not {what} as gdfast writes it.")
