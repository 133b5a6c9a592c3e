"""The samples of a fit by rounds: partitions on a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from gdfast.dask._partitions import Partitions
from gdfast.dask._rounds import Cluster, ClusterMLP, RoundOrder
from gdfast.estimators._samples import Samples
from gdfast.estimators._task import Task
from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.network import Network
from gdfast.training.options import TrainingOptions
from gdfast.training.order import RowOrder
from gdfast.training.state import TrainingState


class ClusterSamples(Samples):
    """Partitions that the workers have checked: none is in memory but the first row of the first.

    Parameters
    ----------
    est : NetworkEstimator
    partitions : Partitions
    sample_weight : collection of Dask or None
    reset, incremental : bool
        As for `Samples`.
    """

    are_all_here = False

    def __init__(
        self, est: Any, partitions: Partitions, sample_weight: Any, *, reset: bool, incremental: bool
    ) -> None:
        self._est, self._incremental, self._partitions = est, incremental, partitions
        self.X, self.y, self.sample_weight = partitions.header, None, sample_weight
        self.labels = partitions.targets()
        self._encoded: list[Any] = []
        validate_data(est, self.X, reset=reset, skip_check_array=True)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._partitions.dtype

    def weighed(self, task: Task) -> tuple[Task, Array | None]:
        if getattr(self._est, "class_weight", None) == "balanced":
            task = replace(task, class_weight=self._partitions.balanced())  # type: ignore[call-arg]
        return task, None

    def data(self, task: Task, sample_weight: Array | None, dtype: np.dtype[Any]) -> Data:
        self._encoded = self._partitions.encoded(task, dtype)
        return Data(np.empty((0, self.n_features), dtype), np.zeros((1, task.n_outputs), dtype), None)

    def network(self, network: Network) -> Network:
        est = self._est
        cluster = Cluster(
            self._partitions.client,
            self._encoded,
            self._partitions.numbers,
            self._partitions.n_rows,
            est.n_groups,
            est.local_epochs,
            est.n_jobs,
            bool(est.shuffle),
        )
        return ClusterMLP(**vars(network), cluster=cluster)

    def take_fingerprint(self, state: TrainingState, data: Data, held_out: Data | None, wanted: bool) -> None:
        """There are no checkpoints."""

    def _new_order(self, state: TrainingState, kept: Any, sets_aside: bool) -> RowOrder:
        n_samples, local_epochs = sum(self._partitions.n_rows), self._est.local_epochs
        wanted = n_samples, local_epochs
        if isinstance(kept, RoundOrder) and (kept.n_samples, kept.local_epochs) == wanted:
            return kept
        return RoundOrder(n_samples, state.random_state, local_epochs)

    def check_mean_weight(self, data: Data, state: TrainingState, *, weighs_classes: bool) -> None:
        """The partitions have been checked when they were encoded."""

    def batches(self, state: TrainingState, options: TrainingOptions) -> tuple[TrainingOptions, int]:
        return options, sum(self._partitions.n_rows)
