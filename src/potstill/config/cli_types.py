"""The types of options on the command line, for those that may also be objects in Python."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

PathOption: TypeAlias = Path | str
Dataset: TypeAlias = PathOption
TeacherSource: TypeAlias = PathOption
ObjectiveOption: TypeAlias = str
SolverOption: TypeAlias = str
RecipeOption: TypeAlias = str
AlgorithmOption: TypeAlias = str
