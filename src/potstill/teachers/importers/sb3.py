"""SAC and TD3 models of stable-baselines3 (``.zip``). Observations are raw; actions are scaled to [−1, 1]."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from potstill.errors import PotstillError
from potstill.teachers.importers.archive import read_tensors, reporting_damage
from potstill.teachers.importers.layers import (
    ImportedNetworks,
    find_numbers,
    has_part,
    join_log_std,
    read_layers,
    read_linear,
    stack_networks,
)


def read_sb3(path: Path) -> ImportedNetworks:
    """Read a ``.zip`` file that ``model.save`` wrote."""
    with reporting_damage(path, "a stable-baselines3 model"), zipfile.ZipFile(path) as archive:
        if "policy.pth" not in archive.namelist():
            raise PotstillError(f"{path}: no policy.pth inside: not a stable-baselines3 model")
        content = archive.read("policy.pth")
        settings = json.loads(archive.read("data")) if "data" in archive.namelist() else {}
    _check_activation(settings, path)
    tensors = read_tensors(content, path)
    found = find_numbers(tensors, "critic.qf")
    if not found:
        raise PotstillError(f"{path}: no critics 'critic.qf0': only SAC and TD3 with continuous actions are supported")
    critics = stack_networks([read_layers(tensors, f"critic.qf{i}", path) for i in found], path)
    if not has_part(tensors, "actor.latent_pi"):
        return ImportedNetworks(read_layers(tensors, "actor.mu", path), "tanh", critics, "td3")
    last = join_log_std(read_linear(tensors, "actor.mu", path), read_linear(tensors, "actor.log_std", path), path)
    return ImportedNetworks([*read_layers(tensors, "actor.latent_pi", path), last], "tanh_gaussian", critics, "sac")


def _check_activation(settings: object, path: Path) -> None:
    """Raise unless the activations are ReLU. The file contains the name of the activation class."""
    options = settings.get("policy_kwargs") if isinstance(settings, dict) else None
    found = options.get("activation_fn") if isinstance(options, dict) else None
    if found is not None and not str(found).endswith(".ReLU'>"):
        raise PotstillError(f"{path}: the networks have activations {str(found)!r}: only ReLU is supported")
