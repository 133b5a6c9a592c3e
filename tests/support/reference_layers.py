"""Dropout and batch normalisation in plain NumPy: reference.py's trainer with both between its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import reference
from numpy.typing import NDArray

Array = NDArray[Any]

# --------------------------------------------------------------------------------------------- random numbers

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


def threefry(key: tuple[int, int], x0: Array, x1: Array, rounds: int) -> tuple[Array, Array]:
    """Threefry-2x32 (Salmon et al., 2011): random words as a function of key and counter."""
    keys = np.array([key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]], np.uint32)
    x0, x1 = x0.astype(np.uint32) + keys[0], x1.astype(np.uint32) + keys[1]
    for i in range(rounds):
        r = ROTATIONS[i % 8]
        x0 = x0 + x1
        x1 = ((x1 << np.uint32(r)) | (x1 >> np.uint32(32 - r))) ^ x0
        if i % 4 == 3:
            group = i // 4 + 1
            x0 = x0 + keys[group % 3]
            x1 = x1 + keys[(group + 1) % 3] + np.uint32(group)
    return x0, x1


def draws(seed: int, step: int, layer: int, rows: int, columns: int) -> Array:
    """A random number of 16 bits for each value of a layer, (rows, columns): four rows share a counter.

    The key of a step and layer takes 20 rounds, the numbers take 13, the fewest in which the generator's
    authors know of no statistical flaw.
    """
    key = (seed & 0xFFFFFFFF, seed >> 32)
    x0, x1 = threefry(key, np.array([step]), np.array([layer]), 20)
    four, column = np.meshgrid(np.arange((rows + 3) // 4), np.arange(columns), indexing="ij")
    words = threefry((int(x0[0]), int(x1[0])), four, column, 13)
    halves = [half for word in words for half in (word & np.uint32(0xFFFF), word >> np.uint32(16))]
    return np.stack(halves, axis=1).reshape(-1, columns)[:rows]


def kept(seed: int, step: int, layer: int, rows: int, columns: int, rate: float, dtype: Any) -> Array:
    """Inverted dropout (Srivastava et al., 2014): 0, or 1 / (1 - rate), with which values are multiplied.

    The rate is rounded to a multiple of 1 / 65536 first, so that the expectation is kept.
    """
    threshold = min(int(rate * 65536 + 0.5), 65535)
    dropped = draws(seed, step, layer, rows, columns) < threshold
    return np.where(dropped, 0, 1 / (1 - threshold / 65536)).astype(dtype)


# --------------------------------------------------------------------------------------------- forward


def normalize(z: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    return (z - mean) / np.sqrt(variance + epsilon) * gamma + beta


def moments(z: Array) -> tuple[Array, Array]:
    """Mean and standard deviation by columns, in units of the largest number: no square overflows."""
    largest = np.maximum(np.abs(z).max(axis=0), np.finfo(z.dtype).tiny)
    return largest * (z / largest).mean(axis=0), largest * (z / largest).std(axis=0)


def forward(
    X: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[reference.Named],
    output: str,
    batch_norm: Sequence[Any],
    epsilon: float = 1e-5,
) -> Array:
    """What predicts: the running moments normalise, and nothing is dropped."""
    a = X
    norms = [*batch_norm, None]
    for coef, intercept, name, norm in zip(coefs, intercepts, [*activations, output], norms, strict=True):
        z = a @ coef + intercept
        if norm is not None:
            gamma, beta, mean, variance = norm
            z = normalize(z, mean, variance, gamma, beta, epsilon)
        a = reference.apply(reference.FUNCTIONS, name, z)
    return a


class Trainer(reference.Trainer):
    """``batch_norm``: for each hidden layer None or (gamma, beta, mean, variance), the caller's arrays."""

    def __init__(
        self,
        *args: Any,
        dropout: Sequence[float] | None = None,
        batch_norm: Sequence[Any] | None = None,
        bn_momentum: float = 0.1,
        bn_epsilon: float = 1e-5,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        layers = len(self.params) // 2
        self.base_rates = self.dropout = [0.0] * layers if dropout is None else list(dropout)
        self.norms = [*([None] * (layers - 1) if batch_norm is None else batch_norm), None]
        self.bn_momentum, self.bn_epsilon, self.seed = bn_momentum, bn_epsilon, seed
        # gamma and beta are trained as two more biases of their layer.
        self.normalized = [i for i, norm in enumerate(self.norms) if norm is not None]
        extra = [array for i in self.normalized for array in self.norms[i][:2]]
        self.plain = [*self.plain, *extra]
        by_layer = zip(*(self.factors_of(name, layers - 1) for name in ("bn_gamma", "bn_beta")), strict=True)
        pairs = list(by_layer)
        self.factors += [factor for i in self.normalized for factor in pairs[i]]
        self.load()
        self.slots = {name: [np.zeros_like(p) for p in self.plain] for name in self.slots}

    def run_epoch(
        self, *args: Any, dropout: Sequence[float] | None = None, **kwargs: Any
    ) -> tuple[float, bool]:
        """``dropout`` has the rates of this epoch."""
        self.dropout = self.base_rates if dropout is None else list(dropout)
        return super().run_epoch(*args, **kwargs)

    def train_step(
        self,
        X: Array,
        y: Array,
        sample_weight: Array | None,
        learning_rate: float,
        backprop_depth: int | None,
    ) -> float:
        layers = len(self.dropout)
        coefs, intercepts = self.params[:layers], self.params[layers : 2 * layers]
        gammas = {layer: self.params[2 * layers + 2 * k] for k, layer in enumerate(self.normalized)}
        betas = {layer: self.params[2 * layers + 2 * k + 1] for k, layer in enumerate(self.normalized)}
        total = reference.total_weight(len(X), sample_weight)
        n, first = len(X), layers - (backprop_depth or layers)

        def mask(layer: int, values: Array) -> Array:
            rate = self.dropout[layer] if layer < layers else 0.0
            if rate == 0:
                return np.ones_like(values)
            return kept(self.seed, self.step, layer, *values.shape, rate, values.dtype)

        masks = [mask(0, X)]
        values, sums, centred, inverses = [X * masks[0]], [], [], []
        for layer in range(layers):
            z = values[-1] @ coefs[layer] + intercepts[layer]
            if layer in gammas:
                mean, deviation = moments(z)
                if layer >= first:
                    _, _, running_mean, running_variance = self.norms[layer]
                    running_mean += self.bn_momentum * (mean - running_mean)
                    unbiased = deviation**2 * n / max(n - 1, 1)
                    running_variance += self.bn_momentum * (unbiased - running_variance)
                centred.append(z - mean)
                inverses.append(1 / np.hypot(deviation, np.sqrt(self.bn_epsilon)))
                z = centred[-1] * inverses[-1] * gammas[layer] + betas[layer]
            else:
                centred.append(z)
                inverses.append(np.ones(z.shape[1]))
            sums.append(z)
            name = self.activations[layer] if layer + 1 < layers else reference.output_of(self.loss)
            value = reference.apply(reference.FUNCTIONS, name, z)
            masks.append(mask(layer + 1, value))
            values.append(value * masks[-1])

        loss = reference.reported_loss(self.loss, y, sums[-1], sample_weight)
        loss += reference.penalty(coefs, self.alpha, total, self.l1_ratio)

        delta = reference.slope_of_loss(self.loss, y, values[-1], sums[-1])
        if sample_weight is not None:
            delta = delta * sample_weight[:, None]
        deltas: list[Array] = [delta] * layers
        grads: list[Array | None] = [None] * len(self.params)
        for layer in range(layers - 1, first - 1, -1):
            if layer < layers - 1:
                slope = reference.apply(reference.SLOPES, self.activations[layer], sums[layer])
                delta = (deltas[layer + 1] @ coefs[layer + 1].T) * masks[layer + 1] * slope
            if layer in gammas:
                unit = centred[layer] * inverses[layer]
                k = 2 * layers + 2 * self.normalized.index(layer)
                grads[k], grads[k + 1] = (delta * unit).sum(axis=0) / total, delta.sum(axis=0) / total
                # Ioffe and Szegedy (2015), section 3: through mean and variance, too.
                delta = delta - delta.mean(axis=0) - unit * (delta * unit).mean(axis=0)
                delta = delta * gammas[layer] * inverses[layer]
            else:
                grads[layers + layer] = delta.sum(axis=0) / total
            deltas[layer] = delta
            penalty = self.alpha * (
                (1 - self.l1_ratio) * coefs[layer] + self.l1_ratio * np.sign(coefs[layer])
            )
            grads[layer] = (values[layer].T @ delta + penalty) / total
        if first == 0:
            self.back_to_inputs(grads, deltas[0] @ coefs[0].T * masks[0] / total, total)
        self.update(self.limited(self.seen(grads)), learning_rate)
        return loss

    def back_to_inputs(self, grads: list[Array | None], gradient: Array, total: float) -> None:
        """Takes the gradient of the inputs, before the weights move."""

    def limited(self, grads: list[Array | None]) -> list[Array | None]:
        if self.clip_norm is None:
            return grads
        size = reference.norm([g for g in grads if g is not None])
        limit = float(self.clip_norm)
        return [None if g is None else g * min(1.0, limit / size) for g in grads]
