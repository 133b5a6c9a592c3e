"""Go on from a state."""

from __future__ import annotations

from gdfast.training.annealing import Energy, train_annealing
from gdfast.training.data import Data
from gdfast.training.lbfgs import train_lbfgs
from gdfast.training.listeners import Listeners
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor
from gdfast.training.network import MLP, Network
from gdfast.training.options import TrainingOptions
from gdfast.training.outcome import Outcome
from gdfast.training.state import TrainingState
from gdfast.training.stochastic import train_stochastic


def train(
    network: Network,
    loss: Loss,
    data: Data,
    state: TrainingState,
    options: TrainingOptions,
    monitor: Monitor,
    listeners: Listeners,
    energy: Energy | None = None,
) -> Outcome:
    """Train in place, and say why training has ended.

    Parameters
    ----------
    network : Network
    loss : str or tuple
        What is descended, by the core's name.
    data : Data
        The rows of the state's order are trained on, by stochastic solvers; all, by lbfgs.
    state : TrainingState
    options : TrainingOptions
    monitor : Monitor
    listeners : Listeners
    energy : Energy or None
        What annealing makes small.

    Raises
    ------
    ValueError
        If the weights of the samples allow no step.
    KeyboardInterrupt
        Before the first step; later Ctrl-C ends training as an outcome.
    """
    if options.solver == "lbfgs":
        assert isinstance(network, MLP)
        return train_lbfgs(network, loss, data, state, options, monitor, listeners)
    if options.solver == "annealing":
        assert energy is not None
        n_rows = len(data.y) if state.order is None else len(state.order)
        return train_annealing(energy, n_rows, state, options, monitor, listeners)
    return train_stochastic(network, loss, data, state, options, monitor, listeners)
