from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS / "support"))  # what is there is imported by its name

# Some tests press Ctrl-C, and a shell lets what it starts in the background ignore that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run: a failure must be the code's doing, never the draw's. No deadline, for a
# loaded machine may take any time over one example.
settings.register_profile("gdfast", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("gdfast")

RunOnIsa = Callable[[str, str], "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Each of these runs many tests in a process of its own: were it the last to begin, all would wait for it.
    items.sort(key=lambda item: item.path.name != "test_isa.py")


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> type[np.floating]:
    kind: type[np.floating] = request.param
    return kind


@pytest.fixture(scope="session")
def run_on_isa() -> RunOnIsa:
    """``run_on_isa(isa, code)`` runs Python code in a process of its own with GDFAST_ISA set to ``isa``."""

    def run(isa: str, code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "GDFAST_ISA": isa},
            cwd=TESTS.parent,
            capture_output=True,
            text=True,
            timeout=1200,  # a machine may have other work
        )

    return run
