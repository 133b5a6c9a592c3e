"""``learning_rate_factors``: from the estimators' names to the core's groups, and what is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, trained_arrays
from gdfast import RNNClassifier, RNNRegressor, optim
from sklearn.base import clone

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
SEQUENCES = np.random.default_rng(0).standard_normal((12, 5, 2))
FIT: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "max_iter": 4, "random_state": 0}
ALL_KINDS = {**KINDS, "rnn classifier": RNNClassifier, "rnn regressor": RNNRegressor}
# Of both kinds of networks, beside the names of batch normalisation.
N_ARRAYS = {"classifier": 3, "regressor": 3, "rnn classifier": 5, "rnn regressor": 5}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def fit(kind: Any, **arguments: Any) -> Any:
    data = (SEQUENCES, Y[:12]) if kind in (RNNClassifier, RNNRegressor) else (X, Y)
    return kind(**{**FIT, "batch_size": len(data[1]) // 3, **arguments}).fit(*data)


def kept(est: Any, start: Any, name: str) -> list[bool]:
    return [np.array_equal(a, b) for a, b in zip(getattr(est, name), getattr(start, name), strict=True)]


def start_of(est: Any) -> Any:
    """The first weights, after a step of every learning rate zero."""
    groups = ("coefs_", "intercepts_", *(("bn_gamma_", "bn_beta_") if hasattr(est, "bn_gamma_") else ()))
    still = clone(est).set_params(max_iter=1, learning_rate_factors=dict.fromkeys(groups, 0))
    return fit(type(est), **still.get_params(deep=False))


@pytest.mark.parametrize("name", ALL_KINDS)
def test_a_number_is_for_all_arrays_and_a_sequence_has_one_for_each(name: str) -> None:
    factors = [0.0, *[0.5] * (N_ARRAYS[name] - 1)]
    est = fit(ALL_KINDS[name], learning_rate_factors={"coefs_": tuple(factors), "intercepts_": 0})
    start = start_of(est)
    assert kept(est, start, "coefs_") == [factor == 0 for factor in factors]
    assert all(kept(est, start, "intercepts_"))
    lists = [
        fit(ALL_KINDS[name], learning_rate_factors={"coefs_": f}) for f in (0.5, np.full(len(factors), 0.5))
    ]
    assert_same_bits(*map(trained_arrays, lists))


def test_arrays_of_batch_normalisation(kind: Any) -> None:
    est = fit(kind, batch_norm=True, learning_rate_factors={"bn_gamma_": [0, 3.0], "bn_beta_": 0})
    start = start_of(est)
    assert kept(est, start, "bn_gamma_") == [True, False]
    assert kept(est, start, "bn_beta_") == [True, True]
    assert kept(est, start, "coefs_") == [False] * 3


@pytest.mark.parametrize(
    "solver", ["sgd", "adam", "adamw", optim.Lion(lr=0.001), optim.SGD(lr=0.01)], ids=str
)
def test_one_factor_for_all_is_another_learning_rate(solver: Any, kind: Any) -> None:
    arguments: dict[str, Any] = {"solver": solver, "weight_decay": 0.0 if solver == "adamw" else 0.1}
    if isinstance(solver, optim.Lion):
        arguments["weight_decay"] = 0.0
    scaled = dict(arguments)
    if isinstance(solver, str):
        arguments["learning_rate_init"], scaled["learning_rate_init"] = 0.01, 0.01 * 0.3
    else:
        scaled["solver"] = clone(solver).set_params(lr=solver.lr * 0.3)
    given = fit(kind, **arguments, learning_rate_factors={"coefs_": 0.3, "intercepts_": 0.3})
    assert_same_bits(trained_arrays(given), trained_arrays(fit(kind, **scaled)))


@pytest.mark.parametrize("name", ALL_KINDS)
@pytest.mark.parametrize("factors", [{}, {"coefs_": 1}, {"intercepts_": np.float32(1)}], ids=str)
def test_factors_of_one_change_no_bit(factors: Any, name: str) -> None:
    given, plain = fit(ALL_KINDS[name], learning_rate_factors=factors), fit(ALL_KINDS[name])
    assert_same_bits(trained_arrays(given), trained_arrays(plain))
    assert given.loss_curve_ == plain.loss_curve_


def test_beside_schedule_clipping_records_and_gradients(kind: Any) -> None:
    seen: list[Any] = []

    class Watch:
        def on_gradient(self, est: Any, gradients: Any) -> None:
            seen.append(gradients)

    est = fit(
        kind, schedule="cosine", clip_norm=0.5, record_gradients=True, callbacks=[Watch()], dropout=0.2,
        gradient_noise=0.01, learning_rate_factors={"coefs_": [1, 0, 1], "intercepts_": [1, 0, 1]},
    )  # fmt: skip
    assert len(seen) == 12
    assert np.array(est.gradient_records_["update_ratio"])[:, 1].tolist() == [0.0] * 4
    assert (np.array(est.gradient_records_["gradient_norm"]) > 0).all()


def test_a_fit_continues(kind: Any) -> None:
    arguments: dict[str, Any] = {"learning_rate_factors": {"coefs_": [0.1, 1, 2]}, "solver": "nadam"}
    whole = fit(kind, **{**arguments, "max_iter": 8})
    half = fit(kind, **arguments, warm_start=True, keep_optimizer_state=True)
    pickle.loads(pickle.dumps(half)).fit(X, Y)
    copy.deepcopy(half).fit(X, Y)
    half.fit(X, Y)
    assert_same_bits(trained_arrays(half), trained_arrays(whole))


def test_partial_fit_takes_changed_factors(kind: Any) -> None:
    first = {"classes": np.unique(Y)} if kind is gdfast.MLPClassifier else {}
    factors: dict[str, Any] = {"coefs_": [0, 1, 1]}
    est = kind(**FIT, learning_rate_factors=factors)
    est.partial_fit(X, Y, **first)
    before = copy.deepcopy(est)
    est.partial_fit(X, Y)
    assert kept(est, before, "coefs_") == [True, False, False]
    factors["coefs_"] = [1, 0, 1]
    before = copy.deepcopy(est)
    est.partial_fit(X, Y)
    assert kept(est, before, "coefs_") == [False, True, False]


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("factors", "match"),
    [
        ({"coef_": 1.0}, r"learning_rate_factors has no group 'coef_'"),
        ({1: 1.0}, r"learning_rate_factors has no group 1"),
        ({"coefs_": -0.5}, r"learning_rate_factors\['coefs_'\] must be at least 0 and finite, got -0.5"),
        ({"coefs_": np.inf}, r"learning_rate_factors\['coefs_'\] must be at least 0 and finite"),
        ({"coefs_": [np.nan]}, r"learning_rate_factors\['coefs_'\] must be at least 0"),
        ({"intercepts_": 10**400}, r"learning_rate_factors\['intercepts_'\] must be at least 0 and finite"),
        ({"intercepts_": [1, 2]}, r"'intercepts_'\] must hold a number for each of the [35] arrays .*got 2"),
        ({"intercepts_": []}, r"\['intercepts_'\] must hold a number for each of the [35] arrays .* got 0"),
        ({"bn_gamma_": 0.1}, r"\['bn_gamma_'\] has no meaning without batch normalisation"),
        ({"bn_mean_": 0.1}, r"learning_rate_factors has no group 'bn_mean_'"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ALL_KINDS)
def test_bad_factors(factors: Any, match: str, name: str) -> None:
    if "nan" in str(factors):
        factors = {"coefs_": [np.nan] * N_ARRAYS[name]}
    est = ALL_KINDS[name](**FIT, learning_rate_factors=factors)
    with pytest.raises(ValueError, match=match):
        est.fit(*((SEQUENCES, Y[:12]) if "rnn" in name else (X, Y)))
    assert not hasattr(est, "coefs_")


@pytest.mark.parametrize("value", ["fast", True, None, ["a"] * 3, [[1], [2], [3]], "abc"], ids=str)
def test_factors_that_are_no_numbers(value: Any, kind: Any) -> None:
    with pytest.raises(TypeError, match=r"learning_rate_factors\['coefs_'\] must be a number or a sequence"):
        fit(kind, learning_rate_factors={"coefs_": value})


def test_no_dictionary_in_a_later_partial_fit(kind: Any) -> None:
    first = {"classes": np.unique(Y)} if kind is gdfast.MLPClassifier else {}
    est = kind(**FIT)
    with pytest.raises(ValueError, match="The 'learning_rate_factors' parameter"):
        clone(est).set_params(learning_rate_factors=0.5).partial_fit(X, Y, **first)
    est.partial_fit(X, Y, **first)
    before = copy.deepcopy(est)
    with pytest.raises((TypeError, ValueError), match="learning_rate_factors"):
        est.set_params(learning_rate_factors=[0.5]).partial_fit(X, Y)
    assert_same_bits(trained_arrays(est), trained_arrays(before))


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
def test_there_are_no_learning_rates_without_steps(solver: str, kind: Any) -> None:
    with pytest.raises(ValueError, match=f"learning_rate_factors=.* has no meaning with solver='{solver}'"):
        fit(kind, solver=solver, learning_rate_factors={"coefs_": 0.5})
