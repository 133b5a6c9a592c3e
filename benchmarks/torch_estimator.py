"""A scikit-learn estimator over torch, as small and as fast as its user would write it.

It stops exactly as scikit-learn's MLP with ``early_stopping=True`` does: a tenth of the rows is held
out, scored after every epoch, and the best weights are kept when the score has not improved by `tol` for
`n_iter_no_change` epochs. A generic wrapper would cost torch time for every batch, and be no comparison.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split

Array = np.ndarray[Any, Any]
F = torch.nn.functional


class _TorchMLP(BaseEstimator):  # type: ignore[misc]
    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (100,),
        *,
        alpha: float = 1e-4,
        batch_size: int = 200,
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        validation_fraction: float = 0.1,
        random_state: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _fit(self, X: Array, y: Array, stratify: Array | None, n_outputs: int) -> None:
        torch.manual_seed(self.random_state)
        parts = train_test_split(
            X, y, test_size=self.validation_fraction, random_state=self.random_state, stratify=stratify
        )
        rows, held_out_rows, targets, held_out = (torch.from_numpy(part) for part in parts)
        self._model = _model((X.shape[1], *self.hidden_layer_sizes, n_outputs))
        optimizer = self._optimizer()
        best, best_weights, waited = -np.inf, copy.deepcopy(self._model.state_dict()), 0
        for epoch in range(1, self.max_iter + 1):
            self.n_iter_ = epoch
            for batch in torch.randperm(len(rows)).split(self.batch_size):
                loss = self._loss(self._model(rows.index_select(0, batch)), targets.index_select(0, batch))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            score = self._score(held_out, self._outputs(held_out_rows))
            waited = 0 if score >= best + self.tol else waited + 1
            if score > best:
                best, best_weights = score, copy.deepcopy(self._model.state_dict())
            if waited > self.n_iter_no_change:
                break
        self._model.load_state_dict(best_weights)

    def _optimizer(self) -> torch.optim.Optimizer:
        # scikit-learn's L2 leaves the biases out, and divides by the batch.
        parameters = dict(self._model.named_parameters())
        groups = [
            {"params": [p for name, p in parameters.items() if name.endswith("weight")],
             "weight_decay": self.alpha / self.batch_size},
            {"params": [p for name, p in parameters.items() if name.endswith("bias")]},
        ]  # fmt: skip
        return torch.optim.Adam(groups, self.learning_rate_init, fused=True)

    def _outputs(self, X: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            outputs: torch.Tensor = self._model(X)
            return outputs

    def _predicted(self, outputs: torch.Tensor) -> Array:
        raise NotImplementedError

    def _loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _score(self, targets: torch.Tensor, outputs: torch.Tensor) -> float:
        raise NotImplementedError


class TorchMLPClassifier(ClassifierMixin, _TorchMLP):  # type: ignore[misc]
    def fit(self, X: Array, y: Array) -> Self:
        self.classes_, codes = np.unique(y, return_inverse=True)
        binary = len(self.classes_) == 2
        targets = codes.astype(np.float32)[:, None] if binary else codes.astype(np.int64)
        self._fit(X, targets, codes, 1 if binary else len(self.classes_))
        return self

    def predict(self, X: Array) -> Array:
        labels: Array = self.classes_[self._predicted(self._outputs(torch.from_numpy(X)))]
        return labels

    def _predicted(self, outputs: torch.Tensor) -> Array:
        codes = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(1)
        predicted: Array = codes.numpy().astype(np.int64)
        return predicted

    def _loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if outputs.shape[1] == 1:
            return F.binary_cross_entropy_with_logits(outputs, targets)
        return F.cross_entropy(outputs, targets)

    def _score(self, targets: torch.Tensor, outputs: torch.Tensor) -> float:
        return float(accuracy_score(targets.numpy().ravel().astype(np.int64), self._predicted(outputs)))


class TorchMLPRegressor(RegressorMixin, _TorchMLP):  # type: ignore[misc]
    def fit(self, X: Array, y: Array) -> Self:
        self._fit(X, y.astype(X.dtype)[:, None], None, 1)
        return self

    def predict(self, X: Array) -> Array:
        return self._predicted(self._outputs(torch.from_numpy(X)))

    def _predicted(self, outputs: torch.Tensor) -> Array:
        values: Array = outputs[:, 0].numpy()
        return values

    def _loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 0.5 * F.mse_loss(outputs, targets)

    def _score(self, targets: torch.Tensor, outputs: torch.Tensor) -> float:
        return float(r2_score(targets.numpy(), outputs.numpy()))


def _model(widths: tuple[int, ...]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = torch.nn.Linear(fan_in, fan_out)
        bound = (6 / (fan_in + fan_out)) ** 0.5  # scikit-learn's, for weights and biases alike
        torch.nn.init.uniform_(linear.weight, -bound, bound)
        torch.nn.init.uniform_(linear.bias, -bound, bound)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
