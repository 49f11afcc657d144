"""Pictures of distilled states in MuJoCo, and of where the distilled action leads (paper's Figure 2).

Rendering runs in a process of its own: the choice of an OpenGL backend is made once a process, and a
machine that cannot render must not take the results down with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

COUNT = 6
WAIT = 90  # seconds
BODIES = ("Hopper", "HalfCheetah", "Walker2d")  # observation = all positions but the first, velocities


def render_states(distillate: Path, picture: Path) -> tuple[Path | None, str]:
    """Draw some distilled states into ``picture``; return it, or ``None`` and why not."""
    environment = dict(os.environ)
    if sys.platform == "linux" and "DISPLAY" not in environment:
        environment.setdefault("MUJOCO_GL", "egl")
    command = [sys.executable, "-m", "potstill.reports.states", str(distillate), str(picture)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT, check=False)
    except subprocess.TimeoutExpired:
        return None, f"MuJoCo did not render within {WAIT} s"
    if done.returncode == 0:
        return picture, ""
    return None, (done.stderr.strip().splitlines() or ["MuJoCo could not render"])[-1]


def choose(states: np.ndarray, count: int) -> np.ndarray:
    """Indices of ``count`` states far from each other: the farthest next, from the most central on."""
    scaled = (states - states.mean(0)) / (states.std(0) + 1e-6)
    chosen = [int(np.argmin(np.square(scaled).sum(1)))]
    while len(chosen) < min(count, len(states)):
        distance = np.square(scaled[:, None] - scaled[chosen][None]).sum(-1).min(1)
        chosen.append(int(np.argmax(distance)))
    return np.array(chosen)


def draw(distillate_path: Path, picture: Path) -> None:
    """Top row: distilled states. Bottom row: one environment step later, under the distilled action."""
    from potstill.distillate import load
    from potstill.environments.making import make

    distillate = load(distillate_path)
    env_id = distillate.env_id or ""
    if env_id.split("-v")[0] not in BODIES:
        raise SystemExit(f"{env_id}: its observations do not give the whole state")
    env = make(env_id, render_mode="rgb_array", width=240, height=240)
    env.reset(seed=0)
    frames: list[list[np.ndarray]] = [[], []]
    chosen = choose(distillate.states, COUNT)
    body = env.unwrapped
    for index in chosen:
        state = distillate.states[index].astype(np.float64)
        positions = body.model.nq - 1
        body.set_state(np.concatenate([[0.0], state[:positions]]), state[positions:])
        frames[0].append(env.render())
        env.unwrapped.step(distillate.actions[index])
        frames[1].append(env.render())
    _save(frames, chosen, env_id, picture)


def _save(frames: list[list[np.ndarray]], chosen: np.ndarray, env_id: str, picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(chosen), figsize=(1.7 * len(chosen), 3.9), layout="constrained", squeeze=False)
    for row, name in zip(range(2), ("distilled state", "one step later"), strict=True):
        for column, index in enumerate(chosen):
            axis = axes[row, column]
            axis.imshow(frames[row][column])
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"pair {index}", fontsize=9)
        axes[row, 0].set_ylabel(name)
    figure.suptitle(f"{env_id}: distilled states and what the distilled actions make of them", fontsize=10)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
