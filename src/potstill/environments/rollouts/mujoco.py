"""MuJoCo's batched, threaded stepper for the locomotion tasks Hopper, HalfCheetah and Walker2d.

Physics, model, frame skip and initial states come from a Gymnasium environment. Observation, reward and termination
are computed here on arrays; a test compares them with Gymnasium's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.environments.making import import_mujoco, make
from potstill.environments.rollouts.stepper import Steps

if TYPE_CHECKING:
    from gymnasium.envs.mujoco import MujocoEnv


@dataclass(frozen=True)
class Task:
    """A locomotion task of Gymnasium: reward = forward velocity + healthy reward − control cost ‖a‖²."""

    control_cost: float
    healthy_reward: float = 0.0
    healthy_z: tuple[float, float] = (-np.inf, np.inf)
    healthy_angle: tuple[float, float] = (-np.inf, np.inf)
    healthy_state: float = np.inf
    velocity_clip: float = np.inf

    def is_healthy(self, qpos: Float[np.ndarray, "n Q"], qvel: Float[np.ndarray, "n V"]) -> Bool[np.ndarray, " n"]:
        """Whether each lane is healthy; other lanes terminate. qpos[1] is the torso's height, qpos[2] its angle."""
        largest: np.ndarray = np.abs(np.concatenate([qpos[:, 2:], qvel], axis=1)).max(axis=1)
        inside = largest < self.healthy_state
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
    """L lanes of one task, stepped by ``mujoco.rollout`` on several threads.

    Args:
        env_id: a key of :data:`TASKS`.
        threads: number of threads.
    """

    def __init__(self, env_id: str, threads: int) -> None:
        mujoco = import_mujoco()
        from mujoco.rollout import Rollout

        self.task, self.before_v5 = TASKS[env_id], env_id.endswith("-v4")
        self.env: MujocoEnv = make(env_id).unwrapped
        self.model, self.skip = self.env.model, self.env.frame_skip
        self.dt = self.model.opt.timestep * self.skip
        self.nq, self.nv = self.model.nq, self.model.nv
        self.physics = mujoco.mjtState.mjSTATE_FULLPHYSICS
        self.get_state = mujoco.mj_getState
        self.size = mujoco.mj_stateSize(self.model, self.physics)
        self.workers = [mujoco.MjData(self.model) for _ in range(threads)]
        self.rollout = Rollout(nthread=threads if threads > 1 else 0)

    def reset(self, seeds: Int[np.ndarray, " L"]) -> Float[np.ndarray, "L S"]:
        """Start an episode in every lane from Gymnasium's own initial states; return the first observations."""
        self.states = np.zeros((len(seeds), self.size))
        return np.stack([self.restart(lane, int(seed)) for lane, seed in enumerate(seeds)])

    def restart(self, lane: int, seed: int) -> Float[np.ndarray, " S"]:
        """Start an episode in one lane; return its first observation."""
        self.env.reset(seed=seed)
        self.get_state(self.model, self.env.data, self.states[lane], self.physics)
        return np.asarray(self._observe(self.states[lane : lane + 1])[0])

    def _split(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split rows of the full physics state (time, positions, velocities, …) into positions and velocities."""
        return states[:, 1 : 1 + self.nq], states[:, 1 + self.nq : 1 + self.nq + self.nv]

    def _observe(self, states: np.ndarray) -> np.ndarray:
        qpos, qvel = self._split(states)
        return np.concatenate([qpos[:, 1:], np.clip(qvel, -self.task.velocity_clip, self.task.velocity_clip)], axis=1)

    def step(self, lanes: Int[np.ndarray, " n"], actions: Float[np.ndarray, "n A"]) -> Steps:
        """Step the lanes with these numbers. No lane is truncated here: the caller applies the time limit."""
        before = self.states[lanes]
        control = np.repeat(actions[:, None, :].astype(np.float64), self.skip, axis=1)
        after = self.rollout.rollout(self.model, self.workers, before, control)[0][:, -1]
        self.states[lanes] = after
        healthy = self.task.is_healthy(*self._split(after))
        rewards = (after[:, 1] - before[:, 1]) / self.dt - self.task.control_cost * np.sum(actions**2, axis=1)
        rewards += self.task.healthy_reward * (healthy | self.before_v5)  # v4 also pays it on the last step
        return Steps(self._observe(after), rewards, ~healthy, np.zeros_like(healthy))
