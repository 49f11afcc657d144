"""Write the numbers of README.md and of docs/ from the result files; ``--check`` fails if they are stale.

python benchmarks/readme.py [--check]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import kernel_page
import objective_pages
import speed_page
from engine_page import headline
from results_page import distillates, draw, load, page
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


def tables() -> dict[str, dict[str, str]]:
    """The tables of each page, by the page's path and the mark that they stand in."""
    made = {
        "README.md": {"demo": demo(), "benchmark": headline(distillates(), load("bounds"))},
        "docs/data.md": {"reading": speed_page.reading(), "large": speed_page.large()},
        "docs/kernel.md": {name: getattr(kernel_page, name)() for name in ("widths", "costs", "adjoint", "solvers")},
        "docs/unroll.md": {"times": speed_page.outer_step(), "products": speed_page.products()},
        "docs/devices.md": {"devices": speed_page.devices()},
    }
    return made | {f"docs/{name}": {"measured": table} for name, table in objective_pages.pages().items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wanted = {ROOT / name: filled((ROOT / name).read_text(), of) for name, of in tables().items()}
    wanted[ROOT / "docs" / "results.md"] = page()
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
