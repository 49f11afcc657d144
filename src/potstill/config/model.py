"""Settings of ``potstill model``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar

from potstill.runtime.validation import check_ranges, check_types

if TYPE_CHECKING:
    from potstill.config.option_types import Dataset, PathOption, TeacherSource
else:
    from potstill.config.cli_types import Dataset, PathOption, TeacherSource


@dataclass(frozen=True)
class ModelConfig:
    """Learn a world model of a dataset, and report its prediction errors."""

    is_command: ClassVar[bool] = True

    dataset: Dataset
    """A dataset, as for `potstill teach`."""

    _: KW_ONLY

    teacher: TeacherSource | None = None
    """A teacher whose return in the model is measured. Default: the bundled one, if there is one."""

    download: bool = False
    """Let Minari download a dataset minari:ID that is not on this machine yet."""

    action_scale: float = 1.0
    """Multiply the dataset's actions by this factor, if their unit differs from the environment's."""

    members: int = 4
    """Number of networks in the ensemble."""

    width: int = 128
    """Units of each hidden layer."""

    layers: int = 4
    """Layers of weights; 4 means three hidden layers."""

    steps: int = 14_000
    """Number of gradient steps."""

    batch: int = 256
    """Rows in a gradient step of each member."""

    learning_rate: float = 4e-3
    """Largest learning rate of Adam."""

    episodes: int = 20
    """Imagined episodes of the teacher. 0: none."""

    seed: int = 0
    """Seeds the held-out episodes, the initial networks and the batches."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self, members=1, width=1, layers=1, steps=1, batch=1, learning_rate=1e-12, episodes=0, seed=0)
