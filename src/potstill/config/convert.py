"""Settings of ``potstill convert``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar

from potstill.errors import PotstillError
from potstill.runtime.validation import check_ranges


@dataclass(frozen=True)
class ConvertConfig:
    """Write one or several datasets, or a part of them, as a folder that is read from disk, not from memory."""

    is_command: ClassVar[bool] = True

    datasets: tuple[Path | str, ...] | Path | str
    """What to read, in this order: each as `potstill teach` takes it. Sizes, bounds and environment must agree."""

    _: KW_ONLY

    min_return: float | None = None
    """Keep only the episodes of at least this return."""

    max_return: float | None = None
    """Keep only the episodes of at most this return."""

    best_episodes: float = 1.0
    """Keep this share of those episodes, the ones of highest return."""

    episodes: int | None = None
    """Then keep that many episodes, drawn at random."""

    rows: int | None = None
    """Then keep that many rows, drawn one by one: what is left of an episode is cut where rows are missing."""

    seed: int = 0
    """Seeds what is drawn."""

    out: Path | str | None = None
    """Folder to make: the dataset, and a run folder too. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace that folder if it exists."""

    def __post_init__(self) -> None:
        if not self.datasets:
            raise PotstillError("no datasets named: potstill convert DATASET [DATASET ...]")
        check_ranges(self, episodes=1, rows=1, seed=0)
        if not 0.0 < self.best_episodes <= 1.0:
            raise PotstillError(f"--best-episodes {self.best_episodes}: inside (0, 1] is needed")

    @property
    def sources(self) -> tuple[Path | str, ...]:
        """The datasets, also where one alone is given."""
        return self.datasets if isinstance(self.datasets, tuple) else (self.datasets,)
