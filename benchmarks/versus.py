"""Training throughput of gdfast and its peers, interleaved in one run.

python benchmarks/versus.py
python benchmarks/versus.py --layers 37,61,7 --batch 50 --peers gdfast,jax
python benchmarks/versus.py --json results.json
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from _common import DESIGN_NETS, Net, interleave, median, note, number, parse, parser, report, table
from _workers import FailedError, Worker
from machine import Machine, heading
from peers import CHECK_EPOCHS, TRAINERS, open_workers, training_job


def main() -> None:
    options = _options()
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(Worker(Machine, options.threads, threads=options.threads))
        workers = open_workers(options.peers, options.threads, stack)
        result: dict[str, Any] = {
            "benchmark": "versus",
            "machine": machine.call("describe"),
            "options": {"threads": options.threads, "rounds": options.rounds, "seconds": options.seconds},
            "nets": [measure(net, workers, machine, options) for net in options.nets],
        }
    report(result, _text(result), options.json)


def _options() -> argparse.Namespace:
    p = parser("Training throughput of gdfast and its peers, interleaved in one run.", list(TRAINERS))
    p.add_argument("--layers", action="append", default=[], help="another net, as 37,61,7; repeatable")
    p.add_argument("--batch", type=int, default=200, help="batch size of the nets given by --layers")
    options = parse(p, TRAINERS)
    try:
        layers = [tuple(int(width) for width in text.split(",")) for text in options.layers]
    except ValueError:
        p.error(f"--layers takes widths separated by commas, as 37,61,7; got {options.layers}")
    if any(len(widths) < 3 or min(widths) < 1 for widths in layers) or options.batch < 1:
        p.error("--layers needs inputs, a hidden layer and outputs, all positive, and --batch too")
    options.nets = [Net(widths, options.batch) for widths in layers] or list(DESIGN_NETS)
    return options


def measure(
    net: Net, workers: dict[str, Worker], machine: Worker, options: argparse.Namespace
) -> dict[str, Any]:
    """Samples a second of every peer on one net, beside the machine's limits in the same minutes."""
    note(f"{net}: {net.epoch_samples} samples an epoch")
    jobs: dict[str, Callable[[], float]] = {}
    losses: dict[str, float] = {}
    for peer, worker in workers.items():
        try:
            jobs[peer], losses[peer] = training_job(worker, net, net.epoch_samples, options.seconds)
        except FailedError as error:
            note(f"{peer} failed on {net} and is left out:\n{error}")
    limit_seconds = min(0.5, options.seconds)
    # The limits take their turn among the peers: what disturbs these disturbs those.
    jobs["fma_peak"] = partial(machine.call, "fma_peak", limit_seconds)
    jobs["memory_bandwidth"] = partial(machine.call, "memory_bandwidth", limit_seconds)
    rounds = interleave(options.rounds, jobs)
    limits = {name: median(rounds.pop(name)) for name in ("fma_peak", "memory_bandwidth")}
    return {
        "layers": net.layers,
        "batch": net.batch,
        "samples": net.epoch_samples,
        "flops_per_sample": net.flops_per_sample,
        **limits,
        "peers": {
            peer: {
                "samples_per_second": median(rates),
                "share_of_peak": median(rates) * net.flops_per_sample / limits["fma_peak"],
                "rounds": rates,
                f"loss_after_{CHECK_EPOCHS}_epochs": losses[peer],
            }
            for peer, rates in rounds.items()
        },
    }


def _text(result: dict[str, Any]) -> str:
    nets = result["nets"]
    peers = list(dict.fromkeys(peer for net in nets for peer in net["peers"]))
    rates = [{p: figures["samples_per_second"] for p, figures in net["peers"].items()} for net in nets]
    names = [str(Net(tuple(net["layers"]), net["batch"])) for net in nets]
    parts = [
        heading(result["machine"], result["options"]["threads"]),
        f"\nThousand samples/s, median of {result['options']['rounds']} rounds\n",
        table(
            ["net (batch)", *peers],
            [
                [name, *(number(_thousand(r.get(p))) for p in peers)]
                for name, r in zip(names, rates, strict=True)
            ],
        ),
    ]
    if others := [p for p in peers if p != "gdfast"] if "gdfast" in peers else []:
        rows = []
        for name, r in zip(names, rates, strict=True):
            ratios = {p: r["gdfast"] / r[p] for p in others if p in r and "gdfast" in r}
            best = min(ratios.values(), default=None)
            rows.append([name, *(number(ratios.get(p)) for p in others), number(best)])
        parts += [
            "\nHow many times faster gdfast is\n",
            table(["net (batch)", *others, "the best peer"], rows),
        ]
    parts += [
        f"\nShare of the FMA peak ({result['machine']['fma_peak_by']}), %\n",
        table(
            ["net (batch)", *peers, "peak GFLOP/s", "memory GB/s"],
            [
                [
                    name,
                    *(_figure(net, p, "share_of_peak", 100) for p in peers),
                    number(net["fma_peak"] / 1e9),
                    number(net["memory_bandwidth"] / 1e9),
                ]
                for name, net in zip(names, nets, strict=True)
            ],
        ),
        f"\nTraining loss after {CHECK_EPOCHS} epochs: the same work was done\n",
        table(
            ["net (batch)", *peers],
            [
                [name, *(_figure(net, p, f"loss_after_{CHECK_EPOCHS}_epochs") for p in peers)]
                for name, net in zip(names, nets, strict=True)
            ],
        ),
    ]
    return "\n".join(parts)


def _figure(net: dict[str, Any], peer: str, what: str, scale: float = 1.0) -> str:
    return number(scale * net["peers"][peer][what]) if peer in net["peers"] else "-"


def _thousand(rate: float | None) -> float | None:
    return None if rate is None else rate / 1000


if __name__ == "__main__":
    main()
