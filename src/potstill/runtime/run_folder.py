"""Run folders, into which commands write their settings, metrics, results and plots."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from potstill.errors import PotstillError
from potstill.runtime.files import JsonObject, StrPath, read_json, to_json, write_atomically, write_json
from potstill.runtime.run import Run

__all__ = [
    "Run",
    "RunFolder",
    "check_free",
    "check_out",
    "check_same",
    "fresh_path",
    "read_json",
    "to_json",
    "write_atomically",
    "write_json",
]


class RunFolder:
    """A folder with ``config.json``, ``metrics.jsonl``, ``result.json`` and the other files that a command writes.

    Args:
        path: the folder to make; ``None`` makes ``runs/<command>-<time>``.
        command: the name of the command.
        config: its resolved settings: a dataclass or a dictionary.
        force: replace an existing run folder. A folder that is not a run folder is never replaced.
        resume: continue the run in the folder, if it exists. It must be unfinished and have the same settings.

    Raises:
        PotstillError: the folder exists (without ``force``), is not a run folder, or cannot be made.
    """

    def __init__(
        self, path: StrPath | None, command: str, config: object, *, force: bool = False, resume: bool = False
    ) -> None:
        self.path = Path(path) if path is not None else fresh_path(command)
        self.started = time.time()
        if resume and (self.path / "config.json").exists():
            check_same(self.path, config)
            return
        self._make(force)
        self.write_json("config.json", {"command": command, **to_json(config)})
        (self.path / "metrics.jsonl").touch()

    def _make(self, force: bool) -> None:
        check_free(self.path, force=force)
        try:
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True)
        except OSError as error:
            raise PotstillError(f"cannot write to {self.path}: {error.strerror or error}") from None

    @property
    def run(self) -> Run:
        """The folder as the object that commands return."""
        return Run(self.path)

    def log(self, **metrics: object) -> None:
        """Append one line to ``metrics.jsonl``. The line is in the file when this method returns."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(to_json(metrics)) + "\n")

    def keep_metrics(self, wanted: Callable[[JsonObject], bool]) -> None:
        """Keep only the ``wanted`` lines of ``metrics.jsonl``. A resumed run writes the others again."""
        path = self.path / "metrics.jsonl"
        lines = [line for line in path.read_text().splitlines() if wanted(json.loads(line))]
        write_atomically(path, "".join(line + "\n" for line in lines).encode())

    def write_json(self, name: str, content: object) -> None:
        """Write ``content`` as JSON under ``name``, atomically."""
        write_json(self.path / name, content)

    def finish(self, result: object) -> None:
        """Write ``result.json``. A run with this file is finished."""
        self.write_json("result.json", result)


def fresh_path(command: str) -> Path:
    """Choose the path of a new run folder: the command and the time, and a number if that path exists."""
    stem = Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = stem, 1
    while path.exists():
        count += 1
        path = stem.with_name(f"{stem.name}-{count}")
    return path


def check_free(path: StrPath | None, *, force: bool = False) -> None:
    """Raise unless a run folder can be made at ``path``. Commands call this before they compute anything."""
    if path is None:
        return
    path = Path(path)
    if path.is_dir() and any(path.iterdir()):
        if not (path / "config.json").exists():
            raise PotstillError(f"{path} exists and is not a potstill run folder: choose another --out")
        if not force:
            raise PotstillError(f"{path} exists: choose another --out, or --force to replace it")
    elif path.exists() and not path.is_dir():
        raise PotstillError(f"{path} is a file: --out must name a folder")
    parent = next(p for p in [path, *path.absolute().parents] if p.exists())
    if not os.access(parent, os.W_OK):
        raise PotstillError(f"cannot write to {path}: no permission in {parent}")


def check_out(out: StrPath | None, settings: object, *, force: bool = False, resume: bool = False) -> bool:
    """Check that a resumable command can write to ``out``; return whether it continues a run there.

    Args:
        out: the run folder to make or to continue.
        settings: the resolved settings of the command.
        force: replace an existing run folder.
        resume: continue an unfinished run with the same settings.

    Raises:
        PotstillError: the folder exists, or its run is finished or has other settings.
    """
    resumed = resume and out is not None and (Path(out) / "config.json").exists()
    if resumed and out is not None:
        check_same(Path(out), settings)
    else:
        check_free(out, force=force)
    return resumed


def check_same(path: Path, config: object) -> None:
    """Raise unless the run in ``path`` is unfinished and has the settings of ``config``."""
    saved, wanted = read_json(path / "config.json"), to_json(config)
    if (path / "result.json").exists():
        raise PotstillError(f"{path} is finished: there is nothing to resume")
    for name in (name for name in wanted if name in saved and name not in ("out", "force", "resume")):
        if saved[name] != wanted[name]:
            raise PotstillError(f"{path} has {name} {saved[name]}, not {wanted[name]}: resume it with its own settings")
