"""Teachers that other libraries trained: CORL's ``.pt``, stable-baselines3's ``.zip``, d3rlpy's ``.d3``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError, unknown
from potstill.policies import Policy
from potstill.teachers.base import NetworkTeacher, check_critics
from potstill.teachers.importers.corl import read_corl
from potstill.teachers.importers.d3rlpy import read_d3rlpy
from potstill.teachers.importers.sb3 import read_sb3
from potstill.types import Normaliser, Transitions

SUFFIXES = {".pt": "corl", ".pth": "corl", ".zip": "stable-baselines3", ".d3": "d3rlpy"}


def import_teacher(
    path: Path | str, *, data: Transitions | None = None, normaliser: Normaliser | None = None
) -> NetworkTeacher:
    """Read a teacher that another library trained; nothing in the file is run.

    Args:
        path: a CORL checkpoint (``.pt``), a stable-baselines3 SAC or TD3 (``.zip``) or a d3rlpy model
            (``.d3``), by its suffix.
        data: the dataset it was trained on. A CORL checkpoint carries no standardisation of the states:
            it is recomputed from these (mean, std + 1e-3). The action bounds are also theirs; without a
            dataset they are ±1.
        normaliser: the standardisation, if it is known otherwise.

    Raises:
        PotstillError: an unknown suffix, damage, another network, or a standardisation that is missing.

    Example:
        >>> import potstill
        >>> data = potstill.load_dataset("hopper-medium-replay")
        >>> teacher = potstill.import_teacher("checkpoint.pt", data=data)  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise unknown("kind of teacher file", path.suffix or str(path), SUFFIXES)
    if not path.is_file():
        raise PotstillError(f"{path}: no such file")
    kind, own = SUFFIXES[path.suffix], None
    if kind == "corl":
        layers, head, critics, algorithm = read_corl(path)
        own = data.normaliser if data is not None else None
        if normaliser is None and own is None:
            raise PotstillError(f"{path}: CORL checkpoints carry no normaliser: name the dataset, or give it")
    elif kind == "stable-baselines3":
        layers, head, critics, algorithm = read_sb3(path)
    else:
        layers, head, critics, algorithm, own = read_d3rlpy(path)
    chosen = normaliser or own or Normaliser.identity(len(layers[0]["weight"]))
    size = layers[-1]["bias"].size // (1 if head == "tanh" else 2)
    low, high = (data.action_low, data.action_high) if data is not None else _unit_bounds(size)
    policy = Policy(layers, chosen, low, high, head)
    papers: dict[str, Any] = {"algorithm": algorithm, "source": f"{kind}: {path.name}"}
    if data is not None:
        papers["env_id"] = data.env_id
    _check_policy(policy, path)
    check_critics(critics, policy, path)
    return NetworkTeacher(policy, critics, papers, layer_norm=False)


def _unit_bounds(size: int) -> tuple[np.ndarray, np.ndarray]:
    return -np.ones(size, np.float32), np.ones(size, np.float32)


def _check_policy(policy: Policy, path: Path) -> None:
    from potstill.policies import from_arrays

    from_arrays(policy.arrays(), policy.head, path)
