"""Distil a log with discrete actions: push a ball to the left or right, or not at all, to keep it near the middle."""

import tempfile
from pathlib import Path

import numpy as np

import potstill
from potstill.teachers import Iql

rng = np.random.default_rng(0)
places, speeds, actions = np.zeros((2, 3000)), np.zeros((2, 3000)), rng.integers(0, 3, size=3000)
for step in range(1, 3000):  # episodes of 20 steps, with random actions: 0 pushes to the left, 2 to the right
    place, speed = (x[0, step - 1] if step % 20 else rng.uniform(-1, 1) for x in (places, speeds))
    places[0, step], speeds[0, step] = place + 0.2 * speed, 0.8 * speed + 0.3 * (actions[step - 1] - 1)
states = np.stack([places[0], speeds[0]], axis=1)

columns = {
    "observations": states,
    "actions": actions,  # integers: a finite set
    "rewards": -(states[:, 0] ** 2),
    "terminations": np.zeros(3000, bool),
    "truncations": np.arange(3000) % 20 == 19,
}
data = potstill.load_dataset(columns, actions="discrete")
print(data)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    options = {"updates": 600, "batch": 128, "discount": 0.9, "fitted_updates": 0}  # a small problem
    taught = potstill.teach(data, algorithm=Iql(temperature=10.0), out=folder / "teacher", **options)
    run = potstill.distill(data, teacher=taught, size=16, steps=60, students=3, out=folder / "run")
    distillate = potstill.load(run)
    policy = distillate.train_student(seed=0)
    print("soft labels of the first pairs:", distillate.actions[:3].round(2).tolist())
    print("actions left and right of the middle:", policy([[-0.8, 0.0], [0.8, 0.0]]).tolist())
