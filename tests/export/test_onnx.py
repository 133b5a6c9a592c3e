"""ONNX models predict in onnxruntime what the estimators predict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from exports import (
    CELLS,
    LABELS,
    OUTPUTS,
    RNG,
    N,
    beyond_float32,
    classifier,
    close,
    recurrent,
    regressor,
    rows,
    sequences,
)
from gdfast.export import to_onnx
from gdfast.training.activations import NAMES
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")

# Some units in the last place: onnxruntime sums in another order, and has other approximations of exp, tanh
# and erf, of which those of float32 are right to about 2e-7.
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}


def run(model: Any, **inputs: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, inputs)
    return found


def check_classifier(est: Any, X: Any, **options: Any) -> None:
    dtype = np.dtype(options.get("dtype", X.dtype)).type
    label, probabilities = run(to_onnx(est, **options), X=X.astype(dtype))
    close(probabilities, est.predict_proba(X), TOLERANCE[dtype])
    assert probabilities.dtype == dtype
    predicted = est.predict(X)
    assert (label == (predicted.toarray() if sparse.issparse(predicted) else predicted)).all()


def check_regressor(est: Any, X: Any) -> None:
    (found,) = run(to_onnx(est), X=X)
    close(found, est.predict(X).reshape(len(X), -1), TOLERANCE[X.dtype.type])
    assert found.dtype == X.dtype


# Rows.


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch_norm"])
@pytest.mark.parametrize("activation", sorted(NAMES))
def test_activations(activation: str, batch_norm: bool, dtype: Any) -> None:
    est = classifier("str", dtype, activation=activation, batch_norm=batch_norm, dropout=0.3)
    check_classifier(est, rows(dtype))
    if activation in ("gelu", "leaky_relu", "elu", "mish"):
        check_classifier(est, rows(dtype), opset=21)


@pytest.mark.parametrize("activation", sorted(NAMES))
def test_large_inputs(activation: str, dtype: Any) -> None:
    """Nothing is infinite times zero on the way."""
    est = regressor("one", dtype, activation=activation)
    for X in (rows(dtype) * dtype(1e4), rows(dtype) * dtype(1e12)):
        (found,) = run(to_onnx(est), X=X)
        assert np.isfinite(found).all()


def test_an_activation_for_each_layer_and_parameters(dtype: Any) -> None:
    arguments = {
        "hidden_layer_sizes": (6, 5, 4, 3),
        "activation": ("elu", "leaky_relu", "selu", "tanh"),
        "activation_params": {"elu": 0.7, "leaky_relu": 0.3},
    }
    check_classifier(classifier("int", dtype, **arguments), rows(dtype))


@pytest.mark.parametrize("size", [(), (1,), (3, 70)])
def test_sizes_of_layers(size: tuple[int, ...], dtype: Any) -> None:
    check_classifier(classifier("int", dtype, hidden_layer_sizes=size), rows(dtype))


@pytest.mark.parametrize("kind", [*LABELS, "multilabel"])
def test_labels(kind: str, dtype: Any) -> None:
    est = classifier(kind, dtype, batch_norm=True)
    check_classifier(est, rows(dtype))
    (label, _) = to_onnx(est).graph.output
    types = {"int": "INT64", "float": "DOUBLE", "bool": "BOOL", "multilabel": "INT64"}
    assert onnx.TensorProto.DataType.Name(label.type.tensor_type.elem_type) == types.get(kind, "STRING")


def test_labels_of_a_sparse_target() -> None:
    y = sparse.csr_matrix((RNG(2).rand(N, 3) > 0.5).astype(int))
    check_classifier(gdfast.MLPClassifier(5, max_iter=1, random_state=0).fit(rows(), y), rows())


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_regression(outputs: str, dtype: Any) -> None:
    est = regressor(outputs, dtype, activation="silu", batch_norm=True)
    check_regressor(est, rows(dtype))
    if outputs == "quantiles":
        (found,) = run(to_onnx(est), X=rows(dtype))
        assert (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_any_number_of_rows(n: int, dtype: Any) -> None:
    check_classifier(classifier("int", dtype, batch_norm=True), rows(dtype, n))
    check_regressor(regressor("several", dtype), rows(dtype, n))


@pytest.mark.parametrize("opset", [13, 14, 18, 20, 22])
def test_opsets(opset: int) -> None:
    for activation in ("gelu", "mish", "selu"):
        check_classifier(classifier("str", np.float32, activation=activation), rows(np.float32), opset=opset)
    assert [o.version for o in to_onnx(regressor(), opset=opset).opset_import] == [opset]


def test_another_dtype() -> None:
    """Of an estimator in float64, as of data that are stored so, a model in float32."""
    check_classifier(classifier("str", np.float64), rows(), dtype="float32")
    (found,) = run(to_onnx(regressor("one", np.float32), dtype=np.float64), X=rows())
    close(found.ravel(), regressor("one", np.float32).predict(rows(np.float32)), TOLERANCE[np.float32])


def test_far_from_zero() -> None:
    """The mean is subtracted before anything is multiplied, as in gdfast: else digits would be lost."""
    est = regressor("one", np.float32, batch_norm=True, hidden_layer_sizes=(6,))
    est.intercepts_[0] += 1e4
    est.bn_mean_[0] += 1e4
    est.bn_var_[0][...] = 1e-4
    check = run(to_onnx(est), X=rows(np.float32))[0].ravel()
    # The sums of float32 near 1e4 have steps of 1e-3, which are multiplied by 100.
    close(check, est.predict(rows(np.float32)), 0.05)


@given(
    sizes=st.lists(st.integers(1, 9), max_size=3),
    names=st.data(),
    batch_norm=st.booleans(),
    kind=st.sampled_from([*LABELS, "multilabel"]),
    double=st.booleans(),
)
def test_any_network(sizes: list[int], names: Any, batch_norm: bool, kind: str, double: bool) -> None:
    dtype = np.float64 if double else np.float32
    activation = [names.draw(st.sampled_from(sorted(NAMES))) for _ in sizes]
    arguments: dict[str, Any] = {"hidden_layer_sizes": sizes, "batch_norm": batch_norm and bool(sizes)}
    check_classifier(classifier(kind, dtype, activation=activation, **arguments), rows(dtype))


# Sequences.


@pytest.mark.parametrize("per_step", [False, True], ids=["last", "each"])
@pytest.mark.parametrize(("cell", "activation"), CELLS)
@pytest.mark.parametrize("layers", [(5,), (5, 4, 3)])
def test_cells(cell: str, activation: str, layers: tuple[int, ...], per_step: bool, dtype: Any) -> None:
    est = recurrent(cell, activation, per_step=per_step, dtype=dtype, hidden_layer_sizes=layers)
    for X in (sequences(dtype), sequences(dtype, 1, 1), sequences(dtype, 3, 40)):
        check_classifier(est, X)


@pytest.mark.parametrize("per_step", [False, True], ids=["last", "each"])
@pytest.mark.parametrize(("cell", "activation"), CELLS)
def test_lengths_and_states(cell: str, activation: str, per_step: bool, dtype: Any) -> None:
    est = recurrent(cell, activation, per_step=per_step, dtype=dtype, classifies=False)
    X = sequences(dtype)
    lengths = np.array([5, 1, 2, 5, 3, 4, 1])
    X_list = [x[:n] for x, n in zip(X, lengths, strict=True)]
    _, like = est.predict(X_list, return_state=True)
    initial = [RNG(6).normal(size=state.shape).astype(dtype) for state in like]
    expected, states = est.predict(X_list, initial_state=initial, return_state=True)
    # What is beyond the lengths has no influence.
    X = np.stack([np.where(np.arange(5)[:, None] < n, x, 1e3) for x, n in zip(X, lengths, strict=True)])
    inputs = {f"state_{i}": state for i, state in enumerate(initial)}
    model = to_onnx(est, lengths=True, states=True)
    found, *finals = run(model, X=X.astype(dtype), lengths=lengths, **inputs)
    if per_step:
        for i, n in enumerate(lengths):
            close(found[i, :n], expected[i], TOLERANCE[dtype])
    else:
        close(found, expected, TOLERANCE[dtype])
    for final, state in zip(finals, states, strict=True):
        close(final, state, TOLERANCE[dtype])


def test_a_loop_goes_on_from_its_states() -> None:
    est = recurrent("lstm", per_step=True, dtype=np.float32, classifies=False)
    X = sequences(np.float32)
    model = to_onnx(est, states=True)
    states = [np.zeros((7, 10), np.float32), np.zeros((7, 8), np.float32)]
    for step in range(X.shape[1]):
        found, *states = run(model, X=X[:, step : step + 1], state_0=states[0], state_1=states[1])
        close(found[:, 0], est.predict(X)[:, step], TOLERANCE[np.float32])


# Tables.


def table() -> pd.DataFrame:
    rng = RNG(7)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=N),
            "constant": 3.0,
            "count": rng.randint(5, size=N),
            "color": rng.choice(["red", "green", "blå"], N),
            "city": rng.choice([f"city {i}" for i in range(9)], N),
            "sold": rng.rand(N) > 0.5,
            "code": rng.choice([10, 20, 35], N),
        }
    )
    frame.loc[3, "size"] = np.nan
    return frame


def unseen() -> pd.DataFrame:
    """The table with what training has not seen."""
    frame = table()
    frame.loc[0, "color"], frame.loc[1, "size"], frame.loc[2, "code"] = "never", -1e30, 77
    return frame


def inputs_of(frame: pd.DataFrame, dtype: Any) -> dict[str, Any]:
    def values(name: str) -> Any:
        if name in ("color", "city"):
            return frame[name].to_numpy(object)
        return frame[name].to_numpy(dtype)

    return {str(name): values(name).reshape(-1, 1) for name in frame}


TARGETS: dict[str, Callable[[], Any]] = {
    "classes": lambda: np.array(["a", "b", "c"])[np.arange(N) % 3],
    "two classes": lambda: np.arange(N) % 3 == 0,
    "labels": lambda: (RNG(2).rand(N, 3) > 0.5).astype(int),
    "number": lambda: RNG(3).normal(5e3, 100, N),
    "numbers": lambda: RNG(3).normal(5, 100, (N, 2)),
}


def tabular(target: str, X: Any, **arguments: Any) -> Any:
    kind = gdfast.TabularRegressor if target.startswith("number") else gdfast.TabularClassifier
    arguments = {"n_members": 2, "max_iter": 2, "hidden_layer_sizes": 6, "n_bins": 3, **arguments}
    if isinstance(X, pd.DataFrame):
        arguments["categorical_features"] = list({"color", "city", "sold", "code", "id"} & {*X})
    return kind(random_state=0, **arguments).fit(X, TARGETS[target]())


@pytest.mark.parametrize("embed_from", [None, 5], ids=["one-hot", "embedded"])
@pytest.mark.parametrize("target", TARGETS)
def test_tables(target: str, embed_from: int | None) -> None:
    est = tabular(target, table(), embed_from=embed_from)
    if target == "classes":
        est.temperature_ = 1.7  # found by few rows it may be anything
    found = run(to_onnx(est), **inputs_of(unseen(), np.float64))
    # The members are in float32.
    if target.startswith("number"):
        close(found[0], est.predict(unseen()).reshape(N, -1), TOLERANCE[np.float32])
    else:
        close(found[1], est.predict_proba(unseen()), TOLERANCE[np.float32])
        assert (found[0] == est.predict(unseen())).all()


def test_tables_in_float32() -> None:
    est = tabular("two classes", table())
    label, found = run(to_onnx(est, dtype="float32"), **inputs_of(table(), np.float32))
    close(found, est.predict_proba(table().astype({"size": np.float32})), TOLERANCE[np.float32])
    assert (found.dtype, label.dtype) == (np.float32, bool)


def test_missing_categories() -> None:
    frame = table()[["sold", "color", "code"]].astype(object)
    frame.iloc[[0, 1, 2], [0, 1, 2]] = None
    est = tabular("classes", frame)
    given = {name: frame[name].to_numpy(np.float64)[:, None] for name in ("sold", "code")}
    found = run(to_onnx(est), **given, color=frame[["color"]].fillna("").to_numpy(object))
    close(found[1], est.predict_proba(frame), TOLERANCE[np.float32])


def test_arrays_in_place_of_tables() -> None:
    X = rows()
    X[5, 2] = np.nan
    est = tabular("classes", X)
    close(run(to_onnx(est), X=X)[1], est.predict_proba(X), TOLERANCE[np.float32])
    objects = table()[["size", "color"]].to_numpy(object)
    est = tabular("classes", objects)
    found = run(to_onnx(est), x0=objects[:, :1].astype(float), x1=objects[:, 1:])
    close(found[1], est.predict_proba(objects), TOLERANCE[np.float32])
    X = np.where(rows() > 0, rows(), 0)
    est = tabular("number", sparse.csr_matrix(X))
    close(run(to_onnx(est), X=X)[0].ravel(), est.predict(sparse.csr_matrix(X)), TOLERANCE[np.float32])


# What the model says, and where it is written.


def test_the_model_says_where_it_comes_from(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows(), columns=["a", "b", "c", "d"])
    est = gdfast.MLPRegressor(hidden_layer_sizes=3, max_iter=1).fit(frame, np.arange(N))
    model = to_onnx(est, tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx") == model
    assert (model.producer_name, model.producer_version) == ("gdfast", gdfast.__version__)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["estimator"] == "gdfast.MLPRegressor"
    assert json.loads(properties["feature_names"]) == ["a", "b", "c", "d"]
    assert [value.name for value in model.graph.output] == ["variable"]


def test_a_predictor_is_exported_as_its_estimator(tmp_path: Path) -> None:
    est = classifier("str", np.float32)
    est.save(tmp_path / "net.safetensors")
    predictor = gdfast.load(tmp_path / "net.safetensors", training=False)
    assert to_onnx(predictor) == to_onnx(est)


def test_an_error_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")
    est = classifier("str")
    est.coefs_[1] = est.coefs_[1][:-1]
    with pytest.raises(ValueError, match="coefs_"):
        to_onnx(est, path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        to_onnx(classifier("str"), tmp_path / "nowhere" / "net.onnx")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def not_finite() -> Any:
    est = classifier("str")
    est.coefs_[0][0, 0] = np.nan
    return est


def embedded() -> Any:
    from gdfast.preprocessing import TableEncoder

    encoder = TableEncoder(bins=None, embed_from=2).fit(table())
    est = gdfast.MLPClassifier(3, max_iter=1).fit(encoder.encode(table()), TARGETS["classes"]())
    return est


class Own(gdfast.MLPClassifier):
    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(X) ** 2


class Named(gdfast.MLPClassifier):
    pass


@pytest.mark.parametrize(
    ("est", "options", "error", "message"),
    [
        (lambda: classifier(), {"opset": 12}, ValueError, "opset must lie within 13 and"),
        (lambda: classifier(), {"opset": 99}, ValueError, "opset must lie within 13 and"),
        (lambda: classifier(), {"opset": "17"}, TypeError, "opset must be an integer"),
        (lambda: classifier(), {"dtype": "float16"}, ValueError, "dtype must be float32 or float64"),
        (lambda: classifier(), {"lengths": True}, ValueError, "lengths=True is for recurrent networks"),
        (lambda: classifier(), {"states": True}, ValueError, "states=True is for recurrent networks"),
        (lambda: classifier(), {"dtype": "foo"}, ValueError, "dtype must be float32 or float64, got 'foo'"),
        (lambda: recurrent(), {"lengths": [5, 3]}, TypeError, "lengths must be True or False"),
        (lambda: recurrent(), {"states": "no"}, TypeError, "states must be True or False"),
        (lambda: classifier(), {"path": 3}, TypeError, "path must be a string or a path"),
        (gdfast.MLPClassifier, {}, NotFittedError, "not fitted"),
        (lambda: "net", {}, TypeError, "est must be a fitted estimator of gdfast"),
        (lambda: make_pipeline(classifier()), {}, TypeError, "est is a Pipeline: skl2onnx.to_onnx converts"),
        (lambda: Own(3, max_iter=1).fit(rows(), np.arange(N) % 2), {}, TypeError, "its own predict_proba"),
        (not_finite, {}, ValueError, "coefs_ .* finite"),
        (embedded, {}, ValueError, "embedded columns.*embed_from=None"),
    ],
)
def test_refusals(est: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        to_onnx(est(), **options)


@pytest.mark.parametrize("what", ["weight", "parameter", "factor"])
def test_numbers_that_float32_has_not(what: str) -> None:
    est = beyond_float32(what)
    with pytest.raises(ValueError, match="est has numbers that are beyond float32: export it in float64"):
        to_onnx(est, dtype="float32")
    to_onnx(est)


@pytest.mark.parametrize("target", ["classes", "number"])
def test_names_of_columns_that_onnx_has_not(target: str) -> None:
    """Those of the model's outputs, and none at all."""
    unfit, *others = ["label", "variable"] if target == "classes" else ["variable", "label"]
    for name in ("", unfit):
        frame = table()[["size"]].rename(columns={"size": name})
        with pytest.raises(ValueError, match=f"with a column '{name}', which in ONNX is .*another name"):
            to_onnx(tabular(target, frame))
    for name in (*others, "Cast_0", "coef_constant_0", "Gemm_0", "a b", "é"):
        frame = table()[["size"]].rename(columns={"size": name})
        est = tabular(target, frame)
        found = run(to_onnx(est), **{name: frame.to_numpy(np.float64)})
        expected = est.predict_proba(frame) if target == "classes" else est.predict(frame)[:, None]
        close(found[-1], expected, TOLERANCE[np.float32])


def test_labels_that_onnx_has_not() -> None:
    est = classifier("int")
    est.classes_ = est._label_binarizer.classes_ = np.array([1, 2, 2**63 + 5], np.uint64)
    with pytest.raises(ValueError, match="classes_ has 9223372036854775813, which is no int64"):
        to_onnx(est)
    est.classes_ = est._label_binarizer.classes_ = np.array([1, "b", None], object)
    with pytest.raises(ValueError, match="classes_"):
        to_onnx(est)


def test_a_subclass_with_the_same_predictions() -> None:
    check_classifier(Named(3, max_iter=1, random_state=0).fit(rows(), np.arange(N) % 2), rows())


def test_categories_that_float32_cannot_tell_apart() -> None:
    frame = pd.DataFrame({"id": np.where(np.arange(N) % 2, 2**24, 2**24 + 1)})
    with pytest.raises(ValueError, match="same number in float32"):
        to_onnx(tabular("classes", frame), dtype="float32")
