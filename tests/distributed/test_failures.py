"""What one rank does wrong, all ranks hear of: nobody waits for ever, nobody goes on alone."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from gdfast import MLPClassifier, MLPRegressor, RNNClassifier, TabularClassifier, optim, schedules
from gdfast.callbacks import ModelCheckpoint
from gdfast.distributed import RankError
from gdfast.training import ranks
from ranks import on_ranks, results
from sklearn.datasets import make_classification

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(120, 6, random_state=0)


def estimator(**options):
    return MLPClassifier(
        **{"hidden_layer_sizes": 5, "batch_size": 20, "max_iter": 5, "random_state": 0, **options}
    )


def fit(r, est, X=X, y=Y, **more):
    return est.fit(X[r::2], y[r::2], **more)


def raised(found, bad, kind, message):
    """On the bad rank the error itself, on the others a RankError that repeats it."""
    for rank, error in enumerate(found):
        if rank == bad:
            assert type(error) is kind, repr(error)
            assert re.search(message, str(error))
        else:
            assert type(error) is RankError, repr(error)
            assert re.search(f"Rank {bad} has failed with {kind.__name__}: .*{message}", str(error))


def differs(found, message):
    for error in found:
        assert type(error) is ValueError, repr(error)
        assert re.search(message, str(error)), error


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("solver", ("adam", "sgd")),
        ("hidden_layer_sizes", ((5,), (6,))),
        ("alpha", (0.1, 0.2)),
        ("random_state", (0, 1)),
        ("random_state", (None, 1)),
        ("early_stopping", (False, True)),
        ("coefs_init", (None, [np.ones((6, 5)), np.ones((5, 1))])),
        ("class_weight", ({0: 1, 1: 1}, {0: 1, 1: 2})),
        ("resume", ("one", "other")),
        ("solver", (optim.Lion(), optim.Lion(weight_decay=0.1))),
        ("schedule", (schedules.Cosine(), schedules.Step(3))),
    ],
)
def test_arguments(name, values):
    found = on_ranks(2, lambda r: fit(r, estimator(**{name: values[r]})))
    differs(found, f"the argument {name} is .* on rank 0 and .* on rank 1")
    assert repr(values[1])[:20] in str(found[0])


def test_equal_arguments_that_are_other_objects():
    def options(r):
        classes = {0: 1.0, 1: 2.0} if r else {1: 2.0, 0: 1.0}
        return {"class_weight": classes, "solver": optim.Lion(), "schedule": schedules.Cosine()}

    results(on_ranks(2, lambda r: fit(r, estimator(**options(r)))))


@pytest.mark.parametrize("name", ["n_jobs", "verbose", "callbacks"])
def test_arguments_that_may_differ(name, capsys):
    values = {"n_jobs": (1, 2), "verbose": (False, True), "callbacks": (None, [Watch()])}[name]
    results(on_ranks(2, lambda r: fit(r, estimator(**{name: values[r]}))))
    assert capsys.readouterr().out == ""


class Watch:
    def on_epoch_end(self, est, epoch, logs):
        pass


def test_data():
    def check(message, work):
        differs(on_ranks(2, work), message)

    check("number of features is 6 on rank 0 and 5 on rank 1", lambda r: fit(r, estimator(), X[:, : 6 - r]))
    check(
        "dtype of X is float32 on rank 0 and float64 on rank 1",
        lambda r: fit(r, estimator(), X.astype([np.float32, np.float64][r])),
    )
    check(
        "kind of y is numbers on rank 0 and text on rank 1",
        lambda r: fit(r, estimator(), y=Y if r == 0 else Y.astype(str)),
    )
    check(
        "number of columns of y is None on rank 0 and 2 on rank 1",
        lambda r: fit(r, estimator(), y=Y if r == 0 else np.stack([Y, 1 - Y], axis=1)),
    )
    check(
        "presence of sample_weight is False on rank 0 and True on rank 1",
        lambda r: fit(r, estimator(), sample_weight=None if r == 0 else np.ones(60)),
    )
    check(
        "presence of X_val is True on rank 0 and False on rank 1",
        lambda r: fit(r, estimator(), **({"X_val": X, "y_val": Y} if r == 0 else {})),
    )
    check(
        "estimator is MLPClassifier on rank 0 and MLPRegressor on rank 1",
        lambda r: fit(r, [estimator(), MLPRegressor(random_state=0)][r]),
    )
    check("No rank has any rows", lambda r: estimator().fit(X[:0], Y[:0]))


def test_feature_names():
    import pandas as pd

    frames = [pd.DataFrame(X, columns=list("abcdef")), pd.DataFrame(X, columns=list("abcdeg"))]
    found = on_ranks(2, lambda r: estimator().fit(frames[r], Y))
    differs(found, r"feature names is \['a', .*'f'\] on rank 0 and .*'g'\] on rank 1")


def test_initial_weights():
    def work(r):
        est = fit(r, estimator(warm_start=True))
        if r:
            est.coefs_[0][0, 0] += 1
        return fit(r, est)

    differs(on_ranks(2, work), "The initial weights of rank 1 differ")


UNSUPPORTED = {
    "lbfgs": ({"solver": "lbfgs"}, 1, "solver='lbfgs'"),
    "annealing": ({"solver": "annealing"}, 1, "solver='annealing'"),
    "kfac": ({"solver": "kfac"}, 1, "solver='kfac'"),
    "batch_norm": ({"batch_norm": True}, 1, "batch_norm=True"),
    "auto": ({"learning_rate_init": "auto"}, 1, "learning_rate_init='auto'"),
    "muon": ({"solver": "muon"}, 3, "sync_every=3 with solver='muon'"),
    "records": ({"record_gradients": True}, 3, "sync_every=3 with record_gradients=True"),
    "clip": ({"clip_norm": "auto"}, 3, "sync_every=3 with clip_norm='auto'"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported(name):
    options, sync_every, message = UNSUPPORTED[name]
    found = on_ranks(2, lambda r: fit(r, estimator(**options)), sync_every=sync_every)
    differs(found, f"does not support {message}")


@pytest.mark.parametrize("kind", [RNNClassifier, TabularClassifier])
def test_estimators_that_are_not_supported(kind):
    x = np.zeros((10, 3, 2)) if kind is RNNClassifier else X[:10]
    found = on_ranks(2, lambda r: kind(random_state=0).fit(x, np.arange(10) % 2))
    differs(found, f"{kind.__name__} cannot be fitted within")


def test_batch_size_below_the_number_of_ranks():
    differs(
        on_ranks(3, lambda r: fit(r, estimator(batch_size=2))), "batch_size=2 .* at least their number, 3"
    )


def test_bad_rows_on_one_rank():
    def work(r):
        given = X.copy()
        given[r:2] = np.nan if r else given[r:2]
        return fit(r, estimator(), given)

    raised(on_ranks(2, work), 1, ValueError, "NaN")


class Bad:
    """Raises an error in a method, in an epoch."""

    def __init__(self, where, epoch=2):
        self.where, self.epoch, self.seen, self.weights = where, epoch, 0, []

    def __getattr__(self, name):
        if name != self.__dict__.get("where"):
            raise AttributeError(name)

        def method(est, *arguments):
            self.seen += 1
            if name.startswith("on_train") or self.seen > self.epoch:
                raise ZeroDivisionError("of a callback")

        return method


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize("sync_every", [1, 2])
@pytest.mark.parametrize(
    "where", ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_gradient"]
)
def test_callback(where, bad, sync_every):
    fitted = {}

    def work(r):
        fitted[r] = estimator(callbacks=[Bad(where)] if r == bad else None)
        return fit(r, fitted[r])

    raised(on_ranks(2, work, sync_every=sync_every), bad, ZeroDivisionError, "of a callback")
    if where == "on_train_begin":
        assert not hasattr(fitted[0], "coefs_")
    elif sync_every == 1:  # that of the last whole step
        for array, same in zip(fitted[0].coefs_, fitted[1].coefs_, strict=True):
            np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("bad", [0, 2])
def test_error_within_a_step(bad, monkeypatch):
    """An error in the core, before this rank's part is added: the others do not wait for it."""
    from gdfast.training import shared

    add_up = shared.SharedTrainer._add_up
    steps = {}

    def failing(self, sums):
        rank = self._ranks.rank
        steps[rank] = steps.get(rank, 0) + 1
        if rank == bad and steps[rank] == 8:
            raise ArithmeticError("in the core")
        add_up(self, sums)

    monkeypatch.setattr(shared.SharedTrainer, "_add_up", failing)
    fitted = {}

    def work(r):
        fitted[r] = estimator()
        return fitted[r].fit(X[r::3], Y[r::3])

    raised(on_ranks(3, work), bad, ArithmeticError, "in the core")
    for other in (1, 2):
        for array, same in zip(fitted[0].coefs_, fitted[other].coefs_, strict=True):
            np.testing.assert_array_equal(array, same)


def test_error_between_fits():
    def work(r):
        fit(r, estimator())
        if r == 1:
            raise OSError("no file")
        return fit(r, estimator())

    raised(on_ranks(2, work), 1, OSError, "no file")


def test_error_after_the_last_fit():
    def work(r):
        fit(r, estimator())
        if r == 1:
            raise OSError("no file")

    raised(on_ranks(2, work), 1, OSError, "no file")


def test_an_error_can_be_caught_and_another_fit_made():
    def work(r):
        with pytest.raises((RankError, ZeroDivisionError)):
            fit(r, estimator(callbacks=[Bad("on_epoch_end")] if r else None))
        return fit(r, estimator())

    found = results(on_ranks(2, work))
    assert found[0].loss_curve_ == found[1].loss_curve_


def test_different_calls():
    def one_more(r):
        fit(r, estimator())
        if r == 0:
            fit(r, estimator())

    for error in on_ranks(2, one_more):
        assert type(error) is RankError
        assert "have not made the same calls" in str(error)
    found = on_ranks(2, lambda r: fit(r, estimator()) if r else estimator().partial_fit(X, Y, [0, 1]))
    differs(found, "the method is partial_fit on rank 0 and fit on rank 1")


def test_weights_that_are_changed_on_one_rank():
    class Edit:
        def on_epoch_end(self, est, epoch, logs):
            est.coefs_[0][0, 0] += 1

    for error in on_ranks(2, lambda r: fit(r, estimator(callbacks=[Edit()] if r else None))):
        assert type(error) is RankError
        assert "The weights of rank 1 differ from those of rank 0" in str(error)


def test_learning_rates_that_differ():
    rates = threading.local()

    def schedule(epoch):
        return 0.01 if ranks.current().rank else 0.02

    assert rates is not None
    for error in on_ranks(2, lambda r: fit(r, estimator(schedule=schedule))):
        assert type(error) is RankError
        assert "learning rates" in str(error)


class Stop:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, est, epoch, logs):
        return epoch == self.epoch


@pytest.mark.parametrize("rank", [0, 1])
def test_a_callback_that_stops_one_rank_stops_all(rank):
    found = results(on_ranks(2, lambda r: fit(r, estimator(callbacks=[Stop(1)] if r == rank else None))))
    assert [est.n_iter_ for est in found] == [2, 2]


def test_max_time_of_one_rank_ends_all(monkeypatch):
    from gdfast.estimators._listeners import FitListeners

    monkeypatch.setattr(FitListeners, "is_out_of_time", lambda self: ranks.current().rank == 1)
    found = results(on_ranks(2, lambda r: fit(r, estimator(max_time=1e9))))
    assert [est.n_iter_ for est in found] == [1, 1]


@pytest.mark.parametrize("where", ["on_epoch_end", "on_gradient"])
@pytest.mark.filterwarnings("ignore:Training interrupted")
def test_interrupt_of_one_rank_ends_training_on_all(where):
    class Interrupt:
        def __init__(self):
            self.n = 0

        def interrupt(self, *arguments):
            self.n += 1
            if self.n == 3:
                ranks.current().interrupt()  # as a signal's handler does

    def work(r):
        watch = Interrupt()
        setattr(watch, where, watch.interrupt)
        return fit(r, estimator(callbacks=[watch] if r else None))

    found = results(on_ranks(2, work))
    assert found[0].n_iter_ == found[1].n_iter_ < 5
    for array, same in zip(found[0].coefs_, found[1].coefs_, strict=True):
        np.testing.assert_array_equal(array, same)


def test_warnings_are_those_of_the_first_rank():
    import warnings

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        results(on_ranks(2, lambda r: fit(r, estimator())))
    assert [str(w.message).split(":")[0] for w in found] == ["Stochastic Optimizer"]


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"dropout": 0.3, "ema_decay": 0.9}])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_checkpoint_resumes_on_any_number_of_ranks(size, options, tmp_path):
    """On as many ranks as before, with the same bits."""
    path = tmp_path / "run.safetensors"

    def train(r, n, **more):
        return estimator(**{"max_iter": 6, **options, **more}).fit(X[r::n], Y[r::n])

    whole = results(on_ranks(2, lambda r: train(r, 2)))

    def interrupted(r):
        return train(r, 2, max_iter=3, callbacks=[ModelCheckpoint(str(path))], resume=str(path))

    results(on_ranks(2, interrupted))
    assert path.exists()
    if size == 1:
        found = [train(0, 1, resume=str(path))]
    else:
        found = results(on_ranks(size, lambda r: train(r, size, resume=str(path))))
    assert {est.n_iter_ for est in found} == {6}
    if size == 2:
        assert found[0].loss_curve_ == whole[0].loss_curve_
        for array, same in zip(found[1].coefs_, whole[0].coefs_, strict=True):
            np.testing.assert_array_equal(array, same)


def test_checkpoint_of_one_resumes_on_ranks(tmp_path):
    path = str(tmp_path / "run.safetensors")
    estimator(callbacks=[ModelCheckpoint(path)], max_iter=2).fit(X, Y)
    found = results(on_ranks(2, lambda r: fit(r, estimator(resume=path))))
    assert found[0].loss_curve_ == found[1].loss_curve_
    assert found[0].n_iter_ == 5


def test_checkpoint_of_other_rows(tmp_path):
    path = str(tmp_path / "run.safetensors")
    results(on_ranks(2, lambda r: fit(r, estimator(callbacks=[ModelCheckpoint(path)], resume=path))))
    differs(on_ranks(2, lambda r: fit(r, estimator(resume=path), X + r)), "are not those of its run")
