"""Recurrent networks in plain NumPy, written to be read: the specification of gdfast's sequences.

A network is a stack of recurrent layers and a dense head. Layer l has two weight matrices, each with biases
of its own: ``coefs[2 * l]`` of shape (inputs, gates * units), from what comes in, and ``coefs[2 * l + 1]`` of
shape (units, gates * units), from the layer's own last state. ``coefs[-1]`` and ``intercepts[-1]`` are the
head. With ``a = x @ W + b`` and ``r = h @ U + c``, cut into gates in this order, a step is::

    elman   h' = f(a + r)                                              f is tanh or relu
    gru     r, z, n:    r = s(a_r + r_r), z = s(a_z + r_z), n = tanh(a_n + r * r_n)
            h' = (1 - z) n + z h                                       (the reset after the product)
    lstm    i, f, g, o: c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c')

which are the cells of torch.nn.RNN, GRU and LSTM with their weights transposed. Sequences are taken one by
one, one step after the other: whatever is said here of ragged batches holds because nothing is ever padded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import reference
from numpy.typing import NDArray
from reference import FUNCTIONS, OUTPUT_OF, logistic

Array = NDArray[Any]

GATES = {"elman_tanh": 1, "elman_relu": 1, "gru": 3, "lstm": 4}
STATES = {"elman_tanh": 1, "elman_relu": 1, "gru": 1, "lstm": 2}

# ------------------------------------------------------------------------------------------------- one cell


def cell_forward(cell: str, a: Array, r: Array, state: Array) -> tuple[Array, tuple[Array, ...]]:
    """The next state, and what the way back needs. A state is (rows, units), an LSTM's h and then c."""
    if cell == "elman_tanh":
        h = np.tanh(a + r)
        return h, (h,)
    if cell == "elman_relu":
        h = np.maximum(a + r, 0)
        return h, (h,)
    if cell == "gru":
        (a_r, a_z, a_n), (r_r, r_z, r_n) = np.split(a, 3, axis=1), np.split(r, 3, axis=1)
        reset, update = logistic(a_r + r_r), logistic(a_z + r_z)
        # It may have overflowed; a reset gate of zero still closes it.
        r_n = np.clip(r_n, np.finfo(r_n.dtype).min, np.finfo(r_n.dtype).max)
        new = np.tanh(a_n + reset * r_n)
        return (1 - update) * new + update * state, (reset, update, new, r_n, state)
    h, c = np.split(state, 2, axis=1)
    i, f, g, o = np.split(a + r, 4, axis=1)
    i, f, g, o = logistic(i), logistic(f), np.tanh(g), logistic(o)
    c_new = f * c + i * g
    return np.concatenate([o * np.tanh(c_new), c_new], axis=1), (i, f, g, o, np.tanh(c_new), c)


def cell_backward(cell: str, saved: tuple[Array, ...], delta: Array) -> tuple[Array, Array, Array]:
    """From d loss / d new state: d loss / d a, d loss / d r, and what reaches the last state past r."""
    if cell == "elman_tanh":
        d = delta * (1 - saved[0] ** 2)
        return d, d, np.zeros_like(delta)
    if cell == "elman_relu":
        d = delta * (saved[0] > 0)
        return d, d, np.zeros_like(delta)
    if cell == "gru":
        reset, update, new, r_n, state = saved
        d_n = delta * (1 - update) * (1 - new**2)
        d_r = d_n * r_n * reset * (1 - reset)
        d_z = delta * (state - new) * update * (1 - update)
        return (
            np.concatenate([d_r, d_z, d_n], axis=1),
            np.concatenate([d_r, d_z, d_n * reset], axis=1),
            delta * update,
        )
    i, f, g, o, tanh_c, c = saved
    d_h, d_c = np.split(delta, 2, axis=1)
    d_c = d_c + d_h * o * (1 - tanh_c**2)
    gates = [d_c * g * i * (1 - i), d_c * c * f * (1 - f), d_c * i * (1 - g**2), d_h * tanh_c * o * (1 - o)]
    d = np.concatenate(gates, axis=1)
    return d, d, np.concatenate([np.zeros_like(d_h), d_c * f], axis=1)


# ----------------------------------------------------------------------------------------------- the network


class Recurrent:
    """The network of these weights; a step's tape holds, for each layer, what its way back needs."""

    def __init__(self, cell: str, coefs: Sequence[Array], intercepts: Sequence[Array]) -> None:
        self.cell, self.coefs, self.intercepts = cell, coefs, intercepts
        self.layers = len(coefs) // 2
        self.units = [coefs[2 * i + 1].shape[0] for i in range(self.layers)]

    def zero_states(self, rows: int = 1) -> list[Array]:
        width = STATES[self.cell]
        return [np.zeros((rows, width * n), self.coefs[0].dtype) for n in self.units]

    def step(self, x: Array, states: Sequence[Array]) -> tuple[Array, list[Array], list[Any]]:
        """What the head reads, the new states, and the tape."""
        new_states, tape = [], []
        for i, state in enumerate(states):
            h = state[:, : self.units[i]]
            a = x @ self.coefs[2 * i] + self.intercepts[2 * i]
            r = h @ self.coefs[2 * i + 1] + self.intercepts[2 * i + 1]
            new, saved = cell_forward(self.cell, a, r, state)
            tape.append((x, h, saved))
            new_states.append(new)
            x = new[:, : self.units[i]]
        return x, new_states, tape

    def step_back(
        self, tape: list[Any], d_top: Array, d_states: list[Array], grads: list[Array]
    ) -> list[Array]:
        """Adds the step's share to the gradients; d loss / d states after it -> the same before it."""
        before = []
        d_h = d_top
        for i in reversed(range(self.layers)):
            x, h, saved = tape[i]
            delta = d_states[i].copy()
            delta[:, : self.units[i]] += d_h
            d_a, d_r, past = cell_backward(self.cell, saved, delta)
            half = len(grads) // 2
            for matrix, inputs, d in ((2 * i, x, d_a), (2 * i + 1, h, d_r)):
                grads[matrix] += inputs.T @ d
                grads[half + matrix] += d.sum(axis=0)
            past = past.copy()
            past[:, : self.units[i]] += d_r @ self.coefs[2 * i + 1].T
            before.insert(0, past)
            d_h = d_a @ self.coefs[2 * i].T
        return before

    def head(self, h: Array, output: str) -> Array:
        return FUNCTIONS[output](h @ self.coefs[-1] + self.intercepts[-1])


def forward(
    sequences: Sequence[Array],
    cell: str,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    output: str,
    *,
    per_step: bool = False,
    initial: Sequence[Array] | None = None,
) -> tuple[Array, list[Array]]:
    """The head's outputs, all steps of a sequence or its last only; and the final states."""
    network = Recurrent(cell, coefs, intercepts)
    outputs: list[Array] = []
    finals = []
    for s, sequence in enumerate(sequences):
        states = network.zero_states() if initial is None else [state[s : s + 1] for state in initial]
        for x in sequence:
            h, states, _ = network.step(x[None], states)
            if per_step:
                outputs.append(network.head(h, output))
        if not per_step:
            outputs.append(network.head(h, output))
        finals.append(states)
    return np.concatenate(outputs), [np.concatenate(layer) for layer in zip(*finals, strict=True)]


# ------------------------------------------------------------------------------------------------- training


class Trainer(reference.Trainer):
    """Truncated backpropagation through time (Williams and Peng 1990), called as the core's SequenceTrainer.

    With a target for each step there is an update every k1 steps, whose loss is the mean over those steps of
    all sequences of the batch that have them, and whose gradient reaches back over the last k2 steps of each
    sequence that has any in the block: through what was stored on the way forward, with the weights of now.
    With one target per sequence there is one update, after the last step, whose gradient reaches back over
    the last k2 steps.
    """

    def __init__(
        self,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        cell: str,
        loss: str,
        *,
        per_step: bool = False,
        tbptt: tuple[int, int] | None = None,
        alpha: float = 0.0,
        batch_size: int,
        rule: str,
        rule_params: Mapping[str, float],
        **options: Any,
    ) -> None:
        super().__init__(
            coefs,
            intercepts,
            [],
            loss,
            alpha=alpha,
            batch_size=batch_size,
            rule=rule,
            rule_params=rule_params,
            **options,
        )
        self.cell, self.per_step, self.tbptt = cell, per_step, tbptt

    @property
    def network(self) -> Recurrent:
        half = len(self.params) // 2
        return Recurrent(self.cell, self.params[:half], self.params[half:])

    def run_epoch(  # type: ignore[override]
        self,
        X: Array,
        starts: Array,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        *,
        learning_rate: float,
        states: Sequence[Array] | None = None,
        on_gradient: reference.OnGradient | None = None,
    ) -> tuple[float, bool]:
        """X holds the steps of all sequences, sequence i those from starts[i] to starts[i + 1].

        ``states`` (one row per sequence) are where sequences begin, and receive where they end.
        """
        self.on_gradient = on_gradient
        order = np.arange(len(starts) - 1) if order is None else order
        total, terms = 0.0, 0
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            for loss, count in self.train_batch(X, starts, y, batch, sample_weight, learning_rate, states):
                total += loss * count
                terms += count
        finite = all(bool(np.isfinite(p).all()) for p in self.params)
        if finite:
            for plain, p in zip(self.plain, self.params, strict=True):
                plain[...] = p
        return total / terms if terms else np.nan, finite

    def train_batch(
        self,
        X: Array,
        starts: Array,
        y: Array,
        batch: Array,
        sample_weight: Array | None,
        learning_rate: float,
        states: Sequence[Array] | None,
    ) -> list[tuple[float, int]]:
        """The loss and the number of terms of every update."""
        lengths = [int(starts[s + 1] - starts[s]) for s in batch]
        steps = max(lengths)
        k1, k2 = self.tbptt or (steps, steps)
        now = {
            s: self.network.zero_states() if states is None else [state[s : s + 1] for state in states]
            for s in batch
        }
        tapes: dict[Any, list[Any]] = {s: [] for s in batch}
        results = []
        for t0 in range(0, steps, k1 if self.per_step else steps):
            terms = []  # (sequence, row of y, what the head reads, step)
            for s, length in zip(batch, lengths, strict=True):
                for t in range(t0, min(t0 + k1, length) if self.per_step else length):
                    h, now[s], tape = self.network.step(X[starts[s] + t][None], now[s])
                    tapes[s].append(tape)
                    if self.per_step:
                        terms.append((s, starts[s] + t, h, t))
                if not self.per_step:
                    terms.append((s, s, h, length - 1))
            results.append(self.update_on(y, terms, tapes, k2, sample_weight, learning_rate))
        for s in batch:
            for i, state in enumerate(states or []):
                state[s] = now[s][i]
        return [r for r in results if r is not None]

    def update_on(
        self,
        y: Array,
        terms: list[Any],
        tapes: dict[Any, list[Any]],
        k2: int,
        sample_weight: Array | None,
        learning_rate: float,
    ) -> tuple[float, int] | None:
        network = self.network
        half = len(self.params) // 2
        rows = np.array([row for _, row, _, _ in terms])
        weight = None if sample_weight is None else sample_weight[rows]
        total = reference.total_weight(len(rows), weight)
        if total == 0:
            return None  # no mean: skipped, and counts as no step
        head_inputs = np.concatenate([h for _, _, h, _ in terms])
        outputs = network.head(head_inputs, OUTPUT_OF[self.loss])
        head_sums = network.head(head_inputs, "identity")
        loss = reference.reported_loss(self.loss, y[rows], head_sums, weight)
        loss += reference.penalty(network.coefs, self.alpha, total)
        delta = outputs - reference.target(self.loss, y[rows], outputs)
        if weight is not None:
            delta = delta * weight[:, None]

        grads = [np.zeros_like(p) for p in self.params]
        grads[half - 1] += head_inputs.T @ delta
        grads[-1] += delta.sum(axis=0)
        d_top = delta @ network.coefs[-1].T
        at_step: dict[Any, dict[int, Array]] = {}
        for (s, _, _, t), d in zip(terms, d_top, strict=True):
            at_step.setdefault(s, {})[t] = d[None]
        for s, wanted in at_step.items():
            d_states = network.zero_states()
            none = np.zeros_like(next(iter(wanted.values())))
            last = len(tapes[s])
            for t in range(last - 1, max(0, last - k2) - 1, -1):
                d_states = network.step_back(tapes[s][t], wanted.get(t, none), d_states, grads)
        for i in range(half):
            grads[i] += self.alpha * self.params[i]
        self.update(self.seen([grad / total for grad in grads]), learning_rate)
        return loss, len(terms)
