"""Convert the plain values in declarations of experiments to potstill's objects; fit the pessimistic value estimate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import potstill
from potstill.config import TeachConfig
from potstill.config.settings import command_line
from potstill.distillation import SOLVERS
from potstill.teachers import ALGORITHMS, Teacher, Training
from potstill.teachers.evaluation.selection import estimate_pessimistic_value
from potstill.teachers.rows import load_with_returns

Options = dict[str, Any]
TOY_RECIPE = potstill.Recipe(steps=3, width=8, momentum=0.9)


def distill_options(declared: Mapping[str, Any], toy: bool = False) -> Options:
    """Options of ``potstill.distill``: ``student`` changes fields of the recipe, ``solver_fields`` those of the solver.

    Experiments were made on the states of the dataset, except those that declare other states (``None``: the default).

    >>> distill_options({"recipe": "plain", "student": {"width": 512}, "steps": 150})["recipe"].width
    512
    """
    options = {"states": "data", **declared}
    student, fields = options.pop("student", {}), options.pop("solver_fields", {})
    if toy:
        options["recipe"] = TOY_RECIPE
    elif student:
        options["recipe"] = dataclasses.replace(potstill.RECIPES[options["recipe"]], **student)
    if fields:  # a solver given as an object has its own recipe
        recipe = options.pop("recipe", "default")
        recipe = potstill.RECIPES[recipe] if isinstance(recipe, str) else recipe
        options["solver"] = SOLVERS[options.get("solver", "kernel")](recipe, **fields)
    return options


def teach_options(declared: Mapping[str, Any]) -> Options:
    """Options of ``potstill.teach``: ``algorithm_fields`` changes fields of the algorithm."""
    options = dict(declared)
    if fields := options.pop("algorithm_fields", {}):
        options["algorithm"] = ALGORITHMS[options["algorithm"]](**fields)
    return options


def fit_pessimistic_value(teacher: Teacher, data: potstill.Transitions, seed: int) -> float:
    """A teacher's pessimistic value estimate by a new critic, with the default training settings."""
    training = Training(seed=seed)
    return float(estimate_pessimistic_value(teacher, load_with_returns(data, training.discount), data, training))


def teach_command(dataset: Path | str, options: Mapping[str, Any]) -> str:
    """The command that is equivalent to ``potstill.teach(dataset, **options)``."""
    return command_line("teach", TeachConfig(dataset, **options))
