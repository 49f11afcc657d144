"""Tables of seconds and memory, for the pages that tell of what they measure."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"


def load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def updates() -> str:
    """Updates a second of the teachers, beside plain PyTorch's."""
    result = load("updates")
    lines = [
        "## Updates a second",
        "",
        f"Hopper's sizes, batch {result['batch']}, in turn with the same losses in plain PyTorch; medians.",
        "",
        "| cores | algorithm | updates a second | PyTorch | times faster |",
        "|---|---|---|---|---|",
    ]
    for entry in result["runs"]:
        rows = entry["updates_per_second"]
        for name in (name for name in rows if name.startswith("potstill")):
            plain = rows.get(name.replace("potstill", "torch"))
            other = f"{plain['rate']:.0f} | {rows[name]['times_faster_than_torch']:.2f}" if plain else "– | –"
            lines.append(f"| {entry['cores']} | {name.split()[1]} | {rows[name]['rate']:.0f} | {other} |")
    return "\n".join(lines)


def outer_step() -> str:
    """Seconds of the exact unrolled step, ours and PyTorch's, in turn."""
    result = load("outer_step")
    lines = [
        "| cores | program | seconds | times faster than PyTorch | peak memory |",
        "|---|---|---|---|---|",
    ]
    for entry in result["runs"]:
        for name, row in entry["programs"].items():
            ratio = f"{row['times_faster_than_torch']:.2f}"
            lines.append(f"| {entry['cores']} | {name} | {row['seconds']:.2f} | {ratio} | {row['peak_gb']:.1f} GB |")
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


def steppers() -> str:
    """Microseconds of one environment step."""
    result = load("steppers")
    names = next(iter(result["environments"].values()))["microseconds"]
    lines = [
        "## Environment steps",
        "",
        f"Microseconds of one ({result['threads']} threads), medians of five rounds in turn, by",
        "`benchmarks/steppers.py`.",
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
