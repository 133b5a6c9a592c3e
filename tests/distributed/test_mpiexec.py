"""Ranks that are processes of an MPI job."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from processes import MPIEXEC

pytest.importorskip("mpi4py", exc_type=ImportError)
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec")

HEAD = """
import hashlib, os, sys, warnings
import numpy as np
from sklearn.datasets import make_classification
from gdfast import MLPClassifier
from gdfast.distributed import RankError, mpi
warnings.simplefilter("ignore")
X, y = make_classification(240, 10, random_state=0)

def rows_of(comm, part):
    return np.arange(240).reshape(-1, comm.size, part)[:, comm.rank].ravel()

def fit(rows, **options):
    options = {"hidden_layer_sizes": 12, "shuffle": False, "max_iter": 5, "random_state": 0} | options
    return MLPClassifier(**options).fit(X[rows], y[rows])

def say(*words):  # in one piece, whatever the other ranks write
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


def start(size, code):
    # In a group of its own, as of a shell's job, so that it can be stopped as one.
    return subprocess.Popen(
        [MPIEXEC, "-n", str(size), sys.executable, "-c", HEAD + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process, timeout=300):
    """The exit status and the output; fails if the ranks hang."""
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        pytest.fail(f"The ranks hang:\n{output}")
    return process.returncode, output


def run(size, code):
    status, output = end(start(size, code))
    assert status == 0, output
    return output


SAME = """
with mpi() as comm:
    size = comm.size
    est = fit(rows_of(comm, 10), batch_size=10 * size)
    again = fit(rows_of(comm, 10), batch_size=10 * size)
    wide = fit(rows_of(comm, 10), batch_size=10 * size, hidden_layer_sizes=(300, 300), max_iter=1)
one = fit(np.arange(240), batch_size=10 * size)
off = max(abs(a - b).max() for a, b in zip(est.coefs_, one.coefs_))
assert off < 1e-10, off
assert all((a == b).all() for a, b in zip(est.coefs_, again.coefs_))
say("same", hashlib.sha256(b"".join(a.tobytes() for a in (*est.coefs_, *wide.coefs_))).hexdigest())
"""


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_same_as_one(size):
    found = re.findall(r"same (\S+)", run(size, SAME))
    assert len(found) == size
    assert len(set(found)) == 1


@pytest.mark.slow
def test_errors_are_heard_by_all():
    code = """
with mpi() as comm:
    for options in ({"alpha": float(comm.rank)}, {"solver": "lbfgs"}):
        try:
            fit(rows_of(comm, 10), **options)
        except ValueError as error:
            say("ValueError:", error)
    if comm.rank == 1:
        X[0] = np.nan
    try:
        fit(np.arange(20))
    except RankError as error:
        say("RankError:", error)
    except ValueError as error:
        say("own error")
    say("loss", fit(np.arange(100, 200)).loss_.hex())
"""
    output = run(2, code)
    assert output.count("argument alpha is 0.0 on rank 0 and 1.0 on rank 1") == 2
    assert output.count("does not support solver='lbfgs'") == 2
    assert output.count("RankError: Rank 1 has failed with ValueError: Input X contains NaN") == 1
    assert output.count("own error") == 1
    assert len(set(re.findall(r"loss (\S+)", output))) == 1


@pytest.mark.slow
def test_error_that_nobody_catches_ends_all():
    status, output = end(start(2, "with mpi() as comm:\n    fit(rows_of(comm, 10), alpha=-comm.rank)\n"))
    assert status != 0
    assert "InvalidParameterError: The 'alpha' parameter" in output
    assert "RankError: Rank 1 has failed with InvalidParameterError" in output


ENDLESS = """
class Say:
    def on_epoch_end(self, est, epoch, logs):
        if epoch == 1:
            say("pid", comm.rank, os.getpid())

with mpi() as comm:
    est = fit(rows_of(comm, 10), max_iter=10**9, n_iter_no_change=10**9, callbacks=[Say()])
    say("ended", est.n_iter_, est.loss_curve_[-1].hex())
"""


def started(process, size):
    """The processes of the ranks, once they train."""
    found = {}
    while len(found) < size:
        line = process.stdout.readline()
        assert line, "the ranks have ended"
        if match := re.match(r"pid (\d+) (\d+)", line):
            found[int(match[1])] = int(match[2])
    return found


@pytest.mark.slow
def test_killed_rank_ends_all_within_seconds():
    process = start(2, ENDLESS)
    os.kill(started(process, 2)[1], signal.SIGKILL)
    begun = time.monotonic()
    status, output = end(process, timeout=60)
    assert status != 0
    assert "ended" not in output
    assert time.monotonic() - begun < 30  # one or two seconds, on a machine with nothing else to do


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["mpiexec", "rank"])
def test_interrupt_ends_all_after_the_same_step(whom):
    process = start(2, ENDLESS)
    pids = started(process, 2)
    os.kill(process.pid if whom == "mpiexec" else pids[1], signal.SIGINT)
    _, output = end(process, timeout=120)
    if whom == "rank":  # mpiexec may end the ranks before they have written
        found = re.findall(r"ended (\S+ \S+)", output)
        assert len(found) == 2
        assert len(set(found)) == 1


@pytest.mark.slow
def test_ranks_share_the_cores():
    code = """
from gdfast.training.ranks import current
with mpi() as comm:
    say("threads", current().n_threads)
    try:
        with mpi():
            pass
    except RuntimeError as error:
        say(error)
"""
    output = run(2, code)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = [int(n) for n in re.findall(r"threads (\d+)", output)]
    assert len(threads) == 2
    assert threads[0] == threads[1] <= max(1, usable // 2)
    assert output.count("within another block") == 2


@pytest.mark.slow
def test_local_sgd():
    code = """
with mpi(sync_every=3) as comm:
    est = fit(rows_of(comm, 10), batch_size=20, max_iter=30)
say("loss", est.loss_curve_[-1].hex(), est.score(X, y) > 0.8)
"""
    found = re.findall(r"loss (\S+ \S+)", run(2, code))
    assert len(found) == 2
    assert len(set(found)) == 1
    assert found[0].endswith("True")


def test_one_rank_is_a_fit_alone():
    from gdfast.distributed import mpi
    from gdfast.training.ranks import current

    with mpi() as comm:
        assert comm.Get_size() == 1
        assert current() is None
    with pytest.raises(ValueError, match="sync_every must be"), mpi(sync_every=0):
        pass


def test_what_is_no_communicator():
    from gdfast.distributed import mpi
    from mpi4py import MPI

    with pytest.raises(TypeError, match="comm must be a communicator of mpi4py or None, got int"), mpi(3):
        pass
    with pytest.raises(ValueError, match=r"^comm is MPI\.COMM_NULL"), mpi(MPI.COMM_NULL):
        pass
