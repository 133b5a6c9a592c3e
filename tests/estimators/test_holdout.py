"""The validation set: one's own or set aside, its loss, any score, and the best weights on every way out."""

from __future__ import annotations

import time
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
import sklearn
from fits import KINDS, assert_same_bits, make, parameters
from gdfast.estimators import _listeners
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score, log_loss, make_scorer, mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make(n=200)
FIT = {"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0, "batch_size": 40}
TRAIN, VAL = np.arange(140), np.arange(140, 200)
OWN = {"X_val": X[VAL], "y_val": Y[VAL]}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


class Keep:
    """Keeps the weights of every epoch, and at the end of one of them does what it was made for."""

    def __init__(self, epoch: int = -1, then: Any = None) -> None:
        self.epoch, self.then = epoch, then
        self.weights: list[list[np.ndarray]] = []

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> Any:
        self.weights.append(parameters(est))
        return self.then(est) if self.then and epoch == self.epoch else None


# One's own validation set (scikit-learn#24411), and its loss (#18507).


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_ones_own_validation_set(kind: Any, early_stopping: bool, solver: str) -> None:
    weight = np.linspace(0.1, 1, len(VAL))
    keep = Keep()
    est = kind(early_stopping=early_stopping, solver=solver, callbacks=[keep], **FIT)
    est.fit(X[TRAIN], Y[TRAIN], **OWN, sample_weight_val=weight)
    assert len(est.validation_loss_curve_) == len(est.validation_scores_) == est.n_iter_ == len(keep.weights)
    for epoch, weights in enumerate(keep.weights):
        est.coefs_, est.intercepts_ = weights[:2], weights[2:]
        if kind is gdfast.MLPClassifier:
            loss = log_loss(Y[VAL], est.predict_proba(X[VAL]), sample_weight=weight)
        else:
            loss = mean_squared_error(Y[VAL], est.predict(X[VAL]), sample_weight=weight) / 2
        assert est.validation_loss_curve_[epoch] == pytest.approx(loss, rel=1e-12)
        score = est.score(X[VAL], Y[VAL], weight)
        assert est.validation_scores_[epoch] == pytest.approx(score, rel=1e-12)
    assert est.best_validation_score_ == max(est.validation_scores_)
    if solver == "adam":
        assert (est.best_loss_ is None) == early_stopping


def test_a_set_of_ones_own_is_trained_on_by_none(kind: Any) -> None:
    """Without early stopping, training is what it is without a validation set."""
    alone, watched = Keep(), Keep()
    first = kind(callbacks=[alone], **FIT).fit(X[TRAIN], Y[TRAIN])
    second = kind(callbacks=[watched], **FIT).fit(X[TRAIN], Y[TRAIN], **OWN)
    assert first.loss_curve_ == second.loss_curve_
    for a, b in zip(alone.weights, watched.weights, strict=True):
        assert_same_bits(a, b)
    assert first.t_ == second.t_ == 6 * len(TRAIN)
    assert not hasattr(first, "validation_loss_curve_")
    assert first.validation_scores_ is None


def test_without_early_stopping_the_training_loss_stops(kind: Any) -> None:
    arguments = {**FIT, "tol": 1e9, "n_iter_no_change": 2, "max_iter": 50}
    assert kind(**arguments).fit(X[TRAIN], Y[TRAIN], **OWN).n_iter_ == 4
    still = kind(**{**arguments, "tol": 0.0, "n_iter_no_change": 40}, early_stopping=True)
    assert still.fit(X[TRAIN], Y[TRAIN], **OWN).n_iter_ > 4


def test_what_is_set_aside_may_as_well_be_given(kind: Any) -> None:
    """The split that early_stopping draws, made by hand."""
    stream = np.random.RandomState(7)
    arguments = {**FIT, "early_stopping": True}
    in_order = kind(**{**arguments, "random_state": 7, "shuffle": False}).fit(X, Y)
    for coef in in_order.coefs_:  # the weights are drawn first
        stream.uniform(size=coef.shape)
        stream.uniform(size=coef.shape[1])
    rows, val = train_test_split(np.arange(200), random_state=stream, test_size=0.1)
    by_hand = kind(**{**arguments, "random_state": 7, "shuffle": False})
    by_hand.fit(X[rows], Y[rows], X_val=X[val], y_val=Y[val])
    assert in_order.validation_scores_ == by_hand.validation_scores_
    assert in_order.validation_loss_curve_ == by_hand.validation_loss_curve_
    assert_same_bits(parameters(in_order), parameters(by_hand))


@pytest.mark.parametrize("form", ["frame", "csr", "csc", "float32"])
@pytest.mark.parametrize("scoring", [None, "loss", "scorer"])
def test_forms_of_X_val(kind: Any, form: str, scoring: Any) -> None:
    if scoring == "scorer":
        scoring = "accuracy" if kind is gdfast.MLPClassifier else "r2"
    convert = {
        "frame": lambda a: pd.DataFrame(a, columns=list("abcde")),
        "csr": sparse.csr_array,
        "csc": sparse.csc_array,
        "float32": lambda a: a.astype(np.float32).astype(np.float64),
    }[form]
    est = kind(early_stopping=True, scoring=scoring, **FIT)
    plain = np.asarray(convert(X).todense() if sparse.issparse(convert(X)) else convert(X))
    expected = est.fit(plain[TRAIN], Y[TRAIN], X_val=plain[VAL], y_val=Y[VAL]).validation_scores_
    # No warning about missing feature names either (scikit-learn#24846): warnings are errors here.
    given = X[VAL].astype(np.float32) if form == "float32" else convert(X[VAL])
    est.fit(convert(X[TRAIN]), Y[TRAIN], X_val=given, y_val=Y[VAL])
    assert est.validation_scores_ == expected
    est.fit(convert(X), Y)
    assert len(est.validation_scores_) == est.n_iter_


def test_a_pipeline_transforms_X_val_and_routes_it(kind: Any) -> None:
    shifted = 100 * X + 7
    with sklearn.config_context(enable_metadata_routing=True):
        est = kind(early_stopping=True, **FIT)
        est.set_fit_request(X_val=True, y_val=True, sample_weight_val=True, sample_weight=False)
        pipeline = Pipeline([("scale", StandardScaler()), ("mlp", est)], transform_input=["X_val"])
        pipeline.fit(
            shifted[TRAIN],
            Y[TRAIN],
            X_val=shifted[VAL],
            y_val=Y[VAL],
            sample_weight_val=np.ones(len(VAL)),
        )
    scaler = StandardScaler().fit(shifted[TRAIN])
    by_hand = kind(early_stopping=True, **FIT)
    by_hand.fit(
        scaler.transform(shifted[TRAIN]), Y[TRAIN], X_val=scaler.transform(shifted[VAL]), y_val=Y[VAL]
    )
    assert pipeline[-1].validation_scores_ == pytest.approx(by_hand.validation_scores_)
    assert_same_bits(parameters(pipeline[-1]), parameters(by_hand))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no y_val": ({"X_val": X}, "X_val is provided, but y_val was not provided"),
    "no X_val": ({"y_val": Y}, "y_val is provided, but X_val was not provided"),
    "weights alone": (
        {"sample_weight_val": Y},
        "sample_weight_val is provided, but X_val and y_val were not",
    ),
    "width": ({"X_val": X[:, :3], "y_val": Y}, "In X_val and y_val: X has 3 features"),
    "length": ({"X_val": X, "y_val": Y[:5]}, "In X_val and y_val: Found input variables with inconsistent"),
    "nan": ({"X_val": X * np.nan, "y_val": Y}, "In X_val and y_val: Input X contains NaN"),
    "one row": ({"X_val": X[:1], "y_val": Y[:1]}, "a score takes at least 2 samples"),
    "weights": ({**OWN, "sample_weight_val": [1, 2]}, "In X_val and y_val: sample_weight.shape"),
    "no weight": ({**OWN, "sample_weight_val": np.zeros(60)}, "at least one non-zero number|sums to zero"),
    "two targets": ({"X_val": X, "y_val": np.eye(3, dtype=int)[Y]}, "In X_val and y_val: "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_validation_sets(kind: Any, case: str) -> None:
    given, message = BAD[case]
    est = kind(**FIT)
    with pytest.raises(ValueError, match=message):
        est.fit(X, Y, **given)
    assert not hasattr(est, "coefs_")


def test_classes_that_only_the_validation_set_has() -> None:
    with pytest.raises(ValueError, match="`y` has classes not in"):
        gdfast.MLPClassifier(**FIT).fit(X, Y, X_val=X, y_val=Y + 1)
    with pytest.raises(ValueError, match="requires y >= 0"):
        gdfast.MLPRegressor("poisson", **FIT).fit(X, Y, X_val=X, y_val=Y - 1)


def test_a_validation_set_may_lack_classes() -> None:
    est = gdfast.MLPClassifier(early_stopping=True, **FIT).fit(X, Y, X_val=X[Y == 2], y_val=Y[Y == 2])
    assert np.isfinite(est.validation_loss_curve_).all()


# Scores.


def test_scorers() -> None:
    labels = np.array(["a", "b", "c"])[Y]
    own = {"X_val": X[VAL], "y_val": labels[VAL]}
    scorers = {
        "f1_macro": lambda est: f1_score(labels[VAL], est.predict(X[VAL]), average="macro"),
        "neg_log_loss": lambda est: -log_loss(labels[VAL], est.predict_proba(X[VAL])),
        "loss": lambda est: -log_loss(labels[VAL], est.predict_proba(X[VAL])),
        "callable": lambda est: (est.predict(X[VAL]) == "a").mean(),
        "made": lambda est: accuracy_score(labels[VAL], est.predict(X[VAL])),
    }
    for name, expected in scorers.items():
        scoring: Any = {
            "callable": lambda est, X, y: (est.predict(X) == "a").mean(),
            "made": make_scorer(accuracy_score),
        }.get(name, name)
        est = gdfast.MLPClassifier(scoring=scoring, early_stopping=True, **FIT)
        est.fit(X[TRAIN], labels[TRAIN], **own)
        assert est.best_validation_score_ == max(est.validation_scores_)
        assert est.best_validation_score_ == pytest.approx(expected(est), rel=1e-12)


def test_weights_reach_the_scorer() -> None:
    weight = np.linspace(0, 1, len(VAL))
    est = gdfast.MLPClassifier(scoring="accuracy", early_stopping=True, **FIT)
    est.fit(X[TRAIN], Y[TRAIN], **OWN, sample_weight_val=weight)
    assert est.best_validation_score_ == pytest.approx(est.score(X[VAL], Y[VAL], weight))
    plain = gdfast.MLPClassifier(early_stopping=True, **FIT)
    plain.fit(X[TRAIN], Y[TRAIN], **OWN, sample_weight_val=weight)
    assert est.validation_scores_ == pytest.approx(plain.validation_scores_)


def test_an_unknown_scorer(kind: Any) -> None:
    for arguments in ({"early_stopping": True}, {}, {"solver": "lbfgs"}):  # also where nothing is scored
        est = kind(scoring="acuracy", **arguments)
        with pytest.raises(ValueError, match=r"scoring must be the name of .*; got 'acuracy'\."):
            est.fit(X, Y)
        assert not hasattr(est, "coefs_")
    kind(scoring="loss", **FIT).fit(X, Y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_several_quantiles_have_no_scorer_of_scikit_learns(early_stopping: bool) -> None:
    several = gdfast.MLPRegressor("quantile", quantiles=[0.1, 0.9], early_stopping=early_stopping, **FIT)
    with pytest.raises(ValueError, match="scoring='r2' takes one prediction for each target"):
        several.set_params(scoring="r2").fit(X, Y)
    assert not hasattr(several, "coefs_")
    for scoring in (None, "loss", lambda est, X, y: float(np.mean(est.predict(X)[:, 0] < y))):
        several.set_params(scoring=scoring).fit(X, Y)
    gdfast.MLPRegressor("quantile", quantiles=[0.1], scoring="r2", early_stopping=True, **FIT).fit(X, Y)


def test_scores_of_another_kind_are_not_compared() -> None:
    est = gdfast.MLPClassifier(early_stopping=True, warm_start=True, **FIT).fit(X, Y)
    est.set_params(scoring="loss").fit(X, Y)
    assert len(est.validation_scores_) == est.n_iter_ < len(est.loss_curve_)
    assert est.best_validation_score_ == max(est.validation_scores_) < 0


@pytest.mark.parametrize("own", [False, True], ids=["set aside", "own"])
@pytest.mark.parametrize("scoring", [None, "accuracy", "loss"])
def test_another_validation_set_is_another_contest(scoring: Any, own: bool) -> None:
    """A score on an easy set is nothing that a fit on a harder one could beat."""
    other = (Y + (X[:, 1] > 0)) % 3  # another task, which the first fit knows nothing of
    arguments = {**FIT, "max_iter": 60, "n_iter_no_change": 99, "learning_rate_init": 0.02}
    est = gdfast.MLPClassifier(scoring=scoring, warm_start=True, early_stopping=not own, **arguments)
    est.set_params(validation_fraction=0.3)
    est.fit(X[TRAIN], Y[TRAIN], **(OWN if own else {}))
    known, start = len(est.validation_scores_), est.score(X[VAL], other[VAL])
    est.fit(X[TRAIN], other[TRAIN], **({"X_val": X[VAL], "y_val": other[VAL]} if own else {}))
    assert est.best_validation_score_ == max(est.validation_scores_[known:])
    assert est.score(X[VAL], other[VAL]) > start + 0.1


def test_the_weights_to_begin_with_stay_where_none_are_better(kind: Any) -> None:
    est = kind(warm_start=True, scoring="loss", learning_rate_init=0.02, **{**FIT, "max_iter": 60})
    est.fit(X[TRAIN], Y[TRAIN], **OWN)
    before = parameters(est)
    est.set_params(learning_rate_init=0.1, max_iter=3)
    est.fit(X[TRAIN], np.random.RandomState(1).permutation(Y[TRAIN]), **OWN)
    assert_same_bits(parameters(est), before)
    assert est.best_validation_score_ == max(est.validation_scores_)
    for coef in est.coefs_:
        coef *= 3  # an edit: what was best is no longer there
    est.set_params(max_iter=1, learning_rate_init=1e-9).fit(X[TRAIN], Y[TRAIN], **OWN)
    assert est.best_validation_score_ == pytest.approx(est.validation_scores_[-1], rel=1e-3)


# The best weights, however a fit ends.


def interrupt(est: Any) -> None:
    raise KeyboardInterrupt


def fail(est: Any) -> None:
    raise RuntimeError("the callback's own")


def blow_up(est: Any) -> None:
    for coef in est.coefs_:
        coef *= 1e200


class Clock:
    """A clock that can be moved on: how long epochs take is the machine's."""

    ahead = 0.0

    def perf_counter(self) -> float:
        return time.perf_counter() + self.ahead

    def move_on(self, est: Any) -> None:
        self.ahead += 2000


CLOCK = Clock()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_listeners, "time", CLOCK)


EXITS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "max_iter": ({}, None, None),
    "no improvement": ({"tol": 0.5, "n_iter_no_change": 9, "max_iter": 50}, None, None),
    "a callback": ({}, lambda est: True, None),
    "max_time": ({"max_time": 1000, "max_iter": 10**6}, CLOCK.move_on, None),
    "ctrl-c": ({}, interrupt, None),
    "divergence": ({}, blow_up, None),
    "an exception": ({}, fail, RuntimeError),
}


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("own", [False, True], ids=["set aside", "own"])
@pytest.mark.parametrize("way_out", EXITS)
def test_the_best_weights_stay(kind: Any, way_out: str, own: bool) -> None:
    changes, then, error = EXITS[way_out]
    y = Y.copy()
    np.random.RandomState(1).shuffle(y)  # noise, so that the best epoch is not the last one
    keep = Keep(9, then)
    arguments = {**FIT, "max_iter": 14, "learning_rate_init": 0.1, "scoring": "loss", "n_iter_no_change": 99}
    est = kind(**{**arguments, **changes}, early_stopping=not own, callbacks=[keep])
    if own and way_out == "no improvement":
        est.set_params(early_stopping=True)
    given = {"X_val": X[VAL], "y_val": y[VAL]} if own else {}
    rows = TRAIN if own else slice(None)
    if error is None:
        est.fit(X[rows], y[rows], **given)
    else:
        with pytest.raises(error):
            est.fit(X[rows], y[rows], **given)
    assert est.n_iter_ == len(keep.weights)
    assert est.n_iter_ == 14 if way_out == "max_iter" else 9 < est.n_iter_ < 14
    best = int(np.nanargmax(est.validation_scores_))
    assert best < est.n_iter_ - 1
    assert est.best_validation_score_ == est.validation_scores_[best]
    assert np.isnan(est.validation_scores_[-1]) == (way_out == "divergence")
    assert_same_bits(parameters(est), keep.weights[best])
    assert np.isfinite(est.predict(X)).all()


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("way_out", ["max_iter", "a callback", "max_time", "ctrl-c", "an exception"])
def test_the_best_weights_stay_with_lbfgs(way_out: str) -> None:
    changes, then, error = EXITS[way_out]
    keep = Keep(9, then)
    est = gdfast.MLPRegressor(
        **{"hidden_layer_sizes": (30,), "max_iter": 60, **changes}, solver="lbfgs", callbacks=[keep], alpha=0
    )
    y = np.random.RandomState(1).normal(size=200)
    est.set_params(random_state=0, max_fun=10**6, tol=0.0)
    if error is None:
        est.fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL])
    else:
        with pytest.raises(error):
            est.fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL])
    assert len(est.validation_scores_) == len(keep.weights) == (60 if way_out == "max_iter" else 10)
    best = int(np.argmax(est.validation_scores_))
    assert best < len(keep.weights) - 1
    assert_same_bits(parameters(est), keep.weights[best])


def test_lbfgs_stops_early_on_ones_own_set() -> None:
    y = np.random.RandomState(1).normal(size=200)
    est = gdfast.MLPRegressor(
        "squared_error", (30,), solver="lbfgs", early_stopping=True, n_iter_no_change=5, max_iter=500
    )
    est.set_params(random_state=0, max_fun=10**6, tol=1e-6).fit(
        X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL]
    )
    best = int(np.argmax(est.validation_scores_))
    assert est.n_iter_ <= best + 7 < 500
    assert est.validation_scores_[best] == pytest.approx(est.score(X[VAL], y[VAL]))


def test_without_a_validation_set_the_last_weights_stay(kind: Any) -> None:
    keep = Keep(4, lambda est: True)
    est = kind(callbacks=[keep], **FIT).fit(X, Y)
    assert est.n_iter_ == 5
    assert_same_bits(parameters(est), keep.weights[-1])


# Faults of early stopping that scikit-learn has had.


def test_a_set_too_small_for_a_score_is_refused_at_once(kind: Any) -> None:
    """scikit-learn#24713: one row has no R2, and at the end there were no best weights to restore."""
    with pytest.raises(ValueError, match="The validation set is too small"):
        kind(early_stopping=True, random_state=1, max_iter=50).fit(X[:3], [0, 1, 2])


@pytest.mark.parametrize("scoring", [None, "loss", "r2"])
def test_an_exploding_model_does_not_fail_in_its_score(scoring: Any) -> None:
    """scikit-learn#29504: R2 raised "Input contains NaN" where the weights were to be reported."""
    est = gdfast.MLPRegressor(
        solver="sgd",
        learning_rate_init=100,
        early_stopping=True,
        scoring=scoring,
        random_state=0,
        max_iter=200,
    )
    with pytest.warns(ConvergenceWarning, match=r"diverged.* non-finite parameter weights\."):
        est.fit(1e3 * X, 1e3 * X[:, 0])
    assert np.isnan(est.validation_scores_[-1])
    assert all(np.isfinite(array).all() for array in parameters(est))


@pytest.mark.parametrize("scoring", [None, "loss", "r2", "neg_mean_squared_error"])
@pytest.mark.parametrize("large", [1e200, 1e308], ids=["squares", "outputs"])
def test_values_that_overflow_score_nothing(scoring: Any, large: float) -> None:
    est = gdfast.MLPRegressor(early_stopping=True, scoring=scoring, n_iter_no_change=2, **FIT)
    est.set_params(coefs_init=[np.ones((5, 8)), np.ones((8, 1))])
    with pytest.warns(ConvergenceWarning, match="the validation score is (nan|-inf)") as warned:
        est.fit(X, Y, X_val=np.full((4, 5), large), y_val=[1, 2, 3, 4])
    assert len(warned) == 1
    assert est.n_iter_ == 3
    assert est.best_validation_score_ == -np.inf


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scoring", [None, "loss", "accuracy", "f1_weighted"])
def test_words_as_labels(n_classes: int, scoring: Any) -> None:
    """scikit-learn#33760: the check for NaN met predictions that are words."""
    words = np.array(["Class_A", "Class_B", "Class_C"])[Y % n_classes]
    for labels in (words, words.astype(object)):
        est = gdfast.MLPClassifier(early_stopping=True, scoring=scoring, **FIT).fit(X, labels)
        assert np.isfinite(est.validation_scores_).all()


def test_partial_fit_after_fit_with_early_stopping(kind: Any) -> None:
    """scikit-learn#25693: it failed for want of a validation set; now it changes nothing."""
    est = kind(early_stopping=True, **FIT).fit(X, Y)
    before, names = parameters(est), set(vars(est))
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        est.partial_fit(X, Y)
    assert_same_bits(parameters(est), before)
    assert set(vars(est)) == names
    est.set_params(early_stopping=False).partial_fit(X, Y)
    assert est.validation_scores_ is None
    fresh = kind(early_stopping=True)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        fresh.partial_fit(X, Y, **({"classes": [0, 1, 2]} if kind is gdfast.MLPClassifier else {}))
    assert not [name for name in vars(fresh) if name.endswith("_")]
