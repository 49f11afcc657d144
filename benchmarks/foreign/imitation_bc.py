"""Train imitation's BC on an exported distillate, and print its returns. Usage: FILE ENV_ID STUDENTS EPISODES."""

import json
import sys

import gymnasium
import numpy as np
import torch
from imitation.algorithms.bc import BC
from imitation.data.types import Transitions

file, env_id, students, episodes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pairs, env, returns = np.load(file), gymnasium.make(env_id), []
mean, scale = pairs["state_mean"], pairs["state_scale"]
states = ((pairs["states"] - mean) / scale).astype(np.float32)
rows = Transitions(
    obs=states,
    acts=pairs["actions"].astype(np.float32),
    infos=np.array([{}] * len(states)),
    next_obs=states,  # not used by behavioural cloning
    dones=np.ones(len(states), bool),
)
space = gymnasium.spaces.Box(-np.inf, np.inf, states.shape[1:], np.float32)
for seed in range(students):
    torch.manual_seed(seed)
    bc = BC(
        observation_space=space,
        action_space=env.action_space,
        demonstrations=rows,
        rng=np.random.default_rng(seed),
        device="cpu",
    )
    bc.train(n_batches=1600)
    returns.append([])
    for episode in range(episodes):
        state, done, total = env.reset(seed=1000 * seed + episode)[0], False, 0.0
        while not done:
            action = bc.policy.predict(((state - mean) / scale).astype(np.float32), deterministic=True)[0]
            state, reward, terminated, truncated, _ = env.step(action)
            total, done = total + float(reward), terminated or truncated
        returns[-1].append(total)
print(json.dumps(returns))
