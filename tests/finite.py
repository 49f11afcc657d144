"""Small problems with discrete actions: a dataset, a teacher, and a problem whose optimal policy is known."""

import jax
import numpy as np

from potstill.data.bounds import DiscreteActions
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser, Transitions
from potstill.networks.mlp import init_mlp
from potstill.networks.policy import Policy
from potstill.teachers.base import NetworkTeacher

ACTIONS = 3


def finite_teacher(states=4, actions=ACTIONS, width=16, seed=0):
    """A teacher of random small networks."""
    keys = jax.random.split(jax.random.key(seed), 3)
    plain = lambda tree: jax.tree.map(np.asarray, tree)  # noqa: E731
    scaling = Scaling(Normaliser.identity(states), DiscreteActions(actions))
    policy = Policy(plain(init_mlp(keys[0], (states, width, actions))), scaling, "softmax")
    critics = [init_mlp(key, (states, width, actions)) for key in keys[1:]]
    return NetworkTeacher(policy, plain(jax.tree.map(lambda *x: np.stack(x), *critics)), {"algorithm": "random"})


def finite_columns(rows=120, states=4, actions=ACTIONS, seed=0):
    """Raw rows in episodes of 20 with integer actions. Every third episode terminates, the others time out."""
    rng = np.random.default_rng(seed)
    ends, third = np.arange(1, rows + 1) % 20 == 0, np.arange(rows) // 20 % 3 == 0
    return {
        "observations": rng.normal(size=(rows, states)).astype(np.float32),
        "actions": np.append(rng.integers(0, actions, rows - 1), actions - 1),
        "rewards": rng.normal(size=rows).astype(np.float32),
        "terminals": ends & third,
        "timeouts": ends & ~third,
    }


def signs(rows=2000, seed=0):
    """A bandit with three actions: the best one in state s is 0 for s < −0.5, 2 for s > 0.5, and else 1.

    The reward of the best action is 1, that of the others 0. Actions are uniformly random; each step terminates.
    """
    rng = np.random.default_rng(seed)
    states = rng.uniform(-1.5, 1.5, (rows, 1)).astype(np.float32)
    taken = rng.integers(0, ACTIONS, rows)
    return Transitions(
        observations=states,
        actions=DiscreteActions(ACTIONS).to_vectors(taken),
        rewards=(taken == best_action(states)).astype(np.float32),
        next_observations=states,
        terminations=np.ones(rows, bool),
        truncations=np.zeros(rows, bool),
        action_bounds=DiscreteActions(ACTIONS),
        name="signs",
    )


def best_action(states):
    """The number of the best action in each state of :func:`signs`."""
    return 1 + (states[:, 0] > 0.5).astype(int) - (states[:, 0] < -0.5)
