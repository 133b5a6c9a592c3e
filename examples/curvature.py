"""Solvers that use curvature, next to Adam: error against seconds on five problems.

Run with ``python examples/curvature.py``. Each solver trains the same network from the same initial weights
on one thread, for the same number of seconds. The program prints how soon ``lm`` is where scikit-learn's
lbfgs stops, and ``kfac`` and ``muon`` where Adam is after 50 epochs. With ``--plot second_order.png`` it also
plots the training errors (this requires matplotlib).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from gdfast import MLPClassifier, MLPRegressor, optim
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

# The best of these rates is shown, by the error at the end; for Adam also the default rate.
ADAM = {f"adam, lr={lr:g}": optim.Adam(lr=lr) for lr in (0.003, 0.01, 0.03)}
MUON = {
    f"muon, lr={lr:g}": optim.Muon(lr=lr, weight_decay=0.0, adamw_lr_factor=factor)
    for lr, factor in ((0.01, 0.3), (0.03, 0.1), (0.1, 0.1))
}
KFAC = {f"kfac, kl_clip={clip:g}": optim.KFAC(lr=0.1, kl_clip=clip) for clip in (0.01, 0.03)}
CANDIDATES: Mapping[str, Mapping[str, Any]] = {
    "adam (default)": {"adam (default)": optim.Adam(lr=0.001)},
    "adam": ADAM,
    "lbfgs": {"lbfgs": "lbfgs"},
    "newton-cg": {"newton-cg": "newton-cg"},
    "lm": {"lm": "lm"},
    "muon": MUON,
    "kfac": KFAC,
}
SKLEARN = "scikit-learn's lbfgs"
ADAM_EPOCHS = 50


class Problem(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    layers: tuple[int, ...]
    seconds: float  # for each fit
    has_lm: bool = True

    @property
    def is_classification(self) -> bool:
        return self.y.dtype.kind == "i"

    @property
    def unit(self) -> str:
        return "log-loss" if self.is_classification else "mean squared error"

    def network(self, kind: Any, **arguments: Any) -> Any:
        fixed = {"hidden_layer_sizes": self.layers, "activation": "tanh", "alpha": 0.0, "tol": 1e-9}
        return kind(**{**fixed, **arguments})

    def error(self, loss: Any) -> Any:
        return loss if self.is_classification else 2 * loss  # the loss is half the squared error


class Curve(NamedTuple):
    seconds: np.ndarray  # since the fit began, at the end of each epoch or iteration
    errors: np.ndarray

    def seconds_to(self, error: float) -> float:
        reached = np.flatnonzero(self.errors <= error)
        return float(self.seconds[reached[0]]) if reached.size else np.inf


class Clock:
    """A callback that notes seconds and losses, and stops training where the loss is low enough."""

    def __init__(self, enough: float) -> None:
        self.points: list[tuple[float, float]] = []
        self._enough = enough
        self._start = time.perf_counter()

    def on_epoch_end(self, est: Any, epoch: int, logs: Mapping[str, float]) -> bool:
        self.points.append((time.perf_counter() - self._start, logs["loss"]))
        return logs["loss"] <= self._enough


def problems() -> dict[str, Problem]:
    random = np.random.RandomState(0)
    x = random.uniform(-1, 1, (200, 1))
    sine = np.sin(np.pi * x[:, 0]) + 0.1 * random.normal(size=200)
    plane = random.uniform(-1, 1, (500, 2))
    waves = np.sin(np.pi * plane[:, 0]) * np.cos(np.pi * plane[:, 1])
    diabetes, progression = load_diabetes(return_X_y=True)
    pixels, digit = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    return {
        "noisy sine": Problem(x, sine, (10,), 0.5),
        "2-d function": Problem(plane, waves, (20,), 1.0),
        "diabetes": Problem(scale(diabetes), scale(progression), (10,), 1.0),
        "digits": Problem(pixels, digit, (50,), 2.0, has_lm=False),
        "deep autoencoder": Problem(pixels, pixels, (400, 200, 100, 30, 100, 200, 400), 7.0, has_lm=False),
    }


def curve(problem: Problem, solver: Any, seconds: float, seed: int = 0, enough: float = 0.0) -> Curve:
    """A fit of so many seconds, or until its loss is low enough."""
    kind = MLPClassifier if problem.is_classification else MLPRegressor
    arguments = {"max_iter": 100_000, "n_iter_no_change": 100_000, "max_time": seconds, "n_jobs": 1}
    net = problem.network(
        kind, solver=solver, random_state=seed, callbacks=[clock := Clock(enough)], **arguments
    )
    net.fit(problem.X, problem.y)
    points = np.array(clock.points)
    return Curve(points[:, 0], problem.error(points[:, 1]))


def sklearn_fit(problem: Problem, max_iter: int, seed: int = 0) -> tuple[float, float]:
    """Seconds and error of scikit-learn's lbfgs after so many iterations."""
    kind = SklearnClassifier if problem.is_classification else SklearnRegressor
    net = problem.network(kind, solver="lbfgs", max_iter=max_iter, max_fun=10**6, random_state=seed)
    start = time.perf_counter()
    net.fit(problem.X, problem.y)
    return time.perf_counter() - start, float(problem.error(net.loss_))


def sklearn_curve(problem: Problem, seconds: float) -> Curve:
    """A fit for each point: scikit-learn's lbfgs calls no callbacks."""
    points, max_iter = [(0.0, np.inf)], 2
    while points[-1][0] < seconds and max_iter < 4000:
        points.append(sklearn_fit(problem, max_iter))
        max_iter = int(1.4 * max_iter) + 1
    found = np.array(points[1:])
    # Fewer iterations take no longer than more: what exceeds that is other programs' time.
    seconds = np.minimum.accumulate(found[::-1, 0])[::-1]
    return Curve(seconds, found[:, 1])


def fastest(curves: list[Curve]) -> Curve:
    """The least seconds of repeated fits: the rest are those of other programs on the machine."""
    n = min(len(each.seconds) for each in curves)
    return Curve(np.min([each.seconds[:n] for each in curves], axis=0), curves[0].errors[:n])


def compare(problem: Problem, seconds: float, repeats: int) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for shown, solvers in CANDIDATES.items():
        if shown == "lm" and not problem.has_lm:
            continue
        found = {name: curve(problem, solver, seconds) for name, solver in solvers.items()}
        best = min(found, key=lambda name: found[name].errors[-1])
        again = [curve(problem, solvers[best], seconds) for _ in range(repeats - 1)]
        curves[best] = fastest([found[best], *again])
    curves[SKLEARN] = sklearn_curve(problem, seconds)
    return curves


def sine_bar(seeds: int, epochs: int) -> Iterator[str]:
    """How many seeds reach an mse of 1e-6 on a sine without noise."""
    x = np.linspace(-1, 1, 100)[:, np.newaxis]
    problem = Problem(x, np.sin(np.pi * x[:, 0]), (10,), 0)
    for name, solver, max_iter in (
        ("lm", "lm", 100),
        *((name, solver, epochs) for name, solver in ADAM.items()),
    ):
        found = []
        for seed in range(seeds):
            arguments = {"max_iter": max_iter, "n_iter_no_change": max_iter, "n_jobs": 1}
            net = problem.network(MLPRegressor, solver=solver, random_state=seed, **arguments)
            reached = np.flatnonzero(2 * np.array(net.fit(x, problem.y).loss_curve_) <= 1e-6)
            found += [reached[0] + 1] if reached.size else []
        when = f", after {min(found)} to {max(found)}" if found else ""
        yield f"{name:<22} {len(found)} of {seeds} seeds reach 1e-6 in {max_iter}{when}"


def lm_bar(problem: Problem, max_iter: int, seeds: int, repeats: int) -> str:
    """Seconds of scikit-learn's lbfgs to its error over those of lm; 0 where lm does not reach it."""
    ratios = []
    for seed in range(seeds):
        theirs, ours = [], []
        for _ in range(repeats):
            seconds, error = sklearn_fit(problem, max_iter, seed)
            theirs.append(seconds)
            limit = max(5 * seconds, 0.1)
            ours.append(curve(problem, "lm", limit, seed, enough=error / 2).seconds_to(error))
        ratios.append(min(theirs) / min(ours))
    return f"{np.median(ratios):.1f} x as fast (from {min(ratios):.1f} to {max(ratios):.1f})"


def draw(path: str, outcomes: Mapping[str, Mapping[str, Curve]], tasks: Mapping[str, Problem]) -> None:
    try:
        import matplotlib
    except ImportError:
        print("No picture: matplotlib is not installed (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Okabe and Ito's colours.
    styles = {
        "adam (default)": ("#999999", "-"),
        "adam": ("#000000", "-"),
        "lbfgs": ("#56b4e9", "-"),
        SKLEARN: ("#56b4e9", ":"),
        "newton-cg": ("#0072b2", "-"),
        "lm": ("#d55e00", "-"),
        "muon": ("#009e73", "-"),
        "kfac": ("#e69f00", "-"),
    }
    figure, grid = plt.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    handles: dict[str, Any] = {}
    for axes, (name, curves) in zip(grid.flat, outcomes.items(), strict=False):
        for solver, (seconds, errors) in curves.items():
            shown = solver.split(",")[0]
            color, dash = styles[shown]
            lowest = np.minimum.accumulate(errors)  # the errors of minibatches go up and down
            (handles[shown],) = axes.loglog(seconds, lowest, color=color, linestyle=dash, linewidth=1.8)
        axes.set(title=name, xlabel="seconds, on one thread", ylabel=f"training {tasks[name].unit}")
        axes.grid(alpha=0.25)
    legend = grid.flat[-1]
    legend.axis("off")
    names = {"adam": "adam, best of 3 rates", "muon": "muon, best of 3", "kfac": "kfac, best of 2"}
    order = [solver for solver in styles if solver in handles]
    labels = [names.get(solver, solver) for solver in order]
    legend.legend(
        [handles[solver] for solver in order], labels, loc="center", frameon=False, fontsize="large"
    )
    figure.savefig(path, dpi=100)
    plt.close(figure)
    print(f"\nPicture written to {path}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="PATH", help="where to draw a picture")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the seconds of all fits")
    parser.add_argument("--seeds", type=int, default=10, help="of the first table; the second has at most 3")
    parser.add_argument("--repeats", type=int, default=3, help="of each fit, of which the fastest counts")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # fits end by time on purpose
    tasks = problems()
    curve(tasks["noisy sine"], "lm", 0.1)  # what only a process's first fit does
    sklearn_fit(tasks["noisy sine"], 2)

    print("Noise-free sine, 1-10-1, to a mean squared error of 1e-6, iterations or epochs:")
    for line in sine_bar(options.seeds, epochs=max(20, int(2000 * min(options.scale, 1)))):
        print(line)

    print("\nlm to the error of scikit-learn's lbfgs, seconds:")
    for name in ("noisy sine", "2-d function", "diabetes"):
        for max_iter in (100, 200, 1000) if options.scale >= 1 else (100,):
            ratio = lm_bar(tasks[name], max_iter, min(options.seeds, 3), options.repeats)
            print(f"{name:<13} after {max_iter:4} iterations: {ratio}")

    outcomes: dict[str, dict[str, Curve]] = {}
    for name, task in tasks.items():
        seconds = task.seconds * options.scale
        outcomes[name] = compare(task, seconds, options.repeats)
        print(f"\n{name}, after {seconds:g} s: {task.unit}, epochs or iterations")
        for solver, (_, errors) in outcomes[name].items():
            count = "" if solver == SKLEARN else f"{len(errors):6}"
            print(f"{solver:<22} {errors.min():10.3g} {count}")

    curves = outcomes["deep autoencoder"]
    adams = [found for name, found in curves.items() if name.startswith("adam")]
    adams = [found for found in adams if len(found.errors) >= ADAM_EPOCHS]
    if adams:
        adam = min(adams, key=lambda found: float(found.errors[ADAM_EPOCHS - 1]))
        error, seconds = float(adam.errors[ADAM_EPOCHS - 1]), float(adam.seconds[ADAM_EPOCHS - 1])
        print(f"\nAutoencoder: Adam has {error:.3g} after {ADAM_EPOCHS} epochs and {seconds:.2f} s")
        for name, found in curves.items():
            if name.startswith(("muon", "kfac")):
                print(f"{name:<22} has it after {found.seconds_to(error) / seconds:.2f} of these seconds")
    if options.plot:
        draw(options.plot, outcomes, tasks)


if __name__ == "__main__":
    with threadpool_limits(limits=1, user_api="blas"):
        main()
