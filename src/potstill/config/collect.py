"""Settings of ``potstill collect``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from potstill.config.settings import check_resume
from potstill.errors import PotstillError, name_option
from potstill.runtime.validation import check_ranges, check_types

if TYPE_CHECKING:
    from potstill.config.option_types import PathOption
else:
    from potstill.config.cli_types import PathOption


@dataclass(frozen=True)
class CollectConfig:
    """Record an offline dataset: train SAC or DQN in an environment, roll out policies, or take random actions."""

    is_command: ClassVar[bool] = True

    env_id: str
    """Gymnasium environment with box observations, such as Hopper-v5. If its actions are discrete, as in CartPole-v1,
    DQN is trained wherever SAC is named below."""

    _: KW_ONLY

    level: str | None = None
    """Level of the dataset, as in D4RL: {names}. replay is all of SAC's training. Default: replay, or rollouts of
    --policy if it is given."""

    steps: int = 200_000
    """Transitions to record. With medium-replay, recording ends earlier if the medium score is reached."""

    policy: PathOption | None = None
    """Policy or teacher file to roll out. With --level expert or medium-expert it is the expert."""

    mean_action: bool = False
    """Roll policies out with their mean action instead of a sampled one."""

    medium_score: float | None = None
    """Normalised score that the medium policy must reach. Default: 33.3, a third of the expert's."""

    medium_return: float | None = None
    """The same threshold as a raw return, for environments without reference returns."""

    expert_score: float | None = None
    """Normalised score that the expert policy must reach. Default: the policy at the end of training."""

    expert_return: float | None = None
    """The same threshold as a raw return."""

    training_steps: int = 1_000_000
    """Maximum number of SAC's training steps for the medium and the expert policy."""

    evaluate_every: int = 5_000
    """Steps of SAC's training between two evaluations, of ten episodes each."""

    random_steps: int = 5_000
    """Number of uniformly random actions before SAC's first update."""

    environments: int = 1
    """Number of parallel environments. It changes SAC's training, but not rollouts."""

    format: Literal["d4rl", "minari"] = "d4rl"
    """Format of the dataset: dataset.hdf5 in D4RL's layout, or the folder of a Minari dataset."""

    mantissa_bits: int = 23
    """Bits of each number's mantissa to keep. 14 bits (a relative error of 3e-5) make the file a third smaller."""

    threads: int = 1
    """CPU threads for SAC's updates. One is fastest for networks of this size."""

    seed: int = 0
    """Seed of the environments, the agent and the sampled actions."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/collect-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    resume: bool = False
    """Resume an interrupted run in --out. Its settings must be the same."""

    def __post_init__(self) -> None:
        check_types(self)
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
        check_resume(self)
        for name in ("medium", "expert"):
            if None not in (getattr(self, f"{name}_score"), getattr(self, f"{name}_return")):
                options = f"{name_option(f'{name}_score')} and {name_option(f'{name}_return')}"
                raise PotstillError(f"{options} set the same threshold: give one of them")
