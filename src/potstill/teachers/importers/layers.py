"""From state dictionaries to layers: what the importers share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError
from potstill.policies import Layers

Tensors = dict[str, Any]


def linear(tensors: Tensors, name: str, path: Path | str) -> dict[str, np.ndarray]:
    """The layer ``name`` of a state dictionary, its weight turned from [out, in] to [in, out]."""
    try:
        weight, bias = (np.asarray(tensors[f"{name}.{part}"], np.float32) for part in ("weight", "bias"))
    except KeyError as error:
        raise PotstillError(f"{path}: lacks the array {error}: a checkpoint of another network") from None
    return {"weight": np.ascontiguousarray(weight.T), "bias": bias}


def sequence(tensors: Tensors, prefix: str, path: Path | str) -> Layers:
    """All layers ``prefix.0``, ``prefix.2``, … in order; what lies between are activations."""
    found = [re.fullmatch(re.escape(prefix) + r"\.(\d+)\.weight", name) for name in tensors]
    numbers = sorted(int(match.group(1)) for match in found if match)
    if not numbers:
        raise PotstillError(f"{path}: no layers '{prefix}': a checkpoint of another network")
    layers = [linear(tensors, f"{prefix}.{i}", path) for i in numbers]
    if any(layer["weight"].ndim != 2 for layer in layers):
        raise PotstillError(f"{path}: '{prefix}' are not linear layers: a checkpoint of another network")
    return layers


def side_by_side(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two output layers of one input as one: mean, then log-std."""
    return {key: np.concatenate([left[key], right[key]], axis=-1) for key in ("weight", "bias")}


def constant_log_std(mean: dict[str, np.ndarray], log_std: Any) -> dict[str, np.ndarray]:
    """An output layer whose log-std does not depend on the state."""
    flat = np.asarray(log_std, np.float32).reshape(-1)
    return side_by_side(mean, {"weight": np.zeros_like(mean["weight"]), "bias": flat})


def stack(networks: list[Layers], path: Path | str) -> Layers:
    """Critics of one shape, stacked on the first axis."""
    shapes = {tuple(layer["weight"].shape for layer in network) for network in networks}
    if len(shapes) != 1:
        raise PotstillError(f"{path}: critics of different shapes {sorted(shapes)}")
    return [
        {key: np.stack([network[i][key] for network in networks]) for key in ("weight", "bias")}
        for i in range(len(networks[0]))
    ]
