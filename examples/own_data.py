"""Distil plain NumPy arrays without an environment, and print the offline scores of students."""

import tempfile
from pathlib import Path

import numpy as np

import potstill
from potstill.teachers import Rebrac

rng = np.random.default_rng(0)
states = rng.uniform(-1, 1, size=(2000, 2)).astype(np.float32)
actions = rng.uniform(-1, 1, size=(2000, 1)).astype(np.float32)
rewards = -((actions - 0.5 * states[:, :1]) ** 2)[:, 0]  # the best action is half of the first component

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    columns = {"observations": states, "actions": actions, "rewards": rewards}
    one_step_episodes = {"next_observations": states, "terminations": np.ones(2000, bool)}
    np.savez(folder / "logs.npz", **columns, **one_step_episodes)
    free = Rebrac(actor_penalty=0.0, critic_penalty=0.0)  # no penalties, because the data's actions are random
    options = {"updates": 600, "batch": 128, "fitted_updates": 0}  # a small problem; no offline scores of the teacher
    taught = potstill.teach(folder / "logs.npz", algorithm=free, out=folder / "teacher", **options)
    teacher = taught / "teacher.safetensors"
    run = potstill.distill(folder / "logs.npz", teacher=teacher, size=16, steps=100, students=3, out=folder / "run")
    print("offline:", run.result.offline)
    print("action in (0.6, 0):", potstill.load(run).train_student(seed=0)(np.array([0.6, 0.0])))
