"""`to_onnx`."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gdfast._checks import check_flag
from gdfast._core import __version__
from gdfast._files import check_place, name_of, written_whole
from gdfast.export import _onnx_table
from gdfast.export._graph import Body, Graph
from gdfast.export._networks import checked_dtype
from gdfast.export._onnx_layers import feed_forward
from gdfast.export._onnx_recurrent import recurrent
from gdfast.export._predictor import check_no_embeddings, kind_of, needs, read
from gdfast.prediction.labels import MULTILABEL
from gdfast.prediction.predictors import _RNN, Classes, Predictor, _Tabular
from gdfast.training.arrays import Array

# Softmax over one axis and axes as inputs, which the graphs have, came with version 13.
LEAST_OPSET = 13
_DEFAULT_OPSET = 17
_ML_DOMAIN = "ai.onnx.ml"
# The first whose LabelEncoder has a number for each string.
ML_OPSET = 2


@dataclass
class Model:
    """A graph with its inputs and outputs: their names, dtypes (str for strings) and shapes."""

    graph: Graph
    inputs: list[tuple[str, Any, list[Any]]] = field(default_factory=list)
    outputs: list[tuple[str, Any, list[Any]]] = field(default_factory=list)


def to_onnx(
    est: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int = _DEFAULT_OPSET,
    dtype: DTypeLike | None = None,
    lengths: bool = False,
    states: bool = False,
) -> Any:
    """The prediction of a fitted estimator as an ONNX model.

    The input is ``X``, with any number of rows: of shape (n_rows, n_features), or (n_sequences, n_steps,
    n_features) for recurrent networks. Tabular estimators have an input of shape (n_rows, 1) for each column
    of a frame, of its name; or ``X`` if they were fitted to an array of numbers. A boolean is 0 or 1, a date
    its days since 1970, a missing number NaN, and a missing string any that is no category, such as "". The
    outputs have skl2onnx's names: ``label`` and ``probabilities`` of classifiers, ``variable`` of regressors,
    of shape (n_rows, n_outputs).

    Parameters
    ----------
    est : estimator or predictor
        A fitted estimator of gdfast, or what :func:`gdfast.load` returns with ``training=False``.
    path : str or path-like, default=None
        Path of a file to write the model to, which may exist. It is written beside ``path`` and then moved
        there. None writes none.
    opset : int, default=17
        Version of ONNX's operators, at least 13. "gelu" is an operator of its own from 20 on.
    dtype : dtype, default=None
        float32 or float64, that of numeric inputs, weights and outputs. None takes that of the weights, for
        tabular estimators float64, in which their tables are scaled.
    lengths : bool, default=False
        For recurrent networks, whether there is an input ``lengths`` of shape (n_sequences,), int64: numbers
        of steps, at least 1. What ``X`` has beyond them has no influence, and outputs per step have no
        meaning there.
    states : bool, default=False
        For recurrent networks, whether initial states are inputs, ``state_0`` and so on, and final states are
        outputs, ``final_state_0`` and so on, of the shapes that ``predict(X, return_state=True)`` has.

    Returns
    -------
    model : onnx.ModelProto
        The checked model. Its producer is gdfast, with the version.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    TypeError
        If ``est`` is no estimator of gdfast, or an argument has another type.
    ValueError
        If the estimator cannot be said in ONNX, the message says why; or an argument is invalid.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast import MLPClassifier
    >>> from gdfast.export import to_onnx
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], np.float32)
    >>> clf = MLPClassifier(20, solver="lbfgs", random_state=0).fit(X, ["no", "yes", "yes", "no"])
    >>> model = to_onnx(clf)  # doctest: +SKIP
    >>> [output.name for output in model.graph.output]  # doctest: +SKIP
    ['label', 'probabilities']
    """
    onnx = needs("onnx", "to_onnx", "pip install 'gdfast[onnx]'")
    target = None if path is None else Path(name_of(path))
    if target is not None:
        check_place(target)
    newest = onnx.defs.onnx_opset_version()
    if isinstance(opset, bool) or not isinstance(opset, int | np.integer):
        raise TypeError(f"opset must be an integer, got {opset!r}.")
    if not LEAST_OPSET <= opset <= newest:
        raise ValueError(
            f"opset must lie within {LEAST_OPSET} and {newest}, the newest that the installed onnx "
            f"{onnx.__version__} has, got {opset}: earlier versions lack Softmax over one axis."
        )
    check_flag("lengths", lengths)
    check_flag("states", states)
    if hasattr(est, "steps"):
        raise TypeError(f"est is a {type(est).__name__}: skl2onnx.to_onnx converts it, with its estimators.")
    predictor = read(est)
    if (lengths or states) and not isinstance(predictor, _RNN):
        raise ValueError(
            f"{'lengths' if lengths else 'states'}=True is for recurrent networks, but est is a "
            f"{kind_of(predictor)}."
        )
    default = np.float64 if isinstance(predictor, _Tabular) else predictor._weights.dtype  # type: ignore[attr-defined]
    kind = checked_dtype(default if dtype is None else dtype)
    g = Graph(kind, int(opset), taken=_column_names(predictor))
    if isinstance(predictor, _RNN):
        model = _of_sequences(g, predictor, lengths, states)
    elif isinstance(predictor, _Tabular):
        model = _of_table(g, predictor)
    else:
        model = _of_rows(g, predictor)
    proto = _proto(onnx, model, predictor)
    if target is not None:
        with written_whole(target) as file:
            file.write(proto.SerializeToString())
    return proto


def _column_names(predictor: Predictor) -> Collection[str]:
    """The names of a table's columns, which are those of inputs; ValueError if they cannot be."""
    names = predictor._features.names if isinstance(predictor, _Tabular) else None
    outputs = ("label", "probabilities") if hasattr(predictor, "_classes") else ("variable",)
    if unfit := [name for name in (names if names is not None else ()) if name in ("", *outputs)]:
        raise ValueError(
            f"est was fitted to a table with a column {str(unfit[0])!r}, which in ONNX is "
            f"{'the name of an output' if unfit[0] else 'no name'}: give the column another name."
        )
    return () if names is None else frozenset(names)


# Kinds of estimators.


def _of_rows(g: Graph, predictor: Any) -> Model:
    model = Model(g, [("X", g.dtype, ["n_rows", predictor.n_features_in_])])
    check_no_embeddings(predictor)
    outputs = feed_forward(g, "X", predictor._network, predictor._weights)
    _add_outputs(model, outputs, predictor, ["n_rows"])
    return model


def _of_sequences(g: Graph, predictor: _RNN, lengths: bool, states: bool) -> Model:
    network, weights = predictor._network, predictor._weights
    model = Model(g, [("X", g.dtype, ["n_sequences", "n_steps", predictor.n_features_in_])])
    if lengths:
        model.inputs.append(("lengths", np.dtype(np.int64), ["n_sequences"]))
    widths = network.state_widths(weights)
    initial = [f"state_{i}" for i in range(len(widths))] if states else None
    if initial is not None:
        model.inputs += [
            (name, g.dtype, ["n_sequences", width]) for name, width in zip(initial, widths, strict=True)
        ]
    outputs, finals = recurrent(g, "X", network, weights, "lengths" if lengths else None, initial)
    _add_outputs(model, outputs, predictor, ["n_sequences", "n_steps"][: 1 + network.per_step])
    if states:
        for i, (final, width) in enumerate(zip(finals, widths, strict=True)):
            g("Identity", final, name=f"final_state_{i}")
            model.outputs.append((f"final_state_{i}", g.dtype, ["n_sequences", width]))
    return model


def _of_table(g: Graph, predictor: Any) -> Model:
    inputs = _onnx_table.inputs_of(g, predictor)
    outputs = _onnx_table.outputs_of(g, predictor, [name for name, _, _ in inputs])
    double = g.as_type(np.dtype(np.float64))
    model = Model(double, inputs)
    classes = getattr(predictor, "_classes", None)
    if classes is None:
        numbers = _onnx_table.mean_numbers(double, outputs, predictor)
        _add_numbers(model, numbers, predictor.n_outputs_, ["n_rows"], g.dtype)
    else:
        values = _onnx_table.mean_probabilities(double, outputs, predictor)
        _add_classes(model, values, classes, max(2, predictor.n_outputs_), ["n_rows"], g.dtype)
    return model


# Outputs.


def _add_outputs(model: Model, outputs: str, predictor: Any, shape: list[Any]) -> None:
    g, n_outputs = model.graph, predictor.n_outputs_
    classes = getattr(predictor, "_classes", None)
    if classes is None:
        _add_numbers(model, outputs, n_outputs, shape, g.dtype)
    else:
        values = probabilities(g, outputs, n_outputs)
        _add_classes(model, values, classes, max(2, n_outputs), shape, g.dtype)


def _add_numbers(model: Model, values: str, n_columns: int, shape: list[Any], dtype: np.dtype[Any]) -> None:
    model.graph("Cast", values, to=dtype, name="variable")
    model.outputs.append(("variable", dtype, [*shape, n_columns]))


def probabilities(g: Graph, outputs: str, n_outputs: int) -> str:
    """A column for each class or label; one output is the probability of the second of two classes."""
    if n_outputs > 1:
        return outputs
    return g("Concat", g("Sub", 1.0, outputs), outputs, axis=-1)


def _add_classes(
    model: Model, values: str, classes: Classes, n_columns: int, shape: list[Any], dtype: np.dtype[Any]
) -> None:
    g = model.graph
    if classes.y_type == MULTILABEL:
        g("Identity", indicators(g, values), name="label")
        model.outputs.append(("label", np.dtype(np.int64), [*shape, n_columns]))
    else:
        names = class_labels(classes.values)
        g("Gather", names, most_probable(g, values, classes), name="label")
        model.outputs.append(("label", str if names.dtype.kind == "O" else names.dtype, shape))
    g("Cast", values, to=dtype, name="probabilities")
    model.outputs.append(("probabilities", dtype, [*shape, n_columns]))


def indicators(g: Graph, values: str) -> str:
    """Which labels are more likely than not, int64."""
    return g("Cast", g("Greater", values, 0.5), to=np.dtype(np.int64))


def most_probable(g: Graph, values: str, classes: Classes) -> str:
    """The number of the class that is predicted."""
    found = g("ArgMax", values, axis=-1, keepdims=0)
    if len(classes.values) == 1:  # the only one is predicted, whatever its probability
        found = g("Mul", found, np.array(0, np.int64))
    return found


def class_labels(classes: Array) -> Array:
    """The classes as ONNX has them: int64, float32 or float64, bool, or objects that are strings.

    ValueError if it has not: objects other than strings, and integers beyond int64.
    """
    kind = classes.dtype.kind
    if kind in "iu":
        if classes.max() > np.iinfo(np.int64).max:
            raise ValueError(f"classes_ has {classes.max()}, which is no int64: ONNX has no such label.")
        return classes.astype(np.int64)
    if kind == "b":
        return classes
    if kind == "f":
        return classes.astype(np.float32 if classes.dtype == np.float32 else np.float64)
    other = [value for value in classes.tolist() if not isinstance(value, str)]
    if other:
        raise ValueError(
            f"classes_ has {other[0]!r}, a {type(other[0]).__name__}: ONNX has labels of strings, numbers "
            "and booleans, all of one type. Fit to such labels."
        )
    return classes.astype(object)


# The model's protobuf.


def _proto(onnx: Any, model: Model, predictor: Predictor) -> Any:
    helper, graph = onnx.helper, model.graph
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    body = helper.make_graph(
        [_node(onnx, node) for node in graph.nodes],
        kind_of(predictor),
        [_value(onnx, *described) for described in model.inputs],
        [_value(onnx, *described) for described in model.outputs],
        initializer=constants,
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    if any(node.domain for node in graph.nodes):
        opsets.append(helper.make_opsetid(_ML_DOMAIN, ML_OPSET))
    proto = helper.make_model(
        body,
        producer_name="gdfast",
        producer_version=__version__,
        opset_imports=opsets,
        # The oldest that has these operators, so that old runtimes read it.
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    properties = {"estimator": f"gdfast.{kind_of(predictor)}"}
    if predictor._features.names is not None:
        properties["feature_names"] = json.dumps(list(predictor._features.names))
    helper.set_model_props(proto, properties)
    size = proto.ByteSize()
    if size >= 2**31:
        raise ValueError(
            f"The model has {size} bytes, and an ONNX file holds less than {2**31}: use a smaller network, "
            "or dtype='float32'."
        )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _node(onnx: Any, node: Any) -> Any:
    attributes = {}
    for name, value in node.attributes.items():
        if isinstance(value, np.dtype):
            value = onnx.helper.np_dtype_to_tensor_dtype(value)
        elif isinstance(value, Body):
            value = onnx.helper.make_graph(
                [_node(onnx, inner) for inner in value.graph.nodes],
                "step",
                [onnx.helper.make_empty_tensor_value_info(name) for name in value.inputs],
                [onnx.helper.make_empty_tensor_value_info(name) for name in value.outputs],
            )
        attributes[name] = value
    name = f"{node.op}:{node.outputs[0]}"
    return onnx.helper.make_node(
        node.op, node.inputs, node.outputs, name=name, domain=node.domain or None, **attributes
    )


def _value(onnx: Any, name: str, dtype: Any, shape: list[Any]) -> Any:
    kind = onnx.TensorProto.STRING if dtype is str else onnx.helper.np_dtype_to_tensor_dtype(dtype)
    return onnx.helper.make_tensor_value_info(name, kind, shape)
