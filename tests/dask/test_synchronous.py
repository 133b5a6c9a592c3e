"""Synchronous steps by the workers of a cluster under MPI."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from gdfast.dask import DaskMLPClassifier
from gdfast.dask._synchronous import divided
from processes import MPIEXEC

da = pytest.importorskip("dask.array")

ARRAYS = np.zeros((40, 3)), np.arange(40) % 2

# The first process is the scheduler, the second one the client, which runs this program.
HEAD = """
import json, os, sys, threading, time, warnings
import numpy as np
import dask.array as da
import dask.dataframe as dd
import pandas as pd
from dask_mpi import initialize
from distributed import Client, wait
from sklearn.datasets import make_classification
from gdfast import MLPClassifier, MLPRegressor
from gdfast.dask import DaskMLPClassifier, DaskMLPRegressor
from gdfast.distributed import RankError
initialize(dashboard=False)
client = Client()
client.wait_for_workers(2)
workers = sorted(client.scheduler_info()["workers"])

X, y = make_classification(240, 8, n_informative=6, n_classes=3, random_state=0)
SMALL = {"hidden_layer_sizes": (12, 7), "shuffle": False, "max_iter": 20, "random_state": 0, "batch_size": 40}

def cut(*arrays):
    # As many rows in the first two partitions as in the last.
    return [da.from_array(array, chunks=((70, 50, 120), *array.shape[1:])).persist() for array in arrays]

# One process that takes the same batches: half of each from either half of the rows.
order = np.arange(240).reshape(2, 6, 20).swapaxes(0, 1).ravel()

def weights(est):
    return [*est.coefs_, *est.intercepts_]

def far(est, other):
    return max(float(abs(a - b).max()) for a, b in zip(weights(est), weights(other)))

def say(**found):
    os.write(1, ("RESULT " + json.dumps(found) + "\\n").encode())
"""

under_mpi = [pytest.mark.slow, pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec")]


def start(code: str) -> subprocess.Popen[str]:
    pytest.importorskip("dask_mpi")
    assert MPIEXEC is not None
    return subprocess.Popen(
        [MPIEXEC, "-n", "4", sys.executable, "-c", HEAD + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], timeout: float = 300) -> dict[str, Any]:
    """What the program says; fails if it hangs."""
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"it hangs:\n{output}") from None
    found: dict[str, Any] = {}
    for line in re.findall(r"^RESULT (.*)$", output, re.MULTILINE):
        found.update(json.loads(line))
    assert found, output
    return found


class TestUnderMPI:
    pytestmark = under_mpi

    def test_fits_what_one_process_fits(self) -> None:
        found = end(
            start("""
DX, Dy, Dw = cut(X, y, np.linspace(1, 2, 240))
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    est = DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, Dy, Dw)
say(warned=[(str(w.message)[:10], w.category.__name__, w.filename == "<string>") for w in warned])
warnings.simplefilter("ignore")
w = np.linspace(1, 2, 240)
one = MLPClassifier(**SMALL).fit(X[order], y[order], w[order])
again = DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, Dy, Dw)
say(far=far(est, one), again=far(est, again), n_iter=est.n_iter_, t=est.t_, classes=est.classes_.tolist())
say(losses=float(abs(np.subtract(est.loss_curve_, one.loss_curve_)).max()))
say(predicts=bool((est.predict(DX).compute() == one.predict(X)).mean() > 0.99))

est.partial_fit(DX, Dy)
one.partial_fit(X[order], y[order])
say(partial=far(est, one))
first = DaskMLPClassifier(**SMALL, synchronous=True).partial_fit(DX, Dy, classes=[0, 1, 2, 3])
say(first=first.classes_.tolist())

state = np.random.RandomState(3)
twice = DaskMLPClassifier(**{**SMALL, "random_state": state, "shuffle": True}, synchronous=True)
a = [c.copy() for c in weights(twice.fit(DX, Dy))]
b = weights(twice.fit(DX, Dy))
say(advances=any((p != q).any() for p, q in zip(a, b)))

balanced = {**SMALL, "class_weight": "balanced"}
est = DaskMLPClassifier(**balanced, synchronous=True).fit(DX, Dy)
say(balanced=far(est, MLPClassifier(**balanced).fit(X[order], y[order])))

stopping = {**SMALL, "early_stopping": True}
est = DaskMLPClassifier(**stopping, synchronous=True).fit(DX, Dy, X_val=DX, y_val=Dy)
one = MLPClassifier(**stopping).fit(X[order], y[order], X_val=X, y_val=y)
say(validated=far(est, one))
say(scores=float(abs(np.subtract(est.validation_scores_, one.validation_scores_)).max()))
""")
        )
        assert found["far"] < 1e-10
        assert found["losses"] < 1e-10
        assert found["partial"] < 1e-10
        assert found["again"] == 0
        assert found["balanced"] < 1e-10
        assert found["validated"] < 1e-10
        assert found["scores"] < 1e-10
        assert (found["n_iter"], found["t"]) == (20, 20 * 240)
        assert found["classes"] == [0, 1, 2]
        assert found["first"] == [0, 1, 2, 3]
        assert found["predicts"]
        assert found["advances"]
        assert found["warned"] == [["Stochastic", "ConvergenceWarning", True]]

    def test_frames_and_errors(self) -> None:
        found = end(
            start("""
frame = pd.DataFrame(X, columns=list("abcdefgh"))
frame["y"] = X[:, 0] * 2
D = dd.from_pandas(frame, npartitions=4)
columns = list("abcdefgh")
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "Stochastic")
reg = DaskMLPRegressor(**SMALL, synchronous=True)
reg.fit(D[columns], D["y"], X_val=D[columns], y_val=D["y"])
say(names=reg.feature_names_in_.tolist(), score=reg.score(D[columns], D["y"]), width=reg.n_features_in_)
say(scores=len(reg.validation_loss_curve_))

def error(*data, est=DaskMLPClassifier, **arguments):
    estimator = est(**{**SMALL, **arguments}, synchronous=True)
    try:
        estimator.fit(*data)
    except Exception as raised:
        return [type(raised).__name__, str(raised), hasattr(estimator, "coefs_")]

DX, Dy = cut(X, y)
say(norm=error(DX, Dy, batch_norm=True), lbfgs=error(DX, Dy, solver="lbfgs"))
say(small=error(DX, Dy, batch_size=1))
say(renamed=error(D[columns], D["y"].rename("z"), est=DaskMLPRegressor, hidden_layer_sizes=()))
bad = X.copy()
bad[130, 2] = np.nan
say(nan=error(*cut(bad, y)))
try:
    reg.set_params(warm_start=True).fit(D[columns[::-1]], D["y"])
except ValueError as raised:
    say(order=str(raised)[:40])
say(kept=reg.feature_names_in_.tolist())
# After an error in training the weights are those of the last step in which they were finite.
say(diverges=error(DX, Dy, solver="sgd", learning_rate_init=1e300))
before = [array.copy() for array in weights(reg)]
reg.set_params(validation_fraction=2.0)
try:
    reg.fit(D[columns], D["y"])
except ValueError as raised:
    say(invalid=str(raised)[:40])
say(unchanged=all((a == b).all() for a, b in zip(before, weights(reg))))
say(after=float(DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, Dy).loss_))
""")
        )
        assert found["names"] == found["kept"] == list("abcdefgh")
        assert found["width"] == 8
        assert found["scores"] == 20
        assert found["score"] > 0
        for name, word in [("norm", "batch_norm"), ("lbfgs", "lbfgs"), ("small", "batch_size=1")]:
            kind, message, fitted = found[name]
            assert kind == "ValueError"
            assert word in message
            assert not fitted
        assert found["nan"][0] == "ValueError"
        assert found["nan"][1].startswith("In partition 2: Input X contains NaN")
        assert found["order"].startswith("The feature names should match")
        assert found["renamed"] is None
        kind, message, fitted = found["diverges"]
        assert kind == "ValueError"
        assert message.startswith("Solver produced non-finite parameter weights.")
        assert fitted
        assert "validation_fraction" in found["invalid"]
        assert found["unchanged"]
        assert found["after"] > 0

    def test_what_only_some_workers_have(self) -> None:
        """Validation sets of any kind, parts without weight, errors of a single worker: nothing hangs."""
        found = end(
            start("""
from scipy import sparse
warnings.simplefilter("ignore")
DX, Dy = cut(X, y)

def fit(**holdout):
    return DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, Dy, **holdout).validation_scores_[-1]

kinds = [X, X.tolist(), sparse.coo_matrix(X), DX]
say(kinds=[fit(X_val=kind, y_val=y) for kind in kinds], weighted=fit(X_val=X, y_val=y, sample_weight_val=1.0))

labels = np.stack([y > 0, y > 1], axis=1).astype(int)
DL, = cut(labels)
est = DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, DL, X_val=X, y_val=sparse.csr_matrix(labels))
say(multilabel=len(est.validation_loss_curve_))

w = np.repeat([0.0, 1.0], 120)
est = DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, Dy, cut(w)[0])
say(zeros=far(est, MLPClassifier(**SMALL).fit(X[order], y[order], w[order])))

mixed = da.concatenate([DX[:70].map_blocks(sparse.csr_array, meta=sparse.csr_array((0, 8))), DX[70:]])
one, other = (DaskMLPClassifier(**SMALL, synchronous=True).fit(given, Dy) for given in (mixed, DX))
say(mixed=far(one, other))

# Seeds of the orders of three fits that continue one another.
going_on = {"warm_start": True, "keep_optimizer_state": True, "shuffle": True}
on = DaskMLPClassifier(**{**SMALL, **going_on}, synchronous=True)
say(seeds=len({on.fit(DX, Dy)._training.order.seed for _ in range(3)}))

frame = pd.DataFrame(X, columns=list("abcdefgh"))
D = dd.from_pandas(frame, npartitions=2)
other = dd.from_pandas(frame.iloc[:, :6].rename(columns=str.upper), npartitions=2)
target = dd.from_pandas(pd.Series(X[:, 0]), npartitions=2)
reg = DaskMLPRegressor(**SMALL, synchronous=True).fit(D, target)
arrays = weights(reg)
for data in (other, da.from_array(X, chunks=(120, 8))):
    try:
        reg.set_params(batch_norm=True).fit(data, target)
    except ValueError as error:
        say(refused="batch_norm" in str(error))
say(names=reg.feature_names_in_.tolist(), same=all(a is b for a, b in zip(arrays, weights(reg))))
""")
        )
        assert len(set(found["kinds"])) == 1
        assert found["weighted"] == found["kinds"][0]
        assert found["multilabel"] == 20
        assert found["zeros"] < 1e-10
        assert found["mixed"] < 1e-10
        assert found["seeds"] == 3
        assert found["refused"]
        assert found["names"] == list("abcdefgh")
        assert found["same"]

    def test_ctrl_c_at_any_time(self) -> None:
        """Between two tasks, and before all ranks have begun: none waits for ever for the others."""
        found = end(
            start("""
import signal
warnings.simplefilter("ignore")
DX, Dy = cut(X, y)
endless = {**SMALL, "max_iter": 10**8, "tol": 0.0, "n_iter_no_change": 10**8}

def outcome(stop):
    est = DaskMLPClassifier(**endless, synchronous=True)
    stop()
    try:
        est.fit(DX, Dy)
    except KeyboardInterrupt:
        return "raised"
    return "ended"

submit = client.submit

def second_is_interrupted(function, *arguments, **options):
    if options.get("key", "").startswith("gdfast-rank") and options["key"].endswith("-1"):
        client.submit = submit
        raise KeyboardInterrupt
    return submit(function, *arguments, **options)

def between():
    client.submit = second_is_interrupted

say(between=outcome(between))

def early():
    # One worker is busy while Ctrl-C comes.
    submit(time.sleep, 4, workers=[workers[1]], allow_other_workers=False, pure=False)
    threading.Timer(2, signal.raise_signal, [signal.SIGINT]).start()

say(early=outcome(early))
say(works=DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, Dy).n_iter_)
""")
        )
        assert found["between"] in ("raised", "ended")
        assert found["early"] in ("raised", "ended")
        assert found["works"] == 20

    def test_ctrl_c_ends_training(self) -> None:
        process = start("""
DX, Dy = cut(X, y)
say(pid=os.getpid(), begins=True)
endless = {**SMALL, "max_iter": 10**8, "tol": 0.0, "n_iter_no_change": 10**8}
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    est = None
    while est is None:
        try:
            est = DaskMLPClassifier(**endless, synchronous=True).fit(DX, Dy)
        except KeyboardInterrupt:  # before the first step
            say(again=True)
say(n_iter=est.n_iter_, warned=[str(w.message) for w in warned])
say(works=DaskMLPClassifier(**SMALL, synchronous=True).fit(DX, Dy).n_iter_)
""")
        assert process.stdout is not None

        def result() -> dict[str, Any]:
            assert process.stdout is not None
            while True:
                line = process.stdout.readline()
                assert line, "it has ended"
                if line.startswith("RESULT"):
                    return dict(json.loads(line.removeprefix("RESULT ")))

        pid = result()["pid"]
        for seconds in (5, 20, 60):  # a slow machine may not have taken the first step
            time.sleep(seconds)
            os.kill(pid, signal.SIGINT)
            found = result()
            if "again" not in found:
                break
        found.update(end(process))
        assert found["n_iter"] > 1
        assert "interrupted" in found["warned"][0]
        assert found["works"] == 20


def test_callbacks_of_scikit_learn_are_refused(client: Any) -> None:
    X, y = (da.from_array(array) for array in ARRAYS)
    est = DaskMLPClassifier(synchronous=True)
    est._skl_callbacks = [object()]  # as set_callbacks of scikit-learn 1.9 does
    with pytest.raises(ValueError, match="callbacks are not supported"):
        est.fit(X, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_groups": 2}, "n_groups=2 is for rounds"),
        ({"local_epochs": 2}, "local_epochs=2 is for rounds"),
        ({"callbacks": [object()]}, "callbacks are not supported"),
        ({"resume": "file"}, "resume is not supported"),
    ],
)
def test_arguments_without_a_meaning(client: Any, arguments: dict[str, Any], message: str) -> None:
    X, y = (da.from_array(array) for array in ARRAYS)
    est = DaskMLPClassifier(synchronous=True, **arguments)
    if "callbacks" in arguments:
        est.callbacks = [type("Callback", (), {"on_epoch_end": lambda *_: None})()]
    with pytest.raises(ValueError, match=message):
        est.fit(X, y)


def test_workers_without_mpi(client: Any) -> None:
    X, y = (da.from_array(array) for array in ARRAYS)
    est = DaskMLPClassifier(synchronous=True)
    with pytest.raises(RuntimeError, match=r"as dask-mpi starts them. The worker \S+ (has not|is in an MPI)"):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")


@pytest.mark.parametrize(
    ("n_rows", "n_groups", "groups"),
    [
        ([70, 50, 120], 2, [[0, 1], [2]]),
        ([5], 3, [[0]]),
        ([1, 1, 1, 1, 1], 2, [[0, 1], [2, 3, 4]]),
        ([100, 1, 1, 1], 2, [[0], [1, 2, 3]]),
        ([10, 10], 8, [[0], [1]]),
    ],
)
def test_neighbours_are_together(n_rows: list[int], n_groups: int, groups: list[list[int]]) -> None:
    assert divided(n_rows, n_groups) == groups
