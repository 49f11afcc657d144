"""``--algorithm auto``: which teacher, judged without the environment."""

from __future__ import annotations

import dataclasses
from typing import Any

from potstill.config import TeachConfig
from potstill.teachers import rows
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.fitted import Evaluator
from potstill.types import Transitions

FITTED_UPDATES = 20_000  # for each candidate, from a fresh critic, so that none has a head start

# From loose to tight: how far the policy may leave the data's actions. Published ReBRAC coefficients lie
# in this range, and the right one differs by dataset.
PENALTIES = {"loose": (0.01, 0.01), "medium": (0.05, 0.5), "tight": (0.4, 0.1)}


def candidates(config: TeachConfig) -> dict[str, TeachConfig]:
    """The cheap candidates: IQL and ReBRAC at three penalties, each with the given updates and seed."""
    found = {"iql": dataclasses.replace(config, algorithm="iql")}
    for name, (actor, critic) in PENALTIES.items():
        own = dataclasses.replace(config.rebrac, actor_penalty=actor, critic_penalty=critic)
        found[f"rebrac-{name}"] = dataclasses.replace(config, algorithm="rebrac", rebrac=own)
    return found


def rank(teachers: dict[str, NetworkTeacher], data: Transitions, config: TeachConfig) -> list[dict[str, Any]]:
    """Candidates by fitted Q-evaluation, best first."""
    table = rows.prepare(data, config.discount)
    scores = [
        {"candidate": name, "fitted_value": Evaluator(table, data, config)(teacher, FITTED_UPDATES)}
        for name, teacher in teachers.items()
    ]
    return sorted(scores, key=lambda entry: -float(entry["fitted_value"]))


def reason(ranking: list[dict[str, Any]]) -> str:
    """One line that says why the first was chosen."""
    best, *others = ranking
    rest = ", ".join(f"{entry['candidate']} {entry['fitted_value']:.4g}" for entry in others)
    return (
        f"chose {best['candidate']}: fitted Q-evaluation puts its discounted return from held-out starts at "
        f"{best['fitted_value']:.4g} ({rest})"
    )
