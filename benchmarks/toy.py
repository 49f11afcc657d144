"""The data of ``--toy``: three episodes of a pendulum under random actions, and a teacher of small random networks."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import h5py
import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.networks.policy import Policy
from potstill.teachers.base import NetworkTeacher

ENV_ID, EPISODES, LIMIT, WIDTH, TORQUE = "Pendulum-v1", 3, 200, 8, 2.0
STATES, ACTIONS, CRITICS = 3, 1, 2
Layers = list[dict[str, np.ndarray]]


def write_dataset(path: Path) -> None:
    """Write the episodes in D4RL's layout."""
    env, rng = gymnasium.make(ENV_ID), np.random.default_rng(0)
    rows: dict[str, list[np.ndarray | float | bool]] = {"observations": [], "actions": [], "rewards": []}
    for episode in range(EPISODES):
        state, _ = env.reset(seed=episode)
        for _ in range(LIMIT):
            action = rng.uniform(-TORQUE, TORQUE, size=ACTIONS).astype(np.float32)
            after, reward, _, _, _ = env.step(action)
            for values, value in zip(rows.values(), (state, action, float(reward)), strict=True):
                values.append(value)
            state = after
    env.close()
    ends = np.arange(1, EPISODES * LIMIT + 1) % LIMIT == 0
    with h5py.File(path, "w") as file:
        for name, values in rows.items():
            file.create_dataset(name, data=np.asarray(values, np.float32))
        file.create_dataset("terminals", data=np.zeros(len(ends), bool))
        file.create_dataset("timeouts", data=ends)
        file.attrs["env_id"] = ENV_ID


def write_teacher(path: Path) -> None:
    """Write a teacher: a policy and two critics, each with one hidden layer."""
    rng = np.random.default_rng(0)

    def layers(*shape: int, outputs: int, inputs: int) -> Layers:
        sizes = ((inputs, WIDTH), (WIDTH, outputs))
        draw = lambda *size: rng.normal(size=(*shape, *size)).astype(np.float32)  # noqa: E731
        return [{"weight": draw(*size), "bias": draw(size[1])} for size in sizes]

    bounds = ActionBounds(np.full(ACTIONS, -TORQUE, np.float32), np.full(ACTIONS, TORQUE, np.float32))
    policy = Policy(layers(inputs=STATES, outputs=ACTIONS), Scaling(Normaliser.identity(STATES), bounds))
    critics = layers(CRITICS, inputs=STATES + ACTIONS, outputs=1)
    NetworkTeacher(policy, critics, {"algorithm": "random", "env_id": ENV_ID}).save(path)


def ensure_files(folder: Path) -> dict[str, Path]:
    """Return the paths of the ``dataset`` and the ``teacher`` in a folder. Missing files are written."""
    paths = {"dataset": folder / "toy.hdf5", "teacher": folder / "toy.safetensors"}
    folder.mkdir(parents=True, exist_ok=True)
    for write, path in zip((write_dataset, write_teacher), paths.values(), strict=True):
        if not path.exists():
            write(path)
    return paths
