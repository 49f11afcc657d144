"""Make the pairs of a baseline as a distillate: names become objects."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version

import jax
import numpy as np

from potstill.bundled import list_bundled_names
from potstill.commands.resolve import resolve_recipe
from potstill.data.registry import load_dataset
from potstill.data.scaling import Scaling
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate, split_weights
from potstill.distillation.baselines import BASELINES, Baseline
from potstill.environments.references import find_reference_returns
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath, to_json
from potstill.students.recipe import Recipe, find_recipe_name
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.lookup import find_teacher


@check_arguments
def make_baseline(
    baseline: str | Baseline,
    dataset: StrPath | Transitions,
    teacher: StrPath | NetworkTeacher | None = None,
    *,
    size: int = 256,
    seed: int = 0,
    recipe: str | Recipe | None = None,
) -> Distillate:
    """Make pairs by another method of the field, as a distillate: students, evaluation and exports take it.

    Args:
        baseline: a name among :data:`potstill.distillation.baselines.BASELINES`, or an object.
        dataset: a name, a path or the transitions.
        teacher: a name, a path or a teacher. Default: the one bundled with the dataset, or none.
        size: N.
        seed: determines everything random.
        recipe: the recipe of the students. Default: that of the object, or ``default``.

    Raises:
        PotstillError: a name is unknown, the teacher does not match the data, the baseline lacks a teacher or an
            environment, or there are more pairs than rows.

    Example:
        >>> import potstill
        >>> distillate = potstill.make_baseline("best-episodes", "hopper-medium-replay", size=64)
        >>> distillate.metadata["objective"], len(distillate.train_students([0], potstill.Recipe(steps=2)))
        ('best-episodes', 1)
    """
    if not 0 <= seed < 1 << 32:
        raise PotstillError(f"seed {seed}: expected a number from 0 to {(1 << 32) - 1}")
    chosen = BASELINES[baseline]() if isinstance(baseline, str) else baseline
    if recipe is not None:
        chosen = dataclasses.replace(chosen, recipe=resolve_recipe(recipe))
    data = dataset if isinstance(dataset, Transitions) else load_dataset(dataset)
    known = teacher is not None or (not isinstance(dataset, Transitions) and str(dataset) in list_bundled_names())
    found = find_teacher(teacher, dataset, data) if known else None
    pairs = chosen.make_pairs(data, found, size, jax.random.key(np.uint32(seed)))
    weights, student = split_weights(
        None if pairs.weights is None else np.asarray(pairs.weights),
        chosen.recipe.fit_to_actions(discrete=data.action_bounds.discrete),
    )
    normaliser = data.normaliser if found is None else found.normaliser
    return Distillate(
        normaliser.invert(np.asarray(pairs.states)).astype(np.float32),
        data.action_bounds.from_unit(np.asarray(pairs.actions)).astype(np.float32),
        Scaling(normaliser, data.action_bounds),
        describe_baseline(chosen, data, found, student, seed),
        weights,
    )


def find_baseline_name(baseline: Baseline) -> str:
    """Find the registered name of a baseline, or the name of its class."""
    kind = type(baseline)
    return next((name for name in BASELINES if BASELINES[name] is kind), kind.__name__)


def describe_baseline(
    baseline: Baseline, data: Transitions, teacher: NetworkTeacher | None, student: Recipe, seed: int
) -> JsonObject:
    """Make the metadata of a baseline's pairs."""
    fields = {name: value for name, value in dataclasses.asdict(baseline).items() if name != "recipe"}
    name = find_baseline_name(baseline)
    return {
        "env_id": data.env_id,
        "reference": find_reference_returns(data.env_id, data.card)._asdict(),
        "dataset": {"name": data.name, "sha256": data.content_hash, "rows": len(data)},
        "teacher": None if teacher is None else {"sha256": teacher.content_hash, **teacher.metadata},
        "objective": name,
        "solver": "none",
        "weighting": "uniform",
        "recipe": find_recipe_name(student),
        "student": student.to_metadata(),
        "baseline": {"name": name, "plays": baseline.plays, "seed": seed, **to_json(fields)},
        "command": f"potstill.make_baseline({name!r}, {data.name!r}, seed={seed})",
        "potstill": version("potstill"),
    }
