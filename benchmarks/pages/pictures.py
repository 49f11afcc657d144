"""The page ``docs/results.md`` and its pictures, made of the result files that the benchmarks leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import auto_page
import bounds_page
import engine_page
import objective_pages
import sizes_page
import speed_page
import teachers_page

from potstill.reports.plots import save_figure

HERE = Path(__file__).parent
RESULTS = HERE / "results"
IMAGES = HERE.parent / "docs" / "images"
HEAD = """# Results

Everything below is made by `python benchmarks/readme.py` from the files in `benchmarks/results/`, which hold
every episode's return and the command that made it. Scores are D4RL-normalised returns in Gymnasium's `-v4`
environments.

The nine files are not D4RL's: same environments, levels and layout, but a tenth to a half of the rows, other
behaviour policies (SAC's own training, agents of middling skill, TQC experts), and for Walker2d weaker ones
(medium-replay earns {walker:.0f} on average). Published scores stand beside ours for orientation, not for
comparison.
"""


def load(folder: str) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((RESULTS / folder).glob("*.json"))}


def distillates() -> list[dict[str, Any]]:
    return engine_page.scored(load("engine"), load("engine-teachers"))


def page() -> str:
    """The page's text."""
    runs, before = load("teachers"), load("teachers-before")
    head = HEAD.format(walker=teachers_page.of_file(runs, "walker2d-medium-replay")["bc"][0]["data"]["mean"])
    parts = [head.rstrip(), teachers_page.teachers(runs, before), teachers_page.stopping(runs)]
    trainings = load("criteria")
    parts += [
        teachers_page.pace(runs, before, trainings),
        teachers_page.criteria(trainings),
        auto_page.auto(runs),
    ]
    parts.append(engine_page.engine(distillates(), load("engine-best")))
    if measured := load("sizes"):
        parts.append(sizes_page.sizes(measured))
    if measured := load("bounds"):
        parts.append(bounds_page.bounds(measured, distillates()))
    parts += [objective_pages.variants(), speed_page.updates(), speed_page.steppers()]
    return "\n\n".join(parts) + "\n"


def draw() -> None:
    """The page's pictures."""
    teachers_page.draw(load("teachers"), IMAGES / "teachers.png")
    engine_page.draw(distillates(), IMAGES / "engine.png", save_figure)
    if measured := load("sizes"):
        sizes_page.draw(measured, IMAGES / "sizes.png", save_figure)
