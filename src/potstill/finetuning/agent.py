"""TD3 of stable-baselines3 that starts from a policy, with a behavioural-cloning constraint that fades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from potstill.data.scaling import Scaled, Scaling
from potstill.distillate import Distillate
from potstill.environments.making import make
from potstill.environments.observations.rule import ObservationRule
from potstill.errors import PotstillError, require_package
from potstill.finetuning.networks import (
    Agent,
    copy_layers,
    fill_network,
    find_plain_layers,
    make_network,
    move_inputs,
    normalise_critics,
)
from potstill.finetuning.settings import FineTuning
from potstill.networks.policy import Policy
from potstill.runtime.arguments import check_arguments

if TYPE_CHECKING:
    from torch import Tensor


class ConstrainedUpdates:
    """The updates of TD3, with a constraint on the actor. :func:`make_agent` adds it to stable-baselines3's TD3."""

    actor: Agent
    actor_target: Agent
    critic: Agent
    critic_target: Agent
    settings: FineTuning
    pairs: tuple[Tensor, Tensor, Tensor]
    """Standardised states, actions in [−1, 1], and the weights of the pairs, with sum 1."""
    prior: Agent
    """The network whose actions in replayed states are a part of the constraint, or ``None``."""
    metrics: dict[str, float]
    """The loss of the critics at the last update."""

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Update the critics; every second time also the actor, once the warm-up is over, and the target networks.

        In the warm-up, there is an update for each environment step.
        """
        from stable_baselines3.common.utils import polyak_update

        agent, settings = cast(Agent, self), self.settings
        agent.policy.set_training_mode(True)
        waits = agent.num_timesteps <= settings.warmup
        for _ in range(gradient_steps * (settings.update_every if waits else 1)):
            agent._n_updates += 1
            batch = agent.replay_buffer.sample(batch_size)
            self.metrics["critic_loss"] = self._update_critics(batch)
            if agent._n_updates % agent.policy_delay:
                continue
            if not waits:
                self._update_actor(batch.observations)
            for online, target in ((self.critic, self.critic_target), (self.actor, self.actor_target)):
                polyak_update(online.parameters(), target.parameters(), agent.tau)

    def _update_critics(self, batch: Agent) -> float:
        """Take a step on the squared error to y = r + γ min_j Q'_j(s', π'(s') + clipped noise)."""
        import torch

        agent = cast(Agent, self)
        with torch.no_grad():
            noise = agent.target_policy_noise * torch.randn_like(batch.actions)
            noise = noise.clamp(-agent.target_noise_clip, agent.target_noise_clip)
            after = (self.actor_target(batch.next_observations) + noise).clamp(-1.0, 1.0)
            values = torch.minimum(*self.critic_target(batch.next_observations, after))
            targets = batch.rewards + (1.0 - batch.dones) * agent.gamma * values
        found = self.critic(batch.observations, batch.actions)
        loss = torch.stack([(values - targets).square().mean() for values in found]).sum()
        take_step(self.critic, loss)
        return float(loss.detach())

    def _update_actor(self, observations: Tensor) -> None:
        """Take a step on the loss of :class:`FineTuning`."""
        import torch

        actions = self.actor(observations)
        values = self.critic.q1_forward(observations, actions)
        loss, weight = -values.mean(), self.settings.compute_constraint(cast(Agent, self).num_timesteps)
        if weight:
            distance = self.compute_distance()
            if self.prior is not None:
                with torch.no_grad():
                    wanted = self.prior(observations)
                distance = distance + (actions - wanted).square().mean()
            loss = loss + weight * values.detach().abs().mean() * distance
        take_step(self.actor, loss)

    def compute_distance(self) -> Tensor:
        """Compute the weighted mean squared distance of the actor's actions to those of the pairs."""
        states, actions, weights = self.pairs
        distances: Tensor = (self.actor(states) - actions).square().mean(dim=1)
        return (weights * distances).sum()


def take_step(network: Agent, loss: Tensor) -> None:
    """Take one step of the optimiser of a network. Gradients of other networks are not computed."""
    network.optimizer.zero_grad()
    loss.backward(inputs=list(network.parameters()))  # type: ignore[no-untyped-call, unused-ignore]
    network.optimizer.step()


@check_arguments
def make_agent(
    policy: Policy, distillate: Distillate, env_id: str, settings: FineTuning, prior: Policy | None = None
) -> Agent:
    """Make a TD3 agent of stable-baselines3 that starts from a policy and is constrained by the pairs of a distillate.

    The agent sees standardised observations: its environment is wrapped. Its critics are new, and have LayerNorm after
    each hidden layer. ``agent.learn(steps)`` trains it, and callbacks of stable-baselines3 work as usual; the schedule
    of the constraint follows ``agent.num_timesteps``. The policy may be one of your own that you trained on the pairs.

    Args:
        policy: where the actor starts, such as a student: one plain network. Of a stochastic policy, its mean action.
        distillate: the pairs of the constraint.
        env_id: Gymnasium id.
        settings: settings of the updates.
        prior: usually ``policy`` itself. Its actions in replayed states are a part of the constraint: the pairs alone
            do not fix what a network does in other states.

    Raises:
        PotstillError: stable-baselines3 is missing, actions are discrete, a network has towers or a skip connection,
            or policies, distillate and environment have different sizes or bounds.

    Example:
        >>> import potstill
        >>> from potstill.finetuning import FineTuning, copy_policy, make_agent
        >>> distillate = potstill.load("hopper-medium-replay")
        >>> student = distillate.train_student(seed=0, recipe=potstill.RECIPES["pytorch"])
        >>> settings = FineTuning(steps=20_000)
        >>> agent = make_agent(student, distillate, "Hopper-v5", settings, prior=student)  # doctest: +SKIP
        >>> agent.learn(settings.steps)  # doctest: +SKIP
        >>> copy_policy(agent, student.scaling).save("tuned.safetensors")  # doctest: +SKIP
    """
    require_package("stable-baselines3", "collect")
    layers = find_plain_layers(policy)
    fixed = None if prior is None else make_network(move_inputs(find_plain_layers(prior), prior, policy))
    scaled = {"the policy": policy, "the distillate": distillate, **({} if prior is None else {"the prior": prior})}
    env = make_scaled_environment(env_id, scaled, distillate.rule)
    import torch
    from stable_baselines3 import TD3

    torch.set_num_threads(settings.threads)
    kind: Agent = type("ConstrainedTD3", (ConstrainedUpdates, TD3), {})
    agent = kind("MlpPolicy", env, **make_options(settings, [len(one["bias"]) for one in layers]))
    normalise_critics(agent, settings.learning_rate)
    agent.actor.optimizer.param_groups[0]["lr"] = settings.actor_learning_rate
    for actor in (agent.actor, agent.actor_target):
        fill_network(actor.mu, layers)
    agent.settings, agent.prior, agent.metrics = settings, fixed, {}
    agent.pairs = tuple(map(torch.as_tensor, standardise_pairs(policy, distillate)))
    return agent


def make_options(settings: FineTuning, widths: list[int]) -> dict[str, Agent]:
    """Make the options of stable-baselines3's TD3.

    Args:
        settings: settings of the updates.
        widths: outputs of each layer of the actor.
    """
    from stable_baselines3.common.noise import NormalActionNoise

    size = widths[-1]
    return {
        "learning_rate": settings.learning_rate,
        "buffer_size": settings.steps,
        "learning_starts": settings.random_steps,
        "batch_size": settings.batch,
        "gamma": settings.discount,
        "train_freq": settings.update_every,
        "gradient_steps": 1,
        "action_noise": NormalActionNoise(np.zeros(size), np.full(size, settings.noise)),
        "policy_kwargs": {"net_arch": {"pi": widths[:-1], "qf": [settings.critic_width] * 2}},
        "seed": settings.seed,
        "device": "cpu",
    }


def make_scaled_environment(env_id: str, scaled: Mapping[str, Scaled], rule: ObservationRule | None = None) -> Agent:
    """Make an environment whose observations are standardised by the first of some objects, and check all of them.

    Args:
        env_id: Gymnasium id.
        scaled: objects with a scaling, by their names in messages.
        rule: how observations become vectors, if they are none.
    """
    import gymnasium
    from gymnasium.spaces import Box
    from stable_baselines3.common.vec_env import DummyVecEnv

    env = make(env_id, rule)
    low, high = (getattr(env.action_space, name, np.zeros(0)) for name in ("low", "high"))
    for what, own in scaled.items():
        sizes, wanted = (len(own.normaliser.mean), len(own.action_bounds)), (env.observation_space.shape[0], len(low))
        if sizes != wanted:
            found = " and ".join(f"{size} {kind}" for size, kind in zip(sizes, ("state", "action"), strict=True))
            raise PotstillError(f"{what} has {found} components, but {env_id} has {wanted[0]} and {wanted[1]}")
        if not np.allclose([low, high], [own.action_bounds.low, own.action_bounds.high]):
            raise PotstillError(f"the action bounds of {what} differ from those of {env_id}")
    first = next(iter(scaled.values())).normaliser
    seen = Box(-np.inf, np.inf, (len(first.mean),), np.float32)
    standardise = lambda observation: np.asarray(first(np.asarray(observation, np.float32)), np.float32)  # noqa: E731
    wrapped = gymnasium.wrappers.TransformObservation(cast(Agent, env), standardise, seen)
    return DummyVecEnv([lambda: wrapped])


def standardise_pairs(policy: Policy, distillate: Distillate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardise pairs as a policy does; return states, actions in [−1, 1], and weights with sum 1."""
    weights = np.ones(len(distillate)) if distillate.weights is None else distillate.weights
    columns = policy.normaliser(distillate.states), policy.action_bounds.to_unit(distillate.actions)
    states, actions = (np.array(column, np.float32) for column in columns)
    return states, actions, np.asarray(weights / weights.sum(), np.float32)


@check_arguments
def copy_policy(agent: Agent, scaling: Scaling) -> Policy:
    """Copy the actor of an agent of :func:`make_agent`.

    Args:
        agent: the agent.
        scaling: that of the policy that the agent was made of.

    Example:
        >>> from potstill.finetuning import copy_policy
        >>> copy_policy(agent, student.scaling)  # doctest: +SKIP
        Policy(11-256-256-3, tanh head)
    """
    return Policy(copy_layers(agent.actor.mu), scaling)
