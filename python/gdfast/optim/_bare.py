"""A rule as a bare function: what its docstring shares with its class and with all other rules' functions."""

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
    is out of its range, or two arguments contradict each other. Nothing has been written then.

See Also
--------
gdfast.optim.{name} : the rule with its hyper-parameters, and with a state of its own.

References
----------
{references}

Examples
--------
{examples}
"""


def bare(rule: type[Optimizer]) -> Callable[[_Function], _Function]:
    """Complete a function's docstring: what it says nothing of is as in the class, or as in all functions."""

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
    # Arguments in their order; an entry may be that of two.
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
    """By their titles; what comes before the first one has none."""
    pieces = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(thing.__doc__), flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(["", *pieces[1::2]], pieces[::2], strict=True)}


def _entries(section: str) -> dict[str, str]:
    """By the argument's name: its line and what is indented below."""
    entries = re.split(r"\n(?=\w)", section.strip())
    return {name: entry for entry in entries for name in re.split(r", *", entry.partition(" :")[0])}
