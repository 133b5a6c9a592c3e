"""Searches that give up bad settings early: dask-ml's IncrementalSearchCV and HyperbandSearchCV.

Run with ``python examples/search_dask_ml.py``; it needs ``pip install dask-ml
"dask[array,dataframe,distributed]<2025.3"``, for dask-ml 2025.1.0, the newest, does not work with later
versions of Dask (https://github.com/dask/dask-ml/issues/1016). The searches call ``partial_fit`` on the
partitions of Dask's arrays, an epoch of a partition at a time, and go on with the settings that score best.
Two workers of this machine share the models.
"""

from __future__ import annotations

import time

import dask.array as da
import gdfast
import numpy as np
from dask.distributed import Client, LocalCluster
from dask_ml.model_selection import HyperbandSearchCV, IncrementalSearchCV
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_info

N_WORKERS = 2
SETTINGS = {
    "alpha": np.logspace(-6, -1, 20),
    "learning_rate_init": np.logspace(-4, -1, 20),
    "hidden_layer_sizes": [(32,), (64,), (128,)],
}


def n_threads() -> int:
    """The number of threads that gdfast's team has where this runs."""
    import gdfast  # noqa: F401

    return max((p["num_threads"] for p in threadpool_info() if p["user_api"] == "openmp"), default=1)


def transferred(client: Client) -> int:
    """Bytes that workers have sent to one another."""
    return sum(client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total).values())


def main() -> None:
    X, y = load_digits(return_X_y=True)
    clf = gdfast.MLPClassifier(random_state=0)
    searches = [
        IncrementalSearchCV(
            clf, SETTINGS, n_initial_parameters=8, max_iter=20, decay_rate=None, random_state=0
        ),
        HyperbandSearchCV(clf, SETTINGS, max_iter=20, random_state=0),
    ]
    with (
        LocalCluster(n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        # A search computes the partitions once, and keeps them on the workers.
        rows, labels = da.from_array(X / 16, chunks=(300, -1)), da.from_array(y, chunks=300)
        for search in searches:
            before, begin = transferred(client), time.perf_counter()
            search.fit(rows, labels, classes=np.unique(y))
            seconds = time.perf_counter() - begin
            print(
                f"{type(search).__name__}: {len(search.model_history_)} models, {len(search.history_)} calls "
                f"in {seconds:.1f} s, best accuracy {search.best_score_:.3f} with {search.best_params_}"
            )
            print(f"  {(transferred(client) - before) / 1e6:.1f} MB between workers, models among them")
        print(f"at most {max(client.run(n_threads).values())} threads for a fit")


if __name__ == "__main__":
    main()
