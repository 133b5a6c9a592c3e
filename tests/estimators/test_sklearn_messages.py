"""What is printed, warnings and errors are scikit-learn's, word by word."""

from __future__ import annotations

import io
import re
import sys
import warnings
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import gdfast
import numpy as np
import pytest
import sklearn.neural_network
from scipy import sparse

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 4))
LABELS = RNG.randint(0, 3, 60)
BINARY = (LABELS > 0).astype(int)
SEVERAL = np.c_[BINARY, 1 - BINARY, BINARY]
VALUES = RNG.normal(size=60)
KINDS = ("MLPClassifier", "MLPRegressor")
SOLVERS = ("sgd", "adam", "lbfgs")


class Said(NamedTuple):
    """What a call has said in each way that there is."""

    error: str
    warned: list[tuple[str, str]]
    printed: str


def both_say(name: str, call: Any, **arguments: Any) -> tuple[Said, Said]:
    return tuple(
        said_by(getattr(library, name)(**arguments), call) for library in (gdfast, sklearn.neural_network)
    )


def said_by(estimator: Any, call: Any) -> Said:
    error, printed = "", io.StringIO()
    with warnings.catch_warnings(record=True) as records, redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            call(estimator)
        except Exception as caught:
            # In which order a set is printed, and at which address an object is, differs from run to run.
            error = f"{type(caught).__name__}: {re.sub(r'{.*?}|0x[0-9a-f]+', '', str(caught))}"
    # NumPy's own of overflows on the way are no message of scikit-learn's.
    warned = [(w.category.__name__, str(w.message)) for w in records if w.category is not RuntimeWarning]
    # What the numbers are is for test_against_sklearn.py.
    return Said(error, warned, re.sub(r"-?\d+\.\d+", "#", printed.getvalue()))


BAD_ARGUMENTS: dict[str, list[Any]] = {
    "alpha": ["a", None, -1.0, np.nan],
    "batch_size": ["x", -1, 0, 2.5, None],
    "learning_rate": ["x", None, 3],
    "learning_rate_init": [0, -1, "a", None],
    "power_t": [-1, "x", None],
    "max_iter": [0, 2.5, "x", None, np.inf],
    "shuffle": [1, "x", None],
    "tol": [-1, None, "x"],
    "verbose": ["x", -1, None],
    "warm_start": ["x", None, 1],
    "momentum": [-0.1, 1.1, "x"],
    "nesterovs_momentum": ["x", None],
    "early_stopping": ["x", None, 1],
    "validation_fraction": [1.0, -0.1, "x"],
    "beta_1": [1, -1, "x"],
    "beta_2": [1, -1, "x"],
    "epsilon": [0, -1, "x"],
    "n_iter_no_change": [0, 2.5, "x"],
    "max_fun": [0, 1.5, "x"],
    "random_state": ["x", -1, 2.5],
    "hidden_layer_sizes": [-1, 0, "x", None, (0,), (-2,), (3, 0), 2.5],
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("argument", BAD_ARGUMENTS)
def test_bad_arguments(argument: str, name: str) -> None:
    for value in BAD_ARGUMENTS[argument]:
        arguments = {"max_iter": 2, "hidden_layer_sizes": (3,), argument: value}
        ours, theirs = both_say(name, lambda est: est.fit(X, LABELS), **arguments)
        if argument == "learning_rate_init":  # which may also be "auto"
            ours = ours._replace(error=ours.error.replace(" or a str among ", ""))
        assert ours == theirs, value


def test_bad_losses() -> None:
    for loss in ("x", None, 3):
        ours, theirs = both_say("MLPRegressor", lambda est: est.fit(X, VALUES), loss=loss)
        assert ours.error
        assert ours == theirs


SITUATIONS = {
    "not converged": lambda est: est.fit(X, LABELS),
    "one row": lambda est: est.fit(X[:1], LABELS[:1]),
    "two rows": lambda est: est.fit(X[:2], LABELS[:2]),
    "two rows of two classes": lambda est: est.fit(X[:2], [0, 1]),
    "one column of targets": lambda est: est.fit(X, LABELS[:, None]),
    "several labels": lambda est: est.fit(X, SEVERAL),
    "truths": lambda est: est.fit(X, LABELS.astype(bool)),
    "objects": lambda est: est.fit(X.astype(object), LABELS.astype(object)),
    "lists": lambda est: est.fit(X.tolist(), LABELS.tolist()),
    "numbers as words": lambda est: est.fit(X.astype(str), LABELS),
    "no targets": lambda est: est.fit(X, None),
    "no matrix": lambda est: est.fit(None, LABELS),
    "a word": lambda est: est.fit("x", LABELS),
    "complex targets": lambda est: est.fit(X, VALUES + 1j),
    "targets all NaN": lambda est: est.fit(X, np.full(60, np.nan)),
    "constant targets": lambda est: est.fit(X, np.zeros(60)),
    "ragged targets": lambda est: est.fit(X, [[1], [2, 3]] * 30),
    "another sparse format": lambda est: est.fit(sparse.dok_matrix(X), LABELS),
    "complex sparse": lambda est: est.fit(sparse.csr_matrix(X).astype(complex), LABELS),
    "one weight for all": lambda est: est.fit(X, LABELS, sample_weight=2.5),
    "a word for a weight": lambda est: est.fit(X, LABELS, sample_weight="x"),
    "an infinite weight": lambda est: est.fit(X, LABELS, np.r_[np.ones(59), np.inf]),
    "fit again with other features": lambda est: est.fit(X, LABELS).fit(X[:, :2], LABELS),
    "predict other features": lambda est: est.fit(X, LABELS).predict(X[:, :2]),
    "predict before fit": lambda est: est.predict(X),
    "score before fit": lambda est: est.score(X, LABELS),
    "score with targets too short": lambda est: est.fit(X, LABELS).score(X, LABELS[:-1]),
    "warm start with other features": lambda est: (
        est.set_params(warm_start=True).fit(X, LABELS).fit(X[:, :3], LABELS)
    ),
    "large batch": lambda est: est.set_params(batch_size=100).fit(X, LABELS),
    "few evaluations": lambda est: est.set_params(max_fun=1).fit(X, LABELS),
    "converged": lambda est: est.set_params(tol=1e9, max_iter=50).fit(X, LABELS),
    "verbose": lambda est: est.set_params(verbose=True, max_iter=5).fit(X, LABELS),
    "verbose plateau": lambda est: est.set_params(verbose=2, max_iter=60, tol=0.1, n_iter_no_change=1).fit(
        X, LABELS
    ),
    "verbose warm start": lambda est: (
        est.set_params(verbose=1, warm_start=True).fit(X, LABELS).fit(X, LABELS)
    ),
    "a method that is not there": lambda est: est.decision_function(X),
}
CLASSIFIERS_ONLY = {
    "real numbers": lambda est: est.fit(X, VALUES),
    "words and nothing": lambda est: est.fit(X, np.where(BINARY, "a", None)),
    "warm start with fewer classes": lambda est: (
        est.set_params(warm_start=True).fit(X, LABELS).fit(X, BINARY)
    ),
    "warm start with several labels": lambda est: (
        est.set_params(warm_start=True).fit(X, LABELS).fit(X, SEVERAL)
    ),
    "partial_fit": lambda est: est.partial_fit(X, LABELS),
    "partial_fit for a word": lambda est: est.partial_fit(X, LABELS, classes="x"),
    "partial_fit for no classes": lambda est: est.partial_fit(X, LABELS, classes=[]),
    "partial_fit for other classes": lambda est: est.set_params(early_stopping=False).partial_fit(
        X, LABELS, classes=[0, 1]
    ),
    "partial_fit, then other classes": lambda est: est.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(
        X, LABELS, classes=[0, 1]
    ),
}


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early stopping"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("name", "situation"),
    [(name, situation) for name in KINDS for situation in SITUATIONS]
    + [("MLPClassifier", situation) for situation in CLASSIFIERS_ONLY],
)
def test_situations(name: str, situation: str, solver: str, early_stopping: bool) -> None:
    ours, theirs = both_say(
        name,
        {**SITUATIONS, **CLASSIFIERS_ONLY}[situation],
        solver=solver,
        early_stopping=early_stopping,
        learning_rate="adaptive",
        max_iter=2,
        random_state=0,
        hidden_layer_sizes=(3,),
    )
    refused = early_stopping and solver != "lbfgs" and situation.startswith("partial_fit")
    if refused and situation != "partial_fit for other classes":  # it turns early_stopping off
        # The same words whatever the data are, for nothing of them has been looked at yet.
        assert ours.error == "ValueError: partial_fit does not support early_stopping=True"
    elif situation == "a word for a weight":  # gdfast names the argument
        assert ours.error.replace("In sample_weight: ", "") == theirs.error
        assert "sample_weight" in ours.error
    else:
        assert ours == theirs


# Where a warning points.


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_warnings_point_at_the_users_line(solver: str, name: str) -> None:
    estimator = getattr(gdfast, name)(solver=solver, max_iter=2, batch_size=100)
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        estimator.fit(X, LABELS)
        if solver != "lbfgs":
            estimator.partial_fit(X, LABELS)
    assert len(records) == (1 if solver == "lbfgs" else 3)
    assert {record.filename for record in records} == {__file__}


class PressCtrlC(io.StringIO):
    """Where the fourth line is never printed, for the user has enough."""

    def write(self, text: str) -> int:
        if self.getvalue().count("\n") == 3:
            raise KeyboardInterrupt
        return super().write(text)


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early stopping"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("name", KINDS)
def test_ctrl_c(name: str, solver: str, early_stopping: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    left = []
    for library in (gdfast, sklearn.neural_network):
        estimator = getattr(library, name)(
            solver=solver, verbose=True, early_stopping=early_stopping, activation="tanh", random_state=0
        )
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", PressCtrlC())
            with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$") as records:
                estimator.fit(X, LABELS)
        assert len(records) == 1
        if library is gdfast:
            assert records[0].filename == __file__
        left.append(estimator)
    ours, theirs = left
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    for mine, its in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_ctrl_c_in_partial_fit_ends_the_callers_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn warns and returns, so that the loop around the calls goes on."""
    interrupted, whole = (
        getattr(gdfast, name)(solver="adam", activation="tanh", verbose=verbose, random_state=0)
        for verbose in (True, False)
    )
    classes = {} if name == "MLPRegressor" else {"classes": np.unique(LABELS)}
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", PressCtrlC())
        with pytest.raises(KeyboardInterrupt):
            all(interrupted.partial_fit(X, LABELS, **classes) for _ in range(1000))
    for _ in range(interrupted.t_ // len(X)):
        whole.partial_fit(X, LABELS, **classes)
    assert len(interrupted.loss_curve_) == 4
    for mine, its in zip(interrupted.coefs_, whole.coefs_, strict=True):
        np.testing.assert_array_equal(mine, its)
    interrupted.set_params(verbose=False).partial_fit(X, LABELS)
    whole.partial_fit(X, LABELS)
    np.testing.assert_array_equal(interrupted.coefs_[0], whole.coefs_[0])
