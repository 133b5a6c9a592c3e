"""PyTorch modules for what it has not: recurrent layers with a dense output layer, and two output layers."""

# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence


class Exp(nn.Module):
    """The exponential function."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.exp(z)


class Quantiles(nn.Module):
    """Quantiles that do not cross: the first, and what each further one adds, by softplus."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        steps = torch.cat([z[..., :1], nn.functional.softplus(z[..., 1:], threshold=40)], -1)
        return steps.cumsum(-1)


class Recurrent(nn.Module):
    """Recurrent layers and a dense output layer.

    Parameters
    ----------
    layers : sequence of nn.RNN, nn.GRU or nn.LSTM
        One after another, with ``batch_first=True``.
    head : nn.Linear
    output : nn.Module
        The output layer's activation.
    per_step : bool
        Whether there is an output for each step, or one for each sequence.
    """

    def __init__(
        self, layers: Sequence[nn.Module], head: nn.Linear, output: nn.Module, per_step: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.head, self.output, self.per_step = head, output, per_step

    def forward(self, X: Any) -> Any:
        """The outputs for a tensor of shape (n_sequences, n_steps, n_features), or a PackedSequence."""
        final: Any = None
        for layer in self.layers:
            X, final = layer(X)
        if not self.per_step:
            hidden = final[0] if isinstance(final, tuple) else final
            return self.output(self.head(hidden[-1]))
        if isinstance(X, PackedSequence):
            return X._replace(data=self.output(self.head(X.data)))
        return self.output(self.head(X))
