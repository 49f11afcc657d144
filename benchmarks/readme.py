"""Write the numbers of README.md and of docs/ from the result files; ``--check`` fails if they are stale.

python benchmarks/readme.py [--check]
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import json
import sys
from pathlib import Path

import kernel_page
import numpy as np
from choices import MAIN
from engine_page import headline
from objective_pages import pages
from results_page import distillates, draw, page
from results_page import load as load_folder
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
        f"Variants on the bundled dataset (teacher {teacher:.1f}), students of the `plain` recipe where the name says",
        "nothing else: interquartile mean over distillation seeds × 10",
        "students × 4 episodes; ± is the standard deviation over students; the ensembles play 10 episodes a seed.",
        "",
        "| variant | seeds | one student | ensemble of ten | seconds |",
        "|---|---|---|---|---|",
    ]
    runs = results["runs"]
    for name, entry in ((name, runs[name]) for name in MAIN if name in runs):
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


def large() -> str:
    """Memory and time of a step on 50 million rows."""
    result = load("large")
    lines = [
        f"Measured on {result['rows'] / 1e6:.0f} million rows with Hopper's sizes ({result['file_gb']:.1f} GB,",
        f"`benchmarks/large.py`, {result['cores']} cores). Peak memory; mapped pages of the file are taken",
        "back as soon as anyone needs their memory:",
        "",
        "| command | memory of its own | with mapped pages |",
        "|---|---|---|",
        *(f"| `potstill {x['command']}` | {x['own_gb']:.2f} GB | {x['total_gb']:.2f} GB |" for x in result["memory"]),
        "",
        "Milliseconds of a step, on the clock and of all processors together: medians, in turn with",
        f"{result['small']:,} rows in memory, on a machine that was busy with other things. The file lay in the",
        "system's cache; where memory cannot hold it, a row costs a read of the disk. Ratios are medians over turns",
        f"({len(result['teach'])} of 96 updates, {len(result['distill'])} of ten outer steps):",
        "",
        "| step | milliseconds | in memory | mapped | ratio |",
        "|---|---|---|---|---|",
    ]
    steps = {"teach": "update of ReBRAC, batch 256", "distill": "outer step of the default distillation"}
    for (kind, step), by in itertools.product(steps.items(), ("clock", "processors")):
        one, other = (np.array([row[where][by] for row in result[kind]]) for where in ("memory", "mapped"))
        cells = (np.median(one), np.median(other), np.median(other / one))
        lines.append(f"| {step} | {by} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    return "\n".join(lines)


def products() -> str:
    """GFLOP/s of the unroll's products on one core."""
    rates = load("products")["gflops"]
    lines = [
        "| product of 256 × 256, one core | float32, in cache | from memory | bfloat16, in cache | from memory |",
        "|---|---|---|---|---|",
    ]
    for name in rates["float32"]:
        row = [rates[kind][name][where] for kind in ("float32", "bfloat16") for where in ("in cache", "from memory")]
        lines.append(f"| {name} | " + " | ".join(f"{x:.0f}" for x in row) + " |")
    return "\n".join(lines)


def devices() -> str:
    """Seconds of an outer step on one core and on two that count as a device each."""
    programs = load("devices")["programs"]
    lines = ["| outer step | seconds on the clock: one core | two | processor seconds of a device: one | two |"]
    lines.append("|---|---|---|---|---|")
    for name, of in programs.items():
        cells = [of[kind][count] for kind in ("clock", "processor") for count in ("one", "two")]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
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
    results, data, unroll = docs / "results.md", docs / "data.md", docs / "unroll.md"
    measured = "\n\n".join([choices(), outer_step(), steppers()])
    kernel = (docs / "kernel.md").read_text()
    for name in ("widths", "costs", "adjoint", "solvers"):
        kernel = fill(kernel, name, getattr(kernel_page, name)())
    front = {"demo": demo(), "benchmark": headline(distillates(), load_folder("bounds")), "measured": measured}
    wanted = {
        readme: functools.reduce(lambda text, part: fill(text, *part), front.items(), readme.read_text()),
        data: fill(fill(data.read_text(), "reading", reading()), "large", large()),
        docs / "kernel.md": kernel,
        unroll: fill(unroll.read_text(), "products", products()),
        docs / "devices.md": fill((docs / "devices.md").read_text(), "devices", devices()),
        results: page(),
    }
    wanted |= {path: fill(path.read_text(), "measured", table) for path, table in pages().items()}
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
