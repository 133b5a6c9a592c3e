"""What the build under test has."""

from __future__ import annotations

import pytest
from gdfast import _core

needs_threads = pytest.mark.skipif(
    _core.build_info()["openmp"].startswith("none"), reason="this build has no OpenMP, and one thread only"
)
