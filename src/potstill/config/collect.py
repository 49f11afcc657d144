"""Settings of ``potstill collect``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from potstill.errors import PotstillError
from potstill.runtime.validation import check_ranges


@dataclass(frozen=True)
class CollectConfig:
    """Record an offline dataset: train SAC in an environment, roll policies out, or act at random."""

    is_command: ClassVar[bool] = True

    env_id: str
    """Gymnasium environment with box observations and actions, e.g. Hopper-v5."""

    _: KW_ONLY

    level: str | None = None
    """What the data are of, as in D4RL: random, medium, medium-replay, medium-expert, expert, or replay, SAC's
    whole training. Default: replay, or the roll-out of --policy."""

    steps: int = 200_000
    """Transitions to record. Of medium-replay: at most, it ends when the medium score is reached."""

    policy: Path | str | None = None
    """A policy or teacher file to roll out; with --level expert or medium-expert it is the expert."""

    mean_action: bool = False
    """Policies act with their mean, instead of sampling."""

    medium_score: float | None = None
    """Normalised score at which SAC's policy is the medium one. Default: a third of the expert's, 33.3."""

    medium_return: float | None = None
    """The same as a raw return; needed where the environment has no reference scores."""

    expert_score: float | None = None
    """Normalised score at which SAC's policy is the expert. Default: none, it is trained to the end."""

    expert_return: float | None = None
    """The same as a raw return."""

    training_steps: int = 1_000_000
    """Steps of SAC, at most, for the medium and the expert policy."""

    evaluate_every: int = 5_000
    """Steps of SAC between two evaluations (ten episodes) that ask whether a score is reached."""

    random_steps: int = 5_000
    """With SAC: uniformly random actions before the first update."""

    environments: int = 1
    """Environments side by side. A roll-out is the same whatever their number; SAC's training is another."""

    format: Literal["d4rl", "minari"] = "d4rl"
    """How the data are written: dataset.hdf5 in D4RL's layout, or the folder of a Minari dataset."""

    mantissa_bits: int = 23
    """Bits kept of each number's 23-bit mantissa; 14 (a relative error of 3e-5) shrinks the file by a third."""

    threads: int = 1
    """With SAC: processor threads for the updates. One is fastest at this size."""

    seed: int = 0
    """Seeds the environments, the agent and the noise."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    resume: bool = False
    """Go on with an interrupted run in --out; its settings must be the same."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            steps=2,
            training_steps=1,
            evaluate_every=1,
            random_steps=0,
            environments=1,
            mantissa_bits=1,
            threads=1,
            seed=0,
        )
        if self.resume and self.out is None:
            raise PotstillError("--resume needs --out, the run folder to go on with")
        for name in ("medium", "expert"):
            if None not in (getattr(self, f"{name}_score"), getattr(self, f"{name}_return")):
                raise PotstillError(f"--{name}-score and --{name}-return say the same: give one of them")
