"""The card of a collected dataset, as JSON and as a page for the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import gymnasium
import numpy as np

from potstill.collection.episodes import Recording
from potstill.collection.levels import CollectionPlan
from potstill.collection.rollout import make_uniform_behaviour, play_episodes
from potstill.environments.making import Environment
from potstill.environments.observations.rule import read_rule
from potstill.environments.observations.wrapper import RuleObservation
from potstill.environments.references import find_reference_returns, has_reference, normalised_return
from potstill.exports.card import LICENCE, format_facts, format_header
from potstill.runtime.files import StrPath, to_json

RANDOM_EPISODES = 10  # episodes of a random policy, in environments without reference returns
PAGE = """\
{head}

{rows} transitions of `{env_id}`, recorded by `potstill collect`: {what}.

## How it was made

{facts}

    {command}

## How to read it

`{file}` is {form}. Observations and actions are in the environment's own units.{flattened}

    potstill inspect {file}

{licence}
"""
DESCRIPTIONS = {
    "random": "uniformly random actions",
    "medium": "rollouts of a policy that was taken from SAC's training when it reached the medium return below",
    "medium-replay": "all transitions of SAC's training until its policy reached the medium return below",
    "medium-expert": "one half as at level medium, the other half as at level expert",
    "expert": "rollouts of an expert policy",
    "replay": "all transitions of SAC's training",
    "policy": "rollouts of a given policy",
}
FORMS = {
    "d4rl": "HDF5 in D4RL's layout: one row per step; the next observation of a row is the following row's",
    "minari": "a Minari dataset: every episode has its last observation",
}


class Card(TypedDict):
    """The card of a dataset, as JSON-compatible values."""

    env_id: str
    level: str
    algorithm: str
    seed: int
    steps: int
    complete: bool
    episodes: int
    returns: Mapping[str, float]
    reference: Mapping[str, float | str]
    policies: Mapping[str, Mapping[str, int | float]]
    goals: Mapping[str, float | None]
    observations: Observations
    command: str
    settings: Mapping[str, object]
    versions: Mapping[str, str]
    scores: NotRequired[Mapping[str, float]]
    observation_rule: NotRequired[Mapping[str, object]]


class Observations(TypedDict):
    """The shape of the environment's observations, and how they were flattened."""

    shape: Sequence[int]
    flattened: NotRequired[str]
    dtype: NotRequired[str]


@dataclass(frozen=True)
class Origin:
    """The settings that a dataset is collected with. The card contains them."""

    env_id: str
    plan: CollectionPlan
    steps: int
    """The requested number of transitions."""
    seed: int
    command: str
    """The command that collects the dataset again."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """All settings of that command, as JSON-compatible values."""
    policy: StrPath | None = None
    """File of the policy that is rolled out, or ``None``."""
    learner: str = "sac"
    """The algorithm of the training, ``sac`` or ``dqn``."""

    @property
    def algorithm(self) -> str:
        """The source of the actions: ``sac`` or ``dqn``, ``policy FILE``, both, or ``uniform``."""
        parts = [self.learner] if self.plan.training_steps else []
        parts += [f"policy {Path(self.policy).name}"] if self.policy else []
        return " and ".join(parts) or "uniform"


def make_card(
    recording: Recording,
    origin: Origin,
    *,
    policies: Mapping[str, Mapping[str, int | float]],
    reference: Mapping[str, float | str],
    env: Environment,
) -> Card:
    """Make the card of a dataset, as JSON-compatible values.

    Args:
        recording: the data.
        origin: how they were collected.
        policies: by name, the steps and the return of each policy that was taken from SAC's training.
        reference: the result of :func:`measure_reference`.
        env: the environment, as :func:`~potstill.environments.making.make` makes it.
    """
    plan, returns = origin.plan, np.array(recording.list_returns() or [0.0])
    packages = ["gymnasium", "mujoco", "numpy"] + (["stable-baselines3", "torch"] if plan.training_steps else [])
    card: Card = {
        "env_id": origin.env_id,
        "level": plan.level,
        "algorithm": origin.algorithm,
        "seed": origin.seed,
        "steps": recording.rows,
        "complete": recording.rows == origin.steps or (plan.level == "medium-replay" and bool(policies)),
        "episodes": sum(episode.ended for episode in recording.episodes),
        "returns": {"mean": float(returns.mean()), "best": float(returns.max()), "last": float(returns[-1])},
        "reference": dict(reference),
        "policies": dict(policies),
        "goals": dict(plan.goals),
        "observations": _describe_observations(env),
        "command": origin.command,
        "settings": dict(origin.settings),
        "versions": {name: version(name) for name in packages},
    }
    if isinstance(env, RuleObservation):
        card["observation_rule"] = env.rule.to_json()
    if has_reference(origin.env_id):
        scores = normalised_return(returns, origin.env_id)
        card["scores"] = {"mean": float(scores.mean()), "best": float(scores.max())}
    return cast(Card, to_json(card))


def measure_reference(env_id: str, seed: int) -> dict[str, float | str]:
    """Return the reference returns ``random`` and ``expert`` of an environment, with their ``source``.

    If none are known, the result has only ``random``, measured in ten episodes of uniformly random actions.
    """
    if has_reference(env_id):
        return find_reference_returns(env_id)._asdict()
    played = play_episodes(env_id, make_uniform_behaviour(env_id), seed=seed, lanes=RANDOM_EPISODES)
    measured = float(np.mean([next(played).total for _ in range(RANDOM_EPISODES)]))
    return {"random": measured, "source": f"measured here in {RANDOM_EPISODES} episodes of uniformly random actions"}


def _describe_observations(env: Environment) -> Observations:
    if not isinstance(env, gymnasium.wrappers.FlattenObservation):
        return {"shape": env.observation_space.shape}
    inner = env.env.observation_space
    rule = "row by row (C order), as gymnasium.wrappers.FlattenObservation does"
    return {"shape": inner.shape, "flattened": rule, "dtype": str(inner.dtype)}


def make_page(card: Card, file: str, form: str) -> str:
    """Format the card as Markdown, with a YAML header for the Hub.

    Args:
        card: the result of :func:`make_card`.
        file: name of the dataset's file or folder.
        form: its format, ``d4rl`` or ``minari``.
    """
    facts = {
        "Environment": card["env_id"],
        "Level": card["level"],
        "Algorithm": card["algorithm"],
        "Seed": card["seed"],
        "Episodes that ended": f"{card['episodes']:,}",
        "Returns": _format_inline(card["returns"]),
        "Normalised scores": _format_inline(card.get("scores", {})),
        "Reference returns": _format_inline(card["reference"]),
        **{f"The {name} policy": _format_inline(known) for name, known in card["policies"].items()},
        "Versions": ", ".join(f"{name} {number}" for name, number in card["versions"].items()),
        "Complete": "yes" if card["complete"] else "no, it was interrupted",
    }
    return PAGE.format(
        head=format_header(f"{card['env_id']}, {card['level']}", card["steps"], ("offline-rl-dataset",)),
        rows=f"{card['steps']:,}",
        env_id=card["env_id"],
        what=DESCRIPTIONS[card["level"]].replace("SAC", "DQN" if card["algorithm"].startswith("dqn") else "SAC"),
        facts=format_facts({label: value for label, value in facts.items() if value != ""}),
        command=card["command"],
        file=file,
        form=FORMS[form],
        flattened=_format_flattening(card),
        licence=LICENCE,
    )


def _format_flattening(card: Card) -> str:
    """Describe how observations became vectors; nothing if they were vectors."""
    rule, known = read_rule(card.get("observation_rule")), card["observations"]
    if rule is not None:
        return f" Observations are {rule.describe()}."
    flattened = known.get("flattened")
    return f" Observations of shape {tuple(known['shape'])} are flattened {flattened}." if flattened else ""


def _format_inline(values: Mapping[str, float | int | str]) -> str:
    """Format named values in one line."""
    forms = {float: ".1f", int: ",", str: ""}
    return ", ".join(f"{name} {value:{forms[type(value)]}}" for name, value in values.items())
