"""``--algorithm auto``: which teacher, judged without the environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from potstill.config import TeachConfig
from potstill.data.transitions import Transitions
from potstill.teachers import rows
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.fqe import cautious
from potstill.teachers.rows import Rows

FITTED_UPDATES = 2_000  # for each candidate, ten times over: from a fresh critic, so that none has a head start
DOUBT = 0.02  # share of the highest worth by which another may be lower and still count as equal

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


def worth(teacher: Teacher, table: Rows, data: Transitions, config: TeachConfig) -> float:
    """What a candidate is ranked by: cautious fitted Q-evaluation, from the states of held-out episodes.

    Args:
        teacher: the candidate.
        table: all rows of ``data``, by :func:`potstill.teachers.rows.prepare`.
        data: says where episodes begin and end.
        config: the settings of the training.
    """
    return cautious(table, data, config)(teacher, FITTED_UPDATES)


def rank(teachers: Mapping[str, Teacher], data: Transitions, config: TeachConfig) -> list[dict[str, Any]]:
    """Candidates by their :func:`worth`, best first."""
    table = rows.prepare(data, config.discount)
    scores = [{"candidate": name, "worth": worth(teacher, table, data, config)} for name, teacher in teachers.items()]
    return sorted(scores, key=lambda entry: -float(entry["worth"]))


def chosen(worths: Mapping[str, float]) -> str:
    """The candidate of the highest worth; of those within :data:`DOUBT` of it a ReBRAC one, if there is any.

    Two fits of the same teacher differ by a hundredth or more, and where worths tell no difference ReBRAC
    earns more than IQL on most files of the benchmark (``docs/results.md``, "How often auto is right").

    >>> chosen({"iql": 301.0, "rebrac-loose": 200.0, "rebrac-tight": 299.0})
    'rebrac-tight'
    >>> chosen({"iql": 301.0, "rebrac-tight": 290.0})
    'iql'
    """
    highest = max(worths.values())
    equal = {name: value for name, value in worths.items() if value >= highest - DOUBT * abs(highest)}
    preferred = {name: value for name, value in equal.items() if name.startswith("rebrac")} or equal
    return max(preferred, key=preferred.__getitem__)


def reason(worths: Mapping[str, float]) -> str:
    """One line that says why the :func:`chosen` one was chosen."""
    name = chosen(worths)
    rest = ", ".join(f"{other} {value:.4g}" for other, value in worths.items() if other != name)
    line = (
        f"chose {name}: fitted Q-evaluation puts its discounted return from held-out states, less what "
        f"leaving the data's actions costs, at {worths[name]:.4g} ({rest})"
    )
    if worths[name] < max(worths.values()):
        line += f"; within {100 * DOUBT:.0f} % such fits tell no difference, and ReBRAC is preferred"
    return line
