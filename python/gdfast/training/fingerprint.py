"""A fingerprint of training data, by which other data are told apart."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from gdfast.training.data import Data, Sequences


def fingerprint(*parts: Data | None, sizes: tuple[int, ...] = ()) -> str:
    """A hash of training data and, if there is one, a validation set: their values, shapes and dtypes.

    Of data that are not in memory, the first rows, and ``sizes``: how many there are, and how they are read.
    """
    digest = hashlib.blake2b(digest_size=16)

    def add(value: Any) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).view(np.uint8).reshape(-1).data)
        elif isinstance(value, tuple):
            digest.update(f"({len(value)}".encode())
            for item in value:
                add(item)
        elif isinstance(value, Sequences):
            add((value.steps, value.starts))
        else:  # None, or an encoding, which belongs to its table
            digest.update(type(value).__name__.encode())

    for part in parts:
        add(None if part is None else part.apart()[:3])
    digest.update(str(list(sizes)).encode() if sizes else b"")
    return digest.hexdigest()
