"""The reference on the site, docs/api, has every public name, once, and no other."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import gdfast
import pytest

API = Path(__file__).parents[2] / "docs" / "api"
MODULES = ["gdfast", *(f"gdfast.{name}" for name in dir(gdfast) if inspect.ismodule(getattr(gdfast, name)))]


def names_on(page: Path) -> list[str]:
    """The names that a page describes, or lists in its tables."""
    text = page.read_text("utf-8")
    tables = re.findall(r"^\.\. autosummary::\n((?: +.*\n|\n)*)", text, re.MULTILINE)
    described = re.findall(r"^\.\. data:: (\w+)$", text, re.MULTILINE)
    return described + re.findall(r"^ +(\w+)$", "".join(tables), re.MULTILINE)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name(module: str) -> None:
    page = API / f"{module}.rst"
    public = {
        name
        for name in dir(import_module(module))
        if not (module == "gdfast" and f"gdfast.{name}" in MODULES)  # which has a page
    }
    assert Counter(names_on(page)) == Counter(public)


def test_every_module() -> None:
    assert {page.stem for page in API.glob("*.rst")} == {"index", *MODULES}
    index = (API / "index.rst").read_text("utf-8")
    in_navigation = index[index.index(".. toctree::") :].split()
    assert [name for name in in_navigation if name.startswith("gdfast")] == sorted(MODULES)
    assert set(re.findall(r"^:mod:`([\w.]+)`", index, re.MULTILINE)) == set(MODULES)
