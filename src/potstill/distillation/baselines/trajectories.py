"""Trajectory matching: training on the pairs leads to the parameters that training on the dataset leads to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from potstill.distillation.baselines.base import Candidates
from potstill.distillation.baselines.matching import Matching
from potstill.errors import PotstillError
from potstill.networks.mlp import Params
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.training import (
    Pairs,
    TrainingState,
    bc_loss,
    initialise_student,
    take_optimiser_step,
    train_steps,
)


class Section(NamedTuple):
    """A section of an expert's training: its state at the start, and its parameters at the end."""

    start: TrainingState
    end: Params


@check_arguments
@dataclass(frozen=True)
class TrajectoryMatching(Matching):
    """Trajectory matching: a student trained on the pairs follows networks that are trained on the dataset.

        min over D of ‖θ̂_t+n − θ_t+n‖² / ‖θ_t − θ_t+n‖²

    θ is the trajectory of an expert, a network trained on batches of the dataset with the student's recipe, and θ̂ that
    of a student that starts at θ_t and takes n steps on the pairs. Source: Cazenavette et al. 2022 (Dataset
    Distillation by Matching Training Trajectories). It differs from theirs: experts and students take the same number
    of steps at the recipe's step size, which is therefore not learned; the pairs are moved by Adam; there are fewer
    experts.

    Raises:
        PotstillError: a field is out of range, or the experts are shorter than a section.

    Example:
        >>> TrajectoryMatching(steps=100).experts
        4
    """

    steps: int = 200
    """Number of steps on the pairs."""
    restart: int = 1
    """Steps after which a new section of a trajectory is drawn."""
    experts: int = 4
    """Number of experts."""
    sections: int = 10
    """Sections in an expert's training."""
    section: int = 25
    """n, the number of training steps in a section."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, experts=1, sections=1, section=1)
        if self.recipe.steps < 1:
            raise PotstillError("TrajectoryMatching requires a recipe with at least 1 step, not Recipe.steps 0")

    def prepare(self, candidates: Candidates, key: PRNGKeyArray) -> TrainingState:
        """Train the experts; return their states before and after each section: arrays [experts, sections + 1, …]."""
        rows = Pairs(candidates.states, candidates.targets)
        trained = [train_expert(self, rows, one) for one in jax.random.split(key, self.experts)]
        stacked: TrainingState = jax.tree.map(lambda *parts: jnp.stack(parts), *trained)
        return stacked

    def start(self, shared: TrainingState, pairs: Pairs, key: PRNGKeyArray) -> Section:
        """Draw a section of an expert's training."""
        expert_key, section_key = jax.random.split(key)
        expert = jax.random.randint(expert_key, (), 0, self.experts)
        number = jax.random.randint(section_key, (), 0, self.sections)
        begin, end = (jax.tree.map(lambda x, i=i: x[expert, i], shared) for i in (number, number + 1))
        return Section(begin, end.params)

    def matching_loss(self, pairs: Pairs, batch: Pairs, networks: Section) -> Float[Array, ""]:
        """Return the distance from the end of the section, relative to its length."""
        begin, end = networks
        found = train_steps(begin, None, pairs, self.recipe, self.section).params
        return compute_square(found, end) / compute_square(begin.params, end)


@functools.partial(jax.jit, static_argnums=0)
def train_expert(matching: TrajectoryMatching, rows: Pairs, key: PRNGKeyArray) -> TrainingState:
    """Train an expert on batches of rows; return its states before and after each section."""
    network_key, batch_key = jax.random.split(key)

    def take_step(state: TrainingState, key: PRNGKeyArray) -> tuple[TrainingState, None]:
        drawn = jax.random.randint(key, (matching.batch,), 0, len(rows.states))
        batch = jax.tree.map(lambda x: x[drawn], rows)
        slope = jax.grad(bc_loss)(state.params, batch, None, matching.recipe.loss)
        return take_optimiser_step(state, slope, matching.recipe), None

    def train_section(state: TrainingState, keys: Array) -> tuple[TrainingState, TrainingState]:
        after: TrainingState = jax.lax.scan(take_step, state, keys)[0]
        return after, after

    first = initialise_student(network_key, rows, matching.recipe)[0]
    keys = jax.random.split(batch_key, (matching.sections, matching.section))
    later = jax.lax.scan(train_section, first, keys)[1]
    states: TrainingState = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)
    return states


def compute_square(a: PyTree, b: PyTree) -> Float[Array, ""]:
    """‖a − b‖² over all arrays of two trees."""
    parts = jax.tree.map(lambda x, y: jnp.sum((x - y) ** 2), a, b)
    return jnp.sum(jnp.stack(jax.tree.leaves(parts)))
