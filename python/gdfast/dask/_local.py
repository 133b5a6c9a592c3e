"""Local SGD: what a worker does with one partition, and the average of local models.

These functions are pure: they change none of their arguments, and what they return depends on nothing else.
So Dask may compute them again, anywhere, and gets the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdfast.estimators._validation import n_threads
from gdfast.training.arrays import Array
from gdfast.training.data import Data
from gdfast.training.losses import Loss
from gdfast.training.network import MLP
from gdfast.training.options import StepOptions
from gdfast.training.order import RowOrder
from gdfast.training.weights import Weights


@dataclass(frozen=True)
class Settings:
    """What is the same for all local steps of a round.

    Attributes
    ----------
    network : MLP
        Its number of threads counts for nothing: see ``n_jobs``.
    loss, step, batch_size, rule, rule_params
        As for `Network.trainer`.
    n_jobs : int or None
        Threads of a task, -1 for all of the worker's machine. None is one, for Dask runs several tasks at a
        time.
    shuffle : bool
    backprop_depth : int
    of_epoch : dict
        Dropout and weight decay, if they have a schedule.
    """

    network: MLP
    loss: Loss
    step: StepOptions
    batch_size: int
    rule: str
    rule_params: dict[str, Any]
    n_jobs: int | None
    shuffle: bool
    backprop_depth: int
    of_epoch: dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A local model, or the average of several.

    Attributes
    ----------
    weights : dict of str to list of ndarray
        The lists of `Weights`.
    state : dict
        The optimizer's: its step and its moments.
    weight : float
        The sum of the sample weights that it was trained on in this round: its weight in the average.
    n_rows : int
        The number of rows that it was trained on in this round.
    loss : float
        The mean loss of those rows.
    records : dict of str to ndarray
        The records of gradients, means over the steps.
    n_steps : int
        The number of steps in this round.
    not_finite : (str, int) or None
        Where a number was not finite, see `Trainer.not_finite`.
    diverged : bool
        Whether weights were not finite. These are earlier ones.
    """

    weights: dict[str, list[Array]]
    state: dict[str, Any]
    weight: float = 0.0
    n_rows: int = 0
    loss: float = 0.0
    records: dict[str, Array] | None = None
    n_steps: int = 0
    not_finite: tuple[str, int] | None = None
    diverged: bool = False


def rows_of(n_rows: int, seed: int, number: int, part: int, parts: int, shuffle: bool) -> Array | None:
    """The rows of a partition in the order in which a round takes them; None for 0, 1, 2...

    Parameters
    ----------
    n_rows : int
        Number of rows of the partition.
    seed : int
        Seed of the pass over the data.
    number : int
        Number of the partition.
    part, parts : int
        The round takes this one of so many parts of the order.
    shuffle : bool
    """
    rows = RowOrder(n_rows, _random_state(seed, number)).of_next_epoch(shuffle)
    if parts == 1:
        return rows
    rows = np.arange(n_rows, dtype=np.int64) if rows is None else rows
    return rows[part * n_rows // parts : (part + 1) * n_rows // parts]


def aligned(value: Any) -> Any:
    """An array, or a tuple of some, as the core takes it: those that came from elsewhere may lie anyhow."""
    if isinstance(value, tuple):
        return tuple(map(aligned, value))
    return None if value is None else np.require(value, requirements=["C", "A"])


def _random_state(*seeds: int) -> np.random.RandomState:
    return np.random.RandomState(np.random.SeedSequence(seeds).generate_state(4))


def train_locally(
    model: Model,
    settings: Settings,
    data: Data,
    learning_rate: Any,
    seed: int,
    step_seed: int,
    number: int,
    part: int,
    parts: int,
) -> Model:
    """A model after one pass over a partition, or over a part of it.

    Parameters
    ----------
    model : Model
    settings : Settings
    data : Data
    learning_rate : float or ndarray
        One for all steps, or one for each.
    seed : int
        Seed of the order of rows.
    step_seed : int
        Seed of the random numbers in steps.
    number, part, parts : int
        See `rows_of`.
    """
    rows = rows_of(len(data.y), seed, number, part, parts, settings.shuffle)
    n_rows = len(data.y) if rows is None else len(rows)
    _, weights_of_rows = data.targets_of(rows)
    weight = float(n_rows if weights_of_rows is None else weights_of_rows.sum(dtype=np.float64))
    if model.diverged or not weight:
        return model
    weights = Weights({name: [np.array(a) for a in arrays] for name, arrays in model.weights.items()})
    data = Data(*map(aligned, data))
    n_jobs = settings.n_jobs
    trainer = replace(settings.network, n_threads=1 if n_jobs is None else n_threads(n_jobs)).trainer(
        weights,
        settings.loss,
        settings.step,
        batch_size=min(settings.batch_size, n_rows),
        rule=settings.rule,
        rule_params=settings.rule_params,
        seed=step_seed,
    )
    slots = {name: [aligned(a) for a in arrays] for name, arrays in model.state["slots"].items()}
    trainer.load_state_dict({**model.state, "slots": slots})
    before = trainer.step
    loss, finite = trainer.run_epoch(
        data.X,
        data.y,
        rows,
        data.weight,
        learning_rate=learning_rate,
        backprop_depth=settings.backprop_depth,
        **settings.of_epoch,
    )
    n_steps = trainer.step - before
    if not n_steps:  # the weights of every batch cancel out
        return model
    sound = finite and np.isfinite(loss) and trainer.state_is_finite
    total = model.n_rows + n_rows
    records = {name: np.array(values) for name, values in (trainer.records or {}).items()}
    if model.n_steps:
        share = model.n_steps / (model.n_steps + n_steps)
        records = {n: share * (model.records or {})[n] + (1 - share) * a for n, a in records.items()}
    return Model(
        weights.lists,
        trainer.state_dict(),
        model.weight + weight,
        total,
        (model.loss * model.n_rows + loss * n_rows) / total,
        records,
        model.n_steps + n_steps,
        model.not_finite or (None if sound else trainer.not_finite or ("loss", 0)),
        not finite,
    )


def average(models: Sequence[Model]) -> Model:
    """The average of models, each by its weight: weights, moments and loss. One alone stays as it is.

    Its moments go on in all local models of the next round. Its step is the largest, so that no correction of
    the moments' start begins again.
    """
    models = [model for model in models if model.n_steps or model.diverged] or list(models[:1])
    first = models[0]
    if len(models) == 1:
        return first
    shares = _shares([model.weight for model in models])

    def mean(arrays: Sequence[Array]) -> Array:
        total = sum(share * array.astype(np.float64) for share, array in zip(shares, arrays, strict=True))
        return np.asarray(total).astype(arrays[0].dtype)

    def of_lists(lists: Sequence[dict[str, list[Array]]]) -> dict[str, list[Array]]:
        return {
            name: [mean(arrays) for arrays in zip(*(each[name] for each in lists), strict=True)]
            for name in lists[0]
        }

    by_rows = _shares([model.n_rows for model in models])
    by_steps = _shares([model.n_steps for model in models])
    return Model(
        of_lists([model.weights for model in models]),
        {
            **first.state,
            "step": max(model.state["step"] for model in models),
            "slots": of_lists([model.state["slots"] for model in models]),
        },
        sum(model.weight for model in models),
        sum(model.n_rows for model in models),
        float(sum(share * model.loss for share, model in zip(by_rows, models, strict=True))),
        {
            name: np.asarray(sum(s * (m.records or {})[name] for s, m in zip(by_steps, models, strict=True)))
            for name in first.records or {}
        },
        sum(model.n_steps for model in models),
        next((model.not_finite for model in models if model.not_finite), None),
        any(model.diverged for model in models),
    )


def _shares(parts: Sequence[float]) -> list[float]:
    total = sum(parts)
    return [part / total for part in parts] if total else [1 / len(parts)] * len(parts)
