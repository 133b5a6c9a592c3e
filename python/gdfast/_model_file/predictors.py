"""From what is stored of an estimator to a predictor, which needs no scikit-learn.

Whatever is loaded, an estimator as well, has been made into a predictor first: so it has passed these checks
of what belongs together.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from gdfast._model_file.attributes import ATTRIBUTES, is_flag, is_number, is_text, is_whole
from gdfast._model_file.tree import Stored
from gdfast.prediction import labels, predictors
from gdfast.prediction.ensemble import TargetScale
from gdfast.prediction.inputs import Features
from gdfast.prediction.predictors import Classes, ColumnScale, Predictor, n_threads
from gdfast.preprocessing._categories import Categories
from gdfast.preprocessing._encoder import ColumnEncoder
from gdfast.training import activations
from gdfast.training.encoding import CategoryColumn, Encoding, NumberColumn
from gdfast.training.network import GATES, MLP, RNN
from gdfast.training.weights import Weights

# The arguments that predictions need.
ARGUMENTS = frozenset(
    {"activation", "activation_params", "bn_epsilon", "cell", "label_smoothing", "per_step"}
)
_OF_CLASSES = ("softmax", "logistic")
_OF_NUMBERS = ("identity", "exp", "quantiles")


def predictor_of(stored: Stored) -> Predictor | None:
    """The predictor of a fitted estimator whose types are checked; None for encoders and unfitted estimators.

    ValueError says what is missing, or does not fit.
    """
    known = ATTRIBUTES[stored.name]
    if not any(known[name].predicts for name in stored.parts["attributes"]):
        return None
    if stored.name in _ENCODERS:
        _ENCODERS[stored.name](stored)
        return None
    return _ESTIMATORS[stored.name](stored)


def _mlp(stored: Stored) -> Predictor:
    arguments, attributes = stored.parts["arguments"], stored.parts["attributes"]
    features, classes = _features(stored), _classes(stored)
    _need(stored, "coefs_", "intercepts_", "n_outputs_")
    given = _argument(arguments, "activation_params", _is_parameters)
    activations.check_parameters(given)
    n_hidden = len(attributes["coefs_"]) - 1
    names = activations.of_layers(_argument(arguments, "activation", _is_names), n_hidden)
    network = MLP(
        activations.with_parameters(names, given),
        _output(stored, classes),
        _threads(arguments),
        bn_epsilon=float(_argument(arguments, "bn_epsilon", _is_positive)),
    )
    kind = predictors.MLPRegressor if classes is None else predictors.MLPClassifier
    weights = Weights.of(attributes)
    network.check_ends(weights, attributes["n_features_in_"], attributes["n_outputs_"])
    return kind(features, classes, network, weights, attributes["n_outputs_"])


def _rnn(stored: Stored) -> Predictor:
    arguments, attributes = stored.parts["arguments"], stored.parts["attributes"]
    features, classes = _features(stored), _classes(stored)
    _need(stored, "coefs_", "intercepts_", "n_outputs_")
    cell = _argument(arguments, "cell", lambda value: is_text(value) and value in GATES)
    network = RNN(
        cell,
        _argument(arguments, "activation", lambda value: value in ("tanh", "relu")),
        bool(_argument(arguments, "per_step", is_flag)),
        None,
        _output(stored, classes),
        _threads(arguments),
    )
    kind = predictors.RNNRegressor if classes is None else predictors.RNNClassifier
    weights = Weights.of(attributes)
    network.check_ends(weights, attributes["n_features_in_"], attributes["n_outputs_"])
    return kind(features, classes, network, weights, attributes["n_outputs_"])


def _tabular(stored: Stored) -> Predictor:
    attributes = stored.parts["attributes"]
    features, classes = _features(stored), _classes(stored)
    _need(stored, "encoder_", "members_", "n_outputs_")
    members: list[Any] = [_mlp(member) for member in attributes["members_"]]
    encoder, n_inputs = _encoder(attributes["encoder_"], features.n_features)
    for member in members:
        if member.n_features_in_ != n_inputs or member.n_outputs_ != attributes["n_outputs_"]:
            raise ValueError(
                f"a member has {member.n_features_in_} inputs and {member.n_outputs_} outputs, but there are "
                f"{n_inputs} and {attributes['n_outputs_']}."
            )
        if isinstance(encoder, ColumnEncoder):
            member._weights.check_embeddings(encoder.encoding.embedding_shapes)
    if classes is None:
        _need(stored, "_target")
        target = TargetScale(**attributes["_target"])
        for name, value in vars(target).items():
            if np.shape(value) not in ((), (attributes["n_outputs_"],)) or not np.isfinite(value).all():
                raise ValueError(f"{name} of the target must be a finite number for each output.")
        return predictors.TabularRegressor(features, encoder, members, target)
    for member in members:
        labels.check_classes(classes.values, classes.y_type, member._network.output, attributes["n_outputs_"])
    smoothings = [
        float(_argument(member.parts["arguments"], "label_smoothing", _is_share))
        for member in attributes["members_"]
    ]
    _need(stored, "temperature_")
    temperature = float(attributes["temperature_"])
    return predictors.TabularClassifier(features, classes, encoder, members, smoothings, temperature)


_ESTIMATORS: dict[str, Callable[[Stored], Predictor]] = {
    "gdfast.MLPClassifier": _mlp,
    "gdfast.MLPRegressor": _mlp,
    "gdfast.RNNClassifier": _rnn,
    "gdfast.RNNRegressor": _rnn,
    "gdfast.TabularClassifier": _tabular,
    "gdfast.TabularRegressor": _tabular,
}


def _need(stored: Stored, *names: str) -> None:
    for name in names:
        if name not in stored.parts["attributes"]:
            raise ValueError(f"{stored.name} has no {name}.")


def _argument(arguments: dict[str, Any], name: str, holds: Callable[[Any], bool]) -> Any:
    """An argument that predictions need."""
    if name not in arguments:
        raise ValueError(f"the argument {name} is missing.")
    if not holds(arguments[name]):
        raise ValueError(f"{name}={arguments[name]!r} is no valid argument.")
    return arguments[name]


def _threads(arguments: dict[str, Any]) -> int:
    n_jobs = arguments.get("n_jobs")
    if n_jobs is not None and not (is_whole(n_jobs) and n_jobs != 0):
        raise ValueError(f"n_jobs={n_jobs!r} is no valid argument.")
    return n_threads(n_jobs)


def _is_names(value: Any) -> bool:
    names = [value] if is_text(value) else value
    return isinstance(names, list | tuple | np.ndarray) and all(
        is_text(name) and name in activations.NAMES for name in names
    )


def _is_parameters(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(is_text, value)))


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value < 1


def _is_positive(value: Any) -> bool:
    return isinstance(value, Real) and 0 < float(value) < np.inf


def _features(stored: Stored) -> Features:
    _need(stored, "n_features_in_")
    attributes = stored.parts["attributes"]
    n_features, names = attributes["n_features_in_"], attributes.get("feature_names_in_")
    if names is not None and len(names) != n_features:
        raise ValueError(f"feature_names_in_ has {len(names)} names for {n_features} features.")
    if n_features == 0:
        raise ValueError("n_features_in_ must be at least 1.")
    return Features(stored.name.rpartition(".")[2], int(n_features), names)


def _classes(stored: Stored) -> Classes | None:
    """Those of a classifier."""
    if not stored.name.endswith("Classifier"):
        return None
    _need(stored, "classes_", "_label_binarizer")
    binarizer, classes = (stored.parts["attributes"][name] for name in ("_label_binarizer", "classes_"))
    if binarizer["y_type"] == labels.MULTILABEL:
        classes = binarizer["classes"]
    if len(binarizer["classes"]) != len(classes):
        raise ValueError("classes_ are not those of the labels that have been trained on.")
    return Classes(classes, binarizer["y_type"], bool(binarizer["sparse"]))


def _output(stored: Stored, classes: Classes | None) -> str:
    """The output layer's activation."""
    _need(stored, "out_activation_")
    attributes = stored.parts["attributes"]
    activation: str = attributes["out_activation_"]
    known = _OF_NUMBERS if classes is None else _OF_CLASSES
    if activation not in known:
        raise ValueError(f"out_activation_ must be one of {', '.join(known)}, got {activation[:40]!r}.")
    if classes is not None:
        labels.check_classes(classes.values, classes.y_type, activation, attributes["n_outputs_"])
    return activation


def _encoder(stored: Any, n_columns: int) -> tuple[ColumnEncoder | ColumnScale, int]:
    """A fitted encoder of so many columns, and the number of its inputs."""
    if not isinstance(stored, Stored):
        scale = stored["scale_"]
        if len(scale) != n_columns or not (scale > 0).all() or scale.dtype != np.float32:
            raise ValueError("the scale of sparse columns must be a positive number of float32 for each.")
        return ColumnScale(scale), n_columns
    attributes = stored.parts["attributes"]
    _need(
        stored, "encoding_", "categorical_features_", "_centers", "_scales", "_categories", "n_features_in_"
    )
    categories = attributes["_categories"]
    _need(categories, "_columns")
    found = [_categories(column) for column in categories.parts["attributes"]["_columns"]]
    columns = [
        NumberColumn(**column) if "edges" in column else CategoryColumn(**column)
        for column in attributes["encoding_"]
    ]
    is_category = attributes["categorical_features_"]
    dtype = _argument(stored.parts["arguments"], "dtype", lambda value: value in ("float32", "float64"))
    centers, scales = attributes["_centers"], attributes["_scales"]
    sizes = {len(columns), len(is_category), len(centers), len(scales), attributes["n_features_in_"]}
    kinds = [isinstance(column, CategoryColumn) for column in columns]
    counts = [max(column.count, 1) for column in found]
    expected = [column.n_categories for column in columns if isinstance(column, CategoryColumn)]
    if sizes != {n_columns} or kinds != is_category.tolist() or counts != expected:
        raise ValueError("the columns of the encoder do not fit each other.")
    encoding = Encoding(columns)
    if encoding.n_inputs < 1 or encoding.n_inputs >= 2**31:
        raise ValueError(f"the encoder makes {encoding.n_inputs} inputs.")
    _ = encoding._core  # whose own checks raise ValueError
    return ColumnEncoder(is_category, found, centers, scales, encoding, dtype), encoding.n_inputs


def _check_table_encoder(stored: Stored) -> None:
    _need(stored, "n_features_in_")
    _encoder(stored, stored.parts["attributes"]["n_features_in_"])


def _check_categorical_encoder(stored: Stored) -> None:
    _need(stored, "_columns")
    for column in stored.parts["attributes"]["_columns"]:
        _categories(column)


def _check_of_columns(*names: str) -> Callable[[Stored], None]:
    """A check of attributes that have finite numbers for each column."""

    def check(stored: Stored) -> None:
        _need(stored, "n_features_in_", *names)
        attributes = stored.parts["attributes"]
        for name in names:
            values = attributes[name]
            of_columns = values if isinstance(values, list) else [values]
            fits = len(values) == attributes["n_features_in_"]
            if not fits or not all(np.isfinite(numbers).all() for numbers in of_columns):
                raise ValueError(f"{name} must have finite numbers for each column.")

    return check


_ENCODERS: dict[str, Callable[[Stored], None]] = {
    "gdfast.preprocessing.TableEncoder": _check_table_encoder,
    "gdfast.preprocessing.CategoricalEncoder": _check_categorical_encoder,
    "gdfast.preprocessing.PiecewiseLinearEncoder": _check_of_columns("bin_edges_"),
    "gdfast.preprocessing.RobustClipper": _check_of_columns("center_", "scale_"),
}


def _categories(stored: Any) -> Categories:
    """The checked categories of a column."""
    values, numbers = stored["values"], stored["numbers"]
    plain = all(isinstance(value, str | int | float | np.generic) for value in values)
    if len(values) != len(numbers) or not plain or numbers.dtype != np.int64 or (numbers < 0).any():
        raise ValueError("the categories of a column are none.")
    found = Categories(values, numbers, bool(stored["has_rare"]))
    if found.count > len(values):
        raise ValueError("the numbers of a column's categories have gaps.")
    return found
