"""Clone an exported distillate with TorchRL: ``python torchrl_bc.py distillate.npz``.

A replay buffer of TensorDicts returns all pairs at once, for BCLoss. The settings are those of the distillate's recipe,
but there is one network instead of several towers, with output gain 1.
"""

import json
import sys

import numpy as np
import torch
from tensordict import TensorDict
from torch import nn
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.data.replay_buffers import SamplerWithoutReplacement
from torchrl.modules import MLP, Actor
from torchrl.objectives import BCLoss

pairs = {name: torch.from_numpy(array) for name, array in np.load(sys.argv[1]).items() if name != "potstill"}
recipe = json.loads(str(np.load(sys.argv[1])["potstill"]))["recipe"]
low, width = pairs["action_low"], pairs["action_high"] - pairs["action_low"]
states = (pairs["states"] - pairs["state_mean"]) / pairs["state_scale"]
units = (pairs["actions"] - low) / width * 2 - 1
rows = len(states)

storage, sampler = LazyTensorStorage(rows), SamplerWithoutReplacement()
buffer = TensorDictReplayBuffer(storage=storage, sampler=sampler, batch_size=rows)
buffer.extend(TensorDict({"observation": states, "action": units}, [rows]))

cells = [recipe["width"]] * (recipe["layers"] - 1)
network = nn.Sequential(MLP(states.shape[1], units.shape[1], num_cells=cells, activation_class=nn.ReLU), nn.Tanh())
for layer in network[0]:
    if isinstance(layer, nn.Linear):
        nn.init.orthogonal_(layer.weight, gain=2**0.5)
        nn.init.zeros_(layer.bias)
loss = BCLoss(Actor(network), loss_function="l2")
sgd = torch.optim.SGD(loss.parameters(), lr=recipe["learning_rate"], momentum=recipe["momentum"])
for _ in range(recipe["steps"]):
    sgd.zero_grad()
    loss(buffer.sample())["loss_bc"].backward()
    sgd.step()


@torch.no_grad()
def policy(observations):
    """Actions [B, A] for raw observations [B, S]."""
    unit = network((torch.as_tensor(observations, dtype=torch.float32) - pairs["state_mean"]) / pairs["state_scale"])
    return (low + (unit + 1) / 2 * width).numpy()


print(f"mean squared error on the pairs: {np.mean((policy(pairs['states']) - pairs['actions'].numpy()) ** 2):.4f}")
