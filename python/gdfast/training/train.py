"""Training from a state, by any solver."""

from __future__ import annotations

from gdfast.training.annealing import Energy, train_annealing
from gdfast.training.blocks import BlockedData
from gdfast.training.data import Data
from gdfast.training.lbfgs import train_lbfgs
from gdfast.training.listeners import Listeners
from gdfast.training.lm import train_lm
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import MLP, Network
from gdfast.training.newton_cg import train_newton_cg
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import Outcome
from gdfast.training.state import TrainingState
from gdfast.training.stochastic import train_stochastic


def train(
    network: Network,
    loss: Loss,
    data: Data | BlockedData,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
    energy: Energy | None = None,
) -> Outcome:
    """Train in place, and return the outcome.

    A state loaded by `TrainingState.load_state_dict` continues the run that it was taken from. If that has
    ended for another reason than a limit on epochs or time, or Ctrl-C, there is nothing to continue.

    Parameters
    ----------
    network : Network
    loss : str or tuple
        The core's name of the loss.
    data : Data or BlockedData
        Solvers train on the rows of the state's order, lbfgs on all rows, and the stochastic ones on blocks,
        too.
    state : TrainingState
    options : TrainingOptions
    monitor : Monitor
    listeners : Listeners
    energy : Energy or None
        The function that annealing minimizes.

    Raises
    ------
    ValueError
        If the sample weights allow no step.
    KeyboardInterrupt
        By Ctrl-C before the first step; later Ctrl-C ends training with an outcome.
    """
    outcome = _ended(state) or _solve(network, loss, data, state, options, monitor, listeners, energy)
    state.ended_by, state.solver_state = outcome.reason, {}
    return outcome


def _solve(
    network: Network,
    loss: Loss,
    data: Data | BlockedData,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
    energy: Energy | None,
) -> Outcome:
    if options.solver == "stochastic":
        return train_stochastic(network, loss, data, state, options, monitor, listeners)
    assert isinstance(data, Data)
    if options.solver == "annealing":
        assert energy is not None
        n_rows = len(data.y) if state.order is None else len(state.order)
        return train_annealing(energy, n_rows, state, options, monitor, listeners)
    assert isinstance(network, MLP)
    return _WHOLE_DATA[options.solver](network, loss, data, state, options, monitor, listeners)


# Each step of these takes all rows.
_WHOLE_DATA = {"lbfgs": train_lbfgs, "lm": train_lm, "newton-cg": train_newton_cg}


def _ended(state: TrainingState) -> Outcome | None:
    """The outcome of a run that does not go on."""
    if state.ended_by in (None, "max_iter", "out_of_time", "interrupted"):
        state.ended_by = None
        return None
    return Outcome(state.ended_by)
