"""How Sphinx makes the site: see CONTRIBUTING.md, "The site"."""

from __future__ import annotations

import posixpath
import re
import tomllib
import warnings
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOME = SETTINGS["tool"]["gdfast"]["home"].rstrip("/")

project = "gdfast"
author = "The gdfast developers"
copyright = f"{author}. BSD 3-clause licence"
version = release = SETTINGS["project"]["version"]

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "img"]
templates_path = ["_templates"]
smartquotes = False  # which would turn the quotes of strings
toc_object_entries_show_parents = "hide"
nitpicky = True
# Other projects' names are plain text: their inventories could only be had from the network.
nitpick_ignore_regex = [(r"py:.*", r"(numpy|sklearn|tqdm)\..*")]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# Types stand in the docstrings.
autodoc_typehints = "none"
default_role = "literal"
autosummary_generate = True
autosummary_ignore_module_all = False
numpydoc_show_class_members = False
viewcode_follow_imported_members = True

warnings.filterwarnings("error", module="__main__")  # an example that warns is mended
sphinx_gallery_conf = {
    "examples_dirs": ["../examples/gallery"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "reset_modules": ("matplotlib",),
    "doc_module": ("gdfast",),
    "reference_url": {"gdfast": None},
    "backreferences_dir": "api/generated/backreferences",
    "inspect_global_variables": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "matplotlib_animations": False,
    "image_scrapers": ("matplotlib",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "plot_gallery": "True",
}

html_theme = "pydata_sphinx_theme"
html_title = "gdfast"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["gdfast.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {page: [] for page in ("index", "installing", "tutorial")}  # which have no pages below them
html_theme_options: dict[str, Any] = {
    "logo": {"text": "gdfast", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button-field"],
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc", "sg_download_links"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "icon_links": [{"name": "Source", "url": HOME, "icon": "fa-solid fa-code"}] if HOME else [],
}

copybutton_exclude = ".linenos, .gp, .go"

# Markdown is written for a code host as well. On the site a link to a file outside docs/ leads to the page
# that has the file, otherwise to the public home, or nowhere if there is none.
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "README.md": "index.md"}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def with_links_of_the_site(text: str, folder: str) -> str:
    """Markdown of a file in ``folder`` of the repository, as it stands on a page of the site."""

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(folder, target))
        page = PAGES.get(path, path.removeprefix("docs/"))
        if page != path:
            return f"[{words}]({page}{anchor})"
        if not (ROOT / path).exists():
            return match[0]  # which MyST reports
        return f"[{words}]({HOME}/blob/HEAD/{path}{anchor})" if HOME else words

    return LINK.sub(link, text)


def mend_page(app: Any, docname: str, source: list[str]) -> None:
    if (DOCS / f"{docname}.md").exists():
        source[0] = with_links_of_the_site(source[0], "docs")


def mend_included(app: Any, path: Path, parent: str, source: list[str]) -> None:
    source[0] = with_links_of_the_site(source[0], posixpath.normpath(posixpath.join("docs", path.parent)))


def without_foreign_labels(
    app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Inherited docstrings refer to pages of scikit-learn's guide, which are not here."""
    text = re.sub(r":(?:ref|term):`([^`<]*?)(?:\s*<[^>]*>)?`", r"\1", "\n".join(lines))
    lines[:] = text.split("\n")


def setup(app: Any) -> None:
    app.connect("source-read", mend_page)
    app.connect("include-read", mend_included)
    app.connect("autodoc-process-docstring", without_foreign_labels, priority=900)
