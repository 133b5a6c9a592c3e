"""The same data, arguments and random_state give what the installed scikit-learn gives."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import gdfast
import numpy as np
import pytest
import sklearn.neural_network
from scipy import sparse
from sklearn_pairs import TASKS, assert_same, both, make

# Runs are cut short on purpose, so that both sides do the same number of epochs.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SGD = {"solver": "sgd", "learning_rate_init": 0.05}
TRAININGS = {
    "adam": {},
    "adam-betas": {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "learning_rate_init": 0.01},
    "sgd": SGD,
    "sgd-plain": {**SGD, "momentum": 0.0},
    "sgd-momentum": {**SGD, "nesterovs_momentum": False},
    "sgd-invscaling": {**SGD, "learning_rate": "invscaling", "power_t": 0.3},
    "sgd-adaptive": {**SGD, "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2},
    "alpha": {"alpha": 0.5},
    "deep": {"hidden_layer_sizes": (13, 7, 5)},
    "no-hidden-layer": {"hidden_layer_sizes": ()},
    "ragged-batches": {"batch_size": 33},
    "one-row-batches": {"batch_size": 1, "max_iter": 2},
    "in-order": {"shuffle": False, "batch_size": 50},
    "early-stopping": {"early_stopping": True, "batch_size": 40},
    "early-stopping-in-order": {"early_stopping": True, "shuffle": False, "validation_fraction": 0.3},
    "stops-early": {"tol": 0.05, "n_iter_no_change": 2},
}


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("task", TASKS)
def test_training_curves(task: str, activation: str, training: str) -> None:
    X, y = make(task)
    ours, theirs = both(task, activation=activation, **TRAININGS[training])
    ours.fit(X, y)
    theirs.fit(X, y)
    # Sums run in another order here; a unit near ReLU's kink can turn that into another gradient.
    assert_same(ours, theirs, X, rtol=1e-6 if activation == "relu" else 1e-9)
    if ours.early_stopping:
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)
        assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_, rel=1e-6)


@pytest.mark.parametrize("activation", ["identity", "logistic"])
@pytest.mark.parametrize("task", TASKS)
def test_the_other_activations(task: str, activation: str) -> None:
    X, y = make(task)
    ours, theirs = both(task, activation=activation)
    assert_same(ours.fit(X, y), theirs.fit(X, y), X, rtol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("training", ["adam", "sgd", "early-stopping"])
@pytest.mark.parametrize("task", TASKS)
def test_float32(task: str, training: str, activation: str) -> None:
    X, y = make(task, np.float32)
    ours, theirs = both(task, activation=activation, **{**TRAININGS[training], "learning_rate_init": 0.001})
    ours.fit(X, y)
    theirs.fit(X, y)
    assert {array.dtype for array in ours.coefs_ + ours.intercepts_} == {np.dtype(np.float32)}
    # float32 carries 7 digits; 20 epochs of sums in another order cost some, kinks some more.
    rtol = 1e-3 if activation == "relu" else 1e-4
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=rtol)
    for mine, its in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert np.linalg.norm(mine - its) <= 10 * rtol * np.linalg.norm(its)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("task", TASKS)
def test_lbfgs(task: str, activation: str, weighted: bool) -> None:
    X, y = make(task)
    weight = np.random.RandomState(0).uniform(0.2, 3, len(X)) if weighted else None
    ours, theirs = both(task, activation=activation, solver="lbfgs", alpha=0.1)
    assert_same(ours.fit(X, y, weight), theirs.fit(X, y, weight), X, rtol=1e-6)


def test_lbfgs_keeps_float32() -> None:
    X, y = make("multiclass", np.float32)
    ours, theirs = both("multiclass", solver="lbfgs", activation="tanh", max_iter=10)
    ours.fit(X, y)
    theirs.fit(X, y)
    assert ours.predict_proba(X).dtype == np.float32
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-4)  # float32's loss steers the line search


@pytest.mark.parametrize("training", ["adam", "sgd", "early-stopping", "ragged-batches"])
@pytest.mark.parametrize("task", TASKS)
def test_sample_weight(task: str, training: str) -> None:
    X, y = make(task)
    weight = np.random.RandomState(0).uniform(0, 3, len(X))
    weight[::7] = 0
    ours, theirs = both(task, activation="tanh", **TRAININGS[training])
    assert_same(ours.fit(X, y, weight), theirs.fit(X, y, sample_weight=weight), X, rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("task", ["multiclass", "one_output"])
def test_negative_sample_weight(task: str, solver: str) -> None:
    # Simulations of particle physics give such; a batch's weights may even have a negative sum.
    X, y = make(task)
    weight = np.random.RandomState(0).uniform(0.5, 1, len(X))
    weight[:30] *= -1
    ours, theirs = both(
        task, activation="tanh", solver=solver, shuffle=False, batch_size=30, max_iter=5, alpha=0.1
    )
    ours.fit(X, y, weight)
    theirs.fit(X, y, weight)
    assert_same(ours, theirs, X, rtol=1e-6 if solver == "lbfgs" else 1e-9)


@pytest.mark.parametrize("to_sparse", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("task", ["multiclass", "one_output"])
def test_sparse_matrices(task: str, solver: str, to_sparse: Any) -> None:
    X, y = make(task)
    X = to_sparse(np.where(np.abs(X) > 0.8, X, 0))
    ours, theirs = both(task, activation="tanh", solver=solver, early_stopping=solver == "adam")
    assert_same(ours.fit(X, y), theirs.fit(X, y), X, rtol=1e-9 if solver == "adam" else 1e-6)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("task", TASKS)
def test_partial_fit(task: str, solver: str) -> None:
    X, y = make(task)
    ours, theirs = both(task, activation="tanh", solver=solver, learning_rate="adaptive")
    first = {"classes": np.unique(y)} if hasattr(ours, "predict_proba") else {}
    if task == "multilabel":
        first = {"classes": np.arange(3)}
    # Pieces of several lengths, one of a single row.
    for start, stop in ((0, 60), (60, 61), (61, 210), (0, 210), (10, 70)):
        ours.partial_fit(X[start:stop], y[start:stop], **first)
        theirs.partial_fit(X[start:stop], y[start:stop], **first)
        first = {}
    assert_same(ours, theirs, X, rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("task", TASKS)
def test_warm_start(task: str, solver: str) -> None:
    X, y = make(task)
    ours, theirs = both(task, activation="tanh", solver=solver, warm_start=True, max_iter=7)
    for _ in range(3):
        ours.fit(X, y)
        theirs.fit(X, y)
    assert_same(ours, theirs, X, rtol=1e-6 if solver == "lbfgs" else 1e-9)


def test_partial_fit_continues_from_fit() -> None:
    X, y = make("multiclass")
    ours, theirs = both("multiclass", activation="tanh", max_iter=5)
    for estimator in (ours, theirs):
        estimator.fit(X, y).partial_fit(X[:50], y[:50]).partial_fit(X[50:], y[50:])
    assert_same(ours, theirs, X, rtol=1e-9)


def test_the_callers_random_state_is_left_where_scikit_learn_leaves_it() -> None:
    X, y = make("binary")
    states = [np.random.RandomState(7), np.random.RandomState(7)]
    for estimator, state in zip(both("binary", early_stopping=True), states, strict=True):
        estimator.set_params(random_state=state).fit(X, y)
    assert states[0].uniform() == states[1].uniform()


@pytest.mark.parametrize("task", TASKS)
def test_a_model_takes_other_dtypes_as_scikit_learn_does(task: str) -> None:
    X, y = make(task, np.float32)
    ours, theirs = both(task, activation="tanh", max_iter=3)
    ours.fit(X, y)
    theirs.fit(X, y)
    outputs = "predict_proba" if hasattr(theirs, "predict_proba") else "predict"
    for given in (X.astype(np.float64), X.astype(np.int64), X.astype(np.float16), X.astype(int).tolist()):
        mine, its = getattr(ours, outputs)(given), getattr(theirs, outputs)(given)
        assert mine.dtype == its.dtype
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)  # sums of order 1 over float32 weights
    # Going on with float64 keeps the weights' dtype.
    ours.partial_fit(X.astype(np.float64), y)
    theirs.partial_fit(X.astype(np.float64), y)
    assert [a.dtype for a in ours.coefs_] == [a.dtype for a in theirs.coefs_]
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-4)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "one_output", "many_outputs"])
def test_predictions_and_scores(task: str) -> None:
    X, y = make(task)
    ours, theirs = both(task, activation="tanh")
    ours.fit(X, y)
    theirs.fit(X, y)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-9)
    if hasattr(theirs, "predict_proba"):
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-8)


def test_sparse_labels_give_sparse_predictions() -> None:
    X, y = make("multilabel")
    ours, theirs = both("multilabel", activation="tanh")
    mine = ours.fit(X, sparse.csr_matrix(y)).predict(X)
    its = theirs.fit(X, sparse.csr_matrix(y)).predict(X)
    assert sparse.issparse(mine)
    np.testing.assert_array_equal(mine.toarray(), its.toarray())


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("schedule", ["constant", "adaptive"])
def test_verbose_prints_the_same_lines(
    schedule: str, early_stopping: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = make("multiclass")
    printed = []
    for estimator in both(
        "multiclass",
        **SGD,
        learning_rate=schedule,
        early_stopping=early_stopping,
        tol=0.1,
        n_iter_no_change=2,
    ):
        estimator.set_params(verbose=True, max_iter=80).fit(X, y)
        printed.append(capsys.readouterr().out)
    number = re.compile(r"\d+\.\d+")
    ours, theirs = printed
    assert number.sub("#", ours) == number.sub("#", theirs)
    # Printed to 8 decimals: the last may be rounded the other way.
    np.testing.assert_allclose(
        *([float(found) for found in number.findall(text)] for text in printed), rtol=0, atol=1.1e-8
    )


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_arguments(name: str) -> None:
    ours, theirs = getattr(gdfast, name), getattr(sklearn.neural_network, name)
    mine = list(inspect.signature(ours).parameters.values())
    its = list(inspect.signature(theirs).parameters.values())
    assert [(p.name, p.kind, p.default) for p in mine[: len(its)]] == [
        (p.name, p.kind, p.default) for p in its
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in mine[len(its) :])
    for method in ("fit", "partial_fit", "predict", "score"):
        mine = list(inspect.signature(getattr(ours, method)).parameters.values())
        its = list(inspect.signature(getattr(theirs, method)).parameters)
        assert [p.name for p in mine[: len(its)]] == its
        assert all(p.kind is p.KEYWORD_ONLY for p in mine[len(its) :])
    for argument, constraints in theirs._parameter_constraints.items():
        if argument in ("activation", "loss", "solver"):  # of which there are more
            assert constraints[0].options <= ours._parameter_constraints[argument][0].options
        else:
            more = ["StrOptions ['auto']"] if argument == "learning_rate_init" else []
            assert sorted(map(_described, ours._parameter_constraints[argument])) == sorted(
                [*map(_described, constraints), *more]
            )


def _described(constraint: Any) -> str:
    """A constraint in words; sets of options are printed in any order, so that theirs are sorted."""
    options = getattr(constraint, "options", None)
    return str(constraint) if options is None else f"{type(constraint).__name__} {sorted(map(str, options))}"


WARNINGS = {
    "not-converged": {"max_iter": 2},
    "lbfgs-not-converged": {"max_iter": 2, "solver": "lbfgs"},
    "large-batch": {"batch_size": 1000, "max_iter": 2},
}


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("case", WARNINGS)
def test_warnings(case: str) -> None:
    X, y = make("binary")
    caught = []
    for estimator in both("binary", **WARNINGS[case]):
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("always")
            estimator.fit(X, y)
        caught.append([(w.category, re.sub(r"\s+", " ", str(w.message))) for w in records])
        assert records[0].filename == __file__ or type(estimator).__module__.startswith("sklearn")
    assert caught[0] == caught[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_too_small_for_the_dtype_are_zero(dtype: Any) -> None:
    X, y = make("multiclass", dtype)
    ours, theirs = both("multiclass", max_iter=2)
    mine, its = (estimator.fit(X, y).predict_proba(1e9 * X) for estimator in (ours, theirs))
    assert mine.min() == its.min() == 0
    np.testing.assert_allclose(mine, its, atol=2 * float(np.finfo(dtype).tiny))
