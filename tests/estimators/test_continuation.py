"""Fits that continue exactly where the last one ended, and time limits."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, fit_until_ctrl_c, make, parameters
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (8,), "random_state": 0, "batch_size": 50, "n_iter_no_change": 100}
GOING_ON = {"warm_start": True, "keep_optimizer_state": True}
TRAININGS: dict[str, dict[str, Any]] = {
    "adam": {},
    "in order": {"shuffle": False},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.05,
        "tol": 0.05,
        "n_iter_no_change": 1,
    },
    "weights": {"activation": "tanh", "alpha": 0.5},
}
SENDS = {
    "stays": lambda est: est,
    "pickle": lambda est: pickle.loads(pickle.dumps(est)),
    "copy": copy.deepcopy,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


# Going on (scikit-learn#12605).


@pytest.mark.parametrize("send", SENDS)
@pytest.mark.parametrize("training", TRAININGS)
def test_two_halves_are_a_whole(kind: Any, training: str, send: str, dtype: type[np.floating]) -> None:
    arguments = {**FIT, **TRAININGS[training]}
    data = X.astype(dtype), Y
    whole = kind(max_iter=10, **arguments).fit(*data)
    halves = kind(max_iter=5, **GOING_ON, **arguments).fit(*data)
    halves = SENDS[send](halves).set_params(max_iter=5).fit(*data)
    assert halves.loss_curve_ == whole.loss_curve_
    assert_same_bits(parameters(halves), parameters(whole))
    assert halves.t_ == whole.t_
    assert halves.n_iter_ == 5
    assert halves.best_loss_ == whole.best_loss_


@pytest.mark.parametrize("own", [False, True], ids=["set aside", "own"])
@pytest.mark.parametrize("send", SENDS)
def test_two_halves_with_a_validation_set(kind: Any, send: str, own: bool) -> None:
    """Where the first half ends with its best weights; elsewhere it goes on from those put back."""
    y = (X[:, 0] > 0).astype(int)
    arguments = {**FIT, "early_stopping": True, "scoring": "loss", "tol": 0.0, "learning_rate_init": 1e-3}
    given = {"X_val": X[90:], "y_val": y[90:]} if own else {}
    whole = kind(max_iter=10, **arguments).fit(X[:90], y[:90], **given)
    halves = kind(max_iter=5, **GOING_ON, **arguments).fit(X[:90], y[:90], **given)
    assert np.argmax(halves.validation_scores_) == 4
    halves = SENDS[send](halves).fit(X[:90], y[:90], **given)
    assert halves.loss_curve_ == whole.loss_curve_
    assert halves.validation_scores_ == whole.validation_scores_
    assert halves.validation_loss_curve_ == whole.validation_loss_curve_
    assert_same_bits(parameters(halves), parameters(whole))


def test_samples_that_were_set_aside_stay_aside(kind: Any) -> None:
    """Even where every draw of random_state is another one."""
    est = kind(max_iter=2, early_stopping=True, **GOING_ON, **{**FIT, "random_state": None})
    aside = est.fit(X, Y)._training.order.validation.copy()
    np.testing.assert_array_equal(est.fit(X, Y)._training.order.validation, aside)


def test_a_random_state_of_ones_own_continues(kind: Any) -> None:
    runs = []
    for max_iter, arguments in ((6, {}), (3, GOING_ON)):
        est = kind(max_iter=max_iter, **{**FIT, "random_state": np.random.RandomState(4)}, **arguments)
        for _ in range(6 // max_iter):
            est.fit(X, Y)
        runs.append(parameters(est))
    assert_same_bits(*runs)


def test_a_plain_warm_start_has_a_new_optimizer(kind: Any) -> None:
    kept = kind(max_iter=3, **GOING_ON, **FIT).fit(X, Y)
    plain = kind(max_iter=3, warm_start=True, **FIT).fit(X, Y)
    assert_same_bits(parameters(kept), parameters(plain))
    assert not hasattr(plain, "_order")
    assert kept.fit(X, Y).loss_curve_ != plain.fit(X, Y).loss_curve_


@pytest.mark.parametrize(
    "changes",
    [
        {"solver": "sgd"},
        {"learning_rate_init": 0.1},
        {"early_stopping": True},
        {"beta_1": 0.5},
        {"batch_size": 7},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_arguments_may_change_between(kind: Any, changes: dict[str, Any]) -> None:
    est = kind(max_iter=3, **GOING_ON, **FIT).fit(X, Y)
    est.set_params(**changes).fit(X, Y)
    assert np.isfinite(est.loss_curve_).all()
    assert len(est.loss_curve_) == 6
    if "learning_rate_init" in changes:
        assert est._training.optimizer.learning_rate == 0.1
    est.fit(X[:70], Y[:70])  # and the data
    assert est._training.order.n_samples == 70


def test_a_changed_learning_rate_keeps_the_moments() -> None:
    est = gdfast.MLPRegressor(max_iter=3, **GOING_ON, **FIT).fit(X, Y)
    step = est._training.optimizer.state_dict()["step"]
    est.set_params(learning_rate_init=1e-4).fit(X, Y)
    assert est._training.optimizer.state_dict()["step"] == 2 * step


def test_partial_fit_continues_from_it_too(kind: Any) -> None:
    whole = kind(max_iter=4, shuffle=False, **FIT).fit(X, Y)
    parts = kind(max_iter=3, shuffle=False, **GOING_ON, **FIT).fit(X, Y).partial_fit(X, Y)
    assert_same_bits(parameters(parts), parameters(whole))


# Ctrl-C in an epoch that has gone astray.


@pytest.mark.parametrize("going_on", ["partial_fit", "fit"])
def test_ctrl_c_in_an_epoch_that_is_not_finite_drops_the_moments(going_on: str) -> None:
    """Weights are those before that epoch, and so must be what moves them."""
    big, target = make(n=20_000, n_features=20)
    arguments = {"hidden_layer_sizes": (300, 300), "batch_size": 1, "solver": "sgd", "activation": "identity"}
    est = gdfast.MLPRegressor(**arguments, **GOING_ON, learning_rate_init=1e3, random_state=0, max_iter=1)
    fit_until_ctrl_c(lambda: est.fit(big, target.astype(float)))
    assert all(np.isfinite(array).all() for array in parameters(est))
    assert est.n_iter_ == 0
    est.set_params(learning_rate_init=1e-9, batch_size=1000)
    if going_on == "partial_fit":
        est.partial_fit(big[:2000], target[:2000].astype(float))
    else:
        est.fit(big[:2000], target[:2000].astype(float))
    assert np.isfinite(est.loss_)


# Several labels, piece by piece (scikit-learn#12505).


@pytest.mark.parametrize("to_labels", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("classes", [None, [0, 1, 2]], ids=["no classes", "classes"])
def test_partial_fit_with_several_labels(classes: Any, to_labels: Any) -> None:
    """It is fit an epoch at a time, and learns."""
    labels = (X[:, :3] > 0).astype(int)
    arguments = {**FIT, "shuffle": False, "learning_rate_init": 0.02}
    whole = gdfast.MLPClassifier(max_iter=40, **arguments).fit(X, to_labels(labels))
    pieces = gdfast.MLPClassifier(**arguments)
    pieces.partial_fit(X, to_labels(labels), classes=[0, 1, 2] if classes is None else classes)
    for _ in range(39):
        pieces.partial_fit(X, to_labels(labels), classes=classes)
    assert_same_bits(parameters(pieces), parameters(whole))
    predicted = pieces.predict(X)
    predicted = predicted.toarray() if sparse.issparse(predicted) else predicted
    assert (predicted == labels).all(axis=1).mean() > 0.9


# Time.


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton-cg"])
def test_time_that_is_up(kind: Any, solver: str) -> None:
    """Any epoch takes longer than 1e-9 s; it is the one that is finished."""
    with pytest.warns(ConvergenceWarning) as caught:
        est = kind(solver=solver, max_time=1e-9, **FIT).fit(X, Y)
    assert est.n_iter_ == 1
    assert [str(w.message) for w in caught] == [
        "Training stopped after 1 iteration(s): max_time=1e-09 seconds have passed and the optimization "
        "hasn't converged yet."
    ]
    assert caught[0].filename == __file__
    one = kind(solver=solver, max_iter=1, **FIT).fit(X, Y)
    assert_same_bits(parameters(est), parameters(one))


def test_time_that_is_not_up_changes_nothing(kind: Any) -> None:
    arguments = {**FIT, "max_iter": 5}
    assert_same_bits(
        parameters(kind(max_time=1000, **arguments).fit(X, Y)), parameters(kind(**arguments).fit(X, Y))
    )


def test_time_is_not_for_partial_fit() -> None:
    est = gdfast.MLPRegressor(max_time=1e-9)
    est.partial_fit(X, Y).partial_fit(X, Y)
    assert len(est.loss_curve_) == 2


@pytest.mark.parametrize("max_time", [0, -1, "long"])
def test_bad_time(max_time: Any) -> None:
    with pytest.raises(ValueError, match="'max_time' parameter"):
        gdfast.MLPRegressor(max_time=max_time).fit(X, Y)
