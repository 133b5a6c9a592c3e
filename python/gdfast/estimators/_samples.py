"""The samples that a fit trains on, wherever they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from gdfast._model_file.checkpoints import Checkpoint
from gdfast.estimators import _holdout
from gdfast.estimators._task import Task, data_for
from gdfast.training.arrays import Array, check_mean_weight
from gdfast.training.blocks import BlockedData
from gdfast.training.data import Data
from gdfast.training.fingerprint import fingerprint
from gdfast.training.network import Network
from gdfast.training.options import TrainingOptions
from gdfast.training.order import RowOrder
from gdfast.training.ranks import Ranks
from gdfast.training.state import TrainingState
from gdfast.training.weights import Weights


class Samples:
    """The checked samples of one call, all of them in memory.

    The other kinds are blocks of a stream, the rows of one of several ranks, and partitions on a cluster:
    each says here what differs for it.

    Parameters
    ----------
    est : NetworkEstimator
    X, y, sample_weight
        As for ``fit`` and ``partial_fit``.
    reset : bool
        Whether training begins with these samples.
    incremental : bool
        Whether it is a call of ``partial_fit``.

    Attributes
    ----------
    X, y : array-like
        The checked samples that are in memory, of which the kinds without all of them have some.
    labels : array-like
        Targets from which the task is made.
    sample_weight : ndarray or None
        The checked weights, without those of classes.
    are_all_here : bool
        Whether X and y are all samples.
    """

    are_all_here = True
    _ranks: Ranks | None = None

    def __init__(
        self, est: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool, incremental: bool
    ) -> None:
        self._est, self._incremental = est, incremental
        self.X, self.y = est._check_data(X, y, reset=reset)
        self.labels = self.y
        self.sample_weight = sample_weight

    @property
    def n_features(self) -> int:
        n: int = self.X.shape[1]
        return n

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.X.dtype
        return dtype

    def weighed(self, task: Task) -> tuple[Task, Array | None]:
        """The task with the weights of all classes, and the weights of these samples with them.

        ValueError if no sample has a weight.
        """
        weight = self.sample_weight
        if weight is not None:
            weight = self.sample_weight = self._checked_weight(weight)
            # Checked by scikit-learn 1.9, but not by 1.7.
            if not self._any("sample weights", bool(weight.any())):
                raise ValueError("Sample weights must contain at least one non-zero number.")
        task = self._balanced(task)
        weight = task.weigh(self.y, weight)
        whole = None if self._incremental else weight
        if whole is not None and not self._any("class weights", bool(whole.any())):
            raise ValueError("class_weight and sample_weight leave no sample a weight other than zero.")
        return task, weight

    def _checked_weight(self, weight: Any) -> Array:
        checked: Array = self._est._check_weights(weight, self.X)
        return checked

    def _any(self, what: str, fact: bool) -> bool:
        """Whether it is so for any of the samples."""
        return fact

    def _balanced(self, task: Task) -> Task:
        """The task with class_weight="balanced" by all samples, where these are not all."""
        return task

    def random_state(self, resumes: bool) -> np.random.RandomState:
        """The random numbers of the fit; ``resumes`` is whether they come from a checkpoint."""
        given = self._est.random_state
        # A run that continues has its own, also if they came from NumPy's generator.
        own = np.random.RandomState() if resumes and given is None else given
        found: np.random.RandomState = check_random_state(own)
        return found

    def check_begin(self, weights: Weights) -> None:
        """ValueError if training does not begin with the same weights wherever samples are."""

    def data(self, task: Task, sample_weight: Array | None, dtype: np.dtype[Any]) -> Data:
        """The samples in the form for training."""
        return data_for(task, self.X, self.y, sample_weight, dtype)

    def blocks(self, task: Task, data: Data, dtype: np.dtype[Any]) -> BlockedData | None:
        """What training reads in place of ``data``."""
        return None

    def network(self, network: Network) -> Network:
        """The network whose trainer finds the samples."""
        return network

    def take_fingerprint(self, state: TrainingState, data: Data, held_out: Data | None, wanted: bool) -> None:
        """Set what a checkpoint compares data by, if it is wanted."""
        if wanted:
            state.fingerprint = fingerprint(data, held_out)

    def begin_order(
        self, state: TrainingState, kept: Any, checkpoint: Checkpoint | None, sets_aside: bool
    ) -> RowOrder | None:
        """Set the order of this fit, restore a checkpoint, and return the order to keep for the next."""
        keeps = self._est.keep_optimizer_state and not self._incremental
        state.order = self._new_order(state, kept if keeps else None, sets_aside)
        if checkpoint is not None:
            checkpoint.restore(state)  # which may bring an order of its own
        return state.order if keeps else kept

    def _new_order(self, state: TrainingState, kept: Any, sets_aside: bool) -> RowOrder:
        """The order of all rows: ``kept``, if it is one of such rows."""
        n_samples = self.X.shape[0]
        fits = type(kept) is RowOrder and kept.n_samples == n_samples
        if fits and (kept.validation is not None) == sets_aside:
            order: RowOrder = kept
            return order
        return RowOrder(n_samples, state.random_state)

    def set_aside(
        self,
        network: Network,
        task: Task,
        data: Data,
        state: TrainingState,
        split: tuple[Array, Array] | None,
    ) -> Any:
        """The validation set of samples that are set aside; ``split`` says which, in place of chance."""
        assert state.order is not None
        if split is not None:
            state.order.set_aside(*split)
        rows = _holdout.set_aside(
            state.order,
            data,
            fraction=self._est.validation_fraction,
            stratify=task.stratifies,
            random_state=state.random_state,
        )
        return self._est._validation(network, task, data, rows, self.X, self.y)

    def check_mean_weight(self, data: Data, state: TrainingState, *, weighs_classes: bool) -> None:
        """ValueError if the training samples have no mean; for ``weighs_classes`` classes have weights."""
        assert state.order is not None
        # Class weights may leave a batch no weight.
        if not self._incremental or not weighs_classes:
            weight = data.targets_of(state.order.training)[1]
            check_mean_weight(weight, "sample_weight", ranks=self._ranks)

    def batches(self, state: TrainingState, options: TrainingOptions) -> tuple[TrainingOptions, int]:
        """The options with what their batches are made of, and the number of all training rows."""
        assert state.order is not None
        return options, len(state.order)
