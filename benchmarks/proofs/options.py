"""Run every pair of options of every command. It must work, or be refused in one line with exit code 2.

A run with many options proves all pairs among them. Each pair that is left is therefore run with further options. If
that is refused, it is run with fewer of them, at last alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import re
import shutil
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.proofs.inputs import keep_compiled, prepare_inputs
from potstill.cli import COMMANDS, main

Pair = frozenset[str]
TOY_PAIRS = 2
MOST_OPTIONS = 8  # of a run
PROVEN = ("ran", "refused")
MEASURED = ("convert", "inspect")  # the others take hours
UNPAIRED = ("out", "force", "resume", "download", "video", "track")  # other proofs and tests cover these
SMALL = {
    "teach": "{dataset} --updates 4 --evaluate-every 2 --batch 16 --fitted-updates 2 --episodes 1",
    "distill": "{dataset} --teacher {teacher} --size 4 --steps 2 --batch 16 --students 1 --episodes 1 --curve-points 1 "
    "--recipe.steps 5 --recipe.width 16 --states data",
    "evaluate": "{distillate} --dataset {dataset} --students 1 --episodes 1",
    "convert": "{dataset}",
    "collect": "Pendulum-v1 --level random --steps 300 --training-steps 300 --random-steps 100 --evaluate-every 150",
    "model": "{dataset} --steps 2 --members 1 --width 8 --batch 16 --episodes 1",
    "inspect": "{dataset}",
}
"""A small command line for each command with options."""
VALUES: Mapping[str, tuple[str, ...]] = {
    "teacher": ("{teacher}",),
    "dataset": ("{dataset}",),
    "world": ("{world}",),
    "policy": ("{teacher}",),
    "action_scale": ("0.5",),
    "objective": ("random", "dbc", "pbc", "av-pbc", "q-gap-each"),
    "weighting": ("ranged", "sdw", "opening,density"),
    "solver": ("unroll", "sweep", "ridge", "empirical", "features", "drawn"),
    "recipe": ("paper", "reference", "adam"),
    "algorithm": ("bc", "iql", "cal-ql", "edac"),
    "budget": ("2s",),
    "widths": ("8",),
    "env_id": ("Pendulum-v1", "none"),
    "columns": ("rewards=none",),
    "action_bounds": ("file", "environment", "data"),
    "out_of_bounds": ("clip", "scale"),
    "level": ("random", "expert"),
    "discount": ("0.9",),
    "target_rate": ("0.1",),
    "average": ("0.5",),
    "initial": ("random", "diverse"),
    "devices": ("1",),
    "best_episodes": ("0.5",),
    "format": ("minari",),
}
"""Values of options for which the type is not enough."""


def list_option_values(command: str) -> dict[str, list[str]]:
    """List one or more values of every option of a command, as words."""
    found: dict[str, list[str]] = {}
    for field in dataclasses.fields(COMMANDS[command]):
        if field.default is dataclasses.MISSING or field.name in UNPAIRED:
            continue
        hint, option = str(field.type), f"--{field.name.replace('_', '-')}"
        if field.name in VALUES:
            values = list(VALUES[field.name])
        elif "Literal" in hint:
            values = re.findall(r"'([^']+)'", hint)
        elif "bool" in hint:
            values = [""]
        elif "int" in hint:
            values = ["2"]
        elif "float" in hint:
            values = ["0.5"]
        else:
            continue
        found[field.name] = [f"{option} {value}".strip() for value in values]
    return found


def iterate_pairs(command: str) -> Iterator[Pair]:
    """Yield every pair of options, with every value of each."""
    for first, second in itertools.combinations(list_option_values(command).values(), 2):
        for one, other in itertools.product(first, second):
            yield frozenset((one, other))


def combine(command: str, options: Iterable[str]) -> str:
    """Add options to the small command line of a command; they replace the same options there."""
    words, given = SMALL[command].split(), {option.partition(" ")[0] for option in options}
    kept, keeping = [], True
    for word in words:
        keeping = word not in given if word.startswith("--") else keeping
        kept += [word] if keeping else []
    return " ".join([command, *kept, *sorted(options)])


def try_words(words: list[str], folder: Path) -> str:
    """Run a command line; return ``ran``, ``refused``, or a description of the failure."""
    output, errors = io.StringIO(), io.StringIO()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), warnings.catch_warnings():
            code = main([*words, "--out", str(folder)])
    except BaseException:
        return traceback.format_exc(limit=-1).strip().splitlines()[-1]
    lines = [line for line in errors.getvalue().splitlines() if line.startswith(("potstill: ", "Traceback"))]
    lines = [line for line in lines if not line.startswith("potstill: warning:")]  # progress is on the same stream
    if code == 0:
        return "ran" if (folder / "result.json").exists() else "no result"
    return "refused" if code == 2 and len(lines) == 1 else f"exit code {code}: {' | '.join(lines)[:300]}"


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Run all pairs of one command."""
    with keep_compiled(workspace.runs / "compiled"):
        return try_pairs(cell, workspace)


def try_pairs(cell: Cell, workspace: Workspace) -> Record:
    """Make the files that the pairs need, and prove them all."""
    pairs = list(iterate_pairs(cell.method))
    if workspace.toy:
        pairs = [pairs[number] for number in np.random.default_rng(0).choice(len(pairs), TOY_PAIRS, replace=False)]
    made = {name: f"{command} {SMALL[command]}" for name, command in (("distillate", "distill"), ("world", "model"))}
    lines = [SMALL[cell.method], *itertools.chain.from_iterable(pairs)]
    paths = prepare_inputs(workspace, lines, made, lambda *run: try_words(*run) == "ran")
    outcomes: dict[Pair, str] = {}
    runs = Counter[str]()
    failures = []
    for pair in pairs:
        options, size = extend(pair, pairs, outcomes), MOST_OPTIONS
        while pair not in outcomes:
            tried = options[:size]
            outcome = try_words(combine(cell.method, tried).format(**paths).split(), workspace.runs / cell.method)
            runs[outcome if outcome in PROVEN else "failed"] += 1
            if outcome == "ran" or len(tried) == len(pair):
                outcomes |= {frozenset(two): outcome for two in itertools.combinations(tried, 2)}
            if outcome not in PROVEN:
                failures.append(f"{' '.join(tried)}: {outcome}")
            size = max(len(pair), len(tried) - 2)
    counted = Counter(outcome if outcome in PROVEN else "failed" for outcome in map(outcomes.__getitem__, pairs))
    return {"pairs": len(pairs), "outcomes": counted, "runs": runs, "failures": failures}


def extend(pair: Pair, pairs: Sequence[Pair], outcomes: Mapping[Pair, str]) -> list[str]:
    """List a pair's options, and others that may run with them; first those that are in pairs without an outcome."""
    left = Counter(option for other in pairs if other not in outcomes for option in other)
    found = sorted(pair)
    for option, _ in left.most_common():
        others = [frozenset((option, other)) for other in found]
        if all(other in pairs and outcomes.get(other, "ran") == "ran" for other in others):
            found.append(option)
    return found[:MOST_OPTIONS]


def describe_inputs(cell: Cell) -> Record:
    """Return the options and their values."""
    return {"small": SMALL[cell.method], "values": list_option_values(cell.method)}


EXPERIMENT = Experiment(
    "options",
    "run every pair of options",
    tuple(Cell(name) for name in MEASURED),
    describe_inputs,
    measure,
    frozenset({"pairs", "failures"}),
    extra=tuple(Cell(name) for name in SMALL if name not in MEASURED),
    toy=(Cell("convert"),),
)
