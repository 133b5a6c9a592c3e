"""The nodes and constants of an ONNX graph, as they are added."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdfast.export._networks import rounded
from gdfast.training.arrays import Array

# An input of a node: the name of a value, or a constant; numbers become constants of the graph's dtype.
Input = str | float | Array


@dataclass(frozen=True)
class Node:
    """A node; among its attributes dtypes and `Body` stand for what ONNX has in their place."""

    op: str
    inputs: list[str]
    outputs: list[str]
    domain: str
    attributes: dict[str, Any]


class Graph:
    """A graph whose values are in ``dtype`` unless a node says otherwise.

    Calling it adds a node, and returns the name of its first output.

    Parameters
    ----------
    dtype : dtype
        float32 or float64.
    opset : int
    unique : callable, default=None
        Makes a name of its own for a value of a name that may be taken. None counts.
    taken : collection of str, default=()
        Names of inputs and outputs, which no other value gets.

    Attributes
    ----------
    nodes : list of Node
    constants : dict of str to ndarray
    """

    def __init__(
        self,
        dtype: np.dtype[Any],
        opset: int,
        unique: Callable[[str], str] | None = None,
        taken: Collection[str] = (),
    ) -> None:
        self.dtype, self.opset, self.taken = dtype, opset, taken
        self.unique = unique or self._counted
        self._counts: dict[str, int] = {}
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}

    def _counted(self, name: str) -> str:
        while True:
            self._counts[name] = number = self._counts.get(name, -1) + 1
            if (found := f"{name}_{number}") not in self.taken:
                return found

    def __call__(
        self, op: str, *inputs: Input, name: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        return self.several(op, inputs, [name], domain=domain, **attributes)[0]

    def several(
        self,
        op: str,
        inputs: Sequence[Input],
        names: Sequence[str | None],
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node with outputs of these names; for None the graph makes one."""
        taken = [value if isinstance(value, str) else self.constant(value, op) for value in inputs]
        outputs = [self.unique(op) if name is None else name for name in names]
        self.nodes.append(Node(op, taken, outputs, domain, attributes))
        return outputs

    def as_type(self, dtype: np.dtype[Any]) -> Graph:
        """The same graph, to be added to in another dtype."""
        found = copy(self)
        found.dtype = dtype
        return found

    def body(self) -> Graph:
        """An empty graph for a loop's step, whose constants are this graph's."""
        found = Graph(self.dtype, self.opset, self.unique)
        found.constants = self.constants
        return found

    def constant(self, value: float | Array, name: str = "value") -> str:
        """The name of a constant."""
        array = value if isinstance(value, np.ndarray) else np.array(value, self.dtype)
        found = self.unique(f"{name}_constant")
        self.constants[found] = array
        return found

    def weights(self, array: Array, name: str = "weights") -> str:
        """The name of a constant in the graph's dtype."""
        return self.constant(rounded(array, self.dtype), name)


def index(*values: int) -> Array:
    """Axes, shapes and the like."""
    return np.array(values, np.int64)


@dataclass(frozen=True)
class Body:
    """The graph of a loop's step, with the names of its inputs and outputs.

    Its constants are those of the graph around it.
    """

    graph: Graph
    inputs: list[str]
    outputs: list[str]
