"""skl2onnx converts estimators alone, in pipelines and in others, never by scikit-learn's converter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from exports import N, classifier, close, recurrent, regressor, rows
from gdfast.export import register_skl2onnx
from gdfast.preprocessing import CategoricalEncoder, PiecewiseLinearEncoder, RobustClipper, TableEncoder
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from skl2onnx import _parse, _supported_operators, to_onnx, update_registered_converter  # noqa: E402
from skl2onnx.common import _registration  # noqa: E402
from skl2onnx.common.data_types import (  # noqa: E402
    DoubleTensorType,
    FloatTensorType,
    StringTensorType,
)
from skl2onnx.common.shape_calculator import (  # noqa: E402
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from skl2onnx.operator_converters.multilayer_perceptron import (  # noqa: E402
    convert_sklearn_mlp_classifier,
    convert_sklearn_mlp_regressor,
)

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")

TOLERANCE = 1e-6  # float32, see test_onnx.py
ARRAYS: Any = {"zipmap": False}


@pytest.fixture(autouse=True)
def _unregistered() -> Iterator[None]:
    """A test begins without what others have registered, and what it registers is forgotten after it."""
    kept = [
        _parse.sklearn_parsers_map,
        _supported_operators.sklearn_operator_name_map,
        _registration._converter_pool,
        _registration._shape_calculator_pool,
    ]
    before = [dict(registered) for registered in kept]
    for registered in kept:
        for key in [*registered]:
            if str(key).startswith("Gdfast") or getattr(key, "__module__", "").startswith("gdfast"):
                del registered[key]
    yield
    for registered, was in zip(kept, before, strict=True):
        registered.clear()
        registered.update(was)


def run(model: Any, X: Any) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    inputs = X if isinstance(X, dict) else {"X": X}
    return dict(zip(names, session.run(None, inputs), strict=True))


def check(est: Any, X: Any = None) -> None:
    X = rows(np.float32) if X is None else X
    found = run(to_onnx(est, X[:1], options=ARRAYS), X)
    close(found["probabilities"], est.predict_proba(X), TOLERANCE)
    assert (found["label"] == est.predict(X)).all()


def test_alone_and_with_the_options_of_classifiers() -> None:
    """As skl2onnx does it for scikit-learn's classifiers: a dict of probabilities unless zipmap is False."""
    X = rows(np.float32)
    est = classifier("str", np.float32, batch_norm=True, activation=("gelu", "mish"))
    for _ in range(2):  # the first conversion registers
        found = run(to_onnx(est, X[:1]), X)
        assert [*found] == ["output_label", "output_probability"]
        assert (found["output_label"] == est.predict(X)).all()
        shown = [[row[label] for label in est.classes_] for row in found["output_probability"]]
        close(shown, est.predict_proba(X), TOLERANCE)
    check(est)
    found = run(to_onnx(est, X[:1], options={type(est): {"zipmap": "columns"}}), X)
    close(found["sred"], est.predict_proba(X)[:, 2], TOLERANCE)
    found = run(to_onnx(est, X[:1], options={id(est): {**ARRAYS, "output_class_labels": True}}), X)
    assert found["class_labels"].tolist() == est.classes_.tolist()
    found = run(to_onnx(est, X[:1], options={**ARRAYS, "nocl": True}), X)
    assert (est.classes_[found["label"]] == est.predict(X)).all()


@pytest.mark.parametrize("first", [{}, ARRAYS], ids=["zipmap", "arrays"])
def test_the_first_conversion_of_a_process(first: dict[str, Any]) -> None:
    X = rows(np.float32)
    est = classifier("int", np.float32)
    found = run(to_onnx(est, X[:1], options=first or None), X)
    assert [*found] == (["label", "probabilities"] if first else ["output_label", "output_probability"])


@pytest.mark.parametrize("kind", ["int", "str", "object", "float", "bool", "binary", "multilabel"])
def test_labels(kind: str) -> None:
    check(classifier(kind, np.float32, batch_norm=True))


def test_double() -> None:
    est = classifier("str", np.float64, batch_norm=True)
    X = rows()
    found = run(to_onnx(est, X[:1], options=ARRAYS), X)
    close(found["probabilities"], est.predict_proba(X), 1e-14)


@pytest.mark.parametrize("outputs", ["one", "several", "poisson", "quantiles"])
def test_regressors(outputs: str) -> None:
    X = rows(np.float32)
    est = regressor(outputs, np.float32, batch_norm=True)
    found = run(to_onnx(est, X[:1]), X)
    close(found["variable"], est.predict(X).reshape(N, -1), TOLERANCE)


def test_pipelines() -> None:
    X = rows(np.float32)
    y = np.array(["a", "b", "c"])[np.arange(N) % 3]
    net = gdfast.MLPClassifier(5, activation="gelu", batch_norm=True, max_iter=2, random_state=0)
    model = make_pipeline(StandardScaler(), net).fit(X, y)
    check(model)
    assert [*run(to_onnx(model, X[:1]), X)] == ["output_label", "output_probability"]
    check(GridSearchCV(net, {"alpha": [0.1, 1.0]}, cv=2).fit(X, y))


def test_column_transformer() -> None:
    frame = pd.DataFrame(rows()[:, :2], columns=["a", "b"]).astype(np.float32)
    frame["color"] = np.array(["red", "green", "blue", "red"])[np.arange(N) % 4]
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["a", "b"]), ("color", OneHotEncoder(), ["color"])]
    )
    net = gdfast.MLPRegressor(hidden_layer_sizes=5, batch_norm=True, max_iter=2, random_state=0)
    model = make_pipeline(columns, net).fit(frame, np.arange(N))
    types = [("a", FloatTensorType([None, 1])), ("b", FloatTensorType([None, 1])),
             ("color", StringTensorType([None, 1]))]  # fmt: skip
    found = run(to_onnx(model, initial_types=types), {c: frame[[c]].to_numpy() for c in frame})
    close(found["variable"].ravel(), model.predict(frame), 1e-5)  # the scaler, in float32, is not ours


def test_tables() -> None:
    frame = pd.DataFrame(rows()[:, :2], columns=["a", "b"]).astype(np.float32)
    frame["color"] = np.array(["red", "green", "blue", "red"])[np.arange(N) % 4]
    est = gdfast.TabularClassifier(n_members=2, max_iter=2, hidden_layer_sizes=6, n_bins=3, random_state=0)
    est.fit(frame, np.arange(N) % 2)
    types = [("a", FloatTensorType([None, 1])), ("b", FloatTensorType([None, 1])),
             ("color", StringTensorType([None, 1]))]  # fmt: skip
    found = run(to_onnx(est, initial_types=types, options=ARRAYS), {c: frame[[c]].to_numpy() for c in frame})
    close(found["probabilities"], est.predict_proba(frame), TOLERANCE)
    with pytest.raises(ValueError, match="a table of 3 columns, but initial_types have 2"):
        to_onnx(est, initial_types=types[:2])
    with pytest.raises(ValueError, match="type of column 2 in initial_types must be that of strings"):
        to_onnx(est, initial_types=[*types[:2], ("color", FloatTensorType([None, 1]))])
    X = rows(np.float32)
    check(gdfast.TabularClassifier(n_members=2, max_iter=2, random_state=0).fit(X, np.arange(N) % 3), X)


def frame_and_types(dtype: Any) -> tuple[pd.DataFrame, list[Any]]:
    frame = pd.DataFrame(rows()[:, :2], columns=["a", "b"]).astype(dtype)
    frame["color"] = np.array(["red", "green", "blue", "red"])[np.arange(N) % 4]
    frame["size"] = np.array(["s", "l"])[np.arange(N) % 2]
    kind = FloatTensorType if dtype == np.float32 else DoubleTensorType
    numbers, words = kind([None, 1]), StringTensorType([None, 1])
    return frame, [("a", numbers), ("b", numbers), ("color", words), ("size", words)]


@pytest.mark.parametrize("double", [False, True])
def test_encoders_of_tables(double: bool) -> None:
    frame, types = frame_and_types(np.float64 if double else np.float32)
    frame.loc[3, "a"] = np.nan
    encoder = TableEncoder(n_bins=4, embed_from=2, dtype="float64" if double else "float32")
    encoder.fit(frame, np.arange(N) % 3)
    seen = {c: frame[[c]].to_numpy(object if c in ("color", "size") else None).copy() for c in frame}
    seen["color"][0] = "never"
    found = run(to_onnx(encoder, initial_types=types), seen)["variable"]
    expected = encoder.transform(frame.assign(color=seen["color"].ravel()))
    close(found, expected, 1e-12 if double else TOLERANCE)
    assert found.dtype == expected.dtype


def test_a_pipeline_of_an_encoder_and_a_network() -> None:
    frame, types = frame_and_types(np.float32)
    net = gdfast.MLPClassifier(5, batch_norm=True, max_iter=2, random_state=0)
    model = make_pipeline(TableEncoder(n_bins=4), net).fit(frame, np.arange(N) % 3)
    inputs = {c: frame[[c]].to_numpy() for c in frame}
    for seen in (types, [types[0], types[1], ("words", StringTensorType([None, 2]))]):
        if len(seen) == 3:  # columns of one type together
            inputs = {**{c: inputs[c] for c in "ab"}, "words": frame[["color", "size"]].to_numpy(object)}
        found = run(to_onnx(model, initial_types=seen, options=ARRAYS), inputs)
        close(found["probabilities"], model.predict_proba(frame), TOLERANCE)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("encoder", [RobustClipper(limit=2.0), PiecewiseLinearEncoder(n_bins=3)])
def test_encoders_of_numbers(encoder: Any, double: bool) -> None:
    X = rows(np.float64 if double else np.float32)
    X[2, 1] = np.nan
    encoder = clone(encoder).fit(X, np.arange(N) % 2)
    found = run(to_onnx(encoder, X[:1]), X)["variable"]
    expected = encoder.transform(X)
    assert (np.isnan(found) == np.isnan(expected)).all()
    close(np.nan_to_num(found), np.nan_to_num(expected), 1e-14 if double else TOLERANCE)
    assert found.dtype == expected.dtype


def test_encoders_of_categories() -> None:
    frame, types = frame_and_types(np.float32)
    words = frame[["color", "size"]]
    encoder = CategoricalEncoder().fit(words)
    found = run(to_onnx(encoder, initial_types=types[2:]), {c: words[[c]].to_numpy(object) for c in words})
    close(found["variable"], encoder.transform(words), 0)
    codes = np.array([[1, 7], [2, 9]] * 20, np.float32)
    encoder = CategoricalEncoder().fit(codes)
    close(run(to_onnx(encoder, codes[:1]), codes)["variable"], encoder.transform(codes), 0)


def test_ensembles_once_registered() -> None:
    register_skl2onnx()
    X, y = rows(np.float32), np.arange(N) % 3
    net = gdfast.MLPClassifier(5, batch_norm=True, max_iter=2, random_state=0)
    two = [("a", net), ("b", gdfast.MLPClassifier(3, activation="selu", max_iter=2, random_state=0))]
    check(VotingClassifier(two, voting="soft", flatten_transform=False).fit(X, y))
    check(StackingClassifier(two, cv=2).fit(X, y))
    check(BaggingClassifier(net, n_estimators=2, random_state=0).fit(X, y))
    net = gdfast.MLPRegressor(hidden_layer_sizes=5, batch_norm=True, max_iter=2, random_state=0)
    model = StackingRegressor([("a", net)], cv=2).fit(X, y.astype(float))
    close(run(to_onnx(model, X[:1]), X)["variable"].ravel(), model.predict(X), TOLERANCE)


# scikit-learn's converter, registered by a user.


@pytest.mark.parametrize("options", [None, {"zipmap": [True, False, "columns"], "nocl": [True, False]}])
@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_norm": True},
        {"activation": "gelu"},
        {"activation": ("relu", "tanh"), "batch_norm": True},
        {"activation": "leaky_relu", "activation_params": {"leaky_relu": 0.3}},
        {"label_smoothing": 0.2, "dropout": 0.3},
        {},
    ],
    ids=str,
)
def test_scikit_learns_converter_is_never_used(arguments: dict[str, Any], options: Any) -> None:
    update_registered_converter(
        gdfast.MLPClassifier,
        "GdfastMLP",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_mlp_classifier,
        options=options,
    )
    X = rows(np.float32)
    for kind in ("str", "binary", "multilabel"):
        est = classifier(kind, np.float32, **arguments)
        found = run(to_onnx(est, X[:1], options=ARRAYS if options else None), X)
        close(found["probabilities"], est.predict_proba(X), TOLERANCE)
        assert (found["label"] == est.predict(X)).all()


@pytest.mark.parametrize("outputs", ["one", "several", "poisson", "quantiles"])
def test_scikit_learns_converter_of_regressors_is_never_used(outputs: str) -> None:
    update_registered_converter(
        gdfast.MLPRegressor,
        "GdfastMLPRegressor",
        calculate_linear_regressor_output_shapes,
        convert_sklearn_mlp_regressor,
    )
    X = rows(np.float32)
    est = regressor(outputs, np.float32, batch_norm=True)
    close(run(to_onnx(est, X[:1]), X)["variable"], est.predict(X).reshape(N, -1), TOLERANCE)


# What is refused.


def test_sequences_are_refused() -> None:
    with pytest.raises(ValueError, match=r"RNNClassifier takes sequences\. Use gdfast\.export"):
        to_onnx(recurrent(), initial_types=[("X", FloatTensorType([None, 5, 3]))])


def test_old_opsets_are_refused() -> None:
    with pytest.raises(ValueError, match="target_opset must be at least 13, got 12"):
        to_onnx(classifier(), rows(np.float32)[:1], target_opset=12)


def test_estimators_import_no_onnx() -> None:
    code = "import sys, gdfast; gdfast.MLPClassifier; print({'gdfast.export', 'onnx'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "set()", done.stderr
