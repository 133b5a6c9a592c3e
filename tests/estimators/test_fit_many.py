"""`fit_many` does what one fit after the other does, to the bit."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gdfast
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from fits import assert_same_bits, trained_arrays, without_garbage
from gdfast import MLPClassifier, MLPRegressor, RNNClassifier, TabularClassifier, fit_many
from gdfast.callbacks import History, ModelCheckpoint
from gdfast.estimators import _members
from gdfast.preprocessing import TableEncoder
from models import CASES, assert_alike, classes, rows, sequences, table
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import _safe_indexing
from sklearn.utils.fixes import parse_version

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = rows(), classes()
N = len(X)
ENDLESS: dict[str, Any] = {"max_iter": 10**6, "tol": 0.0, "n_iter_no_change": 10**6}


def net(seed: int = 0, **arguments: Any) -> MLPClassifier:
    return MLPClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": seed, **arguments})


def regressor(seed: int = 0, **arguments: Any) -> MLPRegressor:
    return MLPRegressor(**{"hidden_layer_sizes": (3,), "max_iter": 3, "random_state": seed, **arguments})


def draws(n: int) -> list[Any]:
    """All rows, a bag, a part in an order of its own, and a mask."""
    rng = np.random.RandomState(0)
    return [None, rng.randint(n, size=n), rng.permutation(n)[: n - n // 4], rng.rand(n) < 0.8]


def alone(est: Any, X: Any, y: Any, chosen: Any = None, weight: Any = None) -> Any:
    """The estimator, fitted to a copy of its rows."""
    if isinstance(chosen, np.ndarray) and chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    if chosen is not None:
        X, y = (_safe_indexing(part, chosen) for part in (X, y))
        weight = None if weight is None else weight[chosen]
    return est.fit(X, y, weight)


def assert_same(many: list[Any], single: list[Any]) -> None:
    for i, (a, b) in enumerate(zip(many, single, strict=True)):
        assert_alike(a, b, f"estimators[{i}]")


# The same bits.


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_the_same_as_one_after_the_other(case: str) -> None:
    many, single = ([CASES[case]()[0] for _ in range(4)] for _ in range(2))
    _, X, y = CASES[case]()
    chosen = draws(N if not case.startswith(("gru", "lstm", "elman")) else 12)
    fit_many(many, X, y, rows=chosen, n_jobs=2)
    assert_same(many, [alone(est, X, y, part) for est, part in zip(single, chosen, strict=True)])


@pytest.mark.parametrize("n_jobs", [1, 2, 4, -1, None])
def test_any_number_of_threads_gives_the_same_bits(n_jobs: int | None) -> None:
    chosen = [*draws(N), slice(10, 50)]
    many = fit_many([net(i) for i in range(5)], X, Y, rows=chosen, n_jobs=n_jobs)
    chosen[-1] = np.arange(10, 50)
    assert_same(many, [alone(net(i), X, Y, part) for i, part in enumerate(chosen)])


SETTINGS: dict[str, dict[str, Any]] = {
    "in order": {"shuffle": False},
    "validation": {"early_stopping": True},
    "validation, a scorer": {"early_stopping": True, "scoring": "f1_macro"},
    "validation, lm's like": {"early_stopping": True, "solver": "newton-cg"},
    "annealing by a scorer": {"solver": "annealing", "scoring": "accuracy", "max_iter": 1},
    "found rate": {"learning_rate_init": "auto"},
    "dropout": {"dropout": 0.3, "batch_norm": True},
    "noise": {"gradient_noise": 0.1, "ema_decay": 0.5},
    "steps of a schedule": {"schedule": "one_cycle", "batch_size": 7},
    "kfac": {"solver": "kfac"},
    "soap": {"solver": "soap"},
    "balanced": {"class_weight": "balanced"},
    "smooth": {"label_smoothing": 0.1},
    "records": {"record_gradients": True, "batch_size": 16},
}  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_settings(setting: str, weighted: bool) -> None:
    arguments, chosen = SETTINGS[setting], draws(N)
    weight = np.random.RandomState(1).randint(1, 4, N) if weighted else None
    many = fit_many([net(i, **arguments) for i in range(4)], X, Y, sample_weight=weight, rows=chosen)
    assert_same(many, [alone(net(i, **arguments), X, Y, part, weight) for i, part in enumerate(chosen)])


@pytest.mark.parametrize("kind", [np.asfortranarray, np.float32, sparse.csr_matrix, sparse.csc_array,
                                  pd.DataFrame, np.ndarray.tolist])  # fmt: skip
def test_forms_of_x(kind: Any) -> None:
    data = kind(X)
    if isinstance(data, pd.DataFrame):
        data.columns = list("abcd")
    many = fit_many([net(i) for i in range(4)], data, Y, rows=draws(N))
    assert_same(many, [alone(net(i), data, Y, part) for i, part in enumerate(draws(N))])


@pytest.mark.parametrize("embed_from", [None, 3])
def test_encoded_rows(embed_from: int | None) -> None:
    encoder = TableEncoder(bins="quantile", embed_from=embed_from).fit(table())
    encoded = encoder.encode(table())
    many = fit_many([net(i) for i in range(3)], encoded, Y, rows=[None, draws(N)[1], draws(N)[2]])
    single = [net(0).fit(encoded, Y)]
    single += [net(i).fit(encoded[draws(N)[i]], Y[draws(N)[i]]) for i in (1, 2)]
    assert_same(many, single)


def test_estimators_of_different_kinds() -> None:
    y = (Y > 0).astype(int)

    def make() -> list[Any]:
        return [net(0), regressor(1), net(2, solver="lbfgs")]

    many = fit_many((est for est in make()), X, y, n_jobs=2)
    assert [type(est) for est in many] == [MLPClassifier, MLPRegressor, MLPClassifier]
    assert_same(many, [est.fit(X, y) for est in make()])


def test_tables_and_sequences_are_not_checked_as_matrices() -> None:
    arguments: dict[str, Any] = {"n_members": 2, "max_iter": 2, "hidden_layer_sizes": (4,)}
    make = [TabularClassifier(**arguments, random_state=i) for i in range(2)]
    frame = table().drop(columns="on")
    many = fit_many([clone(est) for est in make], frame, Y, n_jobs=2)
    assert_same(many, [est.fit(frame, Y) for est in make])
    nets = [RNNClassifier((3,), max_iter=2, random_state=i) for i in range(2)]
    ragged = [x[: 3 + i % 3] for i, x in enumerate(sequences())]
    many_rnn = fit_many(nets, ragged, Y[:12], rows=[None, slice(2, None)], n_jobs=2)
    expected = [clone(nets[0]).fit(ragged, Y[:12]), clone(nets[1]).fit(ragged[2:], Y[2:12])]
    assert_same(many_rnn, expected)


def test_each_may_have_its_own_weights() -> None:
    rng = np.random.RandomState(3)
    weights = [None, rng.rand(N), rng.rand(N).tolist()]
    many = fit_many([net(i) for i in range(3)], X, Y, sample_weight=weights, rows=[None, None, draws(N)[1]])
    assert_same(many[:2], [net(0).fit(X, Y), net(1).fit(X, Y, weights[1])])
    assert_same(many[2:], [alone(net(2), X, Y, draws(N)[1], np.array(weights[2]))])


def test_one_array_is_for_all() -> None:
    chosen, weight = draws(N)[2], np.arange(N)
    many = fit_many([net(i) for i in range(2)], X, Y, sample_weight=weight, rows=chosen)
    assert_same(many, [alone(net(i), X, Y, chosen, weight) for i in range(2)])
    assert_same(fit_many([net()], X, Y, sample_weight=2.0), [net().fit(X, Y, 2.0)])


def test_indices_may_count_from_the_end() -> None:
    many = fit_many([net()], X, Y, rows=np.array([-1, 0, 5, -2, *range(10, 40)], np.int16))
    assert_same(many, [alone(net(), X, Y, np.array([N - 1, 0, 5, N - 2, *range(10, 40)]))])


def test_classes_are_those_of_the_rows() -> None:
    without = np.flatnonzero(Y != 1)
    many = fit_many([net(0), net(1)], X, Y, rows=[without, None])
    assert many[0].classes_.tolist() == [0, 2]
    assert_same(many, [alone(net(0), X, Y, without), net(1).fit(X, Y)])


def test_targets_of_other_rows_may_be_unknown() -> None:
    y = np.where(np.arange(N) < 40, X[:, 0], np.nan)
    known = np.arange(40)
    many = fit_many([regressor()], X, y, rows=[known])
    assert_same(many, [regressor().fit(X[:40], y[:40])])


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_starts_go_on(keep: bool, early_stopping: bool) -> None:
    arguments = {"warm_start": True, "keep_optimizer_state": keep, "early_stopping": early_stopping}
    single = [net(i, **arguments) for i in range(3)]
    many = [net(i, **arguments) for i in range(3)]
    chosen = [None, np.arange(N)[::-1], np.repeat(np.arange(N // 2), 2)]  # all with all classes
    for _ in range(2):
        fit_many(many, X, Y, rows=chosen, n_jobs=2)
        for est, part in zip(single, chosen, strict=True):
            alone(est, X, Y, part)
        assert_same(many, single)
    for est, other in zip(many, single, strict=True):  # and alone
        assert_alike(est.fit(X, Y), other.fit(X, Y))


def test_weights_in_float32_stay_in_float32() -> None:
    many, single = (
        [net(i, warm_start=True).fit(X.astype(np.float32), Y) for i in range(2)] for _ in range(2)
    )
    fit_many(many, X, Y, rows=draws(N)[:2])
    assert_same(many, [alone(est, X, Y, part) for est, part in zip(single, draws(N), strict=False)])
    assert many[0].coefs_[0].dtype == np.float32


def test_checkpoints_are_those_of_a_fit_alone(tmp_path: Path) -> None:
    part = draws(N)[2]

    def run(name: str) -> MLPClassifier:
        return net(callbacks=[ModelCheckpoint(tmp_path / f"{name}.safetensors")])

    fit_many([run("a"), net(1)], X, Y, rows=[part, None], n_jobs=2)
    alone(run("b"), X, Y, part)
    longer = {"max_iter": 8}
    resumed = [net(resume=str(tmp_path / f"{name}.safetensors"), **longer) for name in "ab"]
    fit_many([resumed[0]], X, Y, rows=[part])
    alone(resumed[1], X, Y, part)
    resumed[0].resume = resumed[1].resume = None
    assert_alike(*resumed)
    assert_same_bits(trained_arrays(resumed[0]), trained_arrays(alone(net(**longer), X, Y, part)))


def test_rows_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = gdfast._core.Trainer.run_epoch

    class Trainer(gdfast._core.Trainer):
        def run_epoch(self, X: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(X)
            return original(self, X, *args, **kwargs)

    monkeypatch.setattr(gdfast._core, "Trainer", Trainer)
    fit_many([net(i) for i in range(4)], X, Y, rows=draws(N), n_jobs=2)
    assert len(seen) == 16
    assert all(np.shares_memory(each, X) for each in seen)


def test_a_frame_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    conversions = []
    frame = pd.DataFrame(X, columns=list("abcd"), dtype=object)
    original = pd.DataFrame.__array__
    monkeypatch.setattr(
        pd.DataFrame,
        "__array__",
        lambda self, *args, **kw: conversions.append(1) or original(self, *args, **kw),
    )
    fit_many([net()], frame, Y)
    once = len(conversions)
    conversions.clear()
    fit_many([net(i) for i in range(5)], frame, Y, rows=[*draws(N), None])
    assert len(conversions) == once


def test_threads_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[int] = []

    class Look:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            shares.append(est._network().n_threads)

    def of(n_nets: int, n_jobs: int | None, own: int | None = None) -> set[int]:
        shares.clear()
        nets = [net(i, n_jobs=own, callbacks=[Look()]) for i in range(n_nets)]
        fit_many(nets, X, Y, n_jobs=n_jobs)
        assert [est.n_jobs for est in nets] == [own] * n_nets
        return set(shares)

    assert of(1, 4) == {4}
    assert of(2, 4) == {2}
    assert of(3, 4) == {1}
    assert of(3, 1) == {1}
    assert of(2, 8, own=3) == {3}
    assert of(2, 4, own=-1) == {min(2, joblib.cpu_count())}
    assert of(2, 2, own=8) == {1}


def test_scikit_learns_settings_hold_in_the_threads() -> None:
    dirty = X.copy()
    dirty[0, 0] = np.nan  # found by a check only
    with pytest.raises(ValueError, match="contains NaN"):
        fit_many([net(0), net(1)], dirty, Y, rows=slice(1, None))
    with config_context(assume_finite=True):
        many = fit_many([net(0), net(1)], dirty, Y, rows=slice(1, None), n_jobs=2)
    assert_same(many, [net(i).fit(X[1:], Y[1:]) for i in range(2)])


# What it is for.


def test_folds_of_digits() -> None:
    X, y = load_digits(return_X_y=True)
    folds = list(StratifiedKFold(5).split(X, y))
    nets = fit_many(
        [net(max_iter=30, hidden_layer_sizes=(30,), batch_size=50) for _ in folds],
        X,
        y,
        rows=[a for a, _ in folds],
    )
    single = [net(max_iter=30, hidden_layer_sizes=(30,), batch_size=50).fit(X[a], y[a]) for a, _ in folds]
    assert_same(nets, single)
    assert min(est.score(X[b], y[b]) for est, (_, b) in zip(nets, folds, strict=True)) > 0.8


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.8"), reason="weighs rows")
@pytest.mark.parametrize("bootstrap", [True, False])
def test_bagging_as_scikit_learns(bootstrap: bool) -> None:
    bags = BaggingClassifier(net(), n_estimators=5, max_samples=0.7, bootstrap=bootstrap, random_state=0)
    bags.fit(X, Y)
    same = [clone(est) for est in bags.estimators_]
    fit_many(same, X, Y, rows=list(bags.estimators_samples_), n_jobs=2)
    mean = np.mean([est.predict_proba(X) for est in same], axis=0)
    np.testing.assert_allclose(mean, bags.predict_proba(X), rtol=1e-12)


# Afterwards they are estimators like others.


def test_estimators_are_the_same_objects_and_like_others() -> None:
    nets = [net(i) for i in range(3)]
    parameters = [est.get_params() for est in nets]
    fitted = fit_many(nets, X, Y, n_jobs=2)
    assert all(a is b for a, b in zip(fitted, nets, strict=True))
    assert [est.get_params() for est in nets] == parameters
    assert_alike(pickle.loads(pickle.dumps(nets[1])), nets[1])
    assert_same([clone(nets[1]).fit(X, Y)], [nets[1]])
    nets[0].partial_fit(X, Y)
    assert_alike(nets[0], net(0).fit(X, Y).partial_fit(X, Y))


def test_of_none() -> None:
    assert fit_many([], X, Y) == []


# Warnings.


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.filterwarnings("default")
def test_warnings_name_their_estimator_and_the_users_line(n_jobs: int) -> None:
    nets = [net(0), net(1, max_iter=2000, tol=0.1), net(2, batch_size=1000)]
    with pytest.warns() as record:
        fit_many(nets, X, Y, n_jobs=n_jobs)
    texts = [str(warning.message) for warning in record]
    assert [text[:14] for text in texts] == ["estimators[0]:", "estimators[2]:", "estimators[2]:"]
    assert "Maximum iterations (4) reached" in texts[0]
    assert "Got `batch_size` less than 1" in texts[1]
    assert {warning.filename for warning in record} == {__file__}
    assert [warning.category for warning in record] == [ConvergenceWarning, UserWarning, ConvergenceWarning]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_warnings_as_errors_are_raised_when_all_are_fitted(n_jobs: int) -> None:
    nets = [net(i) for i in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match=r"estimators\[0\]"):
            fit_many(nets, X, Y, n_jobs=n_jobs)
    assert_same(nets, [net(i).fit(X, Y) for i in range(3)])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_warnings_of_scikit_learn_reach_the_caller(n_jobs: int) -> None:
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        fit_many([net(i) for i in range(2)], X, Y[:, None], n_jobs=n_jobs)


# Errors.


def unfitted(est: Any) -> bool:
    return not any(name.endswith("_") and not name.startswith("__") for name in vars(est))


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "another's": (
        {"estimators": [net(), BaggingClassifier()]}, TypeError, r"estimators\[1\] is a BaggingClassifier"),
    "a class": (
        {"estimators": [MLPClassifier]}, TypeError, r"estimators\[0\] is the class MLPClassifier itself"),
    "an argument": ({"estimators": [net(), net(alpha=-1)]}, ValueError, r"In estimators\[1\]: .*alpha"),
    "an argument with others": (
        {"estimators": [net(), net(hidden_layer_sizes=(0,))]}, ValueError, r"In estimators\[1\]: hidden_"),
    "no threads": ({"n_jobs": 0}, ValueError, "n_jobs == 0"),
    "half a thread": ({"n_jobs": 0.5}, TypeError, "n_jobs must be an integer or None"),
    "no y": ({"y": None}, ValueError, "requires y"),
    "a long y": ({"y": np.zeros(N + 1)}, ValueError, f"X has {N} samples, but y has {N + 1}"),
    "no X": ({"X": None}, TypeError, "In X: "),
    "an X that is not finite": ({"X": np.where(X > 2, np.inf, X)}, ValueError, "Input X contains infinity"),
    "lists of rows": ({"rows": [None]}, ValueError, "rows is a list, .* each estimator: 2, got 1"),
    "a list of indices": ({"rows": [1, 2, 3]}, ValueError, "rows is a list, .* each estimator: 2, got 3"),
    "rows beyond": ({"rows": [None, [0, N]]}, ValueError, rf"rows\[1\] holds {N}, but X has {N} samples"),
    "rows below": ({"rows": np.array([-N - 1])}, ValueError, f"rows holds {-N - 1}"),
    "no rows": ({"rows": [np.zeros(N, bool), None]}, ValueError, r"rows\[0\] selects no sample"),
    "a short mask": ({"rows": np.ones(3, bool)}, ValueError, "rows is a mask of 3 values"),
    "fractions": ({"rows": np.array([0.5])}, TypeError, "rows must hold integers or booleans, got float64"),
    "a table of rows": ({"rows": np.zeros((2, 3), int)}, ValueError, "rows must have one dimension"),
    "short weights": ({"sample_weight": np.ones(3)}, ValueError, "sample_weight has 3 weights"),
    "a list of weights": ({"sample_weight": [1.0] * N}, ValueError, f"sample_weight is a list.*2, got {N}"),
    "short weights of one": (
        {"sample_weight": [None, np.ones(3)]}, ValueError, r"sample_weight\[1\] has 3 weights"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_before_anything_is_trained(bad: str) -> None:
    arguments, kind, message = BAD[bad]
    given = {"estimators": [net(0), net(1)], "X": X, "y": Y, **arguments}
    with pytest.raises(kind, match=message):
        fit_many(**given)
    assert all(unfitted(est) for est in given["estimators"] if isinstance(est, MLPClassifier))


def test_estimators_share_nothing_that_training_changes() -> None:
    twice = net()
    with pytest.raises(ValueError, match=r"estimators\[1\] and estimators\[2\] are the same object"):
        fit_many([net(), twice, twice], X, Y)
    state = np.random.RandomState(0)
    with pytest.raises(ValueError, match=r"estimators\[0\] and estimators\[2\] share a random_state"):
        fit_many([net(random_state=state), net(), net(random_state=state)], X, Y)
    history = History()
    with pytest.raises(ValueError, match=r"estimators\[0\] and estimators\[1\] share the callback"):
        fit_many([net(callbacks=[history]), net(callbacks=[history])], X, Y)
    one, same = (net(callbacks=[ModelCheckpoint(path)]) for path in ("m.safetensors", "./m.safetensors"))
    with pytest.raises(
        ValueError, match=r"estimators\[0\] and estimators\[2\] save checkpoints to the same path"
    ):
        fit_many([one, net(), same], X, Y)
    first, second = net(warm_start=True).fit(X, Y), net(warm_start=True).fit(X, Y)
    second.coefs_ = first.coefs_
    with pytest.raises(ValueError, match="share the arrays of coefs_"):
        fit_many([first, second], X, Y)
    fit_many([clone(twice), clone(twice)], X, Y)
    fit_many([clone(net(random_state=state, callbacks=[history])) for _ in range(2)], X, Y)


class Fails:
    def __init__(self, error: BaseException, epoch: int = 1) -> None:
        self.error, self.epoch = error, epoch

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        if epoch == self.epoch:
            raise self.error


def test_an_x_that_suits_some_estimators_only() -> None:
    X3 = np.zeros((6, 4, 2))
    with pytest.raises(ValueError, match=r"^In estimators\[1\]: Found array with dim 3"):
        fit_many([RNNClassifier(4), net()], X3, [0, 1] * 3)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_error_of_one_names_it(n_jobs: int) -> None:
    y = np.where(np.arange(N) == 5, np.nan, X[:, 0])
    nets = [regressor(i) for i in range(3)]
    with pytest.raises(ValueError, match=r"^In estimators\[1\]: Input y contains NaN"):
        fit_many(nets, X, y, rows=[slice(6, None), None, slice(6, None)], n_jobs=n_jobs)
    assert unfitted(nets[1])
    for est in (nets[0], nets[2]):
        assert unfitted(est) or est.n_iter_ == 3
    assert n_jobs == 2 or (nets[0].n_iter_ == 3 and unfitted(nets[2]))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_of_a_callback_is_the_same_object(n_jobs: int) -> None:
    error = RuntimeError("the callback's own")
    nets = [net(0), net(1, callbacks=[Fails(error)]), *(net(i) for i in range(2, 8))]
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="the callback's own") as caught:
        fit_many(nets, X, Y, n_jobs=n_jobs)
    assert caught.value is error
    assert error.__notes__ == ["In estimators[1]."]
    assert nets[1].n_iter_ == 2  # as after fit
    for est in (nets[0], *nets[2:]):
        assert unfitted(est) or est.n_iter_ == 4
    assert n_jobs == 2 or nets[0].n_iter_ == 4  # a thread may begin late
    assert threading.active_count() == threads


def test_those_that_train_meanwhile_are_trained_to_their_end() -> None:
    begun, failed = threading.Event(), threading.Event()

    class Slow:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            begun.set()
            assert failed.wait(60)

    class Fails:
        def on_epoch_begin(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            assert begun.wait(60)
            threading.Timer(1, failed.set).start()
            raise RuntimeError("at once")

    nets = [net(0, callbacks=[Slow()]), net(1, callbacks=[Fails()]), net(2)]
    with pytest.raises(RuntimeError, match="at once"):
        fit_many(nets, X, Y, n_jobs=2)
    assert_same_bits(trained_arrays(nets[0]), trained_arrays(net(0).fit(X, Y)))
    assert unfitted(nets[1])
    assert unfitted(nets[2])


def test_several_errors() -> None:
    barrier = threading.Barrier(2)

    class Fails:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            barrier.wait(60)
            raise OSError("both")

    with pytest.raises(OSError, match="both") as caught:
        fit_many([net(i, callbacks=[Fails()]) for i in range(2)], X, Y, n_jobs=2)
    assert caught.value.__notes__ == [
        "In estimators[0].", "estimators[1] has failed as well: OSError: both"]  # fmt: skip


def test_divergence_names_the_estimator() -> None:
    wild = {"solver": "sgd", "learning_rate_init": 1e30, "max_iter": 20}
    y = X[:, 0] * 1e10
    nets = [regressor(i, **(wild if i else {})) for i in range(2)]
    part = draws(N)[1]
    with pytest.raises(ValueError, match=r"^In estimators\[1\]: Solver produced non-finite") as caught:
        fit_many(nets, X, y, rows=part)
    with pytest.raises(ValueError, match="Solver produced non-finite") as single:
        alone(regressor(1, **wild), X, y, part)
    assert str(caught.value) == f"In estimators[1]: {single.value}"  # measured on the same rows


# Ctrl-C.


@pytest.fixture(params=[False, True], ids=["", "calls are restarted"])
def handler(request: Any) -> Iterator[None]:
    """Python's handler of SIGINT; and as where a library has its own that has system calls restarted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request.param:
        signal.siginterrupt(signal.SIGINT, False)
    with without_garbage():
        yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_ends_those_that_train(n_jobs: int) -> None:
    nets = [net(i, **ENDLESS) for i in range(5)]
    begun = [threading.Event() for _ in range(n_jobs)]

    class Begun:
        def __init__(self, event: threading.Event) -> None:
            self.event = event

        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            self.event.set()

    for est, event in zip(nets, begun, strict=False):
        est.callbacks = [Begun(event)]

    def press() -> None:
        for event in begun:
            event.wait(60)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.warns(UserWarning, match="interrupted") as record:
        fit_many(nets, X, Y, n_jobs=n_jobs)
    presser.join()
    texts = [str(warning.message) for warning in record]
    assert texts[:n_jobs] == [f"estimators[{i}]: Training interrupted by user." for i in range(n_jobs)]
    rest = ", ".join(f"estimators[{i}]" for i in range(n_jobs, 5))
    assert texts[n_jobs:] == [f"Training interrupted by user, before the first step of {rest}."]
    for est in nets[:n_jobs]:
        assert 1 <= est.n_iter_ < 10**6
        est.predict(X)
    for est in nets[n_jobs:]:
        with pytest.raises(NotFittedError):
            est.predict(X)


def test_ctrl_c_at_the_moment_when_all_threads_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Event):
        is_new = True

        def set(self) -> None:
            super().set()
            if self.is_new:
                self.is_new = False
                time.sleep(0.2)  # those that train are under way
                raise KeyboardInterrupt

    names = SimpleNamespace(Event=Interrupted, Semaphore=threading.Semaphore, Lock=threading.Lock)
    monkeypatch.setattr(_members, "threading", names)
    begun = time.perf_counter()
    with pytest.warns(UserWarning, match="interrupted"):
        fit_many([net(i, **ENDLESS, max_time=30) for i in range(2)], X, Y, n_jobs=2)
    assert time.perf_counter() - begun < 20


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_before_any_step(n_jobs: int) -> None:
    class Interrupts:
        def on_train_begin(self, est: Any) -> None:
            raise KeyboardInterrupt

    nets = [net(i, callbacks=[Interrupts()]) for i in range(n_jobs)]
    with pytest.raises(KeyboardInterrupt):
        fit_many(nets, X, Y, n_jobs=n_jobs)
    assert all(map(unfitted, nets))


# Callbacks.


def test_callbacks_of_different_estimators_run_at_the_same_time() -> None:
    barrier = threading.Barrier(2)
    seen: list[tuple[int, str, int | None]] = []

    class Meets:
        def __init__(self, number: int) -> None:
            self.number = number

        def on_train_begin(self, est: Any) -> None:
            assert est is nets[self.number]
            seen.append((self.number, "begin", None))

        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
            barrier.wait(60)  # passed by two at once
            seen.append((self.number, "epoch", epoch))

        def on_train_end(self, est: Any) -> None:
            seen.append((self.number, "end", None))

    nets = [net(i, callbacks=[Meets(i)]) for i in range(2)]
    fit_many(nets, X, Y, n_jobs=2)
    for number in range(2):
        own = [what for i, *what in seen if i == number]
        assert own == [["begin", None], *(["epoch", i] for i in range(4)), ["end", None]]


def test_callbacks_may_stop_and_edit() -> None:
    class Halves:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
            est.coefs_[0] *= 0.5
            return epoch == 1

    many, single = ([net(i, callbacks=[Halves()]) for i in range(3)] for _ in range(2))
    fit_many(many, X, Y, n_jobs=2)
    for est in single:
        est.fit(X, Y)
    for a, b in zip(many, single, strict=True):
        assert a.n_iter_ == 2
        assert_same_bits(trained_arrays(a), trained_arrays(b))


def test_scikit_learns_callbacks_see_the_rows() -> None:
    pytest.importorskip("sklearn.callback")
    seen: list[Any] = []

    class Look:
        def setup(self, estimator: Any, context: Any) -> None: ...

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...

        def on_fit_task_end(
            self, estimator: Any, context: Any, *, X: Any = None, y: Any = None, metadata: Any = None
        ) -> bool:
            seen.append((X, y, metadata))
            return False

        def teardown(self, estimator: Any, context: Any) -> None: ...

    frame, weight = pd.DataFrame(X, columns=list("abcd")), np.arange(N) + 1.0
    for part in draws(N)[:3]:
        for early_stopping in (False, True):
            seen.clear()
            est = net(early_stopping=early_stopping).set_callbacks(Look())
            fit_many([est], frame, Y, rows=part, sample_weight=weight)
            many = list(seen)
            seen.clear()
            alone(net(early_stopping=early_stopping).set_callbacks(Look()), frame, Y, part, weight)
            for (X_many, y_many, meta_many), (X_alone, y_alone, meta_alone) in zip(many, seen, strict=True):
                pd.testing.assert_frame_equal(X_many, X_alone)
                np.testing.assert_array_equal(y_many, y_alone)
                np.testing.assert_array_equal(meta_many["sample_weight"], meta_alone["sample_weight"])
