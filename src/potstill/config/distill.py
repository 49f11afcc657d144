"""Settings of ``potstill distill`` and ``potstill evaluate``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from potstill.config.settings import seconds_of
from potstill.config.solvers import EmpiricalConfig, FeaturesConfig, KernelConfig, RidgeConfig, UnrollConfig
from potstill.errors import PotstillError
from potstill.runtime.validation import check_choices, check_ranges

USUAL_STEPS = 150  # about what the default takes to settle


@dataclass(frozen=True)
class DistillConfig:
    """Distil a dataset and its teacher into a few hundred pairs, and show what students earn."""

    is_command: ClassVar[bool] = True

    dataset: Path | str
    """A bundled name, minari:ID, d4rl:NAME, or a path to .hdf5, .npz, .parquet or a folder (convert's or Minari's)."""

    _: KW_ONLY

    teacher: Path | str | None = None
    """A file of `potstill teach`, CORL (.pt), stable-baselines3 (.zip) or d3rlpy (.d3). Default: the bundled one."""

    download: bool = False
    """Where a minari:ID is not in Minari's root: let Minari's own client fetch it."""

    action_scale: float = 1.0
    """What the dataset's actions are multiplied by, where they are in another unit than their environment's."""

    size: int = 256
    """N, the number of pairs."""

    objective: str = "q-gap"
    """random, dbc, pbc, av-pbc, or q-gap by the least of the critics (q-gap-mean: their mean, q-gap-each: each)."""

    weighting: str | None = None
    """Weights of states, several with commas: ranged, clipped, shifted, softplus, reference (of value), density, sdw,
    discounted, early, opening (of time), occupancy (where the teacher goes), uniform. Default: ranged for av-pbc; for
    q-gap opening where episodes of the data terminate (uniform for students of SGD without momentum), occupancy where
    none does; uniform for all others."""

    state_noise: float | None = None
    """Noise on half of the states that students are judged in, in standard deviations: the teacher acts there too.
    Default: for q-gap 0.2 where episodes of the data terminate, 0.1 where none does, both twofold for students of SGD
    without momentum; 0 for all others."""

    solver: str = "kernel"
    """kernel (kernel descent), empirical, ridge, features, unroll (back-propagation through a student's training) or
    sweep."""

    recipe: str = "default"
    """The student's recipe that the pairs are distilled for: default, towers, plain, wide, paper, reference or adam."""

    unroll: UnrollConfig = UnrollConfig()
    """Settings of unroll and sweep."""

    starts: int = 1
    """Students, each from a start of its own, that an outer step averages over."""

    widths: tuple[int, ...] = ()
    """Hidden widths of students to begin with, e.g. 64 128; they and the recipe's own share the steps equally."""

    devices: int | None = None
    """Devices to share the work among; on a processor, cores that count as one each. Default: what JAX finds."""

    kernel: KernelConfig = KernelConfig()
    """Settings of kernel."""

    empirical: EmpiricalConfig = EmpiricalConfig()
    """Settings of empirical."""

    ridge: RidgeConfig = RidgeConfig()
    """Settings of ridge."""

    features: FeaturesConfig = FeaturesConfig()
    """Settings of features."""

    steps: int | None = None
    """Outer steps. Default: as many as the loss on held-out states falls; 150 with --widths, --average or --choose."""

    budget: str | None = None
    """Time for the distillation, such as 60s or 2m: fewer steps where they would not fit."""

    polish: int = 0
    """Steps of the exact unroll that follow, at a tenth of the learning rate."""

    batch: int = 1024
    """B, states of the dataset in an outer step."""

    optimiser: Literal["adam", "sgd"] = "adam"
    """Outer optimiser: adam with cosine decay, or sgd with momentum 0.9 as in the paper."""

    learning_rate: float = 0.1
    """Outer learning rate."""

    clip: float = 2.0
    """Largest norm of the outer gradient."""

    initial: str = "k-means"
    """Initial states: random, k-means (one a cluster) or diverse (far apart, of high value)."""

    initial_actions: Literal["teacher", "data"] = "teacher"
    """Actions of the initial pairs; data is the paper's choice."""

    action_limit: float | None = None
    """Largest action of a pair, where the bounds are ±1. More than 1 is a target that no student reaches, but comes
    nearer to in few steps. Default: 2 for students of SGD without momentum, 1 for all others."""

    learn: Literal["none", "weights", "step-size", "both"] = "none"
    """Learned with the pairs: a weight for each, the students' step size, or both."""

    average: float = 0.0
    """Share of the last outer steps whose pairs are averaged; 0 keeps the last ones."""

    choose: Literal["last", "held-out", "students"] = "last"
    """The outer step that is kept: the last, or of seven the one of the least loss on held-out states, by the
    solver or by trained students. Never by return."""

    students: int = 10
    """Students in the final evaluation, and in the ensemble."""

    episodes: int = 10
    """Episodes of each student. 0: no evaluation."""

    curve_points: int = 5
    """Points of the curve of return over outer steps; also how often the pairs are saved."""

    seed: int = 0
    """Seeds the initial pairs, the batches and the students' starts."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    @property
    def own(self) -> Any:
        """The chosen solver's settings, if it has any."""
        return getattr(self, "unroll" if self.solver == "sweep" else self.solver, None)

    @property
    def given_steps(self) -> int | None:
        """The number of outer steps; ``None`` where it is found on the way."""
        shared_out = self.widths or self.average or self.choose != "last"
        return USUAL_STEPS if self.steps is None and shared_out else self.steps

    @property
    def seconds(self) -> float | None:
        """The budget in seconds."""
        return None if self.budget is None else seconds_of("--budget", self.budget)

    def __post_init__(self) -> None:
        check_ranges(self, size=1, steps=0, polish=0, batch=1, clip=1e-12, learning_rate=1e-12, starts=1, devices=1)
        check_ranges(self, students=1, episodes=0, curve_points=1, seed=0, average=0.0, state_noise=0.0)
        check_ranges(self, action_limit=1.0)
        check_choices(self)
        if self.average > 1.0:
            raise PotstillError(f"--average {self.average}: a share of the steps, at most 1, is needed")
        if self.seconds is not None and (self.steps is not None or self.polish):
            raise PotstillError(f"--budget {self.budget}: it sets the number of steps; leave --steps and --polish out")
        if any(width < 2 or width % 2 for width in self.widths):
            raise PotstillError(f"--widths {' '.join(map(str, self.widths))}: even numbers above 0 are needed")


@dataclass(frozen=True)
class EvaluateConfig:
    """Train students on a distillate and measure them, in the environment or against the teacher."""

    is_command: ClassVar[bool] = True

    distillate: Path | str
    """A distillate file, or a run folder of `potstill distill`."""

    _: KW_ONLY

    students: int = 10
    """Students to train, each from a start of its own; also the ensemble's size."""

    episodes: int = 10
    """Episodes of each student."""

    recipe: str | None = None
    """Train by another recipe than the distillate's own: default, towers, plain, wide, paper, reference or adam."""

    devices: int | None = None
    """Devices to share the students among; on a processor, cores that count as one each. Default: what JAX finds."""

    dataset: Path | str | None = None
    """Without an environment: the dataset whose held-out states to compare on."""

    teacher: Path | str | None = None
    """Without an environment: the teacher to compare with. Default: the bundled one."""

    download: bool = False
    """Where a minari:ID is not in Minari's root: let Minari's own client fetch it."""

    action_scale: float = 1.0
    """What the dataset's actions are multiplied by, where they are in another unit than their environment's."""

    seed: int = 0
    """Seeds the students' starts and the episodes'."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_ranges(self, students=1, episodes=1, seed=0, devices=1)
        of_data = {"teacher": self.teacher, "download": self.download, "action-scale": self.action_scale != 1.0}
        lost = [name for name, given in of_data.items() if given]
        if self.dataset is None and lost:
            raise PotstillError(f"--{lost[0]} goes with a dataset to compare on: give --dataset as well")
