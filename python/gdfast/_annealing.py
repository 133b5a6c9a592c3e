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
class Walk:
    """Where a walk is after a proposal.

    Attributes
    ----------
    x : array of shape (n,)
    energy : float
        The energy of x.
    best : array of shape (n,)
        The best point so far.
    best_energy : float
    step : int
        Number of proposals.
    scale : float
        Scale of the next proposal, in units of ``step_size``.
    evaluations : int
        Number of evaluations before the first proposal.
    initial_temp, final_temp : float
    moves : _Moves
    """

    x: Vector
    energy: float
    best: Vector
    best_energy: float
    evaluations: int
    initial_temp: float
    final_temp: float
    moves: _Moves
    step: int = 0
    scale: float = 1.0

    def state_dict(self) -> dict[str, Any]:
        """The whole state as plain arrays, numbers and dicts."""
        return {
            "x": self.x.copy(),
            "best": self.best.copy(),
            "moves": self.moves.state_dict(),
            **{name: getattr(self, name) for name in _NUMBERS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of a walk of the same energy and arguments."""
        self.x, self.best = np.array(state["x"]), np.array(state["best"])
        self.moves.load_state_dict(state["moves"])
        for name in _NUMBERS:
            setattr(self, name, state[name])


_NUMBERS = ("energy", "best_energy", "evaluations", "initial_temp", "final_temp", "step", "scale")


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
    callback: Callable[[Walk], bool] | None = None,
    state: dict[str, Any] | None = None,
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
        Called as ``callback(walk)`` after every proposal; True ends the walk.
    state : dict, default=None
        The state of an earlier walk with the same arguments, which goes on; ``rng`` is set to its state.

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
    if state is None:
        walk = _begin(energy, x, moves, max_evaluations, initial_temp, final_temp, step_size, project)
    else:
        walk = Walk(x, 0.0, x, 0.0, 0, 0.0, 0.0, moves)
        walk.load_state_dict(state)
    left = max_evaluations - walk.evaluations
    between_returns = max(1, left // RETURNS)
    moved = _proposals(moves, project)
    stopped = False
    for step in range(walk.step, left):
        if step % between_returns == 0:
            walk.x, walk.energy = walk.best, walk.best_energy
        temp = temperature(cooling, walk.initial_temp, walk.final_temp, step / max(left - 1, 1), step)
        proposal = moved(walk.x, walk.scale * step_size)
        value = _worst_if_nan(energy(proposal))
        rise = value - walk.energy
        # inf - inf is NaN, which is never accepted.
        accepted = rise <= 0 or moves.uniform() < math.exp(-rise / temp)
        if accepted:
            walk.x, walk.energy = proposal, value
            if value < walk.best_energy:
                walk.best, walk.best_energy = proposal, value
        walk.scale = min(LARGEST, walk.scale * math.exp(0.05 * (accepted - ACCEPTED)))
        walk.step = step + 1
        if callback is not None and callback(walk):
            stopped = True
            break
    return Annealed(walk.best, walk.best_energy, walk.step, walk.evaluations + walk.step, stopped)


def _proposals(
    moves: _Moves, project: Callable[[Vector], Vector] | None
) -> Callable[[Vector, float | Vector], Vector]:
    """The function from a point and a scale to the next proposal."""

    def moved(x: Vector, size: float | Vector) -> Vector:
        with np.errstate(over="ignore"):
            proposal = x + size * moves.next()
        return proposal if project is None else project(proposal)

    return moved


def _begin(
    energy: Callable[[Vector], float],
    x: Vector,
    moves: _Moves,
    max_evaluations: int,
    initial_temp: float | None,
    final_temp: float | None,
    step_size: float | Vector,
    project: Callable[[Vector], Vector] | None,
) -> Walk:
    """A walk before its first proposal."""
    moved = _proposals(moves, project)
    here = _worst_if_nan(energy(x))
    evaluations = 1
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
    return Walk(x.copy(), here, x.copy(), here, evaluations, initial_temp, final_temp, moves)


def _worst_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value


class _Moves:
    """Random vectors and numbers, drawn in blocks."""

    def __init__(self, rng: np.random.Generator, n: int, dtype: Any) -> None:
        self.rng, self.n, self.dtype = rng, n, dtype
        self.rows = max(1, min(1024, 100_000 // max(n, 1)))
        self.at = self.rows
        self.before: dict[str, Any] | None = None  # the generator's state before the block was drawn

    def next(self) -> Vector:
        if self.at == self.rows:
            self.at = 0
            self._draw()
        self.at += 1
        vector: Vector = self.vectors[self.at - 1]
        return vector

    def _draw(self) -> None:
        self.before = dict(self.rng.bit_generator.state)
        lengths = np.minimum(np.abs(self.rng.standard_cauchy((self.rows, 1))), 1e3)
        self.vectors = (lengths * self.rng.standard_normal((self.rows, self.n))).astype(self.dtype)
        self.numbers = self.rng.random(self.rows).tolist()

    def uniform(self) -> float:
        return float(self.numbers[self.at - 1])

    def state_dict(self) -> dict[str, Any]:
        return {"before": self.before, "at": self.at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not 0 <= state["at"] <= self.rows:
            raise ValueError(f"a walk is at one of {self.rows} moves, got {state['at']}")
        self.at = state["at"]
        if state["before"] is not None:
            self.rng.bit_generator.state = state["before"]
            self._draw()
