"""Arguments of training that meet each other, another type of number, or a fit that goes on."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, parameters
from gdfast import optim, schedules

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "max_iter": 6, "random_state": 0, "batch_size": 50}
GOING_ON = {"warm_start": True, "keep_optimizer_state": True}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def growing(epoch: int) -> int:
    return min(3, 1 + epoch // 2)


def test_a_growing_depth_continues_growing(kind: Any) -> None:
    whole = kind(**FIT, backprop_depth=growing).fit(X, Y)
    halves = kind(**{**FIT, "max_iter": 3}, **GOING_ON, backprop_depth=growing)
    halves.fit(X, Y).fit(X, Y)
    assert_same_bits(parameters(halves), parameters(whole))


def test_a_growing_depth_counts_calls_of_partial_fit(kind: Any) -> None:
    seen: list[int] = []
    est = kind(**FIT, backprop_depth=lambda epoch: seen.append(epoch) or 1)
    first = {"classes": np.unique(Y)} if kind is gdfast.MLPClassifier else {}
    est.partial_fit(X, Y, **first)
    for _ in range(2):
        est.partial_fit(X, Y)
    assert seen == [0, 1, 2]


def test_weight_decay_is_in_place_of_adamws_own(kind: Any) -> None:
    named = kind(**FIT, solver="adamw", learning_rate_init=0.05, weight_decay=1.0).fit(X, Y)
    given = kind(**FIT, solver=optim.AdamW(lr=0.05, weight_decay=1.0)).fit(X, Y)
    for a, b in zip(parameters(named), parameters(given), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    by_default = kind(**FIT, solver="adamw", learning_rate_init=0.05).fit(X, Y)
    assert_same_bits(parameters(by_default), parameters(kind(**FIT, solver=optim.AdamW(lr=0.05)).fit(X, Y)))


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_norm": True},
        {"solver": optim.Adam(amsgrad=True)},
        {"solver": "sgd"},
        {"solver": "sgd", "momentum": 0.0},
    ],
    ids=str,
)
def test_moments_that_no_longer_fit_are_left_behind(kind: Any, changes: dict[str, Any]) -> None:
    est = kind(**FIT, **GOING_ON).fit(X, Y)
    before = kind(**FIT).get_params()
    for arguments in (changes, {name: before[name] for name in changes}):
        est.set_params(**arguments).fit(X, Y)
        assert len(est.loss_curve_) % FIT["max_iter"] == 0
    assert len(est.loss_curve_) == 3 * FIT["max_iter"]


@pytest.mark.parametrize("number", [np.float32(0.25), np.float64(0.25)])
def test_numpys_numbers_are_numbers(kind: Any, number: Any) -> None:
    plain, numpys = (
        kind(
            **FIT, init=("normal", scale), solver="annealing", annealing_params={"step_size": scale}
        ).fit(X, Y)
        for scale in (0.25, number)
    )  # fmt: skip
    assert_same_bits(parameters(plain), parameters(numpys))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"init": ([], 0.1)}, ValueError, "init must be a name, or a pair"),
        ({"init": ("normal", True)}, ValueError, "must be a positive number"),
        ({"schedule": schedules.Cosine}, TypeError, "schedule must be a schedule, its name, or a callable"),
        ({"schedule": lambda epoch: -1.0}, ValueError, "Learning rates must be finite and at least 0"),
        ({"schedule": lambda epoch: np.nan}, ValueError, "Learning rates must be finite and at least 0"),
        (
            {"solver": optim.SGD(), "learning_rate": "adaptive"},
            ValueError,
            "learning_rate='adaptive' is for solver='sgd'.*set schedule='adaptive'",
        ),
    ],
)
def test_what_makes_no_sense(kind: Any, arguments: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        kind(**FIT, **arguments).fit(X, Y)
