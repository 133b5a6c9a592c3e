"""Embeddings of table columns in the estimators: they go where the other weights go."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gdfast import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from gdfast.preprocessing import TableEncoder
from gdfast.training.encoding import CategoryColumn, EncodedRows, Encoding, NumberColumn
from ids import text_of
from numpy.typing import NDArray
from problems import same_bits
from sklearn.base import clone

Array = NDArray[Any]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ARGUMENTS: dict[str, Any] = {"hidden_layer_sizes": (12,), "random_state": 0, "max_iter": 4, "tol": 0.0}
COLUMNS = [NumberColumn(np.empty(0)), CategoryColumn(40, embedding=5), CategoryColumn(9, embedding=2)]


def rows(n: int = 300, seed: int = 0, columns: Any = COLUMNS, dtype: Any = np.float32) -> EncodedRows:
    rng = np.random.default_rng(seed)
    table = np.stack([rng.normal(size=n), rng.integers(-1, 40, n), rng.integers(0, 9, n)], axis=1)
    return EncodedRows(table.astype(dtype), Encoding(columns))


X = rows()
Y = (X.table[:, 1] % 3).astype(int).clip(0)


def weights(est: Any) -> list[Array]:
    return [*est.coefs_, *est.intercepts_, *est.embeddings_]


def fitted(**arguments: Any) -> Any:
    return MLPClassifier(**{**ARGUMENTS, **arguments}).fit(X, Y)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_net_has_an_array_for_each_embedded_column(batch_norm: bool, dtype: Any) -> None:
    table = rows(dtype=dtype)
    est = MLPClassifier(**ARGUMENTS, batch_norm=batch_norm).fit(table, Y)
    assert [e.shape for e in est.embeddings_] == [(40, 5), (9, 2)]
    assert all(e.dtype == dtype for e in est.embeddings_)
    assert est.n_features_in_ == 8
    for n in (1, 3, 15, 16, 300):
        stored = est.predict_proba(table[:n].toarray(est.embeddings_))
        np.testing.assert_array_equal(est.predict_proba(table[:n]), stored)
        assert stored.dtype == dtype


def test_first_arrays_are_drawn_after_the_other_weights() -> None:
    begun = MLPClassifier(**ARGUMENTS, solver="sgd", learning_rate_init=1e-30).fit(X, Y)
    plain = MLPClassifier(**ARGUMENTS, solver="sgd", learning_rate_init=1e-30).fit(
        X.toarray(begun.embeddings_), Y
    )
    for a, b in zip(begun.coefs_, plain.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    for array in begun.embeddings_:
        assert 0.04 < np.abs(array).max() <= 0.05
    again = MLPClassifier(**ARGUMENTS).fit(X, Y)
    assert same_bits(weights(again), weights(fitted()))
    other = fitted(random_state=1)
    assert not np.array_equal(other.embeddings_[0], again.embeddings_[0])


def test_one_row_of_a_normalised_net_needs_no_checks() -> None:
    """They take ten times as long as the prediction."""
    plain = np.random.default_rng(0).normal(size=(50, 3))
    est = MLPClassifier(**ARGUMENTS, batch_norm=True).fit(plain, Y[:50])
    assert est._outputs_of_plain_array(plain[:1]) is not None


def test_a_net_without_embedded_columns_has_no_such_attribute() -> None:
    est = fitted()
    est.fit(X.toarray(est.embeddings_), Y)
    assert not hasattr(est, "embeddings_")


def test_the_best_weights_are_restored_with_their_embeddings() -> None:
    seen: list[tuple[float, list[Array]]] = []

    class Watch:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            seen.append((logs["val_score"], [w.copy() for w in weights(est)]))

    est = fitted(early_stopping=True, max_iter=12, learning_rate_init=0.05, callbacks=[Watch()])
    best = max(range(len(seen)), key=lambda i: (seen[i][0], -i))
    assert best < len(seen) - 1
    assert same_bits(weights(est), seen[best][1])


def test_averages_are_those_of_embeddings_too() -> None:
    seen: list[list[Array]] = []

    class Watch:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            seen.append([w.copy() for w in weights(est)])

    est = fitted(ema_decay=0.5, callbacks=[Watch()])
    mean = [w.astype(np.float64) for w in seen[0]]
    for epoch, now in enumerate(seen[1:], start=1):
        decay = min(0.5, (1 + epoch) / (10 + epoch))
        mean = [decay * m + (1 - decay) * w for m, w in zip(mean, now, strict=True)]
    for array, wanted in zip(weights(est), mean, strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda est: pickle.loads(pickle.dumps(est))])
def test_training_continues_from_copies(way: Any) -> None:
    est = MLPClassifier(**ARGUMENTS)
    for _ in range(2):
        est.partial_fit(X, Y, classes=[0, 1, 2])
    other = way(est)
    np.testing.assert_array_equal(other.predict_proba(X), est.predict_proba(X))
    for net in (est, other):
        net.partial_fit(X, Y)
    assert same_bits(weights(other), weights(est))


def test_warm_starts_continue_with_moments() -> None:
    arguments = {**ARGUMENTS, "warm_start": True, "keep_optimizer_state": True, "max_iter": 2}
    twice = MLPClassifier(**arguments).fit(X, Y).fit(X, Y)
    assert same_bits(weights(twice), weights(fitted(max_iter=4)))


def test_the_training_state_is_saved_with_embeddings() -> None:
    est = MLPClassifier(**ARGUMENTS).partial_fit(X, Y, classes=[0, 1, 2])
    state = est._training.state_dict()
    assert same_bits(state["weights"]["embeddings_"], est.embeddings_)
    assert [a.shape for a in state["optimizer"]["state"]["slots"]["m"][-2:]] == [(40, 5), (9, 2)]


def test_edits_of_a_user_count() -> None:
    est = fitted()
    before = est.predict_proba(X)
    number = int(X.table[0, 1] if X.table[0, 1] >= 0 else X.table[1, 1])
    est.embeddings_[0][number] += 1
    after = est.predict_proba(X)
    changed = (before != after).any(axis=1)
    np.testing.assert_array_equal(changed, X.table[:, 1] == number)

    class Replace:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            est.embeddings_ = [np.zeros_like(e) for e in est.embeddings_]

    zeroed = fitted(max_iter=1, callbacks=[Replace()])
    assert all((e == 0).all() for e in zeroed.embeddings_)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([np.zeros((40, 5))], r"embeddings_ must hold an array .*\(9, 2\)"),
        ([np.zeros((40, 4)), np.zeros((9, 2))], r"embeddings_ must hold .*\(40, 5\).*\(40, 4\)"),
        ("text", "embeddings_"),
        ([None, None], r"embeddings_\[0\] must be an array"),
        (3, "embeddings_ must be a list"),
    ],
)
def test_arrays_that_do_not_fit_are_named(value: Any, message: str) -> None:
    est = fitted(warm_start=True)
    est.embeddings_ = value
    for call in (lambda: est.predict(X), lambda: est.fit(X, Y), lambda: est.partial_fit(X, Y)):
        with pytest.raises(ValueError, match=message):
            call()

    class Replace:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            est.embeddings_ = value

    with pytest.raises(ValueError, match=message):
        fitted(callbacks=[Replace()])


class OnGradient:
    def on_gradient(self, est: Any, gradients: Any) -> None:
        raise AssertionError("never called")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "lbfgs"}, "solver='lbfgs' cannot train"),
        ({"solver": "annealing"}, "solver='annealing' cannot train"),
        ({"gradient_noise": 0.1}, "gradient_noise is not supported"),
        ({"callbacks": [OnGradient()]}, "on_gradient"),
    ],
    ids=text_of,
)
def test_what_embeddings_do_not_go_with_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    est = MLPClassifier(**{**ARGUMENTS, **arguments})
    with pytest.raises(ValueError, match=message):
        est.fit(X, Y)
    assert not hasattr(est, "coefs_")
    assert not hasattr(est, "embeddings_")


def test_other_rows_are_refused() -> None:
    est = fitted(warm_start=True)
    others = rows(columns=[COLUMNS[0], CategoryColumn(39, embedding=5), COLUMNS[2]])
    with pytest.raises(ValueError, match="embeddings_"):
        est.predict(others)
    with pytest.raises(ValueError, match="embeddings_"):
        est.fit(others, Y)
    with pytest.raises(ValueError, match="embeddings_"):
        est.fit(X.toarray(est.embeddings_), Y)
    with pytest.raises(ValueError, match="X_val must have the same embedded columns"):
        est.fit(X, Y, X_val=others, y_val=Y)
    est.fit(X, Y, X_val=rows(seed=1), y_val=Y)
    assert len(est.validation_scores_) > 0


def test_gradients_are_recorded_of_the_layers() -> None:
    est = fitted(record_gradients=True, max_iter=2)
    assert np.shape(est.gradient_records_["gradient_norm"]) == (2, 2)


# --------------------------------------------------------------------------------------------------- tables


def cities(n: int = 6000, n_cities: int = 1500) -> tuple[pd.DataFrame, Array]:
    rng = np.random.default_rng(0)
    city = rng.integers(0, n_cities, n)
    x = rng.normal(size=n)
    frame = pd.DataFrame({"x": x, "city": [f"c{i}" for i in city], "kind": rng.choice(["a", "b", "c"], n)})
    return frame, rng.normal(size=n_cities)[city] + 0.5 * x


def test_the_encoder_embeds_columns_of_many_categories() -> None:
    frame, y = cities(3000, 100)
    encoder = TableEncoder(embed_from=32).fit(frame, y)
    plain = TableEncoder().fit(frame, y)
    assert encoder.encode(frame).encoding.embedding_shapes == [(100, 21)]
    assert plain.encode(frame).encoding.embedding_shapes == []
    np.testing.assert_array_equal(encoder.transform(frame), plain.transform(frame))
    assert encoder.get_feature_names_out().tolist() == plain.get_feature_names_out().tolist()
    for embed_from, dim, shapes in (
        (100, "auto", []),
        (99, 3, [(100, 3)]),
        (2, "auto", [(100, 21), (3, 3)]),
        (99, 500, [(100, 100)]),
    ):
        encoder.set_params(embed_from=embed_from, embedding_dim=dim).fit(frame, y)
        assert encoder.encoding_.embedding_shapes == shapes
    with pytest.raises(ValueError, match="embed_from"):
        TableEncoder(embed_from=0).fit(frame, y)
    with pytest.raises(ValueError, match="embedding_dim"):
        TableEncoder(embedding_dim="large").fit(frame, y)


def test_two_categories_that_are_embedded_are_one_input_where_they_are_not() -> None:
    X = np.array([["a"], ["b"], ["a"], ["b"]], dtype=object)
    encoder = TableEncoder(bins=None, embed_from=1).fit(X)
    assert encoder.encode(X).shape == (4, 2)
    assert encoder.transform(X).tolist() == [[-1], [1], [-1], [1]]
    assert encoder.get_feature_names_out().tolist() == ["x0_b"]


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_a_column_of_many_categories_is_learned_better(kind: Any) -> None:
    frame, y = cities()
    y = (y > 0).astype(int) if kind is TabularClassifier else y
    train = np.arange(len(y)) < 4500
    arguments: dict[str, Any] = {"preset": "fast", "random_state": 0, "hidden_layer_sizes": (64,)}
    scores = [
        kind(**arguments, **more).fit(frame[train], y[train]).score(frame[~train], y[~train])
        for more in ({}, {"embed_from": None, "max_categories": 256})
    ]
    assert scores[0] > scores[1] + 0.05, scores


def test_tabular_estimators_keep_their_embeddings() -> None:
    frame, y = cities(2000, 60)
    est = TabularRegressor(preset="fast", random_state=0, max_iter=3, embed_from=32).fit(frame, y)
    assert [[e.shape for e in member.embeddings_] for member in est.members_] == [[(60, 16)]] * 2
    other = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(other.predict(frame), est.predict(frame))
    unknown = frame.assign(city="elsewhere")
    missing = frame.assign(city=None)
    np.testing.assert_array_equal(est.predict(unknown), est.predict(missing))
    without = clone(est).set_params(embed_from=None).fit(frame, y)
    assert not hasattr(without.members_[0], "embeddings_")
    with pytest.raises(ValueError, match="embed_from"):
        clone(est).set_params(embed_from=0).fit(frame, y)


def test_the_number_of_threads_changes_no_bit() -> None:
    frame, y = cities(2000, 300)
    fits = [
        TabularRegressor(preset="fast", random_state=0, max_iter=2, n_jobs=n).fit(frame, y) for n in (1, 4)
    ]
    assert same_bits([fits[0].predict(frame)], [fits[1].predict(frame)])


def test_regression_on_embedded_rows_learns_them() -> None:
    rng = np.random.default_rng(0)
    effect = rng.normal(size=40)
    table = rows(2000)
    known = np.maximum(table.table[:, 1].astype(int), 0)
    y = np.where(table.table[:, 1] < 0, 0, effect[known])
    est = MLPRegressor(hidden_layer_sizes=(16,), random_state=0, max_iter=200).fit(table, y)
    assert est.score(table, y) > 0.99
