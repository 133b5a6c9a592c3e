"""Whatever is refused is refused before anything is written; input in an odd form is taken with a copy."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import assert_same_bits, parameters
from scipy import sparse
from sklearn.exceptions import NotFittedError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
N = 40
X = RNG.normal(size=(N, 3))
SEQUENCES = RNG.normal(size=(N, 4, 3))
NUMBERS = RNG.normal(size=N)
LABELS = (X[:, 0] > 0).astype(int)
ARGUMENTS = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}

KINDS = {
    "classifier": gdfast.MLPClassifier,
    "regressor": gdfast.MLPRegressor,
    "rnn classifier": gdfast.RNNClassifier,
    "rnn regressor": gdfast.RNNRegressor,
}


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    return (SEQUENCES if name.startswith("rnn") else X), (LABELS if "class" in name else NUMBERS)


def first_call(est: Any, data: Any, y: Any) -> Any:
    return (
        est.partial_fit(data, y, classes=[0, 1])
        if hasattr(est, "predict_proba")
        else est.partial_fit(data, y)
    )


def unsuited(est: Any, X: Any, y: Any) -> float:
    raise TypeError("not for this task")


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.astype(np.float64)
    changed.flat[0] = value
    return changed


# Arguments to set, and what to change of X, y and sample_weight; and what an error names.
Change = Callable[[np.ndarray, np.ndarray], tuple[Any, Any, Any]]
REFUSED: dict[str, tuple[dict[str, Any], Change, str]] = {
    "NaN": ({}, lambda X, y: (with_value(X, np.nan), y, None), "NaN"),
    "other features": ({}, lambda X, y: (X[..., :2], y, None), "features"),
    "too few targets": ({}, lambda X, y: (X, y[:-1], None), "[Ii]nconsistent|targets"),
    "a complex X": ({}, lambda X, y: (X + 1j, y, None), "[Cc]omplex"),
    "infinite weights": ({}, lambda X, y: (X, y, np.full(N, np.inf)), "sample_weight"),
    "weights of zero": ({}, lambda X, y: (X, y, np.zeros(N)), "[Ss]ample.weight"),
    "weights that cancel": ({}, lambda X, y: (X, y, np.resize([1.0, -1.0], N)), "sample_weight"),
    "weights that overflow": ({}, lambda X, y: (X, y, np.full(N, 1e308)), "sample_weight"),
    "weights that vanish": ({}, lambda X, y: (X, y, np.full(N, 1e-310)), "sample_weight"),
    "no threads": ({"n_jobs": 0}, lambda X, y: (X, y, None), "n_jobs"),
    "no rate": ({"learning_rate_init": 0.0}, lambda X, y: (X, y, None), "learning_rate_init"),
    "an impossible rate": ({"schedule": lambda epoch: -1.0}, lambda X, y: (X, y, None), "rates"),
    "no solver": ({"solver": "newton"}, lambda X, y: (X, y, None), "solver"),
    "a callback that fails": ({"callbacks": [3]}, lambda X, y: (X, y, None), "callback"),
}


# A later partial_fit is under way with its schedule and calls no callbacks; with that solver there is none.
NOT_OF_PARTIAL_FIT = ("an impossible rate", "a callback that fails", "no solver")


@pytest.mark.parametrize("call", ["fit", "warm fit", "partial_fit", "first fit", "first partial_fit"])
@pytest.mark.parametrize("refused", REFUSED)
def test_a_refused_call_changes_nothing(name: str, refused: str, call: str) -> None:
    arguments, change, named = REFUSED[refused]
    if call in ("fit", "first fit") and refused == "other features":
        pytest.skip("such a fit begins anew")
    if "partial" in call and refused in NOT_OF_PARTIAL_FIT:
        pytest.skip("of no partial_fit")
    est = KINDS[name](**ARGUMENTS)
    good = data(name)
    first = call.startswith("first")
    if not first:
        est.fit(*good)
    elif refused == "other features":
        first_call(est, *good)
    est.set_params(warm_start=call == "warm fit")
    before, bits = dict(vars(est)), copy.deepcopy(vars(est))
    est.set_params(**arguments)
    X_bad, y_bad, weight = change(*good)
    run = est.fit if call.endswith("fit") and "partial" not in call else est.partial_fit
    extra = {"classes": [0, 1]} if first and "partial" in call and "class" in name else {}
    with pytest.raises((ValueError, TypeError), match=named):
        run(X_bad, y_bad, sample_weight=weight, **extra)
    est.set_params(**{argument: before[argument] for argument in arguments})
    after = vars(est)
    assert list(after) == list(before)
    assert all(after[key] is before[key] for key in before if key not in arguments)
    for key, value in bits.items():
        if isinstance(value, list | np.ndarray):
            np.testing.assert_equal(after[key], value)
    if first and refused != "other features":
        with pytest.raises(NotFittedError):
            est.predict(good[0])


WRONG: dict[str, Any] = {
    "tol": "a",
    "n_iter_no_change": [1],
    "epsilon": "x",
    "beta_1": None,
    "batch_size": "b",
    "max_iter": "c",
    "n_jobs": "d",
    "gradient_noise": "e",
    "verbose": "f",
    "resume": 5,
    "coefs_init": 5,
    "callbacks": 5,
    "learning_rate_init": [1],
    "record_gradients": "g",
}


@pytest.mark.parametrize("argument", WRONG)
def test_partial_fit_checks_arguments_that_have_been_set_since(name: str, argument: str) -> None:
    est, good = KINDS[name](**ARGUMENTS), data(name)
    est.fit(*good)
    for _ in range(2):
        est.partial_fit(*good)
        before, weights = dict(vars(est)), [array.copy() for array in est.coefs_]
        est.set_params(**{argument: WRONG[argument]})
        for _ in range(2):
            with pytest.raises((ValueError, TypeError), match=f"The '{argument}' parameter of"):
                est.partial_fit(*good)
        est.set_params(**{argument: before[argument]})
        assert all(vars(est)[key] is value for key, value in before.items())
        np.testing.assert_equal(est.coefs_, weights)


def test_partial_fit_of_a_class_without_a_hash(name: str) -> None:
    class Comparable(KINDS[name]):  # type: ignore[misc]
        def __eq__(self, other: object) -> bool:
            return type(self) is type(other)

        __hash__ = None  # type: ignore[assignment]

    est = Comparable(**ARGUMENTS).fit(*data(name)).partial_fit(*data(name))
    with pytest.raises(ValueError, match="The 'tol' parameter of"):
        est.set_params(tol="a").partial_fit(*data(name))


def interrupt(epoch: int) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize("depth", [lambda epoch: 99, interrupt], ids=["no depth", "Ctrl-C"])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_an_epoch_without_a_step_leaves_schedule_and_order(call: str, depth: Any) -> None:
    """The first epoch has begun then: its rate is known, its rows are drawn."""
    schedule = gdfast.schedules.Exponential(0.5)
    going_on = {"keep_optimizer_state": True, "warm_start": True, "batch_size": 5, "schedule": schedule}
    est = gdfast.MLPClassifier(**ARGUMENTS, **going_on).fit(X, LABELS)
    twin = copy.deepcopy(est)
    est.backprop_depth = depth
    with pytest.raises((ValueError, KeyboardInterrupt)):
        getattr(est, call)(X, LABELS)
    est.backprop_depth = None
    for net in (est, twin):
        getattr(net, call)(X, LABELS)
    assert est.learning_rate_curve_ == twin.learning_rate_curve_
    assert_same_bits(parameters(est), parameters(twin))


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg", "annealing"])
def test_a_scorer_that_does_not_suit_the_task_is_refused_first(solver: str) -> None:
    est = gdfast.MLPRegressor(solver=solver, **ARGUMENTS).fit(X, NUMBERS)
    before = parameters(est)
    for scoring in ("accuracy", "roc_auc", unsuited):
        est.set_params(scoring=scoring)
        with pytest.raises(ValueError, match="scoring"):
            est.fit(X, NUMBERS, X_val=X, y_val=NUMBERS)
        assert_same_bits(parameters(est), before)
        assert est.n_iter_ > 0


@pytest.mark.parametrize(
    "scoring", ["neg_max_error", lambda est, X, y: -float(np.abs(est.predict(X) - y).max())]
)
@pytest.mark.parametrize("solver", ["adam", "annealing"])
def test_a_scorer_without_weights_is_used_without(scoring: Any, solver: str) -> None:
    est = gdfast.MLPRegressor(solver=solver, scoring=scoring, **ARGUMENTS)
    weight = np.linspace(0.1, 1, N)
    with pytest.warns(UserWarning, match=r"scoring=.* takes no sample_weight") as caught:
        est.fit(X, NUMBERS, weight, X_val=X, y_val=NUMBERS, sample_weight_val=weight)
    assert len([w for w in caught if "sample_weight" in str(w.message)]) == 1
    assert len(est.validation_scores_) > 0


# Forms.


def unaligned(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"#" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_that_are_not_aligned_are_data_like_any_other(name: str, dtype: type) -> None:
    X, y = data(name)
    X, weight = X.astype(dtype), RNG.rand(N).astype(dtype)
    y = y.astype(dtype) if "regress" in name else y
    plain, odd = (KINDS[name](**ARGUMENTS) for _ in range(2))
    plain.fit(X, y, weight, X_val=X, y_val=y, sample_weight_val=weight)
    u = unaligned
    assert not u(X).flags.aligned
    odd.fit(u(X), u(y), u(weight), X_val=u(X), y_val=u(y), sample_weight_val=u(weight))
    assert_same_bits(parameters(odd), parameters(plain))
    np.testing.assert_array_equal(odd.predict(u(X)), plain.predict(X))
    np.testing.assert_array_equal(odd.predict(u(X)[:1]), plain.predict(X[:1]))
    assert odd.score(u(X), u(y), u(weight)) == plain.score(X, y, weight)
    odd.partial_fit(u(X), u(y), u(weight))
    assert_same_bits(parameters(odd), parameters(plain.partial_fit(X, y, weight)))


INDICES = [("int32", "int64"), ("int64", "int32"), ("int16", "int16"), ("uint32", "uint64"), (">i4", ">i8")]


@pytest.mark.parametrize("types", INDICES)
def test_indices_of_sparse_rows_may_be_of_any_integer_type(types: tuple[str, str]) -> None:
    plain = sparse.csr_matrix(X * (RNG.rand(*X.shape) < 0.5))
    odd = plain.copy()
    odd.indices, odd.indptr = odd.indices.astype(types[0]), odd.indptr.astype(types[1])
    fits = [gdfast.MLPRegressor(**ARGUMENTS).fit(rows, NUMBERS) for rows in (plain, odd)]
    assert_same_bits(parameters(fits[1]), parameters(fits[0]))
    np.testing.assert_array_equal(fits[0].predict(odd), fits[0].predict(plain))


def test_more_threads_than_any_machine_has(name: str) -> None:
    X, y = data(name)
    many, one = (KINDS[name](**ARGUMENTS, n_jobs=n_jobs).fit(X, y) for n_jobs in (10**30, 1))
    assert_same_bits(parameters(many), parameters(one))
    np.testing.assert_array_equal(many.predict(X), one.predict(X))


# One fit at a time.


class Call:
    def __init__(self, what: Callable[[Any], Any]) -> None:
        self.what = what

    def on_epoch_end(self, est: Any, epoch: int, logs: Any) -> None:
        self.what(est)


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_a_callback_cannot_fit_its_own_estimator(name: str, again: str) -> None:
    good = data(name)
    est = KINDS[name](**ARGUMENTS)
    est.set_params(callbacks=[Call(lambda est: getattr(est, again)(*good))])
    with pytest.raises(RuntimeError, match="already being fitted"):
        est.fit(*good)
    assert est.n_iter_ == 1
    est.set_params(callbacks=None)
    plain = KINDS[name](**ARGUMENTS).fit(*good)
    assert_same_bits(parameters(est.fit(*good)), parameters(plain))


def test_a_callback_may_fit_copies_of_its_estimator(name: str) -> None:
    good = data(name)
    others: list[Any] = []

    def fit_copies(est: Any) -> None:
        for twin in (copy.copy(est), pickle.loads(pickle.dumps(copy.copy(est).set_params(callbacks=None)))):
            others.append(twin.set_params(callbacks=None).fit(*good))

    est = KINDS[name](callbacks=[Call(fit_copies)], **ARGUMENTS).fit(*good)
    assert len(others) == 2 * est.n_iter_


def test_of_two_threads_one_fits(name: str) -> None:
    good = data(name)
    inside, goes_on = threading.Event(), threading.Event()

    def wait(est: Any) -> None:
        inside.set()
        goes_on.wait(60)

    est = KINDS[name](callbacks=[Call(wait)], **ARGUMENTS)
    thread = threading.Thread(target=est.fit, args=good)
    thread.start()
    try:
        assert inside.wait(60)
        for again in (est.fit, est.partial_fit):
            with pytest.raises(RuntimeError, match="already being fitted"):
                again(*good)
    finally:
        goes_on.set()
        thread.join()
    plain = KINDS[name](**ARGUMENTS).fit(*good)
    assert_same_bits(parameters(est), parameters(plain))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_during_a_fit_can_fit() -> None:
    statuses: list[int] = []

    def fork(est: Any) -> None:
        child = os.fork()
        if child == 0:
            try:
                est.set_params(callbacks=None).fit(X, NUMBERS)
                os._exit(0)
            finally:
                os._exit(1)
        statuses.append(os.waitpid(child, 0)[1])

    gdfast.MLPRegressor(callbacks=[Call(fork)], **ARGUMENTS).fit(X, NUMBERS)
    assert statuses == [0, 0]


# What a mean is.


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg", "annealing"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_without_a_mean_in_the_dtype_of_training(solver: str, dtype: type) -> None:
    limits = np.finfo(dtype)
    est = gdfast.MLPRegressor(solver=solver, **ARGUMENTS).fit(X.astype(dtype), NUMBERS)
    before = parameters(est)
    for weight in (
        np.full(N, float(limits.tiny) / 1e6),
        np.full(N, float(limits.max) / 2),
        np.resize([3, -3.0], N),
    ):
        with pytest.raises(ValueError, match=r"sample_weight sums to"):
            est.fit(X.astype(dtype), NUMBERS, weight)
        with pytest.raises(ValueError, match=r"sample_weight(_val)? sums to"):
            est.fit(X.astype(dtype), NUMBERS, X_val=X.astype(dtype), y_val=NUMBERS, sample_weight_val=weight)
        assert_same_bits(parameters(est), before)


def test_weights_that_cancel_in_every_batch_are_an_error() -> None:
    weight = np.r_[np.tile([0.1, 0.2, -0.1, -0.2], N // 4)[:-4], [0.1, 0.2, -0.3, 0.0]]
    with pytest.raises(ValueError, match="sample_weight"):
        gdfast.MLPRegressor(batch_size=4, shuffle=False, **ARGUMENTS).fit(X, NUMBERS, weight)


@pytest.mark.parametrize("kind", ["regressor", "rnn regressor"])
@pytest.mark.parametrize("batch_size", [1, 3, N])
def test_the_mean_loss_is_over_what_was_trained_on(kind: str, batch_size: int) -> None:
    rows, _ = data(kind)
    weight = (np.arange(N) % 4 == 0) * 1.0
    est = KINDS[kind](
        hidden_layer_sizes=4, batch_size=batch_size, max_iter=1, solver="sgd", momentum=0, alpha=0,
        shuffle=False, learning_rate_init=1e-300, random_state=0,
    ).fit(rows, NUMBERS, weight)  # fmt: skip
    losses = (est.predict(rows) - NUMBERS) ** 2 / 2
    means, counts = [], []
    for first in range(0, N, batch_size):
        batch = slice(first, first + batch_size)
        if weight[batch].any():
            means.append(np.average(losses[batch], weights=weight[batch]))
            counts.append(len(losses[batch]))
    assert est.loss_ == pytest.approx(np.average(means, weights=counts), rel=1e-12)
