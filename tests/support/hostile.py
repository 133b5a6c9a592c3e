"""Model files that are not what they seem: taken apart, changed, and put together with checksums that fit."""

from __future__ import annotations

import io
import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from gdfast._model_file import safetensors, tree


class Parts:
    """The parts of a model file.

    Attributes
    ----------
    metadata : dict of str to str
        Without the tree.
    tree : object
        As JSON's values.
    arrays : dict of str to ndarray
    """

    def __init__(self, whole: bytes) -> None:
        reader = safetensors.Reader(io.BytesIO(whole), len(whole))
        self.metadata = {k: v for k, v in reader.metadata.items() if not k.startswith("tree")}
        self.tree = json.loads(reader.metadata["tree"])
        self.arrays = {name: reader.read(name) for name in reader._entries}

    def whole(self) -> bytes:
        """The file, whose checksums fit whatever has been changed."""
        for node in nodes(self.tree):
            name = node.get("name") if isinstance(node, dict) and "crc32" in node else None
            if isinstance(name, str) and name in self.arrays:
                node["crc32"] = tree.checksum(name, self.arrays[name])
        return with_tree(json.dumps(self.tree), self.arrays, self.metadata)


def with_tree(text: str, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """A file with this tree's JSON and its checksum."""
    crc32 = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    file = io.BytesIO()
    stored = {name: safetensors.as_stored(array) for name, array in arrays.items()}
    safetensors.write(file, stored, {"tree": text, "tree_crc32": f"{crc32:08x}", **metadata})
    return file.getvalue()


def with_header(header: dict[str, Any] | str | bytes, data: bytes = b"") -> bytes:
    """A file with this header."""
    text = json.dumps(header) if isinstance(header, dict) else header
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(8, "little") + encoded + data


def nodes(value: Any) -> Iterator[Any]:
    """All values within a value of JSON, itself first."""
    yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from nodes(item)


JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 2**31, 2**62, 2**63, 2**64, 10**30, -(10**30), 0.5, -0.0, 1e308,
    "", "a", "relu", "softmax", "coefs_", "\ud800", "x" * 1000, [], [[]], [None], [0, 0], {}, {"a": 1},
    {"$tuple": []}, {"$tuple": [1, 2]}, {"$dict": [[1, 2]]}, {"$float": "nan"}, {"$float": "inf"},
    {"$int": "-0x1" + "0" * 40}, {"$scalar": ["f4", 1.5]}, {"$scalar": ["i1", 300]}, {"$path": "/etc/passwd"},
    {"$random": "global"},
    {"$random": {"number": 0}}, {"$array": {"name": "coefs_.0", "crc32": 0}}, {"$unknown": 1},
    {"$object": "gdfast.MLPClassifier", "arguments": {}, "attributes": {}},
    {"$object": "gdfast.schedules.Constant", "arguments": {}, "state": {}},
    {"$object": "os.system", "arguments": {"command": "true"}, "state": {}},
]  # fmt: skip
DTYPES = [np.bool_, *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8"]


def mutate(parts: Parts, rng: random.Random) -> None:
    """Change a value of the tree or an array."""
    if parts.arrays and rng.random() < 0.3:
        _mutate_array(parts, rng)
        return
    containers = [node for node in nodes(parts.tree) if isinstance(node, dict | list) and node]
    if not containers:
        parts.tree = _copied(rng.choice(JUNK))
        return
    node: Any = rng.choice(containers)
    key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    kind = rng.random()
    if kind < 0.35:  # by a value of the same type: checks of types do not catch that
        alike = [value for value in JUNK if type(value) is type(node[key])]
        node[key] = _copied(rng.choice(alike or JUNK))
    elif kind < 0.5:
        node[key] = _copied(rng.choice(JUNK))
    elif kind < 0.6:
        del node[key]
    elif kind < 0.8:
        other = rng.choice(list(nodes(parts.tree)))
        if not isinstance(other, dict | list) or len(json.dumps(other)) < 10_000:
            node[key] = _copied(other)
    elif isinstance(node[key], int | float) and not isinstance(node[key], bool):
        node[key] = rng.choice([node[key] + 1, node[key] - 1, -node[key], node[key] * 2, 0])
    elif isinstance(node, dict):
        node[rng.choice(["$tuple", "a", key + "_", "predict", "__class__", "name"])] = node.pop(key)
    else:
        node.insert(key, _copied(node[key]))


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _mutate_array(parts: Parts, rng: random.Random) -> None:
    name = rng.choice(list(parts.arrays))
    array = parts.arrays[name]
    kind = rng.random()
    if kind < 0.4 and array.size:
        array = array.copy()
        extreme = rng.choice([np.nan, np.inf, -np.inf, 0, 1, -1, 2**31, 2**62, 1e300])
        with np.errstate(all="ignore"):
            array.flat[rng.randrange(array.size)] = np.array([extreme]).astype(array.dtype)[0]
    elif kind < 0.6:
        with np.errstate(all="ignore"):
            array = array.astype(rng.choice(DTYPES))
    elif kind < 0.8:
        size = rng.choice([0, 1, array.size, array.size + 1, max(array.size - 1, 0)])
        array = np.resize(array, size) if array.size else np.zeros(size, array.dtype)
    else:
        array = rng.choice(
            [array.T, array[np.newaxis], array.reshape(-1), array[:0] if array.ndim else array]
        )
    parts.arrays[name] = np.ascontiguousarray(array)
    if rng.random() < 0.1:
        del parts.arrays[name]
