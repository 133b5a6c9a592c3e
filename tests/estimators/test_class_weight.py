"""Classes that count more than others, and labels that are not quite sure."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pytest
from fits import assert_same_bits, make, parameters
from scipy import sparse
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.utils import compute_sample_weight

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
WORDS = np.array(["north", "south", "west"])[Y]
LABELS = (X[:, :3] > 0.5).astype(int)
WEIGHT = np.linspace(0.5, 2, len(X))
FIT = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0, "batch_size": 20}


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_class_weight_that_is_not_finite_is_refused(weight: float) -> None:
    clf = gdfast.MLPClassifier(class_weight={0: weight, 1: 1.0, 2: 1.0}, **FIT)
    with pytest.raises(ValueError, match="class_weight"):
        clf.fit(X, Y)
    for _ in range(2):  # the same at the first call as at the second
        with pytest.raises(ValueError, match="class_weight"):
            clf.partial_fit(X, Y, classes=[0, 1, 2])
        clf.set_params(class_weight=None).partial_fit(X, Y, classes=[0, 1, 2])
        clf.set_params(class_weight={0: weight, 1: 1.0, 2: 1.0})


@pytest.mark.parametrize("sample_weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize(
    ("y", "class_weight"),
    [
        (Y, "balanced"),
        (WORDS, {"north": 1.0, "south": 5.0, "west": 0.5}),
        (WORDS == "south", {True: 3}),
        (LABELS, "balanced"),
        (LABELS, [{0: 1, 1: 4}, {0: 2, 1: 1}, {0: 1, 1: 1}]),
    ],
    ids=["balanced", "words", "binary", "labels balanced", "labels"],
)
def test_class_weights_multiply_sample_weights(
    y: Any, class_weight: Any, solver: str, sample_weight: Any
) -> None:
    weighted = gdfast.MLPClassifier(class_weight=class_weight, solver=solver, **FIT).fit(X, y, sample_weight)
    if class_weight == "balanced" and sample_weight is not None:
        columns = [Y] if y is Y else list(LABELS.T)
        product = sample_weight.copy()
        for column in columns:
            counts = np.bincount(column, sample_weight)
            product *= (sample_weight.sum() / (len(counts) * counts))[column]
        # Products in another order.
        tolerance = 1e-12
    else:
        product = compute_sample_weight(class_weight, y) * (1 if sample_weight is None else sample_weight)
        tolerance = 0
    by_hand = gdfast.MLPClassifier(solver=solver, **FIT).fit(X, y, product)
    for a, b in zip(parameters(weighted), parameters(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_a_weight_of_two_is_two_samples_when_balanced() -> None:
    counts = np.where(Y == 0, 2, 1)
    counts[::7] = 0
    arguments = {"solver": "lbfgs", "class_weight": "balanced", "max_iter": 10, "hidden_layer_sizes": (4,)}
    weighted = gdfast.MLPClassifier(**arguments, random_state=0).fit(X, Y, counts.astype(float))
    repeated = gdfast.MLPClassifier(**arguments, random_state=0).fit(
        X.repeat(counts, axis=0), Y.repeat(counts)
    )
    # Sums of other terms in another order, after ten steps of L-BFGS.
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6)


def test_a_class_without_weight_may_be_balanced() -> None:
    clf = gdfast.MLPClassifier(class_weight="balanced", **FIT).fit(X, Y, (Y != 1).astype(float))
    assert np.isfinite(clf.loss_curve_).all()


def test_class_weights_are_those_of_scikit_learn() -> None:
    """A network without hidden layers is logistic regression, the same minimum by another way."""
    y = (X[:, 0] > 1).astype(int)  # rare
    clf = gdfast.MLPClassifier(
        (), solver="lbfgs", class_weight="balanced", alpha=1.0, max_iter=1000, tol=1e-8
    )
    clf.set_params(max_fun=10**5).fit(X, y)
    peer = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-8, max_iter=1000).fit(X, y)
    # Both stop where L-BFGS finds no more: a minimum is known to about the root of the precision.
    np.testing.assert_allclose(clf.predict_proba(X), peer.predict_proba(X), atol=1e-4)


def test_class_weights_count_in_the_score_on_what_is_set_aside_but_not_on_ones_own() -> None:
    """As in scikit-learn's boosting."""
    class_weight = {0: 1, 1: 100, 2: 1}
    arguments = {**FIT, "early_stopping": True, "class_weight": class_weight}
    set_aside = gdfast.MLPClassifier(**arguments).fit(X, Y)
    weights = compute_sample_weight(class_weight, Y)
    by_hand = gdfast.MLPClassifier(**{**arguments, "class_weight": None}).fit(X, Y, weights)
    assert set_aside.validation_scores_ == by_hand.validation_scores_
    own = gdfast.MLPClassifier(**arguments).fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    assert own.best_validation_score_ == pytest.approx(own.score(X[80:], Y[80:]))


@pytest.mark.parametrize("y", [Y, LABELS], ids=["classes", "labels"])
def test_partial_fit_with_class_weights(y: Any) -> None:
    class_weight: Any = {0: 1, 1: 2, 2: 3} if y is Y else [{0: 1, 1: 2}] * 3
    one_class = np.flatnonzero(Y == 1) if y is Y else np.flatnonzero(~LABELS.any(axis=1))
    clf = gdfast.MLPClassifier(class_weight=class_weight, **FIT)
    clf.partial_fit(X[one_class], y[one_class], classes=[0, 1, 2])
    factor = 2 if y is Y else 1
    by_hand = gdfast.MLPClassifier(**FIT)
    by_hand.partial_fit(X[one_class], y[one_class], np.full(len(one_class), float(factor)), classes=[0, 1, 2])
    assert_same_bits(parameters(clf), parameters(by_hand))
    # Two of three classes are in the dict: the third counts 1.
    some = gdfast.MLPClassifier(class_weight={0: 5, 2: 3}, **FIT)
    assert np.isfinite(some.partial_fit(X[Y < 2], Y[Y < 2], classes=[0, 1, 2]).loss_)


def test_balanced_needs_all_samples_at_once() -> None:
    with pytest.raises(ValueError, match="class_weight 'balanced' is not supported for partial_fit"):
        SGDClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])
    clf = gdfast.MLPClassifier(class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight 'balanced' is not supported for partial_fit"):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    assert not hasattr(clf, "classes_")


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("heavy", "'class_weight' parameter of MLPClassifier must be"),
        ({0: 1, 7: 2}, "are not in class_weight"),
    ],
)
def test_bad_class_weights(class_weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gdfast.MLPClassifier(class_weight=class_weight, **FIT).fit(X, Y)


def test_labels_take_a_list_of_class_weights() -> None:
    with pytest.raises(ValueError, match="class_weight should be a list of dicts"):
        gdfast.MLPClassifier(class_weight={0: 1, 1: 2}, **FIT).fit(X, LABELS)


def test_sparse_labels_with_class_weights() -> None:
    class_weight = [{0: 1, 1: 4}] * 3
    dense = gdfast.MLPClassifier(class_weight=class_weight, **FIT).fit(X, LABELS)
    thin = gdfast.MLPClassifier(class_weight=class_weight, **FIT).fit(X, sparse.csr_array(LABELS))
    assert_same_bits(parameters(dense), parameters(thin))


# Label smoothing.


@pytest.mark.parametrize("y", [Y, Y == 1, LABELS], ids=["multiclass", "binary", "labels"])
@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
def test_smoothed_labels(y: Any, solver: str) -> None:
    """The loss reported is the reference's for targets smoothed by hand (Szegedy et al., 2016)."""
    e = 0.2
    arguments = {**FIT, "solver": solver, "max_iter": 1, "alpha": 0.0, "batch_size": len(X), "shuffle": False}
    if solver == "lbfgs":
        arguments["max_iter"] = 30
    clf = gdfast.MLPClassifier(label_smoothing=e, learning_rate_init=1e-9, **arguments).fit(X, y)
    probabilities = clf.predict_proba(X)
    if y is Y:
        smooth = np.eye(3)[Y] * (1 - e) + e / 3
        expected = -(smooth * np.log(probabilities)).sum(axis=1).mean()
    else:
        if y is not LABELS:
            probabilities = probabilities[:, 1:]
        smooth = np.reshape(y, probabilities.shape) * (1 - e) + e / 2
        expected = (
            -(smooth * np.log(probabilities) + (1 - smooth) * np.log(1 - probabilities)).sum(axis=1).mean()
        )
    # sgd's loss is of the weights before its only step, which is of 1e-9.
    assert clf.loss_ == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("y", [Y, Y == 1, LABELS], ids=["multiclass", "binary", "labels"])
def test_validation_is_by_the_labels_as_they_are(y: Any) -> None:
    arguments = {**FIT, "early_stopping": True, "scoring": "loss", "learning_rate_init": 1e-12}
    plain = gdfast.MLPClassifier(**arguments).fit(X, y)
    smooth = gdfast.MLPClassifier(label_smoothing=0.3, **arguments).fit(X, y)
    assert smooth.loss_ != plain.loss_
    # Steps of 1e-12 leave the weights as they were.
    np.testing.assert_allclose(smooth.validation_loss_curve_, plain.validation_loss_curve_, rtol=1e-9)


def test_smoothing_keeps_probabilities_from_the_ends() -> None:
    y = (X[:, 0] > 0).astype(int)
    arguments = {
        "hidden_layer_sizes": (),
        "solver": "lbfgs",
        "alpha": 0.0,
        "max_iter": 2000,
        "max_fun": 10**5,
    }
    sure = gdfast.MLPClassifier(**arguments).fit(X, y).predict_proba(X).max()
    smooth = gdfast.MLPClassifier(label_smoothing=0.2, **arguments).fit(X, y).predict_proba(X)
    assert sure > 0.9999
    assert np.median(smooth.max(axis=1)) < 0.95


@pytest.mark.parametrize("share", [-0.1, 1.0, "much"])
def test_bad_label_smoothing(share: Any) -> None:
    with pytest.raises(ValueError, match="'label_smoothing' parameter"):
        gdfast.MLPClassifier(label_smoothing=share).fit(X, Y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
def test_no_weight_at_all_is_an_error(solver: str) -> None:
    X, y = np.random.default_rng(0).standard_normal((20, 3)), np.arange(20) % 2
    clf = gdfast.MLPClassifier(hidden_layer_sizes=4, class_weight={0: 0, 1: 0}, solver=solver)
    with pytest.raises(ValueError, match="leave no sample a weight"):
        clf.fit(X, y)
    # Of a stream's piece nobody can ask that its classes weigh something: its batches are skipped.
    if solver == "adam":
        clf.set_params(class_weight={0: 0, 1: 1}).partial_fit(X[::2], y[::2], classes=[0, 1])
