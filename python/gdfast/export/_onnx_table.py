"""Tables as nodes of ONNX: from columns to the inputs of networks, and to the mean of the members.

Inputs are sorted by their kind, so that a node makes those of all columns: what the members' first layers
take is in another order than in gdfast, and so are the rows of their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdfast.export._graph import Graph, index
from gdfast.export._onnx_layers import feed_forward
from gdfast.prediction.predictors import ColumnScale, _Tabular
from gdfast.preprocessing._categories import Categories
from gdfast.preprocessing._encoder import ColumnEncoder
from gdfast.training.arrays import Array
from gdfast.training.encoding import CategoryColumn, NumberColumn
from gdfast.training.weights import Weights

_DOUBLE, _INT64 = np.dtype(np.float64), np.dtype(np.int64)

# An input or output of a model: its name, dtype (str for strings) and shape.
Described = tuple[str, Any, list[Any]]


@dataclass(frozen=True)
class _Inputs:
    """A block of a network's inputs.

    Attributes
    ----------
    values : str
        Of shape (n_rows, n_inputs); of an embedded column the numbers of its categories, of shape (n_rows,).
    places : ndarray of shape (n_inputs,)
        Their numbers in gdfast's order.
    embedding : int or None
        The number of the array that has the rows of an embedded column.
    """

    values: str
    places: Array
    embedding: int | None = None


def inputs_of(g: Graph, predictor: _Tabular) -> list[Described]:
    """The inputs of the model: one for each column, or X if all are numbers without names."""
    encoder, names = predictor._encoder, predictor._features.names
    n_columns = predictor.n_features_in_
    if isinstance(encoder, ColumnScale) or (names is None and not encoder.is_category.any()):
        return [("X", g.dtype, ["n_rows", n_columns])]
    called = [f"x{i}" for i in range(n_columns)] if names is None else [str(name) for name in names]
    kinds = dtypes_of(g, encoder)
    return [(name, kind, ["n_rows", 1]) for name, kind in zip(called, kinds, strict=True)]


def dtypes_of(g: Graph, encoder: ColumnEncoder) -> list[Any]:
    """The dtype of each column: str or that of numbers."""
    categories = iter(encoder.categories)
    return [
        _dtype_of_categories(g, next(categories)) if is_category else g.dtype
        for is_category in encoder.is_category
    ]


def outputs_of(g: Graph, predictor: _Tabular, given: Sequence[str]) -> list[str]:
    """The outputs of each member; ``given`` has a value for each column, or one for all."""
    if isinstance(predictor._encoder, ColumnScale):
        factors = predictor._encoder._factors
        single = g.as_type(np.dtype(np.float32))
        scaled = single("Mul", single("Cast", given[0], to=single.dtype), single.weights(factors, "scale"))
        blocks = [_Inputs(scaled, np.arange(predictor.n_features_in_))]
    else:
        blocks = _encoded(g, predictor._encoder, given)
    return [_member(g, blocks, member) for member in predictor._members]


def encoded(g: Graph, encoder: ColumnEncoder, given: Sequence[str]) -> str:
    """The encoded matrix, in gdfast's order; no column is embedded."""
    blocks = _encoded(g, encoder, given)
    net = g.as_type(np.dtype(encoder.dtype))
    parts = [net("Cast", block.values, to=net.dtype) for block in blocks]
    joined = parts[0] if len(parts) == 1 else net("Concat", *parts, axis=1)
    order = np.argsort(np.concatenate([block.places for block in blocks]))
    return net("Gather", joined, order.astype(np.int64), axis=1)


def _member(g: Graph, blocks: Sequence[_Inputs], member: Any) -> str:
    """A member's outputs."""
    weights = member._weights
    net = g.as_type(weights.dtype)
    parts = []
    for block in blocks:
        if block.embedding is None:
            parts.append(net("Cast", block.values, to=net.dtype))
        else:
            rows = _with_nothing(weights.embeddings[block.embedding])
            parts.append(net("Gather", net.weights(rows, "embedding"), block.values))
    x = parts[0] if len(parts) == 1 else net("Concat", *parts, axis=1)
    places = np.concatenate([block.places for block in blocks])
    first, *others = weights.coefs
    ordered = Weights({**weights.lists, "coefs_": [first[places], *others]})
    return feed_forward(net, x, member._network, ordered)


def _with_nothing(rows: Array) -> Array:
    """The rows, and zeros for the number -1, which is no category."""
    return np.vstack([rows, np.zeros((1, rows.shape[1]), rows.dtype)])


# The columns.


def _encoded(g: Graph, encoder: ColumnEncoder, given: Sequence[str]) -> list[_Inputs]:
    """The networks' inputs; ``given`` has a value for each column, or one for all."""
    columns = encoder.encoding.columns
    starts = np.cumsum([0, *(column.n_inputs for column in columns)])
    numbers = [i for i, column in enumerate(columns) if isinstance(column, NumberColumn)]
    if len(given) < len(columns):  # all are numbers
        return _numbers(g, given[0], encoder, numbers, starts)
    categories = iter(encoder.categories)
    blocks = []
    if numbers:
        each = [given[i] for i in numbers]
        joined = each[0] if len(each) == 1 else g("Concat", *each, axis=1)
        blocks += _numbers(g, joined, encoder, numbers, starts)
    n_embedded = 0
    for i, column in enumerate(columns):
        if isinstance(column, NumberColumn):
            continue
        number = _number_of_category(g, given[i], next(categories))
        places = np.arange(starts[i], starts[i + 1])
        if column.embedding:
            blocks.append(_Inputs(number, places, n_embedded))
            n_embedded += 1
        else:
            blocks.append(_Inputs(g("Gather", g.weights(_rows_of(column), "inputs"), number), places))
    return blocks


def _rows_of(column: CategoryColumn) -> Array:
    """The inputs of each category."""
    rows = np.array([[-1.0], [1.0]]) if column.binary else np.eye(column.n_categories)
    return _with_nothing(rows)


def _dtype_of_categories(g: Graph, categories: Categories) -> Any:
    """The dtype of a column of categories: str or that of numbers.

    Booleans are numbers, too: ONNX's have no missing value.
    """
    values = categories.values.tolist()
    return str if values and all(isinstance(value, str) for value in values) else g.dtype


def _number_of_category(g: Graph, x: str, categories: Categories) -> str:
    """The numbers of the rows' categories; -1 for what is none."""
    values = categories.values.tolist()
    if _dtype_of_categories(g, categories) is str:
        number = g(
            "LabelEncoder",
            x,
            domain="ai.onnx.ml",
            keys_strings=values,
            values_int64s=categories.numbers.tolist(),
            default_int64=-1,
        )
        return g("Squeeze", number, index(1))
    keys = np.array(values or [np.nan], np.float64)  # NaN is equal to nothing
    if len(np.unique(keys.astype(g.dtype))) < len(values):
        raise ValueError(
            f"A column has categories that are the same number in {g.dtype}, of {values[:3]}. Use "
            "dtype='float64'."
        )
    is_value = g("Cast", g("Equal", x, keys.astype(g.dtype)[None]), to=g.dtype)
    numbers = categories.numbers if values else np.zeros(1)
    found = g("Sub", g("MatMul", is_value, g.weights(numbers[:, None] + 1.0, "numbers")), 1.0)
    return g("Cast", g("Squeeze", found, index(1)), to=_INT64)


def _numbers(g: Graph, x: str, encoder: ColumnEncoder, numbers: list[int], starts: Array) -> list[_Inputs]:
    """The inputs of all columns of numbers."""
    double, net = g.as_type(_DOUBLE), g.as_type(np.dtype(encoder.dtype))
    x = double("Cast", x, to=_DOUBLE)
    missing = double("IsNaN", x)
    known = double("Where", missing, 0.0, x)
    distance = double("Sub", known, encoder.centers[numbers][None])
    z = double("Clip", double("Div", distance, encoder.scales[numbers][None]), -1e15, 1e15)
    z = net("Cast", z, to=net.dtype)
    columns: Any = [encoder.encoding.columns[i] for i in numbers]
    first = starts[numbers]
    blocks = []

    def those(values: str, which: list[int]) -> str:
        return values if which == [*range(len(columns))] else net("Gather", values, index(*which), axis=1)

    clipped = [i for i, column in enumerate(columns) if column.clipped]
    if clipped:
        of_clipped = those(z, clipped)
        third = net("Div", of_clipped, 3.0)
        bounded = net("Div", of_clipped, net("Sqrt", net("Add", net("Mul", third, third), 1.0)))
        blocks.append(_Inputs(net("Where", those(missing, clipped), 0.0, bounded), first[clipped]))
    flagged = [i for i, column in enumerate(columns) if column.flagged]
    if flagged:
        shift = np.array([columns[i].clipped for i in flagged], int)
        blocks.append(_Inputs(net("Cast", those(missing, flagged), to=net.dtype), first[flagged] + shift))
    edges = [column.edges.astype(net.dtype) for column in columns]
    counts = [max(len(e) - 1, 0) for e in edges]
    if any(counts):
        binned = np.repeat(np.arange(len(columns)), counts).tolist()
        left = np.concatenate([e[:-1] for e in edges if len(e) > 1])
        width = np.concatenate([np.diff(e) for e in edges if len(e) > 1])
        ends = [starts[i + 1] for i in numbers]
        places = [np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)]
        share = net("Div", net("Sub", those(z, binned), left[None]), width[None])
        reached = net("Sub", net("Clip", share, 0.0, 1.0), 0.5)
        values = net("Where", those(missing, binned), 0.0, reached)
        blocks.append(_Inputs(values, np.concatenate(places)))
    return blocks


# From the members' outputs to one prediction, all in float64.


def mean_probabilities(g: Graph, outputs: Sequence[str], predictor: Any) -> str:
    """The mean of the members' calibrated probabilities, see `gdfast.prediction.calibration`."""
    exclusive = predictor._classes.y_type != "multilabel-indicator"
    n = max(2, predictor.n_outputs_) if exclusive else predictor.n_outputs_
    found = []
    for values, smoothing in zip(outputs, predictor._smoothings, strict=True):
        p = g("Cast", values, to=_DOUBLE)
        if predictor.n_outputs_ == 1:
            p = g("Concat", g("Sub", 1.0, p), p, axis=-1)
        if smoothing:
            p = _unsmoothed(g, p, smoothing, n, exclusive)
        if predictor._temperature != 1:
            p = _tempered(g, p, predictor._temperature, exclusive)
        found.append(_normalised(g, p) if exclusive else p)
    return _mean(g, found)


def mean_numbers(g: Graph, outputs: Sequence[str], predictor: Any) -> str:
    """The mean of the members' predictions in the target's units."""
    target = predictor._target
    scale, center, least, most = (
        np.broadcast_to(np.asarray(value, np.float64), (1, predictor.n_outputs_)).copy()
        for value in (target.scale, target.center, target.least, target.most)
    )
    found = []
    for values in outputs:
        units = g("Add", g("Mul", g("Cast", values, to=_DOUBLE), scale), center)
        found.append(g("Min", g("Max", units, least), most))
    return _mean(g, found)


def _mean(g: Graph, values: Sequence[str]) -> str:
    total, *others = values
    for other in others:
        total = g("Add", total, other)
    return g("Div", total, float(len(values)))


def _normalised(g: Graph, p: str) -> str:
    return g("Div", p, g("ReduceSum", p, index(-1)))


def _unsmoothed(g: Graph, p: str, share: float, n_classes: int, exclusive: bool) -> str:
    spread = share / (n_classes if exclusive else 2)
    least = 0.1 * spread
    plain = g("Clip", g("Div", g("Sub", p, spread), 1 - share), least, 1 - least)
    return _normalised(g, plain) if exclusive else plain


def _tempered(g: Graph, p: str, temperature: float, exclusive: bool) -> str:
    logits = g("Div", _log(g, p), temperature)
    if exclusive:
        return g("Softmax", logits, axis=-1)
    others = g("Exp", g("Sub", g("Div", _log(g, g("Sub", 1.0, p)), temperature), logits))
    return g("Div", 1.0, g("Add", 1.0, others))


def _log(g: Graph, p: str) -> str:
    return g("Log", g("Max", p, 1e-12))
