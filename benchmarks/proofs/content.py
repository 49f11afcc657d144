"""Mutations of what artefacts contain: arrays, their shapes and metadata change, and the checksum is right again.

Random changes of bytes are refused by the checksum. These files are those that a stranger could have written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import potstill
from benchmarks import toy
from benchmarks.proofs.damaged import Kind, write_policy, write_teacher
from potstill.data.registry import load_dataset
from potstill.reports.artefacts import describe_artefact
from potstill.reports.page import make_artefact_page
from potstill.reports.summary import flatten_facts
from potstill.runtime import storage
from potstill.worlds import WorldSettings, load_world, train_world

Arrays = dict[str, np.ndarray]
VALUES = np.array([0.0, -1.0, 1.0, 2.0, 0.5, -0.0, 1e30, 3e38, 1e-45])
KINDS_OF_NUMBERS = ("f2", "f8", "i1", "i8", "u1", "?")
JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**70, 0.5, 1e308, "", "x" * 300, "../x", "\x1b[31m", "a\nb\0"),
    *([], {}, [[]], [1, 2], ["a"], {"a": {}}, {"": None}),
)


def choose(items: Sequence[Any] | np.ndarray, rng: np.random.Generator) -> Any:
    """Choose one of several items."""
    return items[int(rng.integers(len(items)))]


def mutate_arrays(arrays: Arrays, rng: np.random.Generator) -> None:
    """Change one array: its name, its shape, its type or its values; or remove it."""
    name = choose(sorted(arrays), rng)
    array = arrays[name]
    flat = np.asarray(array).reshape(-1)
    change = int(rng.integers(12))  # in half of the cases only values
    if change == 0:
        del arrays[name]
    elif change == 1:
        arrays[choose([*sorted(arrays), "x", ""], rng)] = arrays.pop(name)
    elif change == 2:
        arrays[name] = choose([flat, array.T, array[None], array[..., None], flat[:0], np.array(0.0)], rng)
    elif change == 3 and array.ndim:
        arrays[name] = np.repeat(array, 2, axis=int(rng.integers(array.ndim)))
    elif change == 4 and array.ndim:
        arrays[name] = np.delete(array, -1, axis=int(rng.integers(array.ndim))) if array.size else array
    elif change == 5:
        arrays[name] = array.astype(choose(KINDS_OF_NUMBERS, rng))
    elif change < 8:
        arrays[name] = np.full(array.shape, choose(VALUES, rng)).astype(array.dtype)
    elif flat.size:
        flat = flat.copy()
        flat[rng.integers(flat.size)] = choose(VALUES, rng).astype(array.dtype)
        arrays[name] = flat.reshape(array.shape)


def mutate_json(value: Any, rng: np.random.Generator) -> Any:
    """Change one place in a JSON value: replace, remove, add or rename."""
    if not isinstance(value, dict | list) or not value or rng.integers(4) == 0:
        return choose(JSON_VALUES, rng)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, change = choose(keys, rng), int(rng.integers(6))
    changed = value.copy()
    if change == 0:
        del changed[key]
    elif change == 1 and isinstance(changed, dict):
        changed[choose([*keys, "x"], rng)] = changed.pop(key)
    elif change == 1 and isinstance(changed, list):
        changed.append(changed[key])
    else:
        changed[key] = mutate_json(value[key], rng)
    return changed


def mutate_artefact(content: bytes, corpus: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Apply one to three changes to the arrays and the metadata of an artefact."""
    from safetensors.numpy import load, save

    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["potstill"])
    arrays = load(content)
    for _ in range(int(rng.integers(1, 4))):
        if arrays and not rng.integers(3):
            with np.errstate(all="ignore"):
                mutate_arrays(arrays, rng)
        else:
            header["metadata"] = mutate_json(header["metadata"], rng)
            header["metadata"] = header["metadata"] if isinstance(header["metadata"], dict) else {}
    if "sha256" in header:
        header["sha256"] = storage.hash_content(arrays, header["metadata"])
    contiguous = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    return save(contiguous, {"potstill": json.dumps(header)})


def describe(path: Path) -> str:
    """Make the page of ``potstill inspect``."""
    facts = describe_artefact(path)
    return make_artefact_page(path.name, facts["kind"], flatten_facts(facts))


def use_teacher(path: Path) -> object:
    """Load a teacher and act; the networks must fit together."""
    teacher = potstill.load_teacher(path)
    states = np.zeros((2, len(teacher.normaliser.mean)), np.float32)
    actions = np.zeros((2, teacher.action_size), np.float32)
    assert len(teacher.policy(states)) == 2
    assert teacher.action_values(states, actions).shape[1:] == (2,)  # type: ignore[arg-type]
    return describe(path), repr(teacher)


def use_policy(path: Path) -> object:
    """Load a policy and act."""
    policy = potstill.load_policy(path)
    assert len(policy(np.zeros((2, len(policy.normaliser.mean)), np.float32))) == 2
    return describe(path), repr(policy)


def use_distillate(path: Path) -> object:
    """Load a distillate, and read all that is needed to train students and to export it."""
    distillate = potstill.load(path)
    assert len(distillate.pairs.states) == len(distillate)
    potstill.export(distillate, path.with_name("x.npz"), force=True)
    return describe(path), repr(distillate), distillate._repr_html_(), distillate.recipe


def use_world(path: Path) -> object:
    """Load a world model."""
    return load_world(path), describe(path)


def write_distillate(folder: Path) -> Path:
    """Write a small distillate, outside a run folder."""
    whole = potstill.load("hopper-medium-replay")
    few = {"states": whole.states[:4], "actions": whole.actions[:4]}
    return potstill.Distillate(**few, scaling=whole.scaling, metadata=whole.metadata).save(folder / "x.safetensors")


def write_world(folder: Path) -> Path:
    """Write a small world model."""
    data = load_dataset(toy.ensure_files(folder)["dataset"])
    return train_world(data, WorldSettings(members=2, width=4, steps=2, batch=8)).save(folder / "world.safetensors")


CONTENT: Mapping[str, Kind] = {
    f"content of a {name}": Kind(write, use, mutate=mutate_artefact)
    for name, write, use in (
        ("teacher", write_teacher, use_teacher),
        ("policy", write_policy, use_policy),
        ("distillate", write_distillate, use_distillate),
        ("world", write_world, use_world),
    )
}
