"""The pages of the documentation, as blocks of code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

VARIES = "<!-- varies -->"
FENCED = re.compile(r"^( *)(`{3,})([^`\n]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of code, and the output that the page shows for it: a block of text with nothing between
    but space, or the comment that numbers vary."""

    page: Path
    line: int
    language: str
    text: str
    output: str | None = None
    varies: bool = False

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All blocks in their order; those within directives of MyST count, directives do not."""
    return list(_blocks(page, page.read_text(encoding="utf-8"), first_line=1))


def _blocks(page: Path, text: str, first_line: int) -> Iterator[Block]:
    fences = list(FENCED.finditer(text))
    for fence, following in zip_longest(fences, fences[1:]):
        language, body = fence[3].strip(), fence[4]
        line = first_line + text[: fence.start()].count("\n")
        if language.startswith("{"):
            yield from _blocks(page, body, line + 1)
            continue
        output, between = None, ""
        if following and following[3].strip() == "text":
            between = text[fence.end() : following.start()].strip()
            if between in ("", VARIES):
                output = textwrap.dedent(following[4])
        yield Block(page, line, language, textwrap.dedent(body), output, between == VARIES)
