"""What the ranks of `gdfast.distributed.mpi` agree on before they train together.

Each function is called by all ranks at the same place of a fit. What differs is found on all of them, so that
all raise the same error.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from gdfast import _core, optim
from gdfast._model_file import checkpoints
from gdfast.estimators import _solvers
from gdfast.estimators._samples import Samples
from gdfast.estimators._task import Task
from gdfast.estimators._validation import check_weights_of_part
from gdfast.optim._whole import WholeRule
from gdfast.training import ranks
from gdfast.training.arrays import Array
from gdfast.training.data import Data, is_sparse
from gdfast.training.encoding import EncodedRows
from gdfast.training.fingerprint import fingerprint
from gdfast.training.monitor import RanksValidation, Validation
from gdfast.training.options import TrainingOptions
from gdfast.training.order import RankOrder, RowOrder
from gdfast.training.parts import Parts
from gdfast.training.ranks import Ranks, digest
from gdfast.training.state import TrainingState
from gdfast.training.weights import Weights

# Arguments that each rank may have for itself: they change no step.
_OWN = frozenset({"callbacks", "n_jobs", "verbose"})


def current() -> Ranks | None:
    """The ranks that this fit is shared with, or None."""
    return ranks.current()


def of_fit() -> AbstractContextManager[None]:
    """The context of a fit, in which an error of one rank is raised on all."""
    now = current()
    return nullcontext() if now is None else now.fit()


def refuse(est: Any) -> None:
    """ValueError for an estimator that several ranks cannot train."""
    if current() is not None:
        raise ValueError(
            f"{type(est).__name__} cannot be fitted within gdfast.distributed.mpi(): it is for MLPClassifier "
            "and MLPRegressor."
        )


def begin(est: Any, now: Ranks, call: str, given: Mapping[str, bool], classes: Any) -> int:
    """Compare the calls and the estimators of all ranks; returns a seed that is the same on all.

    Parameters
    ----------
    est : estimator
    now : Ranks
    call : str
        The method that was called.
    given : dict of str to bool
        Which optional arguments it was called with.
    classes : array-like or None
        That of ``partial_fit``.
    """
    arguments = est.get_params(deep=False)
    own = {
        "estimator": type(est).__name__,
        "method": call,
        "gdfast's version": _core.__version__,
        "instruction set (GDFAST_ISA sets it)": _core.active_isa(),
        "sync_every": now.sync_every,
        **{f"presence of {name}": is_given for name, is_given in given.items()},
        "argument classes": _description(classes),
        "state of being fitted": hasattr(est, "coefs_"),
        **{f"argument {n}": _description(value) for n, value in arguments.items() if n not in _OWN},
    }
    seed = None
    if now.rank == 0 and est.random_state is None:
        seed = int(check_random_state(None).randint(2**31))
    found = now.gather("the begin of a fit", (own, seed))
    for name in own:
        _check_same(now, name, [described.get(name) for described, _ in found])
    _check_supported(est, now)
    return found[0][1] or 0


def _check_same(now: Ranks, what: str, found: Sequence[Any], number: Sequence[int] | None = None) -> None:
    """ValueError that names the first rank which differs from the first of these ranks, None: all."""
    of = range(len(found)) if number is None else number
    for rank, value in zip(of, found, strict=True):
        if value != found[0]:
            raise now.known(
                ValueError(
                    f"All ranks must train alike, but the {what} is {_shown(found[0])} on rank {of[0]} and "
                    f"{_shown(value)} on rank {rank}."
                )
            )


@dataclass(frozen=True)
class _Described:
    """An argument: something short to show, and a hash to compare."""

    text: str = field(compare=False)
    hash: bytes


def _shown(value: Any) -> str:
    return value.text if isinstance(value, _Described) else str(value)


def _description(value: Any) -> _Described:
    text = " ".join(repr(value).split())
    return _Described(text if len(text) < 100 else f"{text[:97]}...", digest(_plain(value)))


def _plain(value: Any, depth: int = 8) -> Any:
    """The value as plain values and arrays that are equal on ranks where the value is.

    Objects are their class and, to some ``depth``, their attributes; functions are their name.
    """
    if isinstance(value, np.random.RandomState):
        return list(value.get_state(legacy=True))
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return repr(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if (name := getattr(value, "__qualname__", None)) is not None:  # a function or a class
        return f"{value.__module__}.{name}"
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if not depth:
        return kind
    if isinstance(value, Mapping):
        return sorted(
            ([repr(key), _plain(item, depth - 1)] for key, item in value.items()), key=itemgetter(0)
        )
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item, depth - 1) for item in value]
    return [kind, _plain(getattr(value, "__dict__", {}), depth - 1)]


def _check_supported(est: Any, now: Ranks) -> None:
    """ValueError that names an option which several ranks cannot train with."""
    solver = est.solver
    alone = now.sync_every > 1
    whole = isinstance(solver, optim.Optimizer | str) and issubclass(_solvers._kind(solver), WholeRule)
    why = None
    if not _solvers.is_stochastic(solver):
        why = f"solver={solver!r}: it takes no steps over batches"
    elif _solvers.needs_factors(solver):
        why = f"solver={solver!r}: its factors are those of one rank's rows"
    elif getattr(est, "batch_norm", False) and not alone:
        why = "batch_norm=True: a batch's moments are those of one rank's rows (sync_every > 1 averages them)"
    elif est.learning_rate_init == "auto":
        why = "learning_rate_init='auto': find it on one rank"
    elif whole and alone:
        why = f"sync_every={now.sync_every} with solver={solver!r}: what it keeps has no average"
    elif est.record_gradients and alone:
        why = f"sync_every={now.sync_every} with record_gradients=True: each rank has gradients of its own"
    elif est.clip_norm == "auto" and alone:
        why = f"sync_every={now.sync_every} with clip_norm='auto': what it keeps has no average"
    if why is not None:
        raise ValueError(f"gdfast.distributed.mpi() does not support {why}.")
    size = 200 if est.batch_size == "auto" else int(est.batch_size)
    if size < now.size:
        raise ValueError(
            f"batch_size={est.batch_size!r} is the batch of all ranks together, and must be at least their "
            f"number, {now.size}."
        )


def find_checkpoint(est: Any, now: Ranks) -> checkpoints.Checkpoint | None:
    """What rank 0 finds at ``resume``, on all ranks."""
    own = checkpoints.find(est.resume, est) if now.rank == 0 else None
    found: checkpoints.Checkpoint | None = now.gather("a checkpoint", own)[0]
    if found is not None:
        found.check_arguments(est)
    return found


def may_be_empty(y: Any) -> bool:
    """Whether these are no targets, and other ranks may have some."""
    return current() is not None and np.shape(y)[:1] == (0,)


def _compared(est: Any, X: Any, y: Any, now: Ranks) -> tuple[Any, Any]:
    """Compare the samples of all ranks; those without rows take the dtypes and shapes of the others."""
    if isinstance(X, EncodedRows):
        raise ValueError("gdfast.distributed.mpi() does not support rows of a TableEncoder.")
    sparse_y = is_sparse(y)
    names = getattr(est, "feature_names_in_", None)
    own = {
        "rows": X.shape[0],
        "number of features": X.shape[1],
        "list of feature names": None if names is None else list(names),
        "dtype of X": X.dtype,
        "number of columns of y": y.shape[1] if y.ndim == 2 else None,
        "kind of y": "sparse"
        if sparse_y
        else {"U": "text", "S": "text", "O": "objects"}.get(y.dtype.kind, "numbers"),
        "dtype of y": y.dtype,
    }
    found = now.gather("the samples", own)
    _check_same(now, "number of features", [of_rank["number of features"] for of_rank in found])
    full = [(rank, of_rank) for rank, of_rank in enumerate(found) if of_rank["rows"]]
    if not full:
        raise now.known(ValueError("No rank has any rows."))
    like = full[0][1]
    for name in ("list of feature names", "dtype of X", "number of columns of y", "kind of y"):
        _check_same(now, name, [of_rank[name] for _, of_rank in full], [rank for rank, _ in full])
    if own["rows"]:
        return X, y
    columns = like["number of columns of y"]
    return X.astype(like["dtype of X"]), np.empty(
        (0,) if columns is None else (0, columns), like["dtype of y"]
    )


def _labels(y: Any, now: Ranks, *, numeric: bool) -> Any:
    """Targets from which each rank makes the same task: all classes of all ranks, or its own rows."""
    if not numeric and y.ndim == 1:
        return np.unique(np.concatenate(now.gather("the classes", np.unique(y))))
    now.gather("the targets")
    if y.shape[0]:
        return y
    return np.ones((1, *y.shape[1:]), y.dtype)


def _balanced(task: Task, y: Any, sample_weight: Array | None, now: Ranks) -> Task:
    """A task with class_weight="balanced" by the classes of all ranks."""
    if getattr(task, "class_weight", None) != "balanced":
        return task
    if hasattr(y, "toarray"):
        y = y.toarray()
    classes = [task.classes] if y.ndim == 1 else [np.array([0, 1])] * y.shape[1]  # type: ignore[attr-defined]
    counts = [
        [
            (
                np.sum(column == c),
                np.sum(column == c if sample_weight is None else sample_weight[column == c]),
            )
            for c in of_column
        ]
        for column, of_column in zip([y] if y.ndim == 1 else y.T, classes, strict=True)
    ]
    totals = [np.sum(of_all, axis=0) for of_all in zip(*now.gather("class weights", counts), strict=True)]
    weights = []
    for total in totals:
        there, weight = total[:, 0] > 0, total[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            each = weight.sum() / (there.sum() * weight)
        each = np.where(np.isfinite(each), each, 0.0)
        weights.append(each)
    if y.ndim == 1:
        return replace(task, class_weight=weights[0])  # type: ignore[call-arg]
    columns = [{c: float(each[c]) for c in (0, 1)} for each in weights]
    return replace(task, class_weight=columns)  # type: ignore[call-arg]


def is_first() -> bool:
    """Whether this rank speaks for all: it warns, prints and writes."""
    now = current()
    return now is None or now.rank == 0


def validation(now: Ranks, own: Validation | None, weight: Array | None, n_rows: int) -> RanksValidation:
    """The validation sets of all ranks as one; ValueError if they are too small."""
    share = float(n_rows if weight is None else weight.sum(dtype=np.float64))
    total = sum(now.gather("the validation rows", n_rows))
    if total < 2:
        raise now.known(
            ValueError(
                f"The validation set is too small: a score takes at least 2 samples, all ranks have {total}."
            )
        )
    return RanksValidation(now, own, share)


def end(state: TrainingState) -> None:
    """Check that all ranks have trained the same weights."""
    if (now := current()) is not None:
        now.check_same("The weights", now.gather("the end of training", digest(list(state.weights))))


class RankSamples(Samples):
    """The samples of one of several ranks that train together.

    Parameters
    ----------
    est, X, y, sample_weight, reset, incremental
        As for `Samples`.
    ranks : Ranks
    seed : int
        Seed of the random numbers if the estimator has none: the same on all ranks.
    """

    are_all_here = False
    _ranks: Ranks

    def __init__(
        self,
        est: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        reset: bool,
        incremental: bool,
        ranks: Ranks,
        seed: int,
    ) -> None:
        super().__init__(est, X, y, sample_weight, reset=reset, incremental=incremental)
        self._ranks, self._seed = ranks, seed
        self.X, self.y = _compared(est, self.X, self.y, ranks)
        self.labels = _labels(self.y, ranks, numeric=est._has_numeric_targets)

    def _checked_weight(self, weight: Any) -> Array:
        return check_weights_of_part(self._est, weight, self.X)

    def _any(self, what: str, fact: bool) -> bool:
        return any(self._ranks.gather(what, fact))

    def _balanced(self, task: Task) -> Task:
        return _balanced(task, self.y, self.sample_weight, self._ranks)

    def random_state(self, resumes: bool) -> np.random.RandomState:
        given = self._est.random_state
        found: np.random.RandomState = check_random_state(self._seed if given is None else given)
        return found

    def check_begin(self, weights: Weights) -> None:
        found = self._ranks.gather("the weights", digest(list(weights)))
        self._ranks.check_same("The initial weights", found, ValueError)

    def take_fingerprint(self, state: TrainingState, data: Data, held_out: Data | None, wanted: bool) -> None:
        state.n_ranks = self._ranks.size
        if self._any("checkpoints", wanted):
            own = fingerprint(data, held_out)
            state.fingerprint = digest(self._ranks.gather("a fingerprint", own)).hex()

    def begin_order(
        self, state: TrainingState, kept: Any, checkpoint: checkpoints.Checkpoint | None, sets_aside: bool
    ) -> RowOrder | None:
        if checkpoint is not None:
            checkpoint.restore(state)
        # Looked at, and not drawn: whatever else is drawn is what one rank draws that trains alone.
        seed = int(copy.deepcopy(state.random_state).randint(2**31))
        keeps = self._est.keep_optimizer_state
        if keeps and isinstance(kept, RankOrder):  # another order than that of the fit before
            seed = (seed + kept.seed + kept.epoch) % 2**31
        order = RankOrder(
            self.X.shape[0], seed if state.order_seed is None else state.order_seed, self._ranks.rank
        )
        order.epoch, state.order_seed = state.epoch, order.seed
        state.order = order
        return order if keeps else kept

    def batches(self, state: TrainingState, options: TrainingOptions) -> tuple[TrainingOptions, int]:
        assert state.order is not None
        n_rows = self._ranks.gather("the training rows", len(state.order))
        parts = Parts(tuple(n_rows), options.batch_size, self._ranks)
        if not parts.n_rows:
            raise self._ranks.known(ValueError("No rank has any rows to train on."))
        state.random_state.randint(2**31)  # the next fit has other orders of rows
        return replace(options, parts=parts), parts.n_rows
