"""A fit that goes on from a checkpoint ends with the bits of a fit that has never been interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import optim, schedules
from gdfast._model_file import files
from gdfast.callbacks import EarlyStopping, ModelCheckpoint
from models import assert_alike
from scipy import sparse

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
LABELS = RNG.integers(0, 3, 120)
NUMBERS = X[:, 0] * X[:, 1] + RNG.normal(size=120)
SEQUENCES = [RNG.normal(size=(int(n), 3)) for n in RNG.integers(3, 9, 20)]

MLP: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "batch_size": 16, "tol": 0.0, "random_state": 3}
RNN: dict[str, Any] = {"hidden_layer_sizes": (4, 3), "batch_size": 6, "tol": 0.0, "random_state": 3}


def classifier(**arguments: Any) -> Any:
    return gdfast.MLPClassifier(**{**MLP, **arguments}), X, LABELS


def regressor(**arguments: Any) -> Any:
    return gdfast.MLPRegressor(**{**MLP, **arguments}), X, NUMBERS


def scores(est: Any, X: Any, y: Any) -> float:
    return -float(np.abs(est.predict(X) - y).mean())


RULES = (
    "sgd",
    "adam",
    "adagrad",
    "rmsprop",
    "adadelta",
    "adamw",
    "nadam",
    "adamax",
    "lion",
    "rprop",
    "muon",
    "prodigy",
    "schedulefree",
    "soap",
    "kfac",
)
SCHEDULES = [
    schedules.Plateau(patience=0, threshold=0.2),
    schedules.Cosine(T_max=10, per="step"),
    schedules.Warmup(schedules.Plateau(patience=0, threshold=0.3), total_iters=3),
    schedules.OneCycle(max_lr=0.01),
    lambda epoch: 0.9**epoch,
]

CASES: dict[str, Callable[[], Any]] = {
    **{f"rule {rule}": lambda rule=rule: classifier(solver=rule) for rule in RULES},
    **{f"schedule {i}": lambda s=s: classifier(schedule=s) for i, s in enumerate(SCHEDULES)},
    "an optimizer": lambda: classifier(solver=optim.Adam(0.01, amsgrad=True)),
    "an optimizer that averages": lambda: regressor(
        solver=optim.ScheduleFree(0.02, warmup_steps=5), early_stopping=True, ema_decay=0.5, batch_norm=True),
    "adaptive": lambda: regressor(solver="sgd", learning_rate="adaptive", tol=0.3, n_iter_no_change=1),
    "invscaling": lambda: regressor(solver="sgd", learning_rate="invscaling", nesterovs_momentum=False),
    "early stopping": lambda: classifier(early_stopping=True, learning_rate_init=0.03, n_iter_no_change=4),
    "early stopping by a function": lambda: regressor(early_stopping=True, scoring=scores),
    "average": lambda: classifier(ema_decay=0.8),
    "average, early stopping": lambda: classifier(ema_decay=0.8, early_stopping=True),
    "dropout": lambda: classifier(dropout=0.2, dropout_schedule="cosine", gradient_noise=0.01),
    "batch norm": lambda: regressor(batch_norm=True, weight_decay=0.1, weight_decay_schedule="cosine"),
    "records, factors": lambda: classifier(record_gradients=True, learning_rate_factors={"intercepts_": 0.5}),
    "clipping by itself": lambda: classifier(clip_norm="auto"),
    "kept order": lambda: classifier(keep_optimizer_state=True, early_stopping=True),
    "float32": lambda: (gdfast.MLPClassifier(**MLP, class_weight="balanced"), X.astype("f"), LABELS),
    "sparse": lambda: (gdfast.MLPClassifier(**MLP), sparse.csr_array(X * (X > 0)), LABELS),
    "several labels": lambda: (gdfast.MLPClassifier(**MLP), X, (X[:, :2] > 0).astype(int)),
    "lbfgs": lambda: classifier(solver="lbfgs"),
    "lbfgs, quantiles": lambda: regressor(solver="lbfgs", loss="quantile", quantiles=[0.1, 0.9]),
    "newton-cg": lambda: classifier(solver="newton-cg", early_stopping=True),
    "lm": lambda: regressor(solver="lm", tol=0.0, activation="tanh"),
    "lm, evidence": lambda: regressor(solver="lm", bayesian_regularization=True, early_stopping=True),
    "annealing": lambda: classifier(solver="annealing"),
    "annealing, early stopping": lambda: regressor(solver="annealing", early_stopping=True),
    "gru": lambda: (gdfast.RNNClassifier(**RNN), SEQUENCES, LABELS[:20]),
    "lstm, truncated, stateful": lambda: (
        gdfast.RNNRegressor(**RNN, cell="lstm", tbptt=(2, 3), stateful=True), SEQUENCES, NUMBERS[:20]),
    "whole gradients of an lstm": lambda: (
        gdfast.RNNRegressor(**RNN, cell="lstm", solver="muon"), SEQUENCES, NUMBERS[:20]),
    "elman, per step, early stopping": lambda: (
        gdfast.RNNClassifier(
            **RNN, cell="elman", activation="tanh", per_step=True, early_stopping=True, ema_decay=0.7),
        np.stack([s[:3] for s in SEQUENCES]), LABELS[:60].reshape(20, 3),
    ),
}  # fmt: skip


class Crash:
    """Ends a fit with an error, as nothing else would: before an epoch, or at its end."""

    def __init__(self, before: int) -> None:
        self.before = before

    def on_epoch_begin(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        if epoch == self.before:
            raise ZeroDivisionError

    def on_train_end(self, est: Any) -> None:
        if est.n_iter_ == self.before:
            raise ZeroDivisionError


def interrupted(est: Any, path: Path, X: Any, y: Any, after: int, **fit: Any) -> None:
    """Fit up to an epoch, whose checkpoint stays."""
    est.set_params(callbacks=[ModelCheckpoint(path), Crash(after)])
    with pytest.raises(ZeroDivisionError):
        est.fit(X, y, **fit)


def assert_same_fit(whole: Any, resumed: Any) -> None:
    mine, theirs = (
        {k: v for k, v in vars(est).items() if k not in ("callbacks", "resume", "max_iter")}
        for est in (whole, resumed)
    )
    if callable(whole.schedule) and whole.n_iter_ == 10:  # a rate that nothing uses is not in the file
        theirs["_training"].optimizer.learning_rate = mine["_training"].optimizer.learning_rate
    assert_alike(mine, theirs)


@pytest.mark.parametrize("after", [1, 4, 10])
@pytest.mark.parametrize("case", CASES)
def test_resuming_is_never_having_stopped(case: str, after: int, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    whole, X, y = CASES[case]()
    whole.set_params(max_iter=10).fit(X, y)
    if after > whole.n_iter_:
        pytest.skip("it stops before")
    interrupted(CASES[case]()[0].set_params(max_iter=10), path, X, y, after)
    resumed = CASES[case]()[0].set_params(max_iter=10, resume=path).fit(X, y)
    assert_same_fit(whole, resumed)
    np.testing.assert_array_equal(whole.predict(X), resumed.predict(X))


def test_with_a_validation_set_and_weights(tmp_path: Path) -> None:
    fit = {"sample_weight": RNG.uniform(size=120), "X_val": X[:30], "y_val": NUMBERS[:30]}
    whole = regressor(max_iter=9)[0].fit(X, NUMBERS, **fit)
    interrupted(regressor(max_iter=9)[0], tmp_path / "run", X, NUMBERS, 5, **fit)
    resumed = regressor(max_iter=9, resume=tmp_path / "run")[0].fit(X, NUMBERS, **fit)
    assert_same_fit(whole, resumed)
    with pytest.raises(ValueError, match="X, y, sample_weight or the validation set"):
        regressor(max_iter=9, resume=tmp_path / "run")[0].fit(X, NUMBERS)


def test_a_fit_begins_where_there_is_no_checkpoint(tmp_path: Path) -> None:
    whole = classifier(max_iter=5)[0].fit(X, LABELS)
    assert_same_fit(whole, classifier(max_iter=5, resume=tmp_path / "none")[0].fit(X, LABELS))


@pytest.mark.parametrize("arguments", [{}, {"early_stopping": True, "n_iter_no_change": 2, "tol": 1.0}])
def test_a_run_that_has_ended_is_as_it_was(arguments: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "run"
    est = classifier(max_iter=8, callbacks=[ModelCheckpoint(path)], **arguments)[0].fit(X, LABELS)
    assert_same_fit(est, classifier(max_iter=8, resume=path, **arguments)[0].fit(X, LABELS))
    # With more epochs it goes on, unless it has ended for another reason.
    longer = classifier(max_iter=12, resume=path, **arguments)[0].fit(X, LABELS)
    assert longer.n_iter_ == (12 if not arguments else est.n_iter_)
    assert_same_fit(classifier(max_iter=12, **arguments)[0].fit(X, LABELS), longer)


def test_random_states_that_are_no_seed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    whole = classifier(max_iter=6, random_state=np.random.RandomState(5))[0].fit(X, LABELS)
    interrupted(classifier(max_iter=6, random_state=np.random.RandomState(5))[0], path, X, LABELS, 2)
    resumed = classifier(max_iter=6, random_state=np.random.RandomState(9), resume=path)[0].fit(X, LABELS)
    assert_same_fit(whole, resumed)
    # NumPy's own generator is not touched by a run that continues.
    numpys = np.random.mtrand._rand
    numpys.seed(1)
    whole = classifier(max_iter=6, random_state=None)[0].fit(X, LABELS)
    numpys.seed(1)
    interrupted(classifier(max_iter=6, random_state=None)[0], path, X, LABELS, 2)
    before = numpys.get_state(legacy=False)
    resumed = classifier(max_iter=6, random_state=None, resume=path)[0].fit(X, LABELS)
    assert_alike(numpys.get_state(legacy=False), before)
    assert_alike(whole.coefs_, resumed.coefs_)


@pytest.mark.parametrize("checkpoint_is_first", [True, False])
def test_callbacks_go_on(checkpoint_is_first: bool, tmp_path: Path) -> None:
    def callbacks(path: Path) -> list[Any]:
        return [EarlyStopping("loss", patience=3, min_delta=0.05), ModelCheckpoint(path, "loss", True)]

    whole, parts = callbacks(tmp_path / "whole"), callbacks(tmp_path / "parts")
    est = classifier(max_iter=40, learning_rate_init=0.01, callbacks=whole)[0].fit(X, LABELS)
    stops = whole[0].stopped_epoch_
    assert 3 < stops < 39

    def with_checkpoint(callbacks: list[Any]) -> list[Any]:
        keep = ModelCheckpoint(tmp_path / "run")
        return [keep, *callbacks] if checkpoint_is_first else [*callbacks, keep]

    arguments = {"max_iter": 40, "learning_rate_init": 0.01, "resume": tmp_path / "run"}
    with pytest.raises(ZeroDivisionError):
        classifier(**arguments, callbacks=[*with_checkpoint(parts), Crash(stops - 1)])[0].fit(X, LABELS)
    again = callbacks(tmp_path / "parts")
    arguments["callbacks"] = with_checkpoint(again)
    resumed = classifier(**arguments)[0].fit(X, LABELS)
    assert_same_fit(est, resumed)
    assert again[0].stopped_epoch_ == stops
    assert again[1].best_ == whole[1].best_


OTHERS: dict[str, Any] = {
    "alpha": 0.1,
    "hidden_layer_sizes": (8, 7),
    "solver": "sgd",
    "schedule": schedules.Cosine(T_max=4),
    "random_state": 4,
    "early_stopping": True,
    "dropout": [0.0, 0.1, 0.0],
    "scoring": "loss",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_arguments_are_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupted(classifier(max_iter=6, schedule=schedules.Cosine(T_max=5))[0], path, X, LABELS, 2)
    arguments = {"schedule": schedules.Cosine(T_max=5), name: OTHERS[name], "resume": path}
    est = classifier(**arguments)[0]
    with pytest.raises(ValueError, match=rf"resume='.*run' .*: its {name} is .*, but now it is "):
        est.fit(X, LABELS)
    assert not hasattr(est, "coefs_")


def test_an_argument_newer_than_the_file_had_its_default(tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupted(classifier(max_iter=6)[0], path, X, LABELS, 2)
    stored = files.read(path, lambda tree: tree)
    del stored.parts["arguments"]["label_smoothing"]
    files.write(path, files.encode_tree(stored, copies=False))
    classifier(max_iter=6, resume=path)[0].fit(X, LABELS)
    with pytest.raises(ValueError, match=r"its label_smoothing is 0\.0, but now it is 0\.1"):
        classifier(max_iter=6, resume=path, label_smoothing=0.1)[0].fit(X, LABELS)


def test_what_belongs_to_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupted(classifier(max_iter=6)[0], path, X, LABELS, 2)
    with pytest.raises(ValueError, match=r"it is of gdfast\.MLPClassifier, not of MLPRegressor"):
        regressor(resume=path)[0].fit(X, NUMBERS)
    for other in (X + 1e-12, X[:-1]):
        with pytest.raises(ValueError, match="X, y, sample_weight or the validation set are not those"):
            classifier(resume=path)[0].fit(other, LABELS[: len(other)])
    classifier()[0].save(path)
    with pytest.raises(gdfast.ModelFormatError, match="without a run"):
        classifier(resume=path)[0].fit(X, LABELS)
    path.write_bytes(b"no model")
    with pytest.raises(gdfast.ModelFormatError, match="run cannot be loaded"):
        classifier(resume=path)[0].fit(X, LABELS)
    with pytest.raises(ValueError, match="The 'resume' parameter"):
        classifier(resume=3)[0].fit(X, LABELS)


def test_a_schedule_of_ones_own_with_a_state_is_refused(tmp_path: Path) -> None:
    class Own(schedules.Plateau):
        pass

    path = tmp_path / "run"
    interrupted(classifier(max_iter=6, schedule=Own())[0], path, X, LABELS, 2)
    with pytest.raises(ValueError, match=r"the state of schedule=Own\(.*\) is not in it"):
        classifier(max_iter=6, schedule=Own(), resume=path)[0].fit(X, LABELS)


def test_annealing_needs_the_same_number_of_iterations(tmp_path: Path) -> None:
    interrupted(classifier(solver="annealing", max_iter=6)[0], tmp_path / "run", X, LABELS, 2)
    with pytest.raises(ValueError, match="its max_iter is 6, but now it is 7"):
        classifier(solver="annealing", max_iter=7, resume=tmp_path / "run")[0].fit(X, LABELS)


# A process that is killed.

PROGRAM = """
    import os
    import sys
    import time
    import numpy as np
    import gdfast
    from gdfast.callbacks import ModelCheckpoint

    path, every, waits_at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    replace = os.replace

    def say(what):
        os.write(1, f"{what}\\n".encode())  # in one piece, for two threads do

    def replace_and_say(old, new):
        replace(old, new)
        if os.fspath(new) == path:
            say(f"saved {len(gdfast.load(path).loss_curve_)}")

    os.replace = replace_and_say

    class Begun:
        def on_epoch_begin(self, est, epoch, logs):
            say(epoch)
            if epoch == waits_at:
                time.sleep(600)
            elif epoch > 30 and every > 1:
                time.sleep(0.005)  # it goes on until the signal has come

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 20)), rng.integers(0, 4, 2000)
    clf = gdfast.MLPClassifier(
        (64, 32), max_iter=400, tol=0, n_iter_no_change=500, random_state=1, dropout=0.1, resume=path,
        early_stopping=True, callbacks=[ModelCheckpoint(path, every_n_epochs=every), Begun()],
    )
    clf.fit(X, y).save(path + ".model", drop=["callbacks", "resume", "training"])
"""


def start(path: Path, every: int, waits_at: int = -1) -> subprocess.Popen[str]:
    """A fit that prints each epoch before it begins, and the epochs of each checkpoint that is saved."""
    program = textwrap.dedent(PROGRAM)
    arguments = [sys.executable, "-W", "ignore", "-c", program, str(path), str(every), str(waits_at)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def completed(path: Path, every: int) -> list[int]:
    """The epochs of a fit that nothing interrupts."""
    with start(path, every) as child:
        out, _ = child.communicate()
    assert child.returncode == 0
    return epochs_in(out)


def epochs_in(out: str) -> list[int]:
    return [int(line) for line in out.splitlines() if line.isdigit()]


def saved_in(out: str) -> list[int]:
    return [int(line.split()[1]) for line in out.splitlines() if line.startswith("saved ")]


def read_until(child: subprocess.Popen[str], epoch: int, *, saved: bool = False) -> str | None:
    """What a child prints until it has begun an epoch and, if asked for, saved one; None if it ends first."""
    assert child.stdout is not None
    out = ""
    for line in child.stdout:
        out += line
        if max(epochs_in(out), default=-1) >= epoch and (saved_in(out) or not saved):
            return out
    return None


def epochs_of(path: Path) -> int:
    return len(gdfast.load(path).loss_curve_)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on this system")
def test_killed_again_and_again_it_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    path, rng = tmp_path / "run", np.random.default_rng(0)
    kills = saved = 0
    while True:
        with start(path, every=1) as child:
            out = read_until(child, saved + int(rng.integers(20, 120)), saved=True)
            if out is not None:
                time.sleep(float(rng.uniform(0, 0.02)))
                child.kill()
            assert child.stdout is not None
            rest = child.stdout.read()
        if out is None:
            assert child.returncode == 0
            break
        assert child.returncode == -signal.SIGKILL
        # What came after the last checkpoint is lost. The very last one may not have been printed.
        saved = epochs_of(path)
        assert saved >= saved_in(out + rest)[-1]
        kills += 1
    assert kills >= 3
    completed(tmp_path / "whole", every=1)
    assert (tmp_path / "run.model").read_bytes() == (tmp_path / "whole.model").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGTERM on this system")
@pytest.mark.parametrize("waits", [True, False])
def test_sigterm_saves_the_last_epoch(waits: bool, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with start(path, every=1000, waits_at=30 if waits else -1) as child:
        out = read_until(child, 30)
        assert out is not None
        child.terminate()
        assert child.stdout is not None
        begun = epochs_in(out + child.stdout.read())
    assert child.returncode == -signal.SIGTERM
    saved = epochs_of(path)
    # Without waiting the signal may come when the last epoch that was begun has just ended.
    assert saved == 30 if waits else saved in (begun[-1], begun[-1] + 1)
    assert completed(path, every=1000)[0] == saved
    completed(tmp_path / "whole", every=1000)
    assert (tmp_path / "run.model").read_bytes() == (tmp_path / "whole.model").read_bytes()


def test_a_checkpoint_is_a_model_file(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path / "{epoch}.safetensors", every_n_epochs=3)
    est = classifier(max_iter=8, callbacks=[keep], resume=tmp_path / "none")[0].fit(X, LABELS)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{i}.safetensors" for i in (2, 5, 7)]
    np.testing.assert_array_equal(gdfast.load(keep.last_path_).predict_proba(X), est.predict_proba(X))
    assert gdfast.load(tmp_path / "2.safetensors").loss_curve_ == est.loss_curve_[:3]
    # It goes on by other ways as well.
    assert gdfast.load(keep.last_path_).partial_fit(X, LABELS).n_iter_ == 1
