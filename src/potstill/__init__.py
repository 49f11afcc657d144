"""potstill: offline behaviour distillation.

It distils a dataset of transitions and a teacher into a few hundred (state, action) pairs. A newly initialised policy
trains on these pairs in seconds. Public names are imported on first use, so ``import potstill`` is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.commands.audit import audit
    from potstill.commands.baseline import make_baseline
    from potstill.commands.collect import collect
    from potstill.commands.convert import convert
    from potstill.commands.distill import distill
    from potstill.commands.evaluate import evaluate
    from potstill.commands.explain import explain
    from potstill.commands.export import export
    from potstill.commands.export_policy import export_policy
    from potstill.commands.finetune import finetune
    from potstill.commands.inspect import inspect
    from potstill.commands.merge import merge
    from potstill.commands.model import model
    from potstill.commands.push import push
    from potstill.commands.report import report
    from potstill.commands.reproduce import reproduce
    from potstill.commands.teach import teach
    from potstill.data.bounds import ActionBounds, DiscreteActions
    from potstill.data.registry import load_dataset
    from potstill.data.scaling import Scaling
    from potstill.data.transitions import Normaliser, Transitions
    from potstill.distillate import Distillate, load
    from potstill.errors import PotstillError, PotstillWarning
    from potstill.networks.policy import Policy, load_policy
    from potstill.runtime.run import Run
    from potstill.runtime.version import __version__
    from potstill.students.ensemble import Students
    from potstill.students.recipe import RECIPES, Recipe
    from potstill.teachers.base import NetworkTeacher, Teacher, load_teacher
    from potstill.teachers.importers import import_teacher

__all__ = [
    "RECIPES",
    "ActionBounds",
    "DiscreteActions",
    "Distillate",
    "NetworkTeacher",
    "Normaliser",
    "Policy",
    "PotstillError",
    "PotstillWarning",
    "Recipe",
    "Run",
    "Scaling",
    "Students",
    "Teacher",
    "Transitions",
    "__version__",
    "audit",
    "collect",
    "convert",
    "distill",
    "evaluate",
    "explain",
    "export",
    "export_policy",
    "finetune",
    "import_teacher",
    "inspect",
    "load",
    "load_dataset",
    "load_policy",
    "load_teacher",
    "make_baseline",
    "merge",
    "model",
    "push",
    "report",
    "reproduce",
    "teach",
]

__getattr__ = import_lazily(
    __name__,
    {
        **{
            name: f"commands.{name}"
            for name in ("audit", "collect", "convert", "distill", "evaluate", "explain", "inspect", "merge")
        },
        **{name: f"commands.{name}" for name in ("export", "export_policy", "finetune", "model", "push")},
        **{name: f"commands.{name}" for name in ("report", "reproduce", "teach")},
        "ActionBounds": "data.bounds",
        "DiscreteActions": "data.bounds",
        "Distillate": "distillate",
        "NetworkTeacher": "teachers.base",
        "Normaliser": "data.transitions",
        "Policy": "networks.policy",
        "PotstillError": "errors",
        "PotstillWarning": "errors",
        "RECIPES": "students.recipe",
        "Recipe": "students.recipe",
        "Run": "runtime.run",
        "Scaling": "data.scaling",
        "Students": "students.ensemble",
        "Teacher": "teachers.base",
        "Transitions": "data.transitions",
        "__version__": "runtime.version",
        "import_teacher": "teachers.importers",
        "load": "distillate",
        "load_dataset": "data.registry",
        "load_policy": "networks.policy",
        "load_teacher": "teachers.base",
        "make_baseline": "commands.baseline",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
