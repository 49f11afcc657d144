"""What distillates of three datasets reveal about episodes: ``potstill distill``, then ``potstill audit``.

Shadows share the committed teacher of each dataset. The method ``random`` audits random real pairs, which are rows of
the data: its advantage shows that the attack finds what there is to find.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import potstill
from benchmarks.experiments.distilling import TOY
from benchmarks.experiments.parts import distill_options
from benchmarks.files import BUNDLED, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record

FILES = (BUNDLED, "walker2d-medium", "halfcheetah-medium-expert")
PLAN: dict[str, Any] = {"shadows": 16, "steps": 40, "episodes": 256, "canaries": 16}
METHODS = {"default": {}, "random": {"objective": "random"}}
UNPLAYED: dict[str, Any] = {"students": 1, "episodes": 0, "curve_points": 1}
CELLS = (*(Cell("default", file) for file in FILES), Cell("random", BUNDLED))


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil without episodes, and audit the pairs."""
    options = METHODS[cell.method] | UNPLAYED
    options = distill_options({**options, **TOY}, toy=True) | UNPLAYED if workspace.toy else distill_options(options)
    data, teacher = workspace.find_dataset(cell.file), workspace.find_teacher(cell.file)
    data = cut_episodes(data, workspace) if workspace.toy else data
    out = workspace.find_folder(cell.file, cell.method)
    run = potstill.distill(data, teacher=teacher, out=out, force=True, **options)
    plan = PLAN | {"shadows": 4, "steps": 1, "episodes": 8, "canaries": 4} if workspace.toy else PLAN
    found = potstill.audit(run, out=workspace.find_folder(cell.file, cell.method, "audit"), force=True, **plan).result
    record: Record = {name: found[name] for name in ("pairs", "episodes", "attacked", "steps")}
    for kind in ("membership", "canaries"):
        record[kind] = {name: shorten_attack(entry) for name, entry in found.to_dict()[kind].items()}
    kept = ("pairs_median", "rows_median", "copies", "closest", "near", "share", "interval")
    return record | {"distances": {name: found.to_dict()["distances"][name] for name in kept}}


def cut_episodes(dataset: Any, workspace: Workspace) -> Path:
    """Write a copy with an end in every twentieth row: a toy has fewer episodes than an audit needs."""
    data, path = potstill.load_dataset(dataset), workspace.find_folder("cut.npz")
    ends = (np.arange(len(data)) % 20 == 19) | data.episode_ends
    names = ("observations", "actions", "rewards", "next_observations")
    columns: dict[str, Any] = {name: column for name, column in data.to_columns().items() if name in names}
    columns |= {"action_low": data.action_bounds.low, "action_high": data.action_bounds.high}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **columns, terminals=np.zeros_like(ends), timeouts=ends)
    return path


def shorten_attack(entry: dict[str, Any]) -> dict[str, Any]:
    """Drop the curve."""
    return {name: value for name, value in entry.items() if name != "curve"}


def describe_inputs(cell: Cell) -> Record:
    """Return the teacher, and the options of the method and of the audit."""
    return {"teacher": find_teacher_hash(cell.file), "options": METHODS[cell.method], **PLAN}


EXPERIMENT = Experiment(
    "privacy",
    "membership inference, canaries and distances to real rows, for three datasets",
    CELLS,
    describe_inputs,
    measure,
    frozenset(("membership", "canaries", "distances")),
)
