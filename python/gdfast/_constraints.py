"""What scikit-learn's checks of arguments are used through: types for its decorators, options in order."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context
from sklearn.utils import _param_validation, metaestimators

_Method = TypeVar("_Method", bound=Callable[..., Any])


def checks_arguments(method: _Method) -> _Method:
    """Decorator of a ``fit``, which checks the estimator's arguments before it."""
    decorated: _Method = _fit_context(prefer_skip_nested_validation=True)(method)
    return decorated


def available_if(check: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """Decorator of a method that an object has only if ``check`` is true of it."""
    decorator: Callable[[_Method], _Method] = metaestimators.available_if(check)
    return decorator


class StrOptions(_param_validation.StrOptions):
    """Strings that an argument may be; an error lists them in order, and not in that of their hashes."""

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, sorted(self.options)))}}}"
