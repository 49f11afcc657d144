"""``python -m benchmarks list | run NAME | pages | check``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import weights
from benchmarks.experiments import MODULES, load_experiment, load_results
from benchmarks.files import BUNDLED, DATASETS, RUNS, Workspace
from benchmarks.grid import Cell, Experiment, Results, find_faults, is_done, needs_shared, run
from potstill.errors import PotstillError
from potstill.runtime.executors import EXECUTORS


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands and their options."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description="Experiments, their results and tables.")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list all experiments: what they measure, what they need, how many cells are done")
    one = commands.add_parser("run", help="measure the missing cells of an experiment")
    one.add_argument("name", choices=MODULES, metavar="NAME", help="name of an experiment, as `list` shows it")
    one.add_argument("--files", nargs="+", help=f"only these files; `{BUNDLED}` is the bundled dataset")
    one.add_argument("--methods", nargs="+", help="only these methods")
    one.add_argument("--seeds", nargs="+", type=int, help="only these seeds")
    one.add_argument("--toy", action="store_true", help="test run of a minute on a few rows; its results are not kept")
    one.add_argument("--out", type=Path, help="folder of the result file, instead of results/")
    one.add_argument("--executor", default="serial", help=f"where the cells run: {', '.join(EXECUTORS)}")
    one.add_argument("--workers", type=int, help="number of cells that run at a time; do not use it for timings")
    one.add_argument("--address", help="address of a Ray cluster, or `local` for slurm")
    pages = commands.add_parser("pages", help="write the tables of README.md and docs/, and the figures")
    pages.add_argument("--check", action="store_true", help="write nothing; fail if a table is out of date")
    commands.add_parser("check", help="check the result files, the weights and the tables")
    return top


def list_experiments() -> int:
    """Print one line for each experiment."""
    for name in MODULES:
        experiment = load_experiment(name)
        records = load_results(name).group_by_cell(experiment)
        cells = experiment.cells or experiment.extra
        done = sum(is_done(experiment, cell, records) for cell in cells)
        print(f"{name:16} {done:3} of {len(cells):3}  {experiment.needs:31} {experiment.about}")
    return 0


def select_cells(experiment: Experiment, options: argparse.Namespace) -> list[Cell]:
    """Select the cells that the options name."""
    named = bool(options.files or options.methods)
    cells = [*experiment.cells, *(experiment.extra if named or not experiment.cells else ())]
    if options.toy:
        cells = list(experiment.toy or experiment.cells[:1])
    wanted = {"file": options.files, "method": options.methods, "seed": options.seeds}
    selected = [c for c in cells if all(not values or getattr(c, axis) in values for axis, values in wanted.items())]
    if named and not options.files:  # extra cells only if their file is named or no other cell remains
        selected = [cell for cell in selected if cell in experiment.cells or options.toy] or selected
    return selected


def run_one(options: argparse.Namespace) -> int:
    """Measure the missing cells. Return 2 if data or packages are missing."""
    experiment, cells = load_experiment(options.name), select_cells(load_experiment(options.name), options)
    if not cells:
        return print_error(
            f"{options.name} has no such cells; its methods: "
            f"{sorted({cell.method for cell in (*experiment.cells, *experiment.extra)})}"
        )
    if any(map(needs_shared, cells)) and not options.toy and not DATASETS.is_dir():
        return print_error(f"{options.name} needs ../shared/datasets, which does not exist; {make_hint(experiment)}")
    workspace = Workspace(RUNS / ("toy" if options.toy else ".") / options.name, options.toy)
    folder = options.out or (workspace.runs if options.toy else None)
    results = load_results(options.name) if folder is None else Results(folder / f"{options.name}.jsonl")
    if options.toy:
        results.path.unlink(missing_ok=True)
    try:
        kind = EXECUTORS[options.executor]
        executor = kind(options.workers, options.address, workspace.runs / "jobs")
    except PotstillError as error:
        return print_error(str(error))
    count = run(experiment, cells, workspace, results, executor)
    done = len(cells) - count.measured - count.failed
    print(f"{options.name}: {count.measured} cells measured, {done} already done, {count.failed} failed")
    if done == len(cells):
        print("measure them again with --out FOLDER")
    found = results.group_by_cell(experiment)
    failures = [f"{c}: {failure}" for c in cells if c in found for failure in found[c].get("failures", ())]
    print("\n".join(failures), end="\n" if failures else "")
    return min(1, len(failures) + count.failed)


def make_hint(experiment: Experiment) -> str:
    """Describe the options that run an experiment without the nine files."""
    alone = any(cell.file == BUNDLED for cell in (*experiment.cells, *experiment.extra))
    return f"--files {BUNDLED} and --toy need only this repository" if alone else "--toy needs only this repository"


def print_error(message: str) -> int:
    """Print a one-line error and return the exit code 2."""
    print(message, file=sys.stderr)
    return 2


def check() -> int:
    """Print all faults of results, weights and pages."""
    from benchmarks.pages.blocks import find_outdated_pages

    messages = [fault for name in MODULES for fault in find_faults(load_experiment(name), load_results(name))]
    messages += [*weights.find_faults(), *find_outdated_pages()]
    print("\n".join(messages) or "results, weights and pages are up to date")
    return min(1, len(messages))


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = make_parser().parse_args(words)
    if options.command == "list":
        return list_experiments()
    if options.command == "run":
        return run_one(options)
    if options.command == "check":
        return check()
    from benchmarks.pages import blocks

    return blocks.check() if options.check else blocks.write()


if __name__ == "__main__":
    sys.exit(main())
