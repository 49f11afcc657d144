"""Measure one cell, through the functions of the commands. Each measurement is a JSON object, the cell's *record*.

Returns in records are undiscounted and not normalised, because all scores of a dataset share one reference.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from potstill.bundled import list_bundled_names
from potstill.commands.automatic_teacher import find_trained, make_automatic_settings
from potstill.commands.baseline import make_baseline
from potstill.commands.distill import run_distillation
from potstill.commands.evaluate import run_evaluation
from potstill.commands.paper.cells import (
    PAPER_STUDENT,
    BaselineCell,
    Cell,
    CloneCell,
    DistillCell,
    PostureCell,
    StudentsCell,
    TeacherCell,
    TheoryCell,
    TraceCell,
)
from potstill.commands.paper.datasets import Source
from potstill.commands.paper.methods import METHODS, make_distill_config
from potstill.commands.paper.scales import Scale
from potstill.commands.teach import resolve_algorithm, teach_one
from potstill.config import DistillConfig, EvaluateConfig
from potstill.config.settings import record_settings
from potstill.data.scaling import Scaling
from potstill.data.split import select_held_out_rows, select_training_rows
from potstill.data.transitions import Transitions
from potstill.distillate import load
from potstill.distillation.baselines import BASELINES
from potstill.environments.posture import measure_posture
from potstill.environments.references import Reference, find_reference_returns
from potstill.evaluation.scores import TEACHER_SEED, measure_policy_returns, measure_reference, measure_student_returns
from potstill.evaluation.statistics import describe_data, read_reference
from potstill.runtime.files import JsonObject, hash_file
from potstill.runtime.run import Run
from potstill.runtime.run_folder import find_finished, list_places_beside
from potstill.students.cloning import CloningSettings, clone_dataset, find_convergence, trace_student
from potstill.students.ensemble import Students
from potstill.students.recipe import RECIPES
from potstill.students.training import Pairs
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.lookup import find_teacher
from potstill.theory import TheorySettings, measure_theory

CELLS = "cells"  # the folder of the cells' own run folders
CLONING_RECIPE = RECIPES["adam"]  # the paper's network, trained by Adam at 0.001
TRACED_STATES = 1024  # held-out states on which a student's training is followed
POSTURE_ROWS = 2000  # of the dataset
CURVE_KEYS = ("student", "student_std", "ensemble")


@dataclass(eq=False)  # hashed by identity, for the caches
class Workplace:
    """What the measurements of a reproduction share: its folder, datasets, scale and records."""

    path: Path
    """The folder of the reproduction."""
    sources: Mapping[str, Source]
    """By label."""
    scale: Scale
    records: dict[str, JsonObject] = field(default_factory=dict)
    """The records of all measured cells, by name."""

    def place(self, cell: Cell) -> Path:
        """The run folder of a cell."""
        return self.path / CELLS / cell.name

    def list_teacher_places(self) -> list[Path]:
        """Folders in which the teachers of earlier runs and reproductions are searched."""
        places = [self.path / CELLS, *list_places_beside(self.path)]
        return [*places, *(found for place in places for found in sorted(place.glob(f"*/{CELLS}")))]

    @functools.lru_cache(maxsize=1)  # noqa: B019  # cells are ordered by dataset, and a dataset may fill the memory
    def load(self, label: str) -> Transitions:
        """The rows of a dataset."""
        return self.sources[label].load()

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def load_teacher(self, label: str) -> NetworkTeacher:
        """The teacher of a dataset, which must have been measured."""
        source = self.sources[label]
        return find_teacher(self.find_teacher_path(label), source.given, self.load(label))

    def find_teacher_path(self, label: str) -> str | None:
        """The file of a dataset's teacher; ``None``: the bundled one."""
        found: str | None = self.records[TeacherCell(label).name]["teacher"]
        return found


def measure_cell(cell: Cell, at: Workplace) -> JsonObject:
    """Measure a cell. The cells that it needs are measured already.

    Raises:
        PotstillError: the measurement fails, such as by divergence.
    """
    measures: dict[type, Callable[[Any, Workplace], JsonObject]] = {
        TeacherCell: measure_teacher,
        DistillCell: measure_distillation,
        BaselineCell: measure_baseline,
        StudentsCell: measure_students,
        CloneCell: measure_clone,
        TraceCell: measure_trace,
        PostureCell: measure_postures,
        TheoryCell: measure_theorems,
    }
    return measures[type(cell)](cell, at)


def measure_teacher(cell: TeacherCell, at: Workplace) -> JsonObject:
    """Find or train the teacher, and measure its returns once for all tables."""
    source, data = at.sources[cell.dataset], at.load(cell.dataset)
    path = None if source.teacher is None else Path(source.teacher)
    if path is None and source.given not in list_bundled_names():
        settings = make_automatic_settings(DistillConfig(source.given), data, at.place(cell))
        path = find_trained(settings, data, at.list_teacher_places())
        if path is None:
            path = teach_one(settings, resolve_algorithm(settings.algorithm), data).path
    teacher = find_teacher(path, source.given, data)
    episodes = at.scale.teacher_episodes
    reference = find_reference_returns(source.env_id, data.card)
    if not reference.source:
        reference = measure_reference(teacher, source.env_id, episodes)
    return {
        "teacher": None if path is None else str(path),
        "teacher_sha256": teacher.content_hash,
        "algorithm": teacher.metadata.get("algorithm"),
        "returns": measure_policy_returns(teacher.policy, source.env_id, episodes, TEACHER_SEED).tolist(),
        "reference": reference._asdict(),
        "data": describe_data(data, reference),
    }


def measure_distillation(cell: DistillCell, at: Workplace) -> JsonObject:
    """Run ``potstill distill``, or read the run that an interrupted reproduction has finished."""
    source = at.sources[cell.dataset]
    given: JsonObject = {"teacher": at.find_teacher_path(cell.dataset), "size": cell.size, "seed": cell.seed}
    given |= {"episodes": int(cell.has_curve(at.scale)), "out": at.place(cell), "resume": True}
    if not cell.has_curve(at.scale):
        given["curve_points"] = 1
    config = make_distill_config(METHODS[cell.method], at.scale, source.family, source.given, **given)
    done = find_finished(at.place(cell), {"command": "distill", **record_settings(config)})
    result = (run_distillation(config, report=False) if done is None else Run(done)).result.to_dict()
    reference = read_reference(result)
    curve = [
        {"step": point["step"], **{name: to_return(point[name], reference, name) for name in CURVE_KEYS}}
        for point in result["curve"]
        if "student" in point
    ]
    return {
        "curve": curve,
        "steps": result["schedule"]["steps"],
        "seconds": result["seconds"]["distilling"],
        "sha256": result["sha256"],
    }


SCALED = ("steps", "budget")  # fields of baselines that a scale multiplies by its share


def measure_baseline(cell: BaselineCell, at: Workplace) -> JsonObject:
    """Make the pairs of a baseline, as a distillate in the cell's folder."""
    baseline = BASELINES[cell.baseline](recipe=PAPER_STUDENT)
    known = {name: getattr(baseline, name) for name in SCALED if hasattr(baseline, name)}
    shares = {name: max(1, round(at.scale.baseline_share * value)) for name, value in known.items()}
    started = time.perf_counter()
    pairs = make_baseline(
        dataclasses.replace(baseline, **shares),
        at.load(cell.dataset),
        at.load_teacher(cell.dataset),
        size=cell.size,
        seed=cell.seed,
    )
    path = pairs.save(at.place(cell) / "distillate.safetensors")
    seconds = time.perf_counter() - started
    return {"baseline": pairs.metadata["baseline"], "seconds": seconds, "sha256": hash_file(path)}


def to_return(score: float, reference: Reference, name: str = "") -> float:
    """Convert a normalised score to an undiscounted return, or a standard deviation of scores to one of returns.

    >>> to_return(50.0, Reference(100.0, 300.0, "x")), to_return(50.0, Reference(100.0, 300.0, "x"), "student_std")
    (200.0, 100.0)
    """
    scaled = score * (reference.expert - reference.random) / 100.0
    return scaled if name.endswith("_std") else scaled + reference.random


def measure_students(cell: StudentsCell, at: Workplace) -> JsonObject:
    """Run ``potstill evaluate``, or read the run that an interrupted reproduction has finished."""
    config = EvaluateConfig(
        at.place(cell.of),
        students=at.scale.students,
        episodes=at.scale.episodes,
        recipe=cell.recipe,
        seed=cell.of.seed,
        out=at.place(cell),
        resume=True,
    )
    done = find_finished(at.place(cell), {"command": "evaluate", **record_settings(config)})
    result = (run_evaluation(config) if done is None else Run(done)).result.to_dict()
    reference = read_reference(result)
    found = {name: [[to_return(x, reference) for x in row] for row in result[name]["returns"]] for name in SCORED}
    return {"returns": found["student"], "ensemble": found["ensemble"], "seconds": result["seconds"]["training"]}


SCORED = ("student", "ensemble")


def measure_clone(cell: CloneCell, at: Workplace) -> JsonObject:
    """Clone all training rows, and evaluate the student."""
    data, scale = at.load(cell.dataset), at.scale
    pairs, held = (_take_pairs(data, choose(len(data))) for choose in (select_training_rows, select_held_out_rows))
    settings = CloningSettings(updates=scale.clone_updates, every=max(1, scale.clone_updates // 100))
    trace = clone_dataset(pairs, held, CLONING_RECIPE, settings, seed=cell.seed)
    students = Students(trace.params, Scaling(data.normaliser, data.action_bounds))
    returns = measure_student_returns(students, at.sources[cell.dataset].env_id, scale.episodes, cell.seed)
    return {"returns": returns.tolist(), **_describe_trace(trace.losses, trace.seconds)}


def _take_pairs(data: Transitions, rows: np.ndarray) -> Pairs:
    """Rows as standardised states and actions in [−1, 1]."""
    few = data.take(rows)
    states, actions = data.normaliser(few.observations), data.action_bounds.to_unit(few.actions)
    return Pairs(jnp.asarray(states, jnp.float32), jnp.asarray(actions, jnp.float32))


def _describe_trace(losses: list[tuple[int, float]], seconds: float) -> JsonObject:
    step = find_convergence(losses)
    last = losses[-1][0]
    return {"losses": losses, "converged": step, "updates": last, "seconds": seconds, "until": seconds * step / last}


def measure_trace(cell: TraceCell, at: Workplace) -> JsonObject:
    """Follow the training of a student: its distance to the teacher's actions in held-out states."""
    distillate, data = load(at.place(cell.of)), at.load(cell.of.dataset)
    rows = select_held_out_rows(len(data))
    states = data.take(rows[:: max(1, len(rows) // TRACED_STATES)]).observations
    actions = distillate.action_bounds.to_unit(at.load_teacher(cell.of.dataset).policy(states))
    held = Pairs(jnp.asarray(distillate.normaliser(states), jnp.float32), jnp.asarray(actions, jnp.float32))
    trace = trace_student(distillate.pairs, held, distillate.recipe, seed=cell.of.seed)
    return _describe_trace(trace.losses, trace.seconds)


def measure_postures(cell: PostureCell, at: Workplace) -> JsonObject:
    """Measure the postures of the pairs of a distillate, or of rows of the dataset with their own actions."""
    if cell.of is None:
        data = at.load(cell.dataset)
        rows = data.take(np.sort(np.random.default_rng(0).choice(len(data), min(len(data), POSTURE_ROWS), False)))
        states, actions = rows.observations, rows.actions
    else:
        distillate = load(at.place(cell.of))
        states, actions = distillate.states, distillate.actions
    errors = measure_posture(at.sources[cell.dataset].env_id, states, actions)
    return {name: value.round(6).tolist() for name, value in errors._asdict().items()}


def measure_theorems(cell: TheoryCell, at: Workplace) -> JsonObject:
    """Evaluate the theorems on random MDPs at one discount."""
    mdps = at.scale.mdps
    settings = TheorySettings((cell.discount,), mdps=mdps, ranked=max(1, mdps // 5))
    return dataclasses.asdict(measure_theory(settings).discounts[0])
