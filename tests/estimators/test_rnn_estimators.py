"""RNNClassifier and RNNRegressor: scikit-learn's manners, on data for which scikit-learn has no checks."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from gdfast import RNNClassifier, RNNRegressor, optim, schedules
from gdfast.training.init import draw_recurrent
from gdfast.training.network import GATES
from numpy.typing import NDArray
from problems import same_bits
from processes import PEAK, has_peak, in_process
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

Array = NDArray[Any]

CELLS = ("elman", "gru", "lstm")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(n: int = 12, steps: int = 6, features: int = 2, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, steps, features))
    return X, X[:, :, 0].cumsum(axis=1)


def ragged(seed: int = 0) -> tuple[list[Array], list[Array]]:
    rng = np.random.default_rng(seed)
    X = [rng.standard_normal((length, 2)) for length in (3, 7, 1, 5, 7, 2, 4, 6)]
    return X, [x[:, 0].cumsum() for x in X]


def regressor(**options: Any) -> RNNRegressor:
    return RNNRegressor(**{"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0, **options})


def classifier(**options: Any) -> RNNClassifier:
    return RNNClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0, **options})


def weights(est: Any) -> list[Array]:
    return [*est.coefs_, *est.intercepts_]


# -------------------------------------------------------------------------------- scikit-learn's manners


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_parameters_are_stored_as_given_and_cloned(kind: Any) -> None:
    est = kind((3, 4), cell="lstm", tbptt=(2, 5), clip_norm=1.0, per_step=True)
    params = est.get_params()
    assert params["tbptt"] == (2, 5)
    assert clone(est).get_params() == params
    assert set(vars(est)) >= set(params)
    assert kind().set_params(cell="elman").cell == "elman"


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_not_fitted(method: str) -> None:
    X, y = data()
    with pytest.raises(NotFittedError):
        getattr(classifier(), method)(*((X, y[:, -1] > 0) if method == "score" else (X,)))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("per_step", [False, True])
def test_fit_is_idempotent_and_leaves_its_data_alone(cell: str, per_step: bool) -> None:
    X, y = data()
    y = y if per_step else y[:, -1]
    kept = X.copy(), y.copy()
    est = regressor(cell=cell, per_step=per_step, hidden_layer_sizes=(5, 3)).fit(X, y)
    first = [a.copy() for a in weights(est)]
    est.fit(X, y)
    assert same_bits(weights(est), first)
    est.predict(X)
    assert same_bits([X, y], kept)
    X.flags.writeable = False
    assert same_bits(weights(clone(est).fit(X, y)), first)


def test_shapes_of_weights() -> None:
    X, y = data()
    est = regressor(hidden_layer_sizes=(5, 3), cell="lstm").fit(X, np.stack([y[:, -1]] * 2, axis=1))
    assert [c.shape for c in est.coefs_] == [(2, 20), (5, 20), (5, 12), (3, 12), (3, 2)]
    assert [b.shape for b in est.intercepts_] == [(20,), (20,), (12,), (12,), (2,)]
    assert (est.n_features_in_, est.n_layers_, est.n_outputs_) == (2, 4, 2)


def test_float32_stays_float32() -> None:
    X, y = data()
    est = regressor().fit(X.astype(np.float32), y[:, -1])
    assert all(a.dtype == np.float32 for a in weights(est))
    assert est.predict(X.astype(np.float32)).dtype == np.float32
    assert est.predict(X).dtype == np.float64


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda est: pickle.loads(pickle.dumps(est))])
def test_a_copy_predicts_and_continues_alike(copied: Any) -> None:
    X, y = data()
    est = regressor(per_step=True, tbptt=(2, 3), stateful=True).partial_fit(X, y)
    twin = copied(est)
    assert same_bits([twin.predict(X)], [est.predict(X)])
    est.partial_fit(X, y)
    twin.partial_fit(X, y)
    assert same_bits([*weights(twin), *twin.state_], [*weights(est), *est.state_])


def test_warm_start_continues_with_the_optimizers_state() -> None:
    X, y = data()
    whole = regressor(max_iter=6, tol=0, n_iter_no_change=np.inf).fit(X, y[:, -1])
    parts = regressor(warm_start=True, keep_optimizer_state=True, tol=0, n_iter_no_change=np.inf)
    parts.fit(X, y[:, -1]).fit(X, y[:, -1])
    assert same_bits(weights(parts), weights(whole))
    with pytest.raises(ValueError, match="weights of the shapes"):
        parts.set_params(cell="lstm").fit(X, y[:, -1])


# ---------------------------------------------------------------------------------------- data and results


def test_results_for_each_step_have_the_shape_of_the_data() -> None:
    X, y = data()
    est = regressor(per_step=True).fit(X, y)
    assert est.predict(X).shape == y.shape
    two = regressor(per_step=True).fit(X, np.stack([y, y], axis=2))
    assert two.predict(X).shape == (*y.shape, 2)
    clf = classifier(per_step=True).fit(X, y > 0)
    assert clf.predict(X).shape == y.shape
    assert clf.predict(X).dtype == bool
    assert clf.predict_proba(X).shape == (*y.shape, 2)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X)), clf.predict_proba(X))


@pytest.mark.parametrize("cell", CELLS)
def test_ragged_results_are_lists(cell: str) -> None:
    X, y = ragged()
    est = regressor(cell=cell, per_step=True, tbptt=(2, 4)).fit(X, y)
    predicted = est.predict(X)
    assert [p.shape for p in predicted] == [t.shape for t in y]
    # A sequence's results do not depend on its company.
    assert same_bits([est.predict([x])[0] for x in X], predicted)
    assert same_bits([est.predict(X[1][None])[0]], [predicted[1]])
    last = regressor(cell=cell).fit(X, [t[-1] for t in y])
    assert last.predict(X).shape == (8,)


def test_a_list_of_equal_lengths_is_an_array() -> None:
    X, y = data()
    first, second = regressor(per_step=True).fit(X, y), regressor(per_step=True).fit(list(X), list(y))
    assert same_bits(weights(first), weights(second))


def test_classes() -> None:
    X, y = data(30)
    names = np.array(["low", "middle", "high"])[np.digitize(y[:, -1], [-1, 1])]
    clf = classifier(learning_rate_init=0.05, max_iter=200, tol=0).fit(X, names)
    assert clf.score(X, names) == 1
    assert clf.out_activation_ == "softmax"
    assert list(clf.classes_) == sorted(set(names))
    several = np.stack([y[:, -1] > 0, y[:, 2] > 0], axis=1).astype(int)
    labels = classifier(learning_rate_init=0.05, max_iter=200, tol=0).fit(X, several)
    assert labels.predict(X).shape == several.shape
    weighted = classifier(class_weight="balanced", label_smoothing=0.1).fit(X, names)
    assert np.isfinite(weighted.loss_)


def test_partial_fit_of_a_classifier_takes_the_classes() -> None:
    X, y = data()
    clf = classifier(per_step=True)
    with pytest.raises(ValueError, match="classes must be passed"):
        clf.partial_fit(X, y > 0)
    # 0 and 1 for each step are classes, and no indicators of several labels.
    clf.partial_fit(X, (y > 0).astype(int), classes=[0, 1])
    assert clf.n_outputs_ == 1
    assert clf.predict(X).shape == y.shape


@pytest.mark.parametrize("loss", ["poisson", "absolute_error", "huber", "quantile"])
def test_every_loss(loss: str) -> None:
    X, y = data()
    quantiles = {"quantiles": [0.1, 0.9]} if loss == "quantile" else {}
    est = regressor(loss=loss, per_step=True, **quantiles).fit(X, np.abs(y))
    assert np.isfinite(est.loss_)
    assert np.isfinite(est.score(X, np.abs(y)))


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "rprop"},
        {"solver": optim.Lion(lr=1e-3)},
        {"schedule": "one_cycle"},
        {"schedule": schedules.MultiStep([1])},
        {"clip_norm": 0.1, "clip_value": 0.01},
        {"clip_norm": "auto", "gradient_noise": 0.01},
        {"weight_decay": 0.1, "alpha": 0.1, "l1_ratio": 0.5, "record_gradients": True},
    ],
    ids=str,
)
def test_optimizers_schedules_and_limits(options: dict[str, Any]) -> None:
    X, y = ragged()
    plain = regressor(per_step=True, tbptt=(2, 3), batch_size=3).fit(X, y)
    est = regressor(per_step=True, tbptt=(2, 3), batch_size=3, **options).fit(X, y)
    assert np.isfinite(est.loss_)
    assert not same_bits(weights(est), weights(plain))
    if "record_gradients" in options:
        assert np.shape(est.gradient_records_["gradient_norm"]) == (3, 3)


def test_a_schedule_counts_updates() -> None:
    X, y = data(steps=10)
    rates = []

    class Recorded(schedules.Schedule):
        def rates(self, base: float, now: Any) -> Any:
            rates.append(now.steps_per_epoch)
            return np.full(now.steps_per_epoch, base)

    regressor(per_step=True, tbptt=(4, 4), batch_size=5, schedule=Recorded()).fit(X, y)
    assert rates == [9, 9, 9], "three batches of three blocks"


def test_validation_sets_hold_sequences() -> None:
    X, y = ragged()
    est = regressor(per_step=True, early_stopping=True, validation_fraction=0.25).fit(X, y)
    assert len(est.validation_scores_) == 3
    own = regressor(per_step=True).fit(X[2:], y[2:], X_val=X[:2], y_val=y[:2])
    assert max(own.validation_scores_) == pytest.approx(own.score(X[:2], y[:2]))  # of the weights kept
    named = classifier(early_stopping=True, validation_fraction=0.25, scoring="balanced_accuracy")
    named.fit(X, [0, 1] * 4)
    assert len(named.validation_scores_) == 3


def test_callbacks_see_every_epoch() -> None:
    X, y = data()
    seen = []

    class Callback:
        def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
            seen.append((epoch, logs["loss"]))
            return epoch == 1

    est = regressor(callbacks=[Callback()]).fit(X, y[:, -1])
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert seen[-1][1] == est.loss_


def test_weights_of_sequences_and_of_steps() -> None:
    X, y = data()
    keep = np.arange(12) != 3
    once = regressor(per_step=True, shuffle=False).fit(X, y, sample_weight=keep.astype(float))
    each = np.repeat(keep[:, None].astype(float), 6, axis=1)
    assert same_bits(
        weights(regressor(per_step=True, shuffle=False).fit(X, y, sample_weight=each)), weights(once)
    )
    # What weighs nothing leaves no trace, whatever it is.
    spoilt = y.copy()
    spoilt[3] = 1e6
    assert same_bits(
        weights(regressor(per_step=True, shuffle=False).fit(X, spoilt, sample_weight=each)), weights(once)
    )


# -------------------------------------------------------------------------------- states and truncation


def test_weights_of_steps_are_those_of_the_sequences_that_are_trained_on() -> None:
    X, y = data(n=12, steps=6)
    weight = np.ones(y.shape[:2])
    weight[:2] = 0  # as many steps as there are sequences
    regressor(per_step=True, early_stopping=True, validation_fraction=0.25).fit(X, y, weight)


@pytest.mark.parametrize("cell", CELLS)
def test_prediction_continues_from_a_state(cell: str) -> None:
    X, y = data(steps=9)
    est = regressor(cell=cell, per_step=True, hidden_layer_sizes=(5, 3)).fit(X, y)
    whole, end = est.predict(X, return_state=True)
    first, state = est.predict(X[:, :4], return_state=True)
    kept = [s.copy() for s in state]
    rest, last = est.predict(X[:, 4:], initial_state=state, return_state=True)
    assert same_bits([np.hstack([first, rest]), *last], [whole, *end])
    assert same_bits(state, kept), "a state that goes in stays as it is"
    assert [s.shape for s in end] == [(12, n * (2 if cell == "lstm" else 1)) for n in (5, 3)]


@pytest.mark.parametrize("cell", CELLS)
def test_truncation_of_everything_is_no_truncation(cell: str) -> None:
    X, y = data()
    whole = regressor(cell=cell, per_step=True).fit(X, y)
    assert same_bits(weights(regressor(cell=cell, per_step=True, tbptt=(6, 6)).fit(X, y)), weights(whole))
    assert not same_bits(weights(regressor(cell=cell, per_step=True, tbptt=(3, 6)).fit(X, y)), weights(whole))


def test_stateful_parts_are_the_whole() -> None:
    X, y = data(n=3, steps=12)
    options = {"per_step": True, "tbptt": (4, 4), "shuffle": False}
    whole = regressor(**options).partial_fit(X, y)
    parts = regressor(**options, stateful=True)
    for part in (slice(0, 4), slice(4, 12)):
        parts.partial_fit(X[:, part], y[:, part])
    assert same_bits(weights(parts), weights(whole))
    with pytest.raises(ValueError, match="reset_state"):
        parts.partial_fit(X[:2], y[:2])
    parts.reset_state().partial_fit(X[:2], y[:2])
    assert [s.shape for s in parts.state_] == [(2, 5)]


def test_fit_with_stateful_sets_the_final_states() -> None:
    X, y = data()
    est = regressor(per_step=True, stateful=True).fit(X, y)
    assert same_bits(est.state_, est.predict(X, return_state=True)[1])
    assert same_bits(weights(est), weights(regressor(per_step=True).fit(X, y)))


LONG = """
import numpy as np
from gdfast import RNNRegressor
X = np.random.default_rng(0).standard_normal((1, 200_000, 1)).astype(np.float32)
y = np.roll(X[:, :, 0], 1, axis=1)
est = RNNRegressor(32, per_step=True, tbptt=(50, 100), max_iter=1)
est.fit(X[:, :1000], y[:, :1000])  # loads what there is to load
before = peak()
est.fit(X, y)
est.predict(X)
print((peak() - before) / 1024)
"""


@pytest.mark.skipif(not has_peak, reason="there is no /proc here")
def test_a_long_series_takes_memory_for_k2_steps_only() -> None:
    # Gates and states of all 200,000 steps would be 200 MB and more. What is left is of the size
    # of X and y (0.8 MB each) and of the predictions.
    assert float(in_process(PEAK + LONG, PYTHONWARNINGS="ignore")) < 10


# ---------------------------------------------------------------------------------------- bad input

X, Y = data()
RAGGED, RAGGED_Y = ragged()
NAN = X.copy()
NAN[2, 3, 1] = np.nan
PADDED = X.copy()
PADDED[1, 4:] = np.nan

BAD: dict[str, tuple[Any, Any, dict[str, Any], type[Exception], str]] = {
    "two dimensions": (X[0], Y[0], {}, ValueError, r"X\[np.newaxis\]"),
    "four dimensions": (X[None], Y, {}, ValueError, "got an array of shape"),
    "no sequence": (X[:0], Y[:0], {}, ValueError, "at least one"),
    "no step": (X[:, :0], Y[:, :0], {}, ValueError, "at least one"),
    "no feature": (X[..., :0], Y, {}, ValueError, "at least one"),
    "an empty list": ([], [], {}, ValueError, "empty list"),
    "an empty sequence": ([X[0], X[1][:0]], [0, 1], {}, ValueError, r"X\[1\] is empty"),
    "sequences of one dimension": ([x[:, 0] for x in X], Y, {}, ValueError, r"X\[0\] has the shape \(6,\)"),
    "features that differ": ([X[0], X[1][:, :1]], [0, 1], {}, ValueError, r"X\[0\] has 2, X\[1\] has 1"),
    "ragged nested lists": ([[[1.0, 2.0], [1.0]]], [0], {}, ValueError, r"X\[0\] is none"),
    "text": (np.full((2, 3, 1), "a"), [0, 1], {}, ValueError, "real numbers"),
    "NaN in the middle": (NAN, Y[:, -1], {}, ValueError, "NaN, first in sequence 2, step 3"),
    "padding by NaN": (PADDED, Y[:, -1], {}, ValueError, "list of arrays, without padding"),
    "infinity in a list": (
        [X[0], np.full((3, 2), np.inf)], [0, 1], {}, ValueError, "infinity, first in sequence 1, step 0"),
    "a target for each step unasked": (X, Y[..., None], {}, ValueError, "per_step=True"),
    "too few targets": (X, Y[:3, -1], {}, ValueError, "12 sequences, but y has 3"),
    "one target asked for each step": (X, Y[:, -1], {"per_step": True}, ValueError, r"\(12, 6\)"),
    "ragged targets too short": (
        RAGGED, [t[:1] for t in RAGGED_Y], {"per_step": True}, ValueError, r"y\[0\] must have a target"),
    "too few lists of targets": (RAGGED, RAGGED_Y[:3], {"per_step": True}, ValueError, "list of 8 arrays"),
    "NaN in y": (X, np.where(Y > 0, Y, np.nan)[:, -1], {}, ValueError, "y contains NaN"),
    "k1 > k2": (X, Y[:, -1], {"tbptt": (5, 3)}, ValueError, "1 <= k1 <= k2"),
    "k1 = 0": (X, Y[:, -1], {"tbptt": (0, 3)}, ValueError, "1 <= k1 <= k2"),
    "no pair": (X, Y[:, -1], {"tbptt": (3,)}, TypeError, "pair of integers"),
    "no integers": (X, Y[:, -1], {"tbptt": (1.5, 3)}, TypeError, "pair of integers"),
    "no cell of that name": (X, Y[:, -1], {"cell": "rnn"}, ValueError, "'cell' parameter"),
    "no layers": (X, Y[:, -1], {"hidden_layer_sizes": ()}, ValueError, "at least one recurrent layer"),
    "lbfgs": (X, Y[:, -1], {"solver": "lbfgs"}, ValueError, "'solver' parameter"),
    "a scorer for steps": (X, Y, {"per_step": True, "scoring": "r2"}, ValueError, "scoring must be"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input(what: str) -> None:
    X, y, options, kind, message = BAD[what]
    est = regressor(**options)
    with pytest.raises(kind, match=message):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")


def test_bad_states_and_features() -> None:
    est = regressor(cell="lstm", per_step=True).fit(X, Y)
    state = est.predict(X, return_state=True)[1]
    for bad in ([state[0][:3]], [state[0][:, :5]], [*state, *state], [state[0] * np.nan]):
        with pytest.raises(ValueError, match="initial_state must hold"):
            est.predict(X, initial_state=bad)
    with pytest.raises(ValueError, match="X has 1 features, but RNNRegressor is expecting 2"):
        est.predict(X[..., :1])


@pytest.mark.parametrize("weight", [[1.0] * 3, np.ones((12, 5)), np.zeros(12), [np.nan] * 12])
def test_bad_weights(weight: Any) -> None:
    with pytest.raises(ValueError, match="weight"):
        regressor(per_step=True).fit(X, Y, sample_weight=weight)


def test_divergence_leaves_the_last_finite_weights() -> None:
    est = regressor(solver="sgd", learning_rate_init=1e200, per_step=True, max_iter=20)
    with pytest.raises(ValueError, match="non-finite"):
        est.fit(X * 100, Y * 100)
    assert all(np.isfinite(a).all() for a in weights(est))


def test_divergence_with_a_validation_set_is_warned_of() -> None:
    est = regressor(solver="sgd", learning_rate_init=1e200, per_step=True, max_iter=20)
    with pytest.warns(ConvergenceWarning, match="diverged.* non-finite"):
        est.fit(X * 100, Y * 100, X_val=X, y_val=Y)
    assert np.isnan(est.validation_scores_[-1])
    assert all(np.isfinite(a).all() for a in weights(est))


def test_it_reports_that_it_has_not_converged() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            regressor().fit(X, Y[:, -1])


# -------------------------------------------------------------------------------- initial weights


@pytest.mark.parametrize("cell", CELLS)
def test_the_gates_that_keep_the_state_are_initially_open(cell: str) -> None:
    coefs, intercepts = draw_recurrent(cell, [2, 5, 4, 1], np.dtype(np.float64), np.random.RandomState(0))
    for layer, units in enumerate((5, 4)):
        expected = np.zeros(GATES[cell] * units)
        if cell != "elman":  # the second gate: a GRU's update gate, an LSTM's forget gate
            expected[units : 2 * units] = 1
        np.testing.assert_array_equal(intercepts[2 * layer], expected)
        np.testing.assert_array_equal(intercepts[2 * layer + 1], 0)
        for gate in np.hsplit(coefs[2 * layer + 1], GATES[cell]):
            np.testing.assert_allclose(gate @ gate.T, np.eye(units), atol=1e-14)
    np.testing.assert_array_equal(intercepts[-1], 0)


def test_a_gru_of_short_memory_becomes_one_that_averages() -> None:
    """The sign of the mean of a long noisy sequence: what update gates that begin half open learn slowly."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    X = rng.standard_normal((200, 80, 1)) + 0.2 * (2 * y[:, np.newaxis, np.newaxis] - 1)
    half_open = [np.zeros(24), np.zeros(24), np.zeros(1)]
    losses = [
        RNNClassifier(8, max_iter=40, intercepts_init=biases, random_state=0).fit(X, y).loss_
        for biases in (None, half_open)
    ]
    assert losses[0] < losses[1]
