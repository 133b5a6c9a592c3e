"""Code that needs a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# That of the mpich of the tests' environment or, without it, of the machine.
_BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(_BESIDE) if _BESIDE.exists() else shutil.which("mpiexec")

# Code that defines the peak of its process's memory in KiB. ru_maxrss begins with the peak of the parent.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
"""
has_peak = Path("/proc/self/status").exists()


def in_process(code: str, timeout: float = 60, **environment: str) -> str:
    """What the code prints. An error if it fails, or takes longer than ``timeout`` seconds."""
    # Without what an outer run may have set, but for what is asked for.
    inherited = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "GDFAST_FORCE_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
