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
    """The names that the tables of a page list."""
    tables = re.findall(r"^\.\. autosummary::\n((?: +.*\n|\n)*)", page.read_text("utf-8"), re.MULTILINE)
    return [line.strip() for table in tables for line in table.splitlines() if re.match(r" +[^ :]", line)]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name(module: str) -> None:
    page = API / f"{module}.rst"
    public = {
        name
        for name in dir(import_module(module))
        if not (module == "gdfast" and f"gdfast.{name}" in MODULES)  # which has a page
    }
    if module == "gdfast":
        public.remove("__version__")  # a string: a sentence of the page
        assert "``gdfast.__version__``" in page.read_text("utf-8")
    assert Counter(names_on(page)) == Counter(public)


def test_every_module() -> None:
    assert {page.stem for page in API.glob("*.rst")} == {"index", *MODULES}
    index = (API / "index.rst").read_text("utf-8")
    in_navigation = index[index.index(".. toctree::") :].split()
    assert [name for name in in_navigation if name.startswith("gdfast")] == sorted(MODULES)
    assert set(re.findall(r"^:mod:`([\w.]+)`", index, re.MULTILINE)) == set(MODULES)
