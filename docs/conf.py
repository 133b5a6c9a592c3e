"""How Sphinx makes the site: see CONTRIBUTING.md, "The site"."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))
from links import HOME, SETTINGS  # noqa: E402

project = "gdfast"
author = "The gdfast developers"
copyright = f"{author}. BSD 3-clause licence"
version = release = SETTINGS["project"]["version"]

extensions = [
    "links",
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

warnings.filterwarnings("error", module="__main__")  # no example may warn
sphinx_gallery_conf = {
    "examples_dirs": ["../examples/gallery"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "subsection_order": [
        f"../examples/gallery/{folder}"
        for folder in ("tables", "sequences", "training", "functions", "production")
    ],
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
    "image_srcset": ["2x"],
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
# These have no pages below them.
html_sidebars = {page: [] for page in ("index", "installing", "tutorial")}
html_theme_options: dict[str, Any] = {
    "logo": {
        "text": "gdfast",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
    },
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button-field"],
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc", "sg_download_links"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "icon_links": [{"name": "Source", "url": HOME, "icon": "fa-solid fa-code"}]
    if HOME
    else [],
}

copybutton_exclude = ".linenos, .gp, .go"
