"""Rules that see whole gradients as solvers: their place in a step, their state, what is seen of weights."""

from __future__ import annotations

import pickle
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import optim
from gdfast.kernels import mlp_kronecker_factors, mlp_loss_and_grad
from gdfast.optim._whole import Whole
from gdfast.training.encoding import CategoryColumn, EncodedRows, Encoding
from numpy.typing import NDArray
from problems import norm_error, same_bits
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Array = NDArray[Any]

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 4))
Y = np.stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] * X[:, 3]], axis=1)
SEQUENCES = [RNG.normal(size=(int(n), 3)) for n in RNG.integers(3, 9, 20)]

SOLVERS: dict[str, Any] = {
    "muon": optim.Muon(0.02),
    "prodigy": optim.Prodigy(weight_decay=0.01),
    "schedulefree": optim.ScheduleFree(0.05),
    "soap": optim.SOAP(0.02, precondition_frequency=2),
    "kfac": optim.KFAC(factor_steps=1, inverse_steps=2),
    "kfac empirical": optim.KFAC(fisher="empirical", kl_clip=1e-3),
    "schedulefree sgd": optim.ScheduleFree(0.1, base="sgd", warmup_steps=4),
}


def regressor(solver: Any = "muon", **arguments: Any) -> gdfast.MLPRegressor:
    given: dict[str, Any] = {
        "hidden_layer_sizes": (8, 6), "activation": "tanh", "batch_size": 20, "max_iter": 4, "tol": 0.0,
        "random_state": 0, **arguments,
    }  # fmt: skip
    return gdfast.MLPRegressor(solver=solver, **given)


def trained(est: Any) -> list[Array]:
    names = ("coefs_", "intercepts_", "bn_gamma_", "bn_beta_", "bn_mean_", "bn_var_")
    return [array for name in names for array in getattr(est, name, ())]


@pytest.mark.parametrize("name", SOLVERS)
def test_it_descends_as_it_does_by_hand(name: str, dtype: type) -> None:
    x, y = X.astype(dtype), Y.astype(dtype)
    # A loop cannot tell biases from weights, or the output layer: nothing decays, and Muon is told.
    solver = SOLVERS[name].set_params(weight_decay=0.0)
    square: dict[str, Any] = {"hidden_layer_sizes": (4, 4)}  # one factor for either orientation
    est = regressor(solver, alpha=0.0, batch_size=60, shuffle=False, max_iter=6, **square).fit(x, y)
    start = regressor(solver, learning_rate_factors={"coefs_": 0, "intercepts_": 0}, **square).fit(x, y)
    rule = type(solver)(**solver.get_params())
    if name == "muon":
        rule.hidden = (True, True, False, False, False, False)
    arrays = [*start.coefs_, *start.intercepts_]
    if name == "kfac":
        pytest.skip("its factors are random")
    for _ in range(6):
        _, grads = mlp_loss_and_grad(x, y, arrays[:3], arrays[3:], activation="tanh")
        more = ()
        if name == "kfac empirical":
            more = (mlp_kronecker_factors(x, y, arrays[:3], arrays[3:], activation="tanh"),)
        rule.step(arrays, [*grads[0], *grads[1]], *more)
    if hasattr(rule, "eval"):
        rule.eval(arrays)
    # Gradients are summed in another order.
    tolerance = 1e-10 if dtype is np.float64 else 1e-3
    for actual, wanted in zip([*est.coefs_, *est.intercepts_], arrays, strict=True):
        assert norm_error(actual, wanted) < tolerance
    assert solver.steps == 0


def test_muon_looks_at_matrices_as_outputs_by_inputs() -> None:
    est = regressor(
        optim.Muon(1.0, 0.0, 0.0, ns_steps=1), hidden_layer_sizes=(16,), max_iter=1, batch_size=60
    )
    start = regressor(learning_rate_factors={"coefs_": 0}, hidden_layer_sizes=(16,)).fit(X, Y).coefs_[0]
    seen: list[Array] = []

    class Look:
        def on_gradient(self, est: Any, gradients: Any) -> None:
            seen.append(gradients["coefs_"][0].copy())

    moved = start - est.set_params(callbacks=[Look()]).fit(X, Y).coefs_[0]
    alone = [np.zeros((4, 16))]
    optim.Muon(1.0, 0.0, 0.0, ns_steps=1).step(alone, seen)
    assert norm_error(moved, -2 * alone[0]) < 1e-12, "the factor is sqrt(16 / 4)"


@pytest.mark.parametrize("name", SOLVERS)
def test_limits_come_before_the_rule_and_decay_is_its_own(name: str) -> None:
    solver = SOLVERS[name]
    plain, limited = regressor(solver).fit(X, Y), regressor(solver, clip_norm=1e-3).fit(X, Y)
    assert not np.allclose(plain.coefs_[0], limited.coefs_[0], rtol=1e-9, atol=0)

    # By hand: the same limit, in the gradient's place.
    class Limit:
        def on_gradient(self, est: Any, gradients: Any) -> None:
            for arrays in gradients.values():
                for array in arrays:
                    np.clip(array, -1e-2, 1e-2, out=array)

    by_hand = regressor(solver, callbacks=[Limit()]).fit(X, Y)
    assert same_bits(trained(regressor(solver, clip_value=1e-2).fit(X, Y)), trained(by_hand))


@pytest.mark.parametrize("kind", ["muon", "schedulefree"])
def test_the_estimators_weight_decay_is_the_rules(kind: str) -> None:
    own = {"muon": optim.Muon, "schedulefree": optim.ScheduleFree}[kind](0.01, weight_decay=0.3)
    given = regressor(kind, weight_decay=0.3, learning_rate_init=0.01).fit(X, Y)
    assert same_bits(trained(given), trained(regressor(own).fit(X, Y)))
    scheduled = regressor(
        kind, weight_decay=0.3, learning_rate_init=0.01, weight_decay_schedule=lambda epoch: float(epoch == 0)
    ).fit(X, Y)
    assert not same_bits(trained(given), trained(scheduled))
    # Nothing decays a bias.
    without = regressor(type(own)(1e-3, weight_decay=0.0), max_iter=1, batch_size=60).fit(X, Y)
    with_decay = regressor(type(own)(1e-3, weight_decay=5.0), max_iter=1, batch_size=60).fit(X, Y)
    assert same_bits(without.intercepts_, with_decay.intercepts_)
    assert not same_bits(without.coefs_[:1], with_decay.coefs_[:1])


@pytest.mark.parametrize("name", SOLVERS)
def test_layers_that_are_not_trained_keep_every_bit(name: str) -> None:
    start = regressor(learning_rate_factors={"coefs_": 0, "intercepts_": 0}).fit(X, Y)
    est = regressor(SOLVERS[name], backprop_depth=1).fit(X, Y)
    assert same_bits(est.coefs_[:2] + est.intercepts_[:2], start.coefs_[:2] + start.intercepts_[:2])
    assert not same_bits(est.coefs_[2:], start.coefs_[2:])
    fixed = regressor(SOLVERS[name], learning_rate_factors={"coefs_": [0, 1, 0.5]}).fit(X, Y)
    assert same_bits(fixed.coefs_[:1], start.coefs_[:1])
    assert not same_bits(fixed.coefs_[1:2], start.coefs_[1:2])


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"batch_norm": True}, {"schedule": "cosine"}, {"clip_norm": "auto", "gradient_noise": 0.01},
     {"dropout": 0.2}, {"backprop_depth": lambda epoch: 1 + epoch % 3}],
    ids=["plain", "batch norm", "schedule", "limits and noise", "dropout", "depth"],
)  # fmt: skip
def test_two_halves_are_a_whole(name: str, arguments: dict[str, Any]) -> None:
    given = {"warm_start": True, "keep_optimizer_state": True, **arguments}
    if name.startswith("kfac") and "batch_norm" in given:
        with pytest.raises(ValueError, match=r"solver=KFAC.* is not supported with batch_norm=True"):
            regressor(SOLVERS[name], **given).fit(X, Y)
        return
    if "schedule" in given:
        given["schedule"] = gdfast.schedules.Cosine(T_max=6)
    whole = regressor(SOLVERS[name], **given, max_iter=6).fit(X, Y)
    half = regressor(SOLVERS[name], **given, max_iter=3).fit(X, Y)
    half = half.fit(X, Y) if "backprop_depth" in arguments else pickle.loads(pickle.dumps(half)).fit(X, Y)
    assert half.loss_curve_ == whole.loss_curve_
    assert same_bits(trained(half), trained(whole))
    assert whole.loss_curve_[-1] < whole.loss_curve_[0]


@pytest.mark.parametrize("name", SOLVERS)
def test_partial_fits_go_on_in_a_file(name: str, tmp_path: Any) -> None:
    est = regressor(SOLVERS[name])
    for _ in range(3):
        est.partial_fit(X, Y)
    est.save(tmp_path / "model")
    loaded = gdfast.load(tmp_path / "model")
    assert np.array_equal(loaded.predict(X), est.predict(X))
    assert same_bits(trained(loaded.partial_fit(X, Y)), trained(est.partial_fit(X, Y)))


@pytest.mark.parametrize("name", SOLVERS)
def test_sequences(name: str) -> None:
    if name.startswith("kfac"):
        est = gdfast.RNNRegressor(solver=SOLVERS[name])
        with pytest.raises(ValueError, match=r"solver=KFAC.* is for multilayer perceptrons"):
            est.fit(SEQUENCES, np.ones(20))
        return
    y = np.array([s.sum() for s in SEQUENCES])
    est = gdfast.RNNRegressor(
        hidden_layer_sizes=(5,), cell="gru", solver=SOLVERS[name], batch_size=7, max_iter=8, random_state=0
    ).fit(SEQUENCES, y)
    assert est.loss_curve_[-1] < est.loss_curve_[0]


@pytest.mark.parametrize("solver", ["muon", optim.Prodigy()], ids=str)
def test_embeddings_have_no_place(solver: Any) -> None:
    table = EncodedRows(np.arange(60.0)[:, None] % 9, Encoding([CategoryColumn(9, embedding=2)]))
    with pytest.raises(ValueError, match=r"solver=.* cannot train the embeddings of X's columns"):
        regressor(solver).fit(table, Y)


def test_where_kfac_has_no_place() -> None:
    with pytest.raises(ValueError, match=r"solver='kfac' needs dense rows.* but X is sparse"):
        regressor("kfac").fit(sparse.csr_array(X), Y)
    with pytest.raises(
        ValueError, match=r"solver='kfac' has no true Fisher matrix for loss='huber'.*solver=optim\.KFAC"
    ):
        regressor("kfac", loss="huber").fit(X, Y)
    regressor(optim.KFAC(fisher="empirical"), loss="huber").fit(X, Y)


@pytest.mark.parametrize("case", ["labels", "several labels", "counts", "weights"])
def test_kfac_draws_targets_of_every_kind(case: str, dtype: type) -> None:
    x = X.astype(dtype)
    arguments: dict[str, Any] = {
        "hidden_layer_sizes": (8,), "solver": optim.KFAC(lr=0.1), "batch_size": 20, "max_iter": 15,
        "random_state": 0,
    }  # fmt: skip
    fit: dict[str, Any] = {}
    if case == "counts":
        est: Any = gdfast.MLPRegressor(loss="poisson", **arguments)
        y: Any = np.random.default_rng(0).poisson(np.exp(0.5 * X[:, 0]))
    else:
        est = gdfast.MLPClassifier(**arguments)
        y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
        if case == "several labels":
            y = (X[:, :2] > 0).astype(int)
        if case == "weights":
            fit = {"sample_weight": np.where(np.arange(60) % 7 == 0, -0.1, 1.0)}
    est.fit(x, y, **fit)
    assert est.loss_curve_[-1] < 0.7 * est.loss_curve_[0]


def test_prodigy_has_no_learning_rate_to_choose() -> None:
    assert regressor("prodigy").fit(X, Y).learning_rate_curve_ == [1.0] * 4
    with pytest.raises(ValueError, match=r"learning_rate_init=0\.1 has no meaning with solver='prodigy'"):
        regressor("prodigy", learning_rate_init=0.1).fit(X, Y)


# ------------------------------------------------------------------------------------- what is averaged


def test_everybody_sees_the_average() -> None:
    """Callbacks, validation and the end: x. Gradients: y, which is another point."""
    seen: dict[str, list[Any]] = {"begin": [], "end": [], "score": []}

    class Look:
        def on_epoch_begin(self, est: Any, epoch: int, logs: Any) -> None:
            seen["begin"].append([a.copy() for a in est.coefs_])

        def on_epoch_end(self, est: Any, epoch: int, logs: Any) -> None:
            seen["end"].append([a.copy() for a in est.coefs_])
            seen["score"].append((est.score(X, Y), logs["val_score"]))

    solver = optim.ScheduleFree(0.05)
    est = regressor(solver, callbacks=[Look()], max_iter=5).fit(X, Y, X_val=X, y_val=Y)
    for before, after in zip(seen["end"], seen["begin"][1:], strict=False):
        assert same_bits(before, after)
    assert all(score == pytest.approx(val, rel=1e-12) for score, val in seen["score"])
    unwatched = regressor(solver, max_iter=5, early_stopping=False).fit(X, Y)
    watched = regressor(solver, max_iter=5, callbacks=[Look()]).fit(X, Y, X_val=X, y_val=Y)
    best = int(np.argmax(est.validation_scores_))
    assert same_bits(est.coefs_, seen["end"][best])
    assert same_bits(unwatched.coefs_, seen["end"][4]), "to look changes nothing"
    assert same_bits(watched.coefs_, est.coefs_)


def test_a_callback_may_edit_the_average() -> None:
    class Edit:
        def on_epoch_end(self, est: Any, epoch: int, logs: Any) -> None:
            est.coefs_[0][:] = 0

    est = regressor(optim.ScheduleFree(0.0), callbacks=[Edit()]).fit(X, Y)
    assert not est.coefs_[0].any()


@pytest.mark.parametrize("name", SOLVERS)
def test_a_step_that_fails_leaves_the_rule_as_it_was(name: str) -> None:
    """An error in the second epoch: what has been trained is kept, and goes on as if it had ended there."""

    class Fail:
        def __init__(self, after: int) -> None:
            self.left = after

        def on_gradient(self, est: Any, gradients: Any) -> None:
            self.left -= 1
            if self.left < 0:
                raise ZeroDivisionError

    arguments: dict[str, Any] = {"warm_start": True, "keep_optimizer_state": True, "shuffle": False}
    broken = regressor(SOLVERS[name], callbacks=[Fail(4)], **arguments)
    with pytest.raises(ZeroDivisionError):
        broken.fit(X, Y)
    broken.set_params(callbacks=None, max_iter=1).fit(X[20:], Y[20:])

    # By hand: an epoch, and a part of one.
    whole = regressor(SOLVERS[name], max_iter=1, **arguments).fit(X, Y)
    whole.fit(X[:20], Y[:20])
    whole.fit(X[20:], Y[20:])
    assert same_bits(trained(broken), trained(whole))


@pytest.mark.parametrize("solver", [optim.Muon(1e200), optim.ScheduleFree(1e200)], ids=str)
def test_numbers_that_are_not_finite_end_it(solver: Any) -> None:
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*learning rate 1e"):
        regressor(solver, activation="relu").fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="learning rate 1e"):
        est = regressor(solver, activation="relu").fit(X, Y, X_val=X, y_val=Y)
    assert all(np.isfinite(array).all() for array in trained(est))


@pytest.mark.parametrize("name", ["muon", "schedulefree", "kfac"])
def test_ctrl_c_in_the_rule_ends_training_after_a_whole_step(name: str, monkeypatch: Any) -> None:
    arguments: dict[str, Any] = {"warm_start": True, "keep_optimizer_state": True, "shuffle": False}
    take, calls = Whole.next, []

    def interrupted(self: Whole, *given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return take(self, *given, **named)

    est = regressor(SOLVERS[name], **arguments)
    monkeypatch.setattr(Whole, "next", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        est.fit(X, Y)
    monkeypatch.undo()
    # An epoch and one batch of the next have been trained.
    whole = regressor(SOLVERS[name], max_iter=1, **arguments).fit(X, Y)
    whole.fit(X[:20], Y[:20])
    assert same_bits(trained(est), trained(whole))
    est.set_params(max_iter=1).fit(X[20:], Y[20:])
    assert same_bits(trained(est), trained(whole.fit(X[20:], Y[20:])))
