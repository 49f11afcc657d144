"""Settings of the commands that read what others left: inspect, export, reproduce, report."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class InspectConfig:
    """Say what a distillate, teacher, policy or dataset holds."""

    is_command: ClassVar[bool] = True

    path: Path | str
    """A dataset, named as for `potstill teach`; a file or run folder of potstill; or a bundled name."""

    _: KW_ONLY

    download: bool = False
    """Where a minari:ID is not in Minari's root: let Minari's own client fetch it."""

    action_scale: float = 1.0
    """What the dataset's actions are multiplied by, where they are in another unit than their environment's."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""


@dataclass(frozen=True)
class ExportConfig:
    """Write a distillate in a format of another library."""

    is_command: ClassVar[bool] = True

    distillate: Path | str
    """A distillate file, a run folder of `potstill distill`, or a bundled name."""

    path: Path | str
    """The file to make (.npz, .hdf5, .parquet), or with --format the folder."""

    _: KW_ONLY

    format: str | None = None
    """npz, d4rl, parquet or minari. Default: by the suffix of the path."""

    force: bool = False
    """Replace an earlier export."""


@dataclass(frozen=True)
class ReproduceConfig:
    """Run a finished run again from its config.json and compare the artefacts byte by byte."""

    is_command: ClassVar[bool] = True

    run: Path | str
    """A run folder of `potstill collect`, `potstill teach` or `potstill distill`."""

    _: KW_ONLY

    out: Path | str | None = None
    """Run folder of the second run. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""


@dataclass(frozen=True)
class ReportConfig:
    """Draw the table and the plots of finished runs again, from their result files alone."""

    is_command: ClassVar[bool] = True

    runs: tuple[Path, ...]
    """Run folders of `potstill distill` or `potstill evaluate`."""

    _: KW_ONLY

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""
