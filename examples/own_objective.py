"""Add an objective of one's own and a teacher that is no neural network."""

import jax.numpy as jnp
import numpy as np

import potstill
from potstill.config import DistillConfig
from potstill.data.bounds import ActionBounds
from potstill.distillation.objectives import OBJECTIVES
from potstill.distillation.outer_loop import outer_steps
from potstill.distillation.state_table import tabulate


class HalfWay:
    """Steers half-way back to the origin; its values are minus the squared distance to that."""

    normaliser = potstill.Normaliser.identity(2)

    def act(self, states):
        return jnp.tanh(-0.5 * states)

    def sample(self, states, key):
        return self.act(states)

    def action_values(self, states, actions):
        return -jnp.sum((actions - self.act(states)) ** 2, -1)[None]


def absolute(student_actions, batch, teacher):
    """‖π(s) − π*(s)‖₁ of each state: forgiving to rare large errors."""
    return jnp.abs(student_actions - batch.teacher_actions).sum(-1)


OBJECTIVES["absolute"] = absolute
states = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
nothing, no = np.zeros(1000, np.float32), np.zeros(1000, bool)
data = potstill.Transitions(states, np.zeros_like(states), nothing, states, no, no, ActionBounds.unit(2))
config = DistillConfig("unused", objective="absolute", size=16, steps=100, batch=256)
for step, _pairs, figures in outer_steps(config, tabulate(data, HalfWay()), HalfWay()):
    if step % 25 == 0 and figures:
        print(f"step {step}: loss {float(figures['loss']):.4f}")
