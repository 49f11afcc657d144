"""The levels of D4RL's datasets: the policies to train, and the transitions to record.

Source: D4RL (Fu et al. 2020, arXiv 2004.07219, section 5). *random* has uniformly random actions; *medium* has rollouts
of a policy whose training was stopped at about a third of the expert's score; *medium-replay* has all transitions of
that training; *expert* has rollouts of a fully trained policy; *medium-expert* is one half medium and one half expert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from potstill.environments.references import find_reference_returns, has_reference
from potstill.errors import PotstillError, make_unknown_name_error, name_option

LEVELS = ("random", "medium", "medium-replay", "medium-expert", "expert", "replay")
MEDIUM_SCORE = 100.0 / 3.0


@dataclass(frozen=True)
class Goal:
    """The normalised score or the raw return at which a policy is taken from SAC's training.

    If both are ``None``, the policy is taken at the end of training.

    Raises:
        PotstillError: both are given.
    """

    score: float | None = None
    raw_return: float | None = None

    def __post_init__(self) -> None:
        if self.score is not None and self.raw_return is not None:
            raise PotstillError(
                f"a goal has score {self.score} and return {self.raw_return}: expected only one of them"
            )

    def resolve(self, name: str, env_id: str) -> float | None:
        """Return the raw return of the goal, or ``None`` for the end of training.

        Args:
            name: the policy's name, ``medium`` or ``expert``.
            env_id: Gymnasium id.

        Raises:
            PotstillError: the goal is a score, but the environment has no reference returns.
        """
        if self.raw_return is not None:
            return float(self.raw_return)
        if self.score is None:
            return None
        if not has_reference(env_id):
            raise PotstillError(
                f"{env_id} has no reference returns: give the {name} policy's goal as a raw return, "
                f"{name_option(f'{name}_return')}"
            )
        reference = find_reference_returns(env_id)
        return reference.random + float(self.score) / 100.0 * (reference.expert - reference.random)


@dataclass(frozen=True)
class CollectionPlan:
    """The policies to train and the transitions to record. :func:`make_plan` makes the plan of a level."""

    level: str
    training_steps: int = 0
    """Maximum number of steps of SAC's training; 0 if nothing is trained."""
    goals: Mapping[str, float | None] = field(default_factory=dict)
    """The policies to take from SAC's training: by name, the raw return to reach, or ``None`` for the end of
    training."""
    actors: tuple[str, ...] = ()
    """The policies to roll out, in equal parts. If empty, the transitions of SAC's training are the dataset."""


def make_plan(
    level: str | None,
    env_id: str,
    *,
    steps: int,
    training_steps: int,
    policy_given: bool = False,
    medium: Goal | None = None,
    expert: Goal | None = None,
) -> CollectionPlan:
    """Make the plan of a level.

    Args:
        level: one of :data:`LEVELS`. The default is ``replay``, or the rollout of a given policy.
        env_id: Gymnasium id.
        steps: transitions to record.
        training_steps: maximum number of steps of SAC's training, for levels that roll its policies out.
        policy_given: whether the user gives a policy to roll out. It is the expert of levels that have one.
        medium: goal of the medium policy. The default is a third of the expert's score.
        expert: goal of the expert policy. The default is the end of training.

    Raises:
        PotstillError: the level is unknown or does not use a policy, the environment has no reference returns for a
            goal that is a score, or the medium policy would be better than the expert.

    Example:
        >>> make_plan("medium-expert", "Hopper-v5", steps=1000, training_steps=5000).actors
        ('medium', 'expert')
    """
    name = level or ("policy" if policy_given else "replay")
    if level == "policy" or name not in (*LEVELS, "policy"):
        raise make_unknown_name_error("level", name, LEVELS)
    if policy_given and name in ("random", "medium", "medium-replay", "replay"):
        raise PotstillError(
            f"level {name} does not use a given policy: choose level expert or medium-expert, or omit the level"
        )
    if name in ("random", "policy"):
        return CollectionPlan(name, actors=(name,))
    if name == "replay":
        return CollectionPlan(name, steps, {"policy": None})
    goals: dict[str, float | None] = {}
    if name != "expert":
        goals["medium"] = (medium or Goal(MEDIUM_SCORE)).resolve("medium", env_id)
    if name == "medium-replay":
        return CollectionPlan(name, steps, goals)
    if name != "medium" and not policy_given:
        goals["expert"] = (expert or Goal()).resolve("expert", env_id)
    lower, upper = (goals.get(policy) for policy in ("medium", "expert"))
    if lower is not None and upper is not None and lower > upper:
        raise PotstillError(
            f"level {name}: the goal of the medium policy, {lower:.4g}, exceeds that of the expert policy, {upper:.4g}"
        )
    return CollectionPlan(name, training_steps if goals else 0, goals, tuple(name.split("-")))
