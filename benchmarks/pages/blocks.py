"""Fill the marked parts of README.md and docs/ from the result files, or say which are out of date."""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path

from benchmarks.files import ROOT
from benchmarks.pages import BLOCKS, PICTURES

BLOCK = re.compile(r"<!-- ([\w-]+):start -->\n(.*?)<!-- \1:end -->", flags=re.DOTALL)
IMAGES = ROOT / "docs" / "images"


@functools.cache
def rendered(name: str) -> str:
    """The text of a block."""
    return BLOCKS[name]()


def filled(page: Path) -> str:
    """A page's text with every marked part made anew; a part that no renderer is registered for stays."""
    images = os.path.relpath(IMAGES, page.parent)

    def fill(match: re.Match[str]) -> str:
        mark = match[1]
        if name_of(mark, page) not in BLOCKS:
            return match[0]
        content = rendered(name_of(mark, page)).replace("](images/", f"]({images}/")
        return f"<!-- {mark}:start -->\n{content}\n<!-- {mark}:end -->"

    return BLOCK.sub(fill, page.read_text())


def name_of(mark: str, page: Path) -> str:
    """The renderer that a page's mark stands for."""
    return mark if mark in BLOCKS else f"{page.stem}-{mark}"


def pages() -> list[Path]:
    """The pages that have marks."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if BLOCK.search(path.read_text())]


def stale() -> list[str]:
    """One line for each page whose tables are not those of the results, and for each unknown mark."""
    told = []
    for page in pages():
        marks = [match[1] for match in BLOCK.finditer(page.read_text())]
        place = page.relative_to(ROOT)
        told += [f"{place}: nothing fills the mark {mark}" for mark in marks if name_of(mark, page) not in BLOCKS]
        if page.read_text() != filled(page):
            told.append(f"{place} is out of date: python -m benchmarks pages")
    return told


def check() -> int:
    """Print the pages that are out of date; 1 if there are any."""
    told = stale()
    if told:
        print("\n".join(told), file=sys.stderr)
    return min(1, len(told))


def write() -> int:
    """Write all tables and pictures."""
    for path in pages():
        path.write_text(filled(path))
    for name, draw in PICTURES.items():
        draw(IMAGES / name)
    return 0
