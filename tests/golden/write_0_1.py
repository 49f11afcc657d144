"""Write the artefacts of version 0.1 with its own code: check out the commit before ``src/potstill/runtime``.

    PYTHONPATH=OLD/src python tests/golden/write_0_1.py

Made in this way at commit 2288716. The teacher has hidden layers of 8 units, so that the files are small.
"""

import contextlib
import os
from pathlib import Path

import numpy as np

import potstill
from potstill.commands import teach
from potstill.teachers import bc

HERE = Path(__file__).parent / "0.1"
bc.HIDDEN, bc.CRITIC_HIDDEN = (8, 8), (8, 8)
TAUGHT = {"algorithm": "bc", "updates": 8, "evaluate_every": 4, "batch": 8, "fitted_updates": 0, "episodes": 0}
DISTILLED = {"teacher": "taught/teacher.safetensors", "size": 4, "steps": 2, "batch": 8, "students": 2, "episodes": 0}


def write_rows(path):
    """Four episodes of 5 steps, states of 3 components and actions of 2 within ±1."""
    rng = np.random.default_rng(7)
    observations = rng.normal(size=(4, 6, 3)).astype(np.float32)
    last = np.arange(20) % 5 == 4
    np.savez(
        path,
        observations=observations[:, :-1].reshape(20, 3),
        actions=rng.uniform(-1, 1, size=(20, 2)).astype(np.float32),
        rewards=rng.normal(size=20).astype(np.float32),
        next_observations=observations[:, 1:].reshape(20, 3),
        terminations=last,
        truncations=np.zeros(20, bool),
    )


def interrupted(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    os.chdir(HERE)
    write_rows("rows.npz")
    potstill.convert("rows.npz", out="converted", force=True)
    potstill.teach("rows.npz", out="taught", force=True, **TAUGHT)
    potstill.distill("rows.npz", out="distilled", force=True, recipe="plain", **DISTILLED)
    save = teach.save_checkpoint
    teach.save_checkpoint = lambda *args: (save(*args), interrupted())
    with contextlib.suppress(KeyboardInterrupt):
        potstill.teach("rows.npz", out="interrupted", force=True, **TAUGHT)
    for path in HERE.rglob("*.png"):
        path.unlink()
