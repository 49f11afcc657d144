"""d3rlpy's ``.d3`` models with continuous actions: SAC, CQL, Cal-QL, TD3, TD3+BC, IQL and their kin."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError
from potstill.policies import Head, Layers
from potstill.teachers.importers.archive import TensorReader, read_tensors
from potstill.teachers.importers.layers import Tensors, constant_log_std, linear, sequence, side_by_side, stack
from potstill.types import Normaliser

LOG_STD_RANGE = (-5.0, 2.0)  # of IQL's constant deviation, which d3rlpy stores before a sigmoid


def read_d3rlpy(path: Path) -> tuple[Layers, Head, Layers, str, Normaliser | None]:
    """Policy, head, critics, algorithm and, if the model has a standard scaler, its normaliser."""
    try:
        papers = TensorReader(path.read_bytes()).load()
        config, content = json.loads(papers["config"]), papers["torch"]
    except Exception as error:  # a pickle machine fails in as many ways as there are bytes
        raise PotstillError(f"{path}: damaged, or not a d3rlpy model ({type(error).__name__}: {error})") from None
    tensors = read_tensors(content, name=path)
    policy, values = tensors.get("policy"), tensors.get("q_funcs")
    if not isinstance(policy, dict) or not isinstance(values, dict):
        raise PotstillError(f"{path}: no 'policy' and 'q_funcs': only actor-critic models are read")
    numbers = sorted({int(match.group(1)) for name in values if (match := re.match(r"(\d+)\.", name))})
    critics = [[*_encoder(values, f"{i}._encoder", path), linear(values, f"{i}._fc", path)] for i in numbers]
    actor, head = _policy(policy, path)
    inner = config.get("config", {})
    algorithm = str(inner.get("type", "d3rlpy"))
    return actor, head, stack(critics, path), algorithm, _scaler(inner.get("params", {}), path)


def _policy(tensors: Tensors, path: Path) -> tuple[Layers, Head]:
    hidden = _encoder(tensors, "_encoder", path)
    if "_fc.weight" in tensors:
        return [*hidden, linear(tensors, "_fc", path)], "tanh"
    mean = linear(tensors, "_mu", path)
    if "_logstd.weight" in tensors:
        return [*hidden, side_by_side(mean, linear(tensors, "_logstd", path))], "tanh_gaussian"
    low, high = LOG_STD_RANGE
    squashed = 1.0 / (1.0 + np.exp(-np.asarray(tensors["_logstd"], np.float64)))
    return [*hidden, constant_log_std(mean, low + squashed * (high - low))], "gaussian"


def _encoder(tensors: Tensors, prefix: str, path: Path) -> Layers:
    return sequence(tensors, f"{prefix}._layers", path)


def _scaler(params: dict[str, Any], path: Path) -> Normaliser | None:
    """The observation scaler; anything but none or the standard one cannot be expressed."""
    for name in ("action_scaler", "reward_scaler"):
        if name == "action_scaler" and (params.get(name) or {}).get("type", "none") not in ("none", "min_max"):
            raise PotstillError(f"{path}: an action scaler of type {params[name]['type']} is not supported")
    found = params.get("observation_scaler") or {"type": "none"}
    if found["type"] == "none":
        return None
    if found["type"] != "standard":
        raise PotstillError(f"{path}: an observation scaler of type {found['type']}, only 'standard' is supported")
    settings = found["params"]
    mean, std = (np.asarray(settings[name], np.float32) for name in ("mean", "std"))
    return Normaliser(mean, std + np.float32(settings.get("eps", 1e-3)))
