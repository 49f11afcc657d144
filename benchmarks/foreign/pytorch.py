"""Train PyTorch networks on an exported distillate, and print their returns. Usage: FILE ENV_ID STUDENTS EPISODES."""

import json
import sys

import gymnasium
import numpy as np
import torch

file, env_id, students, episodes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pairs, env, returns = np.load(file), gymnasium.make(env_id), []
mean, scale = pairs["state_mean"], pairs["state_scale"]
states = torch.as_tensor((pairs["states"] - mean) / scale, dtype=torch.float32)
middle = (pairs["action_high"] + pairs["action_low"]) / 2
half = (pairs["action_high"] - pairs["action_low"]) / 2
actions = torch.as_tensor((pairs["actions"] - middle) / half, dtype=torch.float32)
for seed in range(students):
    torch.manual_seed(seed)
    sizes = [(states.shape[1], 256), (256, 256), (256, actions.shape[1])]
    first, second, last = (torch.nn.Linear(*size) for size in sizes)
    network = torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU(), last, torch.nn.Tanh())
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(1000):
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(network(states), actions).backward()
        optimiser.step()
    returns.append([])
    for episode in range(episodes):
        state, done, total = env.reset(seed=1000 * seed + episode)[0], False, 0.0
        while not done:
            with torch.no_grad():
                action = network(torch.as_tensor((state - mean) / scale, dtype=torch.float32)).numpy()
            state, reward, terminated, truncated, _ = env.step(middle + half * action)
            total, done = total + float(reward), terminated or truncated
        returns[-1].append(total)
print(json.dumps(returns))
