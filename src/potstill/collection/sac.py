"""SAC by stable-baselines3, with every transition it sees recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from potstill.collection.episodes import Episode, OpenEpisode
from potstill.config import CollectConfig
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.environments import registry as environments
from potstill.errors import missing_extra
from potstill.networks.policy import Policy


def require_sac() -> None:
    """Raise, with the line that mends it, unless the extra is installed."""
    try:
        import stable_baselines3  # noqa: F401
    except ImportError:
        raise missing_extra("stable-baselines3", "collect") from None


class Lane(gymnasium.Wrapper):
    """One of the environments of a training: hands over each episode when it ends."""

    def __init__(self, env: Any, number: int, ended: Callable[[Episode], None]) -> None:
        super().__init__(env)
        self.number, self.ended = number, ended
        self.generator: Any = None  # its state before the running episode's start
        self.restored: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; after :meth:`restore` with the random numbers of then, whatever the seed."""
        if self.restored is not None:
            self.env.unwrapped.np_random.bit_generator.state = self.restored
            seed, self.restored = None, None
        self.generator = self.env.unwrapped.np_random.bit_generator.state
        observation, info = self.env.reset(seed=seed, options=options)
        self.episode = OpenEpisode(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and record what passed."""
        after, reward, terminated, truncated, info = self.env.step(action)
        self.episode.add(action, float(reward), after)
        if terminated or truncated:
            closed = self.episode.close(terminated, truncated, self.number)
            self.episode = OpenEpisode(after)  # until the reset: it is not handed over twice
            self.ended(closed)
        return after, reward, terminated, truncated, info

    def generator_state(self) -> Any:
        """The random generator's state from which the next episode, or one just begun, starts."""
        return self.env.unwrapped.np_random.bit_generator.state if len(self.episode) else self.generator

    def restore(self, generator: Any) -> None:
        """Let the next episode start from this state of the random generator."""
        self.restored = generator


class Trainer:
    """SAC with two hidden layers of 256, and one update for each transition.

    Args:
        config: the environment, how many are stepped side by side, seed, threads, random steps.
        ended: called with every episode that ends.
    """

    BUFFER_SIZE = 1_000_000  # transitions that updates draw from, the newest ones

    def __init__(self, config: CollectConfig, ended: Callable[[Episode], None]) -> None:
        import torch
        from stable_baselines3 import SAC
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import DummyVecEnv

        torch.set_num_threads(config.threads)
        makers: list[Callable[[], Any]] = [
            partial(Lane, environments.make(config.env_id), i, ended) for i in range(config.environments)
        ]
        side_by_side = DummyVecEnv(makers)
        self.lanes: list[Any] = side_by_side.envs
        self.agent: Any = SAC(
            "MlpPolicy",
            side_by_side,
            seed=config.seed,
            buffer_size=self.BUFFER_SIZE,
            learning_starts=config.random_steps,
            gradient_steps=config.environments,
            device="cpu",
        )
        self.agent.set_logger(Logger(None, []))

    @property
    def done(self) -> int:
        """Steps of all environments together."""
        return self.agent.num_timesteps

    def advance(self) -> bool:
        """One step of every environment, and as many updates; whether an episode has just ended."""
        self.agent.learn(len(self.lanes), reset_num_timesteps=False, log_interval=None)
        return any(not len(lane.episode) for lane in self.lanes)

    def running(self) -> list[Episode]:
        """The episodes that have not ended, cut where they are."""
        opened = [(lane.episode, lane.number) for lane in self.lanes if hasattr(lane, "episode")]
        return [episode.close(False, False, number) for episode, number in opened if len(episode)]

    def policy(self) -> Policy:
        """The actor as it is now."""
        return actor_of(self.agent, self.lanes[0])

    def close(self) -> None:
        """Close the environments."""
        self.agent.get_env().close()


def actor_of(agent: Any, env: Any) -> Policy:
    """The actor of a stable-baselines3 SAC agent as a :class:`~potstill.networks.policy.Policy`."""
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
    return Policy(
        layers,
        Normaliser.identity(env.observation_space.shape[0]),
        ActionBounds(space.low, space.high),
        "tanh_gaussian",
    )
