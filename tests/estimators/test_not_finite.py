"""Numbers that stop being finite: found at the end of the epoch, never fitted, and explained."""

from __future__ import annotations

import re
import warnings
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from fits import KINDS, make, parameters, trained_arrays
from gdfast import optim
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

X, LABELS = make()
Y = X[:, 0] + X[:, 1] * X[:, 2]
BEGINNING = "Solver produced non-finite parameter weights. The input data may contain large values"


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def problem(kind: Any) -> tuple[np.ndarray, np.ndarray]:
    return X, (LABELS if kind is gdfast.MLPClassifier else Y)


def causes(text: str) -> list[str]:
    """The measured causes, the likeliest first."""
    listed = text.partition("Measured, the likeliest cause first: ")[2].rstrip(".")
    return [re.match(r"feature|y|learning rate", cause)[0] for cause in listed.split("; ")]  # type: ignore[index]


def divergence(fit: Any, *args: Any) -> str:
    with pytest.raises(ValueError, match=re.escape(BEGINNING)) as raised:
        fit(*args)
    return str(raised.value)


# What is said.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_learning_rate_is_the_likeliest_cause(dtype: type, batch_norm: bool) -> None:
    est = gdfast.MLPRegressor(
        hidden_layer_sizes=(20, 20), solver="sgd", learning_rate_init=1e3, batch_norm=batch_norm,
        random_state=0, n_iter_no_change=1000, max_iter=1000,
    )  # fmt: skip
    text = divergence(est.fit, X.astype(dtype), Y.astype(dtype))
    assert re.search(
        r"In epoch \d+ the first numbers that are not finite were (the \w+ of )?coefs_\[\d\]", text
    )
    assert int(re.search(r"In epoch (\d+)", text)[1]) == est.n_iter_ + 1  # type: ignore[index]
    assert causes(text)[0] == "learning rate"
    assert "learning rate 1e+03 changes weights by" in text
    assert "(usual)" in text  # of the others
    assert all(np.isfinite(array).all() for array in trained_arrays(est))


@pytest.mark.parametrize("form", ["array", "frame", "sparse"])
def test_a_feature_is_the_likeliest_cause(form: str) -> None:
    wide = X * np.array([1, 1, 1e9, 1, 1])
    given = {"array": wide, "sparse": sparse.csr_array(wide)}.get(form)
    if form == "frame":
        given = pd.DataFrame(wide, columns=["age", "rooms", "income", "tax", "noise"])
    est = gdfast.MLPRegressor(solver="sgd", learning_rate_init=0.01, random_state=0)
    text = divergence(est.fit, given, Y)
    assert causes(text)[0] == "feature"
    name = "'income'" if form == "frame" else "2"
    assert f"feature {name} has values up to {abs(wide[:, 2]).max():.3g}" in text
    if form != "sparse":
        assert f"standard deviation {wide[:, 2].std():.3g}" in text


def test_the_target_is_the_likeliest_cause() -> None:
    est = gdfast.MLPRegressor(solver="sgd", learning_rate_init=0.01, random_state=0)
    text = divergence(est.fit, X, Y * 1e12)
    assert causes(text)[0] == "y"
    assert f"y has values up to {abs(Y).max() * 1e12:.3g}" in text


def test_a_recurrent_network_is_diagnosed_too() -> None:
    rng = np.random.default_rng(0)
    sequences = rng.normal(size=(20, 10, 3))
    est = gdfast.RNNRegressor(
        solver="sgd", learning_rate_init=1e200, per_step=True, max_iter=20, random_state=0
    )
    text = divergence(est.fit, sequences, sequences.sum(axis=2))
    assert causes(text)[0] == "learning rate"
    assert "feature" in causes(text)


def test_embedded_columns_are_diagnosed_too() -> None:
    from gdfast.preprocessing import TableEncoder

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"city": rng.choice(list("abcdefgh"), 200), "size": rng.normal(size=200)})
    rows = TableEncoder(embed_from=3, bins="quantile").fit(table).encode(table)
    est = gdfast.MLPRegressor(solver="sgd", learning_rate_init=1e200, random_state=0)
    text = divergence(est.fit, rows, np.asarray(table["size"]))
    assert causes(text) == ["learning rate", "y"]
    assert all(np.isfinite(array).all() for array in est.embeddings_)


def test_the_warning_with_a_validation_set_says_it_too() -> None:
    est = gdfast.MLPRegressor(solver="sgd", learning_rate_init=1e200, early_stopping=True, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Measured, the likeliest cause first: learning rate 1e"):
        est.fit(X, Y)


# An infinite loss or infinite moments beside finite weights.


@pytest.mark.parametrize(
    "solver",
    [
        *["adam", "rprop", "lion", "muon", "prodigy", "schedulefree", "soap", "kfac"],
        *["lbfgs", "newton-cg", "annealing"],
    ],
)
@pytest.mark.parametrize("n_iter", [1, 3])
def test_an_infinite_loss_at_once_is_warned_of(solver: str, n_iter: int) -> None:
    est = gdfast.MLPRegressor(solver=solver, max_iter=n_iter, random_state=0)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        est.fit(X, Y * 1e200)
    said = [str(each.message) for each in warned if "the training loss is" in str(each.message)]
    said += [str(each.message) for each in warned if "annealing has found no weights" in str(each.message)]
    assert len(said) == 1
    assert causes(said[0])[0] == "y"
    assert {each.category for each in warned} == {ConvergenceWarning}
    assert all(np.isfinite(array).all() for array in parameters(est))


def test_partial_fit_warns_of_an_infinite_loss() -> None:
    with pytest.warns(ConvergenceWarning, match="the training loss is inf") as warned:
        gdfast.MLPRegressor(random_state=0).partial_fit(X, Y * 1e200)
    assert len(warned) == 1


def test_partial_fit_without_weight_does_not_warn() -> None:
    est = gdfast.MLPClassifier(random_state=0, class_weight={0: 0.0, 1: 1.0, 2: 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.partial_fit(X[LABELS == 0], LABELS[LABELS == 0], classes=[0, 1, 2])


def test_infinite_moments_are_warned_of() -> None:
    """Their weights would never move again."""
    est = gdfast.MLPClassifier(random_state=0, n_iter_no_change=2)
    with pytest.warns(ConvergenceWarning, match=r"the optimizer's moments of coefs_\[0\] are not finite"):
        est.fit((X * 1e25).astype(np.float32), LABELS)


def test_an_infinite_loss_that_becomes_finite_is_not_warned_of() -> None:
    rng = np.random.default_rng(0)
    est = gdfast.MLPRegressor(
        hidden_layer_sizes=(), solver=optim.SGD(lr=1.0), clip_norm=1e160, max_iter=3, random_state=0,
        n_iter_no_change=10, intercepts_init=[np.array([1e160])], batch_size=120, alpha=0,
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        est.fit(rng.normal(size=(120, 2)) * 1e-200, np.zeros(120))
    assert est.loss_curve_[0] == np.inf
    assert np.isfinite(est.loss_)
    assert [str(w.message)[:20] for w in warned] == ["Stochastic Optimizer"]


# Numbers that others write.


class Writes:
    """Writes NaN in one of its methods, in place or as a new list."""

    def __init__(self, where: str, *, in_place: bool) -> None:
        self.where, self.in_place = where, in_place
        self.seen: list[np.ndarray] = []

    def _write(self, name: str, est: Any) -> None:
        if name != self.where:
            return
        self.seen = parameters(est)
        if self.in_place:
            est.coefs_[1][0, 0] = np.nan
        else:
            est.coefs_ = [est.coefs_[0], np.full_like(est.coefs_[1], np.inf)]

    def on_epoch_begin(self, est: Any, epoch: int, logs: Any) -> None:
        if epoch == 2:
            self._write("on_epoch_begin", est)

    def on_epoch_end(self, est: Any, epoch: int, logs: Any) -> None:
        if epoch == 2:
            self._write("on_epoch_end", est)

    def on_train_end(self, est: Any) -> None:
        self._write("on_train_end", est)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("where", ["on_epoch_begin", "on_epoch_end", "on_train_end"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg", "annealing"])
def test_nan_of_a_callback_is_not_fitted(kind: Any, solver: str, where: str, in_place: bool) -> None:
    X, y = problem(kind)
    callback = Writes(where, in_place=in_place)
    est = kind(solver=solver, callbacks=[callback], max_iter=3, random_state=0)  # 2 is the last epoch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if solver != "adam" and where != "on_train_end":  # these solvers ignore edits
            est.fit(X, y)
        else:
            with pytest.raises(ValueError, match=rf"A callback wrote .* to coefs_\[1\] in {where}"):
                est.fit(X, y)
            for now, before in zip(parameters(est), callback.seen, strict=True):
                np.testing.assert_array_equal(now, before)
    assert all(np.isfinite(array).all() for array in parameters(est))
    assert np.isfinite(est.predict(X)).all()


def test_annealing_refuses_infinite_weights_behind_a_bounded_activation() -> None:
    est = gdfast.MLPClassifier(
        activation="tanh",
        solver="annealing",
        annealing_params={"step_size": 1e308},
        max_iter=2,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        est.fit(X, LABELS)
    assert all(np.isfinite(array).all() for array in parameters(est))


def test_predictions_may_overflow() -> None:
    """Finite float32 weights and finite rows may have infinite outputs: predict returns them."""
    est = gdfast.MLPRegressor(max_iter=5, random_state=0, n_iter_no_change=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(X.astype(np.float32), Y.astype(np.float32))
    est.coefs_[0] *= 100
    assert not np.isfinite(est.predict(3e38 * np.sign(X).astype(np.float32))).all()
