"""Bad input is refused before anything is trained; what a partition has wrong is said with its number."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
import pytest
from gdfast import MLPClassifier
from gdfast.callbacks import ModelCheckpoint
from gdfast.dask import DaskMLPClassifier, DaskMLPRegressor
from gdfast.dask._partitions import check

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
dask = pytest.importorskip("dask")

pytestmark = [
    pytest.mark.usefixtures("client"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
Y = (X[:, 0] > 0).astype(int)
SMALL: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}


def cut(array: np.ndarray, size: int = 20) -> Any:
    return da.from_array(array, chunks=(size, *((-1,) * (array.ndim - 1))))


def edited(place: Any, value: Any, of: np.ndarray = X) -> Any:
    copy = of.astype(np.result_type(of, type(value)))
    copy[place] = value
    return cut(copy)


def from_parts(parts: list[Any], shape: tuple[Any, ...], kind: Any = float) -> Any:
    """An array whose chunks are not what it says."""
    arrays = [da.from_delayed(dask.delayed(part), shape, kind) for part in parts]
    return da.concatenate(arrays)


def frames(change: Callable[[Any], Any]) -> Any:
    """Four partitions, of which the third is changed."""
    frame = pd.DataFrame(X, columns=list("abcd"))
    parts = [frame[i : i + 20] for i in range(0, 80, 20)]
    parts[2] = change(parts[2])
    return dd.from_delayed([dask.delayed(part) for part in parts], meta=frame[:0], verify_meta=False)


IN_A_PARTITION = {
    "NaN": (edited((45, 1), np.nan), cut(Y), r"In partition 2: Input X contains NaN"),
    "infinity": (edited((70, 1), np.inf), cut(Y), r"In partition 3: Input X contains infinity"),
    "NaN of y": (cut(X), edited(5, np.nan, Y), r"In partition 0: Input y contains NaN"),
    "width": (
        from_parts([X[:20], X[20:40, :3]], (20, 4)),
        cut(Y[:40]),
        r"In partition 1: X has 3 features, but 4 in partition 0",
    ),
    "length": (
        from_parts([X[:20], X[20:30]], (np.nan, 4)),
        cut(Y[:40]),
        r"In partition 1: Found input variables with inconsistent numbers of samples: \[10, 20\]",
    ),
    "names": (
        frames(lambda part: part.rename(columns={"b": "x"})),
        cut(Y),
        r"In partition 2: X has the columns \['a', 'x', 'c', 'd'\], but \['a', 'b', 'c', 'd'\] in",
    ),
    "order of names": (
        frames(lambda part: part[list("bacd")]),
        cut(Y),
        r"In partition 2: X has the columns \['b', 'a', 'c', 'd'\]",
    ),
    "missing column": (
        frames(lambda part: part[list("abc")]),
        cut(Y),
        r"In partition 2: X has 3 features, but 4 in partition 0",
    ),
    "text": (
        frames(lambda part: part.assign(b="x")),
        cut(Y),
        r"In partition 2: .*could not convert string to float: 'x'",
    ),
    "kinds of labels": (
        cut(X[:40]),
        from_parts([Y[:20], np.array(["a", "b"] * 10)], (20,), object),
        r"In partition 1: the labels of y are text, but numbers in partition 0",
    ),
    "numbers of labels": (
        cut(X[:40]),
        from_parts([np.eye(20, 3, dtype=int), np.eye(20, 4, dtype=int)], (20, 3), int),
        r"In partition 1: y has 4 columns, but 3 columns in partition 0",
    ),
    "continuous": (cut(X), cut(X[:, 0]), r"In partition 0: Unknown label type"),
}


@pytest.mark.parametrize("case", IN_A_PARTITION)
def test_a_partition_is_named(case: str) -> None:
    X, y, message = IN_A_PARTITION[case]
    est = DaskMLPClassifier(**SMALL)
    before = dict(vars(est))
    with pytest.raises(ValueError, match=message):
        est.fit(X, y)
    assert vars(est) == before


def test_partitions_are_checked_apart() -> None:
    """Several threads of a worker check at a time; each takes notes of its own."""
    est = MLPClassifier(**SMALL)
    columns = [f"x{i}" for i in range(4)]
    frames = [pd.DataFrame(X[:, : 1 + i % 4], columns=columns[: 1 + i % 4]) for i in range(40)]
    with ThreadPool(8) as pool:
        found = pool.map(lambda i: check(est, i, frames[i], Y, None)[1], range(40))
    assert [summary.names for summary in found] == [tuple(frame.columns) for frame in frames]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (edited(25, -1.0, np.ones(80)), r"In partition 1: sample_weight must not be negative"),
        (edited(25, np.nan, np.ones(80)), r"In partition 1: .*NaN"),
        (cut(np.zeros(80)), r"leave no sample a weight"),
        (cut(np.ones(60)), r"X has 80 rows, but sample_weight has 60"),
    ],
)
def test_weights(weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DaskMLPClassifier(**SMALL).fit(cut(X), cut(Y), weight)


def test_zero_weights_of_a_partition_leave_it_out() -> None:
    weight = np.repeat([1.0, 0.0], 40)
    some = DaskMLPClassifier(**SMALL).fit(cut(X), cut(Y), cut(weight))
    half = DaskMLPClassifier(**SMALL).fit(cut(X[:40]), cut(Y[:40]), cut(weight[:40]))
    for a, b in zip(some.coefs_, half.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_regression_refuses_what_memory_refuses() -> None:
    with pytest.raises(ValueError, match=r"In partition 2: loss='poisson' requires y >= 0"):
        DaskMLPRegressor("poisson", **SMALL).fit(cut(X), edited(50, -1.0, abs(X[:, 0])))
    with pytest.raises(TypeError, match=r"In partition 0: y holds text"):
        DaskMLPRegressor(**SMALL).fit(cut(X), cut(Y.astype(str)))


def test_partitions_of_different_dtypes_train_in_the_wider() -> None:
    parts = from_parts([X[:20].astype(np.float32), X[20:40], (X[40:60] * 9).astype(int)], (20, 4))
    est = DaskMLPClassifier(**SMALL).fit(parts, cut(Y[:60]))
    assert est.coefs_[0].dtype == np.float64


COLLECTIONS = {
    "memory": (X, cut(Y), TypeError, r"X must be an array or a frame of Dask, got ndarray.*from_array"),
    "y in memory": (cut(X), Y, TypeError, r"y must be an array or a frame of Dask"),
    "lengths": (cut(X), cut(Y[:60]), ValueError, r"X has 80 rows, but y has 60"),
    "numbers of partitions": (
        dd.from_pandas(pd.DataFrame(X), npartitions=4),
        dd.from_pandas(pd.Series(Y), npartitions=2),
        ValueError,
        r"X has 4 partitions, but y has 2",
    ),
    "dimensions": (cut(X.reshape(20, 4, 4)), cut(Y), ValueError, r"X must have one or two dimensions"),
    "one dimension": (cut(X[:, 0]), cut(Y), ValueError, r"In partition 0: Expected 2D array"),
    "empty": (cut(X)[:0], cut(Y)[:0], ValueError, r"X has no rows"),
}


@pytest.mark.parametrize("case", COLLECTIONS)
def test_collections(case: str) -> None:
    X, y, kind, message = COLLECTIONS[case]
    with pytest.raises(kind, match=message):
        DaskMLPClassifier(**SMALL).fit(X, y)


class OnGradient:
    def on_gradient(self, est: Any, gradients: Any) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "lbfgs"}, "solver='lbfgs'.*stochastic"),
        ({"solver": "muon"}, "solver='muon' is not supported by DaskMLPClassifier"),
        ({"learning_rate_init": "auto"}, "learning_rate_init='auto' is not supported"),
        ({"clip_norm": "auto"}, "clip_norm='auto' is not supported"),
        ({"early_stopping": True}, "early_stopping takes a validation set.*X_val"),
        ({"resume": "run.ckpt"}, "ModelCheckpoint and resume are not supported"),
        ({"callbacks": [ModelCheckpoint("run.ckpt")]}, "ModelCheckpoint and resume are not supported"),
        ({"callbacks": [OnGradient()]}, "on_gradient, which is not supported"),
        ({"local_epochs": 1.5}, "local_epochs=1.5 must be a whole number, or less than 1"),
        ({"local_epochs": 0.4}, "local_epochs=0.4 must be .* the reciprocal"),
        ({"local_epochs": 0}, "'local_epochs' parameter"),
        ({"n_groups": 0}, "'n_groups' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DaskMLPClassifier(**{**SMALL, **arguments}).fit(cut(X), cut(Y))


def test_the_number_of_features_and_classes_stay() -> None:
    est = DaskMLPClassifier(**SMALL, warm_start=True).fit(cut(X), cut(Y))
    before = [coef.copy() for coef in est.coefs_]
    with pytest.raises(ValueError, match="X has 3 features, but DaskMLPClassifier is expecting 4"):
        est.fit(cut(X[:, :3]), cut(Y))
    with pytest.raises(ValueError, match="same classes"):
        est.fit(cut(X), cut(Y + 1))
    for a, b in zip(est.coefs_, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_client_is_a_client() -> None:
    with pytest.raises(TypeError, match=r"client must be a dask\.distributed.Client or None, got 3"):
        DaskMLPClassifier().client = 3
