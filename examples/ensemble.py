"""Compare the returns of single students with the return of their ensemble."""

import sys
import tempfile
from pathlib import Path

import numpy as np

import potstill
from potstill.environments import normalised_return, play

with tempfile.TemporaryDirectory() as folder:
    if len(sys.argv) > 1:
        distillate = potstill.load(sys.argv[1])
    else:
        options = {"states": "data", "size": 64, "steps": 40, "students": 1, "episodes": 0}
        distillate = potstill.load(potstill.distill("hopper-medium-replay", out=Path(folder) / "run", **options))
    students = distillate.train_students(seeds=[0, 1, 2, 3])
    env_id = distillate.env_id
    singles = normalised_return(play(students.act_separately, env_id, seeds=np.arange(12)).reshape(4, 3), env_id)
    together = normalised_return(play(students.act_as_ensemble, env_id, seeds=np.arange(100, 106)), env_id)
    print("each student:", singles.mean(axis=1).round(1), "- their ensemble:", together.mean().round(1))
