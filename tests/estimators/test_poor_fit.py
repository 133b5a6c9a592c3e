"""Fits that have learned next to nothing, and inputs on widely different scales: one warning, its remedy."""

from __future__ import annotations

import time
import warnings
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from gdfast import MLPClassifier, MLPRegressor, PoorFitWarning, RNNClassifier, RNNRegressor
from gdfast.estimators import _network_estimator
from gdfast.estimators._poor_fit import shortcoming
from gdfast.preprocessing import TableEncoder
from gdfast.training.losses import constant_loss, mean_loss
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

RNG = np.random.default_rng(0)
X = RNG.standard_normal((600, 6))
Y = X[:, 0] + X[:, 1] * X[:, 2] + 0.1 * RNG.standard_normal(600)
LABELS = np.digitize(Y, [-0.5, 0.5])
WIDE = X * np.array([1, 1, 1, 1, 1e6, 1])
NOTHING = "next to nothing has been learned"
SCALES = "the scales of the inputs differ widely"


def warning_of(fit: Any, *args: Any, **kwargs: Any) -> str:
    """The message of the one warning."""
    with pytest.warns(ConvergenceWarning) as caught:
        fit(*args, **kwargs)
    assert len(caught) == 1
    return str(caught[0].message)


# The loss of the best constant.


@pytest.mark.parametrize(
    "loss", ["squared_error", "poisson", "absolute_error", ("huber", [0.3]), ("quantile", [0.1, 0.5, 0.8])]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_no_constant_has_less_loss_in_regression(loss: Any, weighted: bool) -> None:
    y = RNG.gamma(2.0, size=(200, 1))
    weight = RNG.random(200) if weighted else None

    def best_of_grid(loss: Any) -> float:
        return min(
            mean_loss(loss, y, np.full((200, 1), level), weight) for level in np.linspace(0.05, 6, 1200)
        )

    if loss[0] == "quantile":  # the sum of those of the quantiles
        best = sum(best_of_grid(("quantile", [level])) for level in loss[1])
    else:
        best = best_of_grid(loss)
    n_outputs = len(loss[1]) if loss[0] == "quantile" else 1
    # The grid has steps of 0.005; Huber's constant is the better of the mean and the median only.
    tolerance = 0.1 if loss[0] == "huber" else 1e-3
    assert constant_loss(loss, y, n_outputs, weight) == pytest.approx(best, rel=tolerance)


@pytest.mark.parametrize("weighted", [False, True])
def test_no_constant_has_less_cross_entropy(weighted: bool) -> None:
    y = RNG.integers(0, 3, 300).astype(np.int32) // 2 * 2  # no sample has the class 1
    weight = RNG.random(300) if weighted else None
    least = constant_loss("cross_entropy", y, 3, weight)
    for shares in RNG.dirichlet(np.ones(3), size=300):
        outputs = np.broadcast_to(shares, (300, 3))
        assert mean_loss("cross_entropy", y, outputs, weight) >= least - 1e-12
    several = RNG.integers(0, 2, (300, 2)).astype(float)
    least = constant_loss("binary_cross_entropy", several, 2, weight)
    for shares in RNG.random((300, 2)):
        outputs = np.broadcast_to(shares, (300, 2))
        assert mean_loss("binary_cross_entropy", several, outputs, weight) >= least


# Plateaus.


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_deep_net_that_has_not_begun_to_learn(early_stopping: bool) -> None:
    net = MLPClassifier(
        (20,) * 8, activation="logistic", early_stopping=early_stopping, random_state=0
    )  # fmt: skip
    text = warning_of(net.fit, X, LABELS)
    assert NOTHING in text
    updates = net.n_iter_ * -(-(540 if early_stopping else 600) // 200)
    assert f"more updates than {updates} (n_iter_no_change=10" in text
    assert "learning_rate_init=0.001" in text
    assert text.count(" Measured: ") == 1
    assert "8 layers of logistic units, through which gradients vanish: set activation='relu'" in text


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_inputs_of_which_none_counts(solver: str) -> None:
    small = 1e-8 * X
    text = warning_of(MLPClassifier(solver=solver, random_state=0).fit, small, LABELS)
    assert f"no feature has values above {np.abs(small).max():.3g}: scale X" in text


def test_targets_smaller_than_the_tolerance_of_lbfgs() -> None:
    text = warning_of(MLPRegressor(solver="lbfgs", random_state=0, max_iter=500).fit, X, Y / 1e3)
    assert "lower tol, or scale y" in text


def test_targets_smaller_than_the_tolerance() -> None:
    text = warning_of(MLPRegressor(random_state=0, max_iter=1000).fit, X, Y / 1e3)
    assert "tol=0.0001 is" in text
    assert "lower tol, or scale y" in text


def test_a_penalty_that_leaves_a_constant() -> None:
    text = warning_of(MLPClassifier(alpha=100.0, random_state=0, max_iter=1000).fit, X, LABELS)
    assert "alpha=100: lower it" in text


def test_sequences_whose_gradients_do_not_reach_the_signal() -> None:
    steps = RNG.standard_normal((300, 20, 1))
    text = warning_of(
        RNNClassifier(4, tbptt=(3, 3), max_iter=1000, random_state=0).fit, steps, steps[:, 0, 0] > 0
    )
    assert "tbptt lets gradients reach back 3 steps of 20: raise k2" in text


def test_targets_that_do_not_depend_on_the_inputs() -> None:
    noise = np.random.default_rng(1).standard_normal((3000, 4))
    y = noise[:, 3] > 0
    text = warning_of(MLPClassifier((3,), random_state=0).fit, noise[:, :3], y)
    assert text.endswith("Or y hardly depends on X.")


def test_lbfgs_that_has_converged_to_a_constant() -> None:
    net = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", random_state=0)
    net.set_params(intercepts_init=[np.full(5, -100.0), np.zeros(1)], max_iter=500)  # no unit is ever active
    text = warning_of(net.fit, X, Y)
    assert NOTHING in text
    assert "start from other weights" in text


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["sparse", "encoded", "sequences", "several"])
def test_every_form_of_data(kind: str, weighted: bool) -> None:
    noise = np.random.default_rng(2)
    given: Any = noise.standard_normal((1200, 4)).astype(np.float32)
    y: Any = noise.standard_normal(1200)
    est: Any = MLPRegressor(hidden_layer_sizes=(2,), random_state=0)
    if kind == "sparse":
        given = sparse.csr_array(np.where(np.abs(given) > 1, given, 0))
    elif kind == "encoded":
        encoder = TableEncoder(bins="quantile", n_bins=2).fit(given)
        given = encoder.encode(given)
    elif kind == "sequences":
        given = [row[:, np.newaxis] for row in given]
        est = RNNRegressor(2, random_state=0)
    else:
        y = noise.standard_normal((1200, 3))
    weight = noise.random(1200) if weighted else None
    assert NOTHING in warning_of(est.fit, given, y, sample_weight=weight)


def test_the_category_and_how_to_turn_it_off() -> None:
    assert issubclass(PoorFitWarning, ConvergenceWarning)
    net = MLPClassifier((20,) * 8, activation="logistic", random_state=0)
    with pytest.warns(PoorFitWarning) as caught:
        net.fit(X, LABELS)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=gdfast.PoorFitWarning)
        net.fit(X, LABELS)


# Scales.


@pytest.mark.parametrize("form", ["array", "frame", "sparse", "float32", "sequences"])
def test_a_feature_of_another_scale(form: str) -> None:
    est: Any = MLPClassifier(random_state=0)
    given: Any = WIDE
    if form == "frame":
        given = pd.DataFrame(WIDE, columns=["a", "b", "c", "d", "income", "f"])
    elif form == "sparse":
        given = sparse.csr_array(WIDE)
    elif form == "float32":
        given = WIDE.astype(np.float32)
    elif form == "sequences":
        given, est = WIDE[:, np.newaxis], RNNClassifier(random_state=0)
    text = warning_of(est.fit, given, LABELS)
    name = "feature 'income'" if form == "frame" else "feature 4"
    assert f"{SCALES}, {name} has values up to" in text
    assert "scale X, for instance by StandardScaler" in text


def test_at_max_iter_the_scales_are_part_of_that_warning() -> None:
    text = warning_of(MLPRegressor(random_state=0, max_iter=3).fit, WIDE, Y)
    assert text.startswith(
        "Stochastic Optimizer: Maximum iterations (3) reached and the optimization hasn't converged yet. "
        f"Measured: {SCALES}"
    )
    text = warning_of(MLPRegressor(random_state=0, max_iter=3).fit, X, 1e4 + 1e3 * Y)
    assert "Measured: y has values up to" in text
    text = warning_of(MLPRegressor(random_state=0, max_iter=3).fit, X, Y)
    assert text.endswith("the optimization hasn't converged yet.")


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_tables_that_are_known_to_need_scaling(load: Any) -> None:
    given, y = load(return_X_y=True)
    assert SCALES in warning_of(MLPClassifier(random_state=0).fit, given, y)


# Silence.


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_good_fits(load: Any, early_stopping: bool) -> None:
    given, y = load(return_X_y=True)
    scaled = StandardScaler().fit_transform(given)
    MLPClassifier(early_stopping=early_stopping, max_iter=1000, random_state=0).fit(scaled, y)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton-cg", "lm"])
def test_good_fits_of_numbers(solver: str) -> None:
    given, y = load_diabetes(return_X_y=True)
    given, y = StandardScaler().fit_transform(given), (y - y.mean()) / y.std()
    MLPRegressor(
        hidden_layer_sizes=(5,), solver=solver, alpha=1.0, max_iter=3000, random_state=0
    ).fit(given, y)  # fmt: skip


def test_digits_and_counts_as_they_are() -> None:
    given, y = load_digits(return_X_y=True)  # pixels up to 16, some never above 1
    MLPClassifier(random_state=0).fit(given, y)
    counts = sparse.csr_array(np.random.default_rng(0).poisson(0.1, (400, 300)).astype(float))
    MLPClassifier(random_state=0, max_iter=1000).fit(counts, np.asarray(counts[:, [0]].todense()).ravel() > 0)


def test_wide_scales_that_do_no_harm() -> None:
    y = X[:, 4] > 0  # the wide feature is all that counts
    MLPClassifier(random_state=0, max_iter=2000).fit(WIDE, y)


@pytest.mark.parametrize(
    ("est", "y"),
    [
        (MLPRegressor(random_state=0, max_iter=1000), np.full(600, 3.0)),
        (
            MLPRegressor(random_state=0, max_iter=1000),
            np.full(600, 0.1) + np.finfo(float).eps * (np.arange(600) % 2),
        ),
        (MLPClassifier(random_state=0), np.zeros(600)),
        (MLPClassifier(random_state=0), np.zeros((600, 2), int)),
    ],
    ids=["constant", "constant but for rounding", "one class", "no labels"],
)
def test_nothing_to_learn(est: Any, y: np.ndarray) -> None:
    est.fit(X, y)


def test_an_end_that_was_asked_for() -> None:
    deep = {"hidden_layer_sizes": (20,) * 8, "activation": "logistic", "random_state": 0}
    MLPClassifier(**deep, tol=0.1).fit(X, LABELS)
    MLPClassifier(**deep, n_iter_no_change=2).fit(X, LABELS)
    net = MLPClassifier(**deep)
    for _ in range(30):
        net.partial_fit(X, LABELS, classes=[0, 1, 2])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_sparse_rows_without_an_entry(kind: Any, solver: str) -> None:
    rows = sparse.csr_matrix((60, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PoorFitWarning)
        kind(solver=solver, random_state=0, max_iter=500).fit(rows, np.arange(60) % 2)


def test_a_constant_count() -> None:
    # Rounding makes its deviance less than zero.
    rows, y = np.random.default_rng(1).standard_normal((60, 3)), np.full(60, 0.3554526912396889)
    MLPRegressor(loss="poisson", random_state=0, max_iter=400).fit(rows, y)


def test_rare_classes_are_measured_on_more_rows() -> None:
    for seed in range(6):  # on a sample, one or two of the 25 first would be taken for stuck
        rng = np.random.default_rng(seed)
        rows = rng.standard_normal((40_000, 5)).astype(np.float32)
        logit = np.log(0.003 / 0.997) - 0.5 + rows[:, 0]
        MLPClassifier((4,), random_state=0).fit(rows, rng.random(40_000) < 1 / (1 + np.exp(-logit)))


def test_scores_of_a_principal_component_analysis_are_no_fault() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((600, 40)) * 0.75 ** np.arange(40)
    y = rows[:, 0] + 0.8 * rng.standard_normal(600)
    MLPRegressor(random_state=0, max_iter=500, early_stopping=True).fit(rows, y)


def test_no_memory_for_it_is_no_fault_of_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> str:
        raise MemoryError

    monkeypatch.setattr("gdfast.estimators._network_estimator.shortcoming", fails)
    assert MLPClassifier(random_state=0, max_iter=1000).fit(X, LABELS).n_iter_ > 1


def test_penalty_dropout_and_smoothing_are_no_loss_of_the_fit() -> None:
    MLPClassifier(alpha=10.0, random_state=0, max_iter=1000).fit(X, LABELS)
    MLPClassifier(dropout=0.8, random_state=0, max_iter=1000).fit(X, LABELS)
    for y in (LABELS, LABELS > 0):
        MLPClassifier(label_smoothing=0.8, random_state=0, max_iter=1000).fit(X, y)


def test_estimators_for_tables_scale_for_themselves() -> None:
    gdfast.TabularClassifier(n_members=1, max_iter=20, random_state=0).fit(WIDE, LABELS)


@pytest.mark.slow
def test_it_costs_next_to_nothing() -> None:
    """Less than a twentieth of a fit of few rows, and a hundredth of a short one of many, in CPU seconds."""
    spent = []

    def timed(*args: Any) -> str:
        begin = time.process_time()
        found = shortcoming(*args)
        spent.append(time.process_time() - begin)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_network_estimator, "shortcoming", timed)
        for rows, tol, share in ((150, 1e-4, 0.05), (50_000, 0.1, 0.01)):
            net = MLPClassifier(random_state=0, tol=tol, max_iter=1000, n_jobs=1)
            given, y = np.resize(X, (rows, 6)), np.resize(LABELS, rows)
            fits = []
            for _ in range(5):
                begin = time.process_time()
                net.fit(given, y)
                fits.append(time.process_time() - begin)
            assert min(spent) < share * min(fits)
            spent.clear()
