"""Settings of ``potstill teach``: the training all algorithms share, then each algorithm's own."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar

from potstill.errors import PotstillError
from potstill.runtime.validation import check_ranges

# A value spreads by one step of the environment while a target network catches up once, in 1 / τ updates: with the
# usual 0.005 the critics of ReBRAC and IQL go on rising for some 100,000. ReBRAC's penalties and LayerNorm hold it at
# ten times that rate, and IQL asks no critic about actions beyond the data (docs/teachers.md).
TARGET_RATE, TARGET_RATES = 0.005, {"rebrac": 0.05, "iql": 0.02}


@dataclass(frozen=True)
class BcConfig:
    """Behavioural cloning; its critics are fitted to the cloned policy."""

    _: KW_ONLY

    best_episodes: float = 1.0
    """Share of the episodes, those of highest return, to clone: 0.1 is the usual percentile form."""

    learning_rate: float = 3e-4
    """Adam's."""

    def __post_init__(self) -> None:
        check_ranges(self, learning_rate=1e-12)
        if not 0.0 < self.best_episodes <= 1.0:
            raise PotstillError(f"--bc.best-episodes {self.best_episodes}: inside (0, 1] is needed")


@dataclass(frozen=True)
class RebracConfig:
    """ReBRAC. TD3+BC: actor_penalty 0.4 / A, critic_penalty 0, no layer_norm, two hidden layers, target_rate 0.005."""

    _: KW_ONLY

    actor_penalty: float = 0.05
    """β_π, distance of the policy to the data's actions. Source: ReBRAC, hopper-medium-replay."""

    critic_penalty: float = 0.5
    """β_Q, the same inside the critic's target."""

    layer_norm: bool = True
    """LayerNorm after the critics' hidden layers."""

    hidden_layers: int = 3
    """Hidden layers of 256 units, of the actor and of the critics."""

    learning_rate: float = 1e-3
    """Adam's, for actor and critics."""

    def __post_init__(self) -> None:
        check_ranges(self, actor_penalty=0, critic_penalty=0, hidden_layers=1, learning_rate=1e-12)


@dataclass(frozen=True)
class IqlConfig:
    """Implicit Q-learning."""

    _: KW_ONLY

    expectile: float = 0.7
    """τ of the expectile that the state value is of. Source: IQL, locomotion."""

    temperature: float = 3.0
    """β, the inverse temperature of the advantage weights."""

    learning_rate: float = 3e-4
    """Adam's, for all networks; the actor's decays to 0 by a cosine."""

    def __post_init__(self) -> None:
        check_ranges(self, temperature=0, learning_rate=1e-12)
        if not 0.0 < self.expectile < 1.0:
            raise PotstillError(f"--iql.expectile {self.expectile}: inside (0, 1) is needed")


@dataclass(frozen=True)
class CalQlConfig:
    """Cal-QL. CQL is the same without calibrated."""

    _: KW_ONLY

    calibrated: bool = True
    """Bound the values of the policy's actions from below by the data's returns."""

    alpha: float = 10.0
    """Weight of the conservative term. Source: CORL's Cal-QL."""

    actions: int = 10
    """Actions drawn from each of: uniform, the policy here, the policy in the next state."""

    policy_learning_rate: float = 3e-5
    """Adam's, for the actor and the entropy's weight."""

    learning_rate: float = 3e-4
    """Adam's, for the critics."""

    def __post_init__(self) -> None:
        check_ranges(self, alpha=0, actions=1, policy_learning_rate=1e-12, learning_rate=1e-12)


@dataclass(frozen=True)
class EdacConfig:
    """EDAC. SAC-N is diversity 0."""

    _: KW_ONLY

    critics: int = 10
    """N, the ensemble's size. Source: EDAC, HalfCheetah and Walker2d; its Hopper runs use 50."""

    diversity: float = 1.0
    """η, weight of the gradient diversity."""

    learning_rate: float = 3e-4
    """Adam's, for all networks."""

    def __post_init__(self) -> None:
        check_ranges(self, critics=2, diversity=0, learning_rate=1e-12)


@dataclass(frozen=True)
class Settings:
    """What an algorithm's updates depend on. Equal settings share one compiled program."""

    own: Any
    """The algorithm's own settings, :class:`RebracConfig` for ReBRAC."""

    batch: int
    discount: float
    target_rate: float


@dataclass(frozen=True)
class TeachConfig:
    """Train a teacher (policy and action values) on a dataset by offline RL."""

    is_command: ClassVar[bool] = True

    dataset: Path | str
    """A bundled name, minari:ID, d4rl:NAME, or a path to .hdf5, .npz, .parquet or a folder (convert's or Minari's)."""

    _: KW_ONLY

    download: bool = False
    """Where a minari:ID is not in Minari's root: let Minari's own client fetch it."""

    action_scale: float = 1.0
    """What the dataset's actions are multiplied by, where they are in another unit than their environment's."""

    algorithm: str = "rebrac"
    """bc, rebrac, iql, cal-ql or edac; or auto: train the cheap ones and keep the best by the data alone."""

    updates: int = 100_000
    """Gradient updates of the critics."""

    batch: int = 256
    """Transitions in an update."""

    discount: float = 0.99
    """γ, inside (0, 1)."""

    target_rate: float | None = None
    """τ, how fast the target networks follow. Default: 0.05 for rebrac, 0.02 for iql, 0.005 for the others."""

    bc: BcConfig = BcConfig()
    """Settings of bc."""

    rebrac: RebracConfig = RebracConfig()
    """Settings of rebrac."""

    iql: IqlConfig = IqlConfig()
    """Settings of iql."""

    cal_ql: CalQlConfig = CalQlConfig()
    """Settings of cal-ql."""

    edac: EdacConfig = EdacConfig()
    """Settings of edac."""

    evaluate_every: int = 10_000
    """Updates between two evaluations; each also writes the teacher as it is then."""

    episodes: int = 10
    """Episodes in an evaluation, where the dataset names an environment. 0: never play in it."""

    fitted_updates: int = 2_000
    """Updates of fitted Q-evaluation for each evaluation's offline score. 0: no offline scores."""

    patience: int | None = None
    """Stop when that many evaluations in a row have not raised the worth, a cautious fitted value; keep the best. The
    first evaluation does not count."""

    seed: int = 0
    """Seeds the networks, the batches and the noise."""

    out: Path | str | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    resume: bool = False
    """Go on with the unfinished run in --out, which must have the same settings."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_ranges(self, updates=2, batch=1, evaluate_every=2, episodes=0, seed=0)
        if self.target_rate is not None and not 0.0 < self.target_rate <= 1.0:
            raise PotstillError(f"--target-rate {self.target_rate}: inside (0, 1] is needed")
        if not 0.0 < self.discount < 1.0:
            raise PotstillError(f"--discount {self.discount}: inside (0, 1) is needed")
        check_ranges(self, fitted_updates=0, patience=1)
        if self.patience is not None and not self.fitted_updates:
            raise PotstillError("--patience needs --fitted-updates: it watches the worth")
        if self.resume and self.out is None:
            raise PotstillError("--resume needs --out, the run folder to go on with")

    @property
    def settings(self) -> Settings:
        """What the updates of ``algorithm`` depend on."""
        own = getattr(self, self.algorithm.replace("-", "_"))
        usual = TARGET_RATES.get(self.algorithm, TARGET_RATE)
        return Settings(own, self.batch, self.discount, self.target_rate if self.target_rate is not None else usual)
