"""Settings of ``potstill evaluate``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar

from potstill.config.reading import DEFAULTS, ReadingConfig, positional_first
from potstill.config.settings import check_resume
from potstill.errors import PotstillError, name_option
from potstill.runtime.validation import check_ranges, check_types

if TYPE_CHECKING:
    from potstill.config.option_types import (
        Dataset,
        DistillateOption,
        EncoderOption,
        PathOption,
        RecipeOption,
        TeacherSource,
    )
else:
    from potstill.config.cli_types import (
        Dataset,
        DistillateOption,
        EncoderOption,
        PathOption,
        RecipeOption,
        TeacherSource,
    )


@positional_first
@dataclass(frozen=True)
class EvaluateConfig(ReadingConfig):
    """Train students on a distillate and evaluate them, in the environment or against the teacher."""

    is_command: ClassVar[bool] = True

    distillate: DistillateOption
    """A distillate file, a run folder of `potstill distill`, or a bundled name; or a policy file or a run folder of
    `potstill finetune`, whose policy is rolled out. In Python also a potstill.Distillate."""

    _: KW_ONLY

    students: int = 10
    """Number of students to train, each with its own initialisation; also the size of the ensemble."""

    episodes: int = 10
    """Episodes of each student."""

    recipe: RecipeOption | None = None
    """A recipe to use instead of the distillate's: {names}. Fields such
    as --recipe.layers 5 --recipe.optimiser adamw change the named recipe or, without a name, that of the distillate."""

    task: int | None = None
    """Of a mixture: the number of the source, from 0, whose environment students are evaluated in, and whose task they
    are told if the task is an input."""

    encoder: EncoderOption | None = None
    """The encoder of images, if it is not in the file: a moved ONNX file, --encoder onnx --encoder.path FILE, or the
    function that encoded the data, in Python. Default: that of the distillate."""

    devices: int | None = None
    """Number of devices to use; on a CPU, each is one core. Default: all that JAX finds."""

    dataset: Dataset | None = None
    """Compare students with the teacher on the held-out states of this dataset. Required without an environment."""

    teacher: TeacherSource | None = None
    """The teacher to compare with. Default: the bundled one."""

    world: PathOption | None = None
    """World model to roll the students out in as well: a run folder or file of `potstill model`."""

    video: PathOption | None = None
    """Also record ten seconds of a student, beside the teacher if it is known, as this .mp4 file."""

    seed: int = 0
    """Seeds the students' initialisations and the episodes."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    resume: bool = False
    """Continue the unfinished run in --out, which must have the same settings."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_types(self, skip=("distillate", "dataset", "teacher", "recipe", "encoder"))
        check_ranges(self, students=1, episodes=1, seed=0, devices=1, task=0)
        check_resume(self)
        if self.video is not None and not str(self.video).endswith(".mp4"):
            raise PotstillError(f"{name_option('video', str(self.video))}: expected a path that ends in .mp4")
        needs_data = {"teacher": self.teacher} | {
            name: getattr(self, name) != default for name, default in DEFAULTS.items()
        }
        unused = [name for name, given in needs_data.items() if given and name != "env_id"]
        if self.dataset is None and unused:
            needed = name_option("dataset")
            raise PotstillError(f"{name_option(unused[0])} has no effect without a dataset: give {needed} as well")
