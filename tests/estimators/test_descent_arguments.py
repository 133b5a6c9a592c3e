"""The estimators' arguments for gradient descent: rules, schedules, first weights, limits, annealing."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import reference_layers
from fits import trained_arrays
from gdfast import MLPClassifier, MLPRegressor, optim, schedules
from gdfast.kernels import mlp_loss_and_grad
from ids import text_of
from numpy.typing import NDArray
from problems import norm_error, same_bits
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV

Array = NDArray[Any]

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 5))
Y = X @ rng.standard_normal((5, 2)) + 0.1 * rng.standard_normal((60, 2))
LABELS = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
SMALL: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "max_iter": 5, "random_state": 0, "activation": "tanh"}


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Few epochs do not converge, and are not meant to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        yield


def regressor(**arguments: Any) -> MLPRegressor:
    return MLPRegressor(**{**SMALL, **arguments})


def classifier(**arguments: Any) -> MLPClassifier:
    return MLPClassifier(**{**SMALL, **arguments})


def weights(est: Any) -> list[Array]:
    return [*est.coefs_, *est.intercepts_]


def first_weights(est: Any) -> list[Array]:
    """Those that a fit begins with: steps of the smallest denormal number are none."""
    start = clone(est).set_params(max_iter=1, learning_rate_init=5e-324, solver="sgd", schedule=None)
    return weights(
        start.set_params(alpha=0.0, weight_decay=0.0, gradient_noise=0.0, clip_norm=None).fit(X, Y)
    )


# ------------------------------------------------------------------------------------------------- rules


OBJECTS = [
    optim.SGD(lr=0.05, momentum=0.8, nesterov=True), optim.Adagrad(lr=0.02),
    optim.RMSprop(lr=0.01, momentum=0.5),
    optim.Adadelta(lr=0.5), optim.Adam(lr=0.01, amsgrad=True), optim.AdamW(lr=0.01, weight_decay=0.0),
    optim.NAdam(lr=0.01), optim.Adamax(lr=0.01), optim.Lion(lr=0.001), optim.Rprop(lr=0.01),
]  # fmt: skip


def by_hand(est: MLPRegressor, optimizer: Any, epochs: int) -> list[Array]:
    arrays = [a.copy() for a in first_weights(est)]
    half = len(arrays) // 2
    for _ in range(epochs):
        _, (coef_grads, intercept_grads) = mlp_loss_and_grad(
            X, Y, arrays[:half], arrays[half:], activation="tanh"
        )
        optimizer.step(arrays, [*coef_grads, *intercept_grads])
    return arrays


@pytest.mark.parametrize("solver", OBJECTS, ids=lambda o: type(o).__name__)
def test_an_object_descends_as_it_does_by_hand(solver: Any) -> None:
    est = regressor(solver=solver, alpha=0.0, batch_size=60, shuffle=False).fit(X, Y)
    expected = by_hand(est, clone(solver), 5)
    # Gradients are summed in another order, and a sign may hang on that: Lion's and Rprop's do not here.
    for actual, wanted in zip(weights(est), expected, strict=True):
        assert norm_error(actual, wanted) < 1e-10
    assert solver.steps == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adagrad", optim.Adagrad), ("rmsprop", optim.RMSprop), ("adadelta", optim.Adadelta),
        ("adamw", optim.AdamW),
        ("nadam", optim.NAdam), ("adamax", optim.Adamax), ("lion", optim.Lion), ("rprop", optim.Rprop),
        ("muon", optim.Muon), ("schedulefree", optim.ScheduleFree),
    ],
)  # fmt: skip
def test_a_name_is_the_object_with_its_defaults_and_our_learning_rate(name: str, kind: Any) -> None:
    named = regressor(solver=name, learning_rate_init=0.004).fit(X, Y)
    assert same_bits(weights(named), weights(regressor(solver=kind(lr=0.004)).fit(X, Y)))


def test_an_unknown_solver() -> None:
    for solver in ("newton", optim.SGD, 3):
        with pytest.raises(ValueError, match="The 'solver' parameter of MLPRegressor must be"):
            regressor(solver=solver).fit(X, Y)


@pytest.mark.parametrize(
    "argument",
    [
        {"learning_rate_init": 0.1}, {"momentum": 0.5}, {"beta_1": 0.8}, {"epsilon": 1e-4},
        {"nesterovs_momentum": False},
    ],
    ids=text_of,
)  # fmt: skip
def test_what_contradicts_an_object(argument: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(argument))}=.* contradicts solver="):
        regressor(solver=optim.SGD(lr=0.1), **argument).fit(X, Y)
    with pytest.raises(ValueError, match=r"weight_decay=0\.1 contradicts"):
        regressor(solver=optim.AdamW(), weight_decay=0.1).fit(X, Y)


def test_objects_go_through_scikit_learns_tools() -> None:
    est = classifier(solver=optim.Adam(lr=0.01))
    assert repr(clone(est)) == repr(est)
    search = GridSearchCV(est, {"solver": [optim.Adam(lr=0.02), optim.SGD(lr=0.1), "lion"]}, cv=2).fit(
        X, LABELS
    )
    assert search.best_params_["solver"] is not None
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))


def test_partial_fit_continues_with_any_rule(dtype: type) -> None:
    x, y = X.astype(dtype), Y.astype(dtype)
    for solver in (optim.NAdam(lr=0.01), "rmsprop"):
        arguments: dict[str, Any] = {"solver": solver, "shuffle": False, "dropout": 0.2, "batch_norm": True}
        whole = regressor(**arguments).fit(x, y)
        parts = regressor(**arguments)
        for _ in range(5):
            parts.partial_fit(x, y)
            parts = pickle.loads(pickle.dumps(parts))
        assert same_bits(trained_arrays(parts), trained_arrays(whole))
        assert all(a.dtype == dtype for a in trained_arrays(parts))


# --------------------------------------------------------------------------------------------- schedules


def test_learning_rates_are_the_schedules() -> None:
    est = regressor(schedule=schedules.Exponential(gamma=0.5), learning_rate_init=0.08).fit(X, Y)
    assert est.learning_rate_curve_ == pytest.approx([0.08, 0.04, 0.02, 0.01, 0.005])
    est = regressor(schedule=lambda epoch: 1 / (1 + epoch), learning_rate_init=0.1).fit(X, Y)
    assert est.learning_rate_curve_ == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025, 0.02])
    est = regressor(schedule="cosine", learning_rate_init=0.1).fit(X, Y)
    assert est.learning_rate_curve_ == pytest.approx(0.05 * (1 + np.cos(np.pi * np.arange(5) / 5)))
    assert regressor().fit(X, Y).learning_rate_curve_ == [0.001] * 5


def test_a_schedule_of_steps_changes_every_step() -> None:
    # Six steps to an epoch: a line from 0.1 to 0 over the thirty of them.
    schedule = schedules.Polynomial(power=1.0, per="step")
    est = regressor(solver="sgd", schedule=schedule, learning_rate_init=0.1, batch_size=10).fit(X, Y)
    rates = 0.1 * (1 - np.arange(30) / 30)
    assert est.learning_rate_curve_ == pytest.approx(rates.reshape(5, 6).mean(axis=1))
    plain = regressor(solver="sgd", learning_rate_init=0.1, batch_size=10).fit(X, Y)
    assert not np.allclose(est.coefs_[0], plain.coefs_[0])


def test_a_plateau_listens_to_the_validation_loss() -> None:
    schedule = schedules.Plateau(factor=0.5, patience=0, threshold=10.0, threshold_mode="abs")
    est = regressor(schedule=schedule, learning_rate_init=0.1)
    est.fit(X, Y, X_val=X, y_val=Y)
    # Nothing is ever better by 10: halved after every epoch but the first.
    assert est.learning_rate_curve_ == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125])
    assert schedule.rates(0.1, schedules.Progress(0, 0, 0, 1, 1)) == 0.1


def test_scikit_learns_schedules_serve_every_rule() -> None:
    est = regressor(solver="rmsprop", schedule="invscaling", learning_rate_init=0.1).fit(X, Y)
    assert est.learning_rate_curve_ == pytest.approx([0.1, *(0.1 / np.sqrt(60 * i + 1) for i in range(1, 5))])
    est = regressor(schedule="adaptive", learning_rate_init=0.1, tol=1e9, n_iter_no_change=1, max_iter=6).fit(
        X, Y
    )
    assert est.learning_rate_curve_ == pytest.approx([0.1, 0.1, 0.1, 0.02, 0.02, 0.004])


def test_a_schedules_arguments_are_the_estimators() -> None:
    est = regressor(schedule=schedules.Step(1), learning_rate_init=0.1)
    assert est.get_params()["schedule__gamma"] == 0.1
    est.set_params(schedule__gamma=0.5)
    assert est.fit(X, Y).learning_rate_curve_ == pytest.approx(0.1 * 0.5 ** np.arange(5))
    search = GridSearchCV(est, {"schedule__gamma": [0.5, 1.0]}, cv=2).fit(X, Y)
    assert search.best_estimator_.schedule.gamma == search.best_params_["schedule__gamma"]
    with pytest.raises(ValueError, match="Step has no parameter 'factor'"):
        est.set_params(schedule__factor=1)


def test_schedules_that_make_no_sense() -> None:
    awaiting = schedules.Plateau(mode="max")
    for schedule in (awaiting, schedules.Warmup(schedules.Warmup(awaiting))):
        with pytest.raises(ValueError, match=r"a schedule gets a loss, which falls\..*mode at 'min'"):
            regressor(schedule=schedule).fit(X, Y)
    with pytest.raises(TypeError, match="schedule's function must return a number"):
        regressor(schedule=lambda epoch: "a").fit(X, Y)
    with pytest.raises(ValueError, match="schedule must be one of"):
        regressor(schedule="never").fit(X, Y)
    with pytest.raises(ValueError, match="both determine the learning rate"):
        regressor(solver="sgd", learning_rate="adaptive", schedule="cosine").fit(X, Y)


# ------------------------------------------------------------------------------------------ first weights


VARIANCE = {
    "glorot": lambda i, o: 2 / (i + o),
    "he": lambda i, o: 2 / i,
    "lecun": lambda i, o: 1 / i,
}


@pytest.mark.parametrize("form", ["normal", "uniform"])
@pytest.mark.parametrize("author", VARIANCE)
def test_scaled_first_weights(author: str, form: str) -> None:
    est = regressor(init=f"{author}_{form}", hidden_layer_sizes=(100, 80))
    arrays = first_weights(est)
    for coef in arrays[:3]:
        n, variance = coef.size, VARIANCE[author](*coef.shape)
        # A sample's variance is off by this share of it at most, four times in 100,000.
        assert coef.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / n))
        if form == "uniform":
            assert np.abs(coef).max() <= np.sqrt(3 * variance)
    assert not any(intercept.any() for intercept in arrays[3:])


def test_free_first_weights() -> None:
    assert not any(a.any() for a in first_weights(regressor(init="zeros")))
    wide: dict[str, Any] = {"hidden_layer_sizes": (300,)}
    assert first_weights(regressor(init=("normal", 0.5), **wide))[0].std() == pytest.approx(0.5, rel=0.1)
    uniform = first_weights(regressor(init=("uniform", 0.5), **wide))[0]
    assert 0.45 < np.abs(uniform).max() <= 0.5
    for coef in first_weights(regressor(init=("orthogonal", 2.0), **wide))[:2]:
        small = coef @ coef.T if coef.shape[0] < coef.shape[1] else coef.T @ coef
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)
    assert same_bits(first_weights(regressor(init="he_normal")), first_weights(regressor(init="he_normal")))


@pytest.mark.parametrize(
    "init", ["glorot", ("he_normal", 1.0), ("normal", 0.0), ("normal", "1"), ("normal",)], ids=text_of
)
def test_first_weights_that_there_are_not(init: Any) -> None:
    with pytest.raises(ValueError, match="init"):
        regressor(init=init).fit(X, Y)


# --------------------------------------------------------------------------------------- dropout and norms


def test_dropout_is_of_training_alone_and_reproducible() -> None:
    first, again, other = (regressor(dropout=0.5, random_state=seed).fit(X, Y) for seed in (0, 0, 1))
    assert same_bits(weights(first), weights(again))
    assert not np.allclose(first.coefs_[0], other.coefs_[0])
    np.testing.assert_array_equal(first.predict(X), first.predict(X))
    same = [0.0, 0.5, 0.5]
    assert same_bits(weights(regressor(dropout=same).fit(X, Y)), weights(first))
    # Without it nothing more is drawn.
    assert same_bits(weights(regressor(dropout=0).fit(X, Y)), weights(regressor().fit(X, Y)))


@pytest.mark.parametrize("dropout", [[0.1], [0.1] * 4, [1.0, 0, 0], "half", 1.0, -0.1], ids=text_of)
def test_dropout_that_makes_no_sense(dropout: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="dropout"):
        regressor(dropout=dropout).fit(X, Y)


@pytest.mark.parametrize("values", [["a", 0.1, 0.1], [[0.1, 0.2]], [None], "a"], ids=text_of)
@pytest.mark.parametrize("name", ["dropout", "quantiles"])
def test_what_is_no_number_is_named(name: str, values: Any) -> None:
    loss = "quantile" if name == "quantiles" else "squared_error"
    est = regressor(loss=loss, **{name: values})
    with pytest.raises((ValueError, TypeError), match=f"^{name} must be|'{name}' parameter"):
        est.fit(X, Y[:, 0])
    assert not hasattr(est, "coefs_")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_predictions_normalise_by_the_running_moments(kind: type) -> None:
    x, y = X.astype(kind), Y.astype(kind)
    est = regressor(batch_norm=True, bn_epsilon=1e-3, batch_size=20).fit(x, y)
    norms = list(zip(est.bn_gamma_, est.bn_beta_, est.bn_mean_, est.bn_var_, strict=True))
    assert [[a.dtype, a.shape] for a in norms[0]] == [[kind, (8,)]] * 4
    wide = [tuple(a.astype(np.float64) for a in norm) for norm in norms]
    expected = reference_layers.forward(
        X, est.coefs_, est.intercepts_, ["tanh", "tanh"], "identity", wide, 1e-3
    )
    assert norm_error(est.predict(x), expected) < 200 * np.finfo(kind).eps
    # Some other dtype, and rows one by one.
    assert norm_error(est.predict(X), expected) < 200 * np.finfo(kind).eps
    assert same_bits([np.concatenate([est.predict(x[i : i + 1]) for i in range(60)])], [est.predict(x)])
    # Moments of 0.1 of each of 15 batches: they have nearly forgotten where they began.
    z = X @ est.coefs_[0] + est.intercepts_[0]
    assert np.abs(est.bn_mean_[0] - z.mean(axis=0)).max() < 0.5


def test_norms_are_treated_like_weights() -> None:
    arguments: dict[str, Any] = {"batch_norm": True, "dropout": 0.1, "schedule": "cosine", "shuffle": True}
    # A validation set puts back the norms of the best epoch, too.
    est = classifier(early_stopping=True, tol=10.0, n_iter_no_change=3, max_iter=30, **arguments).fit(
        X, LABELS
    )
    best = int(np.argmax(est.validation_scores_)) + 1
    assert best < est.n_iter_
    alone = classifier(early_stopping=True, tol=10.0, n_iter_no_change=3, **{**arguments, "max_iter": best})
    alone.set_params(schedule=schedules.Cosine(T_max=30))
    whole = clone(est).set_params(schedule=schedules.Cosine(T_max=30)).fit(X, LABELS)
    assert same_bits(trained_arrays(alone.fit(X, LABELS)), trained_arrays(whole))
    # A warm start goes on with them, a new fit begins anew.
    warm = regressor(warm_start=True, batch_norm=True).fit(X, Y)
    before = [a.copy() for a in warm.bn_mean_]
    warm.fit(X, Y)
    assert not np.allclose(warm.bn_mean_[0], before[0])
    cold = regressor(batch_norm=True).fit(X, Y)
    assert same_bits(trained_arrays(cold.fit(X, Y)), trained_arrays(regressor(batch_norm=True).fit(X, Y)))
    assert not hasattr(cold.set_params(batch_norm=False).fit(X, Y), "bn_gamma_")


def test_two_halves_are_a_whole_with_everything_on() -> None:
    arguments: dict[str, Any] = {
        "batch_norm": True, "dropout": 0.2, "gradient_noise": 0.01, "clip_norm": "auto", "warm_start": True,
        "keep_optimizer_state": True, "schedule": schedules.Exponential(gamma=0.9), "batch_size": 7,
        "solver": optim.NAdam(lr=0.01), "activation": ["gelu", "elu"],
    }  # fmt: skip
    whole = regressor(**{**arguments, "max_iter": 8}).fit(X, Y)
    halves = regressor(**{**arguments, "max_iter": 4}).fit(X, Y)
    halves = pickle.loads(pickle.dumps(halves)).fit(X, Y)
    assert halves.loss_curve_ == whole.loss_curve_
    assert halves.learning_rate_curve_ == whole.learning_rate_curve_
    assert same_bits(trained_arrays(halves), trained_arrays(whole))


def test_sparse_rows_and_float32_with_everything_on() -> None:
    thin = np.where(np.abs(X) > 0.7, X, 0).astype(np.float32)
    arguments: dict[str, Any] = {
        "batch_norm": True,
        "dropout": [0.1, 0.2, 0.3],
        "clip_layer_norm": 0.5,
        "l1_ratio": 0.5,
    }
    dense = regressor(**arguments).fit(thin, Y.astype(np.float32))
    csr = regressor(**arguments).fit(sparse.csr_array(thin), Y.astype(np.float32))
    assert same_bits(trained_arrays(dense), trained_arrays(csr))


# ------------------------------------------------------------------------------------- gradients and depth


def test_limits_and_penalties_reach_the_core() -> None:
    plain = regressor(learning_rate_init=0.1, batch_size=20).fit(X, Y)
    for argument in (
        {"clip_value": 1e-3}, {"clip_norm": 1e-3}, {"clip_norm": "auto"}, {"clip_layer_norm": 1e-3},
        {"gradient_noise": 1.0}, {"weight_decay": 0.5}, {"alpha": 1.0, "l1_ratio": 1.0},
        {"backprop_depth": 1},
    ):  # fmt: skip
        other = regressor(learning_rate_init=0.1, batch_size=20, **argument).fit(X, Y)
        assert not np.allclose(plain.coefs_[2], other.coefs_[2]), argument
    limited = regressor(solver=optim.SGD(lr=0.1), clip_norm=1e-3, batch_size=60).fit(X, Y)
    moved = [a - b for a, b in zip(weights(limited), first_weights(limited), strict=True)]
    assert np.sqrt(sum((m**2).sum() for m in moved)) <= 5 * 0.1 * 1e-3 * (1 + 1e-9)


def test_l1_makes_weights_small_where_they_do_nothing() -> None:
    est = regressor(
        hidden_layer_sizes=(), solver="sgd", alpha=30.0, l1_ratio=1.0, learning_rate_init=0.01, max_iter=300
    )
    y = 3 * X[:, 0]
    est.fit(X, y)
    assert est.coefs_[0][0] > 2
    assert np.abs(est.coefs_[0][1:]).max() < 0.05


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_depth_keeps_what_is_below(depth: int) -> None:
    est = regressor(backprop_depth=depth, weight_decay=0.1, record_gradients=True).fit(X, Y)
    start = first_weights(est)
    changed = [not same_bits([a], [b]) for a, b in zip(weights(est), start, strict=True)]
    assert changed == [layer >= 3 - depth for layer in range(3)] * 2
    for name in ("gradient_norm", "weight_norm", "update_ratio"):
        records = np.array(est.gradient_records_[name])
        assert records.shape == (5, 3)
        np.testing.assert_array_equal(np.isnan(records), [[layer < 3 - depth for layer in range(3)]] * 5)


def test_depth_may_grow() -> None:
    seen = []

    def depth(epoch: int) -> int:
        seen.append(epoch)
        return min(3, 1 + epoch // 2)

    est = regressor(backprop_depth=depth, record_gradients=True).fit(X, Y)
    assert seen == [0, 1, 2, 3, 4]
    active = ~np.isnan(np.array(est.gradient_records_["gradient_norm"]))
    assert active.sum(axis=1).tolist() == [1, 1, 2, 2, 3]
    whole = regressor().fit(X, Y)
    assert same_bits(weights(regressor(backprop_depth=3).fit(X, Y)), weights(whole))


@pytest.mark.parametrize("depth", [4, lambda epoch: 0, lambda epoch: 2.5], ids=text_of)
def test_depths_that_there_are_not(depth: Any) -> None:
    with pytest.raises(ValueError, match="backprop_depth must be an integer from 1"):
        regressor(backprop_depth=depth).fit(X, Y)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "annealing"])
@pytest.mark.parametrize(
    "argument",
    [
        {"schedule": "cosine"}, {"clip_value": 1.0}, {"clip_norm": 1.0}, {"clip_layer_norm": 1.0},
        {"dropout": 0.1},
        {"batch_norm": True}, {"gradient_noise": 0.1}, {"backprop_depth": 1}, {"weight_decay": 0.1},
        {"l1_ratio": 0.5}, {"record_gradients": True},
    ],
    ids=text_of,
)  # fmt: skip
def test_what_has_no_meaning_without_steps(argument: dict[str, Any], solver: str) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(argument))}=.* has no meaning with solver='{solver}'"):
        regressor(solver=solver, **argument).fit(X, Y)


def test_a_ratio_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"l1_ratio=0\.5 divides the penalty"):
        regressor(alpha=0, l1_ratio=0.5).fit(X, Y)


# ---------------------------------------------------------------------------------------------- annealing


def test_annealing_lowers_the_loss_without_a_gradient() -> None:
    y = np.sin(2 * X[:, 0])
    est = MLPRegressor(
        hidden_layer_sizes=(6,), solver="annealing", max_iter=60, random_state=0, alpha=0.0
    ).fit(X, y)
    assert est.loss_ == min(est.loss_curve_) == est.best_loss_
    assert est.loss_ < 0.5 * est.loss_curve_[0]
    assert len(est.loss_curve_) == est.n_iter_ == 60
    # The loss is that of the weights that are left.
    assert est.loss_ == pytest.approx(0.5 * np.mean((est.predict(X) - y) ** 2))
    again = clone(est).fit(X, y)
    assert same_bits(weights(est), weights(again))


@pytest.mark.slow
def test_annealing_takes_a_scorer_that_has_no_gradient() -> None:
    moons, y = make_moons(120, noise=0.1, random_state=0)
    est = MLPClassifier((8,), solver="annealing", scoring="accuracy", max_iter=40, random_state=0).fit(
        moons, y
    )
    assert est.score(moons, y) == -est.loss_
    assert est.score(moons, y) > 0.95
    held = clone(est).set_params(early_stopping=True, n_iter_no_change=5).fit(moons, y)
    assert held.best_validation_score_ == max(held.validation_scores_)
    with pytest.raises(AttributeError, match="partial_fit"):
        est.partial_fit(moons, y)


@pytest.mark.parametrize(
    "params",
    [{"cooling": "never"}, {"step_size": 0.0}, {"initial_temp": -1}, {"heat": 1}, {"final_temp": "cold"}],
    ids=text_of,
)
def test_annealing_that_makes_no_sense(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="annealing_params"):
        regressor(solver="annealing", annealing_params=params).fit(X, Y)
