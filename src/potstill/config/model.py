"""Settings of ``potstill model``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from potstill.config.reading import ReadingConfig, positional_first
from potstill.config.settings import check_resume
from potstill.runtime.validation import check_ranges, check_types
from potstill.worlds.settings import WorldSettings, check_settings

if TYPE_CHECKING:
    from potstill.config.option_types import Dataset, PathOption, TeacherSource
else:
    from potstill.config.cli_types import Dataset, PathOption, TeacherSource


@positional_first
@dataclass(frozen=True)
class ModelConfig(ReadingConfig):
    """Learn a world model of a dataset, and report its prediction errors."""

    is_command: ClassVar[bool] = True

    dataset: Dataset
    """A dataset, as for `potstill teach`."""

    _: KW_ONLY

    teacher: TeacherSource | None = None
    """A teacher whose return in the model is measured. Default: the bundled one, if any."""

    members: int = WorldSettings.members
    """Number of networks in the ensemble."""

    width: int = WorldSettings.width
    """Units of each hidden layer."""

    layers: int = WorldSettings.layers
    """Layers of weights; 4 means three hidden layers."""

    steps: int = WorldSettings.steps
    """Number of gradient steps."""

    batch: int = WorldSettings.batch
    """Rows in a gradient step of each member."""

    learning_rate: float = WorldSettings.learning_rate
    """Largest learning rate of Adam."""

    episodes: int = 20
    """Number of episodes of the teacher in the model. 0: none."""

    seed: int = WorldSettings.seed
    """Seeds the held-out episodes, the initial networks and the batches."""

    track: str | None = None
    """Send the metrics to a tracker as well: {names}."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    resume: bool = False
    """Continue the unfinished run in --out, which must have the same settings."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_types(self)
        check_ranges(self, episodes=0)
        check_settings(self)
        check_resume(self)

    @property
    def settings(self) -> WorldSettings:
        """The settings of the model, as an object of the core."""
        return WorldSettings(**{item.name: getattr(self, item.name) for item in fields(WorldSettings)})
