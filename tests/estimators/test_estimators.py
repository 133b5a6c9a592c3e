"""What the estimators promise beyond being scikit-learn's: weights, memory, going on, threads."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import gdfast
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from fits import KINDS, assert_same_bits, make, parameters
from scipy import sparse

# Most runs are cut short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


# The dtype of X decides.


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton-cg"])
def test_the_dtype_of_X_is_that_of_the_model(kind: Any, solver: str, dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    estimator = kind(solver=solver, max_iter=3).fit(X, y)
    assert {array.dtype for array in parameters(estimator)} == {np.dtype(dtype)}
    outputs = estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)
    assert outputs.dtype == dtype


@pytest.mark.parametrize(
    "convert",
    [np.asfortranarray, lambda X: np.repeat(X, 2, axis=1)[:, ::2], lambda X: X.astype(">f8"), pd.DataFrame],
    ids=["fortran", "strided", "big-endian", "frame"],
)
def test_layouts_that_the_core_does_not_take(kind: Any, convert: Any) -> None:
    X, y = make()
    estimator = kind(max_iter=3, random_state=0)
    expected = estimator.fit(X, y).predict(X)
    converted = convert(X)
    np.testing.assert_array_equal(estimator.fit(converted, y).predict(converted), expected)


# Weights are plain arrays, and what is in them counts.


def test_edited_weights_are_those_that_predict(dtype: type[np.floating]) -> None:
    X, _ = make(dtype)
    regressor = gdfast.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(X, X[:, 0])
    regressor.coefs_[-1][:] = 0
    regressor.intercepts_[-1][:] = 7
    np.testing.assert_array_equal(regressor.predict(X), np.full(len(X), 7, dtype))
    np.testing.assert_array_equal(regressor.predict(X[:1]), np.full(1, 7, dtype))


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("edit", ["in place", "replaced", "transposed", "read-only", "other dtype"])
def test_training_continues_from_edited_weights(edit: str, solver: str) -> None:
    X, y = make()
    arguments = {"hidden_layer_sizes": (4,), "max_iter": 2, "warm_start": True, "random_state": 0}
    reference = gdfast.MLPClassifier(**arguments).fit(X, y)
    edited = gdfast.MLPClassifier(**arguments).fit(X, y)
    new = np.linspace(-1, 1, 20).reshape(5, 4)
    reference.coefs_ = [new.copy(), reference.coefs_[1]]
    if edit == "in place":
        edited.coefs_[0][:] = new
    else:
        edited.coefs_[0] = {
            "replaced": new.copy(),
            "transposed": np.ascontiguousarray(new.T).T,
            "read-only": np.broadcast_to(new, new.shape),
            "other dtype": new.astype(">f8"),
        }[edit]
    np.testing.assert_array_equal(edited.predict_proba(X), reference.predict_proba(X))
    for estimator in (reference, edited):
        estimator.set_params(solver=solver).fit(X, y)
    assert_same_bits(parameters(edited), parameters(reference))
    if solver == "adam":
        reference.coefs_[0] = new.copy()  # an array that no trainer has seen
        edited.coefs_[0][:] = new
        for estimator in (reference, edited):
            estimator.partial_fit(X, y)
        assert_same_bits(parameters(edited), parameters(reference))


def test_fit_leaves_the_arrays_of_an_earlier_fit_alone(kind: Any) -> None:
    X, y = make()
    estimator = kind(max_iter=2).fit(X, y)
    first, values = estimator.coefs_, parameters(estimator)
    estimator.fit(X, y)
    assert_same_bits(first, values[: len(first)])


# Going on.


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_is_fit_an_epoch_at_a_time(solver: str, kind: Any, dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    arguments = {"solver": solver, "shuffle": False, "batch_size": 50, "random_state": 0}
    whole = kind(max_iter=4, **arguments).fit(X, y)
    pieces = kind(**arguments)
    for _ in range(4):
        pieces.partial_fit(X, y, **({} if kind is gdfast.MLPRegressor else {"classes": [0, 1, 2]}))
    assert pieces.loss_curve_ == whole.loss_curve_
    assert pieces.n_iter_ == 1
    assert pieces.t_ == whole.t_ == 4 * len(X)
    assert_same_bits(parameters(pieces), parameters(whole))


@pytest.mark.parametrize(
    "send", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy], ids=["pickle", "copy"]
)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_copy_continues_with_the_optimizers_state(solver: str, send: Any, kind: Any) -> None:
    X, y = make()
    stayed = kind(solver=solver, learning_rate="invscaling", max_iter=3, random_state=0).fit(X, y)
    sent = send(send(stayed))
    for estimator in (stayed, sent):
        estimator.partial_fit(X[:70], y[:70]).partial_fit(X[70:], y[70:])
    assert_same_bits(parameters(sent), parameters(stayed))


def test_a_copy_shares_nothing(kind: Any) -> None:
    X, y = make()
    original = kind(max_iter=2).fit(X, y)
    before = parameters(original)
    copy.deepcopy(original).partial_fit(X, y)
    assert_same_bits(parameters(original), before)


def test_changed_arguments_count_in_the_next_partial_fit() -> None:
    X, y = make()
    runs = []
    for alpha in (0.0, 10.0):
        clf = gdfast.MLPClassifier(alpha=0.0, random_state=0).partial_fit(X, y, classes=[0, 1, 2])
        clf.set_params(alpha=alpha).partial_fit(X, y)
        assert clf.n_iter_ == 1
        runs.append(clf.loss_)
    assert runs[1] > runs[0] + 0.1  # the penalty of an untrained network is far from small


def test_a_warm_start_wants_the_network_that_it_has() -> None:
    X, y = make()
    clf = gdfast.MLPClassifier(hidden_layer_sizes=(4,), warm_start=True, max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="Set hidden_layer_sizes to fit them, or fit again"):
        clf.set_params(hidden_layer_sizes=(6,)).fit(X, y)
    with pytest.raises(ValueError, match="Set hidden_layer_sizes to fit them, or fit again"):
        clf.set_params(hidden_layer_sizes=(4, 4)).fit(X, y)
    regressor = gdfast.MLPRegressor(hidden_layer_sizes=(4,), warm_start=True, max_iter=2).fit(X, np.c_[y, y])
    with pytest.raises(ValueError, match="Set hidden_layer_sizes to fit them, or fit again"):
        regressor.fit(X, y)


@pytest.mark.parametrize(
    "changes",
    [
        [{"solver": "lbfgs"}, {"solver": "adam"}, {"solver": "sgd"}],
        [{"early_stopping": False}, {"early_stopping": True}, {"early_stopping": False}],
    ],
    ids=["solvers", "early stopping"],
)
def test_a_warm_start_may_change_how_it_trains(kind: Any, changes: list[dict[str, Any]]) -> None:
    X, y = make()
    estimator = kind(warm_start=True, max_iter=2)
    for change in changes:
        estimator.set_params(**change).fit(X, y)
    assert np.isfinite(estimator.predict(X)).all()


def test_records_of_another_solver_do_not_stay(kind: Any) -> None:
    X, y = make()
    estimator = kind(max_iter=2).fit(X, y).set_params(solver="lbfgs").fit(X, y)
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert not hasattr(estimator, name)


# Memory.


def peak_of(call: Any) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_fit_and_predict_copy_no_row(kind: Any, early_stopping: bool, tmp_path: Path) -> None:
    X, y = make(np.float32, n=20_000, n_features=200)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    estimator = kind(hidden_layer_sizes=(4,), max_iter=2, early_stopping=early_stopping, random_state=0)
    y = y if kind is gdfast.MLPClassifier else y.astype(np.float32)
    estimator.fit(X[:200], y[:200])  # what is imported at first use is not the fit's
    # A few numbers for each row (the order, the labels and what scikit-learn makes of them), not 200.
    allowed = 100 * len(X)
    assert allowed < X.nbytes / 5
    assert peak_of(lambda: estimator.fit(X, y)) < allowed
    in_memory = parameters(estimator)
    assert peak_of(lambda: estimator.fit(mapped, y)) < allowed
    assert_same_bits(parameters(estimator), in_memory)
    assert peak_of(lambda: estimator.predict(X)) < allowed


def test_a_sparse_matrix_is_never_dense(kind: Any) -> None:
    n, width = 2000, 20_000
    X = sparse.random(n, width, density=1e-4, format="csr", random_state=np.random.RandomState(0))
    y = np.arange(n) % 3
    estimator = kind(hidden_layer_sizes=(2,), max_iter=2, random_state=0)
    # Dense it is 320 MB; the weights, their gradient and moments are 2 MB.
    assert peak_of(lambda: estimator.fit(X, y).predict(X)) < 20e6


# Threads.


def test_the_number_of_threads_changes_no_bit(kind: Any, dtype: type[np.floating]) -> None:
    X, y = make(dtype, n=700, n_features=37)
    runs = [
        parameters(
            kind(hidden_layer_sizes=(61, 33), max_iter=3, random_state=0, batch_size=150, n_jobs=n_jobs).fit(
                X, y
            )
        )
        for n_jobs in (None, 1, 2, 3, 8, -1, -2)
    ]
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


def test_fits_beside_each_other_in_threads() -> None:
    X, y = make(n=400)
    alone = gdfast.MLPClassifier(max_iter=5, random_state=0).fit(X, y)
    beside = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(gdfast.MLPClassifier(max_iter=5, random_state=0).fit)(X, y) for _ in range(4)
    )
    for clf in beside:
        assert_same_bits(parameters(clf), parameters(alone))


# Prediction.


def test_one_row_is_a_row_of_many(kind: Any, dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    estimator = kind(max_iter=3).fit(X, y)
    outputs = estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict
    together = outputs(X)
    for row in range(len(X)):
        np.testing.assert_array_equal(outputs(X[row : row + 1]), together[row : row + 1])
    np.testing.assert_array_equal(outputs(sparse.csr_array(X)), together)


def test_large_but_finite_values_are_taken(dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    regressor = gdfast.MLPRegressor(hidden_layer_sizes=(), max_iter=2).fit(X, y)
    large = np.full((1, 5), np.finfo(dtype).max / 100)  # their squares overflow
    assert np.isfinite(regressor.predict(large.astype(dtype))).all()


def test_assume_finite_is_obeyed() -> None:
    X, y = make()
    regressor = gdfast.MLPRegressor(max_iter=2).fit(X, y)
    with sklearn.config_context(assume_finite=True):
        assert np.isnan(regressor.predict(np.full((1, 5), np.nan))).all()


def test_feature_names_are_checked(kind: Any) -> None:
    X, y = make()
    frame = pd.DataFrame(X, columns=list("abcde"))
    estimator = kind(max_iter=2).fit(frame, y)
    assert list(estimator.feature_names_in_) == list("abcde")
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        estimator.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[list("edcba")])
