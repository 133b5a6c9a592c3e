"""The programs of fuzz/ and the soak, for some seconds and with a seed each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PROGRAMS = {
    "random calls": ["fuzz/estimators.py", "--seconds", "20", "--seed", "1"],
    "model files": ["fuzz/model_file.py", "--seconds", "20", "--seed", "1"],
    "soak": ["benchmarks/soak.py", "--minutes", "0.4", "--seed", "1"],
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="they limit and measure memory as Linux does")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_looks_for_faults_finds_none(name: str) -> None:
    done = subprocess.run(
        [sys.executable, *PROGRAMS[name]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
