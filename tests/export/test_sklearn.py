"""Estimators handed to scikit-learn and taken from it: the same predictions, training that goes on."""

from __future__ import annotations

import pickle
from typing import Any

import gdfast
import numpy as np
import pytest
import sklearn.neural_network
from exports import N, classifier, recurrent, regressor, rows
from gdfast.export import from_sklearn, to_sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn_pairs import TASKS, both, make

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")


def assert_same_predictions(a: Any, b: Any, X: Any, tolerance: float = 1e-12) -> None:
    """To the order of summation, in float64."""
    first, second = a.predict(X), b.predict(X)
    assert first.shape == second.shape
    assert first.dtype == second.dtype
    if hasattr(a, "classes_"):
        assert (a.classes_ == b.classes_).all()
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=0, atol=tolerance)
        assert (first == second).all()
    else:
        np.testing.assert_allclose(first, second, rtol=tolerance, atol=tolerance)


def weights(est: Any) -> list[np.ndarray]:
    return [*est.coefs_, *est.intercepts_]


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("task", TASKS)
def test_from_and_to(task: str, solver: str) -> None:
    X, y = make(task)
    for theirs in both(task, solver=solver, max_iter=3, activation="tanh"):
        theirs.fit(X, y)
        ours = from_sklearn(theirs) if theirs.__module__.startswith("sklearn") else to_sklearn(theirs)
        assert type(ours).__module__.partition(".")[0] != type(theirs).__module__.partition(".")[0]
        assert_same_predictions(ours, theirs, X)
        for name in ("n_iter_", "t_", "loss_", "out_activation_", "n_layers_", "n_features_in_"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert getattr(ours, "loss_curve_", None) == getattr(theirs, "loss_curve_", None)
        assert not any(np.shares_memory(a, b) for a, b in zip(weights(ours), weights(theirs), strict=True))
        assert_same_predictions(pickle.loads(pickle.dumps(ours)), ours, X, 0)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_goes_on(solver: str, learning_rate: str) -> None:
    """With the moments, the step count and the learning rate: as if nothing had been handed over."""
    X, y = make("multiclass")
    arguments: dict[str, Any] = {"solver": solver, "learning_rate": learning_rate, "activation": "tanh"}
    if solver == "adam":
        del arguments["learning_rate"]
    ours, theirs = both("multiclass", **arguments)
    for est in (ours, theirs):
        for _ in range(3):
            est.partial_fit(X, y, classes=np.unique(y))
    taken, given_away = from_sklearn(theirs), to_sklearn(ours)
    for est in (ours, theirs, taken, given_away):
        est.partial_fit(X, y)
    for mine, its in ((taken, theirs), (given_away, ours)):
        # As two runs of these libraries agree, see tests/estimators/test_against_sklearn.py.
        for a, b in zip(weights(mine), weights(its), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
        assert mine.t_ == its.t_
        np.testing.assert_allclose(mine.loss_curve_, its.loss_curve_, rtol=1e-9)


def test_a_warm_start() -> None:
    X, y = make("binary")
    for est in both("binary", warm_start=True, max_iter=2, activation="tanh"):
        est.fit(X, y)
        handed = from_sklearn(est) if est.__module__.startswith("sklearn") else to_sklearn(est)
        est.fit(X, y)
        handed.fit(X, y)
        for a, b in zip(weights(handed), weights(est), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


def test_a_warm_start_with_early_stopping() -> None:
    """If no epoch is better, scikit-learn keeps weights that it has found before."""
    X, y = make("binary")
    arguments = {"warm_start": True, "max_iter": 2, "early_stopping": True, "learning_rate_init": 1e-9}
    for est in both("binary", **arguments):
        est.fit(X, y)
        handed = from_sklearn(est) if est.__module__.startswith("sklearn") else to_sklearn(est)
        assert_same_predictions(handed.fit(X, y), est, X, 1e-6)  # by steps of 1e-9


@given(
    sizes=st.lists(st.integers(1, 9), max_size=3),
    activation=st.sampled_from(["identity", "logistic", "tanh", "relu"]),
    kind=st.sampled_from(["int", "str", "object", "float", "bool", "binary", "multilabel", "numbers"]),
    double=st.booleans(),
)
def test_round_trips(sizes: list[int], activation: str, kind: str, double: bool) -> None:
    dtype = np.float64 if double else np.float32
    arguments: dict[str, Any] = {"hidden_layer_sizes": sizes, "activation": activation}
    est = (
        regressor("several", dtype, **arguments)
        if kind == "numbers"
        else classifier(kind, dtype, **arguments)
    )
    theirs = to_sklearn(est)
    back = from_sklearn(theirs)
    assert_same_predictions(back, est, rows(dtype), 0)
    for a, b in zip(weights(back), weights(est), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert back.get_params() == est.get_params() | {"hidden_layer_sizes": tuple(sizes)}
    assert_same_predictions(theirs, est, rows(dtype), 1e-12 if double else 2e-6)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("origin", ["lbfgs", "elsewhere"])
def test_training_by_scikit_learn_of_what_has_no_records(origin: str, early_stopping: bool) -> None:
    """Weights found by lbfgs, or in another library, have no loss curve to go on with."""
    est = classifier("int", solver="lbfgs")  # scikit-learn 1.7.0 stops early by no labels that are strings
    if origin == "elsewhere":
        for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_", "_training"):
            vars(est).pop(name, None)
    est.set_params(solver="adam", warm_start=True, max_iter=2, early_stopping=early_stopping)
    y = est.classes_[np.arange(N) % len(est.classes_)]
    theirs = to_sklearn(est).fit(rows(), y)
    assert (len(theirs.loss_curve_), theirs.n_iter_) == (2, 2)
    if not early_stopping:
        assert len(to_sklearn(est).partial_fit(rows(), y).loss_curve_) == 1


def test_names_of_features() -> None:
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(rows(), columns=["a", "b", "c", "d"])
    for kind in (gdfast.MLPRegressor, sklearn.neural_network.MLPRegressor):
        est = kind(hidden_layer_sizes=3, max_iter=1).fit(X, np.arange(N))
        handed = to_sklearn(est) if kind is gdfast.MLPRegressor else from_sklearn(est)
        assert handed.feature_names_in_.tolist() == ["a", "b", "c", "d"]
        np.testing.assert_allclose(handed.predict(X), est.predict(X), rtol=1e-12)


def test_a_saved_copy_of_what_came_from_scikit_learn(tmp_path: Any) -> None:
    X, y = make("multiclass")
    ours = from_sklearn(both("multiclass", max_iter=2)[1].fit(X, y))
    ours.save(tmp_path / "net.safetensors")
    loaded = gdfast.load(tmp_path / "net.safetensors")
    assert (loaded.predict_proba(X) == ours.predict_proba(X)).all()
    assert (loaded.partial_fit(X, y).coefs_[0] == ours.partial_fit(X, y).coefs_[0]).all()


# What the other cannot say.


@pytest.mark.parametrize(
    ("est", "message"),
    [
        (
            lambda: classifier(batch_norm=True),
            "batch_norm=True: scikit-learn's MLPClassifier has no batch norm",
        ),
        (
            lambda: classifier(activation="gelu"),
            "activation='gelu': scikit-learn's MLPClassifier has 'identity'",
        ),
        (
            lambda: classifier(activation=("relu", "tanh")),
            r"activation=\['relu', 'tanh'\]: .* one activation",
        ),
        (
            lambda: regressor("quantiles"),
            "several quantiles: scikit-learn's MLPRegressor has no output layer",
        ),
        (lambda: recurrent(), "scikit-learn has no RNNClassifier"),
    ],
)
def test_networks_that_scikit_learn_has_not(est: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_sklearn(est())


@pytest.mark.parametrize(
    "arguments",
    [
        {"dropout": 0.3},
        {"label_smoothing": 0.1},
        {"class_weight": "balanced"},
        {"solver": "lion"},
        {"solver": gdfast.optim.Adam()},
        {"schedule": "cosine"},
        {"learning_rate_init": "auto"},
        {"weight_decay": 0.1},
        {"init": "he_normal"},
        {"ema_decay": 0.5},
        {"clip_norm": 1.0},
        {"max_time": 1e6},
    ],
    ids=str,
)
def test_arguments_of_training_that_scikit_learn_has_not(arguments: dict[str, Any]) -> None:
    est = classifier(**{"solver": "adam", **arguments})
    (name,) = arguments
    with pytest.raises(
        ValueError, match=rf"^{name}=.*: scikit-learn's MLPClassifier has no .* by drop=\['{name}'\]"
    ):
        to_sklearn(est)
    theirs = to_sklearn(est, drop=name)
    assert_same_predictions(theirs, est, rows())
    theirs.partial_fit(rows(), est.predict(rows()))


def test_losses_that_scikit_learn_has_not() -> None:
    est = gdfast.MLPRegressor(loss="huber", hidden_layer_sizes=3, max_iter=1).fit(rows(), np.arange(N))
    with pytest.raises(ValueError, match=r"loss='huber': .*drop=\['loss'\]"):
        to_sklearn(est)
    assert_same_predictions(to_sklearn(est, drop=["loss"]), est, rows())
    poisson = regressor("poisson")
    with pytest.raises(ValueError, match="drop names 'loss', without which there is no prediction"):
        to_sklearn(poisson, drop=["loss"])


def test_drop_names_arguments() -> None:
    with pytest.raises(ValueError, match="drop names 'dropuot', which MLPClassifier does not have"):
        to_sklearn(classifier(), drop=["dropuot"])
    with pytest.raises(ValueError, match="drop names 'activation', without which there is no prediction"):
        to_sklearn(classifier(), drop="activation")
    for drop in (None, 3, [3], [["dropout"]], b"dropout"):
        with pytest.raises(TypeError, match="drop must be a string or a collection of strings"):
            to_sklearn(classifier(), drop=drop)  # type: ignore[arg-type]


def test_a_subclass_with_predictions_of_its_own() -> None:
    class Own(sklearn.neural_network.MLPClassifier):
        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X) ** 2

    class Named(sklearn.neural_network.MLPClassifier):
        pass

    X, y = make("binary")
    with pytest.raises(TypeError, match="Own has its own predict_proba, which cannot be handed over"):
        from_sklearn(Own(3, max_iter=1).fit(X, y))
    est = Named(3, max_iter=1).fit(X, y)
    assert_same_predictions(from_sklearn(est), est, X)


def test_what_is_no_fitted_estimator(tmp_path: Any) -> None:
    with pytest.raises(
        TypeError, match=r"est must be an MLPClassifier or MLPRegressor of sklearn.*got gdfast"
    ):
        from_sklearn(classifier())
    with pytest.raises(NotFittedError):
        from_sklearn(sklearn.neural_network.MLPClassifier())
    with pytest.raises(NotFittedError):
        to_sklearn(gdfast.MLPClassifier())
    with pytest.raises(TypeError, match="est must be a fitted estimator of gdfast"):
        to_sklearn(sklearn.neural_network.MLPClassifier())
    classifier().save(tmp_path / "net.safetensors")
    with pytest.raises(TypeError, match="a predictor has no arguments of training"):
        to_sklearn(gdfast.load(tmp_path / "net.safetensors", training=False))
