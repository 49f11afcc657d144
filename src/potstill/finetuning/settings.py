"""Settings of fine-tuning, and the weight of the constraint over environment steps."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import Dataclass, check_finite, check_fractions, check_ranges, name_field

MOST = {"noise": 10.0, "threads": 1024, "critic_width": 8192}
"""More noise gives random actions; more threads and wider critics end the process."""


def check_limits(settings: Dataclass) -> None:
    """Raise if a field of settings, or of a command, is above its limit.

    >>> check_limits(FineTuning(threads=2))
    """
    for name, most in MOST.items():
        value = getattr(settings, name)
        if value > most:
            raise PotstillError(f"{name_field(settings, name)} {value:g}: expected at most {most:g}")


@check_arguments
@dataclass(frozen=True)
class FineTuning:
    """How TD3 fine-tunes a policy.

    In the first ``warmup`` steps, the policy collects with exploration noise, and only the critics are trained. Then
    the actor minimises, over a batch of replayed states s and all pairs (s_i, a_i) of the distillate with weights w_i,

        − mean Q(s, π(s)) + c(t) · mean abs Q(s, π(s)) · D,
        D = Σ_i w_i ‖π(s_i) − a_i‖² / (A Σ_i w_i) + mean ‖π(s) − π_prior(s)‖² / A

    for A action components in [−1, 1]. The prior is usually the student that the actor starts from; without one, D is
    the first term. No gradient flows through the mean absolute Q. It makes c independent of the scale of the rewards,
    as in TD3+BC (Fujimoto and Gu 2021, arXiv 2106.06860), whose α is 1/c here. TD3+BC clones the actions of the
    dataset, and its constraint does not fade. TD3 is that of Fujimoto, van Hoof and Meger 2018, arXiv 1802.09477; here
    the critics have LayerNorm.

    Raises:
        PotstillError: a field has a wrong type or is out of range.

    Example:
        >>> settings = FineTuning(steps=10_000, warmup=1_000, constraint=2.0, fade=4_000)
        >>> [settings.compute_constraint(step) for step in (0, 1_000, 3_000, 5_000, 10_000)]
        [2.0, 2.0, 1.0, 0.0, 0.0]
    """

    steps: int = 50_000
    """Environment steps."""
    warmup: int = 2_000
    """First steps, in which the actor does not change."""
    constraint: float = 2.0
    """c(0), the initial weight of the constraint. 0: none."""
    fade: int | None = None
    """Steps after the warm-up in which the weight falls linearly to 0. ``None``: 1.5 times as many as remain, so that a
    third of the weight is left at the end."""
    random_steps: int = 0
    """First steps with uniformly random actions and without updates, for a policy that is not trained yet."""
    noise: float = 0.1
    """Standard deviation of the exploration noise, for actions in [−1, 1]."""
    update_every: int = 1
    """Environment steps for each update of the critics. The actor is updated half as often."""
    batch: int = 256
    """Replayed transitions in an update."""
    learning_rate: float = 3e-4
    """Learning rate of the critics."""
    actor_learning_rate: float = 1e-4
    """Learning rate of the actor."""
    critic_width: int = 256
    """Units of each of the two hidden layers of a critic."""
    discount: float = 0.99
    """γ, inside (0, 1)."""
    threads: int = 1
    """Processor threads."""
    seed: int = 0
    """Seeds the critics, the noise, the batches and the environment."""

    def __post_init__(self) -> None:
        check_ranges(self, steps=1, warmup=0, constraint=0.0, fade=1, random_steps=0, noise=0.0, update_every=1)
        check_ranges(self, batch=1, learning_rate=0.0, actor_learning_rate=0.0, critic_width=1, threads=1, seed=0)
        check_finite(self, "constraint", "noise", "learning_rate", "actor_learning_rate")
        check_fractions(self, "discount")
        check_limits(self)

    def compute_constraint(self, step: int) -> float:
        """Compute c(t), the weight of the constraint after ``step`` environment steps."""
        fade = max(1.5 * (self.steps - self.warmup), 1.0) if self.fade is None else self.fade
        return self.constraint * min(max(1.0 - (step - self.warmup) / fade, 0.0), 1.0)
