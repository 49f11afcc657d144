"""Distil the bundled dataset, load the distillate, train a student and evaluate it."""

import tempfile

import numpy as np

import potstill
from potstill.environments import normalised_return, play

with tempfile.TemporaryDirectory() as folder:
    options = {"states": "data", "size": 64, "steps": 40, "students": 1, "episodes": 0}  # quicker than the default
    run = potstill.distill("hopper-medium-replay", **options, out=f"{folder}/run")
    distillate = potstill.load(run)
    policy = distillate.train_student(seed=0)
    returns = play(policy, "Hopper-v5", seeds=np.arange(5))
    print(f"{len(distillate)} pairs, one student: {normalised_return(returns, 'Hopper-v5').mean():.1f}")
