"""Settings of the commands that read the files of other commands, such as export, explain and report."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from potstill.config.reading import ReadingConfig, positional_first
from potstill.config.settings import check_resume
from potstill.errors import PotstillError, name_option
from potstill.runtime.validation import check_ranges, check_types

if TYPE_CHECKING:
    from potstill.config.option_types import PathOption, RecipeOption
else:
    from potstill.config.cli_types import PathOption, RecipeOption


@positional_first
@dataclass(frozen=True)
class InspectConfig(ReadingConfig):
    """Report the contents of a distillate, teacher, policy, world model or dataset."""

    is_command: ClassVar[bool] = True

    path: PathOption
    """A dataset, as for `potstill teach`; a file or run folder of potstill; or a bundled name."""

    _: KW_ONLY

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_types(self)


@dataclass(frozen=True)
class ExportConfig:
    """Write a distillate in the format of another library."""

    is_command: ClassVar[bool] = True

    distillate: PathOption
    """A distillate file, a run folder of `potstill distill`, or a bundled name."""

    path: PathOption
    """The file to write (.npz, .hdf5, .parquet). With --format, a file or a folder."""

    _: KW_ONLY

    format: str | None = None
    """{names}. Default: determined by the suffix of the path."""

    force: bool = False
    """Replace an earlier export."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class PushConfig:
    """Publish a distillate as a dataset on the Hugging Face Hub, with a card and Croissant metadata."""

    is_command: ClassVar[bool] = True

    distillate: PathOption
    """A run folder of `potstill distill`, a distillate file, or a bundled name."""

    repo: str
    """The dataset repository, OWNER/NAME. It is made if it does not exist."""

    _: KW_ONLY

    licence: str | None = None
    """The Hub's identifier of a licence, such as cc-by-4.0. Default: unknown."""

    private: bool = False
    """Make the repository private."""

    dry_run: bool = False
    """Write the files into a folder, and upload nothing."""

    out: PathOption | None = None
    """With --dry-run: the folder to write. Default: runs/push-OWNER-NAME."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class ExportPolicyConfig:
    """Write a policy as a file that runs without potstill: a student, the mean of several, or the teacher."""

    is_command: ClassVar[bool] = True

    source: PathOption
    """A run folder of `potstill distill` or `potstill teach`, a distillate, teacher or policy file, or a bundled name.
    From a distillate, a student is trained with its recipe."""

    path: PathOption
    """The file to write (.onnx, .h, .py, .safetensors)."""

    _: KW_ONLY

    format: str | None = None
    """{policy formats}. Default: determined by the suffix of the path."""

    student: int | None = None
    """Seed of the student. Default: 0."""

    average: int | None = None
    """Export the mean action of this number of students, with seeds from 0."""

    teacher: bool = False
    """Export the teacher of a run or a distillate instead of a student."""

    force: bool = False
    """Replace an existing file."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class ReproduceConfig:
    """Repeat a finished run and compare the files byte by byte, or make the tables and figures of the paper."""

    is_command: ClassVar[bool] = True

    run: PathOption
    """A run folder of `potstill collect`, `potstill teach` or `potstill distill`; or table1, table2, table3, table4,
    table5, figure1, figure2, theory or all, for potstill's results beside the tables and figures of the paper; or
    baselines, for other methods of the field."""

    _: KW_ONLY

    scale: Literal["smoke", "small", "full"] | None = None
    """Tables and figures only: smoke (bundled data, minutes), small (potstill's defaults, a fiftieth of the paper's
    outer steps) or full (as in the paper: five seeds, all steps). Default: smoke."""

    datasets: tuple[PathOption, ...] = ()
    """Tables and figures only: names or paths of datasets, as for `potstill distill`. For a dataset without a bundled
    teacher, one is found or trained. Default: the bundled dataset; full requires those of the paper."""

    teachers: str | None = None
    """Tables and figures only: a folder, or a pattern of paths in quotes, with one teacher for each dataset.
    The name of each file or run folder must contain that of its dataset. Default: see --datasets."""

    seeds: int | None = None
    """Tables and figures only: number of distillation seeds. Default: 1 (smoke), 2 (small) or 5 (full)."""

    executor: str | None = None
    """Tables and figures only: where the cells run: {names}. pool uses several processes on this machine, slurm
    submits jobs through submitit. Default: serial, one after the other in this process."""

    workers: int | None = None
    """Tables and figures only: number of cells that run at the same time. Default: one for each core; 64 for slurm."""

    address: str | None = None
    """Tables and figures only. With --executor ray: auto or HOST:PORT of a running cluster. Default: a new cluster on
    this machine. With --executor slurm: local runs the jobs on this machine."""

    out: PathOption | None = None
    """Run folder of the new run. Default: runs/COMMAND-TIME."""

    resume: bool = False
    """Continue the unfinished run in --out."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self, seeds=1, workers=1)
        check_resume(self)


@dataclass(frozen=True)
class ExplainConfig:
    """Explain a distillate: where its states lie in the data, which pairs matter, and where they lead."""

    is_command: ClassVar[bool] = True

    distillate: PathOption
    """A run folder of `potstill distill`, or a bundled name."""

    _: KW_ONLY

    states: int = 512
    """Number of held-out states in which students act, and that pairs are compared with."""

    seed: int = 0
    """Seed of what the solver draws, and of the intervals."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self, states=8, seed=0)


@dataclass(frozen=True)
class AuditConfig:
    """Measure what pairs reveal about the episodes that they were distilled from."""

    is_command: ClassVar[bool] = True

    distillate: PathOption
    """A run folder of `potstill distill`, or a bundled name."""

    _: KW_ONLY

    shadows: int = 16
    """Number of shadow distillations, each of a random half of the episodes; even, at least 4."""

    steps: int = 40
    """Outer steps of each shadow distillation."""

    episodes: int = 256
    """Largest number of episodes that are attacked."""

    canaries: int = 16
    """Number of canaries: short episodes far from the data, half of which are planted in each shadow's data."""

    seed: int = 0
    """Seed of members, canaries, shadows and intervals."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self, shadows=4, steps=0, episodes=8, canaries=0, seed=0)
        if self.shadows % 2:
            raise PotstillError(f"{name_option('shadows', self.shadows)}: expected an even number")


@dataclass(frozen=True)
class MergeConfig:
    """Merge several distillates of one state and action size into one, such as one of each task."""

    is_command: ClassVar[bool] = True

    distillates: tuple[PathOption, ...]
    """Distillate files, run folders of `potstill distill`, or bundled names; at least two, all different, with the
    same action bounds."""

    _: KW_ONLY

    task_input: bool = False
    """Tell students the task: append a component for each source to the states, 1 for its own pairs and 0 for
    others."""

    recipe: RecipeOption | None = None
    """The recipe of the students: {names}. Fields such as --recipe.steps 600 change the named recipe or, without a
    name, that of the first source. Default: that of all sources."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_types(self, skip=("recipe",))


@dataclass(frozen=True)
class ReportConfig:
    """Print the scores of finished runs, and write a page about them for others."""

    is_command: ClassVar[bool] = True

    runs: tuple[PathOption, ...]
    """Run folders of `potstill distill` or `potstill evaluate`."""

    _: KW_ONLY

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_types(self)
