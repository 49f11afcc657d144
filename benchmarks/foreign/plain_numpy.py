"""Train networks in NumPy on an exported distillate, and print their returns. Usage: FILE ENV_ID STUDENTS EPISODES."""

import itertools
import json
import sys

import gymnasium
import numpy as np

UPDATES, RATE, WIDTH = 1000, 1e-3, 256

file, env_id, students, episodes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pairs, env, returns = np.load(file), gymnasium.make(env_id), []
mean, scale = pairs["state_mean"], pairs["state_scale"]
middle = (pairs["action_high"] + pairs["action_low"]) / 2
half = (pairs["action_high"] - pairs["action_low"]) / 2
states = ((pairs["states"] - mean) / scale).astype(np.float32)
actions = ((pairs["actions"] - middle) / half).astype(np.float32)


def act(x):
    """The layers' inputs, and the actions: two hidden layers of ReLUs, tanh."""
    inputs = [x]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        inputs.append(np.maximum(inputs[-1] @ weight + bias, 0.0))
    return inputs, np.tanh(inputs[-1] @ weights[-1] + biases[-1])


for seed in range(students):
    rng = np.random.default_rng(seed)
    sizes = [states.shape[1], WIDTH, WIDTH, actions.shape[1]]
    weights = [rng.uniform(-1, 1, size).astype(np.float32) * size[0] ** -0.5 for size in itertools.pairwise(sizes)]
    biases = [np.zeros(size, np.float32) for size in sizes[1:]]
    parameters = weights + biases
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for update in range(1, UPDATES + 1):
        inputs, found = act(states)
        delta = 2.0 * (found - actions) * (1.0 - found**2) / actions.size
        of_weights, of_biases = [], []
        for layer in (2, 1, 0):
            of_weights.insert(0, inputs[layer].T @ delta)
            of_biases.insert(0, delta.sum(axis=0))
            delta = (delta @ weights[layer].T) * (inputs[layer] > 0.0)
        for p, g, m, v in zip(parameters, of_weights + of_biases, first, second, strict=True):  # Adam
            m[...] += 0.1 * (g - m)
            v[...] += 0.001 * (g * g - v)
            p[...] -= RATE * (m / (1.0 - 0.9**update)) / (np.sqrt(v / (1.0 - 0.999**update)) + 1e-8)
    returns.append([])
    for episode in range(episodes):
        state, done, total = env.reset(seed=1000 * seed + episode)[0], False, 0.0
        while not done:
            unit = act(((state - mean) / scale)[None].astype(np.float32))[1][0]
            state, reward, terminated, truncated, _ = env.step(middle + half * unit)
            total, done = total + float(reward), terminated or truncated
        returns[-1].append(total)
print(json.dumps(returns))
