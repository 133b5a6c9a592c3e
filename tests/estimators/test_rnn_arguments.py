"""Recurrent estimators with input that is odd but legal, and with input that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from gdfast import MLPRegressor, RNNClassifier, RNNRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_score

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X, y, Y = rng.standard_normal((12, 6, 2)), rng.standard_normal(12), rng.standard_normal((12, 6))
RAGGED = [x[: 2 + i % 5] for i, x in enumerate(X)]
RAGGED_Y = [t[: 2 + i % 5] for i, t in enumerate(Y)]


def regressor(**options: Any) -> RNNRegressor:
    return RNNRegressor(4, **{"max_iter": 3, "random_state": 0, **options})


def classifier(**options: Any) -> RNNClassifier:
    return RNNClassifier(4, **{"max_iter": 3, "random_state": 0, **options})


def attributes(est: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(est).items() if name.endswith("_")}


# States.


@pytest.mark.parametrize(
    "arranged",
    [
        lambda s: np.broadcast_to(s[:1], s.shape),
        np.asfortranarray,
        lambda s: s.tolist(),
        lambda s: s.astype(np.float32),
    ],
)
def test_a_state_may_lie_in_memory_as_it_likes(arranged: Any) -> None:
    net = regressor(per_step=True).fit(X, Y)
    _, states = net.predict(X, return_state=True)
    given = [arranged(s) for s in states]
    plain = [np.ascontiguousarray(g, np.float64) for g in given]
    np.testing.assert_array_equal(net.predict(X, initial_state=given), net.predict(X, initial_state=plain))
    net.set_params(stateful=True).partial_fit(X, Y)
    net.state_ = given
    assert np.isfinite(net.partial_fit(X, Y).loss_)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (3, "initial_state must hold an array for each layer"),
        ([[1.0], [2.0, 3.0]], "initial_state must hold"),
        ([np.zeros((12, 3))], r"of the shapes \[\(12, 4\)\], got \[\(12, 3\)\]"),
        ([np.full((12, 4), np.nan)], "finite"),
        ([np.full((12, 4), "a")], "real numbers"),
        ([np.full((12, 4), 1e300)], "finite numbers only, also as float32"),
    ],
)
def test_bad_states_are_refused(state: Any, message: str) -> None:
    net = regressor(per_step=True).fit(X.astype(np.float32), Y)
    with pytest.raises(ValueError, match=message):
        net.predict(X.astype(np.float32), initial_state=state)


@pytest.mark.parametrize(
    "state", [[], None, 3, [None], [np.float64(1)], [np.full((12, 4), np.nan)], [np.zeros((12, 9))]]
)
def test_a_state_set_by_hand_is_checked(state: Any) -> None:
    net = regressor(per_step=True, stateful=True).partial_fit(X, Y)
    net.state_ = state
    for _ in range(2):
        with pytest.raises(ValueError, match="state_ must hold"):
            net.partial_fit(X, Y)


@pytest.mark.parametrize(("argument", "value"), [("cell", "mgu"), ("tbptt", 3)])
def test_a_later_partial_fit_names_what_is_wrong(argument: str, value: Any) -> None:
    net = regressor(per_step=True).partial_fit(X, Y).set_params(**{argument: value})
    with pytest.raises(ValueError, match=f"The '{argument}' parameter of"):
        net.partial_fit(X, Y)


def test_new_weights_have_no_state() -> None:
    net = regressor(per_step=True, stateful=True).partial_fit(X, Y)
    net.set_params(stateful=False, hidden_layer_sizes=9).fit(X, Y)
    assert not hasattr(net, "state_")
    net.set_params(stateful=True).partial_fit(X, Y)
    assert net.state_[0].shape == (12, 9)


# A call that fails leaves a fitted estimator as it was.


@pytest.mark.parametrize(
    "call",
    [
        lambda net: net.fit(X[:, :, :1], np.full(12, np.nan)),
        lambda net: net.fit(X[:, :, :1], y[:5]),
        lambda net: net.fit(X[:, :, :1], y, np.ones(3)),
        lambda net: net.fit(X[:, :, :1], y, X_val=X, y_val=y),
        lambda net: net.set_params(coefs_init=[np.ones((1, 1))]).fit(X[:, :, :1], y),
    ],
)
def test_a_failed_fit_changes_nothing(call: Any) -> None:
    net = regressor().fit(X, y)
    before, predicted = attributes(net), net.predict(X)
    with pytest.raises(ValueError):
        call(net)
    assert attributes(net).keys() == before.keys()
    assert all(getattr(net, name) is value for name, value in before.items())
    np.testing.assert_array_equal(net.predict(X), predicted)


def test_a_failed_fit_of_a_perceptron_changes_nothing() -> None:
    net = MLPRegressor(hidden_layer_sizes=4, max_iter=3).fit(X[:, 0], y)
    before = attributes(net)
    with pytest.raises(ValueError):
        net.fit(X[:, 0, :1], y, X_val=X[:, 0], y_val=y)
    assert all(getattr(net, name) is value for name, value in before.items())


# Scores.


def test_unknown_classes_count_as_wrong() -> None:
    labels = np.array(["a"] * 6 + ["b"] * 6)
    net = classifier().fit(X, labels)
    right = (net.predict(X) == np.where(labels == "b", "c", labels)).mean()
    assert net.score(X, np.where(labels == "b", "c", labels)) == pytest.approx(right)
    with_a_rare_one = np.array([0] * 6 + [1] * 5 + [2])
    assert np.isfinite(cross_val_score(classifier(), X, with_a_rare_one, cv=KFold(3))).all()


def test_scores_are_scikit_learn_s() -> None:
    net = regressor(loss="poisson").fit(X, np.abs(y))
    assert net.score(X, y) == pytest.approx(r2_score(y, net.predict(X)))
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(net.score(X[:1], y[:1]))


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_a_scorer_sees_sequences_as_they_came(ragged: bool, own: bool) -> None:
    data: Any = RAGGED if ragged else X
    seen = []

    def scorer(est: Any, X_val: Any, y_val: Any) -> float:
        seen.append((X_val, y_val))
        return float(est.score(X_val, y_val))

    val = {"X_val": data[:4], "y_val": y[:4]} if own else {}
    regressor(scoring=scorer, early_stopping=True, validation_fraction=0.34).fit(data, y, **val)
    X_val, y_val = seen[0]
    assert isinstance(X_val, list) == ragged
    assert len(X_val) == len(y_val) >= 4
    assert all(x.ndim == 2 and x.shape[1] == 2 for x in X_val)


# Validation sets.


def test_one_sequence_is_a_validation_set_where_steps_are_scored() -> None:
    net = regressor(per_step=True, early_stopping=True, validation_fraction=0.05).fit(X, Y)
    assert len(net.validation_scores_) == net.n_iter_
    with pytest.raises(ValueError, match="too small"):
        regressor(early_stopping=True, validation_fraction=0.05).fit(X, y)
    with pytest.raises(ValueError, match="Give X_val and y_val"):
        regressor(per_step=True, early_stopping=True).fit(X[:1], Y[:1])


# Weights.


def test_weights_may_have_the_targets_shapes() -> None:
    weight = rng.random((12, 6))
    expected = regressor(per_step=True).fit(X, Y, weight).loss_
    assert regressor(per_step=True).fit(X, Y[:, :, np.newaxis], weight[:, :, np.newaxis]).loss_ == expected
    ragged = [w[: len(x)] for w, x in zip(weight, RAGGED, strict=True)]
    expected = regressor(per_step=True).fit(RAGGED, RAGGED_Y, ragged).loss_
    as_objects = np.array(ragged, dtype=object)
    assert regressor(per_step=True).fit(RAGGED, RAGGED_Y, as_objects).loss_ == expected
    columns = [w[:, np.newaxis] for w in ragged]
    assert regressor(per_step=True).fit(RAGGED, RAGGED_Y, columns).loss_ == expected


def test_weights_below_zero_train_as_they_do_in_a_perceptron() -> None:
    net = regressor(batch_size=12, shuffle=False).partial_fit(X, y, -np.ones(12))
    as_plain = regressor(batch_size=12, shuffle=False).partial_fit(X, y)
    # -w / sum(-w) is w / sum(w).
    for found, expected in zip(net.coefs_, as_plain.coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


# Names of features.


def test_lists_of_data_frames_name_their_features() -> None:
    frames = [pd.DataFrame(x, columns=["a", "b"]) for x in RAGGED]
    net = regressor().fit(frames, y)
    assert list(net.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(net.predict(frames), regressor().fit(RAGGED, y).predict(RAGGED))
    swapped = [frame[["b", "a"]] for frame in frames]
    with pytest.raises(ValueError, match="feature names should match"):
        net.predict(swapped)
    with pytest.raises(ValueError, match="same columns in the same order"):
        net.predict([frames[0], swapped[1]])


# What is not legal.

BAD = {
    "complex": (lambda: regressor().fit(X + 1j, y), "Complex data not supported"),
    "complex list": (lambda: regressor().fit(list(X + 1j), y), "Complex data not supported"),
    "masked": (lambda: regressor().fit(np.ma.masked_less(X, 0), y), "masked values"),
    "nothing": (lambda: regressor().fit(np.array(None), y), "n_sequences, n_steps, n_features"),
    "tbptt of no integers": (lambda: regressor(tbptt=(True, True)).fit(X, y), "pair of integers"),
    "ragged targets": (lambda: regressor(per_step=True).fit(X, RAGGED_Y), "y is ragged"),
    "targets of steps": (lambda: regressor().fit(X, RAGGED_Y), "Set per_step=True"),
    "other outputs": (
        lambda: regressor(per_step=True).fit(RAGGED, [RAGGED_Y[0][:, None], *RAGGED_Y[1:]]),
        r"y\[0\] has the shape \(2, 1\), y\[1\] \(3,\)",
    ),
    "4 dimensions": (lambda: regressor(per_step=True).fit(X, Y[:, :, None, None]), "for each step"),
    "no targets": (lambda: regressor(per_step=True).fit(X, None), "the target y is None"),
    "no outputs": (lambda: regressor(per_step=True).fit(X, np.zeros((12, 6, 0))), r"got \(12, 6, 0\)"),
    "shape of weights": (
        lambda: regressor(per_step=True).fit(X, Y, np.ones((12, 5))),
        r"must have the shape \(12, 6\), a weight for each step",
    ),
    "too large": (lambda: RNNRegressor(10**18).fit(X, y), "network is too large"),
    "another cell": (lambda: regressor().fit(X, y).set_params(cell="lstm").predict(X), "cell='lstm'"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(what: str) -> None:
    call, message = BAD[what]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_truncation_beyond_all_lengths_is_none() -> None:
    assert regressor(tbptt=(10**30, 10**30)).fit(X, y).loss_ == regressor().fit(X, y).loss_


def test_a_stateful_fit_hands_on_what_the_user_gave() -> None:
    frames = [pd.DataFrame(x, columns=["a", "b"]) for x in RAGGED]
    for data in (X, frames):
        net = regressor(stateful=True).fit(data, y)
        _, states = net.predict(data, return_state=True)
        np.testing.assert_array_equal(net.state_[0], states[0])
