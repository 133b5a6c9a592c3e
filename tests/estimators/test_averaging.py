"""``ema_decay``: what is scored and what stays is a moving average of the weights at the epochs' ends."""

from __future__ import annotations

import pickle
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, parameters, trained_arrays

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
EPOCHS = 7
ARGUMENTS = {"hidden_layer_sizes": (6,), "max_iter": EPOCHS, "random_state": 0, "learning_rate_init": 0.05}


class Watch:
    """What the weights are at the epochs' ends, and what was scored."""

    def __init__(self) -> None:
        self.weights: list[list[np.ndarray]] = []

    def on_epoch_end(self, est: Any, epoch: int, logs: Any) -> None:
        self.weights.append([array.copy() for array in trained_arrays(est)])


def averages(weights: list[list[np.ndarray]], decay: float) -> list[list[np.ndarray]]:
    """The reference: the first epoch's weights, then mean = d mean + (1 - d) weights."""
    means = [weights[0]]
    for n, at in enumerate(weights[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        means.append([d * mean + (1 - d) * array for mean, array in zip(means[-1], at, strict=True)])
    return means


KIND_OF = {
    **KINDS,
    "normalised": lambda **kwargs: gdfast.MLPClassifier(batch_norm=True, **kwargs),
    "recurrent": gdfast.RNNClassifier,
}


@pytest.fixture(params=KIND_OF)
def kind(request: pytest.FixtureRequest) -> Any:
    return KIND_OF[request.param]


def data(kind: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    X, y = make(dtype)
    return (X[:, np.newaxis] if kind is gdfast.RNNClassifier else X), y


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_average_is_the_result(kind: Any, dtype: Any, decay: float) -> None:
    X, y = data(kind, dtype)
    watch = Watch()
    averaged = kind(ema_decay=decay, callbacks=[watch], **ARGUMENTS).fit(X, y)
    plain = Watch()
    last = kind(callbacks=[plain], **ARGUMENTS).fit(X, y)
    # Training itself, and what callbacks see of it, is the same.
    for a, b in zip(watch.weights, plain.weights, strict=True):
        assert_same_bits(a, b)
    assert averaged.loss_curve_ == last.loss_curve_
    expected = averages(plain.weights, decay)[-1]
    for array, mean in zip(trained_arrays(averaged), expected, strict=True):
        assert array.dtype == dtype
        # Products and sums of as many epochs, each rounded once or twice.
        np.testing.assert_allclose(
            array, mean, rtol=0, atol=4 * EPOCHS * np.finfo(dtype).eps * np.abs(mean).max()
        )


@pytest.mark.parametrize("scoring", [None, "loss", "neg_mean_absolute_error"])
def test_the_average_is_what_is_scored(scoring: Any) -> None:
    X, y = make()
    watch = Watch()
    est = gdfast.MLPRegressor(ema_decay=0.5, scoring=scoring, callbacks=[watch], **ARGUMENTS)
    est.fit(X, y, X_val=X, y_val=y)
    scores = []
    twin = gdfast.MLPRegressor(**{**ARGUMENTS, "max_iter": 1}).fit(X, y)
    for mean in averages(watch.weights, 0.5):
        for array, value in zip(trained_arrays(twin), mean, strict=True):
            array[...] = value
        error = y - twin.predict(X)
        scores.append(
            {None: twin.score(X, y), "loss": -np.mean(error**2) / 2}.get(scoring, -np.abs(error).mean())
        )
    np.testing.assert_allclose(est.validation_scores_, scores, rtol=1e-9)
    best = averages(watch.weights, 0.5)[int(np.argmax(scores))]
    np.testing.assert_allclose(est.coefs_[0], best[0], rtol=1e-12)
    assert est.best_validation_score_ == max(est.validation_scores_)


def test_a_plain_fit_averages_nothing() -> None:
    X, y = make()
    one, other = (gdfast.MLPClassifier(**ARGUMENTS, **extra).fit(X, y) for extra in ({}, {"ema_decay": 0.0}))
    assert_same_bits(parameters(one), parameters(other))


def test_partial_fit_does_not_average(kind: Any) -> None:
    X, y = data(kind, np.float64)
    classes = {} if kind is gdfast.MLPRegressor else {"classes": [0, 1, 2]}
    one, other = (
        kind(**{**ARGUMENTS, "ema_decay": decay}).partial_fit(X, y, **classes).partial_fit(X, y)
        for decay in (0.0, 0.9)
    )
    assert_same_bits(parameters(one), parameters(other))


@pytest.mark.parametrize("decay", [-0.1, 1.0, "a", None])
def test_what_no_decay_is(decay: Any) -> None:
    with pytest.raises(ValueError, match="ema_decay"):
        gdfast.MLPRegressor(ema_decay=decay).fit(*make())


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
def test_it_is_for_epochs(solver: str) -> None:
    with pytest.raises(ValueError, match=r"ema_decay=0\.5 has no meaning with solver"):
        gdfast.MLPRegressor(solver=solver, ema_decay=0.5).fit(*make())


def test_a_fitted_one_is_pickled() -> None:
    X, y = make()
    est = gdfast.MLPClassifier(ema_decay=0.5, **ARGUMENTS).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(est)).predict_proba(X), est.predict_proba(X))
