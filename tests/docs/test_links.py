"""Links between the pages, and to files of the checkout, lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import PAGES, ROOT

# Written by the build of the site from examples/gallery.
GENERATED = ROOT / "docs" / "gallery"


def without_code(page: Path) -> str:
    return re.sub(
        r"^( *)(`{3,}).*?^\1\2", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def anchors(page: Path) -> set[str]:
    """Of the headings, as code hosts and MyST make them."""
    titles = re.findall(r"^#+ +(.*?) *$", without_code(page), re.MULTILINE)
    named = re.findall(r"^\((\S+)\)=$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles} | set(named)


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(<?([^)>\s]+)", without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if found.is_relative_to(GENERATED):
            continue
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), target
