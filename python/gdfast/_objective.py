"""The function, gradient and callback passed to `minimize`, checked and counted."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

Vector: TypeAlias = NDArray[np.float64]


def as_array(value: Any, complaint: str) -> Vector:
    """A new array of float64; TypeError with the message ``complaint`` if the values are not numbers."""
    try:
        # NumPy would convert these to numbers.
        if value is None or isinstance(value, str | bytes) or np.asarray(value).dtype.kind in "mMc":
            raise TypeError
        return np.array(value, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{complaint}, got {value!r}") from None


class Function:
    """The user's function and gradient, with counts of their calls.

    Each call gets a new array, which the user may keep or change; returned arrays are copied.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        args: tuple[Any, ...],
        jac: Callable[..., Any] | bool | None,
        step: float | None,
        project: Callable[[Vector], Vector] | None,
    ) -> None:
        if not callable(fun):
            raise TypeError(f"fun must be callable, got {fun!r}")
        if jac is not None and not isinstance(jac, bool) and not callable(jac):
            raise TypeError(f"jac must be callable, True or None, got {jac!r}")
        self.fun, self.args, self.jac, self.step, self.project = fun, args, jac, step, project
        self.together = jac is True
        self.estimated = not callable(jac) and not self.together
        self.nfev = self.njev = 0

    def value(self, x: Vector) -> float:
        self.nfev += 1
        result = self.fun(x.copy(), *self.args)
        return _number(_pair(result)[0] if self.together else result)

    def value_and_gradient(self, x: Vector, value_too: bool) -> tuple[float | None, Vector]:
        """The value, or None unless it is requested or returned with the gradient, and the gradient."""
        self.njev += 1
        if self.together:
            self.nfev += 1
            value, gradient = _pair(self.fun(x.copy(), *self.args))
            return _number(value), _gradient(gradient, x)
        gradient = self.jac(x.copy(), *self.args) if callable(self.jac) else self._differences(x)
        gradient = _gradient(gradient, x)  # copied before fun is called, which may write to the same memory
        return self.value(x) if value_too else None, gradient

    def _differences(self, x: Vector) -> Vector:
        gradient = np.empty_like(x)
        for i, h in enumerate(self.step * np.maximum(1, np.abs(x))):
            above, below = x.copy(), x.copy()
            above[i] += h
            below[i] -= h
            if self.project is not None:
                above, below = self.project(above), self.project(below)
            width = above[i] - below[i]
            gradient[i] = (self.value(above) - self.value(below)) / width if width else 0.0
        return gradient


class Reporter:
    """The user's callback, called as in scipy; returns whether to stop."""

    def __init__(self, callback: Callable[..., Any] | None) -> None:
        self.callback = callback
        self.wants_value = False
        if callback is not None:
            if not callable(callback):
                raise TypeError(f"callback must be callable, got {callback!r}")
            self.wants_value = set(inspect.signature(callback).parameters) == {"intermediate_result"}

    def __call__(self, x: Vector, value: float | None) -> bool:
        if self.callback is None:
            return False
        try:
            if self.wants_value:
                self.callback(intermediate_result=OptimizeResult(x=x.copy(), fun=value))
            else:
                self.callback(x.copy())
        except StopIteration:
            return True
        return False


def _pair(result: Any) -> tuple[Any, Any]:
    try:
        value, gradient = result
    except (TypeError, ValueError):
        raise TypeError(
            f"with jac=True fun must return a pair, the value and the gradient, got {result!r}"
        ) from None
    return value, gradient


def _number(value: Any) -> float:
    number = as_array(value, "fun must return a number")
    if number.size != 1:
        raise ValueError(f"fun must return a number, got an array of shape {number.shape}")
    return float(number.item())


def _gradient(gradient: Any, x: Vector) -> Vector:
    complaint = f"jac must return an array of shape {x.shape}"
    array = as_array(gradient, complaint)
    if array.size != x.size:
        raise ValueError(f"{complaint}, got {array.shape}")
    return array.reshape(x.shape)
