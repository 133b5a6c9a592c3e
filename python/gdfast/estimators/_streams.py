"""Training data that are read block by block: what is known of them, and what training takes of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils.validation import _get_feature_names

from gdfast.data import Stream
from gdfast.data._reader import Block
from gdfast.estimators import _validation
from gdfast.estimators._classification import ClassificationTask
from gdfast.estimators._samples import Samples
from gdfast.estimators._scoring import Score, scorer_of
from gdfast.estimators._task import Task, data_for
from gdfast.training.arrays import Array, check_mean_weight
from gdfast.training.blocks import BlockedData, BlockedValidation, Blocks
from gdfast.training.data import Data
from gdfast.training.encoding import EncodedRows
from gdfast.training.fingerprint import fingerprint
from gdfast.training.network import Network
from gdfast.training.order import RowOrder
from gdfast.training.state import TrainingState

T = TypeVar("T", bound=Task)


class Rows(NamedTuple):
    """The checked rows of a block."""

    X: Any
    y: Any
    sample_weight: Array | None


class Source:
    """A stream from which an estimator is fitted.

    One of every ``1 / validation_fraction`` parts is set aside for validation or, if there are fewer parts,
    blocks of every part.

    Parameters
    ----------
    est : NetworkEstimator
    stream : Stream
    reset : bool
        Whether training begins with these data.
    sets_aside : bool
        Whether there are rows for validation.

    Attributes
    ----------
    head : Rows
        The first block for training.
    n_rows : int
        The number of training rows.
    known_y : ndarray
        Stands for all targets: one of each label, or the targets of the head.
    """

    def __init__(self, est: Any, stream: Stream, *, reset: bool, sets_aside: bool) -> None:
        self._est, self.stream = est, stream
        self._reader = stream.open()
        self._config = get_config()
        n_parts = self._reader.n_parts
        every = max(2, round(1 / est.validation_fraction)) if sets_aside else n_parts + 1
        self._every_block = every if sets_aside and n_parts < every else 0
        held_out = set() if self._every_block else set(range(every - 1, n_parts, every))
        self._training_parts = [part for part in range(n_parts) if part not in held_out]
        self._validation_parts = list(range(n_parts)) if self._every_block else sorted(held_out)
        self._counts: dict[Any, float] = {}
        self._blocks_before = [0] * n_parts
        if self._every_block and n_parts > 1:
            counts = [sum(1 for _ in self._reader.targets(part)) for part in range(n_parts)]
            self._blocks_before = [sum(counts[:part]) for part in range(n_parts)]

        self._first: Rows | None = None
        first = next(self._blocks(self._training_parts, held_out=False), None)
        if first is None:
            raise ValueError("The stream has no rows.")
        self._names = _get_feature_names(first.X)
        names, known = self._reader.feature_names, vars(est).get("feature_names_in_")
        if names is not None and not reset and known is not None and list(known) != names:
            raise ValueError(
                f"The data have the columns {names}, but {list(known)} when it was fitted first."
            )
        self.head = self._first = self._checked(first, reset=reset)
        if names is not None and reset:
            est.feature_names_in_ = np.asarray(names, dtype=object)
        self.known_y = self.head.y
        if self._reader.n_rows is None or not est._has_numeric_targets or sets_aside:
            self._scan(sets_aside)
        else:
            self.n_rows = self._reader.n_rows

    def _blocks(self, parts: Sequence[int], *, held_out: bool, targets: bool = False) -> Blocks[Block]:
        """The blocks of these parts for training, or for validation."""
        read = self._reader.targets if targets else self._reader.blocks
        for part in parts:
            for number, block in enumerate(read(part), self._blocks_before[part]):
                every = self._every_block
                if every and held_out != (number % every == every - 1):
                    continue
                if np.size(block.y) or block.y is None:  # not a day without rows, for instance
                    yield block

    def _scan(self, sets_aside: bool) -> None:
        """Read the targets of all blocks."""
        self.n_rows = n_validation = 0
        labels: list[Array] = []
        kinds: tuple[str, str] | None = None  # of the first block
        for held_out, parts in ((False, self._training_parts), (True, self._validation_parts)):
            if held_out and not sets_aside:
                continue
            for block in self._blocks(parts, held_out=held_out, targets=True):
                y = np.asarray(block.y)
                if y.ndim == 0:
                    raise ValueError(f"In {block.name}: y must be an array, got {block.y!r}.")
                if held_out:
                    n_validation += len(y)
                else:
                    self.n_rows += len(y)
                if self._est._has_numeric_targets or (y.ndim == 2 and y.shape[1] > 1):
                    continue
                try:
                    found, places = np.unique(y, return_inverse=True)
                except TypeError as error:
                    raise TypeError(
                        f"In {block.name}: y holds missing values, or labels of several types ({error})."
                    ) from error
                kind = "texts" if isinstance(found.flat[0], str) else "numbers"
                kinds = kinds or (kind, block.name)
                if kind != kinds[0]:
                    raise ValueError(f"In {block.name}: y holds {kind}, but {kinds[0]} in {kinds[1]}.")
                if found.dtype.kind == "f" and np.isnan(found).any():
                    raise ValueError(f"In {block.name}: Input y contains NaN.")
                labels.append(found)
                if not held_out:
                    weight = block.sample_weight
                    if weight is not None:
                        weight = np.broadcast_to(np.asarray(weight, float), y.shape[:1])
                    sums = np.bincount(places.ravel(), weight)
                    for label, count in zip(found.tolist(), sums.tolist(), strict=True):
                        self._counts[label] = self._counts.get(label, 0.0) + count
        if sets_aside and n_validation < 2:
            raise ValueError(
                "The stream has too few blocks to set some aside for validation. Use smaller blocks, "
                "increase 'validation_fraction', or give X_val and y_val."
            )
        if labels:
            self.known_y = np.unique(np.concatenate(labels))

    def _checked(self, block: Block, *, reset: bool = False) -> Rows:
        first, est = self._first, self._est
        with _validation.naming(block.name), config_context(**self._config):
            X = block.X
            if isinstance(X, EncodedRows):
                raise TypeError(
                    "X is an encoded table, which a stream does not take. Give arrays of numbers."
                )
            names = _get_feature_names(X)
            if first is not None:
                if (names is None) != (self._names is None) or (
                    names is not None and not np.array_equal(names, self._names)
                ):
                    raise ValueError(f"X has the columns {names}, that of the first block {self._names}.")
                if sparse.issparse(X) != sparse.issparse(first.X):
                    raise ValueError("some blocks are sparse, and some are not.")
            is_known = first is not None or self._reader.feature_names is not None
            if names is None and not reset and is_known and "feature_names_in_" in vars(est):
                est = copy.copy(est)  # the names are those of the first block, or of the reader
                del est.feature_names_in_
            y = block.y
            if first is not None and np.shape(y)[1:] == (1,):  # of which the first block has warned
                y = np.asarray(y).ravel()
            X, y = est._check_data(X, y, reset=reset)
            weight = block.sample_weight
            if weight is not None:
                weight = _validation.check_weights_of_part(est, weight, X)
            rows = Rows(X, y, weight)
            if self._reader.may_refill:
                rows = Rows(X.copy(), y.copy(), None if weight is None else weight.copy())
            if first is None:
                return rows
            if X.dtype != first.X.dtype:
                raise ValueError(f"X has the dtype {X.dtype}, that of the first block {first.X.dtype}.")
            if np.shape(y)[1:] != np.shape(first.y)[1:]:
                raise ValueError(
                    f"y has the shape {np.shape(y)}, that of the first block {np.shape(first.y)}."
                )
            if (weight is None) != (first.sample_weight is None):
                raise ValueError("all blocks must have a sample_weight, or none.")
        return rows

    def with_class_weights(self, task: T) -> T:
        """The task, with class weights "balanced" over the whole stream."""
        if not isinstance(task, ClassificationTask) or task.class_weight != "balanced":
            return task
        if not self._counts:
            raise ValueError("class_weight='balanced' takes one label for each row of a stream.")
        counts = np.asarray([self._counts.get(label, 0.0) for label in task.classes.tolist()])
        some = counts > 0
        weights = np.zeros(len(counts))
        weights[some] = compute_class_weight(
            "balanced", classes=np.flatnonzero(some), y=np.flatnonzero(some), sample_weight=counts[some]
        )
        return replace(task, class_weight=weights)

    def data(self, task: Task, head: Data, dtype: np.dtype[Any]) -> BlockedData:
        """The training data, of which ``head`` is the first block."""

        def read(numbers: Sequence[int]) -> Blocks[Data]:
            parts = [self._training_parts[number] for number in numbers]
            for block in self._blocks(parts, held_out=False):
                data = self._encoded(block.name, self._checked(block), task, dtype)
                data = data._replace(y=task.for_training(data.y)[0])
                yield data

        return BlockedData(
            head, self.n_rows, len(self._training_parts), read, self.stream.buffer_size, self.stream.prefetch
        )

    def validation(
        self, task: Task, dtype: np.dtype[Any]
    ) -> tuple[Callable[[], Blocks[Data]], Array, Array, Array | None]:
        """What reads the validation blocks; their labels or numbers, targets and weights."""

        def read_both() -> Blocks[tuple[Rows, Data]]:
            for block in self._blocks(self._validation_parts, held_out=True):
                rows = self._checked(block)
                yield rows, self._encoded(block.name, rows, task, dtype)

        def read() -> Blocks[Data]:
            for _, data in read_both():
                yield data

        both = [(rows.y, data.y, data.weight) for rows, data in read_both()]
        y, targets, weights = zip(*both, strict=True)
        weight = None if weights[0] is None else np.concatenate(weights)
        return read, np.concatenate(y), np.concatenate(targets), weight

    @property
    def sizes(self) -> tuple[int, ...]:
        """What the order of rows depends on."""
        return self.n_rows, len(self._training_parts), self.stream.buffer_size

    @staticmethod
    def _encoded(name: str, rows: Rows, task: Task, dtype: np.dtype[Any]) -> Data:
        with _validation.naming(name):
            task.check(rows.y)
            return data_for(task, rows.X, rows.y, task.weigh(rows.y, rows.sample_weight), dtype)


class StreamSamples(Samples):
    """The samples of a stream: those that are in memory are its first block.

    Parameters
    ----------
    est, stream, reset, sets_aside
        As for `Source`.
    """

    are_all_here = False

    def __init__(self, est: Any, stream: Stream, *, reset: bool, sets_aside: bool) -> None:
        self._est, self._incremental = est, False
        self._source = Source(est, stream, reset=reset, sets_aside=sets_aside)
        self.X, self.y, self.sample_weight = self._source.head
        self.labels = self._source.known_y

    def weighed(self, task: Task) -> tuple[Task, Array | None]:
        task = self._source.with_class_weights(task)
        return task, task.weigh(self.y, self.sample_weight)

    def blocks(self, task: Task, data: Data, dtype: np.dtype[Any]) -> BlockedData:
        return self._source.data(task, data, dtype)

    def take_fingerprint(self, state: TrainingState, data: Data, held_out: Data | None, wanted: bool) -> None:
        if wanted:
            state.fingerprint = fingerprint(data, held_out, sizes=self._source.sizes)

    def _new_order(self, state: TrainingState, kept: Any, sets_aside: bool) -> RowOrder:
        n_rows, seed = self._source.n_rows, self._source.stream.random_state
        if type(kept) is RowOrder and kept.n_samples == n_rows and kept.validation is None:
            return kept
        return RowOrder(n_rows, state.random_state if seed is None else check_random_state(seed))

    def set_aside(
        self,
        network: Network,
        task: Task,
        data: Data,
        state: TrainingState,
        split: tuple[Array, Array] | None,
    ) -> BlockedValidation:
        read, y, targets, weight = self._source.validation(task, state.weights.dtype)
        check_mean_weight(weight, "sample_weight", " over the validation set")
        scoring = self._est.scoring
        score: Score | None
        if scoring is None:
            score = task.scorer(targets, weight)
        elif scoring == "loss":
            score = None
        elif isinstance(scoring, str):
            score = scorer_of(self._est, np.empty((len(y), 0)), y, weight)  # of outputs, whatever X is
        else:
            raise ValueError(
                "A callable as scoring takes X, which is not in memory. Give X_val and y_val, or the name of "
                "a scorer."
            )
        prefetch = self._source.stream.prefetch
        return BlockedValidation(network, read, targets, weight, task.loss, task.n_outputs, score, prefetch)

    def check_mean_weight(self, data: Data, state: TrainingState, *, weighs_classes: bool) -> None:
        """The weights of a stream are not known before they are read."""
