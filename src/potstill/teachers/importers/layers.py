"""Conversion of state dictionaries to layers, shared by the importers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.networks.policy import Head, Layers
from potstill.runtime import storage
from potstill.teachers.importers.archive import Tensors

Layer = dict[str, np.ndarray]  # {"weight": [in, out], "bias": [out]}


class ImportedNetworks(NamedTuple):
    """The networks in a file of another library."""

    layers: Layers
    """Layers of the policy."""
    head: Head
    critics: Layers
    """Layers of the critics, stacked on the first axis of each array."""
    algorithm: str
    normaliser: Normaliser | None = None


def finite(value: object, name: str, path: Path) -> np.ndarray:
    """``value`` as float32; raise if it is empty, or holds NaN or infinity."""
    with np.errstate(all="ignore"):  # numbers too large for float32 become infinite and are refused below
        array: np.ndarray = np.asarray(value, np.float32)
    if not array.size or not np.isfinite(array).all():
        raise PotstillError(f"{path}: the array '{name}' is {'not finite' if array.size else 'empty'}")
    return array


def array(tensors: Tensors, name: str, path: Path) -> np.ndarray:
    """The array ``name`` as float32."""
    return finite(storage.require_array(tensors, name, path), name, path)


def scalar(tensors: Tensors, name: str, path: Path) -> float:
    """The single number in the array ``name``."""
    found = array(tensors, name, path)
    if found.size != 1:
        raise PotstillError(f"{path}: the array '{name}' has shape {found.shape}, not one number")
    return float(found.item())


def has(tensors: Tensors, part: str) -> bool:
    """Whether any array belongs to ``part``."""
    return any(name.startswith(f"{part}.") for name in tensors)


def numbers(tensors: Tensors, prefix: str) -> list[int]:
    """All numbers i for which an array's name starts with ``prefix`` and i, in order."""
    found = (re.match(re.escape(prefix) + r"(\d+)\.", name) for name in tensors)
    return sorted({int(match.group(1)) for match in found if match})


def linear(tensors: Tensors, name: str, path: Path) -> Layer:
    """The layer ``name``, its weight transposed from [out, in] to [in, out]."""
    weight, bias = (array(tensors, f"{name}.{part}", path) for part in ("weight", "bias"))
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise PotstillError(
            f"{path}: '{name}' with weight {weight.shape} and bias {bias.shape} is no linear layer: "
            "a checkpoint of another network"
        )
    return {"weight": np.ascontiguousarray(weight.T), "bias": bias}


def sequence(tensors: Tensors, prefix: str, path: Path) -> Layers:
    """All layers ``prefix.0``, ``prefix.2``, … in order. The skipped numbers are activations."""
    found = numbers(tensors, f"{prefix}.")
    if not found:
        raise PotstillError(f"{path}: no layers '{prefix}': a checkpoint of another network")
    return [linear(tensors, f"{prefix}.{i}", path) for i in found]


def with_log_std(mean: Layer, log_std: Layer, path: Path) -> Layer:
    """Join two output layers with the same input: mean, then log-std."""
    shapes = [[layer[key].shape for key in ("weight", "bias")] for layer in (mean, log_std)]
    if shapes[0] != shapes[1]:
        raise PotstillError(f"{path}: weight and bias of the mean {shapes[0]} and of the log-std {shapes[1]} differ")
    return {key: np.concatenate([mean[key], log_std[key]], axis=-1) for key in ("weight", "bias")}


def with_constant_log_std(mean: Layer, log_std: np.ndarray, path: Path) -> Layer:
    """Join an output layer for the mean with a log-std that does not depend on the state."""
    return with_log_std(mean, {"weight": np.zeros_like(mean["weight"]), "bias": log_std.reshape(-1)}, path)


def stack(networks: list[Layers], path: Path) -> Layers:
    """Stack critics of one shape on the first axis."""
    shapes = {tuple(layer["weight"].shape for layer in network) for network in networks}
    if len(shapes) != 1:
        raise PotstillError(f"{path}: critics of different shapes {sorted(shapes)}")
    return [{key: np.stack([layer[key] for layer in same]) for key in same[0]} for same in zip(*networks, strict=True)]
