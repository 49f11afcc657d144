"""Every setting of every command, each in one place, with its meaning and source beside it.

Nothing here imports JAX, so that the command line starts at once. The command line is generated from
these classes, and the resolved values are saved with every artefact.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from potstill.errors import PotstillError
from potstill.settings import check_ranges


@dataclass(frozen=True)
class CollectConfig:
    """Record an offline dataset: train SAC in an environment, or roll a saved policy out."""

    env_id: str
    """Gymnasium environment with one-dimensional box observations and actions, e.g. Hopper-v5."""

    _: KW_ONLY

    steps: int = 200_000
    """Transitions to record."""

    policy: Path | str | None = None
    """A policy or teacher file to roll out. Default: train SAC and record its whole training."""

    mean_action: bool = False
    """With a policy: act with its mean, instead of sampling."""

    random_steps: int = 5_000
    """With SAC: uniformly random actions before the first update."""

    mantissa_bits: int = 23
    """Bits kept of each number's 23-bit mantissa; 14 (a relative error of 3e-5) shrinks the file by a third."""

    threads: int = 1
    """With SAC: processor threads for the updates. One is fastest at this size."""

    seed: int = 0
    """Seeds the environment, the agent and the noise."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_ranges(self, steps=2, random_steps=0, mantissa_bits=1, threads=1, seed=0)


@dataclass(frozen=True)
class TeachConfig:
    """Train a teacher (policy and action values) on a dataset by offline RL."""

    dataset: Path | str
    """A bundled name (hopper-medium-replay) or a path to .hdf5 (D4RL layout) or .npz."""

    _: KW_ONLY

    algorithm: str = "rebrac"
    """The offline-RL algorithm: rebrac."""

    updates: int = 50_000
    """Gradient updates of the critics; the actor moves on every second one."""

    batch: int = 256
    """Transitions in an update."""

    actor_penalty: float = 0.05
    """β_π, distance of the policy to the data's actions. Source: ReBRAC, hopper-medium-replay."""

    critic_penalty: float = 0.5
    """β_Q, the same inside the critic's target."""

    learning_rate: float = 1e-3
    """Adam's, for actor and critics."""

    discount: float = 0.99
    """γ, inside (0, 1)."""

    target_rate: float = 0.005
    """τ, how fast the target networks follow."""

    evaluate_every: int = 10_000
    """Updates between two evaluations; each also writes the teacher as it is then."""

    episodes: int = 10
    """Episodes in an evaluation, where the dataset names an environment. 0: no evaluation."""

    seed: int = 0
    """Seeds the networks, the batches and the noise."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_ranges(self, updates=2, batch=1, actor_penalty=0, critic_penalty=0, evaluate_every=2, episodes=0, seed=0)
        check_ranges(self, learning_rate=1e-12, target_rate=1e-12)
        if not 0.0 < self.discount < 1.0:
            raise PotstillError(f"--discount {self.discount}: inside (0, 1) is needed")


@dataclass(frozen=True)
class DistillConfig:
    """Distil a dataset and its teacher into a few hundred pairs, and show what students earn."""

    dataset: Path | str
    """A bundled name (hopper-medium-replay) or a path to .hdf5 (D4RL layout) or .npz."""

    _: KW_ONLY

    teacher: Path | str | None = None
    """A teacher file, as `potstill teach` writes it. Default: the one bundled with the dataset."""

    size: int = 256
    """N, the number of pairs."""

    objective: str = "q-gap"
    """random, dbc, pbc, av-pbc or q-gap."""

    weighting: str = "clipped"
    """Av-PBC's weights from q*: clipped, ranged or reference."""

    solver: str = "kernel"
    """kernel (kernel descent), unroll (back-propagation through a student's training) or sweep."""

    recipe: str = "default"
    """The student's recipe that the pairs are distilled for: default, paper or reference."""

    steps: int = 300
    """Outer steps."""

    batch: int = 1024
    """B, states of the dataset in an outer step."""

    optimiser: Literal["adam", "sgd"] = "adam"
    """Outer optimiser: adam with cosine decay, or sgd with momentum 0.9 as in the paper."""

    learning_rate: float = 0.1
    """Outer learning rate. Default: 0.1."""

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

    def __post_init__(self) -> None:
        check_ranges(self, size=1, steps=0, batch=1, clip=1e-12, learning_rate=1e-12)
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
    """Train by another recipe than the distillate's own: default, paper or reference."""

    dataset: Path | str | None = None
    """Without an environment: the dataset whose held-out states to compare on."""

    teacher: Path | str | None = None
    """Without an environment: the teacher to compare with. Default: the bundled one."""

    seed: int = 0
    """Seeds the students' starts and the episodes'."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_ranges(self, students=1, episodes=1, seed=0)


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
