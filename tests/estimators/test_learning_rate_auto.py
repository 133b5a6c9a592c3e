"""learning_rate_init="auto": the range test, and what it leaves alone."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import optim, schedules
from gdfast.callbacks import ModelCheckpoint
from gdfast.training.rate_range import _found
from scipy import sparse

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 6))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
LABELS = Y > 0
SEQUENCES = RNG.normal(size=(60, 5, 3))
FIT: dict[str, Any] = {
    "learning_rate_init": "auto",
    "random_state": 0,
    "max_iter": 3,
    "hidden_layer_sizes": (10,),
}


@pytest.fixture(autouse=True)
def _few_epochs_are_meant() -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def test_the_rate_is_a_third_of_that_of_most_of_the_descent() -> None:
    rates = list(np.geomspace(1e-6, 30, 100))
    losses = [1.0] * 40 + list(np.linspace(1.0, 0.0, 21)) + [2.0] * 39  # falls by 5 % a batch
    assert _found(rates, losses) == pytest.approx(rates[40 + 16] / 3)
    assert _found(rates[:50], [1.0] * 50) == pytest.approx(np.sqrt(rates[0] * rates[49]))
    assert _found([], []) == 1e-6


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "lion", "muon"])
def test_the_fit_is_that_of_the_rate_found(solver: str) -> None:
    """All else is as with that number: the weights begin where they would have."""
    est = gdfast.MLPRegressor(**FIT, solver=solver).fit(X, Y)
    found = est.learning_rate_range_["found"]
    assert 1e-6 < found < 30
    assert est.learning_rate_curve_ == [found] * 3
    first = copy.deepcopy(est).set_params(shuffle=False, batch_size=500).fit(X, Y)
    rate = first.learning_rate_range_["found"]
    other = gdfast.MLPRegressor(
        **{**FIT, "learning_rate_init": rate}, solver=solver, shuffle=False, batch_size=500
    )
    for a, b in zip(first.coefs_, other.fit(X, Y).coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not hasattr(other, "learning_rate_range_")


def test_it_trains_faster_than_rates_far_off() -> None:
    """Within a factor of 3 of the best of a grid, on a problem where the best is clear."""
    grid = np.geomspace(1e-5, 3, 12)
    final = []
    for rate in grid:
        try:
            est = gdfast.MLPRegressor(**{**FIT, "max_iter": 30, "tol": 0, "learning_rate_init": rate})
            final.append(est.fit(X, Y).loss_)
        except ValueError:
            final.append(np.inf)
    found = gdfast.MLPRegressor(**FIT).fit(X, Y).learning_rate_range_["found"]
    assert 1 / 3 < found / grid[int(np.argmin(final))] < 3


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_deterministic_for_any_number_of_threads(n_jobs: int) -> None:
    tests = [gdfast.MLPClassifier(**FIT, n_jobs=n).fit(X, LABELS).learning_rate_range_ for n in (1, n_jobs)]
    assert tests[0] == tests[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: gdfast.MLPClassifier(**FIT, batch_norm=True, dropout=0.2).fit(X, LABELS),
        lambda: gdfast.MLPClassifier(**FIT).fit(sparse.csr_matrix(X), LABELS),
        lambda: gdfast.MLPRegressor(**FIT, early_stopping=True, schedule=schedules.Cosine()).fit(X, Y),
        lambda: gdfast.MLPRegressor(**FIT, clip_norm=1.0, weight_decay=0.01).fit(X.astype(np.float32), Y),
        lambda: gdfast.MLPRegressor(**FIT).fit(X, Y, sample_weight=np.arange(500) % 3),
        lambda: gdfast.MLPRegressor(**FIT).fit(X[:7], Y[:7]),
        lambda: gdfast.MLPRegressor(**FIT).fit(X, np.zeros(500)),
        lambda: gdfast.MLPRegressor(**FIT).fit(X, Y * 1e30),
        lambda: gdfast.RNNRegressor(**FIT).fit(SEQUENCES, SEQUENCES[:, -1, 0]),
        lambda: gdfast.RNNClassifier(**FIT, cell="lstm", tbptt=(2, 3)).fit(
            SEQUENCES, SEQUENCES[:, -1, 0] > 0
        ),
        lambda: gdfast.MLPRegressor(**FIT).partial_fit(X, Y),
    ],
    ids=[
        *["batch_norm and dropout", "sparse", "early stopping", "float32", "weights", "few rows"],
        *["constant target", "huge target", "recurrent", "truncated", "partial_fit"],
    ],
)
def test_all_kinds_of_fits(call: Any) -> None:
    est = call()
    test = est.learning_rate_range_
    assert len(test["rates"]) == len(test["losses"])
    assert np.isfinite(test["losses"]).all()
    assert 0 < test["found"] < 30
    assert all(np.isfinite(coef).all() for coef in est.coefs_)


def test_further_training_keeps_the_rate_and_a_new_fit_finds_its_own() -> None:
    est = gdfast.MLPRegressor(**FIT).partial_fit(X, Y)
    test = est.learning_rate_range_
    est.partial_fit(X, Y)
    assert est.learning_rate_range_ == test
    assert est.learning_rate_curve_ == [test["found"]] * 2
    kept = gdfast.MLPRegressor(**FIT, warm_start=True, keep_optimizer_state=True).fit(X, Y)
    rate = kept.learning_rate_range_["found"]
    assert kept.fit(X, Y).learning_rate_curve_ == [rate] * 6
    kept.set_params(learning_rate_init=0.002, keep_optimizer_state=False).fit(X, Y)
    assert kept.learning_rate_curve_[-1] == 0.002
    assert not hasattr(kept, "learning_rate_range_")


def test_saved_and_pickled(tmp_path: Path) -> None:
    est = gdfast.MLPRegressor(**FIT).fit(X, Y)
    est.save(tmp_path / "model")
    for other in (gdfast.load(tmp_path / "model"), pickle.loads(pickle.dumps(est))):
        assert other.learning_rate_range_ == est.learning_rate_range_
        other.partial_fit(X, Y)
        assert other.learning_rate_curve_[-1] == est.learning_rate_range_["found"]


def test_resume_does_not_test_again(tmp_path: Path) -> None:
    def fit(path: str, *epochs: int) -> Any:
        arguments = {
            **FIT,
            "resume": tmp_path / path,
            "callbacks": [ModelCheckpoint(tmp_path / path)],
            "tol": 0,
        }
        for n in epochs:
            est = gdfast.MLPRegressor(**{**arguments, "max_iter": n}).fit(X, Y)
        return est

    whole, parts = fit("whole", 6), fit("parts", 2, 6)
    assert parts.learning_rate_range_ == whole.learning_rate_range_
    assert parts.learning_rate_curve_ == whole.learning_rate_curve_
    for a, b in zip(parts.coefs_, whole.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_it_has_no_meaning() -> None:
    with pytest.raises(ValueError, match="learning_rate_init='auto' contradicts solver="):
        gdfast.MLPRegressor(**FIT, solver=optim.Adam()).fit(X, Y)
    with pytest.raises(ValueError, match="learning_rate_init='auto' has no meaning with solver='prodigy'"):
        gdfast.MLPRegressor(**FIT, solver="prodigy").fit(X, Y)
    with pytest.raises(ValueError, match="learning_rate_init"):
        gdfast.MLPRegressor(learning_rate_init="automatic").fit(X, Y)
    assert not hasattr(gdfast.MLPRegressor(**FIT, solver="lbfgs").fit(X, Y), "learning_rate_range_")


@pytest.mark.parametrize(
    "target",
    [
        lambda X, rng: np.exp(2.5 * X[:, 0] + 0.5 * X[:, 1]),
        lambda X, rng: 100.0 * (rng.random(len(X)) < 0.01),
        lambda X, rng: X[:, 0] + rng.standard_t(1.2, size=len(X)),
    ],
    ids=["log-normal", "rare", "heavy tails"],
)
def test_a_loss_of_a_few_rows(target: Any) -> None:
    """Differences between batches are neither a descent nor a divergence."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3))
    est = gdfast.MLPRegressor(**{**FIT, "hidden_layer_sizes": (8,)}, batch_size=32).fit(X, target(X, rng))
    assert 1e-4 < est.learning_rate_range_["found"] < 10


def test_a_kept_optimizer_without_a_test_is_tested() -> None:
    est = gdfast.MLPRegressor(
        **{**FIT, "learning_rate_init": 0.001}, warm_start=True, keep_optimizer_state=True
    )
    est.fit(X, Y).set_params(learning_rate_init="auto").fit(X, Y)
    assert est.learning_rate_curve_[-1] == est.learning_rate_range_["found"]
