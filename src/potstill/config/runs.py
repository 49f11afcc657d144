"""Settings of the commands that read what others left: inspect, reproduce, report."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path


@dataclass(frozen=True)
class InspectConfig:
    """Say what a distillate, teacher, policy or dataset holds."""

    path: Path | str
    """A file, a run folder, or the name of a bundled dataset."""

    _: KW_ONLY

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""


@dataclass(frozen=True)
class ReproduceConfig:
    """Run a finished run again from its config.json and compare the artefacts byte by byte."""

    run: Path | str
    """A run folder of `potstill distill` or `potstill teach`."""

    _: KW_ONLY

    out: Path | str | None = None
    """Run folder of the second run. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""


@dataclass(frozen=True)
class ReportConfig:
    """Draw the table and the plots of finished runs again, from their result files alone."""

    runs: tuple[Path, ...]
    """Run folders of `potstill distill` or `potstill evaluate`."""

    _: KW_ONLY

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""
