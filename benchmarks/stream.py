"""Training from Parquet files on disk against training from an array: rows per second, and peak memory.

    python benchmarks/stream.py
    python benchmarks/stream.py --rows 2000000 --rounds 5

Files of float32 columns are written to a temporary folder, or to ``--folder``, where they are found again.
Each measurement is a process of its own that trains a net for an epoch; the array is read from the same files
before. The first figure of each process is that of the epoch alone, from its first row to its last. Needs
pyarrow and, for peak memory, Linux or macOS.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _common import Net, interleave, median, n_cores, note, number, parse, parser, report, table

NET = Net((30, 256, 256, 1), 512)
ROWS_OF_FILE, ROWS_OF_GROUP = 1_000_000, 65_536


def main() -> None:
    p = parser("Training from files against training from an array.", ["gdfast"])
    p.add_argument("--rows", type=int, default=20_000_000)
    p.add_argument("--folder", type=Path, help="where the files are, or are to be")
    p.add_argument("--measure", choices=["files", "array"], help="one measurement, in this process")
    p.set_defaults(threads=n_cores(), rounds=1)
    options = parse(p, ["gdfast"])
    if options.measure:
        print(json.dumps(measured(options.measure, options.folder, options.threads)))
        return
    with contextlib.ExitStack() as exits:
        folder = options.folder or Path(exits.enter_context(tempfile.TemporaryDirectory()))
        write(folder, options.rows)
        peaks: dict[str, list[float]] = {"files": [], "array": []}

        def run(kind: str) -> float:
            note(kind)
            command = [sys.executable, __file__, "--measure", kind, "--folder", str(folder)]
            done = subprocess.run(
                [*command, "--threads", str(options.threads)], check=True, capture_output=True, text=True
            )
            found = json.loads(done.stdout)
            peaks[kind].append(found["peak"])
            return float(found["rows_per_second"])

        rates = interleave(options.rounds, {kind: lambda kind=kind: run(kind) for kind in peaks})
    result = {
        "benchmark": "stream",
        "rows": options.rows,
        "layers": NET.layers,
        "threads": options.threads,
        "rows_per_second": rates,
        "peak_bytes": peaks,
    }
    report(result, text(result), options.json)


def write(folder: Path, rows: int) -> None:
    """Write the files that are not there."""
    import pyarrow
    from pyarrow import parquet

    teacher = np.random.default_rng(0).standard_normal(NET.layers[0], dtype=np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    for number_of_file, first in enumerate(range(0, rows, ROWS_OF_FILE)):
        path = folder / f"{number_of_file:04}.parquet"
        if path.exists():
            continue
        n = min(ROWS_OF_FILE, rows - first)
        rng = np.random.default_rng(1 + number_of_file)
        X = rng.standard_normal((n, NET.layers[0]), dtype=np.float32)
        y = np.sin(X @ teacher) + 0.1 * rng.standard_normal(n, dtype=np.float32)
        columns = {f"x{i}": X[:, i] for i in range(X.shape[1])}
        parquet.write_table(pyarrow.table({**columns, "y": y}), path, row_group_size=ROWS_OF_GROUP)


class Clock:
    """The seconds of the latest epoch."""

    def on_epoch_begin(self, est: Any, epoch: int, logs: Any) -> None:
        self.begun = time.perf_counter()

    def on_epoch_end(self, est: Any, epoch: int, logs: Any) -> None:
        self.seconds = time.perf_counter() - self.begun


def measured(kind: str, folder: Path, threads: int) -> dict[str, float]:
    """Rows per second of an epoch, and the peak of the process in bytes."""
    from gdfast import MLPRegressor
    from pyarrow import parquet

    clock = Clock()
    net = MLPRegressor(
        hidden_layer_sizes=NET.layers[1:-1],
        batch_size=NET.batch,
        max_iter=1,
        random_state=0,
        n_jobs=threads,
        callbacks=[clock],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "files":
            net.fit(folder, "y")
        else:
            tables = [parquet.read_table(path) for path in sorted(folder.glob("*.parquet"))]
            n = sum(len(each) for each in tables)
            X, y, first = np.empty((n, NET.layers[0]), np.float32), np.empty(n, np.float32), 0
            for each in tables:
                rows = slice(first, first + len(each))
                for i in range(X.shape[1]):
                    X[rows, i] = each.column(i).to_numpy()
                y[rows], first = each.column("y").to_numpy(), rows.stop
            del tables
            net.fit(X, y)
    return {"rows_per_second": net.t_ / clock.seconds, "peak": float(peak_bytes())}


def peak_bytes() -> int:
    """The peak of this process's memory. On Linux ru_maxrss begins with that of the parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.search(r"^VmHWM:\s+(\d+)", status.read_text(), re.MULTILINE)[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def text(result: dict[str, Any]) -> str:
    rates = {kind: median(figures) for kind, figures in result["rows_per_second"].items()}
    rows = [
        [
            kind,
            number(rates[kind]),
            f"{100 * rates[kind] / rates['array']:.0f} %",
            number(median(result["peak_bytes"][kind]) / 2**20),
        ]
        for kind in ("array", "files")
    ]
    heading = f"{result['rows']:,} rows, {NET}, {result['threads']} threads"
    return f"{heading}\n\n" + table(["source", "rows/s", "of the array", "peak MiB"], rows)


if __name__ == "__main__":
    main()
