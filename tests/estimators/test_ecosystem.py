"""The estimators among scikit-learn's own tools: searches, ensembles, routing, frames, sparse matrices."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import gdfast
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import sklearn.neural_network
from fits import KINDS, assert_same_bits, make, parameters
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

# Most runs are cut short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def theirs_of(kind: Any) -> Any:
    """scikit-learn's estimator of that name."""
    return getattr(sklearn.neural_network, kind.__name__)


# Searches and validation.


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_search_finds_what_it_finds_with_scikit_learn(backend: str, kind: Any) -> None:
    X, y = make()
    searches = []
    for each in (kind, theirs_of(kind)):
        model = Pipeline([("scale", StandardScaler()), ("net", each(**QUICK))])
        grid = {"net__hidden_layer_sizes": [(3,), (5, 5)], "net__solver": ["adam", "lbfgs"]}
        with joblib.parallel_backend(backend):
            searches.append(GridSearchCV(model, grid, n_jobs=2, cv=2).fit(X, y))
    ours, theirs = searches
    # A class near the line between two others may fall on the other side: one row of 60 in two folds.
    atol = 1 / 60 if is_classifier(ours) else 1e-6
    for name in ("mean_test_score", "split0_test_score"):
        np.testing.assert_allclose(ours.cv_results_[name], theirs.cv_results_[name], atol=atol)
    assert ours.best_estimator_["net"].n_iter_ == theirs.best_estimator_["net"].n_iter_


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_fits_beside_each_other_share_the_cores(backend: str, kind: Any) -> None:
    X, y = make()

    # Within the test, so that it goes to other processes by value: they cannot import this file.
    def threads_of_a_fit() -> int:
        from gdfast import _core
        from gdfast.estimators import _validation

        kind(hidden_layer_sizes=(6,), max_iter=5).fit(X, y)
        return _validation.n_threads(None) or _core.max_threads()

    with joblib.parallel_backend(backend, n_jobs=2):
        threads = joblib.Parallel()(joblib.delayed(threads_of_a_fit)() for _ in range(2))
    # A process is told its share of the cores by OMP_NUM_THREADS, a thread is content with one.
    share = max(1, joblib.cpu_count() // 2) if backend == "loky" else 1
    assert max(threads) <= share


def test_validation_tools(kind: Any) -> None:
    X, y = make()
    ours, theirs = kind(**QUICK), theirs_of(kind)(**QUICK)
    for tool in (
        lambda est: cross_val_score(est, X, y, cv=3),
        lambda est: cross_val_predict(est, X, y, cv=3),
        lambda est: cross_validate(est, X, y, cv=3, return_train_score=True)["train_score"],
        lambda est: learning_curve(est, X, y, cv=3, train_sizes=[0.5, 1.0])[2],
        lambda est: permutation_importance(est.fit(X, y), X, y, n_repeats=2, random_state=0).importances,
    ):
        np.testing.assert_allclose(tool(ours), tool(theirs), rtol=1e-6, atol=1e-9)


def test_learning_curve_by_partial_fit(kind: Any) -> None:
    X, y = make()
    curves = [
        learning_curve(
            each(**QUICK), X, y, cv=3, train_sizes=[0.3, 0.6, 1.0], exploit_incremental_learning=True
        )[1]
        for each in (kind, theirs_of(kind))
    ]
    np.testing.assert_allclose(*curves, rtol=1e-6)


def test_halving_search(kind: Any) -> None:
    X, y = make()
    grid = {"hidden_layer_sizes": [(2,), (4,), (8,)]}
    search = HalvingGridSearchCV(kind(**QUICK), grid, resource="max_iter", max_resources=9, cv=2)
    assert search.fit(X, y).best_estimator_.n_iter_ <= 9


# Ensembles and wrappers, with the numbers that scikit-learn's own network gives in them.

CLASSIFYING = {
    "calibrated": lambda net: CalibratedClassifierCV(net, cv=3),
    "voting": lambda net: VotingClassifier(
        [("a", net), ("b", clone(net).set_params(random_state=1))], voting="soft"
    ),
    "bagging": lambda net: BaggingClassifier(net, n_estimators=3, random_state=0),
    "one-vs-rest": OneVsRestClassifier,
    "ada-boost": lambda net: AdaBoostClassifier(
        net.set_params(max_iter=60, learning_rate_init=0.05), n_estimators=2, random_state=0
    ),
    "pipeline": lambda net: make_pipeline(StandardScaler(), net),
}
REGRESSING = {
    "voting": lambda net: VotingRegressor([("net", net), ("line", LinearRegression())]),
    "bagging": lambda net: BaggingRegressor(net, n_estimators=3, random_state=0),
    "stacking": lambda net: StackingRegressor([("net", net), ("line", LinearRegression())], cv=3),
    "scaled-target": lambda net: TransformedTargetRegressor(net, transformer=StandardScaler()),
}


@pytest.mark.parametrize("wrapper", CLASSIFYING)
def test_classifiers_in_others(wrapper: str) -> None:
    X, y = make()
    ours, theirs = (
        CLASSIFYING[wrapper](each(**QUICK)).fit(X, np.array(["a", "b", "c"])[y])
        for each in (gdfast.MLPClassifier, sklearn.neural_network.MLPClassifier)
    )
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("wrapper", REGRESSING)
def test_regressors_in_others(wrapper: str) -> None:
    X, y = make()
    ours, theirs = (
        REGRESSING[wrapper](each(**QUICK)).fit(X, y)
        for each in (gdfast.MLPRegressor, sklearn.neural_network.MLPRegressor)
    )
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-9)


def test_one_network_for_each_output() -> None:
    X, y = make()
    several = np.c_[y > 0, y > 1].astype(int)
    classifier = MultiOutputClassifier(gdfast.MLPClassifier(**QUICK)).fit(X, several)
    assert classifier.predict(X).shape == several.shape
    chain = ClassifierChain(gdfast.MLPClassifier(**QUICK)).fit(X, several)
    assert chain.predict(X).shape == several.shape
    regressor = MultiOutputRegressor(gdfast.MLPRegressor(**QUICK)).fit(X, several.astype(float))
    assert regressor.predict(X).shape == several.shape


def test_kinds_are_known_for_what_they_are() -> None:
    assert is_classifier(gdfast.MLPClassifier())
    assert is_regressor(gdfast.MLPRegressor())


# Metadata.


def test_sample_weight_is_routed(kind: Any) -> None:
    X, y = make()
    weight = np.linspace(0.1, 1, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = kind(**QUICK).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = make_pipeline(estimator).fit(X, y, sample_weight=weight)
        search = GridSearchCV(estimator, {"alpha": [0.1]}, cv=2).fit(X, y, sample_weight=weight)
        unasked = GridSearchCV(kind(**QUICK), {"alpha": [0.1]}, cv=2)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            unasked.fit(X, y, sample_weight=weight)
        if kind is gdfast.MLPRegressor:
            partial = kind(**QUICK).set_partial_fit_request(sample_weight=True)
            assert partial.get_metadata_routing().partial_fit.requests == {"sample_weight": True}
    direct = kind(**QUICK).fit(X, y, weight)
    assert_same_bits(parameters(routed[-1]), parameters(direct))
    assert_same_bits(
        parameters(search.best_estimator_), parameters(direct.set_params(alpha=0.1).fit(X, y, weight))
    )


def test_requests_are_those_of_scikit_learn(kind: Any) -> None:
    ours, theirs = (each().get_metadata_routing() for each in (kind, theirs_of(kind)))
    # Beside a validation set of one's own, which only gdfast's take.
    more = {"X_val": None, "y_val": None, "sample_weight_val": None}
    assert ours.fit.requests == {**theirs.fit.requests, **more}
    assert ours.partial_fit.requests == theirs.partial_fit.requests
    assert ours.score.requests == theirs.score.requests


# Copies.


def through_joblib(estimator: Any, folder: Path) -> Any:
    joblib.dump(estimator, folder / "net.joblib")
    return joblib.load(folder / "net.joblib")


def through_memory_map(estimator: Any, folder: Path) -> Any:
    joblib.dump(estimator, folder / "net.joblib")
    return joblib.load(folder / "net.joblib", mmap_mode="r")


COPIES = {
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "oldest-pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator, protocol=2)),
    "deep": lambda estimator, _: copy.deepcopy(estimator),
    "joblib": through_joblib,
    "memory-map": through_memory_map,
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton-cg"])
def test_a_copy_predicts_and_continues(kind: Any, solver: str, way: str, tmp_path: Path) -> None:
    X, y = make()
    original = kind(solver=solver, warm_start=True, **QUICK).fit(X, y)
    other = COPIES[way](original, tmp_path)
    np.testing.assert_array_equal(other.predict(X), original.predict(X))
    assert_same_bits(parameters(other.fit(X, y)), parameters(original.fit(X, y)))


def test_clone_keeps_arguments_and_nothing_else(kind: Any) -> None:
    X, y = make()
    fitted = kind(alpha=0.5, n_jobs=2, **QUICK).fit(X, y)
    unfitted = clone(fitted)
    assert unfitted.get_params() == fitted.get_params()
    assert not [name for name in vars(unfitted) if name.endswith("_") or name.startswith("_")]


# What it looks like.


def test_repr(kind: Any) -> None:
    assert repr(kind(alpha=0.5, n_jobs=2)) == f"{kind.__name__}(alpha=0.5, n_jobs=2)"
    html = make_pipeline(StandardScaler(), kind(alpha=0.5))._repr_html_()
    assert kind.__name__ in html
    assert "0.5" in html
    X, y = make()
    assert "fitted" in kind(**QUICK).fit(X, y)._repr_html_()


# Frames.

VALUES = {pd: "data", pl: "values"}  # what a series calls them


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_frames(kind: Any, library: Any, dtype: type[np.floating]) -> None:
    X, y = make(dtype)
    names = list("abcde")
    frame = library.DataFrame(dict(zip(names, X.T, strict=True)))
    column = library.Series(name="label", **{VALUES[library]: y})
    # scikit-learn sees through pandas' float32; a frame of another library it makes float64.
    X = X.astype(theirs_of(kind)(**QUICK).fit(frame, column).coefs_[0].dtype)
    expected = kind(**QUICK).fit(X, y)
    fitted = kind(**QUICK).fit(frame, column)
    assert_same_bits(parameters(fitted), parameters(expected))
    assert list(fitted.feature_names_in_) == names
    np.testing.assert_array_equal(fitted.predict(frame), expected.predict(X))
    assert fitted.score(frame, column) == expected.score(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[names[::-1]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        fitted.predict(X)
    with pytest.warns(UserWarning, match="X has feature names, but"):
        expected.predict(frame)


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_frames_with_columns_of_words(library: Any) -> None:
    words = library.Series(name="word", **{VALUES[library]: ["yes", "no", "maybe"] * 40})
    clf = gdfast.MLPClassifier(**QUICK).fit(library.DataFrame({"a": make()[0][:, 0]}), words)
    assert list(clf.classes_) == ["maybe", "no", "yes"]
    several = library.DataFrame({"a": [0, 1] * 60, "b": [1, 1, 0] * 40})
    assert gdfast.MLPClassifier(**QUICK).fit(make()[0], several).predict(make()[0]).shape == (120, 2)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_frames_pass_through_pipelines(kind: Any, output: str) -> None:
    X, y = make()
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = make_pipeline(
        make_column_transformer((StandardScaler(), ["a", "b"]), remainder="passthrough"), kind(**QUICK)
    ).set_output(transform=output)
    fitted = model.fit(frame, y)[-1]
    assert len(fitted.feature_names_in_) == 5
    assert model.predict(frame).shape == (len(X),)


# Sparse matrices.


def never_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a sparse matrix was made dense")

    for name in ("csr", "csc", "coo"):
        for form in (f"{name}_matrix", f"{name}_array"):
            for method in ("toarray", "todense", "__array__"):
                monkeypatch.setattr(getattr(sparse, form), method, refuse, raising=False)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "csr_array", "csc_array"])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"solver": "sgd", "shuffle": False}, {"solver": "lbfgs"}, {"early_stopping": True}],
    ids=["adam", "sgd-in-order", "lbfgs", "early-stopping"],
)
def test_sparse_matrices_are_never_made_dense(
    kind: Any, arguments: dict[str, Any], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = make()
    X[np.abs(X) < 0.5] = 0
    expected = kind(**{**QUICK, **arguments}).fit(X, y).predict(X)
    X = getattr(sparse, form)(X)
    never_dense(monkeypatch)
    estimator = kind(**{**QUICK, **arguments}).fit(X, y)
    # A sum that leaves out zeros runs in another order.
    np.testing.assert_allclose(estimator.predict(X), expected, rtol=1e-6, atol=1e-9)


def test_sparse_matrices_come_from_pipelines(kind: Any) -> None:
    X, y = make()
    model = make_pipeline(FunctionTransformer(sparse.csr_array), kind(**QUICK))
    np.testing.assert_array_equal(model.fit(X, y).predict(X), kind(**QUICK).fit(X, y).predict(X))


def test_threadpoolctl_changes_no_bit(kind: Any) -> None:
    X, y = make()
    free = parameters(kind(**QUICK).fit(X, y))
    with threadpool_limits(limits=1):
        assert_same_bits(parameters(kind(**QUICK).fit(X, y)), free)
