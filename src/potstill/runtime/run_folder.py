"""Run folders: where every command leaves its configuration, metrics, results and plots."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either the old bytes or the new ones, never a part."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(to_json(content), indent=2) + "\n").encode())


def to_json(value: Any) -> Any:
    """Turn dataclasses, paths and NumPy values into what :mod:`json` can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


class RunFolder:
    """A folder with ``config.json``, ``metrics.jsonl``, ``result.json`` and whatever a command adds.

    Args:
        path: the folder to make; ``None`` makes ``runs/<command>-<time>``.
        command: the name of the command that runs.
        config: its resolved configuration, a dataclass.
        force: replace an existing run folder. A folder that is not one of ours is never replaced.
        resume: go on in the folder if it exists; its settings must be the same and it must be unfinished.

    Raises:
        PotstillError: if the folder exists (without ``force``), is no run folder, or cannot be made.
    """

    def __init__(
        self, path: Path | str | None, command: str, config: Any, *, force: bool = False, resume: bool = False
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

    def log(self, **figures: Any) -> None:
        """Append one line to ``metrics.jsonl``; it is on disk when this returns."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(to_json(figures)) + "\n")

    def keep_metrics(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the lines of ``metrics.jsonl`` that are not ``wanted``: a resumed run writes them again."""
        path = self.path / "metrics.jsonl"
        lines = [line for line in path.read_text().splitlines() if wanted(json.loads(line))]
        write_atomically(path, "".join(line + "\n" for line in lines).encode())

    def write_json(self, name: str, content: Any) -> None:
        """Write ``content`` as JSON under ``name``, atomically."""
        write_json(self.path / name, content)

    def finish(self, result: dict[str, Any]) -> None:
        """Write ``result.json``: its presence says that the run came to its end."""
        self.write_json("result.json", result)


def fresh_path(command: str) -> Path:
    """A run folder of ``command`` that does not exist yet, named by the time."""
    stem = Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = stem, 1
    while path.exists():
        count += 1
        path = stem.with_name(f"{stem.name}-{count}")
    return path


def check_free(path: Path | str | None, *, force: bool = False) -> None:
    """Raise unless ``path`` can become a run folder; called before hours are spent on a run."""
    if path is None:
        return
    path = Path(path)
    if path.is_dir() and any(path.iterdir()):
        if not (path / "config.json").exists():
            raise PotstillError(f"{path} exists and is not a potstill run folder: choose another --out")
        if not force:
            raise PotstillError(f"{path} exists: choose another --out, or --force to replace it")
    elif path.exists() and not path.is_dir():
        raise PotstillError(f"{path} is a file: --out names a folder")
    parent = next(p for p in [path, *path.absolute().parents] if p.exists())
    if not os.access(parent, os.W_OK):
        raise PotstillError(f"cannot write to {path}: no permission in {parent}")


def check_out(config: Any) -> bool:
    """Raise unless the run of ``config`` can go to its ``--out``; true if it is to go on with a run there."""
    resumed = config.resume and (Path(config.out) / "config.json").exists()
    if resumed:
        check_same(Path(config.out), config)
    else:
        check_free(config.out, force=config.force)
    return resumed


def check_same(path: Path, config: Any) -> None:
    """Raise unless the run in ``path`` is unfinished and has the settings of ``config``."""
    saved, wanted = read_json(path / "config.json"), to_json(config)
    if (path / "result.json").exists():
        raise PotstillError(f"{path} is finished: nothing to resume")
    for name in (name for name in wanted if name in saved and name not in ("out", "force", "resume")):
        if saved[name] != wanted[name]:
            raise PotstillError(f"{path} has {name} {saved[name]}, not {wanted[name]}: it cannot be resumed so")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or raise one line that says which file is at fault."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise PotstillError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise PotstillError(f"{path} is not readable JSON: {error}") from None
    if not isinstance(content, dict):
        raise PotstillError(f"{path} holds {type(content).__name__}, not a JSON object")
    return content
