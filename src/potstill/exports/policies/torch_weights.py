"""Weights for PyTorch: a safetensors file with the names of an ``nn.Sequential`` of linear layers and ReLUs.

An ``nn.Sequential`` of ``Linear, ReLU, …, Linear, Tanh`` has the weights ``0.weight``, ``0.bias``, ``2.weight`` and so
on. The actor of stable-baselines3's TD3 (``actor.mu``) is such a network. Observations are raw, because the normaliser
is part of the first layer. The outputs lie in [−1, 1]; stable-baselines3 scales them to the bounds of the action space.
For discrete actions, the network ends without the Tanh, and the action is that of the highest output, as in
stable-baselines3's DQN (``q_net.q_net``).

Towers become one network with block-diagonal weights. A skip connection becomes additional units that copy the output
of the first hidden layer to the later layers. A ReLU does not change these outputs, because they are not negative.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.exports.policies.base import ExportedPolicy, PolicyFormat
from potstill.networks.policy import Layers
from potstill.runtime import storage


def write(policy: ExportedPolicy, path: Path) -> None:
    """Write the weights [out, in] and biases [out] in float32, and the metadata of the policy."""
    layers = fold_normaliser(make_plain_layers(policy), policy)
    arrays = {}
    for i, layer in enumerate(layers):
        arrays[f"{2 * i}.weight"] = layer["weight"].T.astype(np.float32)
        arrays[f"{2 * i}.bias"] = layer["bias"].astype(np.float32)
    storage.save(path, "torch policy", arrays, policy.describe())


def make_plain_layers(policy: ExportedPolicy) -> Layers:
    """Make the layers of one ReLU network, in float64, that computes the output of a single policy."""
    towers = [{k: v[0].astype(np.float64) for k, v in layer.items()} for layer in policy.layers]
    *hidden, last = towers
    if not hidden:
        return [{k: v.mean(axis=0) for k, v in last.items()}]
    first, *inner = hidden
    layers = [{"weight": np.concatenate(first["weight"], axis=1), "bias": first["bias"].ravel()}]
    layers += [{"weight": _make_block_diagonal(layer["weight"]), "bias": layer["bias"].ravel()} for layer in inner]
    end = {"weight": np.concatenate(last["weight"]) / policy.towers, "bias": last["bias"].mean(axis=0)}
    if policy.residual:
        layers, end = _pass_first_on(layers), {**end, "weight": np.concatenate([end["weight"]] * 2)}
    return [*layers, end]


def fold_normaliser(layers: Layers, policy: ExportedPolicy) -> Layers:
    """Make the normaliser a part of the first layer: its weights are W / scale, its biases b − (mean / scale) W."""
    mean, scale = (np.asarray(x, np.float64) for x in (policy.normaliser.mean, policy.normaliser.scale))
    weight = layers[0]["weight"] / scale[:, None]
    return [{"weight": weight, "bias": layers[0]["bias"] - mean @ weight}, *layers[1:]]


def _make_block_diagonal(blocks: np.ndarray) -> np.ndarray:
    count, inputs, outputs = blocks.shape
    weight = np.zeros((count, inputs, count, outputs))
    weight[np.arange(count), :, np.arange(count)] = blocks
    return weight.reshape(count * inputs, count * outputs)


def _pass_first_on(layers: Layers) -> Layers:
    """Add units to each later hidden layer that copy the output of the first one."""
    first, second, *others = layers
    width = first["weight"].shape[1]
    passed = {"weight": np.concatenate([second["weight"], np.eye(width)], axis=1)}
    passed["bias"] = np.concatenate([second["bias"], np.zeros(width)])
    both = [
        {
            "weight": _make_block_diagonal(np.stack([layer["weight"], np.eye(width)])),
            "bias": np.concatenate([layer["bias"], np.zeros(width)]),
        }
        for layer in others
    ]
    return [first, passed, *both]


FORMAT = PolicyFormat(write, suffixes=(".safetensors",), averages=False)
