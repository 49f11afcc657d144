"""The pictures of ``docs/results.md`` and the archive, made of the result files that the benchmarks leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import engine_page
import sizes_page
import teachers_page

from potstill.reports.plots import save_figure

HERE = Path(__file__).parent
RESULTS = HERE / "results"
IMAGES = HERE.parent / "docs" / "images"


def load(folder: str) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((RESULTS / folder).glob("*.json"))}


def distillates() -> list[dict[str, Any]]:
    return engine_page.scored(load("engine"), load("engine-teachers"))


def draw() -> None:
    """The page's pictures."""
    teachers_page.draw(load("teachers"), IMAGES / "teachers.png")
    engine_page.draw(distillates(), IMAGES / "engine.png", save_figure)
    if measured := load("sizes"):
        sizes_page.draw(measured, IMAGES / "sizes.png", save_figure)
