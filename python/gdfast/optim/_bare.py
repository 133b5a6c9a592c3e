"""The docstrings of the update functions, completed from those of the optimizer classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from gdfast.optim._base import FloatArray, Optimizer, State

_Function = TypeVar("_Function", bound=Callable[..., None])

_SHARED = """
param : array of any shape, float32 or float64
    Changed in place.
grad : array, the shape and dtype of param
    Read only.
step : int
    The number of this step; the first is 1.
"""
_SECTIONS = """
Raises
------
TypeError
    If an argument is not an array, or an array has another dtype.
ValueError
    If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap, a number
    is out of its range, or two arguments contradict each other. In that case nothing has been written.

See Also
--------
gdfast.optim.{name} : the rule as an object that keeps its state.

References
----------
{references}

Examples
--------
{examples}
"""


def bare(rule: type[Optimizer]) -> Callable[[_Function], _Function]:
    """Complete a function's docstring by the class's sections, and by those that all functions share."""

    def complete(function: _Function) -> _Function:
        if function.__doc__ and rule.__doc__:  # there are none under python -OO
            function.__doc__ = _docstring(function, rule)
        return function

    return complete


def given(**states: FloatArray | None) -> State:
    """Those of the optional arrays of state that there are."""
    return {name: state for name, state in states.items() if state is not None}


def _docstring(function: Callable[..., None], rule: type[Optimizer]) -> str:
    own, general = _sections(function), _sections(rule)
    summary, _, text = own[""].partition("\n\n")
    entries = {**_entries(general["Parameters"]), **_entries(_SHARED), **_entries(own["Parameters"])}
    # In the order of the arguments; an entry may describe two.
    arguments = dict.fromkeys(entries[name] for name in inspect.signature(function).parameters)
    parts = [
        summary,
        text or general[""].partition("\n\n")[2],
        "Parameters\n----------\n" + "\n".join(arguments),
        _SECTIONS.strip().format(
            name=rule.__name__, references=general["References"], examples=own["Examples"]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _sections(thing: Any) -> dict[str, str]:
    """The sections by title; the text before the first title has the title ''."""
    pieces = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(thing.__doc__), flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(["", *pieces[1::2]], pieces[::2], strict=True)}


def _entries(section: str) -> dict[str, str]:
    """The entries by the argument's name: its line and the indented description."""
    entries = re.split(r"\n(?=\w)", section.strip())
    return {name: entry for entry in entries for name in re.split(r", *", entry.partition(" :")[0])}
