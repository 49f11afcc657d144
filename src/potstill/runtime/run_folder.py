"""Run folders, into which commands write their settings, metrics, results and plots."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from potstill.errors import PotstillError
from potstill.runtime.files import (
    JsonObject,
    StrPath,
    make_write_error,
    read_json,
    read_json_lines,
    to_json,
    write_atomically,
    write_json,
)
from potstill.runtime.folder_state import (
    CONFIG,
    METRICS,
    NEW,
    RESULT,
    check_free,
    check_out,
    check_same,
    clear,
    find_finished,
    find_unfinished,
    hash_records,
    is_free,
    list_files,
    make_folder,
    make_path_beside,
    normalise,
    swap,
)
from potstill.runtime.locks import FolderLock
from potstill.runtime.run import Run
from potstill.runtime.trackers.base import Feed, MetricsTracker

__all__ = ["RunFolder", "add_file", "check_free", "check_out", "find_finished"]
PARTS = "parts.json"


class RunFolder:
    """A folder with ``config.json``, ``metrics.jsonl``, ``result.json`` and the other files that a command writes.

    It is a context manager. While it is open, no other run can write to the folder. A run that replaces another one
    is built beside it, in ``NAME.partial``, and :meth:`finish` swaps the two. If the process is killed earlier, the
    earlier run is unchanged.

    Args:
        path: the folder to make; ``None`` makes ``runs/<command>-<time>``.
        command: the name of the command.
        config: its resolved settings: a dataclass or a dictionary.
        force: replace an existing run. A folder with files that potstill did not write is never replaced.
        resume: resume the run in the folder, if it exists. It must be unfinished and have the same settings.
        discard: always build the folder beside its path, and delete it if the command fails.
        track: a tracker that gets the metrics as well.

    Raises:
        PotstillError: the folder exists (without ``force``), is not a run folder, is in use, or cannot be made.
    """

    path: Path
    """The folder that holds the files. :meth:`finish` may move it to :attr:`target`."""

    def __init__(
        self,
        path: StrPath | None,
        command: str,
        config: object,
        *,
        force: bool = False,
        resume: bool = False,
        discard: bool = False,
        track: type[MetricsTracker] | None = None,
    ) -> None:
        self.target = Path("runs") if path is None else normalise(path)
        self.started = time.time()
        self.discard = discard
        self.locks: list[FolderLock] = []
        settings = {"command": command, **to_json(config)}
        unfinished = find_unfinished(self.target, settings, force=force) if resume and path is not None else None
        self.resumed = unfinished is not None
        if unfinished is not None:
            self.path = unfinished
            self._lock()
            check_same(self.path, settings)
            self.keep_metrics(lambda line: True)  # drops an incomplete last line
        else:
            self.path = self._claim_new(command) if path is None else self._claim(force)
            self.write_json(CONFIG, settings)
            write_atomically(self.path / METRICS, b"")
        parts = self.path / PARTS
        self.parts: JsonObject = read_json(parts) if parts.exists() else {}
        self.feed = None
        if track is not None:
            self.feed = Feed(lambda: track(self.path, self.target.name, command, settings), track.__name__)

    def _lock(self) -> None:
        """Lock the folder, and the folder that it will replace."""
        self.locks = [FolderLock(place) for place in dict.fromkeys((self.path, self.target)) if place.is_dir()]
        for lock in self.locks:
            lock.record(process=os.getpid())

    def _claim(self, force: bool) -> Path:
        """Make and lock the folder of a new run, and empty it."""
        check_free(self.target, force=force)
        replaces = self.target.is_dir() and not is_free(self.target)
        self.path = make_path_beside(self.target, NEW) if replaces or self.discard else self.target
        make_folder(self.path)
        self._lock()
        check_free(self.target, force=force, ours=True)  # another run may have been faster
        if self.path != self.target:
            clear(self.path)
        return self.path

    def _claim_new(self, command: str) -> Path:
        """Make and lock a folder named by the command and the time, with a number if that name is taken."""
        stem = Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"
        for count in itertools.count(1):
            self.target = stem if count == 1 else stem.with_name(f"{stem.name}-{count}")
            self.path = make_path_beside(self.target, NEW) if self.discard else self.target
            make_folder(self.target.parent)
            if self.target.exists():
                continue
            try:
                self.path.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise make_write_error(f"to {self.path}", error) from None
            self._lock()
            break
        return self.path

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End its tracking, record the files of a finished run, and release the folder."""
        if self.feed is not None:
            self.feed.close()
        if (self.path / RESULT).exists() and self.path == self.target:
            self.record_files()
        elif self.discard:
            shutil.rmtree(self.path, ignore_errors=True)
        for lock in self.locks:
            lock.release()

    @property
    def run(self) -> Run:
        """The folder as the object that commands return."""
        return Run(self.path)

    def log(self, **metrics: object) -> None:
        """Append one line to ``metrics.jsonl``, and close the file."""
        path = self.path / METRICS
        try:
            with path.open("a") as file:
                file.write(json.dumps(to_json(metrics)) + "\n")
        except OSError as error:
            raise make_write_error(path, error) from None
        if self.feed is not None:
            self.feed.add_line(to_json(metrics))

    def keep_metrics(self, wanted: Callable[[JsonObject], bool]) -> None:
        """Keep only the ``wanted`` lines of ``metrics.jsonl``. A resumed run writes the others again."""
        path = self.path / METRICS
        lines = [json.dumps(line) for line in read_json_lines(path) if wanted(line)] if path.exists() else []
        write_atomically(path, "".join(line + "\n" for line in lines).encode())

    def write_json(self, name: str, content: object) -> None:
        """Write ``content`` as JSON under ``name``, atomically."""
        write_json(self.path / name, content)

    def compute_once(self, name: str, compute: Callable[[], object]) -> Any:
        """Compute a JSON value once in a run, however often the run is interrupted and resumed.

        Args:
            name: names the value in the run.
            compute: returns the value. It is not called if an interrupted run has computed the value.
        """
        if name not in self.parts:
            self.parts[name] = json.loads(json.dumps(to_json(compute())))
            write_json(self.path / PARTS, self.parts, secret=True)  # it may hold the secret of private noise
        return self.parts[name]

    def check_inputs(self, **hashes: str | None) -> None:
        """Check that a resumed run has the same inputs as the interrupted one.

        Args:
            hashes: SHA-256 of each input, by name.

        Raises:
            PotstillError: an input has changed.
        """
        for name, value in hashes.items():
            if self.compute_once(f"input {name}", lambda value=value: value) != value:  # type: ignore[misc]
                raise PotstillError(f"{self.path}: the {name} has changed since the run began: it cannot be resumed")

    def finish(self, result: object) -> None:
        """Write ``result.json``, and move the folder to its path. A run with this file is finished."""
        (self.path / PARTS).unlink(missing_ok=True)
        self.write_json(RESULT, result)
        if self.feed is not None:
            self.feed.add_result(result)
        if self.path == self.target:
            return
        kept = swap(self.path, self.target)
        self.path = self.target
        if kept is not None:
            print(f"{kept} is the earlier run: files were added to it")

    def record_files(self) -> None:
        """Record in ``.potstill`` the files that potstill wrote, and the hashes of settings, metrics and result."""
        self.locks[0].record(files=sorted(list_files(self.path)), sha256=hash_records(self.path))


def add_file(run: Path, name: str, content: object) -> None:
    """Write a JSON file into the folder of a finished run, and record it as one of the run's files."""
    lock = FolderLock(run)
    write_json(run / name, content)
    lock.record(files=sorted(list_files(run)))
    lock.release()


def list_places_beside(run: Path) -> list[Path]:
    """List the folders in which artefacts of a run, or of earlier runs on the same data, are searched."""
    return [run, run.parent, Path("runs")]


def list_artefact_folders(places: Iterable[Path], kind: str) -> Iterator[Path]:
    """List the run folders in some folders that contain an artefact, such as a ``"teacher"``.

    A run of another command may have one in its folder ``KIND``, such as the teacher that a distillation trained.
    """
    for place in places:
        for pattern in (f"*/{kind}.safetensors", f"*/{kind}/{kind}.safetensors"):
            yield from (path.parent for path in place.glob(pattern))
