"""SAC of stable-baselines3, with a record of all transitions of its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import gymnasium
import numpy as np

from potstill.collection.episodes import Episode, OpenEpisode
from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.environments.making import Environment, make
from potstill.networks.policy import Policy
from potstill.runtime.validation import check_ranges

if TYPE_CHECKING:
    from torch import Tensor

Agent = Any  # stable_baselines3.SAC, whose type hints are incomplete
GeneratorState = Mapping[str, Any]  # the state of a NumPy bit generator, as JSON-compatible values


@dataclass(frozen=True)
class SacSettings:
    """Settings of SAC's training and of the evaluations during it.

    Raises:
        PotstillError: a field is out of range.
    """

    environments: int = 1
    """The number of parallel environments."""
    random_steps: int = 5_000
    """Number of uniformly random actions before the first update."""
    evaluate_every: int = 5_000
    """Steps between two evaluations."""
    mean_action: bool = False
    """Whether an evaluated policy takes its mean action instead of a sampled one."""
    threads: int = 1
    """Processor threads for the updates."""
    seed: int = 0
    """Seed of the environments, the agent and the evaluations."""

    def __post_init__(self) -> None:
        check_ranges(self, environments=1, random_steps=0, evaluate_every=1, threads=1, seed=0)


class Lane(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """A wrapper of a training environment that records the episodes.

    Args:
        env: the environment.
        number: its index among the parallel environments.
        on_episode: called with every episode that ends.
    """

    def __init__(self, env: Environment, number: int, on_episode: Callable[[Episode], None]) -> None:
        super().__init__(cast("gymnasium.Env[np.ndarray, np.ndarray]", env))
        self.number, self.on_episode = number, on_episode
        self.generator: GeneratorState = {}  # the state before the current episode
        self.restored: GeneratorState | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[np.ndarray, dict[str, object]]:
        """Start an episode. After :meth:`restore`, the restored state of the generator replaces the seed."""
        random = self.env.unwrapped.np_random.bit_generator
        if self.restored is not None:
            random.state = self.restored
            seed, self.restored = None, None
        self.generator = random.state
        observation, info = self.env.reset(seed=seed, options=options)
        self.episode = OpenEpisode(observation)
        return observation, info

    def step(self, action: np.ndarray | np.integer[Any]) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
        """Take a step and record it."""
        after, reward, terminated, truncated, info = self.env.step(cast(np.ndarray, action))
        self.episode.add(action, float(reward), after)
        if terminated or truncated:
            closed = self.episode.close(terminated, truncated, self.number)
            self.episode = OpenEpisode(after)  # until the reset, so that no episode is recorded twice
            self.on_episode(closed)
        return after, float(reward), terminated, truncated, info

    def find_generator_state(self) -> GeneratorState:
        """Return the state of the generator for the next episode; at step 0, the one that the episode started from."""
        current = self.env.unwrapped.np_random.bit_generator.state
        return current if len(self.episode) else self.generator

    def restore(self, generator: GeneratorState) -> None:
        """Start the next episode from this state of the random number generator."""
        self.restored = generator


class Trainer:
    """SAC with two hidden layers of 256 units, and one update for each transition.

    Args:
        env_id: Gymnasium id.
        settings: settings of SAC's training.
        on_episode: called with every episode that ends.
    """

    BUFFER_SIZE = 1_000_000  # transitions in the replay buffer
    name = "SAC"

    def __init__(self, env_id: str, settings: SacSettings, on_episode: Callable[[Episode], None]) -> None:
        import torch
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import DummyVecEnv

        torch.set_num_threads(settings.threads)
        makers: list[Callable[[], gymnasium.Env[np.ndarray, np.ndarray]]] = [
            partial(Lane, make(env_id), i, on_episode) for i in range(settings.environments)
        ]
        side_by_side = DummyVecEnv(makers)
        self.lanes = cast(list[Lane], side_by_side.envs)
        self.agent: Agent = self.make_agent(
            "MlpPolicy",
            side_by_side,
            seed=settings.seed,
            buffer_size=self.BUFFER_SIZE,
            learning_starts=settings.random_steps,
            gradient_steps=settings.environments,
            device="cpu",
        )
        self.agent.set_logger(Logger(None, []))

    @staticmethod
    def make_agent(*arguments: object, **options: object) -> Agent:
        """Make the agent of stable-baselines3."""
        from stable_baselines3 import SAC

        return SAC(*arguments, **options)  # type: ignore[arg-type, unused-ignore]

    @property
    def done(self) -> int:
        """Total number of steps in all environments."""
        return int(self.agent.num_timesteps)

    def advance(self) -> bool:
        """Take one step in every environment and as many updates; return whether an episode has just ended."""
        self.agent.learn(len(self.lanes), reset_num_timesteps=False, log_interval=None)
        return any(not len(lane.episode) for lane in self.lanes)

    def list_running(self) -> list[Episode]:
        """Return the episodes that have not ended, cut at the current step."""
        opened = [(lane.episode, lane.number) for lane in self.lanes if hasattr(lane, "episode")]
        return [episode.close(False, False, number) for episode, number in opened if len(episode)]

    def copy_policy(self) -> Policy:
        """Return a copy of the current actor."""
        return convert_actor(self.agent, cast(Environment, self.lanes[0]))

    def close(self) -> None:
        """Close the environments."""
        self.agent.get_env().close()


def convert_actor(agent: Agent, env: Environment) -> Policy:
    """Convert the actor of a stable-baselines3 SAC agent to a :class:`~potstill.networks.policy.Policy`."""
    from torch import nn

    actor = agent.policy.actor
    heads = (actor.mu, actor.log_std)
    layers = [
        {"weight": to_array(m.weight).T, "bias": to_array(m.bias)} for m in actor.latent_pi if isinstance(m, nn.Linear)
    ]
    layers.append(
        {
            "weight": np.concatenate([to_array(m.weight).T for m in heads], axis=1),
            "bias": np.concatenate([to_array(m.bias) for m in heads]),
        }
    )
    bounds = ActionBounds(env.action_space.low, env.action_space.high)
    scaling = Scaling(Normaliser.identity(env.observation_space.shape[0]), bounds)
    return Policy(layers, scaling, "tanh_gaussian")


def to_array(tensor: Tensor) -> np.ndarray:
    """Copy a tensor to a float32 array."""
    return np.array(tensor.detach().cpu().numpy(), np.float32)
