"""Conversion by skl2onnx: of estimators alone, in pipelines and within other estimators.

skl2onnx looks for three methods on an estimator and takes them before any converter that is registered for
its class. So scikit-learn's converter, which knows neither batch normalisation nor other activations than
scikit-learn's, never sees an estimator of gdfast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gdfast.export import _onnx, _onnx_table
from gdfast.export._graph import Graph
from gdfast.export._onnx_layers import feed_forward
from gdfast.export._predictor import check_no_embeddings, kind_of, needs, read
from gdfast.prediction.labels import MULTILABEL
from gdfast.prediction.predictors import _RNN, _Tabular

_ESTIMATORS = ("MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor")
# As skl2onnx has them for scikit-learn's classifiers.
_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [True, False],
}


def register_skl2onnx() -> None:
    """Register the estimators with skl2onnx.

    They convert without it, alone and in pipelines. It is needed once in a process before the conversion of
    scikit-learn's ensembles and meta-estimators that hold estimators of gdfast, such as ``VotingClassifier``:
    these look for a registration. A converter that has been registered before is replaced.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> from gdfast.export import register_skl2onnx
    >>> register_skl2onnx()  # doctest: +SKIP
    """
    needs("skl2onnx", "register_skl2onnx", "pip install skl2onnx")
    import gdfast

    for name in _ESTIMATORS:
        _register(getattr(gdfast, name))


def _register(kind: type) -> None:
    from skl2onnx import update_registered_converter
    from sklearn.base import ClassifierMixin

    options = _OPTIONS if issubclass(kind, ClassifierMixin) else None
    update_registered_converter(
        kind, f"Gdfast{kind.__name__}", calculate_shapes, convert, overwrite=True, options=options
    )


# What the estimators' methods return.


def parser_of(est: Any) -> Callable[..., Any] | None:
    """None if the class is registered: skl2onnx then parses by itself."""
    from skl2onnx._parse import _parse_sklearn
    from skl2onnx._supported_operators import sklearn_operator_name_map

    if type(est) in sklearn_operator_name_map:
        return None

    def parser(scope: Any, inputs: Any) -> Any:
        """Register the class, which a classifier's options need, and parse again.

        The operator that has been declared for this call without a registration is taken out again; the list
        of its outputs is what skl2onnx returns from this call.
        """
        (unregistered,) = [op for op in scope.operators.values() if op.raw_operator is est]
        del scope.operators[unregistered.onnx_name]
        vars(unregistered)["outputs"] = []
        _register(type(est))
        return _parse_sklearn(scope, est, inputs)

    return parser


def calculate_shapes(operator: Any) -> None:
    """Set the types and shapes of an operator's outputs."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    est = operator.raw_operator
    n_rows = operator.inputs[0].get_first_dimension()
    predictor = read(est)
    classes = getattr(predictor, "_classes", None)
    kind = _kind_of_outputs(operator)
    if classes is None:
        operator.outputs[0].set_type(kind([n_rows, predictor.n_outputs_]))
        return
    n_columns = max(2, predictor.n_outputs_)
    if classes.y_type == MULTILABEL:
        operator.outputs[0].set_type(Int64TensorType([n_rows, n_columns]))
    else:
        found = _labels(operator, classes.values)
        label = StringTensorType if found.dtype.kind == "O" else Int64TensorType
        operator.outputs[0].set_type(label([n_rows]))
    operator.outputs[1].set_type(kind([n_rows, n_columns]))


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an operator."""
    predictor: Any = read(operator.raw_operator)
    if isinstance(predictor, _RNN):
        raise ValueError(
            f"skl2onnx converts estimators of rows, but {kind_of(predictor)} takes sequences. Use "
            "gdfast.export.to_onnx."
        )
    opset = container.target_opset_any_domain("")
    if opset < _onnx.LEAST_OPSET:
        raise ValueError(f"target_opset must be at least {_onnx.LEAST_OPSET}, got {opset}.")
    dtype = np.dtype(np.float64 if "Double" in _kind_of_outputs(operator).__name__ else np.float32)
    g = Graph(dtype, opset, scope.get_unique_variable_name)
    classes = getattr(predictor, "_classes", None)
    if isinstance(predictor, _Tabular):
        values, g_values = _of_table(g, operator, predictor)
    else:
        check_no_embeddings(predictor)
        outputs = feed_forward(g, _joined(g, operator.inputs), predictor._network, predictor._weights)
        values = outputs if classes is None else _onnx.probabilities(g, outputs, predictor.n_outputs_)
        g_values = g
    names = [variable.full_name for variable in operator.outputs]
    if classes is not None:
        if classes.y_type == MULTILABEL:
            g_values("Identity", _onnx.indicators(g_values, values), name=names[0])
        else:
            number = _onnx.most_probable(g_values, values, classes)
            g_values("Gather", _labels(operator, classes.values), number, name=names[0])
    g("Cast", values, to=dtype, name=names[-1])
    _add(g, scope, container)


def _of_table(g: Graph, operator: Any, predictor: Any) -> tuple[str, Graph]:
    """The mean of the members, and the graph in its dtype."""
    double = g.as_type(np.dtype(np.float64))
    described = _onnx_table.inputs_of(g, predictor)
    if len(described) == 1 and described[0][0] == "X":
        given = {"X": _joined(g, operator.inputs)}
    elif len(described) != len(operator.inputs):
        raise ValueError(
            f"{kind_of(predictor)} was fitted to a table of {len(described)} columns: initial_types must "
            f"have one of shape [None, 1] for each, got {len(operator.inputs)}."
        )
    else:
        given = {
            name: _as_type(g, variable, kind, name)
            for (name, kind, _), variable in zip(described, operator.inputs, strict=True)
        }
    outputs = _onnx_table.outputs_of(g, predictor, given)
    mean = _onnx_table.mean_numbers if not hasattr(predictor, "_classes") else _onnx_table.mean_probabilities
    return mean(double, outputs, predictor), double


def _as_type(g: Graph, variable: Any, kind: Any, column: str) -> str:
    is_text = type(variable.type).__name__ == "StringTensorType"
    if is_text != (kind is str):
        expected = "strings" if kind is str else "numbers"
        raise ValueError(f"The type of {column!r} in initial_types must be that of {expected}.")
    return str(variable.full_name) if is_text else g("Cast", variable.full_name, to=kind)


def _joined(g: Graph, variables: Any) -> str:
    """All inputs as columns of one, in the graph's dtype."""
    found = [g("Cast", variable.full_name, to=g.dtype) for variable in variables]
    return found[0] if len(found) == 1 else g("Concat", *found, axis=1)


def _kind_of_outputs(operator: Any) -> Any:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    doubles = any(isinstance(variable.type, DoubleTensorType) for variable in operator.inputs)
    return DoubleTensorType if doubles else FloatTensorType


def _labels(operator: Any, classes: Any) -> Any:
    """The labels as skl2onnx has them: int64 or strings."""
    options = operator.scope_inst.get_options(operator.raw_operator, {"nocl": False}, fail=False) or {}
    if options.get("nocl"):
        return np.arange(len(classes))
    found = _onnx.class_labels(classes)
    return found if found.dtype.kind == "O" else found.astype(np.int64)


def _add(g: Graph, scope: Any, container: Any) -> None:
    """Add what a graph has to skl2onnx's."""
    import onnx

    for name, array in g.constants.items():
        tensor = onnx.numpy_helper.from_array(array, name)
        container.initializers.append(tensor)
    for node in g.nodes:
        attributes = {
            key: onnx.helper.np_dtype_to_tensor_dtype(value) if isinstance(value, np.dtype) else value
            for key, value in node.attributes.items()
        }
        container.add_node(
            node.op,
            node.inputs,
            node.outputs,
            op_domain=node.domain,
            op_version=_onnx.ML_OPSET if node.domain else None,  # None: the newest up to the opset
            name=scope.get_unique_operator_name(node.op),
            **attributes,
        )
