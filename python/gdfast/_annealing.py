"""Simulated annealing of a vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[Any]

COOLINGS = ("geometric", "linear", "logarithmic")

ACCEPTED = 0.25  # between 0.44, best in one dimension, and 0.23, best in many (Roberts et al. 1997)
# Maximum scale, in units of step_size: where a function is flat, every proposal is accepted and the scale
# grows.
LARGEST = 10.0
# Number of restarts from the best point, which the walk may have left for a worse local minimum.
RETURNS = 30


@dataclass
class Annealed:
    """The result of annealing.

    Attributes
    ----------
    x : array of shape (n,)
        The best point.
    energy : float
        Its energy.
    steps : int
        Number of proposals.
    evaluations : int
        Number of evaluations of the energy.
    stopped : bool
        Whether the callback ended the walk.
    """

    x: Vector
    energy: float
    steps: int
    evaluations: int
    stopped: bool


def temperature(cooling: str, hot: float, cold: float, part: float, step: int) -> float:
    """The temperature at a ``step`` (from 0), which is the fraction ``part`` of all steps.

    Geometric cooling decreases by the same factor in every step, linear cooling by the same amount.
    Logarithmic cooling satisfies the condition of the convergence proof (Hajek 1988, theorem 1), but is very
    slow in practice.
    """
    if cooling == "geometric":
        return hot * float((cold / hot) ** part)
    if cooling == "linear":
        return hot + (cold - hot) * part
    return hot * math.log(2) / math.log(step + 2)


def anneal(
    energy: Callable[[Vector], float],
    x: Vector,
    *,
    rng: np.random.Generator,
    max_evaluations: int,
    cooling: str = "geometric",
    initial_temp: float | None = None,
    final_temp: float | None = None,
    step_size: float | Vector = 1.0,
    project: Callable[[Vector], Vector] | None = None,
    callback: Callable[[int, Vector, float], bool] | None = None,
) -> Annealed:
    """Minimize an energy by simulated annealing, starting from ``x``.

    A proposal adds to ``x`` a normal vector times a length whose distribution is Cauchy's, so that long jumps
    remain possible (Szu and Hartley 1987). It is accepted if its energy is lower, and with probability
    ``exp(-rise / temperature)`` if it is higher (Metropolis et al. 1953); the walk restarts thirty times from
    the best point so far. The lengths adapt so that a quarter of the proposals is accepted, whatever the
    temperature and the number of dimensions.

    Parameters
    ----------
    energy : callable
        A function of an array like ``x``, which it must not change; NaN counts as infinity.
    x : array of shape (n,), float32 or float64
        Initial point; not changed.
    rng : numpy.random.Generator
    max_evaluations : int
        Maximum number of evaluations of the energy.
    cooling : {"geometric", "linear", "logarithmic"}, default="geometric"
        How the temperature decreases.
    initial_temp : float, default=None
        None uses the median absolute change of the energy over initial proposals, which take a hundredth of
        all evaluations (at most 200).
    final_temp : float, default=None
        None uses a millionth of the initial temperature. Not used by logarithmic cooling.
    step_size : float or array of shape (n,), default=1.0
        Scale of the first proposals; later scales are at most ten times as large.
    project : callable, default=None
        Projects a proposal onto the feasible set.
    callback : callable, default=None
        Called as ``callback(step, best, best_energy)`` after every proposal; True ends the walk.

    Returns
    -------
    Annealed

    References
    ----------
    Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", Science 220 (1983). Metropolis et
    al., "Equation of state calculations by fast computing machines", J. Chem. Phys. 21 (1953). Szu and
    Hartley, "Fast simulated annealing", Physics Letters A 122 (1987). Hajek, "Cooling schedules for optimal
    annealing", Math. Oper. Res. 13 (1988).

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast._annealing import anneal
    >>> def energy(x):
    ...     return float(np.sum(x**2) + 10 * np.sum(1 - np.cos(2 * np.pi * x)))  # Rastrigin
    >>> found = anneal(energy, np.full(2, 4.5), rng=np.random.default_rng(0), max_evaluations=20_000)
    >>> bool(abs(found.x).max() < 0.01), found.evaluations
    (True, 20000)
    """
    moves = _Moves(rng, x.size, x.dtype)

    def moved(x: Vector, size: float | Vector) -> Vector:
        with np.errstate(over="ignore"):
            proposal = x + size * moves.next()
        return proposal if project is None else project(proposal)

    here = _worst_if_nan(energy(x))
    best, best_energy, evaluations = x.copy(), here, 1
    if initial_temp is None:
        probes = min(max(1, max_evaluations // 100), 200, max_evaluations - 1)
        rises = []
        for _ in range(probes):
            value = _worst_if_nan(energy(moved(x, step_size)))
            rises.append(abs(value - here))
        evaluations += probes
        known = [rise for rise in rises if math.isfinite(rise) and rise > 0]
        initial_temp = float(np.median(known)) if known else 1.0
    if final_temp is None:
        final_temp = 1e-6 * initial_temp
    left = max_evaluations - evaluations
    scale, stopped, step = 1.0, False, 0
    between_returns = max(1, left // RETURNS)
    x = x.copy()
    for step in range(left):
        if step % between_returns == 0:
            x, here = best, best_energy
        heat = temperature(cooling, initial_temp, final_temp, step / max(left - 1, 1), step)
        proposal = moved(x, scale * step_size)
        value = _worst_if_nan(energy(proposal))
        rise = value - here
        # inf - inf is NaN, which is never accepted.
        accepted = rise <= 0 or moves.luck() < math.exp(-rise / heat)
        if accepted:
            x, here = proposal, value
            if value < best_energy:
                best, best_energy = proposal, value
        scale = min(LARGEST, scale * math.exp(0.05 * (accepted - ACCEPTED)))
        if callback is not None and callback(step, best, best_energy):
            stopped = True
            break
    steps = step + 1 if left > 0 else 0
    return Annealed(best, best_energy, steps, max_evaluations - left + steps, stopped)


def _worst_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value


class _Moves:
    """Random vectors and numbers, drawn in blocks."""

    def __init__(self, rng: np.random.Generator, n: int, dtype: Any) -> None:
        self.rng, self.n, self.dtype = rng, n, dtype
        self.rows = max(1, min(1024, 100_000 // max(n, 1)))
        self.at = self.rows

    def next(self) -> Vector:
        if self.at == self.rows:
            self.at = 0
            lengths = np.minimum(np.abs(self.rng.standard_cauchy((self.rows, 1))), 1e3)
            self.vectors = (lengths * self.rng.standard_normal((self.rows, self.n))).astype(self.dtype)
            self.numbers = self.rng.random(self.rows).tolist()
        self.at += 1
        vector: Vector = self.vectors[self.at - 1]
        return vector

    def luck(self) -> float:
        return float(self.numbers[self.at - 1])
