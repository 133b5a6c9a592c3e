"""Constructors and texts that an estimator for Dask has from the one for data in memory."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from inspect import Parameter
from typing import Any, TypeVar

# The arguments that those for data in memory have not, with their defaults.
ARGUMENTS: dict[str, Any] = {"local_epochs": 1, "n_groups": None, "synchronous": False}

_ROUNDS = """local_epochs : float, default=1
    Number of passes over its partitions that a local model makes in a round, between two averages: E of
    McMahan et al. A whole number, or the reciprocal of one: with 0.25 a round takes a quarter of each
    partition, and four rounds are a pass over the data. More passes need less communication, and let the
    local models drift further apart.
n_groups : int, default=None
    Number of local models. The partitions are divided among them, neighbours together, and a local model goes
    from one of its partitions to the next, on whatever worker it lies. So results depend on the number of
    groups, but not on the number of workers. None is one for each partition. At most so many tasks run at a
    time; fewer groups learn more in a round, for each takes more steps.
synchronous : bool, default=False
    Whether the workers take every step together, by synchronous gradient descent over MPI, in place of rounds
    of local steps. The workers must be processes of one MPI job, as dask-mpi starts them. See Notes."""

_NOTES = """Rounds of local steps and an average of the weights are local SGD (Stich, 2019), or federated
averaging (McMahan et al., 2017). This is another algorithm than steps of stochastic gradient descent one
after the other, except with one group: to be near it, have few groups, and average often. A round is what an
epoch is in memory: ``max_iter``, ``n_iter_``, ``n_iter_no_change``, ``loss_curve_``, schedules and callbacks
count rounds.

Models are averaged by the weight of their samples, in a tree of Dask's tasks, and so are the moments of the
optimizer (Yu, Jin and Yang, 2019), which go on in the next round. The loss of a round is the mean over the
samples of all partitions, each with its local model before the step.

All tasks of a round hang on the partitions and on the weights that the client holds. If a worker is lost,
Dask computes again what it had, to the same bits. Partitions that cannot be computed again, such as those of
``client.scatter``, are lost with their worker.

``n_jobs`` is the number of threads of each task. None is one, for Dask runs as many tasks at a time as its
workers have threads.

With ``synchronous=True`` each worker trains on neighbouring partitions, and all take each step together as
the ranks of :func:`gdfast.distributed.mpi` do: ``batch_size`` is the batch of all workers together, an epoch
is one pass over the data, and the result is that of one process, up to the order in which numbers are added.
Workers get about as many rows each, of which as few as possible travel; so results depend on the number of
workers, but not on where the partitions lie. ``n_jobs=None`` is each worker's share of the cores of its
machine. What is supported is what ``mpi`` supports, but no ``resume``, and no callbacks, which would run on
the workers. One such fit runs at a time on a cluster. A worker that dies ends the MPI job.

Not supported in rounds: solvers without steps over batches and those that see whole gradients ("muon",
"soap", "kfac", "prodigy", "schedulefree"), ``learning_rate_init="auto"``, ``clip_norm="auto"``,
``early_stopping`` without ``X_val``, ``resume`` and :class:`gdfast.callbacks.ModelCheckpoint`, callbacks with
``on_gradient``. There is no warning of a poor fit."""

_REFERENCES = """B. McMahan et al., "Communication-efficient learning of deep networks from decentralized
data", AISTATS 2017.

S. U. Stich, "Local SGD converges fast and communicates little", ICLR 2019.

H. Yu, R. Jin and S. Yang, "On the linear speedup analysis of communication efficient momentum SGD for
distributed non-convex optimization", ICML 2019."""

_Kind = TypeVar("_Kind", bound=type)


def like(local: type) -> Callable[[_Kind], _Kind]:
    """Decorator of a class: a constructor with the arguments of ``local`` and those of rounds.

    In the docstring ``{parameters}`` and ``{attributes}`` become those sections of ``local``, and
    ``{rounds}``, ``{notes}`` and ``{references}`` the texts above.
    """

    signature = inspect.signature(local)
    own = [Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in ARGUMENTS.items()]
    signature = signature.replace(parameters=[*signature.parameters.values(), *own])
    texts = {"rounds": _ROUNDS, "notes": _NOTES, "references": _REFERENCES}
    for title in ("Parameters", "Attributes"):
        texts[title.lower()] = _section(inspect.getdoc(local) or "", title)

    def complete(kind: _Kind) -> _Kind:
        def store(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{kind.__name__}.__init__() {error}") from None
            bound.apply_defaults()
            self._store(bound.arguments)

        me = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
        store.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[me, *signature.parameters.values()]
        )
        store.__name__, store.__qualname__ = "__init__", f"{kind.__qualname__}.__init__"
        store.__module__ = kind.__module__
        kind.__init__ = store  # type: ignore[misc]
        text = inspect.cleandoc(kind.__doc__ or "")
        kind.__doc__ = re.sub(r"^\{(\w+)\}$", lambda found: texts[found[1]], text, flags=re.MULTILINE)
        return kind

    return complete


def _section(text: str, title: str) -> str:
    """A section of a docstring without its heading."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].rstrip() if found else ""
