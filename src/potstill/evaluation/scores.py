"""Scores of students: returns in the environment, and the distance to the teacher."""

from __future__ import annotations

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from potstill.data.split import select_held_out_rows
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate
from potstill.distillation.objectives.gap import q_gap
from potstill.distillation.state_table import build_state_table
from potstill.environments.observations.rule import ObservationRule
from potstill.environments.references import RAW, Reference, find_reference_returns
from potstill.environments.rollouts import Act, play
from potstill.errors import PotstillError
from potstill.evaluation.statistics import ScoreSummary, summarise
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject
from potstill.students.ensemble import SEEDS, Students
from potstill.students.recipe import Recipe
from potstill.teachers.base import NetworkTeacher

FIRST_SEED = 10_000  # seeds of the episodes' initial states; each episode has its own
TEACHER_SEED = 90  # seed of the teacher's episodes


@check_arguments
def measure_policy_returns(
    act: Act, env_id: str, episodes: int, seed: int, rule: ObservationRule | None = None
) -> Float[np.ndarray, "1 E"]:
    """Measure undiscounted returns of one policy over E episodes, each with its own seed.

    Args:
        act: a policy, see :func:`potstill.environments.play`.
        env_id: Gymnasium id.
        episodes: E.
        seed: selects the seeds of the initial states. Equal seeds give equal initial states to all policies.
        rule: how observations become vectors, if they are none, as recorded with the data.

    Raises:
        PotstillError: the environment is unknown or not supported.

    Example:
        >>> import numpy as np
        >>> from potstill.evaluation import measure_policy_returns
        >>> still = lambda observations: np.zeros((len(observations), 1))
        >>> measure_policy_returns(still, "Pendulum-v1", episodes=4, seed=0).shape
        (1, 4)
    """
    seeds = FIRST_SEED + 1000 * seed + np.arange(episodes)
    return play(act, env_id, seeds, rule=rule)[None]


@check_arguments
def measure_student_returns(
    students: Students, env_id: str, episodes: int, seed: int, rule: ObservationRule | None = None
) -> Float[np.ndarray, "K E"]:
    """Measure undiscounted returns of K students over E episodes each; no two episodes share a seed.

    Args:
        students: K students, which are rolled out in parallel.
        env_id: Gymnasium id.
        episodes: E, the number of episodes of each student.
        seed: selects the seeds of the initial states.
        rule: how observations become vectors, if they are none, as recorded with the data.

    Raises:
        PotstillError: the environment is unknown or not supported.

    Example:
        >>> import potstill
        >>> from potstill.evaluation import measure_student_returns
        >>> quick = potstill.Recipe(steps=10, layers=2, width=16)  # far too short for good returns
        >>> students = potstill.load("hopper-medium-replay").train_students([0, 1], quick)
        >>> measure_student_returns(students, "Hopper-v5", episodes=3, seed=0).shape
        (2, 3)
    """
    seeds = FIRST_SEED + 1000 * seed + np.arange(len(students) * episodes)
    return play(students.act_separately, env_id, seeds, rule=rule).reshape(len(students), episodes)


def train_for_evaluation(
    distillate: Distillate, students: int, seed: int, recipe: Recipe | None = None
) -> tuple[Students, float]:
    """Train the students of the evaluation with ``seed``; return them and the training time in seconds."""
    started = time.perf_counter()
    trained = distillate.train_students([(1000 * seed + i) % SEEDS for i in range(students)], recipe)
    jax.block_until_ready(trained.params)
    return trained, time.perf_counter() - started


def find_reference(data: Transitions, teacher: NetworkTeacher | None, episodes: int) -> Reference:
    """Find the returns that count as 0 and 100: those known for the environment, or measured ones.

    If none are known and ``episodes`` is above 0, a random policy and the teacher are rolled out.
    """
    known = find_reference_returns(data.env_id, data.card)
    if known.source or data.env_id is None or teacher is None or not episodes:
        return known
    return measure_reference(teacher, data.env_id, max(10, episodes), data.rule)


def measure_reference(
    teacher: NetworkTeacher, env_id: str, episodes: int, rule: ObservationRule | None = None
) -> Reference:
    """Measure reference returns for an environment without known ones: 0 is a random policy, 100 the teacher.

    The random policy draws actions uniformly between the bounds. If the teacher's return is not higher, scores are raw
    returns: :data:`~potstill.environments.references.RAW`.
    """
    bounds, rng = teacher.policy.action_bounds, np.random.default_rng(TEACHER_SEED)
    uniform = lambda states: bounds.draw_uniform(rng, len(states))  # noqa: E731
    random, expert = (
        float(measure_policy_returns(act, env_id, episodes, TEACHER_SEED, rule).mean())
        for act in (uniform, teacher.policy)
    )
    measured = f"measured here in {episodes} episodes each: a random policy and the teacher"
    return Reference(random, expert, measured) if expert > random else RAW


@check_arguments
def score_students(
    students: Students,
    env_id: str,
    episodes: int,
    seed: int,
    reference: Reference | None = None,
    rule: ObservationRule | None = None,
) -> JsonObject:
    """Score students one by one and as an ensemble in the environment.

    Args:
        students: K students.
        env_id: Gymnasium id.
        episodes: the number of episodes of each student. The ensemble takes at least ten.
        seed: selects the seeds of the initial states.
        reference: the returns that count as 0 and 100. Default: those known for the environment.
        rule: how observations become vectors, if they are none, as recorded with the data.

    Returns:
        ``student`` and ``ensemble``: summaries, see :func:`~potstill.evaluation.statistics.summarise`.

    Raises:
        PotstillError: the environment is unknown or not supported.

    Example:
        >>> import potstill
        >>> from potstill.evaluation import score_students
        >>> quick = potstill.Recipe(steps=10, layers=2, width=16)  # far too short for good scores
        >>> students = potstill.load("hopper-medium-replay").train_students([0, 1], quick)
        >>> scores = score_students(students, "Hopper-v5", episodes=3, seed=0)
        >>> {name: (one["policies"], one["episodes"]) for name, one in scores.items()}
        {'student': (2, 3), 'ensemble': (1, 10)}
    """
    singles = measure_student_returns(students, env_id, episodes, seed, rule)
    together = measure_policy_returns(students.act_as_ensemble, env_id, max(10, episodes), seed + 1, rule)
    scale = find_reference_returns(env_id) if reference is None else reference
    return {"student": summarise(singles, scale), "ensemble": summarise(together, scale)}


@check_arguments
def score_random(data: Transitions, like: Distillate, *, students: int, episodes: int, seed: int) -> ScoreSummary:
    """Score the random baseline: each student clones its own random sample of real pairs, as many as ``like`` has.

    Args:
        data: the dataset that the real pairs are drawn from.
        like: the distillate to compare with. It determines the number of pairs, the recipe and the environment.
        students: the number of students.
        episodes: the number of episodes of each student.
        seed: seed of the samples, the students and the initial states.

    Returns:
        The summary of :func:`~potstill.evaluation.statistics.summarise`.

    Raises:
        PotstillError: the distillate has no environment.

    Example:
        >>> import dataclasses
        >>> import potstill
        >>> from potstill.evaluation import score_random
        >>> distillate, data = (read("hopper-medium-replay") for read in (potstill.load, potstill.load_dataset))
        >>> quick = potstill.Recipe(steps=10, layers=2, width=16)  # far too short for good scores
        >>> like = dataclasses.replace(distillate, metadata={**distillate.metadata, "student": quick.to_metadata()})
        >>> score_random(data, like, students=1, episodes=3, seed=0)["policies"]
        1
    """
    if like.env_id is None:
        raise PotstillError("the distillate has no environment, so returns cannot be measured")
    rng = np.random.default_rng(seed)
    trained = []
    for i in range(students):
        drawn = data.take(rng.choice(len(data), len(like), replace=False))
        real = dataclasses.replace(like, states=drawn.observations, actions=drawn.actions, weights=None)
        trained.append(real.train_students([(1000 * seed + i) % SEEDS]))
    params = jax.tree.map(lambda *parts: jnp.concatenate(parts), *(one.params for one in trained))
    together = dataclasses.replace(trained[0], params=params)
    return summarise(measure_student_returns(together, like.env_id, episodes, seed, data.rule), like.reference)


@check_arguments
def score_offline(students: Students, data: Transitions, teacher: NetworkTeacher) -> JsonObject:
    """Measure the distance of K students to the teacher on held-out states, without an environment.

    Returns:
        ``imitation_error``: mean of ‖π(s) − π*(s)‖² with actions in [−1, 1]; ``q_gap``, if the data have rewards: mean
        of max(0, q*(s, π*(s)) − min_j q_j(s, π(s))) divided by the standard deviation of q*. Each is given as mean and
        standard deviation over students. ``teacher_variance``: the variance of the teacher's actions over the states,
        which is the imitation error of their mean. ``states`` and ``students`` are their numbers.

    Raises:
        PotstillError: the teacher has other states or actions than the data.

    Example:
        >>> import numpy as np
        >>> import potstill
        >>> from potstill.evaluation import score_offline
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(1000))
        >>> quick = potstill.Recipe(steps=10, layers=2, width=16)
        >>> students = potstill.load("hopper-medium-replay").train_students([0, 1], quick)
        >>> scores = score_offline(students, data, potstill.load_teacher("hopper-medium-replay"))
        >>> scores["states"], sorted(scores["imitation_error"])
        (50, ['mean', 'std'])
    """
    held = select_held_out_rows(len(data))
    table = build_state_table(data, teacher, index=held)
    # One student at a time: the activations of all students would take most of a gigabyte.
    acted = [students.make_policy(i).compute_unit_actions(data.observations[held]) for i in range(len(students))]
    actions, wanted = np.stack(acted), np.asarray(table.teacher_actions)
    errors = np.square(actions - wanted).sum(-1).mean(-1)
    gaps: JsonObject = {}
    if data.has_rewards:
        found = [float(q_gap(jnp.asarray(a, jnp.float32), table, teacher).mean()) for a in actions]
        gaps = {"q_gap": _compute_mean_and_std(np.array(found))}
    counts = {"teacher_variance": float(wanted.var(axis=0).sum()), "states": len(held), "students": len(students)}
    return {"imitation_error": _compute_mean_and_std(errors), **gaps, **counts}


def _compute_mean_and_std(values: Float[np.ndarray, " K"]) -> dict[str, float]:
    return {"mean": float(values.mean()), "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0}
