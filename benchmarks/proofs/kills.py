"""Kill a command with SIGKILL at random moments, then resume or repeat it. The result must be the same.

In half of the trials, the command replaces an earlier run (``--force``). That run must be unchanged until the new one
replaces it, and the new one must then be complete.

The command runs in a copy of a process that has imported it, so that kills hit its work rather than its imports.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.proofs.inputs import keep_compiled, prepare_inputs
from potstill.cli import main
from potstill.runtime.files import read_json

KILLS, TOY_KILLS = 50, 1
POLL = 0.01  # seconds between two measurements of a process
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


def enter(words: list[str], folder: str) -> None:
    """Run potstill in this process, with its output in a file."""
    os.chdir(folder)
    with Path("output.txt").open("a") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    sys.exit(main(words))


def run_command(words: list[str], folder: Path, kill_after: float | None = None) -> tuple[int | None, float]:
    """Run potstill in ``folder``; kill it once its processor has worked for ``kill_after`` seconds.

    Processor time does not depend on what else the computer does.

    Returns:
        The exit code, or ``None`` if the process was killed, and its seconds.
    """
    process = multiprocessing.get_context("forkserver").Process(target=enter, args=(words, str(folder)))
    process.start()
    seconds = 0.0
    while process.is_alive():
        seconds = measure_seconds(process.pid) or seconds
        if kill_after is not None and seconds >= kill_after:
            process.kill()
            process.join()
            return None, seconds
        process.join(POLL)
    return process.exitcode, seconds


def measure_seconds(pid: int | None) -> float:
    """Measure the processor's seconds of a process; 0 if it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


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


def try_once(
    words: list[str], command: Command, folder: Path, moment: float, wanted: str, earlier: Path | None
) -> tuple[bool, str]:
    """Kill the command after ``moment`` seconds, then complete it.

    Returns:
        Whether the command was still running, and the failure, or an empty string.
    """
    run, before = folder / "run", ""
    if earlier is not None:
        shutil.copytree(earlier, run)
        before = hash_run(run, command)
    force = ["--force"] if earlier is not None else []
    code, _ = run_command([*words, "--out", "run", *force], folder, moment)
    after, hit = hash_run(run, command), code is None
    if code not in (0, None):
        return hit, f"exit code {code} before it was killed"
    if after not in (before, wanted):
        return hit, "the earlier run was lost"
    if after != wanted:
        again = ["--resume"] if command.resumes else []
        code, _ = run_command([*words, "--out", "run", *force, *again], folder)
        if code:
            return hit, f"exit code {code} when it was resumed"
    return hit, "" if hash_run(run, command) == wanted else "another result"


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Kill one command at random moments."""
    multiprocessing.set_forkserver_preload(["__main__", f"potstill.commands.{COMMANDS[cell.method].line.split()[0]}"])
    with keep_compiled(workspace.runs / "compiled"):
        return kill_repeatedly(cell, workspace)


def kill_repeatedly(cell: Cell, workspace: Workspace) -> Record:
    """Measure how long the command takes, then kill it at random moments of this time."""
    command = COMMANDS[cell.method]
    run = lambda words, folder: run_command([*words, "--out", str(folder)], workspace.runs)[0] == 0  # noqa: E731
    words = command.list_words(prepare_inputs(workspace, [command.line], MADE, run))
    folder = (workspace.runs / cell.method.replace(" ", "-")).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    whole = folder / "whole"
    whole.mkdir(parents=True)
    other = [*words, "--seed", "1"] if cell.method != "convert" else [*words, "--rows", "100"]
    for line, name in ((words, "first"), (other, "earlier"), (words, "run")):  # the first one compiles
        code, seconds = run_command([*line, "--out", name], whole)
        assert code == 0, (whole / "output.txt").read_text()
    wanted, earlier = hash_run(whole / "run", command), whole / "earlier"
    assert hash_run(whole / "first", command) == wanted, "two runs that were not killed differ"
    kills = TOY_KILLS if workspace.toy else KILLS
    moments = np.sort(np.random.default_rng(cell.seed).uniform(0, LONGER * seconds, kills))
    failures, running = [], 0
    for number, moment in enumerate(moments.tolist()):
        trial = folder / f"{number}"
        trial.mkdir()
        hit, found = try_once(words, command, trial, moment, wanted, earlier if number % 2 or workspace.toy else None)
        running += hit
        if found:
            failures.append(f"{moment:.2f} s: {found}")
        else:
            shutil.rmtree(trial)
    return {"kills": kills, "running": running, "failures": failures}


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
