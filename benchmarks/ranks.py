"""Training on several ranks: what two of them gain here, and a model of what many would.

python benchmarks/ranks.py

Measured, each rank on one thread: the time of an all-reduce by size, that of a step on one and on two ranks
(strong: the same batch; weak: as many rows to each rank), and whether cutting the all-reduce into pieces that
overlap with arithmetic pays. Modelled: a step of n ranks on a network of given latency and bandwidth,

    compute(B / n) + 2 log2(n) latency + 2 (n - 1) / n bytes / bandwidth,

which is Rabenseifner's all-reduce (reduce-scatter, then all-gather; "Optimization of collective reduction
operations", ICCS 2004), with compute(b) from one rank's steps of b rows. With the latency and the bandwidth
that fit the all-reduces of this machine the model is held against the measured step of two ranks.

It needs mpi4py and mpiexec, and two cores that have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _common import Net, make_data
from machine import Machine, heading

NETS = (Net((30, 256, 256, 1), 1024), Net((784, 1024, 1024, 10), 512))
BATCHES = (16, 64, 256, 1024, 4096)
SIZES = (8, 512, 2**13, 2**16, 2**18, 2**20, 2**22, 2**24, 2**26)  # bytes
RANKS = (8, 64, 512)
# Seconds of one message between two machines, MPI over TCP; nine tenths of the nominal bandwidth.
NETWORKS = {"10 Gbit Ethernet": (30e-6, 0.9 * 10e9 / 8), "100 Gbit Ethernet": (15e-6, 0.9 * 100e9 / 8)}


# ---------------------------------------------------------------------------------------------- in a rank


def estimator(net: Net, batch: int) -> Any:
    from gdfast import MLPClassifier, MLPRegressor

    kind = MLPRegressor if net.task == "regression" else MLPClassifier
    return kind(
        hidden_layer_sizes=net.layers[1:-1],
        batch_size=batch,
        max_iter=10**6,
        n_iter_no_change=10**6,
        n_jobs=1,
        random_state=0,
        shuffle=False,
    )


class Clock:
    """Notes when epochs end, and stops after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.until, self.times = time.perf_counter() + seconds, []

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
        self.times.append(time.perf_counter())
        return self.times[-1] > self.until and epoch >= 3


def step_seconds(net: Net, batch: int, rows: int, seconds: float, comm: Any) -> float:
    """The median over epochs of the time of one of their steps; ``rows`` are those of each rank."""
    from gdfast.distributed import mpi

    X, y = make_data(net, rows)
    clock = Clock(seconds)
    with mpi(comm):
        estimator(net, batch).set_params(callbacks=[clock]).fit(X, y)
    return statistics.median(np.diff(clock.times)) / math.ceil(rows * comm.size / batch)


def all_reduce_seconds(size: int, seconds: float, comm: Any) -> float:
    from mpi4py import MPI

    array = np.zeros(max(2, size // 4), np.float32)
    n = 1
    while True:
        comm.Barrier()
        begun = time.perf_counter()
        for _ in range(n):
            comm.Allreduce(MPI.IN_PLACE, array)
        took = comm.bcast(time.perf_counter() - begun)
        if took > seconds:
            return took / n
        n *= 4


def overlap(size: int, pieces: int, comm: Any) -> dict[str, float]:
    """Seconds of an all-reduce after arithmetic, and of one in pieces that begin while it goes on."""
    from mpi4py import MPI

    array = np.zeros(size // 4, np.float32)
    parts = np.array_split(array, pieces)
    factor = np.ones((256, 256), np.float32)

    def arithmetic() -> None:  # of one piece
        for _ in range(8):
            factor @ factor

    def whole() -> None:
        for _ in parts:
            arithmetic()
        comm.Allreduce(MPI.IN_PLACE, array)

    def overlapped() -> None:
        requests = []
        for part in parts:
            arithmetic()
            requests.append(comm.Iallreduce(MPI.IN_PLACE, part))
        MPI.Request.Waitall(requests)

    found: dict[str, list[float]] = {"whole": [], "overlapped": []}
    for _ in range(15):
        for name, work in (("whole", whole), ("overlapped", overlapped)):
            comm.Barrier()
            begun = time.perf_counter()
            work()
            comm.Barrier()
            found[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) for name, each in found.items()}


def worker(task: str, seconds: float) -> None:
    from mpi4py import MPI

    warnings.simplefilter("ignore")
    comm = MPI.COMM_WORLD
    result: Any
    if task == "reduce":
        result = [[size, all_reduce_seconds(size, seconds, comm)] for size in SIZES]
    elif task == "overlap":
        result = [[size, overlap(size, 4, comm)] for size in (2**18, 2**22, 2**24)]
    else:
        result = {}
        for net in NETS:
            of_net = result[str(net)] = {"batches": {}}
            if comm.size == 1:
                for batch in BATCHES:
                    of_net["batches"][batch] = step_seconds(net, batch, 4 * batch, seconds, comm)
            rows = 4 * net.batch
            of_net["strong"] = step_seconds(net, net.batch, rows // comm.size, seconds, comm)
            of_net["weak"] = step_seconds(net, net.batch * comm.size, rows, seconds, comm)
    if comm.rank == 0:
        print("RESULT", json.dumps(result), flush=True)


# ------------------------------------------------------------------------------------------------ outside


def run(mpiexec: str, ranks: int, task: str, seconds: float) -> Any:
    command = [mpiexec, "-n", str(ranks), sys.executable, __file__, "--task", task, "--seconds", str(seconds)]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env={**os.environ, **one}, capture_output=True, text=True)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(line.removeprefix("RESULT "))


def parameters(net: Net) -> int:
    return sum((a + 1) * b for a, b in zip(net.units[:-1], net.units[1:], strict=True))


def fitted(measured: dict[int, float]) -> tuple[float, float]:
    """Seconds of a step without rows, and of one row: the line through the two smallest batches."""
    (few, short), (many, long) = sorted(measured.items())[:2]
    slope = max(0.0, (long - short) / (many - few))
    return max(0.0, short - slope * few), slope


def compute(measured: dict[int, float], rows: float) -> float:
    """Seconds of one rank's step of so many rows, between and beyond those that were measured."""
    sizes = sorted(measured)
    if rows <= sizes[0]:
        fixed, slope = fitted(measured)
        return min(measured[sizes[0]], fixed + slope * rows)
    if rows >= sizes[-1]:
        return measured[sizes[-1]] * rows / sizes[-1]
    return float(np.interp(rows, sizes, [measured[size] for size in sizes]))


def all_reduce(ranks: int, size: float, latency: float, bandwidth: float) -> float:
    return 2 * math.log2(ranks) * latency + 2 * (ranks - 1) / ranks * size / bandwidth


def pays_from(measured: dict[int, float], ranks: int, communication: float) -> int | None:
    """The smallest batch, a power of two, that ``ranks`` take in half of the time of one or less."""
    for power in range(4, 27):
        batch = 2**power
        if compute(measured, batch / ranks) + communication <= compute(measured, batch) / 2:
            return batch
    return None


def here(reduced: list[list[float]]) -> tuple[float, float]:
    """Latency and bandwidth of the model that fit this machine's all-reduces between two ranks."""
    times = dict(reduced)
    latency = times[SIZES[0]] / 2
    size = 2**22
    return latency, size / max(times[size] - 2 * latency, 1e-9)


def model(result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"nets": {}}
    latency, bandwidth = here(result["reduce"])
    found["here"] = {"latency": latency, "bandwidth": bandwidth}
    for net in NETS:
        of_net = found["nets"][str(net)] = {"bytes": 4 * parameters(net)}
        measured = {int(batch): s for batch, s in result["ranks"]["1"][str(net)]["batches"].items()}
        communication = all_reduce(2, of_net["bytes"], latency, bandwidth)
        of_net["two ranks, modelled"] = compute(measured, net.batch / 2) + communication
        of_net["two ranks, measured"] = result["ranks"]["2"][str(net)]["strong"]
        for name, (far, wide) in NETWORKS.items():
            of_net[name] = {}
            for ranks in RANKS:
                communication = all_reduce(ranks, of_net["bytes"], far, wide)
                of_net[name][ranks] = {
                    "all-reduce": communication,
                    "pays from": pays_from(measured, ranks, communication),
                    "speedup": {
                        batch: compute(measured, batch) / (compute(measured, batch / ranks) + communication)
                        for batch in (2**power for power in range(8, 23, 2))
                    },
                }
    return found


def report(result: dict[str, Any]) -> None:
    print(heading(result["machine"], 1))
    print("all-reduce of two ranks of this machine")
    for size, seconds in result["reduce"]:
        print(f"  {int(size):>10,} bytes {1e6 * seconds:12.1f} µs {2 * size / 2 / seconds / 1e9:8.2f} GB/s")
    print("in four pieces, beside arithmetic: ms whole, ms overlapped")
    for size, each in result["overlap"]:
        print(f"  {int(size):>10,} bytes {1e3 * each['whole']:8.2f} {1e3 * each['overlapped']:8.2f}")
    print("ms of a step: one rank, two ranks with the same batch (gain), with twice the batch (efficiency)")
    for net in NETS:
        one, two = (result["ranks"][n][str(net)] for n in ("1", "2"))
        strong, weak = one["strong"] / two["strong"], one["weak"] / two["weak"]
        print(
            f"  {net!s:24} {1e3 * one['strong']:8.3f} {1e3 * two['strong']:8.3f} ({strong:.2f} times) "
            f"{1e3 * two['weak']:8.3f} ({weak:.0%})"
        )
    for name, of_net in result["model"]["nets"].items():
        off = of_net["two ranks, modelled"] / of_net["two ranks, measured"] - 1
        print(f"{name}: {of_net['bytes'] / 1e6:.2f} MB; the model is {off:+.0%} off the step of two ranks")
        for network in NETWORKS:
            for ranks, of_ranks in of_net[network].items():
                gains = ", ".join(f"{b}: {s:.1f}" for b, s in of_ranks["speedup"].items())
                print(f"  {network}, {ranks} ranks: all-reduce {1e3 * of_ranks['all-reduce']:.2f} ms")
                print(f"    twice as fast from a batch of {of_ranks['pays from']}; by batch: {gains}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; the medians are reported")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one measurement")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        worker(options.task, options.seconds)
        return
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit("there is no mpiexec: pip install mpi4py mpich")
    rounds = []
    for _ in range(options.rounds):
        rounds.append(
            {
                "1": run(mpiexec, 1, "steps", options.seconds),
                "2": run(mpiexec, 2, "steps", options.seconds),
                "reduce": run(mpiexec, 2, "reduce", options.seconds / 5),
                "overlap": run(mpiexec, 2, "overlap", options.seconds),
            }
        )

    def median(values: list[Any]) -> Any:
        if isinstance(values[0], dict):
            return {key: median([value[key] for value in values]) for key in values[0]}
        if isinstance(values[0], list):
            return [median(list(each)) for each in zip(*values, strict=True)]
        return statistics.median(values)

    middle = median(rounds)
    result = {
        "benchmark": "distributed",
        "machine": Machine(1).describe(),
        "options": {"rounds": options.rounds, "threads": 1},
        "ranks": {n: middle[n] for n in ("1", "2")},
    }
    result.update(reduce=middle["reduce"], overlap=middle["overlap"])
    result["model"] = model(result)
    report(result)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
