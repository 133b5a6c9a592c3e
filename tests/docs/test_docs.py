"""Every Python block of the pages under docs/ runs, one page after another in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.name: re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
         for path in sorted(DOCS.glob("*.md"))}  # fmt: skip
# Some of their programs need libraries that are not installed: test_callbacks_page.py runs them with
# stand-ins, tests/export/test_page.py those that can be run.
del PAGES["callbacks.md"], PAGES["export.md"]


@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if blocks])
def test_examples_run(page: str, tmp_path: Path) -> None:
    """A page's blocks are one program: what it asserts holds, and it warns of nothing but few epochs."""
    program = "\n".join(PAGES[page])
    command = [sys.executable, "-W", "error", "-W", "ignore:Stochastic Optimizer", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
