"""Fine-tune a student in the environment with TD3 of stable-baselines3 (the extra ``collect``)."""

import numpy as np

import potstill
from potstill.environments import normalised_return, play
from potstill.finetuning import FineTuning, copy_policy, make_agent

distillate, env_id = potstill.load("hopper-medium-replay"), "Hopper-v5"
student = distillate.train_student(seed=0, recipe=potstill.RECIPES["pytorch"])  # one plain network, as TD3 has
settings = FineTuning(steps=100, warmup=50, batch=32)  # take 50,000 steps and a warm-up of 2,000
agent = make_agent(student, distillate, env_id, settings, prior=student)

for _ in range(2):
    agent.learn(settings.steps // 2, reset_num_timesteps=False)  # callbacks of stable-baselines3 work as usual
    policy = copy_policy(agent, student.scaling)
    score = normalised_return(play(policy, env_id, seeds=np.arange(2)), env_id).mean()
    weight = settings.compute_constraint(agent.num_timesteps)
    print(f"{agent.num_timesteps} steps: return {score:.1f}, weight of the constraint {weight:.2f}")
