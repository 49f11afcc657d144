"""The levels of D4RL's datasets: which policies SAC has to give, and who plays what is recorded.

After D4RL (Fu et al. 2020, arXiv 2004.07219, section 5): *random* acts at random, *medium* is a policy stopped at
about a third of the expert's score, *medium-replay* all that its training saw, *expert* a policy trained to the
end, *medium-expert* both in equal parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from potstill.config import CollectConfig
from potstill.environments import registry as environments
from potstill.errors import PotstillError, unknown

LEVELS = ("random", "medium", "medium-replay", "medium-expert", "expert", "replay")
MEDIUM_SCORE = 100.0 / 3.0


@dataclass(frozen=True)
class Plan:
    """What a level asks for."""

    level: str
    training: int = 0
    """Steps of SAC, at most."""
    goals: dict[str, float | None] = field(default_factory=dict)
    """By the name of a policy that SAC gives, the raw return at which it is taken; ``None``: at the end."""
    actors: tuple[str, ...] = ()
    """Who is rolled out, in equal parts. Without any, SAC's training itself is the dataset."""


def plan_of(config: CollectConfig) -> Plan:
    """The plan of ``config.level``.

    Raises:
        PotstillError: an unknown level, one that has no use for ``config.policy``, or a score where the
            environment has no reference returns.
    """
    level = config.level or ("replay" if config.policy is None else "policy")
    if level not in (*LEVELS, "policy") or config.level == "policy":
        raise unknown("level", level, LEVELS)
    if config.policy is not None and level in ("random", "medium", "medium-replay", "replay"):
        raise PotstillError(f"--policy has no use with --level {level}: only with expert, medium-expert or no level")
    if level in ("random", "policy"):
        return Plan(level, actors=(level,))
    if level == "replay":
        return Plan(level, config.steps, {"policy": None})
    goals: dict[str, float | None] = {}
    if level != "expert":
        goals["medium"] = _goal("medium", config, MEDIUM_SCORE)
    if level == "medium-replay":
        return Plan(level, config.steps, goals)
    if level != "medium" and config.policy is None:
        goals["expert"] = _goal("expert", config, None)
    if (goals.get("medium") or -math.inf) > (goals.get("expert") or math.inf):
        raise PotstillError(f"--level {level}: medium is to earn {goals['medium']:.4g}, more than the expert")
    return Plan(level, config.training_steps if goals else 0, goals, tuple(level.split("-")))


def _goal(name: str, config: CollectConfig, default: float | None) -> float | None:
    """The raw return that the policy called ``name`` has to reach."""
    raw, score = getattr(config, f"{name}_return"), getattr(config, f"{name}_score")
    if raw is not None:
        return float(raw)
    wanted = default if score is None else score
    if wanted is None:
        return None
    if not environments.has_reference(config.env_id):
        raise PotstillError(
            f"{config.env_id} has no reference scores, so that none can be reached: give --{name}-return, a raw return"
        )
    reference = environments.reference_returns(config.env_id)
    return reference.random + float(wanted) / 100.0 * (reference.expert - reference.random)
