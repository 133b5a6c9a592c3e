"""The site's links that are not written as such.

Markdown is written for a code host as well. On the site a link to a file outside docs/ leads to the page that
has the file or, for a program of the gallery, shows what it draws; otherwise to the public home (``home`` of
``[tool.gdfast]`` in pyproject.toml), or is plain text if there is none. A class or module in backquotes leads
to its page of the reference.
"""

from __future__ import annotations

import inspect
import posixpath
import re
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOME = SETTINGS["tool"]["gdfast"]["home"].rstrip("/")
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def with_links_of_the_site(text: str, folder: str) -> str:
    """Markdown of a file in ``folder`` of the repository, as it stands on a page of the site."""

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(folder, target))
        page = PAGES.get(path, path.removeprefix("docs/"))
        if path.startswith("examples/gallery/"):
            page = path.removeprefix("examples/").replace(".py", ".rst")
        if page != path:
            return f"[{words}]({page}{anchor})"
        if not (ROOT / path).exists():
            return match[0]  # which MyST reports
        return f"[{words}]({HOME}/blob/HEAD/{path}{anchor})" if HOME else words

    return LINK.sub(link, text)


def mend_page(app: Any, docname: str, source: list[str]) -> None:
    if (Path(app.srcdir) / f"{docname}.md").exists():
        source[0] = with_links_of_the_site(source[0], "docs")


def mend_included(app: Any, path: Path, parent: str, source: list[str]) -> None:
    source[0] = with_links_of_the_site(
        source[0], posixpath.normpath(posixpath.join("docs", path.parent))
    )


def of_another_project(
    app: Any, kind: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Inherited docstrings refer to scikit-learn's guide, which is not here, and to its versions."""
    text = re.sub(r":(?:ref|term):`([^`<]*?)(?:\s*<[^>]*>)?`", r"\1", "\n".join(lines))
    text = re.sub(
        r"^( *)\.\. version\w+::.*\n(?:\1 +.*\n|\n)*", "\n", text, flags=re.MULTILINE
    )
    lines[:] = text.split("\n")


@cache
def public_names() -> dict[str, str]:
    """What may stand in backquotes, and its full name: of a class the last part is enough."""
    import gdfast

    modules = [
        f"gdfast.{name}"
        for name in dir(gdfast)
        if inspect.ismodule(getattr(gdfast, name))
    ]
    names = {module: module for module in modules}
    for module in ["gdfast", *modules]:
        for name in dir(import_module(module)):
            full = f"{module}.{name}"
            names[full] = full
            if name[0].isupper():
                names[name] = full
    return names


def link_names(app: Any, document: nodes.document) -> None:
    for literal in list(document.findall(nodes.literal)):
        parent: Any = literal.parent
        while parent is not None and not isinstance(
            parent, nodes.title | nodes.reference | pending_xref
        ):
            parent = parent.parent
        target = public_names().get(literal.astext().removesuffix("()"))
        if parent is None and target is not None:
            link = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True
            )
            link["refdoc"] = app.env.docname
            literal.replace_self(link)
            link += literal


def setup(app: Any) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("source-read", mend_page)
    app.connect("include-read", mend_included)
    app.connect("autodoc-process-docstring", of_another_project, priority=900)
    app.connect("doctree-read", link_names)
    return {"parallel_read_safe": True}
