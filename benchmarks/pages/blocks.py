"""Write the marked parts of README.md and docs/ from the result files, or find those that are out of date."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.files import ROOT
from benchmarks.pages import BLOCKS, PICTURES

BLOCK = re.compile(r"<!-- ([\w-]+):start -->\n(.*?)<!-- \1:end -->", flags=re.DOTALL)
IMAGES = ROOT / "docs" / "images"
Render = Callable[[], str]


@functools.cache
def render(block: Render) -> str:
    """The text of a block, rendered once."""
    return block()


def fill_page(page: Path, blocks: Mapping[str, Render] = BLOCKS, images: Path = IMAGES) -> str:
    """Render every marked part of a page. Parts without a renderer in ``blocks`` are not changed."""
    path = os.path.relpath(images, page.parent)

    def fill(match: re.Match[str]) -> str:
        mark = match[1]
        name = find_block_name(mark, page, blocks)
        if name not in blocks:
            return match[0]
        content = render(blocks[name]).replace("](images/", f"]({path}/")
        return f"<!-- {mark}:start -->\n{content}\n<!-- {mark}:end -->"

    return BLOCK.sub(fill, page.read_text())


def find_block_name(mark: str, page: Path, blocks: Mapping[str, Render] = BLOCKS) -> str:
    """The name of the renderer that a page's mark stands for."""
    return mark if mark in blocks else f"{page.stem}-{mark}"


def list_pages() -> list[Path]:
    """The pages that have marks."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if BLOCK.search(path.read_text())]


def find_outdated_pages() -> list[str]:
    """Find pages whose tables differ from the results, and unknown marks; one message for each."""
    faults = []
    for page in list_pages():
        marks = [match[1] for match in BLOCK.finditer(page.read_text())]
        place = page.relative_to(ROOT)
        faults += [
            f"{place}: no renderer for the mark {mark}" for mark in marks if find_block_name(mark, page) not in BLOCKS
        ]
        if page.read_text() != fill_page(page):
            faults.append(f"{place} is out of date: python -m benchmarks pages")
    return faults


def check() -> int:
    """Print the pages that are out of date; 1 if there are any."""
    faults = find_outdated_pages()
    if faults:
        print("\n".join(faults), file=sys.stderr)
    return min(1, len(faults))


def write() -> int:
    """Write all tables and pictures."""
    for path in list_pages():
        path.write_text(fill_page(path))
    for name, draw in PICTURES.items():
        draw(IMAGES / name)
    return 0
