"""Which iterate of the outer loop is kept: by a loss on held-out states, never by return.

``last``      the last one, unseen.
``held-out``  the one of the least outer loss on held-out states: the solver's own view of its student.
``students``  the one whose trained students have the least objective there: five networks of the recipe,
              each from a start of its own, that no evaluation uses.

The last two look at the start and at six iterates of the second half.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from potstill.config import DistillConfig, UnrollConfig
from potstill.distillation.objectives import Batch, weighted_loss
from potstill.distillation.outer_loop import outer_loss
from potstill.distillation.schedule import Pace
from potstill.runtime import devices
from potstill.students import training as clone
from potstill.students.recipe import recipe_named
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher

CANDIDATES = 6  # iterates of the second half that are looked at
CREW = 5  # students behind the criterion of that name
CREW_KEY = 1_000_003  # far from the seeds of evaluations

Loss = Callable[[Pairs], float]


def held_out_loss(config: DistillConfig, held_out: Batch, teacher: Teacher | None) -> Loss:
    """The outer loss on held-out states, for one fixed start of the student; DBC's for random pairs."""
    if config.objective == "random":
        config = dataclasses.replace(config, objective="dbc")
    whole = dataclasses.replace(config, unroll=UnrollConfig())  # all steps of the student, whatever is differentiated
    recipe, mesh = recipe_named(config.recipe), devices.own()
    loss = jax.jit(functools.partial(outer_loss, config=whole, recipe=recipe, teacher=teacher, mesh=mesh))
    return lambda pairs: float(loss(pairs, held_out, jax.random.key(0)))


def students_loss(config: DistillConfig, held_out: Batch, teacher: Teacher | None) -> Loss:
    """The objective on held-out states, mean over students that are trained on the pairs."""
    recipe, keys = recipe_named(config.recipe), jax.random.split(jax.random.key(CREW_KEY), CREW)
    objective = config.objective if config.objective != "random" else "dbc"

    @jax.jit
    def loss(pairs: Pairs) -> Array:
        size = pairs.actions.shape[-1]
        crew = clone.train_students(keys, pairs, recipe)
        actions = jax.vmap(lambda params: clone.mean_actions(params, held_out.states, size))(crew)
        return jnp.mean(jax.vmap(lambda a: weighted_loss(objective, a, held_out, teacher))(actions))

    return lambda pairs: float(loss(pairs))


def candidates(steps: int) -> set[int]:
    """The outer steps, of so many, whose pairs are looked at."""
    return {0, *np.linspace(steps // 2, steps, CANDIDATES, dtype=int).tolist()}


CRITERIA: dict[str, Callable[[DistillConfig, Batch, Teacher | None], Loss]] = {
    "held-out": held_out_loss,
    "students": students_loss,
}


@dataclass
class Choice:
    """Which of the iterates offered to keep."""

    pace: Pace
    """Knows the number of steps."""
    loss: Loss | None
    """The criterion; without one the latest is kept."""
    losses: dict[int, float] = field(default_factory=dict)
    """What the criterion said of each candidate so far."""

    def offer(self, step: int, pairs: Pairs) -> bool:
        """Whether to keep ``pairs``: a candidate, and none before had as low a loss."""
        if self.loss is None:
            return True
        if step not in candidates(self.pace.expected):
            return False
        before = min(self.losses.values(), default=np.inf)
        self.losses[step] = self.loss(pairs)
        return self.losses[step] < before or len(self.losses) == 1


def make_choice(config: DistillConfig, held_out: Batch, teacher: Teacher | None, pace: Pace) -> Choice:
    """The choice that ``config.choose`` names, among the steps that ``pace`` gives."""
    return Choice(pace, None if config.choose == "last" else CRITERIA[config.choose](config, held_out, teacher))
