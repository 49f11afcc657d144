"""Train d3rlpy's BC on an exported distillate, and print its returns. Usage: FILE ENV_ID STUDENTS EPISODES."""

import json
import sys

import d3rlpy
import gymnasium
import numpy as np

file, env_id, students, episodes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pairs, env, returns = np.load(file), gymnasium.make(env_id), []
count = len(pairs["states"])
data = d3rlpy.dataset.MDPDataset(
    pairs["states"].astype(np.float32), pairs["actions"].astype(np.float32), np.zeros(count), np.ones(count)
)
scaler = d3rlpy.preprocessing.StandardObservationScaler(mean=pairs["state_mean"], std=pairs["state_scale"])
bounds = d3rlpy.preprocessing.MinMaxActionScaler(minimum=pairs["action_low"], maximum=pairs["action_high"])
config = d3rlpy.algos.BCConfig(learning_rate=1e-3, batch_size=100, observation_scaler=scaler, action_scaler=bounds)
for seed in range(students):
    d3rlpy.seed(seed)
    bc = config.create(device="cpu")
    bc.fit(
        data,
        n_steps=1000,
        n_steps_per_epoch=1000,
        show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )
    returns.append([])
    for episode in range(episodes):
        state, done, total = env.reset(seed=1000 * seed + episode)[0], False, 0.0
        while not done:
            action = np.clip(bc.predict(state[None].astype(np.float32))[0], env.action_space.low, env.action_space.high)
            state, reward, terminated, truncated, _ = env.step(action)
            total, done = total + float(reward), terminated or truncated
        returns[-1].append(total)
print(json.dumps(returns))
