"""Cells and their training against torch.nn.RNN, GRU and LSTM, weight by weight, where torch is installed."""

from __future__ import annotations

from typing import Any

import pytest
from gdfast import _core
from problems import norm_error
from sequences import SGD, SequenceProblem, sequence_problem

torch = pytest.importorskip("torch")

STEPS, SEQUENCES = 9, 6
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "elman_tanh": ("RNN", {"nonlinearity": "tanh"}),
    "elman_relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}


class Torch:
    """The same network in torch: its weights are ours, transposed."""

    def __init__(self, p: SequenceProblem) -> None:
        kind, options = KINDS[p.cell]
        units = p.units[0]
        self.rnn = getattr(torch.nn, kind)(
            p.X.shape[1], units, len(p.units), batch_first=True, dtype=torch.float64, **options
        )
        self.head = torch.nn.Linear(units, p.coefs[-1].shape[1], dtype=torch.float64)
        with torch.no_grad():
            for ours, theirs in zip(p.parameters, self.parameters, strict=True):
                theirs.copy_(torch.from_numpy(ours.T.copy()))

    @property
    def parameters(self) -> list[Any]:
        layers = range(self.rnn.num_layers)
        names = [f"{what}_l{i}" for i in layers for what in ("{}_ih", "{}_hh")]
        weights, biases = ([getattr(self.rnn, n.format(w)) for n in names] for w in ("weight", "bias"))
        return [*weights, self.head.weight, *biases, self.head.bias]

    def __call__(self, X: Any, per_step: bool) -> Any:
        states, _ = self.rnn(X)
        return self.head(states if per_step else states[:, -1])


@pytest.mark.parametrize("per_step", [False, True], ids=["last step", "each step"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", KINDS)
def test_outputs_and_updates(cell: str, layers: int, per_step: bool) -> None:
    p = sequence_problem(
        cell, features=3, hidden=[7] * layers, outputs=2, lengths=[STEPS] * SEQUENCES, per_step=per_step
    )
    theirs = Torch(p)
    X = torch.from_numpy(p.X.reshape(SEQUENCES, STEPS, -1))
    y = torch.from_numpy(p.y.reshape(SEQUENCES, *([STEPS] if per_step else []), -1))
    outputs = _core.sequence_forward(
        p.X, p.starts, p.coefs, p.intercepts, cell, "identity", per_step=per_step
    )
    expected = theirs(X, per_step)
    assert norm_error(outputs, expected.detach().numpy().reshape(outputs.shape)) < 1e-13

    # Three updates of plain gradient descent: of our loss, half the squared error, summed over outputs.
    ours = p.trainer(rule=SGD, learning_rate=0.05, batch_size=SEQUENCES)
    optimizer = torch.optim.SGD(theirs.parameters, lr=0.05)
    for _ in range(3):
        ours.epoch()
        optimizer.zero_grad()
        (0.5 * ((theirs(X, per_step) - y) ** 2).sum(dim=-1).mean()).backward()
        optimizer.step()
    for a, b in zip(ours.parameters, theirs.parameters, strict=True):
        assert norm_error(a, b.detach().numpy().T) < 1e-12
