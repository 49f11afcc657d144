"""Use an objective of your own, and a teacher that is not a neural network."""

import tempfile

import jax
import jax.numpy as jnp
import numpy as np

import potstill
from potstill.distillation import KernelDescent, Schedule, build_state_table, make_initial_pairs, optimise_pairs


def absolute(student_actions, batch, teacher):
    """‖π(s) − π*(s)‖₁ of each state. It penalises rare large errors less than the squared distance does."""
    return jnp.abs(student_actions - batch.teacher_actions).sum(-1)


class HalfWay:
    """Take the action tanh(−s / 2). The value of an action is minus its squared distance to this action."""

    normaliser = potstill.Normaliser.identity(2)

    def act(self, states):
        return jnp.tanh(-0.5 * states)

    def sample(self, states, key):
        return self.act(states)

    def action_values(self, states, actions):
        return -jnp.sum((actions - self.act(states)) ** 2, -1)[None]


states = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
zero, no = np.zeros(1000, np.float32), np.zeros(1000, bool)
bounds = potstill.ActionBounds.unit(2)
data = potstill.Transitions(states, np.zeros_like(states), zero, states, no, no, bounds)
table, teacher = build_state_table(data, HalfWay()), HalfWay()
pairs = make_initial_pairs(table, 16, rng=np.random.default_rng(0))
parts = {"objective": absolute, "solver": KernelDescent(), "schedule": Schedule(steps=100)}
for iterate in optimise_pairs(pairs, table, teacher, **parts, key=jax.random.key(0)):
    if iterate.step in (25, 50, 75, 100):
        print(f"step {iterate.step}: loss {iterate.metrics['loss']:.4f}")

with tempfile.TemporaryDirectory() as folder:  # the command accepts the objective too
    options = {"states": "data", "size": 16, "steps": 10, "students": 1, "episodes": 0, "out": f"{folder}/run"}
    print(potstill.distill("hopper-medium-replay", objective=absolute, **options))
