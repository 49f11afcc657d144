"""potstill: offline behaviour distillation.

From a dataset of transitions and a teacher to a few hundred (state, action) pairs, from which a fresh
policy trains in a second. Public names load on first use, so that importing potstill costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.commands.collect import collect as collect
    from potstill.commands.convert import convert as convert
    from potstill.commands.distill import distill as distill
    from potstill.commands.evaluate import evaluate as evaluate
    from potstill.commands.inspect import inspect as inspect
    from potstill.commands.report import report as report
    from potstill.commands.reproduce import reproduce as reproduce
    from potstill.commands.teach import teach as teach
    from potstill.data.registry import load_dataset as load_dataset
    from potstill.data.transitions import Normaliser as Normaliser
    from potstill.data.transitions import Transitions as Transitions
    from potstill.distillate import Distillate as Distillate
    from potstill.distillate import load as load
    from potstill.errors import PotstillError as PotstillError
    from potstill.errors import PotstillWarning as PotstillWarning
    from potstill.exports import export as export
    from potstill.networks.policy import Policy as Policy
    from potstill.networks.policy import load_policy as load_policy
    from potstill.students.recipe import RECIPES as RECIPES
    from potstill.students.recipe import Recipe as Recipe
    from potstill.teachers.base import NetworkTeacher as NetworkTeacher
    from potstill.teachers.base import Teacher as Teacher
    from potstill.teachers.base import load_teacher as load_teacher
    from potstill.teachers.importers import import_teacher as import_teacher

_HOMES = {
    "collect": "commands.collect",
    "convert": "commands.convert",
    "teach": "commands.teach",
    "distill": "commands.distill",
    "evaluate": "commands.evaluate",
    "inspect": "commands.inspect",
    "reproduce": "commands.reproduce",
    "report": "commands.report",
    "export": "exports",
    "import_teacher": "teachers.importers",
    "load": "distillate",
    "load_dataset": "data.registry",
    "load_policy": "networks.policy",
    "load_teacher": "teachers.base",
    "Distillate": "distillate",
    "NetworkTeacher": "teachers.base",
    "Normaliser": "data.transitions",
    "Policy": "networks.policy",
    "PotstillError": "errors",
    "PotstillWarning": "errors",
    "RECIPES": "students.recipe",
    "Recipe": "students.recipe",
    "Teacher": "teachers.base",
    "Transitions": "data.transitions",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'potstill' has no attribute '{name}'")
    return getattr(import_module(f"potstill.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
