"""The encoding of tables: numbers as in NumPy, and training with the bits of stored inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gdfast import MLPClassifier, MLPRegressor, _core
from gdfast.training.encoding import CategoryColumn, EncodedRows, Encoding, NumberColumn
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NUMBERS = [np.nan, -np.inf, -1e30, -2.0, -1.0, -0.3, 0.0, 0.1, 0.5, 1.0, 2.5, 3.0, 1e30, np.inf]


def reference(column: NumberColumn | CategoryColumn, x: np.ndarray) -> np.ndarray:
    """The inputs of one column, by the formulas."""
    inputs: list[Any] = []
    if isinstance(column, CategoryColumn):
        if column.binary:
            return np.where(np.isin(x, [0, 1]), 2 * x - 1, 0)[:, np.newaxis]
        return (x[:, np.newaxis] == np.arange(column.n_categories)).astype(x.dtype)
    missing = np.isnan(x)
    with np.errstate(invalid="ignore", over="ignore"):
        if column.clipped:
            inputs.append(np.where(missing, 0, x / np.sqrt(1 + (x / 3) ** 2)))
        if column.flagged:
            inputs.append(missing)
        for low, high in zip(
            column.edges[:-1].astype(x.dtype), column.edges[1:].astype(x.dtype), strict=True
        ):
            inputs.append(np.where(missing, 0, np.clip((x - low) / (high - low), 0, 1) - x.dtype.type(0.5)))
    return np.stack(inputs, axis=1).astype(x.dtype) if inputs else np.empty((len(x), 0), x.dtype)


COLUMNS: dict[str, Any] = {
    "clipped": NumberColumn(np.empty(0)),
    "flagged": NumberColumn(np.empty(0), flagged=True),
    "one bin": NumberColumn(np.array([-1.0, 1.0])),
    "bins": NumberColumn(np.array([-1.0, -0.25, 0.0, 0.1, 0.5, 2.0, 3.0]), flagged=True),
    "bins alone": NumberColumn(np.linspace(-2, 2, 40), clipped=False),
    "nothing": NumberColumn(np.empty(0), clipped=False),
    "categories": CategoryColumn(5),
    "one category": CategoryColumn(1),
    "binary": CategoryColumn(2, binary=True),
}
VALUES = {
    "categories": [0, 1, 4, 5, -1, np.nan, np.inf],
    "one category": [0, 1, np.nan],
    "binary": [0, 1, 2, np.nan],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_encoded_by_the_formulas(name: str, dtype: type[np.floating]) -> None:
    x = np.array(VALUES.get(name, NUMBERS), dtype)
    x = x[~np.isinf(x)] if "clip" in name or "bins" in name or name in ("flagged", "one bin") else x
    found = Encoding([COLUMNS[name]]).encode(x[:, np.newaxis])
    np.testing.assert_array_equal(found, reference(COLUMNS[name], x))


@given(
    x=st.lists(st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), min_size=1, max_size=20),
    edges=st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=20, unique=True),
)
def test_any_edges(x: list[float], edges: list[float]) -> None:
    column = NumberColumn(np.unique(np.array(edges) + 0.0), flagged=True)
    values = np.array(x, np.float32)
    np.testing.assert_array_equal(Encoding([column]).encode(values[:, np.newaxis]), reference(column, values))


def table(dtype: Any, n: int = 300) -> EncodedRows:
    rng = np.random.default_rng(0)
    columns = [*COLUMNS.values()] * 3
    arrays = [
        rng.integers(-1, column.n_categories, n).astype(dtype)
        if isinstance(column, CategoryColumn)
        else np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)).astype(dtype)
        for column in columns
    ]
    return EncodedRows(np.stack(arrays, axis=1), Encoding(columns))


def test_columns_stand_side_by_side(dtype: type[np.floating]) -> None:
    rows = table(dtype)
    columns = [reference(c, rows.table[:, i]) for i, c in enumerate(rows.encoding.columns)]
    np.testing.assert_array_equal(rows.toarray(), np.concatenate(columns, axis=1))
    chosen = np.array([5, 0, 299, 5])
    np.testing.assert_array_equal(rows.encoding.encode(rows.table, chosen), rows.toarray()[chosen])
    np.testing.assert_array_equal(rows[chosen].toarray(), rows.toarray()[chosen])


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton-cg"])
def test_training_on_encoded_rows_gives_the_bits_of_stored_inputs(
    solver: str, batch_norm: bool, dtype: type[np.floating]
) -> None:
    rows = table(dtype)
    stored = rows.toarray()
    y = np.random.default_rng(1).integers(0, 3, len(rows))
    arguments = {"hidden_layer_sizes": (20,), "random_state": 0, "max_iter": 4, "solver": solver, "tol": 0.0}
    if solver not in ("lbfgs", "newton-cg"):
        arguments |= {"batch_norm": batch_norm, "dropout": 0.2, "batch_size": 64, "early_stopping": True}
    elif batch_norm:
        pytest.skip("only batches are normalised")
    encoded = MLPClassifier(**arguments)
    plain = MLPClassifier(**arguments)
    encoded.fit(rows, y)
    plain.fit(stored, y)
    for a, b in zip(encoded.coefs_ + encoded.intercepts_, plain.coefs_ + plain.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert encoded.loss_curve_ == plain.loss_curve_ if solver != "lbfgs" else True
    for X in (rows, stored, rows[:3]):
        expected = plain.predict_proba(X.toarray() if isinstance(X, EncodedRows) else X)
        np.testing.assert_array_equal(encoded.predict_proba(X), expected)


def test_scorers_see_encoded_rows() -> None:
    rows = table(np.float32)
    y = np.random.default_rng(1).normal(size=len(rows))
    arguments: dict[str, Any] = {
        "random_state": 0,
        "max_iter": 3,
        "early_stopping": True,
        "n_iter_no_change": 9,
    }
    nets = [MLPRegressor(**arguments, scoring="neg_mean_absolute_error") for _ in range(2)]
    nets[0].fit(rows, y)
    nets[1].fit(rows.toarray(), y)
    assert nets[0].validation_scores_ == nets[1].validation_scores_


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="increasing"):
        _core.Encoding([(True, False, np.array([0.0, 0.0]))])
    with pytest.raises(ValueError, match="at least one category"):
        _core.Encoding([(0, False)])
    with pytest.raises(ValueError, match="a column must be"):
        _core.Encoding([(1,)])
    encoding = _core.Encoding([(3, False)])
    with pytest.raises(ValueError, match="table"):
        encoding.encode(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="out"):
        encoding.encode(np.zeros((2, 1)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="rows"):
        encoding.encode(np.zeros((2, 1)), np.zeros((1, 3)), np.array([2]))
    net = MLPClassifier(max_iter=1).fit(np.zeros((4, 4)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="features"):
        net.predict(EncodedRows(np.zeros((2, 1)), Encoding([CategoryColumn(3)])))


def test_edges_that_float32_cannot_tell_apart_make_no_nan() -> None:
    edges = np.array([-1e300, 1.0, 1.0 + 1e-12, 1.0 + 2e-12, 1e300])
    x = np.array([[-np.inf], [0.0], [1.0], [2.0], [np.inf]], np.float32)
    assert np.isfinite(Encoding([NumberColumn(edges, clipped=False)]).encode(x)).all()
