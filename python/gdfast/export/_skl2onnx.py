"""Conversion by skl2onnx: of estimators alone, in pipelines and within other estimators.

skl2onnx looks for three methods on an estimator and takes them before any converter that is registered for
its class. So scikit-learn's converter, which knows neither batch normalisation nor other activations than
scikit-learn's, never sees an estimator of gdfast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdfast.export import _onnx, _onnx_table
from gdfast.export._graph import Graph, index
from gdfast.export._onnx_layers import feed_forward
from gdfast.export._predictor import check_no_embeddings, kind_of, needs, read
from gdfast.prediction.labels import MULTILABEL
from gdfast.prediction.predictors import _RNN, ColumnScale, _Tabular
from gdfast.preprocessing._categories import Categories
from gdfast.preprocessing._encoder import ColumnEncoder
from gdfast.training.encoding import Encoding, NumberColumn

_ESTIMATORS = ("MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor")
_ENCODERS = ("CategoricalEncoder", "PiecewiseLinearEncoder", "RobustClipper", "TableEncoder")
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
    from gdfast import estimators, preprocessing

    for module, names in ((estimators, _ESTIMATORS), (preprocessing, _ENCODERS)):
        for name in names:
            _register(getattr(module, name))


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
    if not hasattr(est, "predict"):
        kind = _type_of(_dtype_of_matrix(operator))
        operator.outputs[0].set_type(kind([n_rows, len(est.get_feature_names_out())]))
        return
    predictor = read(est)
    classes = getattr(predictor, "_classes", None)
    kind = _type_of(_dtype_of_inputs(operator))
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
    opset = container.target_opset_any_domain("")
    if opset < _onnx.LEAST_OPSET:
        raise ValueError(f"target_opset must be at least {_onnx.LEAST_OPSET}, got {opset}.")
    g = Graph(_dtype_of_inputs(operator), opset, scope.get_unique_variable_name)
    if hasattr(operator.raw_operator, "predict"):
        _add_prediction(g, operator)
    else:
        g("Cast", _matrix(g, operator), to=_dtype_of_matrix(operator), name=operator.outputs[0].full_name)
    _add(g, scope, container)


def _add_prediction(g: Graph, operator: Any) -> None:
    predictor: Any = read(operator.raw_operator)
    if isinstance(predictor, _RNN):
        raise ValueError(
            f"skl2onnx converts estimators of rows, but {kind_of(predictor)} takes sequences. Use "
            "gdfast.export.to_onnx."
        )
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
    g("Cast", values, to=g.dtype, name=names[-1])


# Encoders.


def _matrix(g: Graph, operator: Any) -> str:
    """What an encoder transforms its inputs to."""
    est = operator.raw_operator
    if _is(est, "RobustClipper"):
        return _clipped(g, _joined(g, operator.inputs), est)
    encoder = _encoder_of(est, g.dtype)
    return _onnx_table.encoded(g, encoder, _columns(g, operator, encoder))


def _encoder_of(est: Any, dtype: np.dtype[Any]) -> ColumnEncoder:
    if _is(est, "TableEncoder"):
        found: ColumnEncoder = est._column_encoder(est._without_embeddings())
        return found
    categories: Sequence[Categories] = []
    if _is(est, "CategoricalEncoder"):
        columns: Sequence[Any] = est._encoded_columns()
        categories = est._columns
    else:
        from gdfast.preprocessing._piecewise import distinct

        columns = [NumberColumn(distinct(edges, dtype), clipped=False) for edges in est.bin_edges_]
    n = len(columns)
    is_category = np.full(n, bool(categories))
    return ColumnEncoder(is_category, categories, np.zeros(n), np.ones(n), Encoding(columns), str(dtype))


def _is(est: Any, name: str) -> bool:
    from gdfast import preprocessing

    return isinstance(est, getattr(preprocessing, name))


def _clipped(g: Graph, x: str, est: Any) -> str:
    """A missing number stays missing."""
    double = g.as_type(np.dtype(np.float64))
    distance = double("Sub", double("Cast", x, to=double.dtype), est.center_[None])
    z = double("Div", distance, est.scale_[None])
    bounded = double("Clip", z, -1e15, 1e15)
    ratio = double("Div", bounded, float(est.limit))
    found = double("Div", bounded, double("Sqrt", double("Add", double("Mul", ratio, ratio), 1.0)))
    return double("Where", double("IsNaN", z), z, found)


def _dtype_of_matrix(operator: Any) -> np.dtype[Any]:
    est = operator.raw_operator
    return np.dtype(est.dtype) if _is(est, "TableEncoder") else _dtype_of_inputs(operator)


# Inputs and outputs.


def _of_table(g: Graph, operator: Any, predictor: Any) -> tuple[str, Graph]:
    """The mean of the members, and the graph in its dtype."""
    double = g.as_type(np.dtype(np.float64))
    outputs = _onnx_table.outputs_of(g, predictor, _columns(g, operator, predictor._encoder))
    mean = _onnx_table.mean_numbers if not hasattr(predictor, "_classes") else _onnx_table.mean_probabilities
    return mean(double, outputs, predictor), double


def _columns(g: Graph, operator: Any, encoder: ColumnEncoder | ColumnScale) -> list[str]:
    """A value for each column; or one for all, if none holds categories."""
    if isinstance(encoder, ColumnScale) or not encoder.is_category.any():
        return [_joined(g, operator.inputs)]
    kinds = _onnx_table.dtypes_of(g, encoder)
    found = []
    for variable in operator.inputs:
        width = variable.get_second_dimension() or len(kinds)
        is_text = type(variable.type).__name__ == "StringTensorType"
        for i in range(width):
            name = variable.full_name
            found.append((name if width == 1 else g("Gather", name, index(i), axis=1), is_text))
    if len(found) != len(kinds):
        raise ValueError(
            f"{type(operator.raw_operator).__name__} was fitted to a table of {len(kinds)} columns, but "
            f"initial_types have {len(found)}."
        )
    for i, (kind, (_, is_text)) in enumerate(zip(kinds, found, strict=True)):
        if is_text != (kind is str):
            expected = "strings" if kind is str else "numbers"
            raise ValueError(f"The type of column {i} in initial_types must be that of {expected}.")
    return [
        name if kind is str else g("Cast", name, to=kind)
        for kind, (name, _) in zip(kinds, found, strict=True)
    ]


def _joined(g: Graph, variables: Any) -> str:
    """All inputs as columns of one, in the graph's dtype."""
    found = [g("Cast", variable.full_name, to=g.dtype) for variable in variables]
    return found[0] if len(found) == 1 else g("Concat", *found, axis=1)


def _dtype_of_inputs(operator: Any) -> np.dtype[Any]:
    """float64 if an input is in it, else float32."""
    doubles = any(type(variable.type).__name__ == "DoubleTensorType" for variable in operator.inputs)
    return np.dtype(np.float64 if doubles else np.float32)


def _type_of(dtype: np.dtype[Any]) -> Any:
    """skl2onnx's type of a dtype."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    return DoubleTensorType if dtype == np.float64 else FloatTensorType


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
