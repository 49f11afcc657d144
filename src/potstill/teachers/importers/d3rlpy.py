"""d3rlpy's ``.d3`` models with continuous actions: SAC, CQL, Cal-QL, TD3, TD3+BC, IQL and similar ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError, naming_source
from potstill.networks.policy import Head, Layers
from potstill.runtime.files import parse_json
from potstill.teachers.importers.archive import Tensors, read_tensors, reporting_damage, unpickle
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
    stack_networks,
)

LOG_STD_RANGE = (-5.0, 2.0)  # of IQL's constant log-std, which d3rlpy stores as the input of a sigmoid


def read_d3rlpy(path: Path) -> ImportedNetworks:
    """Read a ``.d3`` model, with its normaliser if it has a standard scaler."""
    with reporting_damage(path, "a d3rlpy model"):
        model = unpickle(path.read_bytes())
        if not isinstance(model, dict):
            raise PotstillError(f"{path}: expected a d3rlpy model, found {type(model).__name__}")
        config, content = parse_json(model["config"]), model["torch"]
    tensors = read_tensors(content, path)
    if not has_part(tensors, "policy") or not has_part(tensors, "q_funcs"):
        raise PotstillError(f"{path}: no 'policy' and 'q_funcs': only actor-critic models are supported")
    parts = [f"q_funcs.{i}" for i in find_numbers(tensors, "q_funcs.")]
    critics = [[*_read_encoder(tensors, part, path), read_linear(tensors, f"{part}._fc", path)] for part in parts]
    actor, head = _read_policy(tensors, path)
    inner = _find_section(config, "config", path)
    params = _find_section(inner, "params", path)
    for name in ("actor_encoder_factory", "critic_encoder_factory"):
        _check_encoder(params, name, path)
    normaliser, name = _read_normaliser(params, path), str(inner.get("type", "d3rlpy"))
    bounds = _read_bounds(params, len(actor[-1]["bias"]) // (1 if head == "tanh" else 2), path)
    return ImportedNetworks(actor, head, stack_networks(critics, path), name, normaliser, bounds)


def _read_encoder(tensors: Tensors, part: str, path: Path) -> Layers:
    return read_layers(tensors, f"{part}._encoder._layers", path)


def _read_policy(tensors: Tensors, path: Path) -> tuple[Layers, Head]:
    hidden = _read_encoder(tensors, "policy", path)
    if has_part(tensors, "policy._fc"):
        return [*hidden, read_linear(tensors, "policy._fc", path)], "tanh"
    mean = read_linear(tensors, "policy._mu", path)
    if has_part(tensors, "policy._logstd"):
        log_std = read_linear(tensors, "policy._logstd", path)
        return [*hidden, join_log_std(mean, log_std, path)], "tanh_gaussian"
    low, high = LOG_STD_RANGE
    sigmoid = 0.5 + 0.5 * np.tanh(0.5 * read_array(tensors, "policy._logstd", path))
    return [*hidden, join_constant_log_std(mean, low + sigmoid * (high - low), path)], "gaussian"


def _find_section(holder: object, name: str, path: Path) -> dict[str, object]:
    """The dictionary ``name`` of the configuration."""
    found = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(found, dict):
        raise PotstillError(f"{path}: the configuration has no dictionary '{name}'")
    return found


def _check_encoder(params: dict[str, object], name: str, path: Path) -> None:
    """Raise unless the encoder is a plain ReLU network."""
    options = params.get(name)
    options = options.get("params") if isinstance(options, dict) else None
    if not isinstance(options, dict):
        return
    if (found := options.get("activation", "relu")) != "relu":
        raise PotstillError(f"{path}: {name} has activations {found!r}: only 'relu' is supported")
    for extra in ("use_batch_norm", "use_layer_norm"):
        if options.get(extra):
            raise PotstillError(f"{path}: {name} has {extra}, which is not supported")


def _find_scaler(params: dict[str, object], name: str, path: Path) -> dict[str, object]:
    return {"type": "none"} if params.get(name) is None else _find_section(params, name, path)


def _read_bounds(params: dict[str, object], size: int, path: Path) -> ActionBounds:
    """The bounds that the ``min_max`` action scaler maps [−1, 1] to. Without a scaler, d3rlpy's actions are in ±1."""
    scaler = _find_scaler(params, "action_scaler", path)
    kind = scaler.get("type")
    if kind == "none":
        return ActionBounds.unit(size)
    if kind != "min_max":
        raise PotstillError(f"{path}: action scaler of type {kind!r}: only 'min_max' is supported")
    settings = _find_section(scaler, "params", path)
    try:
        low, high = (
            np.broadcast_to(as_finite(settings[name], f"action_scaler.{name}", path), size)
            for name in ("minimum", "maximum")
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PotstillError(f"{path}: its action scaler lacks {size} numbers ({error!r})") from None
    with naming_source(path):
        return ActionBounds(low, high)


def _read_normaliser(params: dict[str, object], path: Path) -> Normaliser | None:
    """The normaliser equivalent to the scalers. Only the standard observation scaler is supported."""
    scaler = _find_scaler(params, "observation_scaler", path)
    kind = scaler.get("type")
    if kind == "none":
        return None
    if kind != "standard":
        raise PotstillError(f"{path}: observation scaler of type {kind!r}: only 'standard' is supported")
    settings: dict[str, object] = {"eps": 1e-3, **_find_section(scaler, "params", path)}
    try:
        mean, std, eps = (
            as_finite(settings[name], f"observation_scaler.{name}", path) for name in ("mean", "std", "eps")
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PotstillError(f"{path}: a number of the observation scaler is missing or invalid ({error!r})") from None
    if mean.ndim != 1 or std.shape != mean.shape or eps.ndim != 0 or (std + eps <= 0).any():
        raise PotstillError(
            f"{path}: the observation scaler must have mean and std of equal length, and a positive std"
        )
    return Normaliser(mean, as_finite(std.astype(np.float64) + eps, "observation_scaler.std", path))
