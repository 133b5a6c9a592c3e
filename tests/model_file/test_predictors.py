"""Predictors, which need NumPy only, return the estimators' bits and refuse what they refuse."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from models import CASES, assert_alike, fitted, rows, sequences, table
from processes import in_process
from scipy import sparse

METHODS = ("predict", "predict_proba", "predict_log_proba")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Any]]:
    """The fitted estimator of a case, and its predictor."""

    def of(case: str) -> tuple[Any, Any]:
        path = tmp_path_factory.mktemp("models") / "model.safetensors"
        fitted(case).save(path)
        return fitted(case), gdfast.load(path, training=False)

    return of


Pair = Callable[[str], tuple[Any, Any]]


@pytest.mark.parametrize("case", CASES)
def test_same_bits(case: str, pair: Pair) -> None:
    est, predictor = pair(case)
    X = CASES[case]()[1]
    for method in METHODS:
        assert hasattr(est, method) == hasattr(predictor, method)
        if hasattr(est, method):
            assert_alike(getattr(est, method)(X), getattr(predictor, method)(X), method)
    for name in ("n_features_in_", "n_outputs_", "classes_", "feature_names_in_"):
        assert hasattr(est, name) == hasattr(predictor, name)
        assert_alike(getattr(est, name, None), getattr(predictor, name, None), name)


WITHOUT_SCIKIT_LEARN = """
import pickle, sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("sklearn", "scipy", "joblib", "threadpoolctl"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import gdfast
for case in pickle.load(open("{folder}/cases", "rb")):
    X = pickle.load(open("{folder}/" + case + ".X", "rb"))
    predictor = gdfast.load("{folder}/" + case, training=False)
    found = {{m: getattr(predictor, m)(X) for m in {methods} if hasattr(predictor, m)}}
    pickle.dump(found, open("{folder}/" + case + ".found", "wb"))
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "gdfast"))
"""


def test_scikit_learn_and_scipy_need_not_be_there(tmp_path: Path) -> None:
    inputs = {case: CASES[case]()[1] for case in CASES if case != "sparse labels"}  # predicted by scipy
    inputs = {case: X.toarray() if sparse.issparse(X) else X for case, X in inputs.items()}
    (tmp_path / "cases").write_bytes(pickle.dumps(list(inputs)))
    for case, X in inputs.items():
        fitted(case).save(tmp_path / case)
        (tmp_path / f"{case}.X").write_bytes(pickle.dumps(X))
    loaded = in_process(WITHOUT_SCIKIT_LEARN.format(folder=tmp_path, methods=METHODS))
    assert "gdfast.estimators" not in loaded
    for case, X in inputs.items():
        found = pickle.loads((tmp_path / f"{case}.found").read_bytes())
        assert_alike({method: getattr(fitted(case), method)(X) for method in found}, found, case)


def outcome(call: Callable[[], Any]) -> Any:
    """The result of a call, with its warnings, or the kind of its error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except (TypeError, ValueError) as error:
            return type(error)
    return result, [str(warning.message) for warning in caught]


FRAME = pd.DataFrame(rows(), columns=list("abcd"))
ODD_ROWS: dict[str, Any] = {
    "float32": rows(np.float32),
    "integers": (rows() * 9).astype(np.int64),
    "bytes": (rows() * 9).astype(np.int8),
    "booleans": rows() > 0,
    "float16": rows(np.float16),
    "objects": rows().astype(object),
    "other byte order": rows().astype(">f8"),
    "Fortran": np.asfortranarray(rows()),
    "strided": np.repeat(rows(), 2, axis=1)[:, ::2],
    "list": rows().tolist(),
    "one row": rows()[:1],
    "no row": rows()[:0],
    "one dimension": rows()[0],
    "three dimensions": rows()[np.newaxis],
    "no dimension": 3.0,
    "too few features": rows()[:, :3],
    "NaN": np.where(rows() > 1, np.nan, rows()),
    "infinity": np.where(rows() > 1, np.inf, rows()),
    "text": np.full((3, 4), "a"),
    "numbers as text": np.full((3, 4), "1"),
    "complex": rows() * 1j,
    "dates": np.full((3, 4), "2020-01-01", "M8[D]"),
    "csr": sparse.csr_array(rows()),
    "csc": sparse.csc_matrix(rows()),
    "csr of integers": sparse.csr_array((rows() * 2).astype(int)),
    "csr, too few": sparse.csr_array(rows()[:, :3]),
    "csr, NaN": sparse.csr_array(np.where(rows() > 1, np.nan, rows())),
    "pandas": FRAME,
    "pandas of float32": FRAME.astype(np.float32),
    "pandas, another order": FRAME[list("dcba")],
    "pandas, one missing": FRAME[list("abc")],
    "pandas, one more": FRAME.assign(e=1.0),
    "pandas, other names": FRAME.rename(columns={"a": "z"}),
    "pandas, numbered": FRAME.set_axis(range(4), axis=1),
    "pandas, some names": FRAME.rename(columns={"a": 0}),
    "pandas, nullable": FRAME.convert_dtypes(),
    "pandas, missing": FRAME.where(FRAME < 1).convert_dtypes(),
    "pandas, mixed": FRAME.assign(a=1, b=True),
    "pandas, text": FRAME.assign(a="x"),
    "polars": pl.DataFrame(dict(FRAME)),
    "pyarrow": pa.table({name: FRAME[name].to_numpy() for name in FRAME}),
    "scalar": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "case", ["classes of strings", "names", "quantiles", "sparse table", "array as a table"]
)
@pytest.mark.parametrize("form", ODD_ROWS)
def test_odd_rows(case: str, form: str, pair: Pair) -> None:
    if form == "polars" and not hasattr(pl.DataFrame, "__dataframe__") and case == "names":
        pytest.skip("scikit-learn 1.7.0 does not find the names of polars 2")
    est, predictor = pair(case)
    X = ODD_ROWS[form]
    assert_alike(outcome(lambda: est.predict(X)), outcome(lambda: predictor.predict(X)))


ODD_SEQUENCES: dict[str, Any] = {
    "array": sequences(),
    "float32": sequences().astype(np.float32),
    "list": list(sequences()),
    "ragged": [sequences()[0], sequences()[1][:2]],
    "frames": [pd.DataFrame(x, columns=list("abcd")) for x in sequences()],
    "too few features": sequences()[..., :3],
    "rows": rows(),
    "empty": [],
    "NaN": np.where(sequences() > 1, np.nan, sequences()),
    "text": "abc",
}


@pytest.mark.parametrize("case", ["gru", "lstm, stateful", "elman, per step"])
@pytest.mark.parametrize("form", ODD_SEQUENCES)
def test_odd_sequences(case: str, form: str, pair: Pair) -> None:
    est, predictor = pair(case)
    X = ODD_SEQUENCES[form]
    assert_alike(outcome(lambda: est.predict(X)), outcome(lambda: predictor.predict(X)))


CHANGES = (lambda state: 2 * state, lambda state: state[:1], lambda state: np.nan * state)


@pytest.mark.parametrize("case", ["gru", "lstm, stateful", "elman, per step"])
def test_states(case: str, pair: Pair) -> None:
    est, predictor = pair(case)
    X = sequences()
    results = [model.predict(X, return_state=True) for model in (est, predictor)]
    assert_alike(*results)
    states = results[0][1]
    for state in (states, [2 * s for s in states], [s[:1] for s in states], [s * np.nan for s in states], 3):
        assert_alike(
            *[outcome(lambda m=m, s=state: m.predict(X, s, return_state=True)) for m in (est, predictor)]
        )


FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "another order, and one more": lambda frame: frame[frame.columns[::-1]].assign(more=1),
    "one missing": lambda frame: frame.iloc[:, 1:],
    "polars": lambda frame: pl.from_pandas(frame),
    "pyarrow": lambda frame: pa.table({name: pa.array(frame[name], from_pandas=True) for name in frame}),
    "objects": lambda frame: frame.to_numpy(object),
    "list": lambda frame: frame.to_numpy(object).tolist(),
    "unknown categories": lambda frame: frame.assign(color="purple", sold=None),
    "numbers for categories": lambda frame: frame.assign(color=3.5),
    "text for numbers": lambda frame: frame.assign(size="large"),
    "infinity": lambda frame: frame.assign(size=np.inf),
    "one row": lambda frame: frame.iloc[:1],
    "no row": lambda frame: frame.iloc[:0],
    "sparse": lambda frame: sparse.csr_array(np.ones((3, 5))),
    "sparse, too few": lambda frame: sparse.csr_array(np.ones((3, 4))),
    "numbers": lambda frame: np.ones((3, 5), np.float32),
}


@pytest.mark.parametrize("case", ["table of classes", "table of labels", "table of numbers"])
@pytest.mark.parametrize("form", FRAMES)
def test_tables(case: str, form: str, pair: Pair) -> None:
    est, predictor = pair(case)
    X = FRAMES[form](table())
    assert_alike(outcome(lambda: est.predict(X)), outcome(lambda: predictor.predict(X)))


@pytest.mark.parametrize("case", ["table of classes", "table of numbers"])
def test_standard_deviations(case: str, pair: Pair) -> None:
    method = "predict_proba" if "classes" in case else "predict"
    assert_alike(*[getattr(model, method)(table(), return_std=True) for model in pair(case)])


def test_encoded_rows(pair: Pair, tmp_path: Path) -> None:
    """A network with embeddings behind an encoder of tables of its own."""
    from gdfast.preprocessing import TableEncoder

    encoder = TableEncoder(bins=None, embed_from=2).fit(table())
    X = encoder.encode(table())
    est = gdfast.MLPRegressor("squared_error", (4,), tol=1, random_state=0).fit(X, rows()[:, 0])
    assert est.embeddings_
    est.save(tmp_path / "model")
    predictor = gdfast.load(tmp_path / "model", training=False)
    assert_alike(est.predict(X), predictor.predict(X))
    other = TableEncoder(bins=None).fit(table()).encode(table())
    assert outcome(lambda: predictor.predict(other)) is outcome(lambda: est.predict(other)) is ValueError


def test_predictors_can_be_pickled(pair: Pair) -> None:
    for case in ("classes of strings", "gru", "table of classes"):
        predictor, X = pair(case)[1], CASES[case]()[1]
        again = pickle.loads(pickle.dumps(predictor))
        assert_alike(predictor.predict(X), again.predict(X))


def test_unfitted_estimators_and_encoders_have_none(tmp_path: Path) -> None:
    from gdfast.preprocessing import RobustClipper

    for model in (gdfast.MLPClassifier(), RobustClipper().fit(rows())):
        model.save(tmp_path / "model")
        with pytest.raises(ValueError, match="which is not fitted, or does not predict"):
            gdfast.load(tmp_path / "model", training=False)
