"""The command-line types of options that may also be objects in Python."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

PathOption: TypeAlias = Path | str
DistillateOption: TypeAlias = PathOption
Dataset: TypeAlias = PathOption
TeacherSource: TypeAlias = PathOption
ObjectiveOption: TypeAlias = str
SolverOption: TypeAlias = str
RecipeOption: TypeAlias = str
AlgorithmOption: TypeAlias = str
EncoderOption: TypeAlias = str
ColumnsOption: TypeAlias = str
