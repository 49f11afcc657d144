"""CORL's checkpoints: Cal-QL, CQL, TD3+BC, IQL, EDAC and SAC-N. They carry no normaliser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError
from potstill.policies import Head, Layers
from potstill.teachers.importers.archive import read_tensors
from potstill.teachers.importers.layers import Tensors, constant_log_std, linear, sequence, side_by_side, stack


def read_corl(path: Path) -> tuple[Layers, Head, Layers, str]:
    """Policy, head, critics and algorithm family of a ``.pt`` checkpoint."""
    found = read_tensors(path, name=path)
    actor = found.get("actor")
    if not isinstance(actor, dict):
        raise PotstillError(f"{path}: no 'actor' (it has {', '.join(map(str, found))}): not a CORL checkpoint")
    if "critic1" in found:
        critics = [sequence(found[name], "network", path) for name in ("critic1", "critic2")]
        return *_conservative(actor, path), stack(critics, path), "cql"
    if "critic_1" in found:
        critics = [sequence(found[name], "net", path) for name in ("critic_1", "critic_2")]
        return sequence(actor, "net", path), "tanh", stack(critics, path), "td3-bc"
    if "qf" in found:
        critics = [sequence(found["qf"], f"{name}.net", path) for name in ("q1", "q2")]
        return *_implicit(actor, path), stack(critics, path), "iql"
    if "critic" in found:
        return *_entropic(actor, path), _vectorised(found["critic"], path), "edac"
    raise PotstillError(f"{path}: no critics that CORL's Cal-QL, CQL, TD3+BC, IQL, EDAC or SAC-N would have")


def _conservative(actor: Tensors, path: Path) -> tuple[Layers, Head]:
    """The last layer gives mean and log-std, the latter still to be scaled and shifted."""
    layers = sequence(actor, "base_network", path)
    half = layers[-1]["bias"].size // 2
    scale, shift = (float(np.ravel(actor[f"log_std_{name}.constant"])[0]) for name in ("multiplier", "offset"))
    layers[-1]["weight"][:, half:] *= scale
    layers[-1]["bias"] = np.concatenate([layers[-1]["bias"][:half], layers[-1]["bias"][half:] * scale + shift])
    return layers, "tanh_gaussian"


def _implicit(actor: Tensors, path: Path) -> tuple[Layers, Head]:
    *hidden, mean = sequence(actor, "net.net" if "net.net.0.weight" in actor else "net", path)
    if "log_std" not in actor:
        return [*hidden, mean], "tanh"
    return [*hidden, constant_log_std(mean, actor["log_std"])], "gaussian"


def _entropic(actor: Tensors, path: Path) -> tuple[Layers, Head]:
    last = side_by_side(linear(actor, "mu", path), linear(actor, "log_sigma", path))
    return [*sequence(actor, "trunk", path), last], "tanh_gaussian"


def _vectorised(tensors: Tensors, path: Path) -> Layers:
    """Critics that lie stacked in the file already, as [critic, in, out] and [critic, 1, out]."""
    names = sorted((n for n in tensors if n.endswith(".weight")), key=lambda n: int(n.split(".")[-2]))
    layers: list[dict[str, Any]] = []
    for name in names:
        weight, bias = (np.asarray(tensors[name.replace("weight", part)], np.float32) for part in ("weight", "bias"))
        if weight.ndim != 3 or bias.ndim != 3:
            raise PotstillError(f"{path}: '{name}' is no stack of critics: a checkpoint of another network")
        layers.append({"weight": weight, "bias": bias[:, 0]})
    return layers
