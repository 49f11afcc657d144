"""Conversion between the layers of a policy and networks of PyTorch, and critics with LayerNorm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from potstill.errors import PotstillError
from potstill.networks.policy import Layers, Policy, Residual, Towers

Agent: TypeAlias = Any
"""An agent of stable-baselines3 or a part of it, whose type hints are incomplete."""


def find_plain_layers(policy: Policy) -> Layers:
    """Find the layers of the mean action, if it is that of one plain network.

    Raises:
        PotstillError: the actions are discrete, or the network has towers or a skip connection.
    """
    if policy.action_bounds.discrete:
        raise PotstillError("TD3 needs continuous actions, but those of the policy are discrete")
    if isinstance(policy.layers, Towers | Residual):
        what = "towers" if isinstance(policy.layers, Towers) else "a skip connection"
        raise PotstillError(f"the policy has {what}: expected one plain network, such as with the recipe pytorch")
    last = {name: array[..., : len(policy.action_bounds)] for name, array in policy.layers[-1].items()}
    return [*policy.layers[:-1], last]


def move_inputs(layers: Layers, own: Policy, other: Policy) -> Layers:
    """Change the first layer of a policy, so that it takes states that another policy has standardised."""
    before, after = own.normaliser, other.normaliser
    weight = np.asarray(layers[0]["weight"], np.float64)
    shift = (np.asarray(after.mean, np.float64) - before.mean) / before.scale
    ratio = np.asarray(after.scale, np.float64) / before.scale
    return [{"weight": weight * ratio[:, None], "bias": layers[0]["bias"] + shift @ weight}, *layers[1:]]


def make_network(layers: Layers) -> Agent:
    """Make a network of PyTorch that returns actions in [−1, 1]. It cannot be trained."""
    from torch import nn

    modules: list[Agent] = []
    for layer in layers:
        modules += [nn.Linear(*np.shape(layer["weight"])), nn.ReLU()]
    network = nn.Sequential(*modules[:-1], nn.Tanh())
    fill_network(network, layers)
    return network.requires_grad_(False)


def list_linear(network: Agent) -> list[Agent]:
    """List the linear modules of a network."""
    from torch import nn

    return [module for module in network if isinstance(module, nn.Linear)]


def fill_network(network: Agent, layers: Layers) -> None:
    """Copy layers into the linear modules of a network."""
    import torch

    with torch.no_grad():
        for module, layer in zip(list_linear(network), layers, strict=True):
            module.weight.copy_(torch.as_tensor(np.array(layer["weight"], np.float32).T.copy()))
            module.bias.copy_(torch.as_tensor(np.array(layer["bias"], np.float32)))


def copy_layers(network: Agent) -> Layers:
    """Copy the linear modules of a network as layers."""
    copied = [
        [np.array(x.detach().numpy(), np.float32) for x in (one.weight, one.bias)] for one in list_linear(network)
    ]
    return [{"weight": weight.T.copy(), "bias": bias} for weight, bias in copied]


def normalise_critics(agent: Agent, learning_rate: float) -> None:
    """Add LayerNorm after the hidden layers of new critics.

    It bounds the values of actions that were never taken (Ball et al. 2023, arXiv 2302.02948).
    """
    from torch import nn

    for critic in (agent.critic, agent.critic_target):
        for number, network in enumerate(critic.q_networks):
            critic.q_networks[number] = nn.Sequential(*_add_norms(list(network)))
            setattr(critic, f"qf{number}", critic.q_networks[number])
    agent.critic_target.load_state_dict(agent.critic.state_dict())
    agent.critic.optimizer = type(agent.critic.optimizer)(agent.critic.parameters(), lr=learning_rate)


def _add_norms(modules: list[Agent]) -> Iterator[Agent]:
    from torch import nn

    for module, following in pairwise([*modules, None]):
        yield module
        if isinstance(module, nn.Linear) and following is not None:
            yield nn.LayerNorm(module.out_features)
