"""The audit of a distillate: distances to real rows, membership inference on shadows, and canaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from potstill.data.scaling import Scaling
from potstill.data.selection import sample_episodes
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate
from potstill.distillation.initial_states import InitialStates
from potstill.distillation.objectives.base import ObjectiveFunction, StateTable
from potstill.distillation.objectives.weights import Weighting
from potstill.distillation.settings import OuterSettings
from potstill.distillation.solvers.base import Solver
from potstill.distillation.state_table import build_state_table
from potstill.errors import PotstillError
from potstill.evaluation.explanation import compare, standardise
from potstill.evaluation.maps import find_neighbours
from potstill.evaluation.privacy.attacks import compute_ratios, score_attack
from potstill.evaluation.privacy.shadows import ShadowProblem, distil_shadows, draw_members, make_canaries
from potstill.runtime.files import JsonObject
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher

EXAMINED = 300_000  # largest number of rows that are audited: whole episodes
COMPARED = 512  # rows whose distance to other episodes is compared with that of pairs
DISTANCE_ROWS, FIT_ROWS = 200, 32  # rows of an episode at which its distance and the students' fit are measured
COPY = 1e-3  # distance, in standard deviations, below which a pair counts as a copy of a row
LEAST_EPISODES = 8
ATTACKS = {
    "distance": "distance of the episode's nearest state to a pair",
    "fit": "squared error of a student in the episode's states",
    "both": "both together",
}
LIMITS = (
    "Shadows share the teacher, which was trained on all episodes: what the teacher and the actions that it gives to "
    "pairs reveal about its training data is not measured.",
    "Shadows take {steps} outer steps on half of the episodes; the audited pairs took their own number of steps on all "
    "of them. Fewer episodes make each one easier to find; fewer steps may make it harder or easier.",
    "Two statistics and one kind of attack were tried, with {shadows} shadows. A stronger attack may find more: a "
    "small advantage is no proof of privacy, and nothing here is differential privacy.",
    "Whether an episode was in the data is one question. Pairs are made to reveal the behaviour in the data, and may "
    "reveal properties that many episodes share.",
)
"""What an audit does not show."""


@dataclass(frozen=True)
class Plan:
    """The extent of an audit."""

    shadows: int = 16
    """K, an even number of at least 4."""
    steps: int = 40
    """Outer steps of each shadow."""
    episodes: int = 256
    """Largest number of episodes that are attacked."""
    canaries: int = 16
    """Number of canaries."""
    seed: int = 0


@dataclass(frozen=True)
class Parts:
    """The parts of the audited distillation."""

    objective: ObjectiveFunction | None
    solver: Solver
    settings: OuterSettings
    weighting: Weighting
    choose_initial: InitialStates
    initial_actions: str


def audit_distillate(
    distillate: Distillate,
    data: Transitions,
    teacher: Teacher | None,
    parts: Parts,
    plan: Plan,
    show: Callable[[int], object] = lambda done: None,
) -> JsonObject:
    """Audit a distillate.

    Args:
        distillate: the pairs.
        data: the dataset that they were distilled from.
        teacher: its teacher, if it has one. Shadows share it.
        parts: of the distillation.
        plan: the extent.
        show: called with the number of finished shadows.

    Returns:
        ``distances`` of the pairs to real rows; ``membership`` and ``canaries``, each with the attacks of
        :data:`ATTACKS`; ``limits``, sentences on what the audit does not show.

    Raises:
        PotstillError: the data have fewer than eight episodes.
    """
    data = sample_episodes(data, EXAMINED)
    episodes = len(data.episode_bounds) - 1
    if episodes < LEAST_EPISODES:
        raise PotstillError(f"{data.name}: an audit needs at least {LEAST_EPISODES} episodes, found {episodes}")
    rng = np.random.default_rng(plan.seed)
    problem = make_shadow_problem(distillate, data, teacher, parts, plan, rng)
    attacked = np.sort(rng.choice(episodes, min(episodes, plan.episodes), replace=False))
    inside = draw_members(plan.shadows, problem.count, rng)
    columns = np.concatenate([attacked, np.arange(episodes, problem.count)])
    found: dict[str, list[np.ndarray]] = {"distance": [], "fit": []}
    measure = make_statistics(problem, columns)
    for pairs in distil_shadows(problem, inside, plan.seed, show):
        for name, values in measure(pairs).items():
            found[name].append(values)
    statistics = {name: np.stack(values) for name, values in found.items()}
    members = inside[:, columns]
    real, planted = slice(0, len(attacked)), slice(len(attacked), len(columns))
    return {
        "pairs": len(distillate),
        "episodes": episodes,
        "attacked": len(attacked),
        "shadows": plan.shadows,
        "steps": problem.steps if parts.objective is not None else 0,
        "distances": measure_distances(distillate, data, plan.seed),
        "membership": score_attacks(statistics, members, real, plan.seed),
        "canaries": score_attacks(statistics, members, planted, plan.seed) if plan.canaries else None,
        "limits": [text.format(steps=plan.steps, shadows=plan.shadows) for text in LIMITS],
    }


def make_shadow_problem(
    distillate: Distillate,
    data: Transitions,
    teacher: Teacher | None,
    parts: Parts,
    plan: Plan,
    rng: np.random.Generator,
) -> ShadowProblem:
    """Make the table of all rows and canaries, with the parts and the number of pairs of the distillation."""
    table, bounds = build_state_table(data, teacher, parts.weighting), data.episode_bounds
    if plan.canaries:
        scaling = Scaling(distillate.normaliser, data.action_bounds)
        planted = make_canaries(data, scaling, plan.canaries, rng)
        vars(planted)["normaliser"] = data.normaliser  # without a teacher, states are standardised as the data's
        table = join_tables(table, build_state_table(planted, teacher))
        bounds = np.concatenate([bounds, bounds[-1] + planted.episode_bounds[1:]])
    size = min(len(distillate), len(data) // 4)
    return ShadowProblem(
        table, bounds, teacher, parts.objective, parts.solver, parts.settings, parts.choose_initial,
        parts.initial_actions, size, plan.steps,
    )  # fmt: skip


def join_tables(table: StateTable, more: StateTable) -> StateTable:
    """Append the rows of a table to another one, which keeps its scale of values."""
    columns = {
        name: jnp.concatenate([column, getattr(more, name)])
        for name, column in table._asdict().items()
        if name != "value_scale"
    }
    return table._replace(**columns)


def make_statistics(
    problem: ShadowProblem, columns: Int[np.ndarray, " C"]
) -> Callable[[Pairs], dict[str, Float[np.ndarray, " C"]]]:
    """Make the function that measures :data:`ATTACKS` of a shadow for each of the episodes and canaries ``columns``."""
    near, near_owner = _choose_rows(problem.bounds, columns, DISTANCE_ROWS)
    far, far_owner = _choose_rows(problem.bounds, columns, FIT_ROWS)
    near_states = np.asarray(problem.table.states, np.float64)[near]
    states, wanted = problem.table.states[jnp.asarray(far)], np.asarray(problem.table.teacher_actions)[far]
    key = jax.random.key(problem.count)  # the same students for all shadows

    @jax.jit
    def act(pairs: Pairs, states: Array) -> Array:
        return problem.solver(pairs, states, key)

    def measure(pairs: Pairs) -> dict[str, Float[np.ndarray, " C"]]:
        distances = find_neighbours(near_states, np.asarray(pairs.states, np.float64), 1)[0][:, 0]
        errors = np.square(np.asarray(act(pairs, states)) - wanted).sum(axis=-1)
        nearest = np.full(len(columns), np.inf)
        np.minimum.at(nearest, near_owner, distances)
        return {"distance": nearest, "fit": np.bincount(far_owner, errors) / np.bincount(far_owner)}

    return measure


def _choose_rows(
    bounds: Int[np.ndarray, " n"], columns: Int[np.ndarray, " C"], most: int
) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
    """Choose at most ``most`` evenly spaced rows of each episode; return them, and the place of each in ``columns``."""
    rows = [
        np.unique(np.linspace(bounds[e], bounds[e + 1] - 1, min(most, int(bounds[e + 1] - bounds[e]))).astype(int))
        for e in columns
    ]
    return np.concatenate(rows), np.repeat(np.arange(len(columns)), [len(some) for some in rows])


def score_attacks(
    statistics: dict[str, np.ndarray], members: Bool[np.ndarray, "K C"], some: slice, seed: int
) -> dict[str, object]:
    """Score the attacks on some of the episodes."""
    inside = members[:, some]
    ratios = {name: compute_ratios(values[:, some], inside) for name, values in statistics.items()}
    ratios["both"] = ratios["distance"] + ratios["fit"]
    return {name: score_attack(ratios[name], inside, seed) for name in ATTACKS}


def measure_distances(distillate: Distillate, data: Transitions, seed: int) -> JsonObject:
    """Compare the distance of each pair to its nearest real row with that of real rows to other episodes.

    Rows of the same episode do not count for real rows, because consecutive states are alike.
    """
    states = standardise(distillate, data.observations)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(data), min(len(data), COMPARED), replace=False))
    pairs = find_neighbours(standardise(distillate, distillate.states), states, 1)[0][:, 0]
    real = np.array(_measure_other_episodes(states, data.episode_bounds, rows))
    found = compare(pairs, real, seed)
    lower = float(np.quantile(real, 0.05))
    return found | {
        "rows_values": real.tolist(),
        "copies": int((pairs < COPY).sum()),
        "closest": float(pairs.min()),
        "near": float((pairs < lower).mean()),
        "lower": lower,
    }


def _measure_other_episodes(
    states: Float[np.ndarray, "M S"], bounds: Int[np.ndarray, " n"], rows: Sequence[int] | np.ndarray
) -> list[float]:
    """The distance of each row to the nearest row of another episode."""
    found = []
    norms = np.square(states).sum(axis=1)
    for row in rows:
        squared = norms - 2.0 * (states @ states[row]) + norms[row]
        own = np.searchsorted(bounds, row, "right") - 1
        squared[bounds[own] : bounds[own + 1]] = np.inf
        found.append(float(np.linalg.norm(states[int(np.argmin(squared))] - states[row])))
    return found
