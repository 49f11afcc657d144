"""Evaluation: what students earn in the environment, or how near the teacher they stay without one."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from potstill.data.split import held_out_rows
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate
from potstill.distillation.objectives import q_gap
from potstill.distillation.state_table import tabulate
from potstill.environments.registry import RAW, Reference, reference_returns
from potstill.environments.rollouts import Act, play
from potstill.errors import PotstillError
from potstill.evaluation.statistics import ScoreSummary, summarise
from potstill.students.ensemble import Students
from potstill.teachers.base import NetworkTeacher

FIRST_SEED = 10_000  # of the episodes' starts; each lane has its own
TEACHER_SEED = 90  # of the episodes that the teacher plays beside its students


def policy_returns(act: Act, env_id: str, episodes: int, seed: int) -> Float[np.ndarray, "1 E"]:
    """Undiscounted returns of one policy over episodes that each start from a seed of their own."""
    seeds = FIRST_SEED + 1000 * seed + np.arange(episodes)
    return play(act, env_id, seeds)[None]


def student_returns(students: Students, env_id: str, episodes: int, seed: int) -> Float[np.ndarray, "K E"]:
    """Undiscounted returns of each student over its own episodes, no two from the same start seed."""
    seeds = FIRST_SEED + 1000 * seed + np.arange(len(students) * episodes)
    return play(students.each, env_id, seeds).reshape(len(students), episodes)


def train_crew(distillate: Distillate, students: int, seed: int, recipe: str | None = None) -> tuple[Students, float]:
    """Train the students that an evaluation with ``seed`` plays; and the seconds that took."""
    started = time.perf_counter()
    crew = distillate.train_students([1000 * seed + i for i in range(students)], recipe)
    jax.block_until_ready(crew.params)
    return crew, time.perf_counter() - started


def reference_for(data: Transitions, teacher: NetworkTeacher | None, episodes: int) -> Reference:
    """What is 0 and 100 of a score: known returns, else a random policy's and the teacher's, played here.

    With 0 ``episodes`` nothing is played.
    """
    known = reference_returns(data.env_id, data.card)
    if known.source or data.env_id is None or teacher is None or not episodes:
        return known
    return measured_reference(teacher, data.env_id, max(10, episodes))


def measured_reference(teacher: NetworkTeacher, env_id: str, episodes: int) -> Reference:
    """What stands in for reference returns where none are known: 0 a random policy, 100 the teacher, both played.

    The random policy draws uniformly between the action bounds. Where the teacher earns no more than
    that, returns are left as they are: :data:`~potstill.environments.registry.RAW`.
    """
    low, high = teacher.policy.action_bounds.low, teacher.policy.action_bounds.high
    rng = np.random.default_rng(TEACHER_SEED)
    uniform = lambda states: rng.uniform(low, high, (len(states), len(low))).astype(np.float32)  # noqa: E731
    random, expert = (
        float(policy_returns(act, env_id, episodes, TEACHER_SEED).mean()) for act in (uniform, teacher.policy)
    )
    measured = f"measured here in {episodes} episodes each: a random policy and the teacher"
    return Reference(random, expert, measured) if expert > random else RAW


def score_students(
    crew: Students, env_id: str, episodes: int, seed: int, reference: Reference | None = None
) -> dict[str, Any]:
    """Let students play, singly and as an ensemble (ten episodes at least).

    ``reference`` is what 0 and 100 of the score are; by default what is known of the environment.

    Returns:
        ``student`` and ``ensemble`` as :func:`~potstill.evaluation.statistics.summarise` gives them.
    """
    singles = student_returns(crew, env_id, episodes, seed)
    together = policy_returns(crew.ensemble, env_id, max(10, episodes), seed + 1)
    scale = reference_returns(env_id) if reference is None else reference
    return {"student": summarise(singles, scale), "ensemble": summarise(together, scale)}


def score_random(data: Transitions, like: Distillate, *, students: int, episodes: int, seed: int) -> ScoreSummary:
    """The random baseline: each student clones its own draw of as many real pairs as ``like`` has.

    Returns:
        The summary of :func:`~potstill.evaluation.statistics.summarise`.
    """
    if like.env_id is None:
        raise PotstillError("the distillate names no environment: nothing to play in")
    rng = np.random.default_rng(seed)
    crews = []
    for i in range(students):
        drawn = data.take(rng.choice(len(data), len(like), replace=False))
        real = dataclasses.replace(like, states=drawn.observations, actions=drawn.actions, weights=None)
        crews.append(real.train_students([1000 * seed + i]))
    params = jax.tree.map(lambda *parts: jnp.concatenate(parts), *(crew.params for crew in crews))
    together = dataclasses.replace(crews[0], params=params)
    return summarise(student_returns(together, like.env_id, episodes, seed), like.reference)


def score_offline(students: Students, data: Transitions, teacher: NetworkTeacher) -> dict[str, Any]:
    """How near the teacher K students stay on held-out states; needs no environment.

    Returns:
        ``imitation_error``: mean of ‖π(s) − π*(s)‖² with actions in [−1, 1]; ``q_gap``: mean of
        max(0, q*(s, π*(s)) − min_j q_j(s, π(s))) over the standard deviation of q*. Each with its mean
        and standard deviation over students; and the number of states.
    """
    held = held_out_rows(len(data))
    table = tabulate(data, teacher, index=held)
    # One after the other: the hidden layers of all at once would take most of a gigabyte.
    acted = [students.policy(i)(data.observations[held]) for i in range(len(students))]
    actions = data.action_bounds.to_unit(np.stack(acted))
    errors = np.square(actions - np.asarray(table.teacher_actions)).sum(-1).mean(-1)
    gaps = np.array([float(q_gap(jnp.asarray(a, jnp.float32), table, teacher).mean()) for a in actions])
    spread = lambda x: {"mean": float(x.mean()), "std": float(x.std(ddof=1)) if len(x) > 1 else 0.0}  # noqa: E731
    return {"imitation_error": spread(errors), "q_gap": spread(gaps), "states": len(held), "students": len(students)}
