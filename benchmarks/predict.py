"""Prediction: the latency of one row, and the throughput of many.

python benchmarks/predict.py
python benchmarks/predict.py --peers gdfast,gdfast.kernels,torch --rows 100000
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

from _common import Net, interleave, median, note, number, parse, parser, report, table
from _workers import FailedError, Worker
from machine import Machine, heading
from peers import PREDICTORS, open_workers

NET = Net((20, 64, 64, 2), 64)


def main() -> None:
    p = parser("Latency of one row and throughput of many, through each library.", list(PREDICTORS))
    p.add_argument("--rows", type=int, default=100_000, help="rows of the large prediction")
    p.add_argument("--layers", default=",".join(map(str, NET.layers)), help="widths of the net")
    options = parse(p, PREDICTORS)
    net = Net(tuple(int(width) for width in options.layers.split(",")), NET.batch)
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(Worker(Machine, options.threads, threads=options.threads))
        workers = open_workers(options.peers, options.threads, stack)
        result: dict[str, Any] = {
            "benchmark": "predict",
            "machine": machine.call("describe"),
            "options": {"threads": options.threads, "rounds": options.rounds, "seconds": options.seconds},
            "layers": net.layers,
            "rows": options.rows,
            "one_row_seconds": _measure(net, 1, workers, options.rounds, options.seconds),
            "many_rows_seconds": _measure(net, options.rows, workers, options.rounds, options.seconds),
        }
    report(result, _text(result), options.json)


def _measure(
    net: Net, rows: int, workers: dict[str, Worker], rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Seconds of one call of each peer on `rows` rows, of every round."""
    note(f"{rows} rows")
    jobs = {}
    for peer, worker in workers.items():
        try:
            worker.call("prepare_prediction", net, rows)
        except FailedError as error:
            note(f"{peer} failed and is left out:\n{error}")
        else:
            jobs[peer] = partial(worker.call, "predict", seconds)
    return interleave(rounds, jobs)


def _text(result: dict[str, Any]) -> str:
    one, many = (
        {peer: median(figures) for peer, figures in result[what].items()}
        for what in ("one_row_seconds", "many_rows_seconds")
    )
    n = result["rows"]
    rows = []
    for peer in dict.fromkeys([*one, *many]):
        microseconds = number(one[peer] * 1e6) if peer in one else "-"
        rate = number(n / many[peer] / 1e6) if peer in many else "-"
        ratio = number(many[peer] / many["gdfast"]) if peer in many and "gdfast" in many else "-"
        rows.append([peer, microseconds, rate, ratio])
    net = "-".join(map(str, result["layers"]))
    header = [net, "one row, us", f"{n:,} rows, million/s", "gdfast is times faster"]
    return f"{heading(result['machine'], result['options']['threads'])}\n\n{table(header, rows)}"


if __name__ == "__main__":
    main()
