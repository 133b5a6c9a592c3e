"""Support of scikit-learn's callbacks, which exist in versions 1.9 and later."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils import _safe_indexing

from gdfast.estimators._shared_rows import SharedRows
from gdfast.training.arrays import Array

__all__ = ["CallbackSupportMixin", "FitTask", "forget_fit"]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support yet."""


class FitTask:
    """A fit as a task for scikit-learn's callbacks, with a subtask for every epoch.

    Parameters
    ----------
    est : Any
    X, y, sample_weight
        The arguments of ``fit``, unchanged; without an X the callbacks get no data.
    rows : ndarray or None
        The training rows, None for all.
    """

    def __init__(
        self, est: Any, X: Any = None, y: Any = None, sample_weight: Any = None, rows: Array | None = None
    ) -> None:
        self._est = est
        self._root: Any = None
        self._epoch: Any = None
        if rows is not None and hasattr(est, "_skl_callbacks"):
            rows = rows.copy()  # the order is shuffled in place
        self._data: dict[str, Any] = {}
        if X is not None:
            self._data = {"X": _lazily(X, rows), "y": _lazily(y, rows)}
        if sample_weight is not None:
            weight = _lazily(sample_weight, rows)
            self._data["metadata"] = lambda: {"sample_weight": weight()}

    def begins(self) -> None:
        if hasattr(self._est, "_init_callback_context"):
            self._root = self._est._init_callback_context(max_subtasks=int(self._est.max_iter))
            self._root.call_on_fit_task_begin(estimator=self._est, **self._data)

    @property
    def is_watched(self) -> bool:
        return self._root is not None and hasattr(self._est, "_skl_callbacks")

    def epoch_begins(self) -> None:
        if self._root is not None and self.is_watched:
            self._epoch = self._root.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._est, **self._data)

    def epoch_ends(self) -> bool:
        """Call the callbacks; returns whether one of them stops training."""
        if self._epoch is None:
            return False
        stops = self._epoch.call_on_fit_task_end(
            estimator=self._est, reconstruction_attributes=self._copied_lists, **self._data
        )
        self._epoch = None
        return bool(stops)

    def ends(self) -> None:
        if self._epoch is not None:  # an iteration of lbfgs that found no step
            self._epoch.call_on_fit_task_end(estimator=self._est)
        if self._root is not None:
            self._root.call_on_fit_task_end(
                estimator=self._est, reconstruction_attributes=self._copied_lists, **self._data
            )

    def _copied_lists(self) -> dict[str, Any]:
        """Copies of the attributes that training changes, so that a callback may keep the estimator."""
        return {
            name: [item.copy() if hasattr(item, "copy") else item for item in value]
            for name, value in vars(self._est).items()
            if name.endswith("_") and isinstance(value, list)
        }


def forget_fit(est: Any) -> None:
    """Delete what scikit-learn keeps of a fit that was not begun by its ``fit``, which would delete it."""
    for name in ("_callback_fit_ctx", "_skl_callbacks_to_teardown"):
        vars(est).pop(name, None)


def _lazily(data: Any, rows: Array | None) -> Callable[[], Any]:
    """The rows of ``data``, selected only if a callback asks for them."""
    if isinstance(data, SharedRows):
        return lambda: data.as_given(rows)
    return lambda: data if rows is None else _safe_indexing(data, rows)
