"""The page's program for Numba."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compiled.md"


def test_the_page_s_program_minimizes() -> None:
    pytest.importorskip("numba")
    text = PAGE.read_text(encoding="utf-8")
    (ctypes_program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (numba_program,) = re.findall(r"^```text\n(import numba.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(ctypes_program, names)
    exec(numba_program, names)
    np.testing.assert_allclose(names["param"], [0, 1], atol=1e-3)
