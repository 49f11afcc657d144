"""Settings of ``potstill distill`` and ``potstill evaluate``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal

from potstill.settings import check_ranges


@dataclass(frozen=True)
class KernelConfig:
    """Kernel descent at infinite width."""

    _: KW_ONLY

    start: Literal["zero", "drawn"] = "zero"
    """What students compute before their training: zero, its mean, or what a network drawn for each step does."""


@dataclass(frozen=True)
class EmpiricalConfig:
    """Kernel descent under the tangent kernels of real networks."""

    _: KW_ONLY

    networks: int = 1
    """Networks drawn for each outer step; their actions are averaged."""

    def __post_init__(self) -> None:
        check_ranges(self, networks=1)


@dataclass(frozen=True)
class RidgeConfig:
    """Ridge regression under the infinite-width tangent kernel."""

    _: KW_ONLY

    penalty: float = 1e-3
    """λ, as a share of the kernel's mean diagonal."""

    def __post_init__(self) -> None:
        check_ranges(self, penalty=1e-9)


@dataclass(frozen=True)
class FeaturesConfig:
    """Ridge regression on the last hidden layers of a pool of networks."""

    _: KW_ONLY

    networks: int = 4
    """Networks in the pool, drawn anew for each outer step; their features stand side by side."""

    trained: int = 0
    """Steps of training on the pairs that the oldest network of the pool has had; the others' ages lie evenly below."""

    penalty: float = 1e-3
    """λ, as a share of the features' mean square norm."""

    def __post_init__(self) -> None:
        check_ranges(self, networks=1, trained=0, penalty=1e-9)


@dataclass(frozen=True)
class DistillConfig:
    """Distil a dataset and its teacher into a few hundred pairs, and show what students earn."""

    dataset: Path | str
    """A bundled name, minari:ID, d4rl:NAME, or a path to .hdf5, .npz, .parquet or a Minari folder."""

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
    """random, dbc, pbc, av-pbc or q-gap."""

    weighting: str = "ranged"
    """Av-PBC's weights from q*: ranged, clipped or reference."""

    solver: str = "kernel"
    """kernel (kernel descent), empirical, ridge, features, unroll (back-propagation through a student's training) or
    sweep."""

    recipe: str = "default"
    """The student's recipe that the pairs are distilled for: default, wide, paper or reference."""

    kernel: KernelConfig = KernelConfig()
    """Settings of kernel."""

    empirical: EmpiricalConfig = EmpiricalConfig()
    """Settings of empirical."""

    ridge: RidgeConfig = RidgeConfig()
    """Settings of ridge."""

    features: FeaturesConfig = FeaturesConfig()
    """Settings of features."""

    steps: int = 150
    """Outer steps."""

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

    initial_actions: Literal["teacher", "data"] = "teacher"
    """Actions of the initial pairs; data is the paper's choice."""

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
        return getattr(self, self.solver, None)

    def __post_init__(self) -> None:
        check_ranges(self, size=1, steps=0, polish=0, batch=1, clip=1e-12, learning_rate=1e-12)
        check_ranges(self, students=1, episodes=0, curve_points=1, seed=0)


@dataclass(frozen=True)
class EvaluateConfig:
    """Train students on a distillate and measure them, in the environment or against the teacher."""

    distillate: Path | str
    """A distillate file, or a run folder of `potstill distill`."""

    _: KW_ONLY

    students: int = 10
    """Students to train, each from a start of its own; also the ensemble's size."""

    episodes: int = 10
    """Episodes of each student."""

    recipe: str | None = None
    """Train by another recipe than the distillate's own: default, wide, paper or reference."""

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
        check_ranges(self, students=1, episodes=1, seed=0)
