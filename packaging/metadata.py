"""The metadata that depends on where the project's public home is: its URLs and the links of its description.

scikit-build-core calls ``dynamic_metadata`` for each of the two. The home is ``home`` of ``[tool.gdfast]`` in
pyproject.toml. As long as it is empty there are no URLs, and the README's links to files, which lead nowhere
on the page of an index, are plain text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# A link or an image whose target is a file of the project.
_TO_A_FILE = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")


def links_from(text: str, home: str, version: str) -> str:
    """Markdown whose links to files of the project lead to its home, or are plain text if there is none."""

    def link(match: re.Match[str]) -> str:
        image, words, path = match.groups()
        if not home:
            return words
        return f"{image}[{words}]({home}/{'raw' if image else 'blob'}/v{version}/{path})"

    return _TO_A_FILE.sub(link, text)


def urls_of(home: str) -> dict[str, str]:
    if not home:
        return {}
    return {
        "Homepage": home,
        "Documentation": f"{home}/tree/HEAD/docs",
        "Changelog": f"{home}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }


def dynamic_metadata(field: str, settings: Mapping[str, Any], project: Mapping[str, Any]) -> Any:
    home = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["tool"]["gdfast"]["home"].rstrip("/")
    if field == "urls":
        return urls_of(home)
    from scikit_build_core.metadata.fancy_pypi_readme import dynamic_metadata as fancy_readme

    readme = fancy_readme(field, {}, project)
    return {**readme, "text": links_from(readme["text"], home, project["version"])}
