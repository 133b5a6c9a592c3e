"""Pictures of what the other benchmarks saved with ``--json``.

python benchmarks/plots.py versus.json scaling.json real.json --out docs/img
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Okabe and Ito's colours, which readers who see few colours tell apart; so do the markers.
STYLES = {
    "gdfast": {"color": "#D55E00", "marker": "o"},
    "scikit-learn": {"color": "#7F7F7F", "marker": "s"},
    "torch": {"color": "#0072B2", "marker": "^"},
    "torch.compile": {"color": "#56B4E9", "marker": "v"},
    "jax": {"color": "#009E73", "marker": "D"},
}
RANGE_WIDTH = 1.3  # of the lines from the lowest round to the highest, in points


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("results", nargs="+", type=Path, help="files written by --json")
    p.add_argument("--out", type=Path, default=Path("docs/img"), help="default: docs/img")
    options = p.parse_args()
    for path in options.results:
        print(plot(json.loads(path.read_text(encoding="utf-8")), options.out))


def plot(result: dict[str, Any], folder: Path) -> Path:
    """Draw one benchmark's result into `folder` as PNG, and return the file's path.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the benchmark has no picture.
    """
    try:
        import matplotlib
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install matplotlib") from None
    name = result.get("benchmark")
    if name not in PLOTS:
        raise ValueError(f"no picture for a result of {name!r}; there are pictures of {', '.join(PLOTS)}")
    matplotlib.use("Agg")
    # Letters are read at a width of 600 pixels, too.
    matplotlib.rcParams.update(
        {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "lines.markersize": 5.5}
    )
    figure = PLOTS[name](result)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=160, bbox_inches="tight")
    return path


def plot_versus(result: dict[str, Any]) -> Any:
    """Throughput of every library on every net, and the share of the arithmetic peak it is."""
    import matplotlib.pyplot as plt

    nets = result["nets"]
    peers = list(dict.fromkeys(peer for net in nets for peer in net["peers"]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 4.8), sharey=True, layout="constrained")
    rates, shares = (
        {
            peer: [_scaled(net["peers"].get(peer, {}).get("rounds"), scale(net)) for net in nets]
            for peer in peers
        }
        for scale in (lambda net: 1.0, lambda net: 100 * net["flops_per_sample"] / net["fma_peak"])
    )
    labels = [_label(net) for net in nets]
    _rows(left, rates, labels)
    _rows(right, shares, labels)
    left.set(xscale="log", xlabel="Samples/s (log)")
    _plain_numbers(left.xaxis)
    right.set(xlabel="Share of the FMA peak (%)", xlim=(0, None))
    _finish(figure, result, left)
    return figure


def plot_predict(result: dict[str, Any]) -> Any:
    """Latency of one row and throughput of many."""
    import matplotlib.pyplot as plt

    one, many, n = result["one_row_seconds"], result["many_rows_seconds"], result["rows"]
    peers = list(dict.fromkeys([*one, *many]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True, layout="constrained")
    for axes, figures in (
        (left, {p: np.array(s) * 1e6 for p, s in one.items()}),
        (right, {p: n / np.array(s) / 1e6 for p, s in many.items()}),
    ):
        for row, peer in enumerate(peers):
            if peer in figures:
                _range(axes, figures[peer], row, **_style(peer))
        _row_labels(axes, peers)
    left.set(xscale="log", xlabel="Time for one row (µs, log)")
    _plain_numbers(left.xaxis)
    right.set(xlabel=f"Throughput, {n:,} rows (million/s)", xlim=(0, None))
    _finish(figure, result)
    return figure


# What the axis of a sweep over numbers is.
_AXES = {
    "batch": "Rows in a batch",
    "width": "Units in each of two hidden layers",
    "depth": "Hidden layers of 64 units",
    "samples": "Rows of X",
}


def plot_scaling(result: dict[str, Any]) -> Any:
    """One small picture for each sweep: share of peak along numbers, ratios of throughput across nets."""
    import matplotlib.pyplot as plt

    along = {name: points for name, points in result["sweeps"].items() if name in _AXES}
    across = {name: points for name, points in result["sweeps"].items() if name not in _AXES}
    rows = [-(-len(sweeps) // 2) for sweeps in (along, across)]
    figure = plt.figure(figsize=(7.2, 2.6 * sum(rows)), layout="constrained")
    # The names of the nets need room beside their own rows only.
    parts = figure.subfigures(
        sum(n > 0 for n in rows), 1, squeeze=False, height_ratios=[n for n in rows if n]
    )
    drawn = []
    for part, sweeps in zip(parts.flat, [sweeps for sweeps in (along, across) if sweeps], strict=True):
        grid = part.subplots(-(-len(sweeps) // 2), 2, sharey=True, squeeze=False)
        for axes in grid.flat[len(sweeps) :]:
            axes.remove()
        drawn += list(zip(grid.flat, sweeps.items(), strict=False))
    for axes, (name, points) in drawn:
        if name in along:
            _along(axes, points)
            axes.set(xlabel=_AXES[name], ylim=(0, None))
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("Share of FMA peak (%)")
        else:
            _across(axes, name, points)
    _finish(figure, result, drawn[0][0])
    return figure


def _along(axes: Any, points: list[dict[str, Any]]) -> None:
    """Shares of peak along a number: medians as a line, and their ranges."""
    for name in points[0]["samples_per_second"]:
        shares = [
            _scaled(p["samples_per_second"][name], 100 * p["flops_per_sample"] / _median(p["fma_peak"]))
            for p in points
        ]
        values = [p["value"] for p in points]
        axes.plot(values, [_median(s) for s in shares], label=name, **_style(name))
        axes.vlines(
            values,
            [min(s) for s in shares],
            [max(s) for s in shares],
            color=_style(name)["color"],
            linewidth=RANGE_WIDTH,
        )
    axes.set_xscale("log")
    axes.grid(axis="y", alpha=0.25)
    _plain_numbers(axes.xaxis)


def _across(axes: Any, name: str, points: list[dict[str, Any]]) -> None:
    """Ratios of throughput, net by net: of several threads to one, of a busy machine to a quiet one."""
    whole = ", 1 thread" if name == "threads" else ", quiet"
    series = points[0]["samples_per_second"]
    ratios, marks = {}, {}
    for peer in (s.removesuffix(whole) for s in series if s.endswith(whole)):
        for other in (s for s in series if s.startswith(f"{peer}, ") and not s.endswith(whole)):
            rates = [p["samples_per_second"] for p in points]
            ratios[other] = [_ratio(r[other], r[f"{peer}{whole}"]) for r in rates]
    if name == "threads":
        counts = sorted({int(s.split()[-2]) for s in ratios})
        if len(counts) > 1:
            marks = {s: s.split()[-2] for s in ratios}
        for count in counts:
            axes.axvline(count, color="0.7", linewidth=1, linestyle=":", zorder=0)
        axes.set(xlabel=f"Speed-up by {', '.join(map(str, counts))} threads", xlim=(0, 1.1 * counts[-1]))
    else:
        ratios = {s: [_scaled(r, 100.0) for r in of_nets] for s, of_nets in ratios.items()}
        axes.axvline(50, color="0.7", linewidth=1, linestyle=":", zorder=0)
        axes.set(xlabel="With busy processes (% of quiet)", xlim=(0, 100))
    _rows(axes, ratios, [_label(p) for p in points], marks)


def plot_tables(result: dict[str, Any]) -> Any:
    """Error against CPU seconds, a point for every model: left and down is better."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter
    from tables import summary

    names = {"MLP": "plain MLP", "lightgbm": "LightGBM", "catboost": "CatBoost", "xgboost": "XGBoost"}
    names |= {"histgb": "HistGradientBoosting", "realmlp": "RealMLP", "tabm": "TabM"}

    figure, axes = plt.subplots(figsize=(6, 3.6))
    ours = STYLES["gdfast"]["color"]
    for model in summary(result):
        own = model["model"] not in names
        name = f"gdfast, {model['model']}" if own else names[model["model"]]
        place = model["cpu"], 100 * np.expm1(model["ratio"])
        axes.plot(*place, "o", color=ours if own else "tab:gray", markersize=7 if own else 6)
        axes.annotate(
            name,
            place,
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            fontweight="bold" if own else "normal",
            color=ours if own else "0.25",
        )
    axes.set(xscale="log", xlabel="CPU seconds of a fit, mean over the tables")
    axes.set_ylabel("error, compared with a plain MLP")
    axes.margins(x=0.12, y=0.15)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g} s"))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda percent, _: f"{percent:+.0f} %" if percent else "0 %")
    )
    axes.grid(alpha=0.3)
    axes.annotate(
        "faster,\nmore accurate",
        (0.03, 0.05),
        (0.13, 0.2),
        xycoords="axes fraction",
        textcoords="axes fraction",
        color="0.4",
        fontsize=8,
        ha="center",
        arrowprops={"arrowstyle": "->", "color": "0.4"},
    )
    return figure


def plot_real(result: dict[str, Any]) -> Any:
    """Seconds against held-out score: every seed, and their median and range; left and up is better."""
    import matplotlib.pyplot as plt

    tables = result["tables"]
    columns = min(2, len(tables))
    rows = -(-len(tables) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.6 * columns, 2.6 * rows), squeeze=False, layout="constrained"
    )
    for axes in grid.flat[len(tables) :]:
        axes.remove()
    for axes, (name, runs) in zip(grid.flat, tables.items(), strict=False):
        for library, fits in runs.items():
            seconds, scores = [f["seconds"] for f in fits], [f["score"] for f in fits]
            style = _style(library)
            line = {"color": style["color"], "linewidth": RANGE_WIDTH}
            axes.plot(seconds, scores, linestyle="", alpha=0.35, markeredgewidth=0, **style)
            axes.plot(_median(seconds), _median(scores), linestyle="", label=library, **style)
            axes.hlines(_median(scores), min(seconds), max(seconds), **line)
            axes.vlines(_median(seconds), min(scores), max(scores), **line)
        score = {"R2": "R²"}.get(result["scores"][name], result["scores"][name])
        axes.set(xscale="log", title=name, ylabel=f"Held-out {score}")
        axes.margins(x=0.1, y=0.12)
        _plain_numbers(axes.xaxis)
    for axes in grid[-1]:
        axes.set_xlabel("Time of fit (s, log)")
    _finish(figure, result, grid[0][0], rounds=("seed", result["options"]["seeds"]))
    return figure


def plot_distributed(result: dict[str, Any]) -> Any:
    """Times as fast as one rank, against the batch, for each net, network and number of ranks: the model."""
    import matplotlib.pyplot as plt

    nets = result["model"]["nets"]
    networks = [name for name in next(iter(nets.values())) if "Ethernet" in name]
    figure, grid = plt.subplots(
        len(nets), len(networks), figsize=(7.2, 2.9 * len(nets)), squeeze=False, layout="constrained"
    )
    colors = ["#56B4E9", "#0072B2", "#D55E00"]
    for row, (net, of_net) in zip(grid, nets.items(), strict=True):
        for axes, network in zip(row, networks, strict=True):
            for color, (ranks, found) in zip(colors, of_net[network].items(), strict=True):
                batches = [int(batch) for batch in found["speedup"]]
                axes.plot(batches, list(found["speedup"].values()), color=color, label=f"{ranks} ranks")
                axes.axhline(int(ranks), color=color, linestyle=":", linewidth=1, alpha=0.6)
            axes.axhline(1, color="0.7", linewidth=1)
            axes.set(xscale="log", yscale="log", title=f"{net.partition(' ')[0]}, {network}")
            axes.title.set_fontsize(9)
            axes.grid(alpha=0.25)
            _plain_numbers(axes.xaxis)
            _plain_numbers(axes.yaxis)
        row[0].set_ylabel("Times as fast as one rank")
    for axes in grid[-1]:
        axes.set_xlabel("Batch of all ranks (log)")
    _finish(figure, result, grid[0][0])
    return figure


PLOTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "versus": plot_versus,
    "predict": plot_predict,
    "scaling": plot_scaling,
    "real": plot_real,
    "tables": plot_tables,
    "distributed": plot_distributed,
}


def _rows(
    axes: Any, series: dict[str, list[Any]], labels: list[str], marks: dict[str, str] | None = None
) -> None:
    """A row for every label, and in it the median and range of the rounds of every series.

    A series may have a mark, which is written beside its ranges.
    """
    for i, (name, of_rows) in enumerate(series.items()):
        shift = (i - (len(series) - 1) / 2) * 0.7 / len(series)
        axes.plot([], [], linestyle="", label=name, **_style(name))  # for the legend
        for row, rounds in enumerate(of_rows):
            if rounds is not None:
                _range(axes, rounds, row + shift, **_style(name))
                place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 7}
                axes.annotate((marks or {}).get(name, ""), (max(rounds), row + shift), **place)
    _row_labels(axes, labels)


def _row_labels(axes: Any, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)


def _range(axes: Any, rounds: Any, y: float, *, color: str, marker: str) -> None:
    axes.plot([min(rounds), max(rounds)], [y, y], color=color, linewidth=RANGE_WIDTH)
    axes.plot(_median(rounds), y, color=color, marker=marker, linestyle="")


def _finish(
    figure: Any, result: dict[str, Any], axes: Any = None, *, rounds: tuple[str, int] | None = None
) -> None:
    """One legend for all, if `axes` has its entries, and below what has been measured, and on what."""
    unit, count = rounds or ("round", result["options"]["rounds"])
    machine, threads = result["machine"], result["options"]["threads"]
    busy = f"; a busy machine, load {machine['load_average']:.0f}" * (machine["load_average"] > 0.5)
    below = (
        f"Median and range of {count} {unit}s, {threads} thread{'s' * (threads > 1)}\n"
        f"{machine['cpu']}, {machine['date'][:10]}{busy}"
    )
    figure.supxlabel(below, fontsize=8, color="0.35")
    if axes is not None:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, ncols=len(labels), frameon=False, loc="outside upper center")


def _plain_numbers(axis: Any) -> None:
    """Ticks of a logarithmic axis as numbers without exponents: 0.5, 20, 5 k."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    # Two or three ticks to a power of ten, unless there are many powers.
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,), numticks=9))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda x, _: _plain(x))


def _plain(x: float) -> str:
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if x >= unit:
            return f"{x / unit:g}{letter}"
    return f"{x:g}"


def _median(figures: Any) -> float:
    return float(np.median(figures))


def _scaled(rounds: Any, factor: float) -> Any:
    return None if rounds is None else factor * np.asarray(rounds)


def _ratio(rounds: list[float], others: list[float]) -> Any:
    return np.divide(rounds, others)


def _label(net: dict[str, Any]) -> str:
    return f"{'-'.join(map(str, net['layers']))} ({net['batch']})"


def _style(name: str) -> dict[str, Any]:
    """The colour and the marker of a library, whatever of it has been measured."""
    name = name.partition(",")[0].removesuffix(".kernels").removesuffix("-blocks")
    return STYLES.get(name, {"color": "black", "marker": "o"})


if __name__ == "__main__":
    main()
