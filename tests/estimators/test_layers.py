"""An activation for each layer, and weights to begin with."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, assert_same_bits, make, parameters
from gdfast.training.activations import NAMES
from sklearn.base import clone

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (6, 4), "max_iter": 3, "random_state": 0}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


# Activations.


@pytest.mark.parametrize("activation", sorted(NAMES))
def test_every_activation_trains_and_predicts(activation: str, kind: Any, dtype: type[np.floating]) -> None:
    est = kind(activation=activation, **{**FIT, "max_iter": 60, "learning_rate_init": 0.01})
    est.fit(X.astype(dtype), Y)
    assert est.loss_curve_[-1] < est.loss_curve_[0]
    first = getattr(est, "predict_proba", est.predict)(X.astype(dtype))
    by_kernels = gdfast.kernels.mlp_forward(
        X.astype(dtype), est.coefs_, est.intercepts_, activation=activation, output=est.out_activation_
    )
    np.testing.assert_array_equal(first, by_kernels.reshape(first.shape))


def test_one_for_all_is_one_for_each(kind: Any) -> None:
    for name in ("tanh", "logistic", "relu"):
        assert_same_bits(
            parameters(kind(activation=name, **FIT).fit(X, Y)),
            parameters(kind(activation=[name, name], **FIT).fit(X, Y)),
        )


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg"])
def test_each_layer_has_its_own(kind: Any, solver: str) -> None:
    est = kind(activation=("tanh", "elu"), activation_params={"elu": 0.5}, solver=solver, **FIT).fit(X, Y)
    hidden = np.tanh(X @ est.coefs_[0] + est.intercepts_[0])
    sums = hidden @ est.coefs_[1] + est.intercepts_[1]
    hidden = np.where(sums > 0, sums, 0.5 * np.expm1(np.minimum(sums, 0)))
    outputs = hidden @ est.coefs_[2] + est.intercepts_[2]
    if kind is gdfast.MLPClassifier:
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(est.predict_proba(X), outputs, rtol=1e-12)
    else:
        np.testing.assert_allclose(est.predict(X), outputs[:, 0], rtol=1e-12)


def test_weights_are_drawn_by_each_layers_own_rule() -> None:
    est = gdfast.MLPRegressor(activation=["logistic", "tanh"], **FIT)
    est.set_params(learning_rate_init=1e-300, alpha=0.0, max_iter=1).fit(X, Y)
    stream = np.random.RandomState(0)
    for coef, factor in zip(est.coefs_, (2, 6, 6), strict=True):
        bound = np.sqrt(factor / sum(coef.shape))
        np.testing.assert_array_equal(coef, stream.uniform(-bound, bound, coef.shape))
        stream.uniform(size=coef.shape[1])  # the biases


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": ["relu"]}, "one for each of the 2 hidden layers, got 1"),
        ({"activation": ["relu"] * 3}, "one for each of the 2 hidden layers, got 3"),
        ({"activation": ["relu", "ramp"]}, "activation must be one of .* for each hidden layer, got 'ramp'"),
        ({"activation": "ramp"}, "'activation' parameter of MLP.* must be a str among"),
        ({"activation_params": {"relu": 1}}, r"only \['elu', 'leaky_relu'\] take one"),
        ({"activation_params": {"elu": "much"}}, r"activation_params\['elu'\] must be a finite number"),
        ({"activation_params": {"elu": -1}}, r"activation_params\['elu'\] must be a finite number"),
        ({"activation_params": {"elu": np.nan}}, r"activation_params\['elu'\] must be a finite number"),
    ],
)
def test_bad_activations(kind: Any, arguments: Any, message: str) -> None:
    est = kind(**FIT, **arguments)
    with pytest.raises(ValueError, match=message):
        est.fit(X, Y)
    assert not hasattr(est, "coefs_")


# Weights to begin with (scikit-learn#9232).


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton-cg"])
def test_weights_that_would_be_drawn_make_no_difference(
    kind: Any, solver: str, dtype: type[np.floating]
) -> None:
    """Given weights leave the order of samples as it is."""
    arguments = {**FIT, "solver": solver, "batch_size": 30}
    data = X.astype(dtype), Y
    first = kind(**{**arguments, "max_iter": 1, "solver": "sgd", "learning_rate_init": 1e-300, "alpha": 0.0})
    first.fit(*data)
    drawn = kind(**arguments).fit(*data)
    given = kind(coefs_init=first.coefs_, intercepts_init=first.intercepts_, **arguments).fit(*data)
    assert_same_bits(parameters(drawn), parameters(given))
    some = kind(intercepts_init=first.intercepts_, **arguments).fit(*data)
    assert_same_bits(parameters(drawn), parameters(some))


def test_initial_weights_are_copied_and_kept(kind: Any) -> None:
    coefs = [np.full((5, 6), 0.1), np.full((6, 4), 0.1), np.full((4, 3), 0.1)]
    before = [coef.copy() for coef in coefs]
    y = np.eye(3)[Y] if kind is gdfast.MLPRegressor else Y
    est = clone(kind(coefs_init=coefs, **FIT))
    first = parameters(est.fit(X, y))
    assert_same_bits(coefs, before)
    assert_same_bits(first, parameters(est.fit(X, y)))  # every fit begins with them
    going_on = est.set_params(warm_start=True).fit(X, y)
    assert not np.array_equal(parameters(going_on)[0], first[0])
    integers = kind(coefs_init=[np.ones(c.shape, int) for c in coefs], **FIT).fit(X.astype(np.float32), y)
    assert {array.dtype for array in parameters(integers)} == {np.dtype(np.float32)}


COEFS = [np.ones((5, 6)), np.ones((6, 4)), np.ones((4, 1))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"coefs_init": COEFS[:2]},
            r"coefs_init must hold 3 arrays of the shapes \[\(5, 6\), \(6, 4\), \(4, 1\)\]",
        ),
        ({"coefs_init": [c.T for c in COEFS]}, "coefs_init must hold 3 arrays of the shapes"),
        ({"coefs_init": [*COEFS[:2], np.full((4, 1), np.nan)]}, "coefs_init must hold finite real numbers"),
        ({"coefs_init": [*COEFS[:2], np.full((4, 1), "a")]}, "coefs_init must hold finite real numbers"),
        ({"intercepts_init": [np.ones(6), np.ones(4), np.ones(2)]}, "intercepts_init must hold 3 arrays"),
        ({"intercepts_init": 0.0}, "'intercepts_init' parameter of MLPRegressor must be"),
    ],
)
def test_bad_initial_weights(arguments: Any, message: str) -> None:
    est = gdfast.MLPRegressor(**FIT, **arguments)
    with pytest.raises(ValueError, match=message):
        est.fit(X, Y)
    assert not hasattr(est, "coefs_")


def test_initial_weights_that_do_not_fit_the_dtype() -> None:
    est = gdfast.MLPRegressor(**FIT, coefs_init=[np.full((5, 6), 1e300), *COEFS[1:]])
    with pytest.raises(ValueError, match="coefs_init contains infinity or a value too large"):
        est.fit(X.astype(np.float32), Y)
