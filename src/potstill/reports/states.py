"""Render distilled states in MuJoCo, and the states after one step with the distilled actions.

The picture corresponds to Figure 2 of Lei et al. 2024 (arXiv 2410.22728).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from potstill.environments.drawing import TIMEOUT, run_renderer
from potstill.environments.making import make
from potstill.environments.posture import has_posture

COUNT = 6  # states in a picture


def render_states(distillate: Path, picture: Path) -> tuple[Path | None, str]:
    """Draw some distilled states into ``picture``. Return the path and an empty reason, or ``None`` and the reason."""
    from potstill.distillate import load

    env_id = load(distillate).env_id
    if not has_posture(env_id):  # a process takes seconds to start
        return None, f"{env_id}: observations do not contain the whole state of the simulator"
    reason = run_renderer("potstill.reports.states", str(distillate), str(picture), timeout=TIMEOUT)
    return (None, reason) if reason else (picture, "")


def choose_states(states: np.ndarray, count: int) -> np.ndarray:
    """Choose ``count`` distant states: first the most central one, then repeatedly the farthest from those chosen."""
    scaled = (states - states.mean(0)) / (states.std(0) + 1e-6)
    chosen = [int(np.argmin(np.square(scaled).sum(1)))]
    while len(chosen) < min(count, len(states)):
        distance = np.square(scaled[:, None] - scaled[chosen][None]).sum(-1).min(1)
        chosen.append(int(np.argmax(distance)))
    return np.array(chosen)


def draw(distillate_path: Path, picture: Path) -> None:
    """Draw distilled states (top row), and the states one environment step later (bottom row)."""
    from potstill.distillate import load

    distillate = load(distillate_path)
    env_id = str(distillate.env_id)
    env = make(env_id, render_mode="rgb_array", width=240, height=240)
    env.reset(seed=0)
    frames: list[list[np.ndarray]] = [[], []]
    chosen = choose_states(distillate.states, COUNT)
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
    figure = Figure(figsize=(1.7 * len(chosen), 3.9), layout="constrained")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for row, name in zip(range(2), ("distilled state", "one step later"), strict=True):
        for column, index in enumerate(chosen):
            axis = axes[row, column]
            axis.imshow(frames[row][column])
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"pair {index}", fontsize=9)
        axes[row, 0].set_ylabel(name)
    figure.suptitle(f"{env_id}: distilled states, and the states after one distilled action", fontsize=10)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
