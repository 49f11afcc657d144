"""What the page of finished runs knows about one run: its files, read and checked."""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from potstill.bundled import find_artefact_path
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError, PotstillWarning
from potstill.evaluation.statistics import Result, find_return_label, read_reference
from potstill.reports.tables import read_losses
from potstill.runtime.files import JsonMapping, StrPath, hash_file
from potstill.runtime.run import Run

POLICIES = ("data", "teacher", "random", "student", "ensemble", "bc")
MEASURED = ("imitation_error", "q_gap")
ADDED = ("explain", "audit")  # commands whose results are shown with the run of the same pairs
PICTURE_WIDTH, PICTURE_QUALITY = 1000, 78


@dataclass(frozen=True)
class RunRecord:
    """A finished run of ``distill`` or ``evaluate``."""

    path: str
    """As it was given."""
    name: str
    """Short, and different for each run of a page."""
    command: str
    config: JsonMapping
    result: Result
    distillate: Distillate | None = None
    """The pairs, if their file is there and is the one that the result belongs to."""
    source: Path | None = None
    """The folder of that file: the run of ``potstill distill``, for example."""
    losses: Sequence[tuple[int, float]] = ()
    """Outer steps and losses."""
    added: Mapping[str, Run] = field(default_factory=dict)
    """Runs of :data:`ADDED` on the same pairs, by command."""

    @property
    def title(self) -> str:
        """The dataset, else the environment, else the folder."""
        known = {} if self.distillate is None else self.distillate.metadata.get("dataset")
        named = known.get("name") if isinstance(known, Mapping) else known
        return str(self.result.get("dataset") or named or self.result.get("env_id") or self.name)

    @property
    def scores(self) -> dict[str, JsonMapping]:
        """The scores of each kind of policy that was measured, in the order of :data:`POLICIES`."""
        return {name: self.result[name] for name in POLICIES if self.result.get(name)}

    @property
    def offline(self) -> JsonMapping:
        """The distance to the teacher on held-out states; empty if it was not measured."""
        return self.result.get("offline") or {}

    @property
    def label(self) -> str:
        """The label of returns."""
        return find_return_label(self.result)

    @property
    def is_normalised(self) -> bool:
        """Whether 0 and 100 are reference returns."""
        return bool(read_reference(self.result).source)

    def read_picture(self) -> bytes | None:
        """Read ``states.png`` and write it as a smaller JPEG; ``None`` if it is not there or is not a picture.

        A run without one, such as that of ``potstill evaluate``, has the picture of the run that made the pairs.
        """
        path = Path(self.path) / "states.png"
        if not path.exists() and self.source is not None:
            path = self.source / "states.png"
        try:
            with warnings.catch_warnings(), Image.open(path, formats=("PNG",)) as picture:
                warnings.simplefilter("error")  # such as a picture that unpacks to gigabytes
                found = picture.convert("RGB")
            found.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
            written = io.BytesIO()
            found.save(written, "JPEG", quality=PICTURE_QUALITY, optimize=True)
        except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
            return None
        return written.getvalue()


def read_records(paths: Iterable[StrPath]) -> list[RunRecord]:
    """Read runs, in order. Runs of :data:`ADDED` are shown with the runs of the same pairs.

    Besides those in ``paths``, such runs are looked for in the folders beside each run.

    Raises:
        PotstillError: a folder has no ``result.json``, no scores, or scores that are not numbers; or a run of
            :data:`ADDED` belongs to none of the others.
    """
    given = [Path(path) for path in dict.fromkeys(paths)]
    added = [path for path in given if _read_command(path) in ADDED]
    shown = [path for path in given if path not in added]
    if not shown and added:
        raise PotstillError(f"{added[0]}: give the run of potstill distill or evaluate that it belongs to, too")
    records = [read_record(path, name, added) for path, name in zip(shown, _name_runs(shown), strict=True)]
    used = {run.path for record in records for run in record.added.values()}
    for path in added:
        if path not in used:
            raise PotstillError(f"{path}: belongs to other pairs than those of the runs given")
    return records


def _read_command(path: Path) -> str | None:
    try:
        return Run(path).command
    except PotstillError:
        return None  # such as a folder with a result alone


def _name_runs(paths: Sequence[Path]) -> list[str]:
    """The names of the folders, or their paths where two folders have the same name."""
    names = [path.name or str(path) for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def read_record(path: Path, name: str, added: Sequence[Path] = ()) -> RunRecord:
    """Read one run. ``added`` are runs of :data:`ADDED`, one of which may belong to it."""
    run = Run(path)
    result = run.result.to_dict()
    if "student" not in result and not result.get("offline"):
        made = _read_command(path)
        what = f"a run of potstill {made}" if made else "result.json"
        raise PotstillError(f"{path}: {what} has no scores of students: give runs of potstill distill or evaluate")
    _check_scores(path, result)
    try:
        config = run.config
    except PotstillError:
        config = {}
    losses = read_losses(path / "metrics.jsonl") if "curve" in result else []
    distillate, source = _find_distillate(path, config, result)
    return RunRecord(
        path=str(path),
        name=name,
        command=str(config.get("command", "")),
        config=config,
        result=result,
        distillate=distillate,
        source=source,
        losses=losses,
        added=_find_added(path, result.get("sha256"), added),
    )


def _check_scores(path: Path, result: Result) -> None:
    """Raise unless means and standard deviations are numbers."""
    entries = {name: result.get(name) for name in POLICIES} | {
        name: (result.get("offline") or {}).get(name) for name in MEASURED
    }
    for name, entry in entries.items():
        if not entry:
            continue
        values = [entry.get(key) for key in ("mean", "std")] if isinstance(entry, Mapping) else [None]
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            raise PotstillError(f"{path}: result.json has no mean and standard deviation for '{name}'")


def _find_distillate(path: Path, config: JsonMapping, result: Result) -> tuple[Distillate | None, Path | None]:
    """Load the pairs of a run, if they are found and are those that were measured; also return their folder."""
    for place in (path, config.get("distillate")):
        if not isinstance(place, str | Path):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PotstillWarning)  # the result repeats them
            try:
                file = find_artefact_path(place, "distillate")
                if not file.is_file() or result.get("sha256") not in (None, hash_file(file)):
                    continue
                return load(file), file.parent
            except (PotstillError, OSError):
                continue
    return None, None


def _find_added(path: Path, sha256: object, given: Sequence[Path]) -> dict[str, Run]:
    """Find runs of :data:`ADDED` with the same pairs: those given first, then those beside the run."""
    beside = sorted(place for place in path.absolute().parent.glob("*") if place.is_dir())
    found: dict[str, Run] = {}
    for place in (*given, *beside):
        command = _read_command(place)
        if command in ADDED and command not in found and _has_pairs(place, sha256):
            found[str(command)] = Run(place)
    return found


def _has_pairs(place: Path, sha256: object) -> bool:
    try:
        return sha256 is not None and Run(place).result.get("sha256") == sha256
    except PotstillError:
        return False  # not finished


@functools.cache
def find_versions() -> tuple[tuple[str, str], ...]:
    """The versions of Python and of the packages that computed the page."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = [("Python", platform.python_version())]
    for name in ("potstill", "jax", "numpy", "gymnasium", "mujoco"):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)
