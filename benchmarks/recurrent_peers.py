"""How each library trains a recurrent network, written as someone who knows it well would.

One recurrent layer under one output that is read from the last step: half the squared error, Adam at 0.001,
sequences in a new order every epoch. All start from the same weights. Libraries are imported inside
functions: a worker process loads its own alone.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Train = Callable[[int], float]
"""Train from the initial weights for this many epochs; return the mean loss of the last."""

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
FEATURES = 8
GATES = {"elman": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class RecurrentNet:
    """A recurrent layer, the length of its sequences, and its batch."""

    cell: str
    units: int
    steps: int
    batch: int

    def __str__(self) -> str:
        return f"{self.cell} {self.units} ({self.steps}, {self.batch})"

    @property
    def flops_per_sequence(self) -> int:
        """Arithmetic of the matrix products: nothing flows back into the inputs."""
        gates = GATES[self.cell] * self.units
        return self.steps * gates * (4 * FEATURES + 6 * self.units)

    @property
    def epoch_sequences(self) -> int:
        """Sequences of an epoch of about 8 GFLOP, in 4 to 32 whole batches."""
        return self.batch * int(min(32, max(4, 8e9 / self.flops_per_sequence / self.batch)))


def make_data(net: RecurrentNet) -> tuple[Array, Array]:
    """Random sequences, and a weighted sum of each with noise."""
    rng = np.random.default_rng(0)
    n = net.epoch_sequences
    X = rng.standard_normal((n, net.steps, FEATURES), dtype=np.float32)
    teacher = rng.standard_normal((net.steps, FEATURES), dtype=np.float32) / (net.steps * FEATURES) ** 0.5
    y = np.einsum("ntf,tf->n", X, teacher) + 0.3 * rng.standard_normal(n, dtype=np.float32)
    return X, y.astype(np.float32)


def initial_weights(net: RecurrentNet) -> tuple[list[Array], list[Array]]:
    """As torch draws them, in gdfast's layout: (fan_in, fan_out), from below, from before, the head."""
    rng = np.random.default_rng(1)
    bound, gates = net.units**-0.5, GATES[net.cell] * net.units
    shapes = [(FEATURES, gates), (net.units, gates), (net.units, 1)]
    coefs = [rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes]
    return coefs, [rng.uniform(-bound, bound, shape[1]).astype(np.float32) for shape in shapes]


class RecurrentBench:
    """One library at work; lives in a worker process."""

    def __init__(self, peer: str) -> None:
        importlib.import_module(MODULES[peer])
        self._peer = peer

    def prepare(self, net: RecurrentNet) -> None:
        self._train = TRAINERS[self._peer](net, *make_data(net))

    def train(self, epochs: int) -> tuple[float, float]:
        """Seconds that so many epochs took, and the mean loss of the last."""
        start = time.perf_counter()
        loss = self._train(epochs)
        return time.perf_counter() - start, loss


def _train_gdfast(net: RecurrentNet, X: Array, y: Array) -> Train:
    """Through ``fit``: checks of X and y included."""
    from gdfast import RNNRegressor

    coefs, intercepts = initial_weights(net)

    def train(epochs: int) -> float:
        est = RNNRegressor(
            net.units,
            cell=net.cell,
            batch_size=net.batch,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=np.inf,
            coefs_init=coefs,
            intercepts_init=intercepts,
            random_state=0,
        )
        with warnings.catch_warnings():
            # Stopping at max_iter is what was asked for.
            warnings.filterwarnings("ignore", message=".*Maximum iterations")
            return float(est.fit(X, y).loss_)

    return train


def _torch_model(torch: Any, net: RecurrentNet) -> tuple[Any, Any]:
    kind = {"elman": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[net.cell]
    rnn, head = kind(FEATURES, net.units, batch_first=True), torch.nn.Linear(net.units, 1)
    coefs, intercepts = initial_weights(net)
    arrays = [*(c.T for c in coefs), *intercepts]
    parameters = [
        rnn.weight_ih_l0, rnn.weight_hh_l0, head.weight, rnn.bias_ih_l0, rnn.bias_hh_l0, head.bias
    ]  # fmt: skip
    with torch.no_grad():
        for parameter, array in zip(parameters, arrays, strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return rnn, head


def _train_torch(net: RecurrentNet, X: Array, y: Array, compiled: bool = False) -> Train:
    import torch

    torch.set_flush_denormal(True)
    rows, targets = torch.from_numpy(X), torch.from_numpy(y)

    def loss_of(rnn: Any, head: Any, x: Any, target: Any) -> Any:
        return 0.5 * torch.nn.functional.mse_loss(head(rnn(x)[0][:, -1])[:, 0], target)

    if compiled:
        # torch leaves recurrent layers as they are unless it is told; then all steps are one graph.
        torch._dynamo.config.allow_rnn = True
        loss_of = torch.compile(loss_of, dynamic=False)

    def train(epochs: int) -> float:
        rnn, head = _torch_model(torch, net)
        parameters = [*rnn.parameters(), *head.parameters()]
        optimizer = torch.optim.Adam(
            parameters, LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )
        for _ in range(epochs):
            losses = []
            for batch in torch.randperm(len(rows)).split(net.batch):
                loss = loss_of(rnn, head, rows.index_select(0, batch), targets.index_select(0, batch))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    return train


def _train_torch_compile(net: RecurrentNet, X: Array, y: Array) -> Train:
    return _train_torch(net, X, y, compiled=True)


def _train_jax(net: RecurrentNet, X: Array, y: Array) -> Train:
    """A scan over time in a scan over batches: a whole epoch is one compiled call that reuses its state."""
    import jax
    import jax.numpy as jnp

    def cell(U: Any, c: Any, state: Any, a: Any) -> Any:
        h = state[0]
        r = h @ U + c
        if net.cell == "elman":
            return (jnp.tanh(a + r),)
        if net.cell == "gru":
            (a_r, a_z, a_n), (r_r, r_z, r_n) = jnp.split(a, 3, axis=1), jnp.split(r, 3, axis=1)
            z = jax.nn.sigmoid(a_z + r_z)
            n = jnp.tanh(a_n + jax.nn.sigmoid(a_r + r_r) * r_n)
            return ((1 - z) * n + z * h,)
        i, f, g, o = jnp.split(a + r, 4, axis=1)
        new = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(new), new

    def loss_at(parameters: Any, x: Any, target: Any) -> Any:
        (W, U, V), (b, c, d) = parameters
        # What comes from below is one product for all steps.
        below = jnp.swapaxes(x @ W + b, 0, 1)
        zero = jnp.zeros((x.shape[0], net.units), x.dtype)
        start = (zero, zero) if net.cell == "lstm" else (zero,)
        end, _ = jax.lax.scan(lambda state, a: (cell(U, c, state, a), None), start, below)
        return 0.5 * (((end[0] @ V + d)[:, 0] - target) ** 2).mean()

    def step(state: Any, batch: Any) -> tuple[Any, Any]:
        p, m, v, t = state
        loss, g = jax.value_and_grad(loss_at)(p, *batch)
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, g)
        rate, root = LEARNING_RATE / (1 - BETA_1**t), jnp.sqrt(1 - BETA_2**t)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + EPSILON), p, m, v)
        return (p, m, v, t), loss

    def epoch(state: Any, rows: Any, targets: Any, order: Any) -> tuple[Any, Any]:
        batches = (rows[order].reshape(-1, net.batch, *X.shape[1:]), targets[order].reshape(-1, net.batch))
        state, losses = jax.lax.scan(step, state, batches)
        return state, losses.mean()

    compiled = jax.jit(epoch, donate_argnums=0)
    rows, targets = jnp.asarray(X), jnp.asarray(y)
    rng = np.random.default_rng(0)

    def train(epochs: int) -> float:
        p = jax.tree.map(jnp.asarray, initial_weights(net))
        zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
        state = (p, *zeros, jnp.zeros((), jnp.float32))
        for _ in range(epochs):
            state, loss = compiled(state, rows, targets, rng.permutation(len(X)))
        return float(loss)

    return train


TRAINERS: dict[str, Callable[[RecurrentNet, Array, Array], Train]] = {
    "gdfast": _train_gdfast,
    "torch": _train_torch,
    "torch.compile": _train_torch_compile,
    "jax": _train_jax,
}
MODULES = {"gdfast": "gdfast", "torch": "torch", "torch.compile": "torch", "jax": "jax"}
