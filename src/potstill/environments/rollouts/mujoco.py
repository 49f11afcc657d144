"""MuJoCo's batched, threaded stepper for the locomotion tasks whose rules are known here.

Physics, model, frame skip and start states are Gymnasium's own: an environment object supplies them.
Only observation, reward and termination are restated, on arrays; a test holds them against Gymnasium's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.environments import registry as environments


@dataclass(frozen=True)
class Task:
    """A locomotion task: reward = forward velocity + healthy reward − control cost, all by Gymnasium."""

    control_cost: float
    healthy_reward: float = 0.0
    healthy_z: tuple[float, float] = (-np.inf, np.inf)
    healthy_angle: tuple[float, float] = (-np.inf, np.inf)
    healthy_state: float = np.inf
    velocity_clip: float = np.inf

    def healthy(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        """Whether each lane may go on; torso height is qpos[1], its angle qpos[2]."""
        inside = np.abs(np.concatenate([qpos[:, 2:], qvel], axis=1)).max(axis=1) < self.healthy_state
        for column, (low, high) in ((1, self.healthy_z), (2, self.healthy_angle)):
            inside &= (qpos[:, column] > low) & (qpos[:, column] < high)
        return inside


HOPPER = Task(1e-3, 1.0, healthy_z=(0.7, np.inf), healthy_angle=(-0.2, 0.2), healthy_state=100.0, velocity_clip=10.0)
WALKER = Task(1e-3, 1.0, healthy_z=(0.8, 2.0), healthy_angle=(-1.0, 1.0), velocity_clip=10.0)
CHEETAH = Task(0.1)
TASKS = {
    f"{name}-{v}": t
    for name, t in (("Hopper", HOPPER), ("Walker2d", WALKER), ("HalfCheetah", CHEETAH))
    for v in ("v4", "v5")
}


class MujocoStepper:
    """L lanes of one task as rows of state, stepped by ``mujoco.rollout`` on several threads."""

    def __init__(self, env_id: str, threads: int) -> None:
        import mujoco
        from mujoco.rollout import Rollout

        self.task, self.older = TASKS[env_id], env_id.endswith("-v4")
        self.env = environments.make(env_id).unwrapped
        self.model, self.skip = self.env.model, self.env.frame_skip
        self.dt = self.model.opt.timestep * self.skip
        self.nq, self.nv = self.model.nq, self.model.nv
        self.physics = mujoco.mjtState.mjSTATE_FULLPHYSICS
        self.get_state = mujoco.mj_getState
        self.size = mujoco.mj_stateSize(self.model, self.physics)
        self.workers = [mujoco.MjData(self.model) for _ in range(threads)]
        self.rollout = Rollout(nthread=threads if threads > 1 else 0)

    def reset(self, seeds: np.ndarray) -> np.ndarray:
        """Gymnasium's own start states, as rows of physics state; first observations [L, S]."""
        self.states = np.zeros((len(seeds), self.size))
        return np.stack([self.restart(lane, int(seed)) for lane, seed in enumerate(seeds)])

    def restart(self, lane: int, seed: int) -> np.ndarray:
        """Start one lane again; its first observation [S]."""
        self.env.reset(seed=seed)
        self.get_state(self.model, self.env.data, self.states[lane], self.physics)
        return self._observe(self.states[lane : lane + 1])[0]

    def _split(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return states[:, 1 : 1 + self.nq], states[:, 1 + self.nq : 1 + self.nq + self.nv]

    def _observe(self, states: np.ndarray) -> np.ndarray:
        qpos, qvel = self._split(states)
        return np.concatenate([qpos[:, 1:], np.clip(qvel, -self.task.velocity_clip, self.task.velocity_clip)], axis=1)

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> tuple[Any, Any, Any, Any]:
        """Step the chosen lanes; the time limit is the caller's affair, none times out here."""
        before = self.states[lanes]
        control = np.repeat(actions[:, None, :].astype(np.float64), self.skip, axis=1)
        after = self.rollout.rollout(self.model, self.workers, before, control)[0][:, -1]
        self.states[lanes] = after
        healthy = self.task.healthy(*self._split(after))
        rewards = (after[:, 1] - before[:, 1]) / self.dt - self.task.control_cost * np.sum(actions**2, axis=1)
        rewards += self.task.healthy_reward * (healthy | self.older)  # before v5, also on the last step
        return self._observe(after), rewards, ~healthy, np.zeros_like(healthy)
