"""Training throughput of recurrent networks, gdfast's and its peers', interleaved in one run.

python benchmarks/recurrent.py
python benchmarks/recurrent.py --cells lstm --hidden 64 --peers gdfast,jax
python benchmarks/recurrent.py --json recurrent.json
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from _common import interleave, median, note, number, parse, parser, report, table
from _workers import FailedError, UnavailableError, Worker
from machine import Machine, heading
from recurrent_peers import TRAINERS, RecurrentBench, RecurrentNet

CHECK_EPOCHS = 3


def main() -> None:
    options = _options()
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(Worker(Machine, options.threads, threads=options.threads))
        workers = {}
        for peer in options.peers:
            try:
                workers[peer] = stack.enter_context(Worker(RecurrentBench, peer, threads=options.threads))
            except UnavailableError as reason:
                note(f"{peer} is left out: {reason}")
        if not workers:
            raise SystemExit("none of the libraries asked for is installed")
        result: dict[str, Any] = {
            "benchmark": "recurrent",
            "machine": machine.call("describe"),
            "options": {"threads": options.threads, "rounds": options.rounds, "seconds": options.seconds},
            "nets": [measure(net, workers, machine, options) for net in options.nets],
        }
    report(result, _text(result), options.json)


def _options() -> argparse.Namespace:
    p = parser("Training throughput of recurrent networks, interleaved in one run.", list(TRAINERS))
    p.add_argument("--cells", type=lambda s: s.split(","), default="elman,gru,lstm", help="which cells")
    p.add_argument(
        "--hidden", type=lambda s: [int(n) for n in s.split(",")], default="32,64,256", help="units"
    )
    p.add_argument("--steps", type=int, default=100, help="length of the sequences")
    p.add_argument("--batch", type=int, default=32, help="sequences of a batch")
    options = parse(p, TRAINERS)
    if set(options.cells) - {"elman", "gru", "lstm"} or min(options.hidden) < 1:
        p.error("--cells takes some of elman,gru,lstm and --hidden positive numbers")
    options.nets = [
        RecurrentNet(cell, units, options.steps, options.batch)
        for cell in options.cells
        for units in options.hidden
    ]
    return options


def measure(
    net: RecurrentNet, workers: dict[str, Worker], machine: Worker, options: argparse.Namespace
) -> dict[str, Any]:
    """Sequences a second of every peer on one network, beside the machine's limit in the same minutes."""
    note(f"{net}: {net.epoch_sequences} sequences an epoch")
    jobs: dict[str, Callable[[], float]] = {}
    losses: dict[str, float] = {}
    for peer, worker in workers.items():
        try:
            worker.call("prepare", net)
            worker.call("train", 1)
            check_seconds, losses[peer] = worker.call("train", CHECK_EPOCHS)
        except FailedError as error:
            note(f"{peer} failed on {net} and is left out:\n{error}")
            continue
        epochs = max(1, round(options.seconds * CHECK_EPOCHS / check_seconds))
        jobs[peer] = partial(_sequences_per_second, worker, epochs, net.epoch_sequences)
    jobs["fma_peak"] = partial(machine.call, "fma_peak", min(0.5, options.seconds))
    rounds = interleave(options.rounds, jobs)
    peak = median(rounds.pop("fma_peak"))
    return {
        "cell": net.cell,
        "units": net.units,
        "steps": net.steps,
        "batch": net.batch,
        "flops_per_sequence": net.flops_per_sequence,
        "fma_peak": peak,
        "peers": {
            peer: {
                "sequences_per_second": median(rates),
                "share_of_peak": median(rates) * net.flops_per_sequence / peak,
                "rounds": rates,
                f"loss_after_{CHECK_EPOCHS}_epochs": losses[peer],
            }
            for peer, rates in rounds.items()
        },
    }


def _sequences_per_second(worker: Worker, epochs: int, sequences: int) -> float:
    seconds, _ = worker.call("train", epochs)
    return float(epochs * sequences / seconds)


def _text(result: dict[str, Any]) -> str:
    nets = result["nets"]
    peers = list(dict.fromkeys(peer for net in nets for peer in net["peers"]))
    names = [str(RecurrentNet(net["cell"], net["units"], net["steps"], net["batch"])) for net in nets]

    def rows(figure: Callable[[dict[str, Any], str], float | None]) -> list[list[str]]:
        return [
            [name, *(number(figure(net, p)) if p in net["peers"] else "-" for p in peers)]
            for name, net in zip(names, nets, strict=True)
        ]

    def times(net: dict[str, Any], peer: str) -> float | None:
        rates = {p: f["sequences_per_second"] for p, f in net["peers"].items()}
        return rates["gdfast"] / rates[peer] if "gdfast" in rates else None

    header = ["network (steps, batch)", *peers]
    return "\n".join(
        [
            heading(result["machine"], result["options"]["threads"]),
            f"\nSequences/s, median of {result['options']['rounds']} rounds\n",
            table(header, rows(lambda net, p: net["peers"][p]["sequences_per_second"])),
            "\nHow many times faster gdfast is\n",
            table(header, rows(times)),
            f"\nShare of the FMA peak ({result['machine']['fma_peak_by']}), %\n",
            table(header, rows(lambda net, p: 100 * net["peers"][p]["share_of_peak"])),
            f"\nTraining loss after {CHECK_EPOCHS} epochs: the same work was done\n",
            table(header, rows(lambda net, p: net["peers"][p][f"loss_after_{CHECK_EPOCHS}_epochs"])),
        ]
    )


if __name__ == "__main__":
    main()
