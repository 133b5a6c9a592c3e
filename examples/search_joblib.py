"""A grid search on a cluster: scikit-learn's GridSearchCV under joblib's backends "dask" and "ray".

Run with ``python examples/search_joblib.py dask`` (it needs ``pip install "gdfast[dask]"``) or with
``python examples/search_joblib.py ray`` (``pip install ray pandas``). It starts two workers on this machine;
with the address of a cluster, ``Client("tcp://...")`` or ``ray.init("ray://...")``, the rest stays the same.

The search is told the truth about itself: how often the data were sent, and how many threads a fit could use
while others ran beside it.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gdfast
import numpy as np
import pandas as pd
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info

N_WORKERS = 2
GRID = {"alpha": [1e-4, 1e-2], "learning_rate_init": [1e-3, 1e-2], "hidden_layer_sizes": [(32,), (64,)]}


class Counted(pd.DataFrame):
    """A frame that counts how often it is sent. Where it arrives, it is a plain frame."""

    sent = 0

    def __reduce_ex__(self, protocol: Any) -> Any:
        Counted.sent += 1
        return pd.DataFrame, (self.to_numpy(),)


class Stored(pd.DataFrame):
    """A frame that travels as a reference to Ray's store, from which a worker takes it without a copy.

    joblib's batches hold the data of each fit. Without this Ray would send them with every batch.
    """

    def __reduce_ex__(self, protocol: Any) -> Any:
        import ray

        return ray.get, (self.attrs["reference"],)


def scores(est: Any, X: Any, y: Any) -> dict[str, float]:
    """The accuracy; the process, and the number of threads that gdfast's team has where this runs."""
    teams = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
    return {"accuracy": est.score(X, y), "threads": max(teams, default=1), "process": os.getpid()}


@contextmanager
def dask_workers(X: Any, y: Any) -> Iterator[Any]:
    """joblib's backend "dask" on two processes, to which the data go before the search."""
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
        parallel_config("dask", scatter=[X, y], n_jobs=N_WORKERS),
    ):
        yield X


@contextmanager
def ray_workers(X: Any, y: Any) -> Iterator[Any]:
    """joblib's backend "ray" on two processes, with the data in Ray's store."""
    import ray
    from ray.util.joblib import register_ray

    ray.init(num_cpus=N_WORKERS, include_dashboard=False, log_to_driver=False, logging_level="error")
    register_ray()
    try:
        stored = Stored(X)
        stored.attrs["reference"] = ray.put(X)
        with parallel_config("ray", n_jobs=N_WORKERS):
            yield stored
    finally:
        ray.shutdown()


def main(backend: str = "dask") -> None:
    X, y = load_digits(return_X_y=True)
    X = Counted(X / 16)
    search = GridSearchCV(
        gdfast.MLPClassifier(max_iter=30, random_state=0), GRID, scoring=scores, refit="accuracy", cv=3
    )
    workers = {"dask": dask_workers, "ray": ray_workers}[backend]
    with workers(X, y) as X:
        begin = time.perf_counter()
        search.fit(X, y)
        seconds = time.perf_counter() - begin
    results = search.cv_results_
    n_fits = 3 * len(results["params"])
    processes = np.unique([results[f"split{i}_test_process"] for i in range(3)])
    print(f"{backend}: {n_fits} fits in {seconds:.1f} s, on {len(processes)} processes")
    print(f"the data were sent {Counted.sent} times")
    print(f"at most {max(results['mean_test_threads']):.0f} threads for a fit")
    print(f"best accuracy {search.best_score_:.3f} with {search.best_params_}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)  # 30 epochs are few
    # Workers are processes of their own, which take their filters from here.
    os.environ["PYTHONWARNINGS"] = "ignore"
    main(*sys.argv[1:2])
