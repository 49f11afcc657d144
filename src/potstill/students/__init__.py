"""Students: recipes, training by behavioural cloning, and ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily
from potstill.students.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from potstill.students.ensemble import Students, train_students
    from potstill.students.training import Pairs

__all__ = ["RECIPES", "Pairs", "Recipe", "Students", "train_students"]

__getattr__ = import_lazily(__name__, {"Students": "ensemble", "train_students": "ensemble", "Pairs": "training"})
