"""Peak memory that `fit` needs beside the data: a C-contiguous float32 X must not be copied.

python benchmarks/memory.py
"""

from __future__ import annotations

import ctypes
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _common import Net, make_data, n_cores, note, number, parse, parser, report, table
from _workers import UnavailableError, Worker
from machine import Machine, heading
from peers import MODULES, fitted


def main() -> None:
    p = parser("Peak memory of fit beside the data.", ["gdfast", "scikit-learn"])
    p.add_argument("--rows", type=int, default=500_000)
    p.set_defaults(threads=n_cores())
    options = parse(p, ["gdfast", "scikit-learn"])
    net = Net((100, 256, 256, 5), 256)
    found: dict[str, Any] = {}
    with Worker(Machine, options.threads, threads=options.threads) as worker:
        machine = worker.call("describe")
    for peer in options.peers:
        for early_stopping in (False, True):
            for mapped in (False, True):
                kind = ("read-only memmap" if mapped else "array") + ", early stopping" * early_stopping
                note(f"{peer}, {kind}")
                try:
                    with Worker(Fit, peer, threads=options.threads) as worker:
                        peak = worker.call("peak", net, options.rows, mapped, early_stopping)
                        found[f"{peer}, {kind}"] = peak
                except UnavailableError as reason:
                    note(f"{peer} is left out: {reason}")
    result = {
        "benchmark": "memory",
        "machine": machine,
        "options": {"threads": options.threads},
        "layers": net.layers,
        "rows": options.rows,
        "x_bytes": 4 * options.rows * net.layers[0],
        "promised_bytes": promised_bytes(net, options.rows),
        "peak_bytes": found,
    }
    report(result, _text(result), options.json)


def promised_bytes(net: Net, rows: int) -> int:
    """Weights, transposed panels and Adam's two moments; one batch's workspace; order and encoded y."""
    parameters = sum(a * b + b for a, b in pairwise(net.units))
    batch_workspace = 2 * net.batch * sum(net.units)  # activations and deltas
    order, classes = 8 * rows, 4 * rows
    return 4 * (5 * parameters + batch_workspace) + order + classes


class Fit:
    """One fit in a fresh process, watched."""

    def __init__(self, peer: str) -> None:
        __import__(MODULES[peer])
        self._module = {"gdfast": "gdfast", "scikit-learn": "sklearn.neural_network"}[peer]

    def peak(self, net: Net, rows: int, mapped: bool, early_stopping: bool) -> int:
        """Bytes of anonymous memory that two epochs needed at their peak, beyond what was there before."""
        X, y = make_data(net, rows)
        with tempfile.TemporaryDirectory() as folder:
            if mapped:
                np.save(Path(folder, "X.npy"), X)
                X = np.load(Path(folder, "X.npy"), mmap_mode="r")
            # A tiny fit loads modules and starts threads before the count begins; what the allocator keeps of
            # freed memory is given back, or fit could take from it unseen.
            tiny = Net((2, 2, 3), 4)
            fitted(self._module, tiny, *make_data(tiny, 60), epochs=1, early_stopping=early_stopping)
            ctypes.CDLL(None).malloc_trim(0)
            before, peak, done = _anonymous_bytes(), 0, threading.Event()

            def watch() -> None:
                nonlocal peak
                while not done.is_set():
                    peak = max(peak, _anonymous_bytes())
                    time.sleep(0.002)

            watcher = threading.Thread(target=watch)
            watcher.start()
            fitted(self._module, net, X, y, epochs=2, early_stopping=early_stopping)
            done.set()
            watcher.join()
        return peak - before


def _anonymous_bytes() -> int:
    """Resident memory that is not a file's: pages of a memmap are the kernel's to drop."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/self/status has no RssAnon line; this benchmark needs Linux 4.5 or newer")


def _text(result: dict[str, Any]) -> str:
    rows = [[name, number(peak / 2**20)] for name, peak in result["peak_bytes"].items()]
    rows.append(["(promised for an array)", number(result["promised_bytes"] / 2**20)])
    rows.append(["(X itself)", number(result["x_bytes"] / 2**20)])
    header = [f"{'-'.join(map(str, result['layers']))}, {result['rows']:,} rows", "extra memory, MiB"]
    return f"{heading(result['machine'], result['options']['threads'])}\n\n{table(header, rows)}"


if __name__ == "__main__":
    main()
