"""Settings of ``potstill teach``, and their form in ``config.json``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from potstill.config.reading import ReadingConfig, positional_first
from potstill.config.settings import check_resume
from potstill.errors import PotstillError, name_option
from potstill.runtime.files import JsonObject
from potstill.runtime.validation import check_ranges, check_types
from potstill.teachers.settings import Training, check_training

if TYPE_CHECKING:
    from potstill.config.option_types import AlgorithmOption, Dataset, PathOption
else:
    from potstill.config.cli_types import AlgorithmOption, Dataset, PathOption


OLD_SETTINGS = ("bc", "rebrac", "iql", "cal_ql", "edac")  # fields of version 0.1: the settings of each algorithm


@positional_first
@dataclass(frozen=True)
class TeachConfig(ReadingConfig):
    """Train a teacher (policy and action values) on a dataset by offline RL."""

    is_command: ClassVar[bool] = True

    dataset: Dataset
    """A bundled name, minari:ID, d4rl:NAME, or a path to .hdf5, .npz, .parquet, .csv or a folder of potstill convert,
    Minari, LeRobot, imitation or Parquet files."""

    _: KW_ONLY

    algorithm: AlgorithmOption = "rebrac"
    """{names}; or auto: train IQL, and ReBRAC at three penalties, and select by offline
    evaluation. In Python also an object, such as potstill.teachers.Rebrac(). Its fields are options such as
    --algorithm.actor-penalty 0.1; the error for an unknown field lists all fields."""

    updates: int | None = None
    """Gradient updates of the critics. Default: training stops when an evaluation does not raise the pessimistic value
    estimate by 1 % (rebrac and bc; three evaluations for the others), and keeps the best teacher; after 50,000 updates
    (rebrac and bc; 100,000) at the latest."""

    batch: int = Training.batch
    """Transitions in an update."""

    discount: float = Training.discount
    """γ, inside (0, 1)."""

    target_rate: float | None = Training.target_rate
    """τ of the target networks' soft update. Default: 0.05 for rebrac, 0.02 for iql, 0.005 for the others."""

    evaluate_every: int = Training.evaluate_every
    """Updates between two evaluations. Each evaluation also saves the teacher."""

    episodes: int = 10
    """Episodes per evaluation, if the dataset names an environment. 0: never use the environment."""

    fitted_updates: int = 2_000
    """Updates of fitted Q-evaluation per evaluation, for the offline scores. 0: no offline scores."""

    patience: int | None = None
    """Stop after this many evaluations in a row without a higher pessimistic value estimate, and keep the best
    teacher. The first evaluation is skipped: early estimates are biased upwards. Default: see --updates; if --updates
    is given, take all of them and keep the last teacher."""

    world: PathOption | None = None
    """World model of the dataset: a run folder or file of `potstill model`. Each evaluation then estimates the
    teacher's return in it, beside the value estimates. This return replaces the pessimistic value estimate: training
    stops by it, and auto selects by it. Refused if the model is accurate for fewer than 25 steps."""

    seed: int = Training.seed
    """Seeds the networks, the batches and the noise."""

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
        check_types(self, skip=("dataset", "algorithm"))
        check_training(self)
        check_ranges(self, episodes=0, fitted_updates=0, patience=1)
        if self.patience is not None and not self.estimates:
            raise PotstillError(
                f"{name_option('patience')} requires {name_option('fitted_updates')} or {name_option('world')}: it "
                "uses an estimate of the return"
            )
        check_resume(self)

    @property
    def estimates(self) -> bool:
        """Whether evaluations estimate the return without the environment."""
        return self.fitted_updates > 0 or self.world is not None

    def make_training(self, updates: int) -> Training:
        """Make the settings of training with this number of updates, as an object of the core."""
        own = {item.name: getattr(self, item.name) for item in fields(Training) if item.name != "updates"}
        return Training(updates=updates, **own)

    @staticmethod
    def from_record(saved: JsonObject) -> JsonObject:
        """Convert the settings in ``config.json`` to the current fields.

        Version 0.1 had a section for the settings of each algorithm. Only the section of the run's own algorithm is
        kept; ``auto`` has none.

        >>> saved = {"algorithm": "iql", "iql": {"expectile": 0.9}, "bc": {"best_episodes": 1.0}, "batch": 64}
        >>> TeachConfig.from_record(saved)
        {'algorithm': {'name': 'iql', 'expectile': 0.9}, 'batch': 64}
        """
        upgraded = {name: value for name, value in saved.items() if name not in OLD_SETTINGS}
        own = str(saved.get("algorithm")).replace("-", "_")
        if own in OLD_SETTINGS and own in saved:
            if not isinstance(saved[own], dict):
                raise PotstillError(f"config.json: '{own}' is {saved[own]!r}, expected the fields of an algorithm")
            upgraded["algorithm"] = {"name": saved["algorithm"], **saved[own]}
        return upgraded
