"""Fits inside Dask's tasks share the cores."""

from __future__ import annotations

import pytest
from gdfast.estimators._validation import n_threads

distributed = pytest.importorskip("distributed")


@pytest.mark.parametrize(("of_worker", "of_fit"), [(1, 0), (2, 1), (4, 1)])
def test_tasks_beside_one_another_have_a_thread_each(of_worker: int, of_fit: int) -> None:
    """In a process of its own a worker has OMP_NUM_THREADS=1; in this one nothing else limits a team."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=of_worker, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        assert client.submit(n_threads, None).result() == of_fit
        assert client.submit(n_threads, 3).result() == 3
    assert n_threads(None) == 0
