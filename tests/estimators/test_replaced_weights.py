"""Weights that a user edits, replaces or removes, between fits and within them.

Training goes on with the network that is there, or a ValueError names what is wrong. No size is taken from
arrays that somebody else may change.
"""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import assert_same_bits, parameters
from gdfast import _core
from scipy import sparse

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 6))
Y = (X[:, 0] > 0).astype(int)
SEQUENCES = RNG.normal(size=(60, 4, 6))
ARGUMENTS = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}

MAKERS: dict[str, Callable[..., Any]] = {
    "classifier": gdfast.MLPClassifier,
    "regressor": gdfast.MLPRegressor,
    "normalised": lambda **kwargs: gdfast.MLPClassifier(batch_norm=True, **kwargs),
    "rnn classifier": gdfast.RNNClassifier,
    "rnn regressor": lambda **kwargs: gdfast.RNNRegressor(cell="lstm", **kwargs),
}


def rows(name: str) -> np.ndarray:
    return SEQUENCES if name.startswith("rnn") else X


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fitted(name: str, **kwargs: Any) -> Any:
    est = MAKERS[name](**ARGUMENTS, **kwargs)
    if "classifier" in name or name == "normalised":
        return est.partial_fit(rows(name), Y, classes=[0, 1])
    return est.partial_fit(rows(name), Y)


def replace(attribute: str, i: int, value: Callable[[np.ndarray], Any]) -> Callable[[Any], None]:
    def edit(est: Any) -> None:
        arrays = list(getattr(est, attribute))
        arrays[i] = value(arrays[i])
        setattr(est, attribute, arrays)

    return edit


def in_place(attribute: str, i: int, value: Any) -> Callable[[Any], None]:
    def edit(est: Any) -> None:
        getattr(est, attribute)[i] = value

    return edit


BOTH = ("coefs_", "intercepts_")

# What is wrong, and the attribute that an error has to name.
WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "None": (in_place("coefs_", 0, None), "coefs_"),
    "tiny": (in_place("coefs_", 0, np.zeros((1, 1))), "coefs_"),
    "a number": (in_place("coefs_", -1, 3.0), "coefs_"),
    "flat": (replace("coefs_", 0, np.ravel), "coefs_"),
    "transposed": (replace("coefs_", 0, np.transpose), "coefs_"),
    "no dimension": (replace("coefs_", 0, lambda a: np.float64(1.0)), "coefs_"),
    "objects": (replace("coefs_", 0, lambda a: a.astype(object)), "coefs_"),
    "text": (replace("coefs_", 0, lambda a: a.astype(str)), "coefs_"),
    "complex": (replace("coefs_", 0, lambda a: a + 1j), "coefs_"),
    "one less": (lambda est: est.coefs_.pop(), "coefs_"),
    "one more": (lambda est: est.coefs_.append(np.ones((1, 1))), "coefs_"),
    "a list that is none": (lambda est: setattr(est, "coefs_", None), "coefs_"),
    "a stack": (lambda est: setattr(est, "coefs_", np.ones((2, 3, 3))), "coefs_"),
    "more outputs": (
        lambda est: [replace(n, -1, lambda a: np.repeat(a, 9, axis=-1))(est) for n in BOTH],
        "coefs_",
    ),
    "short biases": (replace("intercepts_", 0, lambda a: a[:-1]), "intercepts_"),
    "no biases": (lambda est: delattr(est, "intercepts_"), "intercepts_"),
    "biases of None": (in_place("intercepts_", 0, None), "intercepts_"),
}
WRONG_NORMS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "short norms": (replace("bn_gamma_", 0, lambda a: a[:-1]), "bn_gamma_"),
    "norms of None": (in_place("bn_mean_", 0, None), "bn_mean_"),
    "no norms": (lambda est: delattr(est, "bn_var_"), "bn_var_"),
    "one norm less": (lambda est: est.bn_beta_.pop(), "bn_beta_"),
}
USES: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "predict": lambda est, data: est.predict(data),
    "predict a row": lambda est, data: est.predict(data[:1]),
    "partial_fit": lambda est, data: est.partial_fit(data, Y),
    "fit": lambda est, data: est.set_params(warm_start=True).fit(data, Y),
    "score": lambda est, data: est.score(data, Y),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("wrong", [*WRONG, *WRONG_NORMS])
def test_wrong_weights_are_named_between_fits(name: str, wrong: str, use: str) -> None:
    if wrong in WRONG_NORMS and name != "normalised":
        pytest.skip("nothing is normalised")
    edit, attribute = {**WRONG, **WRONG_NORMS}[wrong]
    est = fitted(name)
    twin = copy.deepcopy(est)
    kept = {n: list(v) for n, v in vars(est).items() if isinstance(v, list)}
    edit(est)
    pickle.loads(pickle.dumps(est))
    for _ in range(2):  # the same at the first call as at the second
        with pytest.raises(ValueError, match=attribute):
            USES[use](est, rows(name))
    # Put back, they are what they were, moments included.
    vars(est).update({n: list(v) for n, v in kept.items()})
    for _ in range(2):
        est.partial_fit(rows(name), Y)
        twin.partial_fit(rows(name), Y)
    assert_same_bits(parameters(est), parameters(twin))


class At:
    def __init__(self, hook: str, edit: Callable[[Any], Any]) -> None:
        self.edit = edit
        self.done = False
        setattr(self, hook, self._once)

    def _once(self, est: Any, epoch: int = 0, logs: Any = None) -> None:
        if not self.done:
            self.done = True
            self.edit(est)


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg", "annealing"])
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_weights_are_named_within_a_fit(wrong: str, hook: str, solver: str) -> None:
    """Of lbfgs and annealing once they have begun the weights are their own, whatever a callback leaves."""
    edit, attribute = WRONG[wrong]
    est = gdfast.MLPClassifier(solver=solver, callbacks=[At(hook, edit)], **ARGUMENTS)
    if solver == "adam" or hook == "on_train_begin":
        with pytest.raises(ValueError, match=attribute):
            est.fit(X, Y)
    else:
        plain = gdfast.MLPClassifier(solver=solver, **ARGUMENTS).fit(X, Y)
        assert_same_bits(parameters(est.fit(X, Y)), parameters(plain))


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
@pytest.mark.parametrize("change", ["shape", "read-only"])
def test_arrays_that_a_callback_changes_themselves(change: str, solver: str) -> None:
    def edit(est: Any) -> None:
        for array in (*est.coefs_, *est.intercepts_):
            if change == "shape":
                array.shape = (-1, 1)
            else:
                array.flags.writeable = False

    plain = gdfast.MLPClassifier(solver=solver, **ARGUMENTS).fit(X, Y)
    for hook in ("on_epoch_begin", "on_epoch_end"):
        est = gdfast.MLPClassifier(solver=solver, callbacks=[At(hook, edit)], **ARGUMENTS).fit(X, Y)
        assert_same_bits(parameters(est), parameters(plain))
        np.testing.assert_array_equal(est.predict(X), plain.predict(X))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
def test_weights_between_fits_may_be_matrices(solver: str) -> None:
    est, twin = (gdfast.MLPClassifier(solver=solver, warm_start=True, **ARGUMENTS).fit(X, Y) for _ in "ab")
    est.coefs_ = [np.matrix(coef) for coef in est.coefs_]
    assert_same_bits(parameters(est.fit(X, Y)), parameters(twin.fit(X, Y)))


FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "fortran": np.asfortranarray,
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": lambda a: np.frombuffer(b"#" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "a part of another": lambda a: np.repeat(np.repeat(a, 2, -1), 2, 0)[::2, ::2] if a.ndim == 2 else a,
    "a matrix": lambda a: np.matrix(a) if a.ndim == 2 else a,
    "other bytes": lambda a: a.astype(a.dtype.newbyteorder()),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
def test_weights_in_any_form_are_taken(name: str, form: str) -> None:
    est, twin = fitted(name), fitted(name)
    est.coefs_ = tuple(FORMS[form](coef) for coef in est.coefs_)
    est.intercepts_ = [FORMS[form](intercept) for intercept in est.intercepts_]
    np.testing.assert_array_equal(est.predict(rows(name)), twin.predict(rows(name)))
    est.partial_fit(rows(name), Y)
    assert_same_bits(parameters(est), parameters(twin.partial_fit(rows(name), Y)))


@pytest.mark.parametrize("where", ["between calls", "in a callback"])
def test_moments_that_do_not_fit_are_dropped(where: str) -> None:
    """Weights cast to float32: between calls training goes on in float32, within a fit as it began."""

    def cast(est: Any) -> None:
        for attribute in ("coefs_", "intercepts_"):
            setattr(est, attribute, [a.astype(np.float32) for a in getattr(est, attribute)])

    if where == "in a callback":
        est = gdfast.MLPClassifier(callbacks=[At("on_epoch_end", cast)], **ARGUMENTS).fit(X, Y)
        assert est.coefs_[0].dtype == np.float64
        return
    est = fitted("classifier")
    cast(est)
    anew = gdfast.MLPClassifier(**ARGUMENTS, warm_start=True)
    anew.coefs_init, anew.intercepts_init = copy.deepcopy((est.coefs_, est.intercepts_))
    est.partial_fit(X, Y)
    anew.partial_fit(X.astype(np.float32), Y, classes=[0, 1])
    assert est.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(est.coefs_[0], anew.coefs_[0], rtol=1e-3)


def prune(est: Any) -> None:
    est.coefs_[0] = est.coefs_[0][:, :2].copy()
    est.coefs_[1] = est.coefs_[1][:2].copy()
    est.intercepts_[0] = est.intercepts_[0][:2].copy()
    est.set_params(hidden_layer_sizes=(2,))


def test_a_pruned_network_continues() -> None:
    est = gdfast.MLPClassifier(callbacks=[At("on_epoch_end", prune)], **ARGUMENTS).fit(X, Y)
    assert [coef.shape for coef in est.coefs_] == [(6, 2), (2, 1)]
    assert est.n_iter_ == 3
    est.partial_fit(X, Y).predict(X)


def test_the_best_network_comes_back_whatever_its_shape() -> None:
    """The one before it was pruned scores best: noise is all that later ones learn."""
    scores = iter([1.0, 0.5, 0.4, 0.3, 0.2])
    est = gdfast.MLPClassifier(
        callbacks=[At("on_epoch_end", prune)], scoring=lambda *_: next(scores), **ARGUMENTS
    )
    est.fit(X, Y, X_val=X, y_val=Y)  # 1.0 is that of the first weights
    assert [coef.shape for coef in est.coefs_] == [(6, 5), (5, 1)]


# The core.


def make_trainer(coefs: Any, intercepts: Any) -> Any:
    return _core.Trainer(
        coefs,
        intercepts,
        ["relu"],
        "squared_error",
        batch_size=20,
        rule="sgd",
        rule_params={"momentum": 0.9, "nesterov": 0.0},
    )


@pytest.mark.parametrize("change", ["item", "cleared", "reshaped", "resized", "another dtype"])
def test_a_trainer_takes_no_size_from_what_python_can_change(change: str) -> None:
    coefs, intercepts = [np.ones((6, 200)), np.ones((200, 1))], [np.ones(200), np.ones(1)]
    trainer = make_trainer(coefs, intercepts)
    first = coefs[0]
    if change == "item":
        coefs[0] = np.zeros((1, 1))
    elif change == "cleared":
        coefs.clear()
        intercepts.clear()
    elif change == "reshaped":
        first.shape = (200, 6)
    elif change == "resized":
        first.resize((1, 1), refcheck=False)
    else:
        first.dtype = np.float32
    shapes = [[a.shape for a in arrays] for arrays in trainer.state_dict()["slots"].values()]
    assert shapes == [[(6, 200), (200, 1), (200,), (1,)]]
    run = (X, Y[:, np.newaxis].astype(float))
    if change in ("item", "cleared"):  # the trainer's own references are as they were
        trainer.load()
        trainer.run_epoch(*run, learning_rate=0.01)
        return
    with pytest.raises((ValueError, TypeError), match=r"coefs\[0\]"):
        trainer.load()
    with pytest.raises((ValueError, TypeError), match=r"coefs\[0\]"):
        trainer.run_epoch(*run, learning_rate=0.01)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_sparse_rows_and_labels_that_change_in_mid_epoch_stay_in_bounds(index: type) -> None:
    """What another thread writes there ends in any weights, but nothing beyond is read."""
    matrix = sparse.random(4000, 50, 0.1, "csr", random_state=0)
    csr = matrix.data, matrix.indices.astype(index), matrix.indptr.astype(index)
    good = [array.copy() for array in csr[1:]]
    labels = (RNG.rand(4000) * 3).astype(np.int32)
    coefs, intercepts = [np.ones((50, 8)), np.ones((8, 3))], [np.ones(8), np.ones(3)]
    trainer = _core.Trainer(
        coefs,
        intercepts,
        ["relu"],
        "cross_entropy",
        batch_size=100,
        rule="sgd",
        rule_params={"momentum": 0.0},
    )
    limit = np.iinfo(index)
    ends = threading.Event()

    def disturb() -> None:
        while not ends.is_set():
            csr[1][::7] = limit.max
            csr[1][3::7] = limit.min
            csr[2][5::11] = limit.max
            csr[2][6::11] = limit.min
            labels[::3] = 2**31 - 1
            for array, kept in zip(csr[1:], good, strict=True):
                array[...] = kept
            labels[::3] = 0

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(40):
            with suppress(ValueError):  # by the checks before it begins
                trainer.run_epoch(csr, labels, learning_rate=1e-9)
            with suppress(ValueError):
                _core.forward(csr, coefs, intercepts, ["relu"], "softmax")
    finally:
        ends.set()
        thread.join()
