"""Recurrent layers as nodes of ONNX: its own operators in float32, a loop over the steps in float64.

onnxruntime has the operators RNN, GRU and LSTM in float32 only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gdfast.export._graph import Body, Graph, index
from gdfast.export._networks import Layer, layers_of
from gdfast.export._onnx_layers import linear, output
from gdfast.training.arrays import Array
from gdfast.training.network import GATES, RNN
from gdfast.training.weights import Weights

# ONNX's order of the gates, by their numbers in gdfast: of a GRU update, reset, new; of an LSTM input,
# output, forget, cell.
_ORDER = {"elman": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
_OPERATORS = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}


def recurrent(
    g: Graph,
    x: str,
    network: RNN,
    weights: Weights,
    lengths: str | None,
    initial: list[str] | None,
) -> tuple[str, list[str]]:
    """The values of the output layer, and the final states of the layers.

    Outputs have the shape (n_sequences, n_outputs), or (n_sequences, n_steps, n_outputs) per step.
    ``initial`` are the names of the initial states, as gdfast has them; None starts from zeros.
    """
    layers = layers_of(weights)
    steps = g("Transpose", x, perm=[1, 0, 2])
    states = (
        None if initial is None else [_parts(g, network.cell, layers, i, s) for i, s in enumerate(initial)]
    )
    run = _by_operators if g.dtype == np.float32 else _by_loop
    outputs, finals = run(g, steps, network, layers, lengths, states)
    joined = [parts[0] if len(parts) == 1 else g("Concat", *parts, axis=1) for parts in finals]
    coef, intercept = weights.coefs[-1], weights.intercepts[-1]
    if not network.per_step:
        return output(g, network.output, linear(g, finals[-1][0], coef, intercept)), joined
    rows = g("Transpose", outputs, perm=[1, 0, 2])
    z = g("Add", g("MatMul", rows, g.weights(coef, "coef")), g.weights(intercept, "intercept"))
    return output(g, network.output, z), joined


def _parts(g: Graph, cell: str, layers: list[Layer], i: int, state: str) -> list[str]:
    """The hidden state, and an LSTM's cell state."""
    if cell != "lstm":
        return [state]
    n = layers[i].units
    ends = ((0, n), (n, 2 * n))
    return [g("Slice", state, index(start), index(end), index(1)) for start, end in ends]


def _by_operators(
    g: Graph, x: str, network: RNN, layers: list[Layer], lengths: str | None, states: Any
) -> tuple[str, list[list[str]]]:
    cell = network.cell
    attributes: dict[str, Any] = {}
    if cell == "elman":
        attributes["activations"] = [network.activation.capitalize()]
    if cell == "gru":
        attributes["linear_before_reset"] = 1  # the reset gate comes after the product
    finals = []
    length = "" if lengths is None else g("Cast", lengths, to=np.dtype(np.int32))
    for i, layer in enumerate(layers):
        inputs: list[Any] = [x, *(_for_operator(g, cell, layer)), length]
        if states is not None:
            inputs += [g("Unsqueeze", part, index(0)) for part in states[i]]
        n_states = 2 if cell == "lstm" else 1
        names: list[str | None] = [None] * (1 + n_states)
        found = g.several(_OPERATORS[cell], inputs, names, hidden_size=layer.units, **attributes)
        x = g("Squeeze", found[0], index(1))
        finals.append([g("Squeeze", state, index(0)) for state in found[1:]])
    return x, finals


def _for_operator(g: Graph, cell: str, layer: Layer) -> list[str]:
    """The weights in ONNX's order of gates."""

    def ordered(array: Array) -> Array:
        gates = np.split(array, GATES[cell], axis=-1)
        return np.concatenate([gates[gate] for gate in _ORDER[cell]], axis=-1)

    biases = np.concatenate([ordered(layer.b_in), ordered(layer.b_state)])
    arrays = ordered(layer.w_in).T[None], ordered(layer.w_state).T[None], biases[None]
    return [g.weights(array, name) for array, name in zip(arrays, ("W", "R", "B"), strict=True)]


def _by_loop(
    g: Graph, x: str, network: RNN, layers: list[Layer], lengths: str | None, states: Any
) -> tuple[str, list[list[str]]]:
    """All layers in one loop over the steps."""
    n_states = 2 if network.cell == "lstm" else 1
    shape = g("Shape", x)
    if states is None:
        n = g("Slice", shape, index(1), index(2))
        zero = np.zeros(1, g.dtype)
        states = [
            [g("Expand", zero, g("Concat", n, index(layer.units), axis=0)) for _ in range(n_states)]
            for layer in layers
        ]
    body = g.body()
    named = [[body.unique("state") for _ in parts] for parts in states]
    step = body.unique("step")
    scanned, arguments = [x], [step]
    running = None
    if lengths is not None:
        number = g("Unsqueeze", g("Range", np.array(0), g("Squeeze", g("Slice", shape, index(0), index(1))),
                                  np.array(1)), index(1, 2))  # fmt: skip
        scanned.append(g("Less", number, g("Unsqueeze", lengths, index(0, 2))))
        running = body.unique("running")
        arguments.append(running)
    value, ends = step, []
    for layer, before in zip(layers, named, strict=True):
        after = _step(body, network, layer, value, before)
        if running is not None:
            after = [body("Where", running, new, old) for new, old in zip(after, before, strict=True)]
        value = after[0]
        ends.append([body("Identity", part) for part in after])
    outputs = body("Identity", value)
    flat = [part for parts in states for part in parts]
    graph = Body(
        body,
        [*(name for parts in named for name in parts), *arguments],
        [*(name for parts in ends for name in parts), outputs],
    )
    names: list[str | None] = [None] * (len(flat) + 1)
    found = g.several("Scan", [*flat, *scanned], names, body=graph, num_scan_inputs=len(scanned))
    finals = [found[i : i + n_states] for i in range(0, len(flat), n_states)]
    return found[-1], finals


def _step(g: Graph, network: RNN, layer: Layer, x: str, states: list[str]) -> list[str]:
    """The states after a step."""
    h = states[0]
    of_input, of_state = (linear(g, x, layer.w_in, layer.b_in), linear(g, h, layer.w_state, layer.b_state))
    if network.cell == "elman":
        return [g(network.activation.capitalize(), g("Add", of_input, of_state))]
    n = layer.units

    def part(values: str, gate: int) -> str:
        return g("Slice", values, index(gate * n), index((gate + 1) * n), index(1))

    if network.cell == "gru":
        reset, update = (
            g("Sigmoid", g("Add", part(of_input, gate), part(of_state, gate))) for gate in (0, 1)
        )
        new = g("Tanh", g("Add", part(of_input, 2), g("Mul", reset, part(of_state, 2))))
        return [g("Add", new, g("Mul", update, g("Sub", h, new)))]
    z = g("Add", of_input, of_state)
    take, keep, show = (g("Sigmoid", part(z, gate)) for gate in (0, 1, 3))
    cell = g("Add", g("Mul", keep, states[1]), g("Mul", take, g("Tanh", part(z, 2))))
    return [g("Mul", show, g("Tanh", cell)), cell]
