"""DQN of stable-baselines3 for environments with discrete actions, with a record of all transitions of its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from potstill.collection.episodes import Episode
from potstill.collection.sac import Agent, SacSettings, Trainer, to_array
from potstill.data.bounds import DiscreteActions
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.environments.making import Environment, HasSpaces, count_actions, make
from potstill.networks.policy import Policy

HIDDEN = (256, 256)
LEARNING_RATE = 5e-4
BATCH = 128
TARGET_UPDATE = 250  # steps between two updates of the target network
EXPLORATION = 0.05  # share of random actions after the initial random steps
TEMPERATURE = 0.1  # T of the policy softmax(Q / T), in units of discounted return


class DqnTrainer(Trainer):
    """DQN with two hidden layers of 256 units, and one update for each transition."""

    name = "DQN"

    @staticmethod
    def make_agent(*arguments: object, **options: object) -> Agent:
        """Make the agent of stable-baselines3."""
        from stable_baselines3 import DQN

        own = {
            "learning_rate": LEARNING_RATE,
            "batch_size": BATCH,
            "train_freq": 1,
            "target_update_interval": TARGET_UPDATE,
            "exploration_final_eps": EXPLORATION,  # applies from the start, because learn() is called for each step
            "policy_kwargs": {"net_arch": list(HIDDEN)},
        }
        return DQN(*arguments, **{**options, **own})  # type: ignore[arg-type, unused-ignore]

    def copy_policy(self) -> Policy:
        """Return the policy softmax(Q / T) of the current action values Q."""
        return convert_values(self.agent, cast(Environment, self.lanes[0]))


def convert_values(agent: Agent, env: Environment) -> Policy:
    """Convert the action values of a stable-baselines3 DQN agent to a :class:`~potstill.networks.policy.Policy`."""
    from torch import nn

    linear = [module for module in agent.policy.q_net.q_net if isinstance(module, nn.Linear)]
    layers = [{"weight": to_array(m.weight).T, "bias": to_array(m.bias)} for m in linear]
    layers[-1] = {key: array / np.float32(TEMPERATURE) for key, array in layers[-1].items()}
    actions = DiscreteActions(int(agent.action_space.n))
    return Policy(layers, Scaling(Normaliser.identity(env.observation_space.shape[0]), actions), "softmax")


def make_trainer(env_id: str, settings: SacSettings, on_episode: Callable[[Episode], None]) -> Trainer:
    """Make the trainer for an environment: DQN if its actions are discrete, else SAC."""
    env = make(env_id)
    kind = Trainer if count_actions(cast(HasSpaces, env)) is None else DqnTrainer
    env.close()
    return kind(env_id, settings, on_episode)
