"""Rounds of local SGD as Dask's tasks, behind the interface of the core's trainer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import Any, Unpack
from uuid import uuid4

import numpy as np

from gdfast.dask._local import Model, Settings, _random_state, average, train_locally
from gdfast.training.arrays import Array
from gdfast.training.losses import Loss
from gdfast.training.network import MLP
from gdfast.training.options import StepOptions
from gdfast.training.order import RowOrder
from gdfast.training.trainer import CoreEpochOptions, CoreTrainer
from gdfast.training.weights import Weights

# Models that a task averages at most.
FAN_IN = 8


class RoundOrder(RowOrder):
    """The seeds of the orders of rows, in place of the orders, which the workers draw from them.

    A round's "rows" are the seed of its pass over the data, and the number of its part of that.

    Parameters
    ----------
    n_samples : int
    random_state : RandomState
    local_epochs : float
    """

    def __init__(self, n_samples: int, random_state: np.random.RandomState, local_epochs: float) -> None:
        super().__init__(n_samples, random_state)
        self.local_epochs = local_epochs
        self.parts = parts_of(local_epochs)

    def of_next_epoch(self, shuffle: bool) -> Array | None:
        part = 0 if self._rows is None else (int(self._rows[1]) + 1) % self.parts
        if self._rows is None or part == 0:
            seed = int(self._random_state.randint(2**31))
        else:
            seed = int(self._rows[0])
        self._rows = np.array([seed, part])
        return self._rows

    def __len__(self) -> int:
        """The number of rows that a round passes over, a row of several passes counted for each."""
        return max(1, round(self.n_samples * self.local_epochs))


def parts_of(local_epochs: float) -> int:
    """The number of rounds in a pass over the data."""
    return max(1, round(1 / local_epochs))


@dataclass
class Cluster:
    """The data on a cluster.

    Attributes
    ----------
    client : distributed.Client
    data : list of distributed.Future
        A `Data` for each partition with rows, on the workers.
    numbers : list of int
        The numbers of those partitions.
    n_rows : list of int
        Their numbers of rows.
    n_groups : int or None
        Number of local models; None is one for each partition.
    local_epochs : float
    n_jobs : int or None
    shuffle : bool
    """

    client: Any
    data: list[Any]
    numbers: list[int]
    n_rows: list[int]
    n_groups: int | None
    local_epochs: float
    n_jobs: int | None
    shuffle: bool
    _rounds: Iterator[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        name = uuid4().hex[:12]
        self._rounds = (f"{name}-{i}" for i in count())

    def groups(self) -> list[Array]:
        """The partitions of each local model: neighbours, in groups of the same number if it can be.

        They depend on the number of groups alone, neither on the workers nor on where the partitions lie.
        """
        n_groups = min(self.n_groups or len(self.data), len(self.data))
        return np.array_split(np.arange(len(self.data)), n_groups)

    def run_round(self, model: Model, settings: Settings, rates: Any, rows: Array, seed: int) -> Model:
        """The average of the local models after a round from ``model``.

        A local model goes from partition to partition, so that no partition has to go anywhere. All tasks of
        the round hang on the model that the client holds: a worker that is lost costs this round's work.
        """
        import dask

        round_name = next(self._rounds)

        def task(function: Any, *arguments: Any, name: str) -> Any:
            return dask.delayed(function, pure=False)(*arguments, dask_key_name=f"{name}-{round_name}")

        start = dask.delayed(model, name=f"gdfast-model-{round_name}", traverse=False)
        constant = dask.delayed(settings, name=f"gdfast-settings-{round_name}", traverse=False)
        (pass_seed, part), parts = (int(number) for number in rows), parts_of(self.local_epochs)
        models = []
        for g, group in enumerate(self.groups()):
            local = start
            visits = list(self._visits(group, pass_seed, g))
            batches = [-(-self._n_rows_of(i, part, parts) // settings.batch_size) for i, _ in visits]
            ends = list(accumulate(batches))
            step_seed = int(_random_state(seed, pass_seed, part, g).randint(2**31))
            for v, (i, visit_seed) in enumerate(visits):
                if batches[v] == 0:
                    continue
                local = task(
                    train_locally,
                    local,
                    constant,
                    self.data[i],
                    rates_of(rates, ends[v] - batches[v], ends[v], ends[-1]),
                    visit_seed,
                    step_seed,
                    self.numbers[i],
                    part,
                    parts,
                    name=f"gdfast-local-steps-{g}-{v}",
                )
            models.append(local)
        level = 0
        while len(models) > 1:
            models = [
                task(average, models[i : i + FAN_IN], name=f"gdfast-average-{level}-{i // FAN_IN}")
                for i in range(0, len(models), FAN_IN)
            ]
            level += 1
        # Weights of some megabytes are no graph that is too large: Dask is to keep them, for repetition.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            future = self.client.compute(models[0], optimize_graph=False)
        result: Model = future.result()
        return result

    def _n_rows_of(self, i: int, part: int, parts: int) -> int:
        n_rows = self.n_rows[i]
        return (part + 1) * n_rows // parts - part * n_rows // parts

    def _visits(self, group: Array, seed: int, number: int) -> Iterator[tuple[int, int]]:
        """The partitions that a local model visits in a round, with the seed of the pass."""
        for i in range(max(1, round(self.local_epochs))):
            order = group.copy()
            random_state = _random_state(seed, number, i)
            if self.shuffle:
                random_state.shuffle(order)
            pass_seed = int(random_state.randint(2**31))
            for partition in order:
                yield int(partition), pass_seed


def rates_of(rates: Any, first: int, last: int, n_steps: int) -> Any:
    """The learning rates of the steps ``first`` to ``last`` of a local model's ``n_steps`` in a round.

    ``rates`` is one for all steps, or one for each step of a round in one place: a local model, which takes
    fewer of them, has the same rate at the same fraction of the round.
    """
    if np.ndim(rates) == 0:
        return float(rates)
    return np.asarray(rates)[np.arange(first, last) * len(rates) // n_steps]


class RoundsTrainer:
    """A trainer with the interface `Trainer`, for which an epoch is a round on a cluster.

    Parameters
    ----------
    cluster : Cluster
    network : MLP
        The network that the workers train.
    weights : Weights
        The arrays that are trained, in place.
    loss, step, batch_size, rule, rule_params, seed
        As for `Network.trainer`.
    """

    def __init__(
        self,
        cluster: Cluster,
        network: MLP,
        weights: Weights,
        loss: Loss,
        step: StepOptions,
        *,
        batch_size: int,
        rule: str,
        rule_params: dict[str, Any],
        seed: int = 0,
    ) -> None:
        self._cluster = cluster
        self._weights = weights
        self._settings = {
            "network": network,
            "loss": loss,
            "step": step,
            "batch_size": batch_size,
            "rule": rule,
            "rule_params": rule_params,
        }
        self._seed = seed
        arguments = {"batch_size": batch_size, "rule": rule, "rule_params": rule_params, "seed": seed}
        self._state = network.trainer(weights.copy(), loss, step, **arguments).state_dict()
        self.records: dict[str, list[float]] = {}
        self.not_finite: tuple[str, int] | None = None

    @property
    def step(self) -> int:
        return int(self._state["step"])

    @property
    def state_is_finite(self) -> bool:
        return self.not_finite is None

    def load(self) -> None:
        """A round reads the arrays anew."""

    def state_dict(self) -> Any:
        slots = self._state["slots"].items()
        return {**self._state, "slots": {name: [array.copy() for array in arrays] for name, arrays in slots}}

    def load_state_dict(self, state: Any) -> None:
        self._state = state

    def run_epoch(
        self,
        X: Any,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        **options: Unpack[CoreEpochOptions],
    ) -> tuple[float, bool]:
        assert order is not None
        given = {name: options.get(name) for name in ("dropout", "weight_decay")}
        settings = Settings(
            **self._settings,  # type: ignore[arg-type]
            n_jobs=self._cluster.n_jobs,
            shuffle=self._cluster.shuffle,
            backprop_depth=options["backprop_depth"],
            of_epoch={name: value for name, value in given.items() if value is not None},
        )
        start = Model(self._weights.lists, self._state)
        done = self._cluster.run_round(start, settings, options["learning_rate"], order, self._seed)
        self.not_finite = done.not_finite
        self.records = {name: values.tolist() for name, values in (done.records or {}).items()}
        if done.diverged:
            self._state = {**self._state, "step": done.state["step"]}
            return done.loss, False
        self._weights.assign(Weights(done.weights))
        self._state = done.state
        return done.loss, True


@dataclass(frozen=True)
class ClusterMLP(MLP):
    """A network whose trainer is that of a cluster; its outputs are computed here."""

    cluster: Any = field(default=None, compare=False, repr=False)

    def trainer(self, weights: Weights, loss: Loss, step: StepOptions, **arguments: Any) -> CoreTrainer:
        local = {name: value for name, value in vars(self).items() if name != "cluster"}
        return RoundsTrainer(self.cluster, MLP(**local), weights, loss, step, **arguments)
