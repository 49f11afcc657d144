"""Logs of problems whose dynamics are known, for world models."""

import dataclasses

import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Transitions
from potstill.worlds import WorldSettings

TINY = WorldSettings(members=2, width=16, layers=3, steps=1, batch=64)
A, B = np.array([[0.9, 0.1], [-0.1, 0.8]]), np.array([[0.3], [0.2]])  # s′ = A s + B a
REWARD = np.array([0.5, -0.2, 0.1])  # of (s, a), plus 1


def linear_rows(episodes=100, length=20, seed=0, **changes):
    """Episodes of a linear system under random actions, with a reward that is linear in (s, a)."""
    rng = np.random.default_rng(seed)
    state, columns = rng.normal(size=(episodes, 2)), []
    for _ in range(length):
        action = rng.uniform(-1, 1, (episodes, 1))
        after = state @ A.T + action @ B.T
        columns.append((state, action, np.concatenate([state, action], 1) @ REWARD + 1.0, after))
        state = after
    states, actions, rewards, after = (
        np.stack(c, 1).reshape(episodes * length, *c[0].shape[1:]).astype(np.float32)
        for c in zip(*columns, strict=True)
    )
    ends = np.arange(1, len(states) + 1) % length == 0
    data = Transitions(states, actions, rewards, after, np.zeros_like(ends), ends, ActionBounds.unit(1), name="linear")
    return dataclasses.replace(data, **changes) if changes else data


def terminating_rows(rows=2_000, seed=0):
    """Steps of a random walk that terminate where the next s[0] is above 1."""
    rng = np.random.default_rng(seed)
    states = rng.uniform(-1, 1, (rows, 2)).astype(np.float32)
    actions = rng.uniform(-1, 1, (rows, 1)).astype(np.float32)
    after = states + np.concatenate([0.9 * actions, 0.0 * actions], axis=1)
    ended = after[:, 0] > 1.0
    cut = ~ended & (np.arange(rows) % 10 == 9)
    return Transitions(states, actions, after[:, 0], after, ended, cut, ActionBounds.unit(1), name="cliff")
