"""Offline selection among several teachers: ``--algorithm auto``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from potstill.data.transitions import Transitions
from potstill.runtime.files import JsonObject
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.algorithms.bc import Bc
from potstill.teachers.algorithms.cal_ql import CalQl
from potstill.teachers.algorithms.iql import Iql
from potstill.teachers.algorithms.rebrac import Rebrac
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.fqe import make_pessimistic_evaluator
from potstill.teachers.rows import TrainingRows, load_with_returns
from potstill.teachers.settings import Training

FITTED_UPDATES = 2_000  # times ten, because every candidate is the first policy of a new critic
VALUE = "pessimistic value estimate (fitted Q-evaluation, discounted return from held-out states)"
TOLERANCE = 0.02  # estimates within this fraction of the highest count as equal

# Actor and critic penalty, from weak to strong regularisation towards the data's actions. Published ReBRAC
# coefficients lie in this range; the best ones differ by dataset.
PENALTIES = {"loose": (0.01, 0.01), "medium": (0.05, 0.5), "tight": (0.4, 0.1)}


def make_candidates(
    penalties: Mapping[str, tuple[float, float]] = PENALTIES, *, discrete: bool = False
) -> dict[str, Algorithm[Any]]:
    """Make the candidates of ``auto``, which are all fast to train: IQL, and ReBRAC at each of the named penalties.

    For discrete actions: IQL, Cal-QL, and BC of the best tenth of the episodes.
    """
    if discrete:
        return {"iql": Iql(), "cal-ql": CalQl(), "bc-best": Bc(best_episodes=0.1)}
    return {
        "iql": Iql(),
        **{
            f"rebrac-{name}": Rebrac(actor_penalty=actor, critic_penalty=critic)
            for name, (actor, critic) in penalties.items()
        },
    }


def estimate_pessimistic_value(teacher: Teacher, table: TrainingRows, data: Transitions, training: Training) -> float:
    """Estimate the value of a candidate by pessimistic fitted Q-evaluation on held-out states.

    Args:
        teacher: the candidate.
        table: all rows of ``data``, from :func:`potstill.teachers.rows.load_with_returns`.
        data: the transitions, for their episodes.
        training: batch size, γ and seed of the fit.
    """
    return make_pessimistic_evaluator(table, data, training)(teacher, FITTED_UPDATES)


def estimate_values(teachers: Mapping[str, Teacher], data: Transitions, training: Training) -> dict[str, float]:
    """The :func:`estimate_pessimistic_value` of each candidate, highest first."""
    table = load_with_returns(data, training.discount)
    values = {name: estimate_pessimistic_value(teacher, table, data, training) for name, teacher in teachers.items()}
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def select(values: Mapping[str, float]) -> str:
    """Select the best ReBRAC candidate if its estimate is within 2 % of the highest, else the highest.

    Two fits to the same teacher differ by about 1 %. If the estimates do not differ by more than that, ReBRAC usually
    has a higher return than IQL (docs/archive/teachers.md, "Automatic choice").

    >>> select({"iql": 301.0, "rebrac-loose": 200.0, "rebrac-tight": 299.0})
    'rebrac-tight'
    >>> select({"iql": 301.0, "rebrac-tight": 290.0})
    'iql'
    """
    highest = max(values.values())
    equal = {name: value for name, value in values.items() if value >= highest - TOLERANCE * abs(highest)}
    preferred = {name: value for name, value in equal.items() if name.startswith("rebrac")} or equal
    return max(preferred, key=preferred.__getitem__)


def choose_candidate(values: Mapping[str, float], imagined: Mapping[str, JsonObject]) -> tuple[str, str]:
    """Choose by the mean returns in a world model or, without a model, by the pessimistic values; and say why.

    Example:
        >>> choose_candidate({"iql": 3.0, "rebrac-tight": 2.0}, {"iql": {"mean": 70.0}, "rebrac-tight": {"mean": 80.0}})
        ('rebrac-tight', 'chose rebrac-tight: its mean return in the world model is 80 (iql 70)')
    """
    if imagined:
        means = {name: float(imagined[name]["mean"]) for name in sorted(imagined, key=lambda x: -imagined[x]["mean"])}
        return select(means), explain_selection(means, "mean return in the world model")
    return select(values), explain_selection(values)


def rank_candidates(values: Mapping[str, float], imagined: Mapping[str, JsonObject]) -> list[JsonObject]:
    """The estimates of all candidates, for the result: in the order of those that :func:`choose_candidate` uses."""
    ordered = sorted(values, key=lambda name: -(imagined[name]["mean"] if imagined else values[name]))
    return [
        {"candidate": name, "pessimistic_value": values[name], **({"imagined": imagined[name]} if imagined else {})}
        for name in ordered
    ]


def explain_selection(values: Mapping[str, float], estimate: str = VALUE) -> str:
    """One line that explains the choice of :func:`select` by this kind of estimate."""
    name = select(values)
    rest = ", ".join(f"{other} {value:.4g}" for other, value in values.items() if other != name)
    line = f"chose {name}: its {estimate} is {values[name]:.4g} ({rest})"
    if values[name] < max(values.values()):
        line += f"; estimates within {100 * TOLERANCE:.0f} % count as equal, and ReBRAC is preferred"
    return line
