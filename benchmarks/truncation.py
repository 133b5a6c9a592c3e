"""What truncation does to a gradient, to what a network learns, and to the time that it takes.

python benchmarks/truncation.py
python benchmarks/truncation.py --out docs/img

On the left: the norm of d loss / d h, going back from the loss through an Elman network whose recurrent
weights are scaled so that the gradient vanishes or explodes; whole, truncated, and clipped to a norm of one.
On the right: an echo, y(t) = x(t - 10), learnt with k1 = 5 and k2 from 5 to 45. With --out it draws
truncation.png there (matplotlib has to be installed).
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from gdfast import RNNRegressor
from sklearn.exceptions import ConvergenceWarning

Array = np.ndarray[Any, Any]

STEPS, UNITS, REACH = 100, 64, 30
DELAY, K1 = 10, 5
K2 = (5, 8, 10, 11, 12, 13, 14, 15, 20, 25, 35, 45)
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder of the picture")
    options = parser.parse_args()

    gains = {"vanishing": 0.9, "exploding": 2.0}
    norms = {name: gradient_norms(gain) for name, gain in gains.items()}
    for name, by_kind in norms.items():
        for kind, values in by_kind.items():
            print(f"{name}, {kind:10} " + " ".join(f"{values[k]:.1e}" for k in (0, 10, 29, 30, 60, 99)))
    echoes = [echo(k2) for k2 in K2]
    print("\nk2   R2      seconds")
    for k2, (score, seconds) in zip(K2, echoes, strict=True):
        print(f"{k2:2}   {score:.3f}   {seconds:.2f}")
    if options.out:
        print(draw(norms, echoes, options.out))


def gradient_norms(gain: float) -> dict[str, Array]:
    """Of d loss / d h by steps back: the mean over 32 sequences, with one linear output at the last step."""
    rng = np.random.default_rng(0)
    W = 0.3 * rng.standard_normal((1, UNITS))
    U = gain * np.linalg.qr(rng.standard_normal((UNITS, UNITS)))[0]
    x, h = rng.standard_normal((STEPS, 32, 1)), np.zeros((32, UNITS))
    states = [h]
    for t in range(STEPS):
        h = np.tanh(x[t] @ W + h @ U)
        states.append(h)
    delta = np.tile(rng.standard_normal(UNITS) / UNITS**0.5, (32, 1)) / 32
    whole, gradient = np.zeros(STEPS), np.zeros_like(U)
    for back in range(STEPS):
        whole[back] = np.linalg.norm(delta) * 32**0.5
        t = STEPS - back
        sums = delta * (1 - states[t] ** 2)
        gradient += states[t - 1].T @ sums
        delta = sums @ U.T
    truncated = np.where(np.arange(STEPS) < REACH, whole, 0)
    return {
        "whole": whole,
        "truncated": truncated,
        "clipped": whole * min(1.0, 1.0 / float(np.linalg.norm(gradient))),
    }


def echo(k2: int) -> tuple[float, float]:
    """The median R2 on new sequences, and the seconds that training took."""
    scores, times = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        (X, y), (X_test, y_test) = (_delayed(rng) for _ in range(2))
        net = RNNRegressor(
            UNITS,
            cell="elman",
            per_step=True,
            tbptt=(K1, k2),
            clip_norm=1.0,
            batch_size=32,
            max_iter=60,
            tol=0.0,
            n_iter_no_change=np.inf,
            random_state=seed,
        )
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            net.fit(X, y)
        times.append(time.perf_counter() - start)
        scores.append(net.score(X_test, y_test))
    return float(np.median(scores)), float(np.median(times))


def _delayed(rng: np.random.Generator) -> tuple[Array, Array]:
    X = rng.uniform(-1, 1, (64, 200, 1)).astype(np.float32)
    y = np.zeros((64, 200), np.float32)
    y[:, DELAY:] = X[:, :-DELAY, 0]
    return X, y


def draw(norms: dict[str, dict[str, Array]], echoes: list[tuple[float, float]], folder: Path) -> Path:
    """truncation.png in `folder`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9})
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    styles = {"whole": ("-", 1.6), "truncated": ("--", 2.6), "clipped": (":", 2.0)}
    for axis, (name, by_kind) in zip(axes, norms.items(), strict=False):
        for kind, values in by_kind.items():
            shown = np.where(values > 0, values, np.nan)
            style, width = styles[kind]
            label = f"truncated, k2 = {REACH}" if kind == "truncated" else kind
            axis.plot(shown, style, linewidth=width, label=label)
        axis.set_yscale("log")
        axis.set_title(f"{name} gradient")
        axis.set_xlabel("steps back from the loss")
        axis.set_ylabel("norm of d loss / d h")
        axis.legend(frameon=False)
    scores, seconds = zip(*echoes, strict=True)
    axis = axes[2]
    axis.plot(K2, scores, "o-", color="#00798c", markersize=4)
    axis.axvline(DELAY, color="grey", linewidth=0.8)
    axis.annotate(f"the delay, {DELAY}", (DELAY, 0.5), (DELAY + 1.2, 0.12), color="grey")
    axis.set_title(f"an echo of {DELAY} steps, k1 = {K1}")
    axis.set_xlabel("k2")
    axis.set_ylabel("R2 on new sequences", color="#00798c")
    time_axis = axis.twinx()
    time_axis.spines["right"].set_visible(True)
    time_axis.plot(K2, seconds, "s--", color="#d1495b", markersize=3)
    time_axis.set_ylim(0)
    time_axis.set_ylabel("seconds of training", color="#d1495b")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "truncation.png"
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    main()
