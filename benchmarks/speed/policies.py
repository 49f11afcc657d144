"""Exported policies: the largest difference to the student, and the time of one call on one core.

The students are those of the bundled distillate with seed 0: the default student (16 towers of 128 units), and one of
the recipe ``plain`` (one network of 256 units). The unit of work is one action for one observation of the bundled
dataset. The C function is called in a loop in C, for all observations; all others are called from Python, one
observation at a time, for some of them.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import potstill
from benchmarks.files import BUNDLED_NAME, Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare
from potstill.bundled import BUNDLED
from potstill.runtime.files import hash_file

ROWS, CALLS, TOY_CALLS, SEED = 10_000, 200, 10, 0
FLAGS = ("-std=c99", "-O3", "-march=native")
SUFFIXES = {"C": ".h", "NumPy": ".py", "ONNX Runtime": ".onnx", "PyTorch": ".safetensors"}
NEEDS = {"ONNX Runtime": ("onnx", "onnxruntime"), "PyTorch": ("torch",)}
RECIPES = {"default": None, "plain": "plain"}
TOY_RECIPE = potstill.Recipe(steps=1, width=8, towers=2)
RUN = """\
#include "policy.h"
void run(const float *observations, float *actions, int rows)
{
    int i;
    for (i = 0; i < rows; i++)
        policy_act(observations + i * POLICY_OBSERVATIONS, actions + i * POLICY_ACTIONS);
}
"""

Act = Callable[[np.ndarray], np.ndarray]


@functools.cache
def train_student(method: str, toy: bool) -> potstill.Policy:
    """The student of a cell."""
    distillate, name = potstill.load(BUNDLED_NAME), RECIPES[method]
    recipe = distillate.recipe if name is None else potstill.RECIPES[name]
    return distillate.train_student(SEED, TOY_RECIPE if toy else recipe)


@functools.cache
def read_observations() -> np.ndarray:
    """Evenly spaced rows of the bundled dataset."""
    rows = potstill.load_dataset(BUNDLED_NAME).observations
    return np.ascontiguousarray(rows[np.linspace(0, len(rows) - 1, ROWS, dtype=int)], np.float32)


def compile_header(path: Path, policy: potstill.Policy) -> Act:
    """A function of all observations at once, which calls the C function for each."""
    source, library = path.with_suffix(".c"), path.with_suffix(".so")
    source.write_text(RUN)
    subprocess.run(["cc", *FLAGS, "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    run, size = ctypes.CDLL(str(library)).run, len(policy.action_bounds)

    def act(observations: np.ndarray) -> np.ndarray:
        actions = np.empty((len(observations), size), np.float32)
        pointers = (array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for array in (observations, actions))
        run(*pointers, len(observations))
        return actions

    return act


def import_module(path: Path, policy: potstill.Policy) -> Act:
    """The function of the Python module."""
    spec = importlib.util.spec_from_file_location("exported_policy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    act: Act = module.act
    return act


def start_onnx(path: Path, policy: potstill.Policy) -> Act:
    """A session of ONNX Runtime on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def act(observations: np.ndarray) -> np.ndarray:
        actions: np.ndarray = session.run(["action"], {"observation": observations})[0]
        return actions

    return act


def build_torch(path: Path, policy: potstill.Policy) -> Act:
    """An ``nn.Sequential`` with the exported weights, and the scaling to the bounds."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    weights, layers = load_file(path), []
    for i in range(0, len(weights), 2):
        outputs, inputs = weights[f"{i}.weight"].shape
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1], torch.nn.Tanh())
    network.load_state_dict(weights)

    def act(observations: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return policy.action_bounds.from_unit(network(torch.from_numpy(observations)).numpy())

    return act


RUNNERS: dict[str, Callable[[Path, potstill.Policy], Act]] = {
    "C": compile_header,
    "NumPy": import_module,
    "ONNX Runtime": start_onnx,
    "PyTorch": build_torch,
}


def list_formats(workspace: Workspace) -> list[str]:
    """The formats that this machine can run; at toy size only those without a library."""
    found = [name for name in RUNNERS if name not in NEEDS or (not workspace.toy and all(map(find_spec, NEEDS[name])))]
    return [name for name in found if name != "C" or shutil.which("cc")]


def load_format(name: str, cell: Cell, workspace: Workspace) -> Act:
    """Export the student of a cell, and load the file."""
    student = train_student(cell.method, workspace.toy)
    path = workspace.find_folder("policies", cell.method) / f"policy{SUFFIXES[name]}"
    return RUNNERS[name](potstill.export_policy(student, path, force=True), student)


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """The policy in potstill itself, and each format."""

    def prepare(act: Act, together: bool) -> Call:
        count = TOY_CALLS if workspace.toy else ROWS if together else CALLS
        observations = read_observations()[:count]

        def call() -> float:
            for part in [observations] if together else np.split(observations, count):
                act(part)
            return float(count)

        return call

    found: dict[str, Prepare] = {"potstill": lambda: prepare(train_student(cell.method, workspace.toy), False)}
    for name in list_formats(workspace):
        found[name] = lambda name=name: prepare(load_format(name, cell, workspace), name == "C")  # type: ignore[misc]
    return found


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Compare the actions, and time the calls."""
    observations = read_observations()[: TOY_CALLS if workspace.toy else None]
    expected = train_student(cell.method, workspace.toy)(observations)
    differences: dict[str, Any] = {}
    for name in list_formats(workspace):
        found = load_format(name, cell, workspace)(observations)
        differences[name] = float(np.abs(found - expected).max())
    return {"differences": differences, "states": len(observations), **COMPARISON.measure(cell, workspace)}


def describe_inputs(cell: Cell) -> Record:
    """The distillate, the student and the counts."""
    digest = hash_file(BUNDLED / f"{BUNDLED_NAME}.distillate.safetensors")
    recipe = RECIPES[cell.method] or "of the distillate"
    return {"distillate": digest, "recipe": recipe, "rows": ROWS, "calls": CALLS, "seed": SEED, "flags": FLAGS}


COMPARISON = Comparison(
    __name__, list_programs, rounds=9, baseline="potstill", packages=("numpy", "onnx", "onnxruntime", "torch")
)
EXPERIMENT = Experiment(
    "policies",
    "exported policies: difference to the student, and time of a call",
    tuple(Cell(name) for name in RECIPES),
    describe_inputs,
    measure,
    frozenset({"differences", "programs"}),
    packages=("onnx", "onnxruntime", "torch", "a C compiler"),
)
