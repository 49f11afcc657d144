"""Describe potstill's own files: distillates, teachers, policies and world models."""

from __future__ import annotations

from pathlib import Path

from potstill.distillate import Distillate, load
from potstill.environments.observations.rule import ENTRY, read_rule
from potstill.errors import PotstillError
from potstill.networks.policy import load_policy
from potstill.runtime import storage
from potstill.runtime.files import JsonObject
from potstill.tasks.mixture import has_task_input, read_sources
from potstill.teachers.base import load_teacher
from potstill.worlds.base import load_world


def describe_artefact(path: Path) -> JsonObject:
    """Return the sizes and metadata of a ``.safetensors`` file that potstill wrote, as JSON values.

    Raises:
        PotstillError: the file does not exist, is damaged, or was not written by potstill.
    """
    facts = _describe_kind(path)
    teacher, rule = facts.get("teacher"), read_rule(facts.get(ENTRY))
    if isinstance(teacher, dict):
        facts["teacher"] = {key: value for key, value in teacher.items() if key != ENTRY}
    return facts if rule is None else facts | {ENTRY: rule.describe()}


def _describe_kind(path: Path) -> JsonObject:
    kind = storage.read_kind(path)
    if kind == "distillate":
        return _describe_distillate(path)
    if kind == "teacher":
        teacher = load_teacher(path)
        shapes = [list(layer["weight"].shape) for layer in teacher.policy.layers]
        return {"kind": kind, "policy": shapes, "critics": len(teacher.critics[0]["bias"]), **teacher.metadata}
    if kind == "policy":
        policy = load_policy(path)
        shapes = [list(layer["weight"].shape) for layer in policy.layers]
        return {"kind": kind, "policy": shapes, "head": policy.head}
    if kind == "world":
        world = load_world(path)
        shapes = [list(layer["weight"].shape) for layer in world.dynamics.layers]
        return {
            "kind": kind,
            "layers": shapes,
            "initial_states": len(world.starts),
            "horizon": world.horizon,
        } | world.metadata
    raise PotstillError(f"{path}: expected an artefact of potstill, found another safetensors file")


def _describe_distillate(path: Path) -> JsonObject:
    distillate = load(path)
    weights = distillate.weights
    return {
        "kind": "distillate",
        "bytes": path.stat().st_size,
        "pairs": len(distillate),
        "weights": "all equal" if weights is None else [weights.min().item(), weights.max().item()],
        "state_size": distillate.states.shape[1],
        "action_size": distillate.actions.shape[1],
        "states_from": distillate.states.min(0).round(3).tolist(),
        "states_to": distillate.states.max(0).round(3).tolist(),
        "actions_from": distillate.actions.min(0).round(3).tolist(),
        "actions_to": distillate.actions.max(0).round(3).tolist(),
        **{name: array.tolist() for name, array in distillate.scaling.to_arrays().items()},
        **distillate.metadata,
        **_describe_sources(distillate),
    }


def _describe_sources(distillate: Distillate) -> JsonObject:
    """Describe the sources of a mixture by their numbers, without their settings."""
    if "mixture" not in distillate.metadata:
        return {}
    sources = {
        str(i): {key: source.get(key) for key in ("name", "pairs", "sha256")}
        | {key: source["metadata"].get(key) for key in ("env_id", "command")}
        for i, source in enumerate(read_sources(distillate))
    }
    return {"mixture": {"task_input": has_task_input(distillate), "sources": sources}}
