"""The tables of docs/ that are made of the results of choices.py: docs/objectives/, pairs.md, one of results.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from choices import MAIN, VARIANTS, WEIGHTINGS

from potstill.evaluation.statistics import interquartile_mean

HERE = Path(__file__).parent
GAPS = ["q-gap by the mean of the critics", "q-gap by each critic"]
WEIGHED = [f"q-gap, weights {name}" for name in WEIGHTINGS]
SHOWN = {
    "pbc.md": ["pbc", "dbc", "wide students, pbc"],
    "av-pbc.md": [name for name in MAIN if "av-pbc" in name and "unroll" not in name],
    "q-gap.md": ["q-gap", *GAPS, "wide students, q-gap"],
    "weights.md": ["q-gap", *WEIGHED],
    "pairs.md": [
        "q-gap",
        "q-gap, initial states by k-means",
        *(name for name in VARIANTS if name not in (*MAIN, *GAPS, *WEIGHED)),
    ],
}
HEAD = """\
Interquartile mean over distillation seeds × 10 students × 4 episodes, ± standard deviation over students; the
ensemble of ten seed by seed, mean of 10 episodes each, and mean ± standard deviation of those; median loss on
held-out states, to be compared where the objective is the same. Students of the `plain` recipe where the name says
nothing else, no noise on the states, 150 steps. `benchmarks/choices.py` made it."""
COLUMNS = """\
| variant | one student | ensemble, seed by seed | over seeds | held-out loss |
|---|---|---|---|---|"""


def row(name: str, seeds: dict[str, Any]) -> str:
    found = [seeds[seed] for seed in sorted(seeds, key=int)]
    singles = np.concatenate([np.array(each["student"]["returns"]) for each in found])
    one = f"{interquartile_mean(singles):.1f} ± {singles.mean(1).std(ddof=1):.1f}"
    together = [each["ensemble"]["mean"] for each in found]
    seeds_of = f"{np.mean(together):.0f}" + (f" ± {np.std(together, ddof=1):.0f}" if len(together) > 1 else "")
    loss = np.median([each["held_out_loss"] for each in found])
    cells = (name, one, ", ".join(f"{x:.0f}" for x in together), seeds_of, f"{loss:.3f}")
    return f"| {' | '.join(cells)} |"


def pages() -> dict[str, str]:
    """The tables of each page under docs/, by its name; what has not been run is left out."""
    found = {"The bundled dataset": HERE / "results" / "choices.json"}
    found |= {
        f"`{path.stem}` of the nine files": path for path in sorted((HERE / "results" / "choices").glob("*.json"))
    }
    results = {name: json.loads(path.read_text()) for name, path in found.items()}
    return {page: "\n\n".join([HEAD, *tables(names, results)]) for page, names in SHOWN.items()}


def tables(names: list[str], results: dict[str, Any]) -> list[str]:
    """One table a dataset on which more of the variants were run than the default."""
    made = []
    for name, result in results.items():
        rows = [row(variant, result["runs"][variant]["seeds"]) for variant in names if variant in result["runs"]]
        if len(rows) > 1:
            made += [f"{name} (teacher {result['teacher']['mean']:.1f}):", "\n".join([COLUMNS, *rows])]
    return made


def variants() -> str:
    """The variants of the main table: interquartile means over seeds, students and episodes."""
    results = json.loads((HERE / "results" / "choices.json").read_text())
    teacher = results["teacher"]["mean"]
    lines = [
        "## Variants on the bundled dataset",
        "",
        f"Objectives, solvers and settings, by `benchmarks/choices.py` (teacher {teacher:.1f}). Students of the recipe",
        "`plain` where the name says nothing else; interquartile mean over distillation seeds × 10 students × 4",
        "episodes; ± is the standard deviation over students; the ensembles play 10 episodes a seed.",
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
