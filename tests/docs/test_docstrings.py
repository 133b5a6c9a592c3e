"""Every public docstring is in numpydoc's form, and names the arguments that there are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import gdfast
import pytest

MODULES = [
    gdfast,
    gdfast.callbacks,
    gdfast.dask,
    gdfast.distributed,
    gdfast.export,
    gdfast.inspect,
    gdfast.kernels,
    gdfast.optim,
    gdfast.preprocessing,
    gdfast.schedules,
]
SECTIONS = "Parameters|Attributes|Returns|Yields|Raises|Warns|See Also|Notes|References|Examples"


def public_objects() -> Iterator[tuple[str, Any]]:
    for module in MODULES:
        for name in module.__all__:
            thing = getattr(module, name)
            if not callable(thing) or (module is gdfast and inspect.ismodule(thing)):
                continue
            yield name, thing
            if inspect.isclass(thing):
                for method, function in inspect.getmembers(thing, inspect.isfunction):
                    # What scikit-learn wrote is scikit-learn's; a callback's hooks are told of by the module.
                    ours = function.__module__.startswith("gdfast") and not method.startswith("on_")
                    if ours and not method.startswith("_"):
                        yield f"{name}.{method}", function


@pytest.mark.parametrize(("name", "thing"), [pytest.param(*found, id=found[0]) for found in public_objects()])
def test_numpydoc(name: str, thing: Any) -> None:
    text = inspect.getdoc(thing)
    assert text, f"{name} has no docstring"
    assert len(text.splitlines()) > 1 or not text.startswith(f"{name}("), "only the signature, from pybind11"
    for title in re.findall(rf"^({SECTIONS})\n(?!-)", text, re.MULTILINE):
        pytest.fail(f"{title} is not underlined")
    assert not re.search(r"-{3,}[^-\n]", text), "text beside an underline"
    for title, line in re.findall(r"^(\S.*)\n(-{3,})$", text, re.MULTILINE):
        assert re.fullmatch(SECTIONS, title)
        assert len(line) == len(title)
    documented = {
        argument.strip(" *")
        for names in re.findall(r"^([\w*][\w*, ]*)(?: :|\n {4}\S)", text, re.MULTILINE)
        for argument in names.split(",")
    }
    try:
        arguments = inspect.signature(thing).parameters.values()
    except ValueError:  # an exception's, or another of Python's own
        return
    missing = {a.name for a in arguments if a.name != "self"} - documented
    assert not missing, f"arguments without a word: {sorted(missing)}"
