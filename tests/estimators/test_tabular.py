"""The estimators for tables: what they take, what they learn, and that threads change nothing."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import threading
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gdfast import MLPClassifier, MLPRegressor, PoorFitWarning, TabularClassifier, TabularRegressor
from gdfast.callbacks import ProgressBar
from gdfast.estimators._calibration import fit_temperature
from gdfast.prediction.calibration import tempered
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score
from sklearn.model_selection import KFold, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

KINDS = {"classifier": TabularClassifier, "regressor": TabularRegressor}
SMALL: dict[str, Any] = {"hidden_layer_sizes": (16,), "n_members": 2, "max_iter": 5, "random_state": 0}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def frame(n: int = 300) -> tuple[pd.DataFrame, np.ndarray]:
    """A table whose target depends on numbers and on categories: classes 0, 1, 2."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "gain": np.where(rng.random(n) < 0.8, 0.0, rng.exponential(1e4, n)),
            "gaps": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "job": rng.choice(["cook", "clerk", "nurse", None], n),
            "member": rng.random(n) < 0.5,
        }
    )
    y = (X["job"] == "cook").astype(int) + ((X["age"] > 50) & X["member"]).astype(int)
    return X, y.to_numpy(copy=True)


# Checks of scikit-learn.


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_check_passes_but_those_that_no_such_estimator_can(kind: Any) -> None:
    reason = "validation rows, batches and their moments are other ones if rows are repeated"
    failing = {f"check_sample_weight_equivalence_on_{what}_data": reason for what in ("dense", "sparse")}
    if kind is TabularClassifier:
        # It sets max_iter to 1000. In so many epochs Adam, whose steps do not depend on the gradient's scale,
        # fits the rows of a ten-millionth of the others' weight as well, which the check takes for wrong.
        failing["check_class_weight_classifiers"] = "rows of little weight are fitted, too"
    results = check_estimator(kind(), on_skip=None, expected_failed_checks=failing)
    assert len(results) > 50
    assert {result["status"] for result in results} <= {"passed", "skipped", "xfail"}


def test_common_arguments_are_the_same() -> None:
    signatures = [inspect.signature(kind.__init__).parameters for kind in KINDS.values()]
    common = [name for name in signatures[0] if name in signatures[1]]
    assert common == [name for name in signatures[1] if name in signatures[0]]
    assert len(common) > 25
    for name in common:
        assert signatures[0][name].default == signatures[1][name].default or name == "self"
    paragraphs = [inspect.getdoc(kind) or "" for kind in KINDS.values()]
    for name in common[1:]:
        texts = [doc.partition(f"\n{name} : ")[2].partition(" : ")[0] for doc in paragraphs]
        if name not in ("scoring", "beta_1", "beta_2", "activation", "random_state"):
            assert texts[0] == texts[1] != "", name


# What is learned.


@pytest.mark.parametrize("y_kind", ["numbers", "words", "booleans"])
def test_a_table_as_it_is(y_kind: str) -> None:
    X, y = frame(600)
    target: Any = {"numbers": y, "words": np.array(["a", "b", "c"])[y], "two": y > 0, "booleans": y > 0}[
        y_kind
    ]
    clf = TabularClassifier(random_state=0).fit(X[:400], target[:400])
    assert clf.score(X[400:], target[400:]) > 0.95
    proba = clf.predict_proba(X[400:])
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(clf.classes_, np.unique(target))
    np.testing.assert_array_equal(clf.classes_[proba.argmax(axis=1)], clf.predict(X[400:]))
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X[400:])), proba)


def test_numbers_are_predicted_in_their_units() -> None:
    X, y = frame(600)
    target = 1e6 + 1e3 * y
    reg = TabularRegressor(random_state=0).fit(X[:400], target[:400])
    assert reg.score(X[400:], target[400:]) > 0.9
    mean, std = reg.predict(X, return_std=True)
    each = np.stack([reg._prediction_of(member, reg._rows(X)) for member in reg.members_])
    np.testing.assert_array_equal(mean, each.mean(axis=0))
    np.testing.assert_array_equal(std, each.std(axis=0))
    assert mean.min() >= 1e6
    assert mean.max() <= 1e6 + 2e3


def test_several_targets() -> None:
    X, y = frame()
    labels = np.c_[y > 0, y > 1].astype(int)
    clf = TabularClassifier(random_state=0, max_iter=30).fit(X, labels)
    assert clf.predict(X).shape == labels.shape
    assert (clf.predict(X) == labels).mean() > 0.9
    numbers = np.c_[y, -10.0 * y]
    reg = TabularRegressor(random_state=0, max_iter=30).fit(X, numbers)
    assert reg.predict(X).shape == numbers.shape
    assert reg.score(X, numbers) > 0.7


def test_quantiles_do_not_cross_and_cover() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(2000, 2))
    y = X[:, 0] + rng.normal(size=2000) * 0.2
    reg = TabularRegressor(loss="quantile", quantiles=[0.1, 0.5, 0.9], random_state=0).fit(X[:1500], y[:1500])
    low, middle, high = reg.predict(X[1500:]).T
    assert ((low <= middle) & (middle <= high)).all()
    # Of 500 rows the share has a standard deviation of 0.018.
    assert abs(np.mean((low <= y[1500:]) & (y[1500:] <= high)) - 0.8) < 0.08
    assert 0 < reg.score(X[1500:], y[1500:]) < 1


def test_weights() -> None:
    X, y = frame()
    weight = np.where(y == 2, 0.0, 1.0)
    clf = TabularClassifier(random_state=0, max_iter=20).fit(X, y, weight)
    np.testing.assert_array_equal(clf.classes_, [0, 1, 2])  # a class without weight is a class
    assert (clf.predict(X) != 2).all()
    plain = TabularClassifier(**SMALL).fit(X, y).predict_proba(X)[:, 2].mean()
    assert TabularClassifier(**SMALL, class_weight={2: 10}).fit(X, y).predict_proba(X)[:, 2].mean() > plain
    # Rows without weight validate nothing, however few the others are.
    TabularClassifier(**SMALL).fit(X, y, np.arange(len(y)) < 12)
    with pytest.raises(ValueError, match="at least one non-zero"):
        TabularClassifier(**SMALL).fit(X, y, np.zeros(len(y)))
    moved = TabularRegressor(**SMALL).fit(X, y, np.where(y == 2, 100.0, 1.0)).predict(X).mean()
    assert moved > TabularRegressor(**SMALL).fit(X, y).predict(X).mean()


def test_sparse_rows() -> None:
    X, y = make_classification(500, 40, random_state=0)
    X = np.where(X > 0.5, X, 0)
    clf = TabularClassifier(random_state=0).fit(sparse.csr_array(X), y)
    assert clf.score(sparse.csc_array(X), y) > 0.9
    np.testing.assert_allclose(clf.predict_proba(X), clf.predict_proba(sparse.csr_array(X)), rtol=1e-6)
    dense = TabularClassifier(**SMALL).fit(X, y)
    np.testing.assert_array_equal(dense.predict_proba(sparse.csr_array(X)), dense.predict_proba(X))


# Scores, splits and folds.


@pytest.mark.parametrize("scoring", ["roc_auc_ovr", "neg_log_loss", "loss", "f1_macro", None])
def test_the_best_epoch_by_any_score(scoring: Any) -> None:
    X, y = frame()
    clf = TabularClassifier(**SMALL, scoring=scoring).fit(X, y)
    for member, best, history in zip(clf.members_, clf.validation_scores_, clf.history_, strict=True):
        assert best == max(history["val_score"])
        assert len(history["val_score"]) == len(history["loss"]) == len(history["val_loss"]) == 5
        smooths = scoring in (None, "f1_macro")
        assert member.label_smoothing == (0.1 if smooths else 0.0)


def test_scores_of_numbers_are_in_their_units() -> None:
    X, y = frame()
    target = 100.0 + 20 * y
    reg = TabularRegressor(**SMALL, cv=KFold(3), scoring="neg_mean_absolute_error").fit(X, target)
    for (_, held_out), score in zip(KFold(3).split(X), reg.validation_scores_, strict=True):
        error = mean_absolute_error(target[held_out], reg.oof_prediction_[held_out])
        assert score == pytest.approx(-error, rel=1e-5)


def test_equal_scores_keep_the_latest_epoch() -> None:
    X, y = frame()
    kept = []

    class Watch:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            kept.append([coef.copy() for coef in est.coefs_])

    arguments = {**SMALL, "n_members": 1, "ema_decay": 0.0}
    clf = TabularClassifier(**arguments, scoring=lambda est, X, y: 0.5, callbacks=[Watch()]).fit(X, y)
    for a, b in zip(clf.members_[0].coefs_, kept[-1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_folds_give_predictions_of_rows_that_were_not_seen() -> None:
    X, y = frame()
    clf = TabularClassifier(**{**SMALL, "max_iter": 20}, cv=5).fit(X, y)
    assert len(clf.members_) == 5
    assert clf.oof_prediction_.shape == (len(y), 3)
    np.testing.assert_allclose(clf.oof_prediction_.sum(axis=1), 1, rtol=1e-6)
    assert log_loss(y, clf.oof_prediction_) < log_loss(y, np.tile(np.bincount(y) / len(y), (len(y), 1)))
    assert not hasattr(TabularClassifier(**SMALL).fit(X, y), "oof_prediction_")
    assert not hasattr(clf.set_params(cv=None).fit(X, y), "oof_prediction_")


def test_few_rows(kind: Any) -> None:
    X, y = frame()
    for n in (2, 3, 5, 9, 10, 12):
        est = kind(**SMALL).fit(X[:n], y[:n])
        assert len(est.predict(X)) == len(y)
    assert np.isnan(kind(**SMALL).fit(X[:5], y[:5]).validation_scores_).all()
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        kind(**SMALL).fit(X[:1], y[:1])
    one = kind(**SMALL).fit(X, np.ones(len(y)))
    np.testing.assert_array_equal(one.predict(X), 1)


def test_a_class_of_one_row() -> None:
    X, y = frame()
    y[0] = 7
    clf = TabularClassifier(**SMALL).fit(X, y)
    assert clf.predict_proba(X).shape == (len(y), 4)


def test_ten_thousand_columns() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 10_000)).astype(np.float32)
    clf = TabularClassifier(**{**SMALL, "max_iter": 2}).fit(X, X[:, 3] > 0)
    assert clf.members_[0].n_features_in_ <= 2 * 10_000 + 4096


def test_a_column_of_ids_does_no_harm() -> None:
    X, y = frame(600)
    X = X.assign(id=[f"row {i}" for i in range(600)])
    clf = TabularClassifier(random_state=0).fit(X[:400], y[:400])
    assert clf.score(X[400:], y[400:]) > 0.95


# Presets, copies, the ecosystem.


def test_presets() -> None:
    X, y = frame(60)
    for preset, members in (("fast", 2), ("balanced", 4), ("best", 8)):
        clf = TabularClassifier(preset, max_iter=1, random_state=0).fit(X, y)
        assert len(clf.members_) == members
    assert len(TabularClassifier("best", n_members=1, max_iter=1).fit(X, y).members_) == 1
    epochs = [TabularClassifier(preset, n_members=1).fit(X, y).n_iter_[0] for preset in ("fast", "best")]
    assert epochs[0] < epochs[1]


def test_copies_predict_the_same(kind: Any) -> None:
    X, y = frame()
    est = kind(**SMALL).fit(X, y)
    for copied in (pickle.loads(pickle.dumps(est)), clone(est).fit(X, y)):
        np.testing.assert_array_equal(copied.predict(X), est.predict(X))
    # Members are networks of their own.
    inputs = est.encoder_.transform(X)
    assert isinstance(est.members_[0], MLPClassifier | MLPRegressor)
    if isinstance(est, TabularClassifier):
        # What smoothing of 0.1 has added to three classes is taken off, down to a tenth of it. Then logits
        # are divided by the temperature.
        found = [((m.predict_proba(inputs) - 0.1 / 3) / 0.9).clip(0.01 / 3) for m in est.members_]
        assert est.temperature_ != 1
        found = [softmax(np.log(member) / est.temperature_, axis=1) for member in found]
        np.testing.assert_allclose(est.predict_proba(X), np.mean(found, axis=0), rtol=1e-4)  # of float32


def test_scikit_learns_tools() -> None:
    X, y = frame()
    clf = TabularClassifier(**{**SMALL, "max_iter": 20}).fit(X, y)
    importance = permutation_importance(clf, X, y, n_repeats=2, random_state=0).importances_mean
    assert set(X.columns[importance.argsort()[-3:]]) == {"age", "job", "member"}
    assert cross_val_score(TabularClassifier(**SMALL), X, y, cv=2).shape == (2,)
    assert list(clf.feature_names_in_) == list(X.columns)


def test_columns_are_found_by_name(kind: Any) -> None:
    X, y = frame()
    est = kind(**SMALL).fit(X, y)
    np.testing.assert_array_equal(est.predict(X[X.columns[::-1]].assign(new=0)), est.predict(X))
    with pytest.raises(ValueError, match="now missing:\n- age"):
        est.predict(X.drop(columns="age"))


# Threads, Ctrl-C, time and callbacks.


@pytest.mark.parametrize("n_jobs", [2, 3, 8])
def test_any_number_of_threads_gives_the_same_bits(kind: Any, n_jobs: int) -> None:
    X, y = frame(400)
    one = kind(**{**SMALL, "n_members": 4}, n_jobs=1).fit(X, y)
    several = kind(**{**SMALL, "n_members": 4}, n_jobs=n_jobs).fit(X, y)
    for a, b in zip(one.members_, several.members_, strict=True):
        for coef, other in zip(a.coefs_, b.coefs_, strict=True):
            np.testing.assert_array_equal(coef, other)
    assert one.history_ == several.history_


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_keeps_what_is_trained(n_jobs: int) -> None:
    X, y = frame()
    seen: set[int] = set()

    class Interrupt:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            seen.add(int(logs["member"]))
            if logs["member"] == 1:
                raise KeyboardInterrupt

    clf = TabularClassifier(**{**SMALL, "n_members": 3}, n_jobs=n_jobs, callbacks=[Interrupt()])
    with pytest.warns(UserWarning, match="interrupted by user"):
        clf.fit(X, y)
    assert 1 <= len(clf.members_) <= 3
    assert len(clf.predict(X)) == len(y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_of_the_main_thread_keeps_what_is_trained(n_jobs: int) -> None:
    X, y = frame()
    arguments = {**SMALL, "n_members": 3, "max_iter": 10**6}
    begun = threading.Event()

    class Presses:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            if not begun.is_set():
                begun.set()
                os.kill(os.getpid(), signal.SIGINT)

    clf = TabularClassifier(**arguments, n_jobs=n_jobs, callbacks=[Presses()])
    with pytest.warns(UserWarning, match="interrupted by user"):
        clf.fit(X, y)
    assert 1 <= len(clf.members_) <= n_jobs
    assert len(clf.predict(X)) == len(y)


def test_an_error_of_a_callback_leaves_the_model_as_it_was(kind: Any) -> None:
    X, y = frame()

    class Fails:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            raise RuntimeError("the callback's own")

    est = kind(**SMALL).fit(X, y)
    before = est.predict(X)
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="the callback's own"):
        est.set_params(callbacks=[Fails()]).fit(X, y)
    np.testing.assert_array_equal(est.predict(X), before)
    assert threading.active_count() == threads


def test_callbacks_see_one_training(kind: Any) -> None:
    X, y = frame()
    calls: list[tuple[str, Any]] = []

    class Record:
        def on_train_begin(self, est: Any) -> None:
            calls.append(("begin", est.max_iter))

        def on_epoch_begin(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            assert "learning_rate" in logs

        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
            calls.append(("epoch", (epoch, logs["member"])))
            assert logs.keys() >= {"loss", "val_loss", "val_score", "time"}
            return bool(logs["member"] == 1)

        def on_train_end(self, est: Any) -> None:
            calls.append(("end", None))

    est = kind(**SMALL, callbacks=[Record()]).fit(X, y)
    assert calls[0] == ("begin", 10)
    assert calls[-1] == ("end", None)
    epochs = [value for name, value in calls if name == "epoch"]
    assert [epoch for epoch, _ in epochs] == list(range(6))
    assert [member for _, member in epochs].count(1) == 1  # it stopped there
    assert est.n_iter_.tolist() == [5, 1]
    assert est.members_[0].callbacks is None


def test_one_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = frame()
    TabularClassifier(**SMALL, callbacks=[ProgressBar()]).fit(X, y)
    assert "10/10" in capsys.readouterr().err


def test_verbose_prints_a_line_for_each_member(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = frame()
    TabularClassifier(**SMALL, n_jobs=1, verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:13] for line in lines] == ["Member 1 of 2", "Member 2 of 2"]
    assert "validation score" in lines[0]


def test_max_time_leaves_out_members() -> None:
    X, y = frame(2000)

    class Slow:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            time.sleep(0.3)

    clf = TabularClassifier(**{**SMALL, "n_members": 5}, n_jobs=1, max_time=0.2, callbacks=[Slow()])
    with pytest.warns(ConvergenceWarning, match="max_time=0.2 seconds have passed, and 1 of 5"):
        clf.fit(X, y)
    assert len(clf.members_) == 1


# What is refused.


def test_what_is_refused(kind: Any) -> None:
    X, y = frame()
    for arguments, message in (
        ({"scoring": "no such score"}, "scoring must be the name"),
        ({"categorical_features": ["nothing"]}, "'nothing', but X has no such column"),
        ({"preset": "slow"}, "'preset' parameter"),
        ({"n_members": 0}, "'n_members' parameter"),
        ({"activation": "none"}, "activation"),
    ):
        with pytest.raises(ValueError, match=message):
            kind(**{**SMALL, **arguments}).fit(X, y)
    with pytest.raises(ValueError, match="column 'age'"):
        kind(**SMALL).fit(X.assign(age=np.inf), y)
    with pytest.raises(ValueError, match="NaN"):
        kind(**SMALL).fit(X, np.where(y > 1, np.nan, y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        kind(**SMALL).fit(X, y[1:])
    with pytest.raises(NotFittedError):
        kind().predict(X)
    assert not hasattr(kind(), "partial_fit")
    with pytest.raises(AttributeError, match="all rows at once"):
        kind().partial_fit(X, y)


def test_refused_input_leaves_the_model_as_it_was(kind: Any) -> None:
    X, y = frame()
    est = kind(**SMALL).fit(X, y)
    before = dict(vars(est))
    with pytest.raises(ValueError, match="column 'age'"):
        est.fit(X.assign(age=np.inf), y)
    with pytest.raises(ValueError, match="cannot score"):
        est.set_params(scoring="roc_auc" if kind is TabularClassifier else lambda est, X, y: 1 / 0).fit(X, y)
    assert vars(est).keys() == before.keys()
    assert est.members_ is before["members_"]


def test_targets_of_the_wrong_kind() -> None:
    X, y = frame()
    with pytest.raises(ValueError, match="Unknown label type"):
        TabularClassifier().fit(X, y + 0.5)
    with pytest.raises(TypeError, match="text"):
        TabularRegressor().fit(X, y.astype(str))
    with pytest.raises(ValueError, match="y >= 0"):
        TabularRegressor(loss="poisson").fit(X, y - 1)
    with pytest.raises(ValueError, match="takes one target"):
        TabularRegressor(loss="quantile").fit(X, np.c_[y, y])


def test_dates_are_warned_of_once() -> None:
    X, y = frame()
    X = X.assign(day=pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(X)), unit="D"))
    clf = TabularClassifier(**SMALL)
    with pytest.warns(UserWarning, match="Dates are taken as numbers.*'day'"):
        clf.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict(X)


def test_better_than_a_plain_network_on_a_skewed_table() -> None:
    """What the front end is for: columns whose scale says little."""
    X, y = make_regression(1500, 4, random_state=0)
    y = np.sin(y / 50)
    X = np.exp(3 * X)
    tabular = TabularRegressor(random_state=0).fit(X[:1000], y[:1000]).score(X[1000:], y[1000:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PoorFitWarning)  # that it is so is what is tested
        plain = MLPRegressor(random_state=0, max_iter=100, early_stopping=True).fit(X[:1000], y[:1000])
    assert tabular > 0.5 > plain.score(X[1000:], y[1000:])


def test_smoothing_is_taken_off_the_probabilities() -> None:
    X, y = frame(600)
    clf = TabularClassifier(random_state=0, label_smoothing=0.3).fit(X[:400], y[:400])
    proba = clf.predict_proba(X[400:])
    assert proba.max() < 1
    # Smoothed targets are at most 0.8.
    assert proba[np.arange(200), y[400:]].mean() > 0.9
    labels = np.c_[y > 0, y > 1].astype(int)
    several = TabularClassifier(random_state=0, label_smoothing=0.3).fit(X[:400], labels[:400])
    found = several.predict_proba(X[400:])
    assert found.min() > 0
    assert np.where(labels[400:] > 0, found, 1 - found).mean() > 0.9


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_temperature_has_the_least_log_loss(exclusive: bool, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(3000, 3))
    if exclusive:
        truth, shown = softmax(logits, axis=1), softmax(logits / 0.4, axis=1)
        targets = np.eye(3)[(truth.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1)]
    else:
        truth, shown = expit(logits), expit(logits / 0.4)
        targets = (rng.random((3000, 3)) < truth).astype(float)
    weight = None
    if weighted:  # rows of no weight are wrong throughout
        weight = (np.arange(3000) < 2000).astype(float)
        targets[2000:] = np.roll(targets[2000:], 1, axis=1)
    found = fit_temperature(shown, targets, weight, exclusive=exclusive)
    # Shown are logits of 2.5 times their size; the temperature is known to some hundredths from 2,000 rows.
    np.testing.assert_allclose(found, 2.5, atol=0.2)
    np.testing.assert_allclose(tempered(shown, 2.5, exclusive=exclusive), truth, rtol=1e-6, atol=1e-9)


def test_the_temperature_of_rows_that_are_all_right_has_a_bound() -> None:
    shown = np.full((50, 2), [0.9, 0.1])
    found = fit_temperature(shown, np.eye(2)[np.zeros(50, int)], None, exclusive=True)
    # With one more row of either class the probability is 50.5 / 51.
    np.testing.assert_allclose(tempered(shown, found, exclusive=True)[0, 0], 50.5 / 51, rtol=1e-3)


def test_probabilities_are_calibrated_on_rows_not_seen() -> None:
    X, y = frame(600)
    clf = TabularClassifier(random_state=0, scoring="neg_log_loss").fit(X[:400], y[:400])
    assert clf.temperature_ != 1
    assert TabularClassifier(random_state=0).fit(X[:8], [0, 1] * 4).temperature_ == 1  # none is set aside


def test_roc_auc_counts_probabilities_not_classes() -> None:
    X, y = frame(600)
    clf = TabularClassifier(scoring="roc_auc", random_state=0).fit(X[:400], y[:400] > 0)
    assert roc_auc_score(y[400:] > 0, clf.predict_proba(X[400:])[:, 1]) > 0.98
