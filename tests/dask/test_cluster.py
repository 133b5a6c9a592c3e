"""Clusters of processes: what travels, and a worker that dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gdfast.dask import DaskMLPClassifier
from numpy.testing import assert_array_equal

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Stochastic Optimizer")]

N_ROWS, N_FEATURES = 40_000, 50
ARGUMENTS: dict[str, Any] = {
    "hidden_layer_sizes": (16,),
    "max_iter": 12,
    "n_iter_no_change": 100,
    "random_state": 0,
}


@pytest.fixture
def cluster() -> Iterator[Any]:
    # A worker that is killed comes back. A machine with other work is slow to start it.
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster, timeout="120s") as client,
    ):
        yield client


def data() -> tuple[Any, Any]:
    rng = da.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_FEATURES), chunks=(N_ROWS // 8, -1))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def transferred(client: Any) -> int:
    """Bytes that workers have sent to one another."""
    found = client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total)
    return sum(found.values())


@pytest.mark.parametrize("n_groups", [None, 2])
def test_models_travel_and_partitions_stay(cluster: Any, n_groups: int | None) -> None:
    X, y = (each.persist() for each in data())
    distributed.wait([X, y])
    before = transferred(cluster)
    est = DaskMLPClassifier(**ARGUMENTS, n_groups=n_groups).fit(X, y)
    sent = transferred(cluster) - before
    assert est.n_iter_ == 12
    # Where a worker has nothing to do, Dask may move a partition to it, the more so on a busy machine: most
    # visits are where the partition lies all the same. Models are a hundredth of that.
    assert sent < 12 * X.nbytes / 2


class KillAWorker:
    """Kill a worker in the fourth round, in the middle of its tasks."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.pids = list(client.run(os.getpid).values())
        self.killed: list[int] = []

    def on_epoch_begin(self, est: Any, epoch: int, logs: Any) -> None:
        if epoch == 3:
            threading.Timer(0.05, self.kill).start()

    def kill(self) -> None:
        os.kill(self.pids[0], signal.SIGKILL)
        self.killed.append(self.pids[0])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
@pytest.mark.parametrize("persisted", [True, False])
def test_a_worker_that_dies_costs_time_only(cluster: Any, persisted: bool) -> None:
    X, y = data()
    if persisted:
        X, y = X.persist(), y.persist()
        distributed.wait([X, y])
    undisturbed = DaskMLPClassifier(**ARGUMENTS).fit(X, y)
    killer = KillAWorker(cluster)
    disturbed = DaskMLPClassifier(**ARGUMENTS, callbacks=[killer]).fit(X, y)
    assert killer.killed
    assert set(cluster.run(os.getpid).values()) != set(killer.pids)
    assert disturbed.loss_curve_ == undisturbed.loss_curve_
    for a, b in zip(disturbed.coefs_, undisturbed.coefs_, strict=True):
        assert_array_equal(a, b)


def test_tasks_are_on_one_thread_each(cluster: Any) -> None:
    """However many cores there are: as many tasks run at a time as workers have threads."""
    X, y = (each.persist() for each in data())
    most: list[int] = []
    done = threading.Event()

    # What workers run is defined here, and so sent whole: a worker may be unable to import this module.
    def n_threads() -> int:
        return len(os.listdir(f"/proc/{os.getpid()}/task"))

    def watch() -> None:
        def busy(dask_worker: Any) -> int:
            me = os.getpid()
            states = []
            for thread in os.listdir(f"/proc/{me}/task"):
                try:
                    with open(f"/proc/{me}/task/{thread}/stat") as file:
                        states.append(file.read().rpartition(")")[2].split()[0])
                except OSError:  # it has ended
                    continue
            return states.count("R")

        while not done.is_set():
            most.extend(cluster.run(busy).values())
            time.sleep(0.01)

    if not os.path.isdir("/proc/self/task"):
        pytest.skip("there is no /proc here")
    before = cluster.run(n_threads)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        DaskMLPClassifier(**ARGUMENTS).fit(X, y)
    finally:
        done.set()
        watcher.join()
    after = cluster.run(n_threads)
    # Threads of a team of OpenMP stay: there is none.
    assert all(after[worker] <= before[worker] + 2 for worker in before), (before, after)
    # The one of the task, and now and then the event loop's.
    assert np.mean(most) <= 2
