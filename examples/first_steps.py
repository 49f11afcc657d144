"""Distil the bundled dataset, train a student from the file, let it hop."""

import tempfile
from pathlib import Path

import numpy as np

import potstill
from potstill.environments.rollouts import play

with tempfile.TemporaryDirectory() as folder:
    run = potstill.distill("hopper-medium-replay", size=64, steps=40, episodes=0, out=Path(folder) / "run")
    distillate = potstill.load(run)
    policy = distillate.train_student(seed=0)
    returns, scale = play(policy, "Hopper-v5", seeds=np.arange(5)), distillate.reference
    score = 100 * (returns.mean() - scale.random) / (scale.expert - scale.random)
    print(f"{len(distillate)} pairs, one student: {score:.1f}")
