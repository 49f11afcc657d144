"""Settings of ``potstill finetune``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar

from potstill.finetuning.settings import FineTuning, check_limits
from potstill.runtime.validation import check_finite, check_fractions, check_ranges, check_types

if TYPE_CHECKING:
    from potstill.config.option_types import PathOption, RecipeOption
else:
    from potstill.config.cli_types import PathOption, RecipeOption

STARTS = ("student", "teacher", "scratch")


@dataclass(frozen=True)
class FinetuneConfig:
    """Fine-tune a student in the environment by TD3, with the distillate as a constraint that fades.

    A run cannot be resumed. After Ctrl-C, the run folder has the curve and the newest policy, from which a new run can
    start (--start).
    """

    is_command: ClassVar[bool] = True

    distillate: PathOption
    """A distillate file, a run folder of `potstill distill`, or a bundled name."""

    _: KW_ONLY

    env_id: str | None = None
    """Gymnasium environment. Default: that of the distillate."""

    start: PathOption = "student"
    """student: a new student of the distillate; teacher: its teacher; scratch: a network that is not trained, with
    random actions in the warm-up; or the path of a policy or teacher."""

    recipe: RecipeOption | None = None
    """The recipe of the student, which must have one tower: {names}. Fields such as --recipe.steps 500 change the named
    recipe. Default: pytorch, two hidden layers of 256 units."""

    env_steps: int = FineTuning.steps
    """Environment steps."""

    warmup: int = FineTuning.warmup
    """First steps, in which only the critics are trained."""

    constraint: float | None = None
    """Initial weight of the distance to the actions of the distillate, relative to the mean absolute action value.
    0: no constraint. Default: 2, and 0 from scratch."""

    prior: bool = True
    """Let the constraint also hold the actor to the policy that it started from (from scratch: to a student) in the
    states that it visits. Otherwise it holds in the states of the pairs alone."""

    fade: int | None = FineTuning.fade
    """Steps after the warm-up in which the weight falls linearly to 0. Default: one and a half times as many as remain,
    so that a third of the weight is left at the end."""

    noise: float = FineTuning.noise
    """Standard deviation of the exploration noise, for actions in [-1, 1]."""

    update_every: int = FineTuning.update_every
    """Environment steps for each update of the critics. The actor is updated half as often."""

    batch: int = FineTuning.batch
    """Transitions in an update."""

    learning_rate: float = FineTuning.learning_rate
    """Learning rate of the critics."""

    actor_learning_rate: float | None = None
    """Learning rate of the actor. Default: 0.0001, and that of the critics from scratch."""

    critic_width: int = FineTuning.critic_width
    """Units of each of the two hidden layers of a critic."""

    discount: float = FineTuning.discount
    """γ, inside (0, 1)."""

    evaluate_every: int | None = None
    """Steps between two evaluations. Default: a twentieth of all steps."""

    episodes: int = 10
    """Episodes of each evaluation, without noise."""

    threads: int = FineTuning.threads
    """CPU threads for the updates. One is fastest for networks of this size."""

    seed: int = 0
    """Seeds the student, the critics, the noise and the environment. Evaluations of all seeds have the same initial
    states."""

    track: str | None = None
    """Send the metrics to a tracker as well: {names}."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    force: bool = False
    """Replace the run folder if it exists."""

    def __post_init__(self) -> None:
        check_types(self, skip=("recipe",))
        check_ranges(self, env_steps=1, warmup=0, constraint=0.0, fade=1, noise=0.0, update_every=1, batch=1)
        check_ranges(
            self,
            learning_rate=0.0,
            actor_learning_rate=0.0,
            critic_width=1,
            evaluate_every=1,
            episodes=1,
            threads=1,
            seed=0,
        )
        check_finite(self, "constraint", "noise", "learning_rate", "actor_learning_rate")
        check_fractions(self, "discount")
        check_limits(self)

    @property
    def start_name(self) -> str:
        """The name or path of the start: on the command line, a name is read as a path."""
        return str(self.start)

    def make_settings(self) -> FineTuning:
        """Make the settings of fine-tuning as an object of the core."""
        scratch = self.start_name == "scratch"
        default = 0.0 if scratch else FineTuning.constraint
        rate = self.learning_rate if scratch else FineTuning.actor_learning_rate
        return FineTuning(
            steps=self.env_steps,
            warmup=self.warmup,
            constraint=default if self.constraint is None else self.constraint,
            fade=self.fade,
            random_steps=self.warmup if scratch else 0,
            noise=self.noise,
            update_every=self.update_every,
            batch=self.batch,
            learning_rate=self.learning_rate,
            actor_learning_rate=rate if self.actor_learning_rate is None else self.actor_learning_rate,
            critic_width=self.critic_width,
            discount=self.discount,
            threads=self.threads,
            seed=self.seed,
        )
