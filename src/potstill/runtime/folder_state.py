"""Classify folders: free, a run folder with potstill's files only, or foreign. Foreign files are never replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from potstill.errors import PotstillError, name_option
from potstill.runtime.files import JsonObject, StrPath, hash_file, make_write_error, read_json, to_json
from potstill.runtime.locks import MARKER, FolderLock, read_marker

CONFIG, METRICS, RESULT = "config.json", "metrics.jsonl", "result.json"
NEW, OLD = ".partial", ".replaced"
"""Suffixes of a run folder that is built beside an earlier one, and of the earlier one while they are swapped."""
OWN_SUFFIXES = (".json", ".jsonl", ".safetensors", ".png", ".html", ".hdf5", ".npy", ".csv", ".partial")
EVENTS = "events.out.tfevents."  # the names of TensorBoard's files begin so
IGNORED = (MARKER, ".DS_Store")
UNCOMPARED = ("out", "force", "resume", "track", "executor", "workers", "address")
"""Settings that a resumed run may change."""


def hash_records(folder: Path) -> JsonObject:
    """Hash the settings, the metrics and the result of a finished run, by file."""
    return {name: hash_file(folder / name) for name in (CONFIG, METRICS, RESULT) if (folder / name).is_file()}


def check_unchanged(path: Path) -> None:
    """Compare a file of a finished run with its hash in ``.potstill``. Runs of older versions have no hashes.

    Raises:
        PotstillError: the file was changed, or is damaged.
    """
    known = read_marker(path.parent).get("sha256")
    if isinstance(known, dict) and path.name in known and path.is_file() and hash_file(path) != known[path.name]:
        raise PotstillError(f"{path}: damaged or changed, its SHA-256 is not the one in {MARKER} beside it")


def is_free(folder: Path) -> bool:
    """Whether a folder is empty, apart from files of a run that was killed before it wrote its settings."""
    return {entry.name for entry in os.scandir(folder)} <= {MARKER, CONFIG + ".partial"}


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder. ``config.json`` alone does not suffice: other programs write such files too."""
    try:
        command = read_json(folder / CONFIG).get("command")
    except PotstillError:
        return False
    return isinstance(command, str) and ((folder / MARKER).is_file() or (folder / METRICS).is_file())


def is_finished(folder: Path) -> bool:
    """Whether a run folder has a result."""
    return is_run(folder) and (folder / RESULT).is_file()


def list_files(folder: Path) -> Iterator[str]:
    """List the paths of all files in a folder and its subfolders, relative to the folder."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in (*names, *links):
            yield os.path.relpath(os.path.join(place, name), folder)


def list_foreign_files(folder: Path) -> list[str]:
    """List the files in a run folder that potstill did not write.

    A finished run has recorded its files in ``.potstill``. In older and in unfinished runs, the suffix decides.
    """
    recorded = read_marker(folder).get("files")
    own = set(map(str, recorded)) if isinstance(recorded, list) else None
    foreign = []
    for name in list_files(folder):
        base = os.path.basename(name)
        usual = base.endswith(OWN_SUFFIXES) or base == "README.md" or base.startswith(EVENTS)
        known = usual if own is None else name in own
        if not known and base not in IGNORED:
            foreign.append(name)
    return sorted(foreign)


def normalise(path: StrPath) -> Path:
    """Resolve ``~``, links, ``.`` and ``..`` to the folder itself, so that a suffix can be appended to its name.

    Raises:
        PotstillError: the path is empty, or the root of the file system, which has no name.
    """
    if not os.fspath(path):
        raise PotstillError(f"{name_option('out')} is empty: expected a folder")
    path = Path(os.path.expanduser(path))
    found = Path(os.path.realpath(path)) if path.is_symlink() or path.name in ("", "..") else path
    if not found.name:
        raise PotstillError(f"{path} cannot be a run folder: choose another {name_option('out')}")
    return found


def make_path_beside(target: Path, suffix: str) -> Path:
    """Make the path of a folder beside a run folder."""
    return target.with_name(target.name + suffix)


def check_replaceable(folder: Path) -> None:
    """Raise unless ``folder`` is free, or holds a run and nothing else. Foreign files are never deleted."""
    if is_free(folder):
        return
    if not is_run(folder):
        raise PotstillError(f"{folder} exists and is not a potstill run folder: choose another {name_option('out')}")
    foreign = list_foreign_files(folder)
    if foreign:
        more = f" and {len(foreign) - 1} more files" if len(foreign) > 1 else ""
        raise PotstillError(
            f"{folder} contains {foreign[0]}{more}, which potstill did not write: move it, or choose another "
            f"{name_option('out')}"
        )


def clear(folder: Path) -> None:
    """Delete the content of a folder, apart from its lock. Raise if it contains foreign files."""
    check_replaceable(folder)
    for entry in list(os.scandir(folder)):
        if entry.name != MARKER:
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def swap(new: Path, target: Path) -> Path | None:
    """Move the finished folder ``new`` to ``target``, and delete the earlier folder.

    Returns:
        The path of the earlier folder if it is kept, because files were added to it in the meantime; else ``None``.
    """
    old = make_path_beside(target, OLD)
    try:
        if old.is_dir():  # left by a process that was killed while it deleted this folder
            clear(old)
            shutil.rmtree(old)
        replaced = target.exists()
        if replaced:
            os.rename(target, old)
        os.rename(new, target)
        if not replaced:
            return None
        try:
            check_replaceable(old)
        except PotstillError:
            return old
        shutil.rmtree(old)
        return None
    except OSError as error:
        raise PotstillError(f"cannot replace {target}: {error.strerror or error}; the new run is in {new}") from None


def recover(target: Path) -> None:
    """Complete a swap if ``target`` is missing because a process was killed between the two steps."""
    new, old = make_path_beside(target, NEW), make_path_beside(target, OLD)
    source = new if is_finished(new) else old
    if not target.exists() and is_run(old) and is_run(source):
        lock = FolderLock(source)  # raises while another process swaps them
        os.rename(source, target)
        lock.release()


def check_parent(path: Path) -> None:
    """Raise unless a folder can be made at ``path``."""
    parent = next(p for p in [path, *path.absolute().parents] if p.exists())
    if not parent.is_dir():
        raise PotstillError(f"cannot write to {path}: {parent} is a file")
    if not os.access(parent, os.W_OK):
        raise PotstillError(f"cannot write to {path}: no permission in {parent}")


def make_folder(path: Path) -> None:
    """Make a folder, if it does not exist yet."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise make_write_error(f"to {path}", error) from None


def check_free(path: StrPath | None, *, force: bool = False, ours: bool = False) -> None:
    """Raise unless a run folder can be made at ``path``. Commands call this before they compute anything.

    Args:
        path: the folder, or ``None`` for a new one, which is always possible.
        force: whether a run in the folder is replaced.
        ours: whether the caller holds the lock of the folder.
    """
    if path is None:
        return
    target = normalise(path)
    recover(target)
    if target.is_dir() and not is_free(target):
        if not is_run(target):
            raise PotstillError(f"{path} exists and is not a potstill run folder: choose another {name_option('out')}")
        if not force:
            unfinished = not is_finished(target) and "resume" in read_json(target / CONFIG)
            ways = [f"{name_option('resume', True)} to continue it"] if unfinished else []
            how = ", ".join([*ways, f"{name_option('force', True)} to replace it"])
            raise PotstillError(f"{path} exists: choose another {name_option('out')}, or {how}")
        for place in (target, make_path_beside(target, NEW)):
            if place.is_dir() and not ours:
                check_replaceable(place)
                FolderLock(place).release()  # raises if a run is writing to it
    elif target.exists() and not target.is_dir():
        raise PotstillError(f"{path} is a file: {name_option('out')} must name a folder")
    check_parent(target)


def check_out(
    out: StrPath | None, command: str, settings: object, *, force: bool = False, resume: bool = False
) -> bool:
    """Check that a resumable command can write to ``out``; return whether it will resume a run there.

    Args:
        out: the run folder to make or to resume.
        command: the name of the command.
        settings: its resolved settings.
        force: replace an existing run folder.
        resume: resume an unfinished run with the same settings.

    Raises:
        PotstillError: the folder exists, or its run is finished or has other settings.
    """
    if resume and out is not None:
        target = normalise(out)
        found = find_unfinished(target, {"command": command, **to_json(settings)}, force=force)
        if found is not None:
            FolderLock(found).release()  # raises if a run is writing to it
            return True
    check_free(out, force=force)
    return False


def find_unfinished(target: Path, settings: JsonObject, *, force: bool = False) -> Path | None:
    """Find the run to resume for ``target``, or ``None``. A run that replaces another one is beside ``target``.

    Args:
        target: the folder of the run.
        settings: the command and its settings.
        force: whether a run in ``target`` that cannot be resumed is replaced. A process that was to replace it may have
            been killed before it wrote anything.

    Raises:
        PotstillError: the run is finished, or has other settings.
    """
    new = _find_new(target, settings)
    if new is not None:
        return new
    if is_run(target):
        try:
            check_same(target, settings)
        except PotstillError:
            if force:
                return None
            raise
        return target
    return None


def find_finished(out: StrPath, settings: JsonObject) -> Path | None:
    """Find a finished run in the folder ``out``, or ``None``.

    Raises:
        PotstillError: the run has other settings.
    """
    target = normalise(out)
    if _find_new(target, settings) is not None or not is_finished(target):
        return None
    check_same(target, settings, finished=True)
    return target


def _find_new(target: Path, settings: JsonObject) -> Path | None:
    """Find an unfinished run of the same command that will replace ``target``. If it is finished, swap the two."""
    new = make_path_beside(target, NEW)
    recover(target)
    if not is_run(new) or read_json(new / CONFIG).get("command") != settings["command"]:
        return None
    check_same(new, settings, finished=True)
    if not is_finished(new):
        return new
    locks = [FolderLock(place) for place in (new, target) if place.is_dir()]
    swap(new, target)  # the process was killed before this step
    for lock in locks:
        lock.release()
    return None


def check_same(path: Path, settings: object, *, finished: bool = False) -> None:
    """Raise unless the run in ``path`` has these settings and is unfinished. ``finished`` allows finished runs."""
    saved, wanted = read_json(path / CONFIG), to_json(settings)
    if not finished and (path / RESULT).exists():
        raise PotstillError(f"{path} is finished: there is nothing to resume")
    for name in (name for name in wanted if name in saved and name not in UNCOMPARED):
        if saved[name] != wanted[name]:
            raise PotstillError(f"{path} has {name} {saved[name]}, not {wanted[name]}: resume it with its own settings")
