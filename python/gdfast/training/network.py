"""Networks: their functions, trainers and outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gdfast import _core
from gdfast.training.activations import Activation
from gdfast.training.arrays import Array, as_weights, check_shapes
from gdfast.training.data import Sequences, as_matrix
from gdfast.training.options import StepOptions
from gdfast.training.trainer import CoreEpochOptions, CoreTrainer
from gdfast.training.weights import Weights

if TYPE_CHECKING:  # the losses need scipy, which outputs do without
    from gdfast.training.losses import Loss

GATES = {"elman": 1, "gru": 3, "lstm": 4}


class Network(ABC):
    """A network without its weights.

    Attributes
    ----------
    n_threads : int
        Maximum number of threads; 0 lets the core choose.
    """

    n_threads: int

    @abstractmethod
    def forward(self, weights: Weights, X: Any, rows: Array | None, out: Array) -> None:
        """Write the outputs for these rows (None: all) to ``out``, of shape (n_rows, n_outputs)."""

    @abstractmethod
    def trainer(self, weights: Weights, loss: Loss, step: StepOptions, **arguments: Any) -> CoreTrainer:
        """A trainer of these arrays, in place; ``arguments`` are its batch size, rule and seed."""

    @abstractmethod
    def shapes(self, layer_units: Sequence[int]) -> list[tuple[int, int]]:
        """The shapes of the weight matrices, for the sizes of all layers, inputs and outputs included."""

    @abstractmethod
    def hidden_units(self, weights: Weights) -> list[int]:
        """The sizes of the hidden layers that have these weights."""

    def check(self, weights: Weights, layer_units: Sequence[int]) -> None:
        """ValueError if the weights are not those of layers of these sizes."""
        expected = self.shapes(layer_units)
        check_shapes(weights.coefs, weights.intercepts, expected, f"features, {self._shaped_by} and outputs")
        weights.check_norms(list(layer_units[1:-1]))

    def check_ends(self, weights: Weights, n_inputs: int, n_outputs: int) -> None:
        """ValueError if the weights are not those of layers, of any sizes, between these ends."""
        self.check(weights, [n_inputs, *self.hidden_units(weights), n_outputs])

    @property
    def _shaped_by(self) -> str:
        """The arguments that determine the shapes, for an error."""
        return "hidden_layer_sizes"

    @property
    def is_random(self) -> bool:
        """Whether the network draws random numbers in training."""
        return False

    def steps_per_batch(self, X: Any) -> int:
        """Maximum number of updates of a batch."""
        return 1


@dataclass(frozen=True)
class MLP(Network):
    """A multilayer perceptron.

    Attributes
    ----------
    activations : sequence of str or (str, float)
        One for each hidden layer, in the form that the core takes.
    output : str
        The output layer's activation.
    n_threads : int
        Maximum number of threads; 0 lets the core choose.
    dropout : list of float or None
        A rate for the inputs and one for each hidden layer.
    bn_momentum, bn_epsilon : float
        Arguments of batch normalisation, used if the weights have its arrays.
    """

    activations: Sequence[Activation]
    output: str
    n_threads: int
    dropout: Sequence[float] | None = None
    bn_momentum: float = 0.1
    bn_epsilon: float = 1e-5

    def shapes(self, layer_units: Sequence[int]) -> list[tuple[int, int]]:
        return list(pairwise(layer_units))

    def hidden_units(self, weights: Weights) -> list[int]:
        return [coef.shape[-1] if coef.ndim else 0 for coef in weights.coefs[:-1]]

    @property
    def is_random(self) -> bool:
        return self.dropout is not None

    def arguments(self, weights: Weights) -> dict[str, Any]:
        """The arguments of the core's forward pass, except X."""
        arguments: dict[str, Any] = {
            "coefs": weights.coefs,
            "intercepts": weights.intercepts,
            "activations": self.activations,
            "output": self.output,
            "n_threads": self.n_threads,
        }
        if (norms := weights.norms()) is not None:
            arguments.update(batch_norm=norms, bn_epsilon=self.bn_epsilon)
        if weights.embeddings:
            arguments["embeddings"] = weights.embeddings
        return arguments

    def forward(self, weights: Weights, X: Any, rows: Array | None, out: Array) -> None:
        _core.forward(X, rows=rows, out=out, **self.arguments(weights))

    def outputs(self, weights: Weights, X: Any, n_outputs: int) -> Array:
        """The outputs for all rows, in the dtype of X and weights together: float32 or float64.

        ``X`` is a matrix, dense or sparse, or encoded rows.
        """
        single = np.result_type(X.dtype, weights.dtype) == np.float32
        dtype = np.dtype(np.float32 if single else np.float64)
        out = np.empty((X.shape[0], n_outputs), dtype)
        self.forward(Weights.of(weights.lists, dtype), as_matrix(X, dtype), None, out)
        return out

    def first_overflow(self, weights: Weights, X: Any) -> int | None:
        """The first layer whose outputs are not finite, with the weights as they are."""
        arguments = self.arguments(weights)
        arguments.pop("batch_norm", None)  # their moments are finite
        for layer in range(len(weights.coefs)):
            part = {
                "coefs": weights.coefs[: layer + 1],
                "intercepts": weights.intercepts[: layer + 1],
                "activations": self.activations[:layer],
                "output": "identity",
            }
            if not np.isfinite(_core.forward(X, **{**arguments, **part})).all():
                return layer
        return None

    def kronecker_factors(
        self,
        coefs: list[Array],
        intercepts: list[Array],
        loss: Loss,
        X: Any,
        y: Array,
        rows: Array,
        sample_weight: Array | None,
        seed: Sequence[int] | None,
    ) -> list[tuple[Array, Array]]:
        """For each layer the second moments of inputs and deltas over these rows.

        With a seed, the targets of the rows are drawn from the network's distribution, and written to ``y``.
        """
        arguments = coefs, intercepts, self.activations
        if seed is not None:
            outputs = _core.forward(X, *arguments, self.output, rows=rows, n_threads=self.n_threads)
            y[rows] = _drawn(loss, outputs, np.random.default_rng(seed))
            loss = loss if isinstance(loss, str) else loss[0]  # without label smoothing
        return _core.kronecker_factors(
            X, y, *arguments, loss, rows=rows, sample_weight=sample_weight, n_threads=self.n_threads
        )

    def trainer(self, weights: Weights, loss: Loss, step: StepOptions, **arguments: Any) -> CoreTrainer:
        if self.dropout is not None:
            arguments["dropout"] = list(self.dropout)
        if (norms := weights.norms()) is not None:
            arguments.update(batch_norm=norms, bn_momentum=self.bn_momentum, bn_epsilon=self.bn_epsilon)
        if weights.embeddings:
            arguments["embeddings"] = weights.embeddings
        return _core.Trainer(
            weights.coefs,
            weights.intercepts,
            self.activations,
            loss,
            n_threads=self.n_threads,
            **step.core(),
            **arguments,
        )


@dataclass(frozen=True)
class RNN(Network):
    """Recurrent layers followed by a dense output layer.

    Attributes
    ----------
    cell : {"elman", "gru", "lstm"}
    activation : {"tanh", "relu"}
        Activation of the cell "elman".
    per_step : bool
        Whether there is an output for each step, or one for each sequence.
    tbptt : (int, int) or None
        Number of steps between updates, and number of steps that the gradient reaches back.
    output, n_threads
        As for `MLP`.
    """

    cell: str
    activation: str
    per_step: bool
    tbptt: tuple[int, int] | None
    output: str
    n_threads: int

    @property
    def _core_cell(self) -> str:
        return f"elman_{self.activation}" if self.cell == "elman" else self.cell

    @property
    def _shaped_by(self) -> str:
        return f"cell={self.cell!r}, hidden_layer_sizes"

    def shapes(self, layer_units: Sequence[int]) -> list[tuple[int, int]]:
        """Input-to-hidden and hidden-to-hidden for each layer, and the output layer's."""
        gates = GATES[self.cell]
        layers = pairwise(layer_units[:-1])
        pairs = [((fan_in, gates * units), (units, gates * units)) for fan_in, units in layers]
        return [*(shape for pair in pairs for shape in pair), (layer_units[-2], layer_units[-1])]

    def hidden_units(self, weights: Weights) -> list[int]:
        return [coef.shape[0] if coef.ndim else 0 for coef in weights.coefs[1:-1:2]]

    def state_widths(self, weights: Weights) -> list[int]:
        """Size of the state of a sequence in each layer; an LSTM has the hidden and the cell state."""
        return [np.shape(coef)[0] * (2 if self.cell == "lstm" else 1) for coef in weights.coefs[1:-1:2]]

    def run(self, weights: Weights, X: Sequences, states: list[Array]) -> Array:
        """The outputs; ``states`` are the initial states, and are overwritten with the final ones."""
        dtype = states[0].dtype
        return _core.sequence_forward(
            X.as_type(dtype).steps,
            X.starts,
            as_weights(weights.coefs, dtype, writable=False),
            as_weights(weights.intercepts, dtype, writable=False),
            self._core_cell,
            self.output,
            per_step=self.per_step,
            states=states,
            n_threads=self.n_threads,
        )

    def forward(self, weights: Weights, X: Sequences, rows: Array | None, out: Array) -> None:
        if rows is not None:
            X = X.take(rows)
        dtype = np.dtype(np.float32 if np.result_type(X.dtype, weights.dtype) == np.float32 else np.float64)
        out[...] = self.run(weights, X, [np.zeros((len(X), n), dtype) for n in self.state_widths(weights)])

    def trainer(self, weights: Weights, loss: Loss, step: StepOptions, **arguments: Any) -> CoreTrainer:
        core = _core.SequenceTrainer(
            weights.coefs,
            weights.intercepts,
            self._core_cell,
            loss,
            per_step=self.per_step,
            tbptt=self.tbptt,
            n_threads=self.n_threads,
            **step.core(),
            **arguments,
        )
        return SequenceTrainer(core, self.state_widths(weights), weights.dtype)

    def steps_per_batch(self, X: Sequences) -> int:
        return -(-int(X.lengths.max()) // self.tbptt[0]) if self.per_step and self.tbptt else 1


class SequenceTrainer:
    """The core's trainer of sequences with the interface `Trainer`; it continues from carried states."""

    def __init__(self, core: Any, widths: list[int], dtype: np.dtype[Any]) -> None:
        self._core = core
        self._widths = widths
        self._dtype = dtype
        self.load = core.load
        self.state_dict = core.state_dict
        self.load_state_dict = core.load_state_dict

    @property
    def step(self) -> int:
        return int(self._core.step)

    @property
    def state_is_finite(self) -> bool:
        return bool(self._core.state_is_finite)

    @property
    def not_finite(self) -> tuple[str, int] | None:
        found: tuple[str, int] | None = self._core.not_finite
        return found

    @property
    def records(self) -> Any:
        return self._core.records

    def run_epoch(
        self,
        X: Sequences,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        **options: Unpack[CoreEpochOptions],
    ) -> tuple[float, bool]:
        states = None
        if X.carried is not None:
            before = X.carried.arrays
            if before is None:
                states = [np.zeros((len(X), width), self._dtype) for width in self._widths]
            else:
                states = [np.array(state, self._dtype, order="C") for state in before]
        # All layers are trained.
        of_core = {name: value for name, value in options.items() if name != "backprop_depth"}
        loss, finite = self._core.run_epoch(
            X.steps, X.starts, y, order, sample_weight, **of_core, states=states
        )
        if X.carried is not None and finite:
            X.carried.arrays = states
        return loss, finite


def has_likelihood(loss: Loss) -> bool:
    """Whether the loss is minus a log-likelihood, so that targets can be drawn from the outputs."""
    return loss in ("squared_error", "binary_cross_entropy", "poisson") or (
        (loss if isinstance(loss, str) else loss[0]) == "cross_entropy"
    )


def _drawn(loss: Loss, outputs: Array, rng: np.random.Generator) -> Any:
    """Targets from the distributions that the outputs describe, in the core's form."""
    if loss == "squared_error":
        return outputs + rng.standard_normal(outputs.shape)
    if loss == "poisson":
        return rng.poisson(np.clip(outputs, 0, 1e9))  # (NumPy draws up to about 9e18)
    if loss == "binary_cross_entropy":
        return rng.random(outputs.shape) < outputs
    total = np.cumsum(outputs, axis=1)
    below = total < rng.random((len(outputs), 1)) * total[:, -1:]
    return np.minimum(below.sum(axis=1), outputs.shape[1] - 1)
