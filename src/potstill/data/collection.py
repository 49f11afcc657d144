"""Gathering transitions: training SAC and recording all it sees, or rolling a saved policy out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from potstill.config import CollectConfig
from potstill.errors import missing_extra
from potstill.policies import Policy
from potstill.types import Normaliser

Watch = Callable[[bool], None]  # called after every row, with whether it ended an episode


class Recorder:
    """A growing table of raw rows: what the environment was in, was given, and answered."""

    def __init__(self, steps: int, state_size: int, action_size: int) -> None:
        self.count = 0
        self.columns = {
            "observations": np.zeros((steps, state_size), np.float32),
            "actions": np.zeros((steps, action_size), np.float32),
            "rewards": np.zeros(steps, np.float32),
            "terminals": np.zeros(steps, np.bool_),
            "timeouts": np.zeros(steps, np.bool_),
        }
        self.returns: list[float] = []
        self.episode_return = 0.0

    def add(self, state: Any, action: Any, reward: float, terminated: bool, truncated: bool) -> bool:
        """Append a row; return whether it ended an episode."""
        row = (state, action, reward, terminated, truncated and not terminated)
        for column, value in zip(self.columns.values(), row, strict=True):
            column[self.count] = value
        self.count += 1
        self.episode_return += float(reward)
        if terminated or truncated:
            self.returns.append(self.episode_return)
            self.episode_return = 0.0
        return terminated or truncated

    def rows(self) -> dict[str, np.ndarray]:
        """The rows recorded so far."""
        return {key: column[: self.count] for key, column in self.columns.items()}


def roll_out(env: Any, policy: Policy, config: CollectConfig, recorder: Recorder, watch: Watch) -> None:
    """Let ``policy`` act, sampled unless ``config.mean_action``, for ``config.steps`` steps."""
    rng = np.random.default_rng(config.seed)
    state, _ = env.reset(seed=config.seed)
    for _ in range(config.steps):
        action = policy(state) if config.mean_action else policy.sample(state, rng)
        action = np.clip(action, env.action_space.low, env.action_space.high)
        after, reward, terminated, truncated, _ = env.step(action)
        ended = recorder.add(state, action, float(reward), terminated, truncated)
        watch(ended)
        state = env.reset()[0] if ended else after


def require_sac() -> None:
    """Raise, with the line that mends it, unless the extra is installed."""
    try:
        import stable_baselines3  # noqa: F401
    except ImportError:
        raise missing_extra("stable-baselines3", "collect") from None


def train_sac(env: Any, config: CollectConfig, recorder: Recorder, watch: Watch) -> Policy:
    """Train SAC (two hidden layers of 256, one update a step) and record every transition it sees."""
    import gymnasium
    import torch
    from stable_baselines3 import SAC

    class Recording(gymnasium.Wrapper):
        """Record what passes between the agent and the environment."""

        def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
            self.state, info = self.env.reset(**options)
            return self.state, info

        def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
            after, reward, terminated, truncated, info = self.env.step(action)
            ended = recorder.add(self.state, action, float(reward), terminated, truncated)
            watch(ended)
            self.state = after
            return after, reward, terminated, truncated, info

    torch.set_num_threads(config.threads)
    agent = SAC(
        "MlpPolicy", Recording(env), seed=config.seed, learning_starts=config.random_steps, device="cpu", verbose=0
    )
    agent.learn(config.steps)
    return actor_of(agent, env)


def actor_of(agent: Any, env: Any) -> Policy:
    """The actor of a stable-baselines3 SAC agent as a :class:`~potstill.policies.Policy`."""
    from torch import nn

    actor = agent.policy.actor
    hidden = [m for m in actor.latent_pi if isinstance(m, nn.Linear)]
    to_array = lambda tensor: tensor.detach().cpu().numpy().astype(np.float32)  # noqa: E731
    layers = [{"weight": to_array(m.weight).T, "bias": to_array(m.bias)} for m in hidden]
    heads = (actor.mu, actor.log_std)
    layers.append(
        {
            "weight": np.concatenate([to_array(m.weight).T for m in heads], axis=1),
            "bias": np.concatenate([to_array(m.bias) for m in heads]),
        }
    )
    space = env.action_space
    return Policy(layers, Normaliser.identity(env.observation_space.shape[0]), space.low, space.high, "tanh_gaussian")
