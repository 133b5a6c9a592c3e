"""Warnings with the line of the user's code."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from sklearn.exceptions import ConvergenceWarning

from gdfast.training.ranks import current

_LIBRARIES = ("gdfast", "sklearn")


class PoorFitWarning(ConvergenceWarning):
    """A fit has learned next to nothing, or has inputs on widely different scales and a large loss.

    :class:`MLPClassifier`, :class:`MLPRegressor`, :class:`RNNClassifier` and :class:`RNNRegressor` issue at
    most one in a fit that ends for lack of improvement or has converged. The message says what was measured,
    and the remedy.

    Examples
    --------
    To turn it off:

    >>> import warnings
    >>> import gdfast
    >>> warnings.filterwarnings("ignore", category=gdfast.PoorFitWarning)
    """


@dataclass
class Collected:
    """The warnings of a fit, for another thread to issue.

    Attributes
    ----------
    messages : list of (str, type)
        In the order in which they were issued, with their categories.
    interrupted : bool
        Whether one of them says that Ctrl-C has ended the fit.
    """

    messages: list[tuple[str, type[Warning]]] = field(default_factory=list)
    interrupted: bool = False


_collected: ContextVar[Collected | None] = ContextVar("collected", default=None)


@contextmanager
def collected(into: Collected) -> Iterator[None]:
    """A context in which warnings are not issued, but collected: a thread's stack has no user's code."""
    before = _collected.set(into)
    try:
        yield
    finally:
        _collected.reset(before)


def warn_of_interruption(message: str) -> None:
    """Warn that Ctrl-C has ended a fit."""
    if (instead := _collected.get()) is not None:
        instead.interrupted = True
    warn(message)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line of the call stack outside gdfast and scikit-learn.

    The number of frames in between depends on scikit-learn's version and on the solver, so it is counted.
    Of ranks that train together the first one warns.
    """
    if (ranks := current()) is not None and ranks.rank > 0:
        return
    if (instead := _collected.get()) is not None:
        instead.messages.append((message, category))
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
