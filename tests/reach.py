"""Small environments whose observations are no vectors, their logs, and a short distillation of these."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

import potstill

SIDE = 12


class Reach(gymnasium.Env):
    """A point that moves on a line, with nested dictionaries of observations."""

    observation_space: gymnasium.Space[Any] = Dict(
        point=Dict(speed=Box(-9, 9, (1,)), place=Box(-9, 9, (2,))), goal=Box(-1, 1, (1,), np.float64)
    )
    action_space = Box(-1, 1, (1,))

    def observe(self):
        return {
            "goal": self.goal.copy(),
            "point": {"place": np.array([self.place, 0.0], np.float32), "speed": np.array([self.speed], np.float32)},
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.speed = self.np_random.uniform(-1, 1), 0.0
        self.goal = self.np_random.uniform(-1, 1, 1)
        return self.observe(), {}

    def step(self, action):
        self.speed = 0.3 * float(action[0])
        self.place += self.speed
        return self.observe(), -abs(self.place - float(self.goal[0])), False, False, {}


class Camera(Reach):
    """The same point, seen as two frames of 12 × 12 pixels."""

    observation_space = Box(0, 255, (2, SIDE, SIDE, 1), np.uint8)

    def observe(self):
        frames = np.zeros((2, SIDE, SIDE, 1), np.uint8)
        for row, value in ((0, self.place - self.speed), (1, self.place)):
            frames[row, 5, int(np.clip(6 + 4 * value, 0, SIDE - 1))] = 255
        frames[:, 9, int(6 + 4 * float(self.goal[0]))] = 128
        return frames


class Mixed(Reach):
    observation_space = Dict(goal=Box(-1, 1, (1,)), mode=Discrete(3))


gymnasium.register("ReachTest-v0", lambda **_: Reach(), max_episode_steps=8)
gymnasium.register("CameraTest-v0", lambda **_: Camera(), max_episode_steps=8)
gymnasium.register("MixedTest-v0", lambda **_: Mixed(), max_episode_steps=8)


def play_log(env_id, episodes=12):
    """Raw observations and random actions, with one more observation than actions in each episode."""
    env, rng = gymnasium.make(env_id), np.random.default_rng(0)
    seen, actions, rewards = [], [], []
    for seed in range(episodes):
        seen.append(env.reset(seed=seed)[0])
        for _ in range(8):
            actions.append(rng.uniform(-1, 1, 1).astype(np.float32))
            observation, reward, *_ = env.step(actions[-1])
            seen.append(observation)
            rewards.append(reward)
    count = len(actions)
    ends = np.arange(count) % 8 == 7
    flags = {"terminations": np.zeros(count, bool), "truncations": ends}
    return seen, {"actions": np.stack(actions), "rewards": np.array(rewards), **flags}


def images_log(path=None):
    seen, columns = play_log("CameraTest-v0")
    columns = {"observations": np.stack(seen), **columns, "env_id": "CameraTest-v0"}
    if path is not None:
        np.savez_compressed(path, **columns)
    return columns


QUICK = potstill.Recipe(steps=5, layers=2, width=8)


def distil_and_evaluate(dataset, folder, **options):
    """Two steps of a distillation without a teacher, and the return of one student."""
    quick: dict[str, Any] = {"size": 8, "steps": 2, "students": 1, "episodes": 1, "batch": 16, "curve_points": 1}
    run = potstill.distill(dataset, objective="dbc", recipe=QUICK, out=folder / "d", **quick)
    return run, potstill.evaluate(run, students=1, episodes=1, out=folder / "e", **options)


def find_rule(data):
    """The rule of a dataset or distillate, which must have one."""
    assert data.rule is not None
    return data.rule
