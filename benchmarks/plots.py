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

# gdfast stands out; the peers keep their colour in every picture.
COLOURS = {
    "gdfast": "#d1495b",
    "scikit-learn": "#edae49",
    "torch": "#66a182",
    "torch.compile": "#00798c",
    "jax": "#5f6caf",
}


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
    matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9})
    figure = PLOTS[name](result)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=150, bbox_inches="tight")
    return path


def plot_versus(result: dict[str, Any]) -> Any:
    """Throughput of every library on every net, and the share of the arithmetic peak it is."""
    import matplotlib.pyplot as plt

    nets = result["nets"]
    peers = list(dict.fromkeys(peer for net in nets for peer in net["peers"]))
    figure, (rates, shares) = plt.subplots(2, 1, figsize=(9, 6), sharex=True)
    for axes, what, scale in ((rates, "samples_per_second", 1.0), (shares, "share_of_peak", 100.0)):
        _bars(
            axes,
            {p: [scale * net["peers"].get(p, {}).get(what, np.nan) for net in nets] for p in peers},
            [_label(net) for net in nets],
        )
    rates.set(yscale="log", ylabel="samples/s (log)")
    shares.set(ylabel="% of FMA peak")
    shares.tick_params(axis="x", rotation=15, labelsize=8)
    rates.legend(ncols=len(peers), frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def plot_predict(result: dict[str, Any]) -> Any:
    """Latency of one row and throughput of many."""
    import matplotlib.pyplot as plt

    one, many = result["one_row_seconds"], result["many_rows_seconds"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    left.barh(list(one), [1e6 * s for s in one.values()], color=[_colour(p) or "tab:gray" for p in one])
    left.set(xscale="log", xlabel="us for one row (log)")
    rates = [result["rows"] / s / 1e6 for s in many.values()]
    right.barh(list(many), rates, color=[_colour(p) or "tab:gray" for p in many])
    right.set(xlabel=f"million rows/s, {result['rows']:,} at once")
    left.invert_yaxis()
    right.invert_yaxis()
    figure.tight_layout()
    return figure


def plot_scaling(result: dict[str, Any]) -> Any:
    """One small picture for each sweep: share of peak along numbers, throughput across nets."""
    import matplotlib.pyplot as plt

    sweeps = result["sweeps"]
    columns = min(2, len(sweeps))
    rows = -(-len(sweeps) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(5 * columns, 3 * rows), squeeze=False)
    for axes in grid.flat[len(sweeps) :]:
        axes.remove()
    for axes, (name, points) in zip(grid.flat, sweeps.items(), strict=False):
        series = points[0]["samples_per_second"]
        if isinstance(points[0]["value"], str):
            rates = {s: [p["samples_per_second"][s] for p in points] for s in series}
            _bars(axes, rates, [_label(p) for p in points])
            axes.set(yscale="log", ylabel="samples/s (log)", title=name)
            axes.tick_params(axis="x", rotation=30, labelsize=7)
        else:
            for s in series:
                flops = [p["samples_per_second"][s] * p["flops_per_sample"] for p in points]
                shares = [100 * f / result["fma_peak"] for f in flops]
                axes.plot([p["value"] for p in points], shares, "o-", label=s, color=_colour(s))
            axes.set(xscale="log", xlabel=name, ylabel="% of FMA peak")
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=7)
    figure.tight_layout()
    return figure


def plot_tables(result: dict[str, Any]) -> Any:
    """Error against CPU seconds, a point for every model: left and down is better."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter
    from tables import summary

    names = {"MLP": "plain MLP", "lightgbm": "LightGBM", "catboost": "CatBoost", "xgboost": "XGBoost"}
    names |= {"histgb": "HistGradientBoosting", "realmlp": "RealMLP", "tabm": "TabM"}

    figure, axes = plt.subplots(figsize=(6, 3.6))
    for model in summary(result):
        own = model["model"] not in names
        name = f"gdfast, {model['model']}" if own else names[model["model"]]
        place = model["cpu"], 100 * np.expm1(model["ratio"])
        axes.plot(*place, "o", color=COLOURS["gdfast"] if own else "tab:gray", markersize=7 if own else 6)
        axes.annotate(
            name,
            place,
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            fontweight="bold" if own else "normal",
            color=COLOURS["gdfast"] if own else "0.25",
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
    """Seconds against held-out score, a point for every seed: left and up is better."""
    import matplotlib.pyplot as plt

    tables = result["tables"]
    figure, grid = plt.subplots(1, len(tables), figsize=(3.2 * len(tables), 3), squeeze=False)
    for axes, (name, runs) in zip(grid[0], tables.items(), strict=True):
        for library, fits in runs.items():
            seconds, scores = [f["seconds"] for f in fits], [f["score"] for f in fits]
            axes.scatter(seconds, scores, label=library, color=_colour(library))
        axes.set(xscale="log", xlabel="seconds of fit (log)", title=name)
        axes.tick_params(axis="x", which="both", rotation=45, labelsize=7)
    grid[0][0].set_ylabel("held-out score")
    grid[0][0].legend(frameon=False, fontsize=7)
    figure.tight_layout()
    return figure


PLOTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "versus": plot_versus,
    "predict": plot_predict,
    "scaling": plot_scaling,
    "real": plot_real,
    "tables": plot_tables,
}


def _bars(axes: Any, series: dict[str, list[float]], labels: list[str]) -> None:
    """Bars side by side: a group for every label, a bar in it for every series."""
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        x = np.arange(len(labels)) + (i - (len(series) - 1) / 2) * width
        axes.bar(x, values, width, label=name, color=_colour(name))
    axes.set_xticks(range(len(labels)), labels)


def _label(net: dict[str, Any]) -> str:
    return f"{'-'.join(map(str, net['layers']))}\n({net['batch']})"


def _colour(name: str) -> str | None:
    return COLOURS.get(name.removesuffix(".kernels").removesuffix("-blocks"))


if __name__ == "__main__":
    main()
