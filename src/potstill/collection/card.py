"""What a reader of a collected dataset wants to know: as JSON, and as the page that the Hugging Face Hub shows."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from potstill.collection.episodes import Recording
from potstill.collection.levels import Plan
from potstill.collection.rollout import play_episodes, uniform
from potstill.config import CollectConfig
from potstill.config.settings import command_line
from potstill.environments import registry as environments
from potstill.exports.card import LICENCE, head, listed
from potstill.runtime.run_folder import to_json

MEASURED = 10  # random episodes, where no table knows what they earn
UNSAVED = ("out", "force", "resume")
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
WHAT = {
    "random": "uniformly random actions",
    "medium": "roll-outs of a policy that SAC was stopped at, where it had reached the medium return below",
    "medium-replay": "all that SAC saw until its policy reached the medium return below",
    "medium-expert": "one half as of level medium, the other as of level expert",
    "expert": "roll-outs of an expert policy",
    "replay": "all that SAC saw in its training",
    "policy": "roll-outs of a given policy",
}
FORMS = {
    "d4rl": "HDF5 in D4RL's layout: one row a step, a row's next observation is the following row's",
    "minari": "a Minari dataset: every episode with its last observation",
}


def make_card(
    recording: Recording,
    config: CollectConfig,
    plan: Plan,
    policies: dict[str, dict[str, Any]],
    reference: dict[str, Any],
    env: Any,
) -> dict[str, Any]:
    """Environment, versions, level, policies, seed and returns, in plain values.

    Args:
        recording: the data.
        config: the settings.
        plan: what the level asked for.
        policies: by name, what is known of the policies.
        reference: as :func:`reference_of` gives it.
        env: the environment as :func:`~potstill.environments.registry.make` makes it.
    """
    returns = np.array(recording.returns() or [0.0])
    packages = ["gymnasium", "mujoco", "numpy"] + (["stable-baselines3", "torch"] if plan.training else [])
    card = {
        "env_id": config.env_id,
        "level": plan.level,
        "algorithm": _algorithm(config, plan),
        "seed": config.seed,
        "steps": recording.rows,
        "complete": recording.rows == config.steps or (plan.level == "medium-replay" and bool(policies)),
        "episodes": sum(episode.ended for episode in recording.episodes),
        "returns": {"mean": float(returns.mean()), "best": float(returns.max()), "last": float(returns[-1])},
        "reference": reference,
        "policies": policies,
        "goals": plan.goals,
        "observations": _observations(env),
        "command": command_line("collect", config),
        "settings": {key: value for key, value in to_json(config).items() if key not in UNSAVED},
        "versions": {name: version(name) for name in packages},
    }
    if environments.has_reference(config.env_id):
        scores = environments.normalised(returns, config.env_id)
        card["scores"] = {"mean": float(scores.mean()), "best": float(scores.max())}
    return to_json(card)


def reference_of(config: CollectConfig) -> dict[str, Any]:
    """Returns ``random`` and ``expert`` and their ``source``; where none are known ``random`` alone, measured."""
    if environments.has_reference(config.env_id):
        return environments.reference_returns(config.env_id)._asdict()
    played = play_episodes(config.env_id, uniform(config.env_id), seed=config.seed, lanes=MEASURED)
    measured = float(np.mean([next(played).total for _ in range(MEASURED)]))
    return {"random": measured, "source": f"measured here in {MEASURED} episodes of uniformly random actions"}


def _algorithm(config: CollectConfig, plan: Plan) -> str:
    parts = (["sac"] if plan.training else []) + ([f"policy {Path(config.policy).name}"] if config.policy else [])
    return " and ".join(parts) or "uniform"


def _observations(env: Any) -> dict[str, Any]:
    """The shape the environment gives, and how it became one row of numbers."""
    if not isinstance(env, gymnasium.wrappers.FlattenObservation):
        return {"shape": env.observation_space.shape}
    rule = "row by row (C order), as gymnasium.wrappers.FlattenObservation does"
    return {"shape": env.env.observation_space.shape, "flattened": rule}


def make_page(card: dict[str, Any], file: str, form: str) -> str:
    """The card as Markdown, with the head that the Hub reads."""
    shape, rule = card["observations"]["shape"], card["observations"].get("flattened")
    facts = {
        "Environment": card["env_id"],
        "Level": card["level"],
        "Algorithm": card["algorithm"],
        "Seed": card["seed"],
        "Episodes that ended": f"{card['episodes']:,}",
        "Returns": _inline(card["returns"]),
        "Normalised scores": _inline(card.get("scores", {})),
        "Reference returns": _inline(card["reference"]),
        **{f"The {name} policy": _inline(known) for name, known in card["policies"].items()},
        "Versions": ", ".join(f"{name} {number}" for name, number in card["versions"].items()),
        "Complete": "yes" if card["complete"] else "no, it was interrupted",
    }
    return PAGE.format(
        head=head(f"{card['env_id']}, {card['level']}", card["steps"], ("offline-rl-dataset",)),
        rows=f"{card['steps']:,}",
        env_id=card["env_id"],
        what=WHAT[card["level"]],
        facts=listed({label: value for label, value in facts.items() if value != ""}),
        command=card["command"],
        file=file,
        form=FORMS[form],
        flattened=f" Observations of shape {tuple(shape)} are flattened {rule}." if rule else "",
        licence=LICENCE,
    )


def _inline(figures: dict[str, Any]) -> str:
    """Figures in one line."""
    forms = {float: ".1f", int: ",", str: ""}
    return ", ".join(f"{name} {value:{forms[type(value)]}}" for name, value in figures.items())
