"""A linear-quadratic problem whose optimal policy and values are known, and logs of it."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser, Transitions
from potstill.teachers import ALGORITHMS, Algorithm, Bc, CalQl, Edac, Iql, Rebrac

DISCOUNT, PULL, PUSH, EFFORT = 0.8, 0.9, 0.5, 0.1  # s′ = 0.9 s + 0.5 a, r = −s² − 0.1 a²
OPTIONS: dict[str, Any] = {"updates": 1500, "batch": 64, "discount": DISCOUNT, "target_rate": 0.02}
TUNED: dict[str, Algorithm[Any]] = {  # potstill's own algorithms, with settings that solve the problem in these updates
    "bc": Bc(best_episodes=0.4, learning_rate=1e-3),
    "rebrac": Rebrac(actor_penalty=0.0, critic_penalty=0.0, hidden_layers=2),
    "iql": Iql(expectile=0.9, temperature=3.0, learning_rate=1e-3),
    "cal-ql": CalQl(alpha=0.01, actions=2, learning_rate=1e-3, policy_learning_rate=1e-3),
    "edac": Edac(critics=2, learning_rate=1e-3),
}


def tuned(name):
    """An algorithm with the settings above, or with a learning rate of 0.001 if there are none for it."""
    kind: Any = ALGORITHMS[name]
    return TUNED.get(name) or kind(learning_rate=1e-3)


def lqr_answer():
    """(K, P) of the optimal a = −K s and V(s) = −P s², from the scalar Riccati recursion."""
    p = 0.0
    for _ in range(200):
        k = DISCOUNT * p * PULL * PUSH / (EFFORT + DISCOUNT * p * PUSH**2)
        p = 1.0 + EFFORT * k**2 + DISCOUNT * p * (PULL - PUSH * k) ** 2
    return k, p


def lqr_logs(episodes=240, length=10):
    """Episodes of mixed quality: every gain from −0.3 K to 1.7 K, with noise; time-outs, no terminations."""
    rng = np.random.default_rng(0)
    gain = lqr_answer()[0] * np.linspace(-0.3, 1.7, episodes)
    state, columns = rng.uniform(-1, 1, episodes), []
    for _ in range(length):
        action = np.clip(-gain * state + 0.3 * rng.normal(size=episodes), -1.0, 1.0)
        after = np.clip(PULL * state + PUSH * action, -2.0, 2.0)
        columns.append((state, action, -(state**2) - EFFORT * action**2, after))
        state = after
    states, actions, rewards, after = (
        np.stack(c, 1).reshape(-1).astype(np.float32) for c in zip(*columns, strict=True)
    )
    last = np.arange(episodes * length) % length == length - 1
    none = np.zeros(len(states), bool)
    return Transitions(
        states[:, None], actions[:, None], rewards, after[:, None], none, last, ActionBounds.unit(1), name="lqr"
    )


@dataclass
class Linear:
    """A custom teacher: a = −gain · s, with the action values of the optimal policy."""

    normaliser: Normaliser
    gain: float

    def act(self, states):
        return jnp.clip(-self.gain * self.normaliser.invert(states), -1.0, 1.0)

    def sample(self, states, key):
        return self.act(states)

    def action_values(self, states, actions):
        return -lqr_answer()[1] * self.normaliser.invert(states)[None, ..., 0] ** 2 - actions[None, ..., 0] * 0.0
