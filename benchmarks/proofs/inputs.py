"""Make the files for the command lines of proofs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.files import Workspace


def prepare_inputs(
    workspace: Workspace, lines: Iterable[str], made: Mapping[str, str], run: Callable[[list[str], Path], bool]
) -> dict[str, str]:
    """Make the files for ``{dataset}``, ``{teacher}`` and other names in braces; return their paths by name.

    Args:
        workspace: the folder for the files.
        lines: the command lines. Only runs that occur in them are made.
        made: for each name of a run, the command line that makes it.
        run: runs the words of a command line with a run folder, and returns whether it succeeded.
    """
    workspace.runs.mkdir(parents=True, exist_ok=True)
    toy, text = Workspace(workspace.runs, toy=True), " ".join(lines)
    paths = {"dataset": str(toy.find_dataset("").resolve()), "teacher": str(toy.find_teacher("").resolve())}  # type: ignore[union-attr]
    for name, line in made.items():
        if f"{{{name}}}" not in text:
            continue
        folder = (workspace.runs / name).resolve()
        paths[name] = str(folder)
        if not (folder / "result.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            if not run(line.format(**paths).split(), folder):
                raise RuntimeError(f"{line}: failed, see {workspace.runs}")
    return paths
