"""CORL's checkpoints of Cal-QL, CQL, TD3+BC, IQL, EDAC and SAC-N. They contain no normaliser."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.errors import PotstillError
from potstill.networks.policy import Layers
from potstill.teachers.importers.archive import Tensors, read_tensors, reporting_damage
from potstill.teachers.importers.layers import (
    ImportedNetworks,
    array,
    finite,
    has,
    linear,
    numbers,
    scalar,
    sequence,
    stack,
    with_constant_log_std,
    with_log_std,
)


def read_corl(path: Path) -> ImportedNetworks:
    """Read a ``.pt`` checkpoint. The algorithm is inferred from the names of the networks, as far as possible."""
    with reporting_damage(path, "a CORL checkpoint"):
        content = path.read_bytes()
    tensors = read_tensors(content, path)
    if has(tensors, "critic1"):
        actor = _conservative(tensors, path)
        return ImportedNetworks(
            actor, "tanh_gaussian", _twins(tensors, "critic1.network", "critic2.network", path), "cql"
        )
    if has(tensors, "critic_1"):
        actor = sequence(tensors, "actor.net", path)
        return ImportedNetworks(actor, "tanh", _twins(tensors, "critic_1.net", "critic_2.net", path), "td3-bc")
    if has(tensors, "qf"):
        *hidden, last = sequence(tensors, "actor.net.net" if has(tensors, "actor.net.net") else "actor.net", path)
        values = _twins(tensors, "qf.q1.net", "qf.q2.net", path)
        if "actor.log_std" not in tensors:
            return ImportedNetworks([*hidden, last], "tanh", values, "iql")
        last = with_constant_log_std(last, array(tensors, "actor.log_std", path), path)
        return ImportedNetworks([*hidden, last], "gaussian", values, "iql")
    if has(tensors, "critic"):
        last = with_log_std(linear(tensors, "actor.mu", path), linear(tensors, "actor.log_sigma", path), path)
        actor = [*sequence(tensors, "actor.trunk", path), last]
        return ImportedNetworks(actor, "tanh_gaussian", _vectorised(tensors, path), "edac")
    parts = sorted({name.partition(".")[0] for name in tensors})
    raise PotstillError(f"{path}: no critics as CORL's Cal-QL, CQL, TD3+BC, IQL, EDAC or SAC-N have them, only {parts}")


def _twins(tensors: Tensors, one: str, other: str, path: Path) -> Layers:
    return stack([sequence(tensors, name, path) for name in (one, other)], path)


def _conservative(tensors: Tensors, path: Path) -> Layers:
    """Layers of an actor whose last layer outputs mean and log-std, with the log-std's scale and shift folded in."""
    *hidden, last = sequence(tensors, "actor.base_network", path)
    scale, shift = (scalar(tensors, f"actor.log_std_{name}.constant", path) for name in ("multiplier", "offset"))
    size = last["bias"].size
    of_log_std = np.arange(size) >= size // 2
    factor = np.where(of_log_std, scale, 1.0)
    scaled = {"weight": last["weight"] * factor, "bias": last["bias"] * factor + shift * of_log_std}
    return [*hidden, {key: finite(value, f"actor's last {key}, scaled", path) for key, value in scaled.items()}]


def _vectorised(tensors: Tensors, path: Path) -> Layers:
    """Critics that are stacked in the file: weights [critic, in, out] and biases [critic, 1, out]."""
    layers = []
    for name in (f"critic.critic.{i}" for i in numbers(tensors, "critic.critic.")):
        weight, bias = (array(tensors, f"{name}.{part}", path) for part in ("weight", "bias"))
        if weight.ndim != 3 or bias.shape != (weight.shape[0], 1, weight.shape[2]):
            raise PotstillError(
                f"{path}: '{name}' with weight {weight.shape} and bias {bias.shape} is no stack of critics: "
                "a checkpoint of another network"
            )
        layers.append({"weight": weight, "bias": bias[:, 0]})
    return layers
