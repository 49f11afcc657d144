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
import numpy as np
from choices import VARIANTS
from results_page import draw, page
from rich.console import Console

from potstill.reports.tables import score_table
from potstill.statistics import interquartile_mean

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def load(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


def demo() -> str:
    """The table that `make demo` prints, from a committed run of it."""
    result = load("demo")
    console = Console(file=io.StringIO(), width=110, force_terminal=False, legacy_windows=False)
    console.print(score_table(result, f"{result['dataset']} in {result['env_id']}"))
    seconds = result["seconds"]
    times = (
        f"distilled in {seconds['distilling']:.1f} s; trained {result['student']['policies']} students in "
        f"{seconds['training']:.1f} s; evaluated in {seconds['evaluating']:.1f} s"
    )
    table = "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())
    return f"```text\n{table}\n{times}\n```"


def choices() -> str:
    """Variants on the bundled dataset: interquartile means over seeds, students and episodes."""
    results = load("choices")
    teacher = results["teacher"]["mean"]
    lines = [
        f"Variants on the bundled dataset (teacher {teacher:.1f}): interquartile mean over distillation seeds × 10",
        "students × 4 episodes; ± is the standard deviation over students; the ensembles play 10 episodes a seed.",
        "",
        "| variant | seeds | one student | ensemble of ten | seconds |",
        "|---|---|---|---|---|",
    ]
    runs = results["runs"]
    for name, entry in ((name, runs[name]) for name in VARIANTS if name in runs):
        seeds = list(entry["seeds"].values())
        singles = np.concatenate([np.array(s["student"]["returns"]) for s in seeds])
        mean, spread = interquartile_mean(singles), singles.mean(1).std(ddof=1)
        together = "–"
        if "ensemble" in seeds[0]:
            together = f"{interquartile_mean(np.concatenate([s['ensemble']['returns'] for s in seeds])):.1f}"
        seconds = np.median([s["seconds"] for s in seeds])
        lines.append(f"| {name} | {len(seeds)} | {mean:.1f} ± {spread:.1f} | {together} | {seconds:.0f} |")
    return "\n".join(lines)


def outer_step() -> str:
    """Seconds of the exact unrolled step, ours and PyTorch's, in turn."""
    result = load("outer_step")
    lines = [
        "The exact unrolled outer step (N = 256, T = 100, width 256, 2,560 states), against plain PyTorch of the",
        "same mathematics, in turn on one machine, medians:",
        "",
        "| cores | program | seconds | times faster than PyTorch | peak memory |",
        "|---|---|---|---|---|",
    ]
    for entry in result["runs"]:
        for name, row in entry["programs"].items():
            ratio = f"{row['times_faster_than_torch']:.2f}"
            lines.append(f"| {entry['cores']} | {name} | {row['seconds']:.2f} | {ratio} | {row['peak_gb']:.1f} GB |")
    return "\n".join(lines)


def steppers() -> str:
    """Microseconds of one environment step."""
    result = load("steppers")
    names = next(iter(result["environments"].values()))["microseconds"]
    lines = [
        f"One environment step in microseconds ({result['threads']} threads), medians of five rounds in turn:",
        "",
        "| environment | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for env_id, row in result["environments"].items():
        lines.append(f"| {env_id} | " + " | ".join(f"{x:.0f}" for x in row["microseconds"].values()) + " |")
    return "\n".join(lines)


def reading() -> str:
    """Milliseconds of reading a million rows, and how many times h5py's that is."""
    result = load("reading")
    lines = [f"| million rows | {' | '.join(result['files']['gzip']['seconds'])} |", "|---" * 4 + "|"]
    for name, file in result["files"].items():
        cells = [f"{1000 * t:.0f} ms ({file['times_as_long'][key]:.2f})" for key, t in file["seconds"].items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fill(text: str, mark: str, content: str) -> str:
    start, end = f"<!-- {mark}:start -->", f"<!-- {mark}:end -->"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    readme, docs = ROOT / "README.md", ROOT / "docs"
    measured = "\n\n".join([choices(), outer_step(), steppers()])
    kernel = (docs / "kernel.md").read_text()
    for name in ("widths", "costs", "solvers"):
        kernel = fill(kernel, name, getattr(kernel_page, name)())
    wanted = {
        readme: fill(fill(readme.read_text(), "demo", demo()), "measured", measured),
        docs / "data.md": fill((docs / "data.md").read_text(), "reading", reading()),
        docs / "kernel.md": kernel,
        docs / "results.md": page(),
    }
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
