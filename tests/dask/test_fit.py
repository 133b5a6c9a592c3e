"""Fits on a cluster: what is computed, and that nothing but the data, the groups and the seed decides it."""

from __future__ import annotations

import pickle
import time
from itertools import pairwise
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import schedules
from gdfast.callbacks import History
from gdfast.dask import DaskMLPClassifier, DaskMLPRegressor
from gdfast.dask._local import Model, Settings, train_locally
from gdfast.estimators._network_estimator import Plan
from gdfast.training.data import Data
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

pytestmark = [
    pytest.mark.usefixtures("client"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
]

X, Y = make_classification(240, 6, n_informative=4, n_classes=3, class_sep=2.0, random_state=0)
X_REG, Y_REG = make_regression(240, 6, n_targets=1, random_state=0)
Y_REG = Y_REG / Y_REG.std()
WEIGHT = np.random.default_rng(0).uniform(0.5, 2, len(X))
SIZES = (100, 40, 60, 40)

SMALL: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0, "batch_size": 20}
RULE = "adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
# Steps that are linear in the gradient.
PLAIN: dict[str, Any] = {"solver": "sgd", "learning_rate_init": 0.1, "shuffle": False}


def cut(*arrays: Any, sizes: Any = SIZES) -> list[Any]:
    return [da.from_array(a, chunks=(sizes, *((-1,) * (a.ndim - 1)))) for a in arrays]


def weights_of(est: Any) -> list[np.ndarray]:
    return [*est.coefs_, *est.intercepts_]


def assert_same_bits(one: Any, other: Any) -> None:
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        assert_array_equal(a, b)
    assert one.loss_curve_ == other.loss_curve_


def assert_near(one: Any, other: Any, rtol: float = 1e-9) -> None:
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        assert_allclose(a, b, rtol=rtol, atol=1e-12)
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol)


# What is computed.


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_one_step_of_whole_partitions_is_one_of_all_rows(momentum: float, weight: Any) -> None:
    """FedSGD: an average of steps by their weight is the step by the mean gradient."""
    arguments = {**SMALL, **PLAIN, "alpha": 0.0, "momentum": momentum, "batch_size": len(X)}
    weights = () if weight is None else (weight,)
    ours = DaskMLPClassifier(**arguments).fit(*cut(X, Y, *weights))
    theirs = gdfast.MLPClassifier(**arguments).fit(X, Y, *weights)
    for a, b in zip(weights_of(ours), weights_of(theirs), strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    if weight is None:  # a loss is the mean over batches by their rows
        assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("n_groups", [None, 2])
@pytest.mark.parametrize("local_epochs", [1, 2])
def test_federated_averaging_by_hand(n_groups: int | None, local_epochs: int) -> None:
    """McMahan et al., algorithm 1, by ``partial_fit`` and means."""
    arguments = {**SMALL, **PLAIN, "momentum": 0.0}
    ours = DaskMLPClassifier(**arguments, n_groups=n_groups, local_epochs=local_epochs)
    ours.fit(*cut(X, Y))

    ends = np.cumsum([0, *SIZES])
    rows = [np.arange(a, b) for a, b in pairwise(ends)]
    groups = [rows[:2], rows[2:]] if n_groups else [[each] for each in rows]
    # The first weights, which depend on the seed alone.
    locals_ = [gdfast.MLPClassifier(**{**arguments, "learning_rate_init": 1e-300}) for _ in groups]
    for local in locals_:
        local.partial_fit(X[:20], Y[:20], classes=np.unique(Y))
        local._training = None
        local.learning_rate_init = 0.1
    sizes = [sum(len(part) for part in group) for group in groups]
    for _ in range(arguments["max_iter"]):
        for local, group in zip(locals_, groups, strict=True):
            for _ in range(local_epochs):
                for part in group:
                    local.partial_fit(X[part], Y[part])
        for name in ("coefs_", "intercepts_"):
            arrays = zip(*(getattr(local, name) for local in locals_), strict=True)
            means = [np.average(each, axis=0, weights=sizes) for each in arrays]
            for local in locals_:
                setattr(local, name, [mean.copy() for mean in means])
    for a, b in zip(weights_of(ours), weights_of(locals_[0]), strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd", "adamw", "lion"])
def test_one_group_takes_the_steps_of_memory(solver: str, dtype: Any) -> None:
    """In partitions of whole batches, in order: the same bits."""
    arguments = {**SMALL, "solver": solver, "shuffle": False}
    ours = DaskMLPClassifier(**arguments, n_groups=1).fit(*cut(X.astype(dtype), Y))
    theirs = gdfast.MLPClassifier(**arguments).fit(X.astype(dtype), Y)
    for a, b in zip(weights_of(ours), weights_of(theirs), strict=True):
        assert a.dtype == dtype
        assert_array_equal(a, b)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-12)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_


def test_step_schedules_have_the_rates_of_memory() -> None:
    arguments = {**SMALL, "shuffle": False, "schedule": schedules.OneCycle(), "weight_decay": 0.1}
    arguments["weight_decay_schedule"] = schedules.Cosine()
    ours = DaskMLPClassifier(**arguments, n_groups=1).fit(*cut(X, Y))
    theirs = gdfast.MLPClassifier(**arguments).fit(X, Y)
    assert ours.learning_rate_curve_ == theirs.learning_rate_curve_
    assert_near(ours, theirs, 1e-12)


def test_it_learns() -> None:
    arguments = {"hidden_layer_sizes": (30,), "max_iter": 60, "random_state": 0, "batch_size": 10}
    arguments["learning_rate_init"] = 0.01
    ours = DaskMLPClassifier(**arguments).fit(*cut(X, Y))
    assert ours.score(X, Y) > 0.9
    reg = DaskMLPRegressor(**arguments).fit(*cut(X_REG, Y_REG))
    assert reg.score(*cut(X_REG, Y_REG)) > 0.95


@pytest.mark.parametrize("rounds", [0.5, 0.25])
def test_rounds_of_a_part_pass_over_every_row_once(rounds: float) -> None:
    """With one step to a round, from the same weights: the gradients of the rounds add up to one pass's."""
    parts = int(1 / rounds)
    arguments = {**SMALL, **PLAIN, "momentum": 0.0, "alpha": 0.0, "batch_size": len(X), "shuffle": True}
    # Next to no rate: all gradients are at the first weights.
    arguments.update(learning_rate_init=1e-7, n_iter_no_change=100, tol=0.0)
    ours = DaskMLPClassifier(**{**arguments, "max_iter": parts}, local_epochs=rounds).fit(*cut(X, Y))
    whole = DaskMLPClassifier(**{**arguments, "max_iter": 1}).fit(*cut(X, Y))
    start = DaskMLPClassifier(**{**arguments, "max_iter": 1, "learning_rate_init": 1e-300}).fit(*cut(X, Y))
    for a, b, first in zip(weights_of(ours), weights_of(whole), weights_of(start), strict=True):
        # Each round's mean is over its own rows: a part of the whole mean.
        assert_allclose((a - first) / parts, b - first, rtol=1e-4, atol=1e-14)
    assert ours.t_ == len(X)


def test_arrays_from_elsewhere_may_lie_anyhow() -> None:
    """What comes in a message is where the message has it: read-only, and not aligned."""

    def displaced(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            buffer = np.zeros(value.nbytes + 1, np.uint8)[1:]
            copy = np.frombuffer(buffer, value.dtype).reshape(value.shape)
            copy[...] = value
            copy.flags.writeable = False
            return copy
        if isinstance(value, dict):
            return {name: displaced(item) for name, item in value.items()}
        return [displaced(item) for item in value] if isinstance(value, list) else value

    est = gdfast.MLPRegressor(**{**SMALL, "max_iter": 1}).fit(X_REG, Y_REG)
    options = est._options(1, False, Plan())
    settings = Settings(est._network(), "squared_error", options.step, 20, *RULE, None, True, 2, {})
    start = Model(
        {"coefs_": est.coefs_, "intercepts_": est.intercepts_}, est._training.optimizer.state_dict()
    )
    data = Data(X_REG, Y_REG[:, None], WEIGHT)
    elsewhere = Data(*map(displaced, data))
    assert not elsewhere.X.flags.aligned
    one = train_locally(start, settings, data, 0.01, 0, 0, 0, 0, 1)
    moved = Model(displaced(start.weights), displaced(start.state))
    other = train_locally(moved, settings, elsewhere, 0.01, 0, 0, 0, 0, 1)
    assert one.loss == other.loss
    for name in one.weights:
        for a, b in zip(one.weights[name], other.weights[name], strict=True):
            assert_array_equal(a, b)


# What decides it.


@pytest.mark.parametrize("arguments", [{}, {"n_groups": 2}, {"dropout": 0.2, "local_epochs": 2}], ids=str)
def test_repetitions_have_the_same_bits(arguments: dict[str, Any]) -> None:
    one, other = (DaskMLPClassifier(**{**SMALL, **arguments}).fit(*cut(X, Y)) for _ in range(2))
    assert_same_bits(one, other)
    third = DaskMLPClassifier(**{**SMALL, **arguments, "random_state": 1}).fit(*cut(X, Y))
    assert one.loss_curve_ != third.loss_curve_


@pytest.mark.parametrize("n_groups", [None, 3])
def test_the_number_of_workers_changes_no_bit(client: Any, n_groups: int | None) -> None:
    distributed = pytest.importorskip("distributed")
    est = DaskMLPClassifier(**SMALL, n_groups=n_groups)
    est.client = client
    two = clone(est).fit(*cut(X, Y))
    one = clone(est)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as other,
    ):
        one.client = other
        assert one.client is other
        one.fit(*cut(X, Y))
    assert_same_bits(one, two)


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_threads_change_no_bit(n_jobs: int) -> None:
    one, other = (DaskMLPClassifier(**SMALL, n_jobs=n).fit(*cut(X, Y)) for n in (None, n_jobs))
    assert_same_bits(one, other)


def test_partitions_without_rows_change_no_shape() -> None:
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(y=Y, number=range(len(Y)))
    parts = dd.from_pandas(frame, npartitions=6)
    some = parts[parts["number"] >= 100]  # the first two are empty
    est = DaskMLPClassifier(**SMALL).fit(some[list("abcdef")], some["y"])
    assert est.t_ == 4 * 140
    assert list(est.feature_names_in_) == list("abcdef")


# Kinds of data.


def test_frames_arrays_and_unknown_sizes_are_the_same() -> None:
    arrays = DaskMLPClassifier(**SMALL).fit(*cut(X, Y, sizes=(60,) * 4))
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcdef")).assign(y=Y), npartitions=4)
    columns = frame[list("abcdef")]
    assert_same_bits(DaskMLPClassifier(**SMALL).fit(columns, frame["y"]), arrays)
    unknown = columns.to_dask_array()
    assert np.isnan(unknown.shape[0])
    assert_same_bits(DaskMLPClassifier(**SMALL).fit(unknown, frame["y"].to_dask_array()), arrays)
    assert_same_bits(DaskMLPClassifier(**SMALL).fit(unknown, frame["y"]), arrays)


def test_arrays_in_several_columns_of_chunks_and_y_cut_otherwise() -> None:
    whole = DaskMLPClassifier(**SMALL).fit(*cut(X, Y))
    pieces = da.from_array(X, chunks=(SIZES, (2, 4)))
    assert_same_bits(DaskMLPClassifier(**SMALL).fit(pieces, da.from_array(Y, chunks=50)), whole)


def test_sparse_chunks() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.where(X > 0, X, 0)
    rows = da.from_array(dense, chunks=(SIZES, -1)).map_blocks(sparse.csr_matrix)
    one = DaskMLPClassifier(**SMALL).fit(rows, cut(Y)[0])
    assert_near(one, DaskMLPClassifier(**SMALL).fit(*cut(dense, Y)))
    assert_array_equal(one.predict(rows).compute(), one.predict(dense))


@pytest.mark.parametrize("labels", [["a", "b", "c"], [1.0, 5.0, 7.0], [-1, 0, 9]], ids=str)
def test_classes_are_the_union(labels: list[Any]) -> None:
    """No partition has all of them."""
    order = np.argsort(Y, kind="stable")
    y = np.array(labels)[Y[order]]
    est = DaskMLPClassifier(**SMALL).fit(*cut(X[order], y))
    assert_array_equal(est.classes_, labels)
    assert est.predict(cut(X)[0]).dtype == y.dtype
    assert est.predict_proba(X).shape == (240, 3)


def test_several_labels_and_several_outputs() -> None:
    labels = np.column_stack([Y == 0, Y != 1]).astype(int)
    clf = DaskMLPClassifier(**SMALL).fit(*cut(X, labels))
    assert clf.out_activation_ == "logistic"
    assert clf.predict(cut(X)[0]).compute().shape == labels.shape
    targets = np.column_stack([Y_REG, -Y_REG])
    reg = DaskMLPRegressor(**SMALL).fit(*cut(X_REG, targets))
    assert reg.predict(cut(X_REG)[0]).compute().shape == targets.shape


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_balanced_classes_count_over_all_partitions(weight: Any) -> None:
    weights = () if weight is None else (weight,)
    kept = np.flatnonzero((Y != 2) | (np.arange(len(Y)) % 4 == 0))
    parts = cut(X[kept], Y[kept], *(w[kept] for w in weights), sizes=(50, len(kept) - 50))
    total = np.bincount(Y[kept], None if weight is None else weight[kept])
    by_hand = {i: total.sum() / (3 * n) for i, n in enumerate(total)}
    balanced = DaskMLPClassifier(**SMALL, class_weight="balanced").fit(*parts)
    assert_near(balanced, DaskMLPClassifier(**SMALL, class_weight=by_hand).fit(*parts))


@pytest.mark.parametrize("loss", ["poisson", "absolute_error", "huber", "quantile"])
def test_losses_of_regression(loss: str) -> None:
    more = {"quantiles": [0.1, 0.9]} if loss == "quantile" else {}
    y = abs(Y_REG)
    reg = DaskMLPRegressor(loss, **SMALL, **more).fit(*cut(X_REG, y))
    assert reg.loss_curve_[-1] < reg.loss_curve_[0]
    predicted = reg.predict(cut(X_REG)[0]).compute()
    assert_array_equal(predicted, reg.to_local().predict(X_REG))


# The rest of a fit is that of memory.


def test_validation_callbacks_and_stopping() -> None:
    history = History()
    arguments = {**SMALL, "max_iter": 200, "early_stopping": True, "n_iter_no_change": 3}
    est = DaskMLPClassifier(**arguments, callbacks=[history])
    est.fit(*cut(X, Y), X_val=cut(X[:80], sizes=(40, 40))[0], y_val=Y[:80])
    assert len(est.validation_scores_) == est.n_iter_ == len(history.history_["loss"])
    assert est.best_validation_score_ == est.to_local().score(X[:80], Y[:80])


def test_the_mean_loss_of_all_partitions_stops() -> None:
    est = DaskMLPClassifier(**{**SMALL, "max_iter": 500}, tol=0.05, n_iter_no_change=2).fit(*cut(X, Y))
    assert est.n_iter_ < 500
    best = np.minimum.accumulate(est.loss_curve_)
    assert all(loss > least - 0.05 for loss, least in zip(est.loss_curve_[-3:], best[-4:-1], strict=True))


def test_reaching_max_iter_warns() -> None:
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        DaskMLPClassifier(**SMALL).fit(*cut(X, Y))


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_norm": True},
        {"ema_decay": 0.9},
        {"solver": "sgd", "learning_rate": "adaptive"},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"clip_norm": 0.1, "gradient_noise": 0.01, "l1_ratio": 0.5},
        {"record_gradients": True},
        {"backprop_depth": lambda epoch: 1 + epoch // 2},
        {"label_smoothing": 0.1, "verbose": True},
    ],
    ids=" ".join,  # of the names
)
def test_arguments(arguments: dict[str, Any]) -> None:
    est = DaskMLPClassifier(**SMALL, **arguments).fit(*cut(X, Y))
    assert est.loss_curve_[-1] < est.loss_curve_[0]
    assert est.to_local().score(X, Y) == est.score(X, Y)
    if "record_gradients" in arguments:
        assert np.shape(est.gradient_records_["gradient_norm"]) == (4, 2)


def test_a_large_network_is_no_large_graph() -> None:
    """Of which Dask would warn."""
    est = DaskMLPClassifier(**{**SMALL, "hidden_layer_sizes": (800, 800), "max_iter": 1}).fit(*cut(X, Y))
    assert sum(each.nbytes for each in weights_of(est)) > 5e6  # with two moments beyond Dask's 10 MiB


def test_max_time() -> None:
    est = DaskMLPClassifier(**{**SMALL, "max_iter": 10_000}, max_time=1e-9)
    with pytest.warns(ConvergenceWarning, match="max_time"):
        est.fit(*cut(X, Y))
    assert est.n_iter_ == 1


def test_two_halves_are_one_fit() -> None:
    one = DaskMLPClassifier(**SMALL, n_iter_no_change=100).fit(*cut(X, Y))
    two = DaskMLPClassifier(
        **{**SMALL, "max_iter": 2}, n_iter_no_change=100, warm_start=True, keep_optimizer_state=True
    )
    two.fit(*cut(X, Y))
    two = pickle.loads(pickle.dumps(two))
    assert_same_bits(two.fit(*cut(X, Y)), one)


def test_partial_fit_is_a_round() -> None:
    est = DaskMLPClassifier(**SMALL)
    est.partial_fit(*cut(X, Y), classes=[0, 1, 2, 3])
    est.partial_fit(*cut(X, Y))
    assert len(est.loss_curve_) == 2
    assert est.loss_curve_[1] < est.loss_curve_[0]
    assert len(est.classes_) == 4


def test_divergence_keeps_the_last_round() -> None:
    est = DaskMLPRegressor(**SMALL, solver="sgd", learning_rate_init=1e10)
    with pytest.raises(ValueError, match="non-finite"):
        est.fit(*cut(X_REG, Y_REG * 1e100))
    assert all(np.isfinite(each).all() for each in weights_of(est))


# The estimator.


def test_to_local(tmp_path: Any) -> None:
    est = DaskMLPClassifier(**SMALL).fit(*cut(X, Y))
    local = est.to_local()
    assert type(local) is gdfast.MLPClassifier
    fitted = {name for name in vars(est) if name.endswith("_")}
    assert fitted <= set(vars(local))
    assert_array_equal(local.predict_proba(X), est.predict_proba(X))
    local.coefs_[0][:] = 0
    assert est.coefs_[0].any()
    step = est._optimizer.state_dict()["step"]
    local.partial_fit(X, Y)  # it goes on, alone
    assert local._optimizer.state_dict()["step"] > step == est._optimizer.state_dict()["step"]
    est.save(tmp_path / "model.safetensors")
    loaded = gdfast.load(tmp_path / "model.safetensors")
    assert_array_equal(loaded.predict_proba(X), est.predict_proba(X))


def test_clones_and_pickles_have_no_client(client: Any) -> None:
    est = DaskMLPClassifier(**SMALL)
    est.client = client
    est.fit(*cut(X, Y))
    assert "_client" not in vars(clone(est))
    other = pickle.loads(pickle.dumps(est))
    assert "_client" not in vars(other)
    assert other.client is client  # the current one
    est.client = None
    assert est.client is client


def test_constructor() -> None:
    est = DaskMLPClassifier(20, "tanh", n_groups=2)
    assert est.get_params()["hidden_layer_sizes"] == 20
    assert repr(est) == "DaskMLPClassifier(activation='tanh', hidden_layer_sizes=20, n_groups=2)"
    for ours, theirs in ((est, gdfast.MLPClassifier()), (DaskMLPRegressor(), gdfast.MLPRegressor())):
        assert [*ours.get_params()] == sorted(
            [*theirs.get_params(), "local_epochs", "n_groups", "synchronous"]
        )
    with pytest.raises(TypeError, match=r"DaskMLPClassifier.__init__\(\) got an unexpected.*'n_group'"):
        DaskMLPClassifier(n_group=2)


def test_nothing_stays_on_the_cluster(client: Any) -> None:
    before = set(client.futures)
    est = DaskMLPClassifier(**SMALL).fit(*cut(X, Y))
    for _ in range(600):  # the client lets go on a thread of its own
        if set(client.futures) <= before:
            break
        time.sleep(0.05)
    assert set(client.futures) <= before
    assert est.n_iter_ == 4
