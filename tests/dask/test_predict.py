"""Prediction is lazy, partition by partition, with the right dtype, chunks, index and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gdfast.dask import DaskMLPClassifier, DaskMLPRegressor
from numpy.testing import assert_array_equal

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
dask = pytest.importorskip("dask")

pytestmark = [
    pytest.mark.usefixtures("client"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
LABELS = np.array(["no", "yes", "unknown"])[RNG.integers(3, size=90)]
SMALL: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
METHODS = ["predict", "predict_proba", "predict_log_proba"]


def cut(array: np.ndarray) -> Any:
    return da.from_array(array, chunks=(30, *((-1,) * (array.ndim - 1))))


@pytest.fixture(scope="module")
def clf(client: Any) -> Any:
    return DaskMLPClassifier(**SMALL).fit(cut(X), cut(LABELS))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_arrays(clf: Any, method: str, kind: Any) -> None:
    rows = (X * 5).astype(kind)
    lazy = getattr(clf, method)(cut(rows))
    now = getattr(clf, method)(rows)
    assert isinstance(lazy, da.Array)
    assert isinstance(now, np.ndarray)
    assert lazy.dtype == now.dtype
    assert lazy.shape == now.shape
    assert lazy.chunks[0] == (30, 30, 30)
    assert type(lazy._meta) is np.ndarray
    assert_array_equal(lazy.compute(), now)


@pytest.mark.parametrize("method", METHODS)
def test_frames(method: str) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(90) * 10)
    parts = dd.from_pandas(frame, npartitions=3)
    clf = DaskMLPClassifier(**SMALL).fit(parts, dd.from_pandas(pd.Series(LABELS, frame.index), npartitions=3))
    lazy = getattr(clf, method)(parts)
    now = getattr(clf.to_local(), method)(frame)
    assert lazy.divisions == parts.divisions
    found = lazy.compute()
    assert_array_equal(found.index, frame.index)
    assert_array_equal(np.asarray(found), now)
    if method == "predict":
        assert isinstance(lazy, dd.Series)
    else:
        assert isinstance(lazy, dd.DataFrame)
        assert list(lazy.columns) == list(found.columns) == list(clf.classes_)
        assert (lazy.dtypes == now.dtype).all()
    with pytest.raises(ValueError, match="feature names"):
        getattr(clf, method)(parts.rename(columns={"a": "z"}))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("targets", [X[:, 0], X[:, :2]], ids=["one", "two"])
def test_regression(targets: np.ndarray, kind: Any) -> None:
    reg = DaskMLPRegressor(**SMALL).fit(cut(X.astype(kind)), cut(targets))
    lazy = reg.predict(cut(X.astype(kind)))
    assert lazy.dtype == kind
    assert lazy.shape == targets.shape
    assert_array_equal(lazy.compute(), reg.predict(X.astype(kind)))
    assert reg.score(cut(X), cut(targets)) == reg.to_local().score(X, targets)


def test_unknown_sizes_and_empty_partitions(clf: Any) -> None:
    rows = cut(X)
    some = rows[rows[:, 0] > rows[:30, 0].max()]
    assert np.isnan(some.chunks[0]).all()
    for method in METHODS:
        lazy = getattr(clf, method)(some)
        assert np.isnan(lazy.chunks[0]).all()
        assert_array_equal(lazy.compute(), getattr(clf, method)(some.compute()))
    none = rows[rows[:, 0] > 100]
    assert len(clf.predict(none).compute()) == 0


def test_nothing_is_computed_before_it_is_asked_for(clf: Any) -> None:
    @dask.delayed
    def fails() -> Any:
        raise AssertionError

    lazy = da.from_delayed(fails(), (5, 4), float)
    assert clf.predict(lazy).shape == (5,)


def test_bad_rows_are_named(clf: Any) -> None:
    rows = X.copy()
    rows[70, 2] = np.nan
    with pytest.raises(ValueError, match="In partition 2: Input X contains NaN"):
        clf.predict(cut(rows)).compute()
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        clf.predict(cut(X[:, :3]))  # at once
    with pytest.raises(ValueError, match="X must have two dimensions"):
        clf.predict(cut(X[:, 0]))


def test_before_fit() -> None:
    for method in METHODS:
        with pytest.raises(ValueError, match="not fitted"):
            getattr(DaskMLPClassifier(), method)(cut(X))


def test_without_a_cluster(clf: Any) -> None:
    with dask.config.set(scheduler="synchronous"):
        assert_array_equal(clf.predict(cut(X)).compute(), clf.predict(X))


def test_score_is_that_of_memory(clf: Any) -> None:
    weight = RNG.uniform(1, 2, len(X))
    assert clf.score(cut(X), cut(LABELS)) == clf.to_local().score(X, LABELS)
    assert clf.score(cut(X), cut(LABELS), cut(weight)) == clf.to_local().score(X, LABELS, weight)
