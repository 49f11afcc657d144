"""Write the numbers of README.md and of docs/ from the result files; ``--check`` fails if they are stale.

python benchmarks/readme.py [--check]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import auto_page
import bounds_page
import engine_page
import kernel_page
import objective_pages
import sizes_page
import speed_page
import teachers_page
from engine import ABLATION, OF_PAPER
from results_page import distillates, draw, load
from rich.console import Console

from potstill.reports.tables import score_table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def demo() -> str:
    """The table that `make demo` prints, from a committed run of it."""
    result = json.loads((RESULTS / "demo.json").read_text())
    console = Console(file=io.StringIO(), width=110, force_terminal=False, legacy_windows=False)
    console.print(score_table(result, f"{result['dataset']} in {result['env_id']}"))
    seconds = result["seconds"]
    times = (
        f"distilled in {seconds['distilling']:.1f} s; trained {result['student']['policies']} students in "
        f"{seconds['training']:.1f} s; evaluated in {seconds['evaluating']:.1f} s"
    )
    table = "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())
    return f"```text\n{table}\n{times}\n```"


def filled(text: str, tables: dict[str, str]) -> str:
    """``text`` with what stands between the marks of each table made anew."""
    for mark, content in tables.items():
        start, end = f"<!-- {mark}:start -->", f"<!-- {mark}:end -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"
    return text


def body(section: str, up: str = "../") -> str:
    """A section without its heading, its pictures seen from a page in a folder of docs/."""
    text = section.split("\n", 1)[1].strip() if section.startswith("#") else section
    return text.replace("](images/", f"]({up}images/")


def tables() -> dict[str, dict[str, str]]:
    """The tables of each page, by the page's path and the mark that they stand in."""
    runs, before, trainings, cells = load("teachers"), load("teachers-before"), load("criteria"), distillates()
    made = {
        "README.md": {"benchmark": engine_page.headline(cells, load("bounds"))},
        "docs/tutorial.md": {"demo": demo()},
        "docs/results.md": {
            "benchmark": engine_page.headline(cells, load("bounds")),
            "distillates": body(engine_page.files_table(cells, "default")),
            "parts": "\n".join(engine_page.beside(cells, ABLATION)),
            "pairs": body(engine_page.number_of_pairs(cells)),
            "sizes": body(sizes_page.sizes(load("sizes")), ""),
        },
        "docs/how-to/large-data.md": {"large": speed_page.large()},
        "docs/how-to/devices.md": {"devices": speed_page.devices()},
        "docs/explanation/kernel-descent.md": {
            name: getattr(kernel_page, name)() for name in ("widths", "costs", "adjoint", "solvers")
        },
        "docs/explanation/unroll.md": {"times": speed_page.outer_step(), "products": speed_page.products()},
        "docs/archive/teachers.md": {
            "teachers": body(teachers_page.teachers(runs, before)),
            "stopping": body(teachers_page.stopping(runs)),
            "criteria": body(teachers_page.criteria(trainings)),
            "auto": body(auto_page.auto(runs)),
        },
        "docs/archive/distillates.md": {
            "paper-recipe": body(engine_page.files_table(cells, "paper-recipe")),
            "paper-parts": "\n".join(engine_page.beside(cells, OF_PAPER, "paper-recipe")),
            "curves": body(engine_page.CURVES),
            "bounds": body(bounds_page.bounds(load("bounds"), cells)),
        },
        "docs/archive/variants.md": {"variants": body(objective_pages.variants())},
        "docs/archive/speed.md": {
            "updates": body(speed_page.updates()),
            "steppers": body(speed_page.steppers()),
            "reading": speed_page.reading(),
        },
    }
    return made | {f"docs/archive/{name}": {"measured": table} for name, table in objective_pages.pages().items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wanted = {ROOT / name: filled((ROOT / name).read_text(), of) for name, of in tables().items()}
    stale = [path.name for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if options.check:
        print("\n".join(f"{name} is stale: python benchmarks/readme.py" for name in stale))
        return min(1, len(stale))
    for path, text in wanted.items():
        path.write_text(text)
    draw()
    kernel_page.draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
