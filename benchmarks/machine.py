"""What the machine itself can do, measured in the same run as everything else, and what it is."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ("gdfast", "numpy", "scikit-learn", "torch", "jax")


class Machine:
    """The machine's limits with a given number of threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        try:
            from gdfast import _core
        except ModuleNotFoundError:
            self._core = None
        else:
            self._core = _core

    def describe(self) -> dict[str, Any]:
        """CPU, cores, memory, versions, date, ISA in use, and how the FMA peak is measured."""
        return {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
            "python": platform.python_version(),
            "versions": {name: _version(name) for name in LIBRARIES},
            "isa": self._core.active_isa() if self._core else None,
            "fma_peak_by": "register-only FMA loop" if self._core else "largest NumPy sgemm (a lower bound)",
            "load_average": os.getloadavg()[0],
            "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        }

    def fma_peak(self, seconds: float) -> float:
        """Multiplications and additions a second in float32, all threads together."""
        if self._core:
            return float(self._core.fma_peak(self._threads, seconds))
        n = 1536
        A, B, C = (np.ones((n, n), np.float32) for _ in range(3))
        best, end = np.inf, time.perf_counter() + seconds
        while time.perf_counter() < end or best == np.inf:
            start = time.perf_counter()
            np.matmul(A, B, out=C)
            best = min(best, time.perf_counter() - start)
        return 2 * n**3 / best

    def memory_bandwidth(self, seconds: float) -> float:
        """Bytes a second of ``c = a + b``, counted as STREAM does (two reads, one write)."""
        rows = 1 << 24  # 64 MB an array: three of them are beyond any cache
        meeting = threading.Barrier(self._threads)
        rates: list[float] = []

        def work() -> None:
            a, b, c = (np.ones(rows, np.float32) for _ in range(3))
            meeting.wait()
            start, turns = time.perf_counter(), 0
            while turns == 0 or time.perf_counter() - start < seconds:
                np.add(a, b, out=c)
                turns += 1
            rates.append(turns * 3 * a.nbytes / (time.perf_counter() - start))

        team = [threading.Thread(target=work) for _ in range(self._threads)]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        return sum(rates)


def heading(machine: dict[str, Any], threads: int) -> str:
    """The line above a table: without it no figure means anything."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    isa = f", {machine['isa']}" if machine["isa"] else ""
    load = machine["load_average"]
    busy = f"\nthe machine was not quiet: load {load:.1f}" if load > 0.5 else ""
    return (
        f"{machine['cpu']}{isa}, {threads} of {machine['cores']} cores, {machine['date']}\n"
        f"Python {machine['python']}, {versions}{busy}"
    )


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
