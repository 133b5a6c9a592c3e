"""What scikit-learn's checks of arguments are used through: types for its decorators, options in order."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sklearn import get_config
from sklearn.base import _fit_context
from sklearn.utils import _param_validation, metaestimators

_Method = TypeVar("_Method", bound=Callable[..., Any])


def checks_arguments(method: _Method) -> _Method:
    """Decorator of a ``fit`` or ``partial_fit``, which checks the estimator's arguments before it."""
    decorated: _Method = _fit_context(prefer_skip_nested_validation=True)(method)
    if method.__name__ != "partial_fit":
        return decorated

    @wraps(method)
    def partial_fit(est: Any, *arguments: Any, **named: Any) -> Any:
        if not get_config()["skip_parameter_validation"]:
            _check_changed(est)
        return decorated(est, *arguments, **named)

    return partial_fit  # type: ignore[return-value]


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    return tuple(kind._get_param_names())


# The objects that were an estimator's arguments when `partial_fit` checked them last.
_checked: WeakKeyDictionary[Any, tuple[int, ...]] = WeakKeyDictionary()


def _check_changed(est: Any) -> None:
    """Check the arguments unless they are those of the last check.

    scikit-learn checks none for a ``partial_fit`` of a fitted estimator. They may have been set since, and a
    check takes as long as training on some rows.
    """
    attributes = vars(est)
    given = tuple([id(attributes.get(name)) for name in _names_of(est.__class__)])
    is_hashable = type(est).__hash__ is not None  # a user's class with __eq__ alone is not
    if not is_hashable or _checked.get(est) != given:
        est._validate_params()
        if is_hashable:
            _checked[est] = given


def available_if(check: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """Decorator of a method that an object has only if ``check`` is true of it."""
    decorator: Callable[[_Method], _Method] = metaestimators.available_if(check)
    return decorator


class StrOptions(_param_validation.StrOptions):
    """Strings that an argument may be; an error lists them in order, and not in that of their hashes."""

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, sorted(self.options)))}}}"
