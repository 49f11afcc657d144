"""Conversion of state dictionaries to layers, shared by the importers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from potstill.data.bounds import ActionBounds
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
    bounds: ActionBounds | None = None
    """The bounds that the policy's outputs in [−1, 1] are scaled to; ``None`` if the file does not say."""


def as_finite(value: object, name: str, path: Path) -> np.ndarray:
    """Convert ``value`` to float32; raise if it is empty, or holds NaN or infinity."""
    with np.errstate(all="ignore"):  # numbers too large for float32 become infinite and are refused below
        array: np.ndarray = np.asarray(value, np.float32)
    if not array.size or not np.isfinite(array).all():
        raise PotstillError(f"{path}: array '{name}' is {'not finite' if array.size else 'empty'}")
    return array


def read_array(tensors: Tensors, name: str, path: Path) -> np.ndarray:
    """Return the array ``name`` as float32."""
    return as_finite(storage.require_array(tensors, name, path), name, path)


def read_scalar(tensors: Tensors, name: str, path: Path) -> float:
    """Return the single number in the array ``name``."""
    found = read_array(tensors, name, path)
    if found.size != 1:
        raise PotstillError(f"{path}: array '{name}' has shape {found.shape}, expected one number")
    return float(found.item())


def has_part(tensors: Tensors, part: str) -> bool:
    """Whether any array belongs to ``part``."""
    return any(name.startswith(f"{part}.") for name in tensors)


def find_numbers(tensors: Tensors, prefix: str) -> list[int]:
    """Find all numbers i for which the name of an array starts with ``prefix`` and i; return them in order."""
    found = (re.match(re.escape(prefix) + r"(\d+)\.", name) for name in tensors)
    return sorted({int(match.group(1)) for match in found if match})


def read_linear(tensors: Tensors, name: str, path: Path) -> Layer:
    """Return the linear layer ``name``, with its weight transposed from [out, in] to [in, out]."""
    weight, bias = (read_array(tensors, f"{name}.{part}", path) for part in ("weight", "bias"))
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise PotstillError(
            f"{path}: '{name}' is not a linear layer: its weight has shape {weight.shape}, its bias {bias.shape}"
        )
    return {"weight": np.ascontiguousarray(weight.T), "bias": bias}


def read_layers(tensors: Tensors, prefix: str, path: Path) -> Layers:
    """Return the layers ``prefix.0``, ``prefix.2``, … in order. The skipped numbers are activations."""
    found = find_numbers(tensors, f"{prefix}.")
    if not found:
        raise PotstillError(f"{path}: no layers '{prefix}': the file holds another kind of network")
    return [read_linear(tensors, f"{prefix}.{i}", path) for i in found]


def join_log_std(mean: Layer, log_std: Layer, path: Path) -> Layer:
    """Join two output layers with the same input: mean, then log-std."""
    shapes = [[layer[key].shape for key in ("weight", "bias")] for layer in (mean, log_std)]
    if shapes[0] != shapes[1]:
        raise PotstillError(f"{path}: weight and bias of the mean {shapes[0]} and of the log-std {shapes[1]} differ")
    return {key: np.concatenate([mean[key], log_std[key]], axis=-1) for key in ("weight", "bias")}


def join_constant_log_std(mean: Layer, log_std: np.ndarray, path: Path) -> Layer:
    """Join an output layer for the mean with a log-std that does not depend on the state."""
    return join_log_std(mean, {"weight": np.zeros_like(mean["weight"]), "bias": log_std.reshape(-1)}, path)


def stack_networks(networks: list[Layers], path: Path) -> Layers:
    """Stack critics of one shape on the first axis."""
    shapes = {tuple(layer["weight"].shape for layer in network) for network in networks}
    if len(shapes) != 1:
        raise PotstillError(f"{path}: critics of different shapes {sorted(shapes)}")
    return [{key: np.stack([layer[key] for layer in same]) for key in same[0]} for same in zip(*networks, strict=True)]
