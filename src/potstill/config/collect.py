"""Settings of ``potstill collect``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

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
