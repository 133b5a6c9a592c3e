"""Callbacks that look at the gradient of every step, or change it."""

from __future__ import annotations

import gc
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, trained_arrays
from gdfast.kernels import mlp_loss_and_grad

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ARGUMENTS = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0, "batch_size": 50}
KIND_OF = {
    **KINDS,
    "normalised": lambda **kwargs: gdfast.MLPClassifier(batch_norm=True, **kwargs),
    "recurrent": gdfast.RNNClassifier,
}


@pytest.fixture(params=KIND_OF)
def kind(request: pytest.FixtureRequest) -> Any:
    return KIND_OF[request.param]


def data(kind: Any, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    X, y = make(dtype)
    return (X[:, np.newaxis] if kind is gdfast.RNNClassifier else X), y


class OnGradient:
    def __init__(self, change: Any = lambda gradients: None) -> None:
        self.change = change
        self.seen: list[dict[str, list[np.ndarray]]] = []

    def on_gradient(self, est: Any, gradients: dict[str, list[np.ndarray]]) -> None:
        self.seen.append({name: [array.copy() for array in arrays] for name, arrays in gradients.items()})
        self.change(gradients)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_looking_changes_no_bit(kind: Any, dtype: Any) -> None:
    X, y = data(kind, dtype)
    watch = OnGradient()
    watched = kind(callbacks=[watch], **ARGUMENTS).fit(X, y)
    assert_same_bits(trained_arrays(watched), trained_arrays(kind(**ARGUMENTS).fit(X, y)))
    assert len(watch.seen) == 9  # three batches in each of three epochs
    for gradients in watch.seen:
        for name, arrays in gradients.items():
            assert [a.shape for a in arrays] == [a.shape for a in getattr(watched, name)]
            assert all(a.dtype == dtype for a in arrays)


def test_it_is_the_gradient_of_the_mean_loss_with_its_penalty() -> None:
    X, y = make()
    weights: list[Any] = []
    watch = OnGradient()
    watch.on_epoch_begin = lambda est, epoch, logs: weights.append(  # type: ignore[attr-defined]
        ([c.copy() for c in est.coefs_], [b.copy() for b in est.intercepts_])
    )
    est = gdfast.MLPRegressor(callbacks=[watch], alpha=0.1, **{**ARGUMENTS, "batch_size": len(X)}).fit(X, y)
    for (coefs, intercepts), seen in zip(weights, watch.seen, strict=True):
        _, (by_coefs, by_intercepts) = mlp_loss_and_grad(
            X,
            y[:, np.newaxis].astype(float),
            coefs,
            intercepts,
            activation="relu",
            loss="squared_error",
            alpha=0.1,
        )
        for a, b in zip((*by_coefs, *by_intercepts), (*seen["coefs_"], *seen["intercepts_"]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert est.n_iter_ == 3


def test_what_it_changes_is_what_the_step_takes(kind: Any) -> None:
    X, y = data(kind)

    def freeze_first_layer(gradients: Any) -> None:
        gradients["coefs_"][0][...] = 0

    begun: list[np.ndarray] = []
    frozen = OnGradient(freeze_first_layer)
    frozen.on_train_begin = lambda est: begun.append(est.coefs_[0].copy())  # type: ignore[attr-defined]
    est = kind(callbacks=[frozen], **ARGUMENTS).fit(X, y)
    np.testing.assert_array_equal(est.coefs_[0], begun[0])
    assert np.abs(est.coefs_[-1] - kind(**{**ARGUMENTS, "max_iter": 1}).fit(X, y).coefs_[-1]).max() > 0


def test_limits_come_after_it() -> None:
    X, y = make()

    def explode(gradients: Any) -> None:
        for arrays in gradients.values():
            for array in arrays:
                array *= 1e9

    arguments = {
        **ARGUMENTS,
        "solver": "sgd",
        "momentum": 0.0,
        "alpha": 0.0,
        "clip_norm": 1e-3,
        "max_iter": 1,
    }
    start: list[np.ndarray] = []
    hook = OnGradient(explode)
    hook.on_train_begin = lambda est: start.extend(a.copy() for a in trained_arrays(est))  # type: ignore[attr-defined]
    est = gdfast.MLPRegressor(callbacks=[hook], **arguments).fit(X, y)
    moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(trained_arrays(est), start, strict=True)))
    assert 0 < moved <= 3 * 0.001 * 1e-3 * (1 + 1e-9)  # three steps of rate 0.001, each of norm 1e-3


def test_an_error_in_it_ends_the_fit_before_the_step(kind: Any) -> None:
    X, y = data(kind)
    good = kind(**{**ARGUMENTS, "max_iter": 1}).fit(X, y)

    class Fails:
        count = 0

        def on_gradient(self, est: Any, gradients: Any) -> None:
            self.count += 1
            if self.count == 4:  # the first batch of the second epoch
                raise RuntimeError("the callback's own")

    est = kind(callbacks=[Fails()], **ARGUMENTS)
    with pytest.raises(RuntimeError, match="the callback's own"):
        est.fit(X, y)
    assert est.n_iter_ == 1
    assert_same_bits(trained_arrays(est), trained_arrays(good))


def test_arrays_that_are_kept_are_harmless(kind: Any) -> None:
    X, y = data(kind)
    kept: list[np.ndarray] = []
    est = kind(callbacks=[OnGradient(lambda g: kept.extend(g["coefs_"]))], **ARGUMENTS).fit(X, y)
    expected = trained_arrays(kind(**ARGUMENTS).fit(X, y))
    assert_same_bits(trained_arrays(est), expected)
    del est
    gc.collect()
    for array in kept:  # whatever they hold, it can be read and, where it may be, written
        array.sum()
        if array.flags.writeable:
            array[...] = 0


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
def test_it_is_for_steps(solver: str) -> None:
    est = gdfast.MLPRegressor(solver=solver, callbacks=[OnGradient()])
    with pytest.raises(ValueError, match="on_gradient"):
        est.fit(*make())
    assert not hasattr(est, "coefs_")
