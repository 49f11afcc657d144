"""SAC and TD3 models of stable-baselines3 (``.zip``). Observations are raw; the file has the action space."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.errors import PotstillError, naming_source
from potstill.runtime.files import check_regular, parse_json
from potstill.teachers.importers.archive import check_size, read_tensors, reporting_damage
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
        check_size(archive, check_regular(path))
        content = archive.read("policy.pth")
        settings = parse_json(archive.read("data")) if "data" in archive.namelist() else {}
    _check_networks(settings, path)
    tensors = read_tensors(content, path)
    extractors = sorted(name for name in tensors if "features_extractor." in name)
    if extractors:
        raise PotstillError(f"{path}: has a features extractor with '{extractors[0]}', which is not supported")
    found = find_numbers(tensors, "critic.qf")
    if not found:
        raise PotstillError(f"{path}: no critics 'critic.qf0': only SAC and TD3 with continuous actions are supported")
    critics = stack_networks([read_layers(tensors, f"critic.qf{i}", path) for i in found], path)
    bounds = _read_bounds(settings, path)
    if not has_part(tensors, "actor.latent_pi"):
        return ImportedNetworks(read_layers(tensors, "actor.mu", path), "tanh", critics, "td3", bounds=bounds)
    last = join_log_std(read_linear(tensors, "actor.mu", path), read_linear(tensors, "actor.log_std", path), path)
    actor = [*read_layers(tensors, "actor.latent_pi", path), last]
    return ImportedNetworks(actor, "tanh_gaussian", critics, "sac", bounds=bounds)


def _check_networks(settings: object, path: Path) -> None:
    """Raise unless activations are ReLU, and observations enter as they are. The file has the names of the classes."""
    options = settings.get("policy_kwargs") if isinstance(settings, dict) else None
    options = options if isinstance(options, dict) else {}
    found = options.get("activation_fn")
    if found is not None and not str(found).endswith(".ReLU'>"):
        raise PotstillError(f"{path}: the networks have activations {str(found)!r}: only ReLU is supported")
    extractor = options.get("features_extractor_class")
    if extractor is not None and not str(extractor).endswith(".FlattenExtractor'>"):
        raise PotstillError(f"{path}: the features extractor {str(extractor)!r} is not supported")


def _read_bounds(settings: object, path: Path) -> ActionBounds | None:
    """The bounds of the action space, which the file has as text: ``low`` is ``"[-2. -1.]"``."""
    space = settings.get("action_space") if isinstance(settings, dict) else None
    if not isinstance(space, dict):
        return None
    try:
        low, high = (np.array(str(space[key]).strip("[]").split(), np.float32) for key in ("low", "high"))
    except (KeyError, ValueError):
        raise PotstillError(f"{path}: its action space has no low and high numbers") from None
    with naming_source(path):
        return ActionBounds(low, high)
