"""Several ranks train what one trains on all rows: the same weights, up to rounding."""

from __future__ import annotations

import copy
import pickle

import gdfast
import numpy as np
import pytest
from gdfast import MLPClassifier, MLPRegressor, optim
from gdfast.training.order import RankOrder
from ranks import of_batches, on_ranks, results
from sklearn.datasets import make_classification

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PART, N_ROWS = 10, 240


def problem(kind, n=N_ROWS):
    X, y = make_classification(n, 8, n_informative=6, n_classes=3, random_state=0)
    rng = np.random.default_rng(0)
    match kind:
        case "binary":
            y = (y > 0).astype(int)
        case "multilabel":
            y = np.stack([y > 0, X[:, 0] > 0], axis=1).astype(int)
        case "regression":
            y = X[:, 0] + X[:, 1] ** 2
        case "two targets":
            y = np.stack([X[:, 0], X[:, 1] ** 2], axis=1) + rng.normal(size=(n, 2)) / 10
        case "text":
            y = np.array(["a", "bb", "ccc"])[y]
    return X, y


def estimator(kind, **options):
    of = MLPRegressor if kind in ("regression", "two targets") else MLPClassifier
    options = {"hidden_layer_sizes": (12, 7), "shuffle": False, "max_iter": 6, "random_state": 0} | options
    return of(**options)


def close(est, other, tolerance=1e-10):
    for name in ("coefs_", "intercepts_"):
        for array, same in zip(getattr(est, name), getattr(other, name), strict=True):
            np.testing.assert_allclose(array, same, rtol=0, atol=tolerance)
    np.testing.assert_allclose(est.loss_curve_, other.loss_curve_, rtol=1e-9)
    assert (est.n_iter_, est.t_) == (other.n_iter_, other.t_)
    assert est.learning_rate_curve_ == other.learning_rate_curve_


def same_bits(found):
    for est in found[1:]:
        for name in ("coefs_", "intercepts_"):
            for array, same in zip(getattr(est, name), getattr(found[0], name), strict=True):
                np.testing.assert_array_equal(array, same)
        assert est.loss_curve_ == found[0].loss_curve_
        assert est.validation_scores_ == found[0].validation_scores_


def check(kind, size=2, fit=None, tolerance=1e-10, **options):
    X, y = problem(kind)
    mine = of_batches(N_ROWS, size, PART)
    weights = (lambda rows: {}) if fit is None else fit
    options["batch_size"] = size * PART
    one = estimator(kind, **options).fit(X, y, **weights(np.arange(N_ROWS)))
    found = results(
        on_ranks(size, lambda r: estimator(kind, **options).fit(X[mine[r]], y[mine[r]], **weights(mine[r])))
    )
    same_bits(found)
    close(found[0], one, tolerance)
    return found, one


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "text", "regression", "two targets"])
def test_tasks(kind, size):
    found, _ = check(kind, size)
    if kind not in ("regression", "two targets"):
        np.testing.assert_array_equal(found[0].classes_, found[1].classes_)


OPTIONS = {
    "alpha": {"alpha": 0.5, "l1_ratio": 0.3},
    "clip_norm": {"clip_norm": 0.05},
    "clip_auto": {"clip_norm": "auto"},
    "clip_layer_norm": {"clip_layer_norm": 0.05},
    "clip_value": {"clip_value": 0.001},
    "dropout": {"dropout": 0.4},
    "dropout_schedule": {"dropout": 0.4, "dropout_schedule": "cosine"},
    "noise": {"gradient_noise": 0.01},
    "weight_decay": {"weight_decay": 0.1, "solver": "adamw"},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.5},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 1.0},
    "schedule": {"schedule": "one_cycle"},
    "ema": {"ema_decay": 0.9},
    "backprop_depth": {"backprop_depth": 2},
    "records": {"record_gradients": True},
    "lion": {"solver": "lion"},
    "muon": {"solver": optim.Muon()},
    "prodigy": {"solver": "prodigy"},
    "schedulefree": {"solver": "schedulefree"},
    "label_smoothing": {"label_smoothing": 0.1},
    "init": {"init": "orthogonal"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    found, one = check("multiclass", **OPTIONS[name])
    if name == "records":
        for key, values in one.gradient_records_.items():
            np.testing.assert_allclose(found[0].gradient_records_[key], values, rtol=1e-8)


def test_soap():
    """Directions without a gradient have any eigenvectors: what rounding makes of them is not comparable."""
    X, y = problem("multiclass")
    fits = [on_ranks(2, lambda r: estimator("", solver="soap").fit(X[r::2], y[r::2])) for _ in range(2)]
    same_bits([*results(fits[0]), *results(fits[1])])


def test_float32():
    X, y = problem("multiclass")
    mine = of_batches(N_ROWS, 2, PART)
    X = X.astype(np.float32)
    one = estimator("", batch_size=20).fit(X, y)
    found = results(on_ranks(2, lambda r: estimator("", batch_size=20).fit(X[mine[r]], y[mine[r]])))
    same_bits(found)
    for array, same in zip(found[0].coefs_, one.coefs_, strict=True):
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, same, rtol=0, atol=1e-4)


def test_sparse():
    from scipy.sparse import csr_matrix

    X, y = problem("multiclass")
    X[X < 0] = 0
    mine = of_batches(N_ROWS, 2, PART)

    def fit(rows):
        return estimator("", batch_size=20, dropout=[0.2, 0.3, 0]).fit(csr_matrix(X[rows]), y[rows])

    found = results(on_ranks(2, lambda r: fit(mine[r])))
    close(found[0], estimator("", batch_size=20, dropout=[0.2, 0.3, 0]).fit(csr_matrix(X), y))


def test_sample_weights():
    weight = np.random.default_rng(1).uniform(size=N_ROWS)
    weight[::3] = 0
    weight[:20] = 0  # a batch that weighs nothing
    weight[20:30] = 0  # nor does one rank's part of this one
    check("multiclass", fit=lambda rows: {"sample_weight": weight[rows]})


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_those_of_all_ranks(kind, weighted):
    weight = np.random.default_rng(1).uniform(size=N_ROWS)
    fit = (lambda rows: {"sample_weight": weight[rows]}) if weighted else None
    check(kind, fit=fit, class_weight="balanced")


def test_class_weights_in_a_dict():
    check("binary", class_weight={0: 2.0, 1: 0.5})


def test_validation_set():
    """Loss and accuracy of one set that is spread over the ranks; the best weights are restored."""
    X, y = problem("multiclass", N_ROWS + 60)
    X_val, y_val, X, y = X[N_ROWS:], y[N_ROWS:], X[:N_ROWS], y[:N_ROWS]
    mine = of_batches(N_ROWS, 2, PART)
    options = {"batch_size": 20, "max_iter": 30, "early_stopping": True, "n_iter_no_change": 2}
    one = estimator("", **options).fit(X, y, X_val=X_val, y_val=y_val)
    parts = [slice(0, 45), slice(45, 60)]

    def fit(r):
        val = {"X_val": X_val[parts[r]], "y_val": y_val[parts[r]]}
        return estimator("", **options).fit(X[mine[r]], y[mine[r]], **val)

    found = results(on_ranks(2, fit))
    same_bits(found)
    close(found[0], one)
    np.testing.assert_allclose(found[0].validation_scores_, one.validation_scores_, rtol=1e-12)
    np.testing.assert_allclose(found[0].validation_loss_curve_, one.validation_loss_curve_, rtol=1e-9)
    assert one.n_iter_ < 30


def test_own_rows_are_set_aside():
    X, y = problem("binary")
    mine = [np.arange(0, 180), np.arange(180, 239), np.arange(239, 240)]

    def fit(r):
        return estimator("", early_stopping=True, max_iter=5).fit(X[mine[r]], y[mine[r]])

    found = results(on_ranks(3, fit))
    same_bits(found)
    assert len(found[0].validation_scores_) == 5
    # 18, 6 and none: a single row is trained on.
    assert found[0].t_ == 5 * (240 - 18 - 6)


def test_empty_rank():
    X, y = problem("multiclass")
    mine = of_batches(N_ROWS, 2, PART)
    parts = [mine[0], np.arange(0), mine[1]]
    one = estimator("", batch_size=20).fit(X, y)
    # A third of each batch is nobody's.
    found = results(on_ranks(3, lambda r: estimator("", batch_size=30).fit(X[parts[r]], y[parts[r]])))
    same_bits(found)
    close(found[0], one)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "two targets"])
def test_empty_rank_with_everything(kind):
    """Weights, class weights and early stopping do with a rank that has no rows, whatever their dtypes."""
    X, y = problem(kind)
    X = X.astype(np.float32)
    options = {"early_stopping": True, "batch_size": 20, "max_iter": 3}
    if kind in ("multiclass", "multilabel"):
        options["class_weight"] = "balanced"

    def fit(r):
        rows = np.arange(0) if r == 0 else np.arange(N_ROWS)
        given = np.zeros((0, 8)) if r == 0 else X
        return estimator(kind, **options).fit(given, y[rows], sample_weight=np.ones(len(rows)))

    found = results(on_ranks(2, fit))
    same_bits(found)
    assert found[0].coefs_[0].dtype == np.float32


def test_last_batch_is_short():
    X, y = problem("multiclass")
    X, y = X[:210], y[:210]  # 10 batches of 20, and one of 10
    mine = of_batches(200, 2, PART)
    mine = [np.r_[mine[0], 200:205], np.r_[mine[1], 205:210]]
    one = estimator("", batch_size=20, dropout=0.3).fit(X, y)

    def fit(r):
        return estimator("", batch_size=20, dropout=0.3).fit(X[mine[r]], y[mine[r]])

    close(results(on_ranks(2, fit))[0], one)


def test_a_rank_with_a_class_of_its_own():
    X, y = problem("multiclass")
    order = np.argsort(y, kind="stable")
    mine = np.array_split(order, 3)

    def fit(r):
        return estimator("", batch_size=30, shuffle=True, max_iter=60).fit(X[mine[r]], y[mine[r]])

    found = results(on_ranks(3, fit))
    same_bits(found)
    np.testing.assert_array_equal(found[0].classes_, [0, 1, 2])
    assert found[0].score(X, y) > 0.8


@pytest.mark.parametrize("random_state", [None, 0, "generator"])
def test_each_rank_shuffles_its_own_rows(random_state):
    X, y = problem("multiclass")
    mine = np.array_split(np.arange(N_ROWS), 2)

    def fit(r):
        state = np.random.RandomState(3) if random_state == "generator" else random_state
        est = estimator("", batch_size=20, shuffle=True, random_state=state, dropout=0.2)
        est.fit(X[mine[r]], y[mine[r]])
        if random_state == "generator":
            est.set_params(max_iter=3).fit(X[mine[r][: 50 + r]], y[mine[r][: 50 + r]])
        return est

    found, again = results(on_ranks(2, fit)), results(on_ranks(2, fit))
    same_bits(found)
    if random_state is not None:
        same_bits([found[0], again[0]])


def test_order_is_a_function_of_seed_rank_and_epoch():
    order, other = RankOrder(50, 7, 1), RankOrder(50, 7, 1)
    other.epoch = 1
    first, second = order.of_next_epoch(True), order.of_next_epoch(True)
    np.testing.assert_array_equal(np.sort(first), np.arange(50))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(other.of_next_epoch(True), second)
    assert not np.array_equal(RankOrder(50, 7, 0).of_next_epoch(True), first)


def test_partial_fit_and_warm_start():
    X, y = problem("multiclass")
    mine = of_batches(N_ROWS, 2, PART)

    def train(est, rows):
        for _ in range(3):
            est.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        est.warm_start = True
        return est.fit(X[rows], y[rows])

    one = train(estimator("", batch_size=20), np.arange(N_ROWS))
    found = results(on_ranks(2, lambda r: train(estimator("", batch_size=20), mine[r])))
    same_bits(found)
    close(found[0], one)


def test_keep_optimizer_state():
    X, y = problem("multiclass")
    mine = np.array_split(np.arange(N_ROWS), 2)

    def train(r):
        est = estimator("", shuffle=True, warm_start=True, keep_optimizer_state=True, max_iter=2)
        seeds = [est.fit(X[mine[r]], y[mine[r]])._training.order.seed for _ in range(2)]
        return est, seeds

    found = results(on_ranks(2, train))
    same_bits([est for est, _ in found])
    assert found[0][1] == found[1][1]
    assert len(set(found[0][1])) == 2  # not the same orders again
    found[0][0].fit(X, y)  # alone


def test_local_sgd_with_equal_data_is_local():
    """All ranks on the same rows: an average of equal weights is what one of them ends with."""
    X, y = problem("multiclass")
    one = estimator("", batch_size=10, alpha=0.0).fit(X, y)
    found = results(on_ranks(2, lambda r: estimator("", batch_size=20, alpha=0.0).fit(X, y), sync_every=5))
    same_bits(found)
    for array, same in zip(found[0].coefs_, one.coefs_, strict=True):
        np.testing.assert_allclose(array, same, rtol=0, atol=1e-10)
    assert found[0].t_ == 2 * one.t_


@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"dropout": 0.2}, {"solver": "sgd"}])
def test_local_sgd_learns(options):
    X, y = problem("multiclass")
    mine = [np.arange(0, 150), np.arange(150, 240), np.arange(0)]
    weight = np.random.default_rng(0).uniform(0.5, 1, N_ROWS)

    def fit(r):
        est = estimator("", shuffle=True, batch_size=30, max_iter=60, **options)
        return est.fit(X[mine[r]], y[mine[r]], sample_weight=weight[mine[r]])

    found = results(on_ranks(3, fit, sync_every=4))
    same_bits(found)
    assert found[0].score(X, y) > 0.6  # of three classes
    assert found[0].loss_curve_[-1] < found[0].loss_curve_[0] / 1.5


def test_as_many_sums_as_steps():
    X, y = problem("multiclass")
    sums = {}

    def fit(r):
        from gdfast.training import ranks

        estimator("", batch_size=20, max_iter=3).fit(X[r::2], y[r::2])
        sums[r] = ranks.current()._communicator.n_sums

    results(on_ranks(2, fit))
    assert sums == {0: 36, 1: 36}


def test_what_was_trained_together_is_an_estimator_like_any_other(tmp_path):
    X, y = problem("multiclass")

    def train(r):
        est = estimator("", batch_size=20, keep_optimizer_state=True)
        est.partial_fit(X[r::2], y[r::2], classes=[0, 1, 2])
        return est.fit(X[r::2], y[r::2])

    est = results(on_ranks(2, train))[0]
    path = tmp_path / "model.safetensors"
    est.save(path)
    for other in (pickle.loads(pickle.dumps(est)), copy.deepcopy(est), gdfast.load(path)):
        np.testing.assert_array_equal(other.predict(X), est.predict(X))
        assert other.partial_fit(X, y).t_ == est.t_ + N_ROWS
        other.fit(X, y)
