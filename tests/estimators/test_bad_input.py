"""Bad input: scikit-learn's kind of error in its words, or a clear one of our own; never a crash."""

from __future__ import annotations

import re
import warnings
from typing import Any

import gdfast
import numpy as np
import pytest
import sklearn.neural_network
from scipy import sparse

RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 4))
LABELS = RNG.randint(0, 3, 40)
VALUES = RNG.normal(size=40)
CLASSIFIERS = gdfast.MLPClassifier, sklearn.neural_network.MLPClassifier
REGRESSORS = gdfast.MLPRegressor, sklearn.neural_network.MLPRegressor


def with_value(array: np.ndarray, value: Any) -> np.ndarray:
    changed = array.copy()
    changed[3] = value
    return changed


def error_of(call: Any) -> tuple[type, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as caught:
            call()
    # What a set of options is printed in, and at which address, differs from run to run.
    return caught.type, re.sub(r"\{.*?\}", "{}", str(caught.value))


SAME_AS_SCIKIT_LEARN = {
    "nan": (with_value(X, np.nan), LABELS, {}),
    "infinity": (with_value(X, np.inf), LABELS, {}),
    "minus infinity": (with_value(X, -np.inf), LABELS, {}),
    "nan among the targets": (X, with_value(LABELS.astype(float), np.nan), {}),
    "infinity among the targets": (X, with_value(LABELS.astype(float), np.inf), {}),
    "no rows": (X[:0], LABELS[:0], {}),
    "no features": (X[:, :0], LABELS, {}),
    "targets too short": (X, LABELS[:-1], {}),
    "targets too long": (X[:-1], LABELS, {}),
    "no targets": (X, None, {}),
    "one dimension": (X[:, 0], LABELS, {}),
    "three dimensions": (X[:, :, None], LABELS, {}),
    "targets without columns": (X, np.empty((40, 0)), {}),
    "words": (np.full((40, 4), "word"), LABELS, {}),
    "complex numbers": (X.astype(complex), LABELS, {}),
    "objects": (np.full((40, 4), object()), LABELS, {}),
    "sparse nan": (sparse.csr_array(with_value(X, np.nan)), LABELS, {}),
    "sparse coo": (sparse.coo_array(X[:0]), LABELS[:0], {}),
    "negative size": (X, LABELS, {"hidden_layer_sizes": (10, -1)}),
    "zero size": (X, LABELS, {"hidden_layer_sizes": (0,)}),
    "zero as size": (X, LABELS, {"hidden_layer_sizes": 0}),
    "unknown schedule": (X, LABELS, {"learning_rate": "cosine"}),
    "negative alpha": (X, LABELS, {"alpha": -1}),
    "zero batch": (X, LABELS, {"batch_size": 0}),
    "fractional batch": (X, LABELS, {"batch_size": 1.5}),
    "zero learning rate": (X, LABELS, {"learning_rate_init": 0}),
    "no epochs": (X, LABELS, {"max_iter": 0}),
    "momentum": (X, LABELS, {"momentum": 2}),
    "beta": (X, LABELS, {"beta_1": 1}),
    "epsilon": (X, LABELS, {"epsilon": 0}),
    "shuffle": (X, LABELS, {"shuffle": "yes"}),
    "random state": (X, LABELS, {"random_state": "seed"}),
    "validation fraction": (X, LABELS, {"validation_fraction": 1.0}),
    "patience": (X, LABELS, {"n_iter_no_change": 0}),
    "validation set of one": (X, LABELS, {"early_stopping": True, "validation_fraction": 0.01}),
}


@pytest.mark.parametrize("kinds", [CLASSIFIERS, REGRESSORS], ids=["classifier", "regressor"])
@pytest.mark.parametrize("case", SAME_AS_SCIKIT_LEARN)
def test_fit_has_scikit_learns_messages(case: str, kinds: Any) -> None:
    given, targets, arguments = SAME_AS_SCIKIT_LEARN[case]
    ours, theirs = (kind(**arguments) for kind in kinds)
    kind, message = error_of(lambda: ours.fit(given, targets))
    if "learning_rate_init" in arguments:  # which may also be "auto"
        message = message.replace(" or a str among {}", "")
    assert (kind, message) == error_of(lambda: theirs.fit(given, targets))


@pytest.mark.parametrize(
    "weight",
    [np.ones(39), np.ones((40, 1)), with_value(np.ones(40), np.nan), ["heavy"] * 40],
    ids=["short", "two dimensions", "nan", "words"],
)
@pytest.mark.parametrize("kinds", [CLASSIFIERS, REGRESSORS], ids=["classifier", "regressor"])
def test_bad_sample_weight(kinds: Any, weight: Any) -> None:
    """As scikit-learn's error, and it names the argument."""
    ours, theirs = (kind() for kind in kinds)
    (our_kind, our_message), (their_kind, their_message) = (
        error_of(lambda est=est: est.fit(X, LABELS, weight)) for est in (ours, theirs)
    )
    assert our_kind is their_kind
    assert our_message.endswith(their_message)
    assert "sample_weight" in our_message


@pytest.mark.parametrize(
    "bad",
    ["abc", b"x", object(), {}, 1j, [[1], [2, 3]], np.array([[object()]])],
    ids=["text", "bytes", "object", "dict", "complex", "ragged", "array of objects"],
)
@pytest.mark.parametrize("name", ["sample_weight", "X_val", "y_val"])
@pytest.mark.parametrize("kind", [gdfast.MLPRegressor, gdfast.TabularRegressor])
def test_what_cannot_be_converted_names_the_argument(kind: Any, name: str, bad: Any) -> None:
    arguments = {"sample_weight": bad}
    if name != "sample_weight":
        if kind is gdfast.TabularRegressor:
            pytest.skip("it has no validation set")
        arguments = {"X_val": X, "y_val": VALUES, name: bad}
    with pytest.raises((TypeError, ValueError), match=name):
        kind().fit(X, VALUES, **arguments)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, -np.ones(40)], ids=str)
def test_weights_of_a_table_that_leave_nothing_to_learn(weight: Any) -> None:
    with pytest.raises(ValueError, match="sample_weight"):
        gdfast.TabularRegressor().fit(X, VALUES, weight)


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("kind", [gdfast.MLPClassifier, gdfast.MLPRegressor])
def test_weights_that_are_all_zero(kind: Any, solver: str) -> None:
    # In scikit-learn's words of today, and with the argument's name where scikit-learn finds them. 1.7 has a
    # ZeroDivisionError, from within the first batch.
    words = r"Sample weights must contain at least one non-zero number\.$"
    with pytest.raises(ValueError, match=f"^(In sample_weight: )?{words}"):
        kind(solver=solver).fit(X, LABELS, np.zeros(40))


BAD_LABELS = {
    "real numbers": VALUES,
    "several classes a row": np.c_[LABELS, LABELS[::-1]],
    "three dimensions": np.zeros((40, 2, 2), int),
    "mixed kinds": np.array(["a", 1] * 20, dtype=object),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case: str) -> None:
    ours, theirs = (kind() for kind in CLASSIFIERS)
    assert error_of(lambda: ours.fit(X, BAD_LABELS[case])) == error_of(
        lambda: theirs.fit(X, BAD_LABELS[case])
    )


@pytest.mark.parametrize("arguments", [{}, {"solver": "lbfgs"}])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_class_only_is_learned_as_scikit_learn_learns_it(arguments: dict[str, Any]) -> None:
    ours, theirs = (kind(max_iter=3, random_state=0, **arguments) for kind in CLASSIFIERS)
    ours.fit(X, ["same"] * 40)
    theirs.fit(X, ["same"] * 40)
    assert set(ours.predict(X)) == set(theirs.predict(X)) == {"same"}
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))


PARTIAL_FIT = {
    "no classes at first": lambda clf: clf.partial_fit(X, LABELS),
    "an unknown label at first": lambda clf: clf.partial_fit(X, LABELS, classes=[0, 1]),
    "an unknown label": lambda clf: clf.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(X, LABELS + 1),
    "other classes": lambda clf: clf.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(
        X, LABELS, classes=[0, 1]
    ),
    "another width": lambda clf: clf.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(X[:, :2], LABELS),
    "early stopping": lambda clf: clf.set_params(early_stopping=True).partial_fit(
        X, LABELS, classes=[0, 1, 2]
    ),
    "lbfgs": lambda clf: clf.set_params(solver="lbfgs").partial_fit(X, LABELS, classes=[0, 1, 2]),
    "other classes in a warm start": lambda clf: (
        clf.set_params(warm_start=True).fit(X, LABELS).fit(X, LABELS % 2)
    ),
}


@pytest.mark.parametrize("case", PARTIAL_FIT)
def test_continuing_with_other_data(case: str) -> None:
    ours, theirs = (kind(max_iter=2, random_state=0) for kind in CLASSIFIERS)
    mine, its = error_of(lambda: PARTIAL_FIT[case](ours)), error_of(lambda: PARTIAL_FIT[case](theirs))
    assert (mine[0], mine[1].replace("gdfast", "sklearn")) == its


def test_labels_of_another_dimension_than_at_first() -> None:
    clf = gdfast.MLPClassifier().partial_fit(X, LABELS % 2, classes=[0, 1])
    with pytest.raises(ValueError, match="was not fitted with multilabel input"):
        clf.partial_fit(X, np.c_[LABELS % 2, LABELS % 2])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_labels_of_one_dimension_after_several() -> None:
    # scikit-learn would take them for one label each, and learn that all others are absent.
    several = np.c_[LABELS == 0, LABELS == 1, LABELS == 2].astype(int)
    words = r"was fitted with multilabel input, but y has one dimension.*\(n_samples, 3\)"
    with pytest.raises(ValueError, match=words):
        gdfast.MLPClassifier().partial_fit(X, several, classes=[0, 1, 2]).partial_fit(X, LABELS)
    with pytest.raises(ValueError, match=words):
        gdfast.MLPClassifier(warm_start=True, max_iter=1).fit(X, several).fit(X, LABELS)


OURS = {
    "n_jobs of zero": ({"n_jobs": 0}, ValueError, "n_jobs"),
    "n_jobs of a half": ({"n_jobs": 0.5}, ValueError, "n_jobs"),
    "fractional sizes": ({"hidden_layer_sizes": (1.5,)}, TypeError, r"must be integers, got \[1\.5\]"),
    "sizes of sizes": ({"hidden_layer_sizes": ((3,), 2)}, TypeError, "must be integers"),
    "more than can be addressed": ({"hidden_layer_sizes": (2**62, 2**62)}, ValueError, "too large"),
    "a product that overflows": ({"hidden_layer_sizes": (2**31, 2**33)}, ValueError, "too large"),
}


@pytest.mark.parametrize("kind", [gdfast.MLPClassifier, gdfast.MLPRegressor])
@pytest.mark.parametrize("case", OURS)
def test_fit_names_what_is_wrong(case: str, kind: Any) -> None:
    arguments, error, words = OURS[case]
    with pytest.raises(error, match=words):
        kind(**arguments).fit(X, LABELS)


def test_targets_that_do_not_fit_the_dtype() -> None:
    with pytest.raises(
        ValueError, match=r"Input y contains infinity or a value too large for dtype\('float32'\)"
    ):
        gdfast.MLPRegressor().fit(X.astype(np.float32), VALUES * 1e300)


def test_data_that_do_not_fit_the_weights() -> None:
    regressor = gdfast.MLPRegressor().partial_fit(X.astype(np.float32), VALUES)
    with pytest.raises(ValueError, match="Input X contains infinity or a value too large"):
        regressor.partial_fit(X * 1e300, VALUES)


def test_poisson_wants_targets_that_are_not_negative() -> None:
    with pytest.raises(ValueError, match="requires y >= 0"):
        gdfast.MLPRegressor(loss="poisson").fit(X, VALUES)


def test_sparse_targets() -> None:
    with pytest.raises(TypeError, match=r"Sparse targets are not supported here\. Use '\.toarray\(\)'"):
        gdfast.MLPRegressor().fit(X, sparse.csr_array(np.ones((40, 2))))


def test_a_column_of_targets_is_taken_with_a_warning() -> None:
    from sklearn.exceptions import DataConversionWarning

    for kind in (gdfast.MLPClassifier, gdfast.MLPRegressor):
        with pytest.warns(DataConversionWarning, match="column-vector y"):
            kind(tol=1e9, n_iter_no_change=1).fit(X, LABELS[:, None])


def test_a_batch_larger_than_the_data_is_clipped() -> None:
    arguments = {"random_state": 0, "tol": 1e9, "n_iter_no_change": 1}
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        clipped = gdfast.MLPClassifier(batch_size=10**12, **arguments).fit(X, LABELS)
    whole = gdfast.MLPClassifier(batch_size=len(X), **arguments).fit(X, LABELS)
    assert clipped.loss_curve_ == whole.loss_curve_


PREDICT = {
    "nan": with_value(X, np.nan)[3:4],
    "infinity": with_value(X, np.inf)[3:4],
    "opposite infinities": np.array([[np.inf, -np.inf, 0, 0]]),
    "infinity among many rows": with_value(X, np.inf),
    "narrow": X[:1, :3].copy(),
    "wide": np.ones((1, 5)),
    "one dimension": X[0],
    "no dimension": np.float64(1),
    "three dimensions": X[:1, :, None],
    "no rows": X[:0],
    "words": np.full((1, 4), "word"),
    "complex": X[:1].astype(complex),
    "nothing": None,
    "a list of lists of another length": [[1.0, 2.0]],
    "sparse and narrow": sparse.csr_array(X[:, :2]),
}


@pytest.mark.parametrize("case", PREDICT)
@pytest.mark.parametrize("kinds", [CLASSIFIERS, REGRESSORS], ids=["classifier", "regressor"])
def test_predict_has_scikit_learns_messages(kinds: Any, case: str, dtype: type[np.floating]) -> None:
    given = PREDICT[case]
    if isinstance(given, np.ndarray) and given.dtype == np.float64:
        given = given.astype(dtype)
    for method in ("predict", "predict_proba"):
        if hasattr(kinds[0], method):
            ours, theirs = (
                kind(tol=1e9, n_iter_no_change=1).fit(X.astype(dtype), LABELS.astype(dtype)) for kind in kinds
            )
            assert error_of(lambda ours=ours, method=method: getattr(ours, method)(given)) == error_of(
                lambda theirs=theirs, method=method: getattr(theirs, method)(given)
            )


@pytest.mark.parametrize("kinds", [CLASSIFIERS, REGRESSORS], ids=["classifier", "regressor"])
def test_an_estimator_that_is_not_fitted_raises_scikit_learns_error(kinds: Any) -> None:
    ours, theirs = (kind() for kind in kinds)
    assert error_of(lambda: ours.predict(X)) == error_of(lambda: theirs.predict(X))


def test_weights_that_do_not_fit_each_other(dtype: type[np.floating]) -> None:
    data = X.astype(dtype)
    clf = gdfast.MLPClassifier((5,), tol=1e9, n_iter_no_change=1, warm_start=True).fit(data, LABELS)
    clf.coefs_[1] = np.zeros((7, 3), dtype)
    with pytest.raises(ValueError):
        clf.predict(data)
    with pytest.raises(ValueError, match=r"coefs_ have the shapes \[\(4, 5\), \(7, 3\)\]"):
        clf.fit(data, LABELS)
    del clf.coefs_[1]
    with pytest.raises(ValueError):
        clf.predict(data)
