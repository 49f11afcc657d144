"""How much an ensemble of students steadies the returns of a distillate."""

import sys
import tempfile
from pathlib import Path

import numpy as np

import potstill
from potstill.environments.rollouts import play

with tempfile.TemporaryDirectory() as folder:
    if len(sys.argv) > 1:
        distillate = potstill.load(sys.argv[1])
    else:
        options = {"size": 64, "steps": 40, "episodes": 0}
        distillate = potstill.load(potstill.distill("hopper-medium-replay", out=Path(folder) / "run", **options))
    students = distillate.train_students(seeds=[0, 1, 2, 3])
    singles = play(students.each, distillate.env_id, seeds=np.arange(12)).reshape(4, 3).mean(axis=1)
    together = play(students.ensemble, distillate.env_id, seeds=np.arange(100, 106)).mean()
    scale = distillate.reference
    scores = 100 * (np.array([*singles, together]) - scale.random) / (scale.expert - scale.random)
    print("each student:", scores[:-1].round(1), "- their ensemble:", scores[-1].round(1))
