"""The Python types of options that are names or paths on the command line.

Type checkers and signatures use this module. The command line uses :mod:`potstill.config.cli_types`, without JAX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from potstill.config.parts import NamedPart
from potstill.data.transitions import Transitions
from potstill.distillation.objectives.base import ObjectiveFunction
from potstill.distillation.solvers.base import Solver
from potstill.runtime.files import StrPath
from potstill.students.recipe import Recipe
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.base import NetworkTeacher

PathOption: TypeAlias = StrPath
Dataset: TypeAlias = StrPath | Mapping[str, object] | Transitions
TeacherSource: TypeAlias = StrPath | NetworkTeacher
ObjectiveOption: TypeAlias = str | NamedPart | ObjectiveFunction
SolverOption: TypeAlias = str | NamedPart | Solver
RecipeOption: TypeAlias = str | NamedPart | Recipe
AlgorithmOption: TypeAlias = str | NamedPart | Algorithm
ColumnsOption: TypeAlias = str | Mapping[str, str | Sequence[str]]
