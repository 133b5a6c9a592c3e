"""How the cost of training grows: with batch, width, depth, samples, threads and busy neighbours.

python benchmarks/scaling.py
python benchmarks/scaling.py --sweeps threads,neighbours --peers gdfast,torch
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from _common import DESIGN_NETS, Net, interleave, median, note, number, parse, parser, report, table
from _workers import Worker
from machine import Machine, heading
from peers import TRAINERS, open_workers, training_job


def main() -> None:
    p = parser("Cost of training against batch, width, depth, samples, threads, busy neighbours.", ["gdfast"])
    p.add_argument("--sweeps", type=lambda s: s.split(","), default=",".join(SWEEPS), help="which of them")
    options = parse(p, TRAINERS)
    if unknown := set(options.sweeps) - set(SWEEPS):
        p.error(f"unknown sweeps {sorted(unknown)}; known are {', '.join(SWEEPS)}")
    with Worker(Machine, options.threads, threads=options.threads) as machine:
        run = Run(options.peers, machine, options.threads, options.rounds, options.seconds)
        result: dict[str, Any] = {
            "benchmark": "scaling",
            "machine": machine.call("describe"),
            "options": {"threads": options.threads, "rounds": options.rounds, "seconds": options.seconds},
            "sweeps": {name: SWEEPS[name](run) for name in options.sweeps},
        }
    report(result, _text(result), options.json)


class Run:
    """What every sweep is measured with."""

    def __init__(self, peers: list[str], machine: Worker, threads: int, rounds: int, seconds: float) -> None:
        self.peers, self.machine, self.threads = peers, machine, threads
        self.rounds, self.seconds = rounds, seconds

    def points(self, points: list[tuple[int, Net, int]]) -> list[dict[str, Any]]:
        """Figures of every peer at each (value on the axis, net, samples)."""
        found = []
        with contextlib.ExitStack() as stack:
            workers = open_workers(self.peers, self.threads, stack)
            for value, net, n_samples in points:
                note(f"{net}, {n_samples} samples")
                jobs = {p: training_job(w, net, n_samples, self.seconds)[0] for p, w in workers.items()}
                found.append(self.point(value, net, n_samples, jobs))
        return found

    def point(
        self, value: int | str, net: Net, n_samples: int, jobs: dict[str, Callable[[], float]]
    ) -> dict[str, Any]:
        """Every round's samples a second of the jobs, and the machine's peak in the same rounds."""
        peak = partial(self.machine.call, "fma_peak", min(0.5, self.seconds))
        rounds = interleave(self.rounds, {**jobs, "fma_peak": peak})
        return {
            "value": value,
            "layers": net.layers,
            "batch": net.batch,
            "samples": n_samples,
            "flops_per_sample": net.flops_per_sample,
            "fma_peak": rounds.pop("fma_peak"),
            "samples_per_second": rounds,
        }


def sweep_batch(run: Run) -> list[dict[str, Any]]:
    nets = [Net((100, 256, 256, 5), batch) for batch in (1, 4, 16, 64, 256, 1024, 4096)]
    return run.points([(net.batch, net, net.epoch_samples) for net in nets])


def sweep_width(run: Run) -> list[dict[str, Any]]:
    nets = [Net((64, width, width, 10), 256) for width in (8, 16, 37, 64, 128, 256, 500, 512, 1024, 2048)]
    return run.points([(net.layers[1], net, net.epoch_samples) for net in nets])


def sweep_depth(run: Run) -> list[dict[str, Any]]:
    nets = {depth: Net((64,) * (depth + 1) + (10,), 256) for depth in (1, 2, 4, 8, 12, 16)}
    return run.points([(depth, net, net.epoch_samples) for depth, net in nets.items()])


def sweep_samples(run: Run) -> list[dict[str, Any]]:
    net = DESIGN_NETS[0]
    return run.points([(n, net, n) for n in (1_000, 10_000, 100_000, 1_000_000)])


def sweep_threads(run: Run) -> list[dict[str, Any]]:
    """The same nets with 1, 2, 4, ... threads, and all; every count in processes of its own."""
    counts = sorted({*(2**i for i in range(run.threads.bit_length())), run.threads})
    found = []
    with contextlib.ExitStack() as stack:
        teams = {count: open_workers(run.peers, count, stack) for count in counts}
        for net in DESIGN_NETS:
            note(f"{net}, {', '.join(map(str, counts))} threads")
            jobs = {
                f"{peer}, {count} thread{'s' * (count > 1)}": training_job(
                    worker, net, net.epoch_samples, run.seconds
                )[0]
                for count, workers in teams.items()
                for peer, worker in workers.items()
            }
            found.append(run.point(str(net), net, net.epoch_samples, jobs))
    return found


def sweep_neighbours(run: Run) -> list[dict[str, Any]]:
    """Quiet and with one busy foreign process on each core, by turns."""
    found = []
    with contextlib.ExitStack() as stack:
        workers = open_workers(run.peers, run.threads, stack)
        busy = stack.enter_context(neighbours(run.threads))
        for net in DESIGN_NETS:
            note(f"{net}, quiet and with busy neighbours")
            jobs: dict[str, Callable[[], float]] = {}
            for peer, worker in workers.items():
                job, _ = training_job(worker, net, net.epoch_samples, run.seconds)
                jobs[f"{peer}, quiet"] = job
                jobs[f"{peer}, busy"] = _while_busy(busy, job)
            found.append(run.point(str(net), net, net.epoch_samples, jobs))
    return found


@contextlib.contextmanager
def neighbours(cores: int) -> Iterator[list[int]]:
    """Processes that do nothing but count, one bound to each core, asleep until they are told to go on."""
    # They end with their parent, however that ends.
    count = f"import os\nwhile os.getppid() == {os.getpid()}:\n    for _ in range(10**6): pass"
    processes = [subprocess.Popen([sys.executable, "-c", count]) for _ in range(cores)]
    try:
        for process, core in zip(processes, sorted(os.sched_getaffinity(0)), strict=False):
            os.sched_setaffinity(process.pid, {core})
            process.send_signal(signal.SIGSTOP)
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _while_busy(pids: list[int], job: Callable[[], float]) -> Callable[[], float]:
    def measured() -> float:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        try:
            return job()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

    return measured


SWEEPS: dict[str, Callable[[Run], list[dict[str, Any]]]] = {
    "batch": sweep_batch,
    "width": sweep_width,
    "depth": sweep_depth,
    "samples": sweep_samples,
    "threads": sweep_threads,
    "neighbours": sweep_neighbours,
}


def _text(result: dict[str, Any]) -> str:
    parts = [heading(result["machine"], result["options"]["threads"])]
    for name, points in result["sweeps"].items():
        series = list(points[0]["samples_per_second"])
        shares = [s.removesuffix(", busy") for s in series if s.endswith(", busy")]
        header = [
            name if name not in ("threads", "neighbours") else "net (batch)",
            *(f"{s}: {what}" for s in series for what in ("thousand samples/s", "us a step", "% of peak")),
            *(f"{p}: busy / quiet, %" for p in shares),
        ]
        rows = [[str(p["value"]), *_cells(p, series, shares)] for p in points]
        parts.append(f"\n{name}\n\n{table(header, rows)}")
    return "\n".join(parts)


def _cells(p: dict[str, Any], series: list[str], shares: list[str]) -> Iterator[str]:
    rates = {name: median(figures) for name, figures in p["samples_per_second"].items()}
    peak = median(p["fma_peak"])
    for name in series:
        rate = rates[name]
        yield number(rate / 1e3)
        yield number(1e6 * p["batch"] / rate)
        yield number(100 * rate * p["flops_per_sample"] / peak)
    for peer in shares:
        yield number(100 * rates[f"{peer}, busy"] / rates[f"{peer}, quiet"])


if __name__ == "__main__":
    main()
