"""``python -m benchmarks.proofs NAME [--methods METHOD ...] [--toy] [--out FOLDER]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.files import RESULTS, RUNS, Workspace
from benchmarks.grid import Experiment, Results, run

PROOFS = {
    "kills": "kill commands at random moments, and resume them",
    "flips": "truncate files, and flip their bits",
    "fuzz": "mutate files, and read them",
    "options": "run every pair of options",
    "repeats": "distil many times in one process",
}


def load_proof(name: str) -> Experiment:
    """The experiment that a module of this package declares."""
    found = import_module(f"benchmarks.proofs.{name}").EXPERIMENT
    assert isinstance(found, Experiment)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run a proof and print its records; return 1 if one has failures."""
    about = "; ".join(f"{name}: {text}" for name, text in PROOFS.items())
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs", description=about)
    parser.add_argument("name", choices=PROOFS)
    parser.add_argument("--methods", nargs="+", help="only these cells")
    parser.add_argument("--toy", action="store_true", help="a few of each, not among the results")
    parser.add_argument("--out", type=Path, help="folder of the result file, instead of results/proofs/")
    options = parser.parse_args(words)
    experiment = load_proof(options.name)
    cells = [cell for cell in experiment.cells if not options.methods or cell.method in options.methods]
    workspace = Workspace(RUNS / "proofs" / ("toy" if options.toy else ".") / options.name, options.toy)
    folder = options.out or (workspace.runs if options.toy else RESULTS / "proofs")
    results = Results(folder / f"{options.name}.jsonl")
    if options.toy:
        results.path.unlink(missing_ok=True)
    run(experiment, cells, workspace, results)
    found = results.by_cell(experiment)
    for cell in cells:
        print(f"{cell}: {found[cell]}")
    return int(any(found[cell]["failures"] for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
