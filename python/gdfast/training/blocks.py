"""Training data of which a part at a time is in memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gdfast._waiting import get, join
from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.losses import Loss, mean_loss
from gdfast.training.network import Network
from gdfast.training.order import RowOrder
from gdfast.training.state import TrainingState
from gdfast.training.trainer import Trainer

T = TypeVar("T")
Blocks = Generator[T, None, None]


@dataclass
class BlockedData:
    """Blocks of rows that are read again in every epoch.

    Attributes
    ----------
    head : Data
        The first block.
    n_rows : int
        The number of training rows.
    n_parts : int
        The number of parts that can be read in any order.
    read : callable
        Maps the numbers of parts to a generator of their blocks for training.
    buffer_size : int
        The number of rows that are shuffled with each other, at least.
    prefetch : int
        The number of blocks that a thread reads ahead; 0 reads without a thread.
    """

    head: Data
    n_rows: int
    n_parts: int
    read: Callable[[Sequence[int]], Blocks[Data]]
    buffer_size: int
    prefetch: int
    _records: Any = field(default=None, init=False)

    @property
    def X(self) -> Any:
        """The inputs of the first block."""
        return self.head.X

    def in_steps(self) -> BlockedData:
        return self

    def run_epoch(
        self,
        trainer: Trainer,
        order: RowOrder,
        batch_size: int,
        *,
        shuffle: bool,
        learning_rate: Any,
        **arguments: Any,
    ) -> tuple[float, bool]:
        """As `Data.run_epoch`, with steps on whole batches of each buffer; what is left goes to the next.

        ValueError if there are not ``n_rows`` rows. That, and an error of ``read``, is raised after the steps
        on the rows before.
        """
        means, finite = _Means(), True
        trained = steps = n_kept = 0
        kept: list[Data] = []
        blocks = read_ahead(self.read(order.of_parts(self.n_parts, shuffle)), self.prefetch)
        with closing(blocks):
            for block in blocks:
                kept.append(block)
                n_kept += len(block.y)
                if trained + n_kept > self.n_rows:
                    raise ValueError(
                        f"The stream has more rows than the {self.n_rows} that it had when training began."
                    )
                is_last = trained + n_kept == self.n_rows
                if n_kept < self.buffer_size and not is_last:
                    continue
                n_trained = n_kept if is_last else n_kept - n_kept % batch_size
                if n_trained == 0:
                    continue
                data, kept = joined(kept), []
                rows, rest = _split(order.of_buffer(n_kept, shuffle), n_kept, n_trained)
                n_steps = -(-n_trained // batch_size)
                rates = learning_rate
                if isinstance(rates, np.ndarray):
                    rates = rates[steps : steps + n_steps]
                before = trainer.step
                loss, finite = trainer.run_epoch(
                    data.X, data.y, rows, data.weight, learning_rate=rates, **arguments
                )
                means.add(loss, trainer.records, n_trained, trainer.step - before, n_steps)
                trained, steps = trained + n_trained, steps + n_steps
                if rest is not None:
                    kept.append(data.take(rest))
                n_kept -= n_trained
                del data, block  # before the next buffer is filled
                if not finite:
                    break
        if finite and trained < self.n_rows:
            raise ValueError(
                f"The stream ended after {trained + n_kept} rows, but had {self.n_rows} when training began."
            )
        self._records = means.records
        return means.loss, finite

    def records_of(self, trainer: Trainer) -> Any:
        """The means of the latest epoch's records."""
        return self._records


class BlockedValidation:
    """A validation set that is read block by block, with the interface of `monitor.Validation`.

    Parameters
    ----------
    network : Network
    read : callable
        Returns a generator of the blocks of the set.
    y, weight : ndarray, and ndarray or None
        The targets and weights of all blocks.
    loss : str or tuple
    n_outputs : int
    score : callable or None
    prefetch : int
    """

    def __init__(
        self,
        network: Network,
        read: Callable[[], Blocks[Data]],
        y: Array,
        weight: Array | None,
        loss: Loss,
        n_outputs: int,
        score: Callable[[Array], float] | None,
        prefetch: int,
    ) -> None:
        self._network, self._read, self._prefetch = network, read, prefetch
        self._y, self._weight = y, weight
        self.is_weighted = weight is not None
        self._loss, self._score = loss, score
        self._n_outputs = n_outputs

    def measure(self, state: TrainingState) -> tuple[float, float]:
        """Loss and score of the state's weights."""
        outputs = np.empty((len(self._y), self._n_outputs), state.weights.dtype)
        first = 0
        blocks = read_ahead(self._read(), self._prefetch)
        with closing(blocks):
            for block in blocks:
                end = first + len(block.y)
                if end > len(outputs):
                    break
                self._network.forward(state.weights, block.X, None, outputs[first:end])
                first = end
        if first != len(outputs):
            raise ValueError(
                f"The stream's validation blocks do not have the {len(outputs)} rows that they had when "
                "training began."
            )
        loss = mean_loss(self._loss, self._y, outputs, self._weight)
        return loss, -loss if self._score is None else self._score(outputs)


def read_ahead(items: Blocks[T], n_ahead: int) -> Blocks[T]:
    """The items, of which a thread reads up to ``n_ahead`` while others are in use.

    The thread ends when the result is closed. An error of ``items`` is raised in its place.
    """
    if n_ahead == 0:
        yield from items
        return
    found: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()
    room, ended = threading.Semaphore(n_ahead), threading.Event()

    def read() -> None:
        error: BaseException | None = None
        try:
            while room.acquire() and not ended.is_set():
                found.put((next(items), None))
        except StopIteration:
            pass
        except BaseException as failure:
            error = failure
        items.close()
        found.put((None, error if error is not None else StopIteration()))

    thread = threading.Thread(target=read, name="gdfast-stream", daemon=True)
    try:
        thread.start()
        while True:
            item, error = get(found)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            room.release()
            yield item  # type: ignore[misc]
    finally:
        ended.set()
        room.release()
        join(thread)


def joined(blocks: Sequence[Data]) -> Data:
    """Blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    inputs = [block.X for block in blocks]
    if isinstance(inputs[0], tuple):  # CSR
        values, columns, starts = zip(*inputs, strict=True)
        ends = np.cumsum([part[-1] for part in starts])
        index = np.int32 if ends[-1] <= np.iinfo(np.int32).max else np.int64
        moved = [part[1:] + before for part, before in zip(starts, [0, *ends[:-1]], strict=True)]
        X: Any = (
            np.concatenate(values),
            np.concatenate(columns).astype(index, copy=False),
            np.concatenate([starts[0][:1], *moved]).astype(index, copy=False),
        )
    else:
        X = np.concatenate(inputs)
    weights = [block.weight for block in blocks]
    return Data(
        X,
        np.concatenate([block.y for block in blocks]),
        None if weights[0] is None else np.concatenate(weights),  # type: ignore[arg-type]
    )


def _split(rows: Array | None, n_rows: int, n_first: int) -> tuple[Array | None, Array | None]:
    """The first rows of an order (None: 0, 1, 2...), and the others; None for all of them and for none."""
    if n_first == n_rows:
        return rows, None
    every = np.arange(n_rows, dtype=np.int64) if rows is None else rows
    return every[:n_first], every[n_first:]


class _Means:
    """Means over several calls of the core: of losses over rows, of records over steps."""

    def __init__(self) -> None:
        self._losses: list[tuple[float, float]] = []
        self._records: list[tuple[dict[str, list[float]], float]] = []

    def add(self, loss: float, records: Any, n_rows: int, n_steps: int, n_batches: int) -> None:
        """Add the means of a call, of whose batches those without weight gave no step."""
        if n_steps > 0:
            self._losses.append((loss, n_rows * n_steps / n_batches))
            if records is not None:
                self._records.append((records, n_steps))

    @property
    def loss(self) -> float:
        """NaN without any step, and exactly that of a single call."""
        if len(self._losses) < 2:
            return self._losses[0][0] if self._losses else np.nan
        values, counts = zip(*self._losses, strict=True)
        return float(np.average(values, weights=counts))

    @property
    def records(self) -> Any:
        if len(self._records) < 2:
            return self._records[0][0] if self._records else None
        counts = [count for _, count in self._records]
        return {
            name: np.average([records[name] for records, _ in self._records], axis=0, weights=counts).tolist()
            for name in self._records[0][0]
        }
