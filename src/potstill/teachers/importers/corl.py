"""CORL's checkpoints of Cal-QL, CQL, TD3+BC, IQL, EDAC and SAC-N.

A checkpoint contains no normaliser. The same arrays in a ``.safetensors`` file may have one: ``observation_mean`` and
``observation_std``, the mean and the standard deviation of the states, to which CORL adds 1e-3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.transitions import SCALE_FLOOR, Normaliser
from potstill.errors import PotstillError
from potstill.networks.policy import Layers
from potstill.runtime import storage
from potstill.teachers.importers.archive import Tensors, read_tensors, reporting_damage
from potstill.teachers.importers.layers import (
    ImportedNetworks,
    as_finite,
    find_numbers,
    has_part,
    join_constant_log_std,
    join_log_std,
    read_array,
    read_layers,
    read_linear,
    read_scalar,
    stack_networks,
)


def read_corl(path: Path) -> ImportedNetworks:
    """Read a ``.pt`` or ``.safetensors`` file. The algorithm is inferred from the names of its networks."""
    if path.suffix == ".safetensors":
        tensors = storage.read_arrays(path)
        return _read_networks(tensors, path)._replace(normaliser=_read_normaliser(tensors, path))
    with reporting_damage(path, "a CORL checkpoint"):
        content = path.read_bytes()
    return _read_networks(read_tensors(content, path), path)


def _read_normaliser(tensors: Tensors, path: Path) -> Normaliser | None:
    if "observation_mean" not in tensors:
        return None
    mean, std = (read_array(tensors, f"observation_{name}", path) for name in ("mean", "std"))
    return Normaliser(mean, std + np.float32(SCALE_FLOOR))


def _read_networks(tensors: Tensors, path: Path) -> ImportedNetworks:
    """Read the policy and the critics."""
    if has_part(tensors, "critic1"):
        actor = _read_conservative_actor(tensors, path)
        return ImportedNetworks(
            actor, "tanh_gaussian", _read_twins(tensors, "critic1.network", "critic2.network", path), "cql"
        )
    if has_part(tensors, "critic_1"):
        actor = read_layers(tensors, "actor.net", path)
        return ImportedNetworks(actor, "tanh", _read_twins(tensors, "critic_1.net", "critic_2.net", path), "td3-bc")
    if has_part(tensors, "qf"):
        *hidden, last = read_layers(
            tensors, "actor.net.net" if has_part(tensors, "actor.net.net") else "actor.net", path
        )
        values = _read_twins(tensors, "qf.q1.net", "qf.q2.net", path)
        if "actor.log_std" not in tensors:
            return ImportedNetworks([*hidden, last], "tanh", values, "iql")
        last = join_constant_log_std(last, read_array(tensors, "actor.log_std", path), path)
        return ImportedNetworks([*hidden, last], "gaussian", values, "iql")
    if has_part(tensors, "critic"):
        last = join_log_std(read_linear(tensors, "actor.mu", path), read_linear(tensors, "actor.log_sigma", path), path)
        actor = [*read_layers(tensors, "actor.trunk", path), last]
        return ImportedNetworks(actor, "tanh_gaussian", _read_stacked_critics(tensors, path), "edac")
    parts = sorted({name.partition(".")[0] for name in tensors})
    raise PotstillError(
        f"{path}: expected the critics of CORL's Cal-QL, CQL, TD3+BC, IQL, EDAC or SAC-N, found only {parts}"
    )


def _read_twins(tensors: Tensors, one: str, other: str, path: Path) -> Layers:
    return stack_networks([read_layers(tensors, name, path) for name in (one, other)], path)


def _read_conservative_actor(tensors: Tensors, path: Path) -> Layers:
    """Layers of an actor whose last layer outputs mean and log-std, with the log-std's scale and shift folded in."""
    *hidden, last = read_layers(tensors, "actor.base_network", path)
    scale, shift = (read_scalar(tensors, f"actor.log_std_{name}.constant", path) for name in ("multiplier", "offset"))
    size = last["bias"].size
    of_log_std = np.arange(size) >= size // 2
    factor = np.where(of_log_std, scale, 1.0)
    scaled = {"weight": last["weight"] * factor, "bias": last["bias"] * factor + shift * of_log_std}
    return [*hidden, {key: as_finite(value, f"actor's last {key}, scaled", path) for key, value in scaled.items()}]


def _read_stacked_critics(tensors: Tensors, path: Path) -> Layers:
    """Critics that are stacked in the file: weights [critic, in, out] and biases [critic, 1, out]."""
    layers = []
    for name in (f"critic.critic.{i}" for i in find_numbers(tensors, "critic.critic.")):
        weight, bias = (read_array(tensors, f"{name}.{part}", path) for part in ("weight", "bias"))
        if weight.ndim != 3 or bias.shape != (weight.shape[0], 1, weight.shape[2]):
            raise PotstillError(
                f"{path}: '{name}' is not a stack of critics: the weight has shape {weight.shape}, the bias "
                f"{bias.shape}"
            )
        layers.append({"weight": weight, "bias": bias[:, 0]})
    return layers
