"""Settings of ``potstill convert``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from potstill.config.reading import ReadingConfig, positional_first
from potstill.data.selection import Selection, check_selection
from potstill.errors import PotstillError
from potstill.runtime.validation import check_types

if TYPE_CHECKING:
    from potstill.config.option_types import EncoderOption, PathOption
else:
    from potstill.config.cli_types import EncoderOption, PathOption


@positional_first
@dataclass(frozen=True)
class ConvertConfig(ReadingConfig):
    """Write datasets, or a selection of their rows, to a folder that is memory-mapped instead of loaded into memory."""

    is_command: ClassVar[bool] = True

    datasets: tuple[PathOption, ...] | PathOption
    """Datasets to merge, in this order; `potstill teach` lists the possible sources. Sizes, action bounds and
    environment must agree."""

    _: KW_ONLY

    min_return: float | None = Selection.min_return
    """Keep only episodes with at least this return."""

    max_return: float | None = Selection.max_return
    """Keep only episodes with at most this return."""

    best_episodes: float = Selection.best_episodes
    """Of these, keep this fraction of episodes with the highest returns."""

    episodes: int | None = Selection.episodes
    """Of these, keep this many random episodes."""

    rows: int | None = Selection.rows
    """Of these, keep this many random rows. An episode is truncated where its next row is not kept."""

    seed: int = Selection.seed
    """Seed of the random draws."""

    encoder: EncoderOption | None = None
    """Encode images as features with a frozen encoder: {names}. Fields: --encoder.features 256 and --encoder.seed 1 of
    random-conv, --encoder.path FILE of onnx. In Python also an encoder object, or a function from images [B, H, W, C]
    to features [B, F]."""

    out: PathOption | None = None
    """Folder to make, which is a dataset and a run folder. Default: runs/convert-TIME."""

    force: bool = False
    """Replace the folder if it exists."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.datasets:
            raise PotstillError("no datasets named: potstill convert DATASET [DATASET ...]")
        check_types(self, skip=("encoder",))
        check_selection(self)

    @property
    def selection(self) -> Selection:
        """The selection of rows, as an object of the core."""
        return Selection(**{item.name: getattr(self, item.name) for item in fields(Selection)})

    @property
    def sources(self) -> tuple[PathOption, ...]:
        """The datasets as a tuple, even if only one is given."""
        return self.datasets if isinstance(self.datasets, tuple) else (self.datasets,)
