"""Students that are trained without potstill: scripts for NumPy and PyTorch, d3rlpy's BC and imitation's BC.

The distillates are those of the experiment ``portfolio``, exported as ``.npz``. Each script of ``benchmarks/foreign``
reads the export with NumPy, trains students with the code of its package, and plays in Gymnasium's environments. The
settings are the packages' defaults, except for the number of updates, d3rlpy's learning rate (1e-3) and the states,
which are standardised as the export says. The script of a package runs in the Python that an environment variable
names, because d3rlpy and imitation require other versions of Gymnasium and stable-baselines3 than potstill.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np

import potstill
from benchmarks.experiments import imagination
from benchmarks.experiments.distilling import shorten_summary
from benchmarks.experiments.portfolio import find_distillate
from benchmarks.files import BUNDLED, FILES, ROOT, Workspace
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.evaluation.statistics import summarise
from potstill.runtime.files import hash_file

SCRIPTS = {"NumPy": "plain_numpy.py", "PyTorch": "pytorch.py", "d3rlpy": "d3rlpy_bc.py", "imitation": "imitation_bc.py"}
INTERPRETERS = {"d3rlpy": "D3RLPY_PYTHON", "imitation": "IMITATION_PYTHON"}
"""Environment variables with the path of a Python that has the package. The other scripts run in this one."""
SETTINGS = {
    "NumPy": "two hidden layers of 256, Adam at 1e-3, 1,000 full batches",
    "PyTorch": "two hidden layers of 256, Adam at 1e-3, 1,000 full batches",
    "d3rlpy": "BC, Adam at 1e-3, 1,000 batches of 100",
    "imitation": "BC with two hidden layers of 32, 1,600 batches of 32",
}
STUDENTS, EPISODES = 3, 3


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Export the distillate, run the script, and record the returns of its students."""
    folder = find_distillate(Cell("data" if workspace.toy else "imagined", cell.file, cell.seed), workspace)
    file = workspace.runs / f"{cell.file}-{cell.seed}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    potstill.export(folder, file, force=True)
    python = os.environ.get(INTERPRETERS[cell.method], "") if cell.method in INTERPRETERS else sys.executable
    if not python:
        raise RuntimeError(f"{INTERPRETERS[cell.method]} must name a Python with {cell.method}")
    env_id = str(potstill.load(folder).env_id)
    counts = ["1", "1"] if workspace.toy else [str(STUDENTS), str(EPISODES)]
    words = [python, "-W", "ignore", str(ROOT / "benchmarks" / "foreign" / SCRIPTS[cell.method]), str(file), env_id]
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*words, *counts], capture_output=True, text=True, check=True, env=outside)
    returns = np.asarray(json.loads(done.stdout.strip().splitlines()[-1]))
    scores = summarise(returns, env_id)
    return {
        "student": shorten_summary(scores),
        "teacher": imagination.read_teacher(folder),
        "sha256": hash_file(folder / "distillate.safetensors"),
    }


def describe_inputs(cell: Cell) -> Record:
    """Return the inputs of the distillate, the training of the students and their number."""
    distillate = imagination.describe_inputs(Cell("imagined", cell.file, cell.seed))
    counts = {"students": STUDENTS, "episodes": EPISODES}
    return {"distillate": distillate, "training": SETTINGS[cell.method], **counts}


DECLARED = make_product(tuple(SCRIPTS), ("hopper-medium-replay", "halfcheetah-medium", "walker2d-medium-expert"), (0,))
EXPERIMENT = Experiment(
    "foreign-students",
    "students that are trained by other people's code",
    DECLARED,
    describe_inputs,
    measure,
    frozenset({"student", "teacher", "sha256"}),
    extra=tuple(c for c in make_product(tuple(SCRIPTS), (*FILES, BUNDLED), (0,)) if c not in DECLARED),
    toy=(Cell("NumPy", BUNDLED),),
    packages=("torch", "d3rlpy", "imitation"),
)
