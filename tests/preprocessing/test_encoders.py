"""The encoders as transformers: their formulas, their edges, and scikit-learn's checks."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gdfast import MLPClassifier
from gdfast.preprocessing import CategoricalEncoder, PiecewiseLinearEncoder, RobustClipper, TableEncoder
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import check_estimator

ENCODERS = {
    "clipper": RobustClipper(),
    "mixed": PiecewiseLinearEncoder(),
    "quantile": PiecewiseLinearEncoder(bins="quantile"),
    "categorical": CategoricalEncoder(),
    "sparse": CategoricalEncoder(sparse_output=True),
    "table": TableEncoder(),
    "no bins": TableEncoder(bins=None),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_every_check_of_scikit_learn_passes(name: str) -> None:
    results = check_estimator(ENCODERS[name], on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}


def test_robust_clipper(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    X = np.c_[rng.normal(size=99), rng.exponential(size=99), np.zeros(99), np.r_[np.zeros(90), 1:10]].astype(
        dtype
    )
    X[3, 0] = np.nan
    clipper = RobustClipper().fit(X)
    low, middle, high = np.nanquantile(X.astype(float), [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(clipper.center_, middle)
    np.testing.assert_allclose(clipper.scale_, [*(high - low)[:2], 1, 4.5])  # a constant, and half the range
    z = (X - middle) / clipper.scale_
    found = clipper.transform(X)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-6, atol=1e-7)
    assert np.abs(clipper.transform(X * dtype(1e20))[:, :2][~np.isnan(X[:, :2])]).max() <= 3


def reference(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    parts = np.clip((x[:, np.newaxis] - edges[:-1]) / np.diff(edges), 0, 1) - 0.5
    return np.where(np.isnan(x)[:, np.newaxis], 0, parts)


@pytest.mark.parametrize("bins", ["mixed", "tree", "values", "quantile"])
@pytest.mark.parametrize("task", ["classes", "numbers", "several numbers", "several labels"])
def test_piecewise_linear_encoding(bins: str, task: str) -> None:
    rng = np.random.default_rng(0)
    X = np.c_[
        rng.normal(size=500), rng.integers(0, 5, 500), np.where(rng.random(500) < 0.7, 0, rng.random(500))
    ]
    X[::7, 0] = np.nan
    y: Any = {
        "classes": np.where(X[:, 1] > 2, "a", "b"),
        "numbers": X[:, 1] + 0.5,
        "several numbers": X[:, 1:] + 0.5,
        "several labels": (X[:, 1:] > 0.5).astype(int),
    }[task]
    encoder = PiecewiseLinearEncoder(bins=bins, n_bins=8).fit(X, y)
    expected = [reference(x, edges) for x, edges in zip(X.T, encoder.bin_edges_, strict=True)]
    np.testing.assert_allclose(encoder.transform(X), np.concatenate(expected, axis=1), rtol=1e-12, atol=1e-15)
    most = 17 if bins == "mixed" else 9
    assert all(2 <= len(edges) <= most + 2 for edges in encoder.bin_edges_)
    assert len(encoder.get_feature_names_out()) == encoder.transform(X).shape[1]


def test_edges_of_quantiles_are_numpys() -> None:
    X = np.random.default_rng(0).normal(size=(100, 2))
    encoder = PiecewiseLinearEncoder(bins="quantile", n_bins=10).fit(X)
    np.testing.assert_array_equal(encoder.bin_edges_[1], np.quantile(X[:, 1], np.linspace(0, 1, 11)))


@pytest.mark.parametrize("kind", [DecisionTreeClassifier, DecisionTreeRegressor])
def test_edges_of_a_tree_are_its_thresholds(kind: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    y = np.sin(3 * x) + 0.1 * rng.normal(size=2000)
    if kind is DecisionTreeClassifier:
        y = y > 0
    encoder = PiecewiseLinearEncoder(bins="tree", n_bins=6).fit(x[:, np.newaxis], y)
    tree = kind(max_leaf_nodes=6, min_samples_leaf=15, random_state=0).fit(x[:, np.newaxis], y).tree_
    expected = [x.min(), *sorted(tree.threshold[tree.feature >= 0]), x.max()]
    np.testing.assert_array_equal(encoder.bin_edges_[0], expected)


def test_a_frequent_value_has_a_bin_of_its_own() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(1000) < 0.9, 0.0, rng.uniform(1, 2, 1000))
    edges = PiecewiseLinearEncoder(bins="values", n_bins=8).fit(x[:, np.newaxis]).bin_edges_[0]
    assert edges[0] == 0
    assert 0 < edges[1] < x[x > 0].min()
    assert len(edges) == 10  # 0 in the first bin, and 7 quantiles between least and largest of the others
    few = PiecewiseLinearEncoder(bins="values", n_bins=8).fit([[1.0], [2.0], [2.0], [4.0]]).bin_edges_[0]
    assert few.tolist() == [1.0, 1.5, 3.0, 4.0]


@given(st.lists(st.floats(-1e30, 1e30) | st.just(float("nan")), min_size=1, max_size=60))
def test_any_numbers_are_encoded_within_bounds(values: list[float]) -> None:
    x = np.array(values)[:, np.newaxis]
    for bins in ("values", "quantile"):
        found = PiecewiseLinearEncoder(bins=bins, n_bins=5).fit(x).transform(x)
        assert np.abs(found).max(initial=0) <= 0.5
    found = TableEncoder(bins="values", n_bins=5).fit(x).transform(x)
    assert np.isfinite(found).all()


def test_categories() -> None:
    X = np.array([["a", 1], ["b", 2], ["a", None], [None, 1], ["c", 1], ["c", 2]], dtype=object)
    encoder = CategoricalEncoder(min_frequency=1).fit(X)
    expected = [[1, 0, 0, -1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, -1], [0, 0, 1, 1]]
    np.testing.assert_array_equal(encoder.transform(X), expected)
    np.testing.assert_array_equal(encoder.transform([["new", 3]]), [[0, 0, 0, 0]])
    assert encoder.get_feature_names_out().tolist() == ["x0_a", "x0_b", "x0_c", "x1_2"]
    assert [list(c) for c in encoder.categories_] == [["a", "b", "c"], [1, 2]]
    stored = CategoricalEncoder(min_frequency=1, sparse_output=True).fit(X).transform(X)
    assert sparse.issparse(stored)
    np.testing.assert_array_equal(stored.toarray(), expected)


def test_rare_categories_share_an_input() -> None:
    X = np.array([["a"], ["a"], ["b"], ["b"], ["c"], ["d"], [None]], dtype=object)
    encoder = CategoricalEncoder().fit(X)
    assert encoder.n_categories_ == [3]
    assert encoder.get_feature_names_out().tolist() == ["x0_a", "x0_b", "x0_rare"]
    np.testing.assert_array_equal(encoder.transform([["c"], ["d"], ["e"]]), [[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    assert CategoricalEncoder(max_categories=2).fit(X).n_categories_ == [2]
    nothing = CategoricalEncoder().fit(np.array([[None], [None]], dtype=object))
    np.testing.assert_array_equal(nothing.transform([["a"], [None]]), [[0], [0]])


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "number": np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200)),
            "skewed": rng.exponential(size=200) ** 3,
            "job": rng.choice(["cook", "clerk", "nurse", "pilot"], 200),
            "member": rng.random(200) < 0.5,
        }
    )


def test_the_table_is_encoded_as_by_the_three_encoders() -> None:
    X, y = frame(), np.arange(200) % 3
    encoder = TableEncoder(dtype="float64", n_bins=6).fit(X, y)
    found = pd.DataFrame(encoder.transform(X), columns=encoder.get_feature_names_out())
    numbers = X[["number", "skewed"]]
    clipped = RobustClipper().fit_transform(numbers)
    np.testing.assert_allclose(found[["number", "skewed"]], np.nan_to_num(clipped), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found["number_missing"], X["number"].isna())
    bins = PiecewiseLinearEncoder(n_bins=6).fit(numbers, y)
    # The edges are those of scaled numbers in float32.
    columns = [name for name in found if "_bin" in name]
    assert columns == bins.get_feature_names_out().tolist()
    np.testing.assert_allclose(found[columns], bins.transform(numbers), atol=1e-4)
    categories = CategoricalEncoder().set_output(transform="pandas").fit_transform(X[["job", "member"]])
    pd.testing.assert_frame_equal(found[list(categories)], categories)
    twin = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(twin.transform(X), encoder.transform(X))


def test_it_stands_in_a_pipeline() -> None:
    X = frame()
    y = np.where(X["member"], 2, X["job"] == "cook").astype(int)
    model = make_pipeline(TableEncoder(), MLPClassifier(random_state=0, max_iter=400, tol=0.01)).fit(X, y)
    assert model.score(X, y) > 0.8
    encoder = TableEncoder().set_output(transform="pandas").fit(X, y)
    assert list(encoder.transform(X).columns) == encoder.get_feature_names_out().tolist()


def test_many_columns_get_few_bins() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3000))
    assert TableEncoder(bins="quantile", max_inputs=9000).fit(X).transform(X).shape[1] == 3000 * 4
    assert TableEncoder(bins="quantile").fit(X).transform(X).shape[1] == 3000


@pytest.mark.parametrize("encoder", [PiecewiseLinearEncoder(), TableEncoder(), TableEncoder(bins="tree")])
def test_trees_need_a_target(encoder: Any) -> None:
    with pytest.raises(ValueError, match=r"bins='(mixed|tree)' requires y to be passed.*bins='quantile'"):
        encoder.fit(np.zeros((5, 1)))


FAILS: dict[str, tuple[Any, Any]] = {
    "TableEncoder without y": (lambda: TableEncoder(), pd.DataFrame({"a": [1.0, 2.0]})),
    "TableEncoder of lists": (lambda: TableEncoder(bins=None), pd.DataFrame({"a": [[1], [2]]})),
    "PiecewiseLinearEncoder": (lambda: PiecewiseLinearEncoder(), pd.DataFrame({"a": ["x", "y"]})),
    "RobustClipper": (lambda: RobustClipper(), pd.DataFrame({"a": ["x", "y"]})),
    "CategoricalEncoder": (lambda: CategoricalEncoder(), pd.DataFrame({"a": [[1], [2]]})),
}


@pytest.mark.parametrize("case", FAILS)
def test_a_fit_that_fails_changes_nothing(case: str) -> None:
    make, X = FAILS[case]
    new, fitted = make(), make().fit(pd.DataFrame({"b": [1.0, 2.0, 3.0]}), [0.0, 1.0, 0.0])
    for encoder in (new, fitted):
        before = dict(vars(encoder))
        with pytest.raises((TypeError, ValueError)):
            encoder.fit(X)
        assert vars(encoder) == before
