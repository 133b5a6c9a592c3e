"""Ids of parameters that are the same in every process, as pytest-xdist needs them."""

from __future__ import annotations

import re
from typing import Any


def text_of(value: Any) -> str:
    """``str(value)`` without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
