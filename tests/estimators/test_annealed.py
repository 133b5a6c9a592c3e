"""solver="annealing" as others watch it: scores where outputs overflow, Ctrl-C, a stop before it begins."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, parameters

X, Y = make()
FIT: dict[str, Any] = {"hidden_layer_sizes": (5,), "solver": "annealing", "max_iter": 3, "random_state": 0}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


class At:
    """Does one thing whenever one hook is called."""

    def __init__(self, hook: str, action: Any) -> None:
        setattr(self, hook, action)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("scoring", ["neg_mean_absolute_error", "r2", "neg_mean_poisson_deviance"])
def test_outputs_that_a_metric_refuses_score_worst(scoring: str) -> None:
    """Long jumps make exp() of the outputs infinite, or zero, which has no deviance."""
    rng = np.random.RandomState(0)
    data, targets = rng.normal(size=(60, 8)), rng.uniform(size=60)
    for seed in range(3):
        est = gdfast.MLPRegressor("poisson", **{**FIT, "random_state": seed}, scoring=scoring)
        est.set_params(annealing_params={"step_size": 10.0}).fit(data, targets)
        assert np.isfinite(est.loss_)
        assert np.isfinite(est.predict(data)).all()


@pytest.mark.parametrize("call", [1, 3, 20])
def test_ctrl_c_in_the_first_iteration(call: int) -> None:
    """In the first evaluation, among the probes, and among the first proposals."""
    calls = 0

    def scoring(est: Any, X: Any, y: Any) -> float:
        nonlocal calls
        calls += 1
        return interrupt() if calls == call else 0.0  # type: ignore[func-returns-value]

    est = gdfast.MLPRegressor(**FIT, scoring=scoring)
    if call < 20:
        with pytest.raises(KeyboardInterrupt):
            est.fit(X, Y)
        assert not hasattr(est, "coefs_")  # nothing has been trained
        return
    with pytest.warns(UserWarning, match="Training interrupted by user") as caught:
        assert est.fit(X, Y) is est
    assert len(caught) == 1
    assert est.n_iter_ == 0
    assert est.loss_curve_ == []
    assert np.isfinite(est.predict(X)).all()


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.parametrize("action", [interrupt, lambda *_: True], ids=["ctrl-c", "True"])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_stop_before_an_iteration(kind: Any, action: Any, epoch: int) -> None:
    """As with any other solver: of what comes after it there is nothing."""
    before = At("on_epoch_begin", lambda est, at, logs: action() if at == epoch else None)
    est = kind(**FIT, callbacks=[before])
    if action is interrupt and epoch == 0:
        with pytest.raises(KeyboardInterrupt):
            est.fit(X, Y)
        assert not hasattr(est, "coefs_")
        return
    est.fit(X, Y)
    assert est.n_iter_ == epoch
    assert len(est.loss_curve_) == epoch
    if epoch == 0:
        descent = kind(**{**FIT, "solver": "sgd"}, callbacks=[before]).fit(X, Y)
        assert_same_bits(parameters(est), parameters(descent))


def test_a_scorer_that_never_works_raises_its_reason() -> None:
    with pytest.raises(ValueError, match="can only be used"):
        gdfast.MLPRegressor(**FIT, scoring="neg_mean_poisson_deviance").fit(X, -1.0 - Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["annealing", "lbfgs", "newton-cg"])
def test_without_a_penalty_no_weight_is_too_large_for_the_loss(solver: str) -> None:
    """The squares of float32 end at weights of 1.8e19."""
    X, Y = np.linspace(-1e-20, 1e-20, 20, dtype=np.float32)[:, None], np.zeros((20, 2), np.float32)
    first = [np.full((1, 2), 1e20, np.float32)]
    est = gdfast.MLPRegressor("squared_error", (), solver=solver, alpha=0.0, coefs_init=first, max_iter=1)
    assert np.isfinite(est.fit(X, Y).loss_)


def test_the_loss_where_it_never_began() -> None:
    est = gdfast.MLPRegressor(**FIT, alpha=0.0, callbacks=[At("on_epoch_begin", lambda *_: True)]).fit(X, Y)
    assert est.loss_ == pytest.approx(0.5 * np.mean((est.predict(X) - Y) ** 2), rel=1e-12)
