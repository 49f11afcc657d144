"""Kill a command with SIGKILL at random moments, then resume or repeat it. The result must be the same.

In half of the trials, the command replaces an earlier run (``--force``). That run must be unchanged until the new one
replaces it, and the new one must then be complete.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.proofs.inputs import prepare_inputs
from potstill.runtime.files import read_json

KILLS, TOY_KILLS = 50, 1
LONGER = 1.1  # moments extend to this multiple of the duration of an uninterrupted run
TIMES = ("seconds", "updates_per_second", "in words", "summary", "command")  # entries that differ from run to run


@dataclass(frozen=True)
class Command:
    """A command that is killed."""

    line: str
    """Its arguments, in which ``{dataset}``, ``{teacher}``, ``{distillate}`` and ``{world}`` are paths."""
    artefacts: tuple[str, ...]
    """Files whose bytes are compared."""
    resumes: bool = True
    """Whether the command has ``--resume``; otherwise it is repeated."""

    def list_words(self, paths: Mapping[str, str]) -> list[str]:
        """List the words of the command line."""
        return [word.format(**paths) for word in self.line.split()]


COMMANDS = {
    "teach": Command(
        "teach {dataset} --algorithm bc --updates 60 --evaluate-every 20 --fitted-updates 20 --episodes 1 --batch 32",
        ("teacher.safetensors",),
    ),
    "distill": Command(
        "distill {dataset} --teacher {teacher} --size 8 --steps 40 --batch 64 --students 2 --episodes 1 "
        "--recipe.width 16 --recipe.steps 20",
        ("distillate.safetensors",),
    ),
    "distill in stages": Command(
        "distill {dataset} --teacher {teacher} --size 8 --steps 20 --batch 64 --students 2 --episodes 1 --widths 8 "
        "--polish 10 --solver unroll --optimiser sgd --learn both --average 0.7 --choose held-out --recipe.width 16 "
        "--recipe.steps 20",
        ("distillate.safetensors",),
    ),
    "distill until it converges": Command(
        "distill {dataset} --teacher {teacher} --size 8 --max-steps 60 --batch 64 --students 2 --episodes 1 "
        "--recipe.width 16 --recipe.steps 20",
        ("distillate.safetensors",),
    ),
    "distill imagined states": Command(
        "distill {dataset} --teacher {teacher} --size 8 --steps 20 --batch 64 --students 2 --episodes 1 "
        "--states imagined --world {world} --recipe.width 16 --recipe.steps 20",
        ("distillate.safetensors",),
    ),
    "model": Command("model {dataset} --steps 2000 --members 2 --width 8 --batch 16", ("world.safetensors",)),
    "collect": Command("collect Pendulum-v1 --level random --steps 30000", ("card.json",)),
    "convert": Command("convert {dataset}", ("rows.npy",), resumes=False),
    "evaluate": Command("evaluate {distillate} --students 2 --episodes 5", ()),
}

MADE = {
    "distillate": COMMANDS["distill"].line,
    "world": "model {dataset} --steps 20 --members 2 --width 8 --batch 16",
}


def run_command(words: list[str], folder: Path, kill_after: float | None = None) -> int | None:
    """Run potstill in ``folder``; return its exit code, or ``None`` if it was killed."""
    with (folder / "output.txt").open("a") as output:
        process = subprocess.Popen([sys.executable, "-m", "potstill", *words], cwd=folder, stdout=output, stderr=output)
        try:
            return process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None


def drop_times(value: Any) -> Any:
    """Remove the entries of a result that differ from run to run."""
    if isinstance(value, Mapping):
        return {key: drop_times(item) for key, item in value.items() if key not in TIMES}
    return [drop_times(item) for item in value] if isinstance(value, list) else value


def hash_run(run: Path, command: Command) -> str:
    """Hash a run's artefacts and its result; return an empty string if the run is not finished."""
    if not (run / "result.json").exists():
        return ""
    found = hashlib.sha256(repr(drop_times(read_json(run / "result.json"))).encode())
    for name in command.artefacts:
        found.update((run / name).read_bytes())
    return found.hexdigest()


def try_once(words: list[str], command: Command, folder: Path, moment: float, wanted: str, earlier: Path | None) -> str:
    """Kill the command after ``moment`` seconds, then complete it. Return the failure, or an empty string."""
    run, before = folder / "run", ""
    if earlier is not None:
        shutil.copytree(earlier, run)
        before = hash_run(run, command)
    force = ["--force"] if earlier is not None else []
    code = run_command([*words, "--out", "run", *force], folder, moment)
    after = hash_run(run, command)
    if code not in (0, None):
        return f"exit code {code} before it was killed"
    if after not in (before, wanted):
        return "the earlier run was lost"
    if after != wanted:
        again = ["--resume"] if command.resumes else []
        code = run_command([*words, "--out", "run", *force, *again], folder)
        if code:
            return f"exit code {code} when it was resumed"
    return "" if hash_run(run, command) == wanted else "another result"


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Kill one command at random moments."""
    command = COMMANDS[cell.method]
    run = lambda words, folder: run_command([*words, "--out", str(folder)], workspace.runs) == 0  # noqa: E731
    words = command.list_words(prepare_inputs(workspace, [command.line], MADE, run))
    folder = (workspace.runs / cell.method.replace(" ", "-")).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    whole = folder / "whole"
    whole.mkdir(parents=True)
    started = time.perf_counter()
    assert run_command([*words, "--out", "run"], whole) == 0, (whole / "output.txt").read_text()
    seconds, wanted = time.perf_counter() - started, hash_run(whole / "run", command)
    earlier = whole / "earlier"
    other = [*words, "--seed", "1"] if cell.method != "convert" else [*words, "--rows", "100"]
    assert run_command([*other, "--out", "earlier"], whole) == 0, (whole / "output.txt").read_text()
    kills = TOY_KILLS if workspace.toy else KILLS
    moments = np.sort(np.random.default_rng(cell.seed).uniform(0, LONGER * seconds, kills))
    failures = []
    for number, moment in enumerate(moments.tolist()):
        trial = folder / f"{number}"
        trial.mkdir()
        found = try_once(words, command, trial, moment, wanted, earlier if number % 2 or workspace.toy else None)
        if found:
            failures.append(f"{moment:.2f} s: {found}")
        else:
            shutil.rmtree(trial)
    return {"kills": kills, "failures": failures}


def describe_inputs(cell: Cell) -> Record:
    """Return the command, and the number of kills."""
    return {"line": COMMANDS[cell.method].line, "kills": KILLS}


EXPERIMENT = Experiment(
    "kills",
    "kill commands at random moments, then resume or repeat them",
    (Cell("convert"),),
    describe_inputs,
    measure,
    frozenset({"kills", "failures"}),
    extra=tuple(Cell(name) for name in COMMANDS if name != "convert"),
    toy=(Cell("convert"),),
)
