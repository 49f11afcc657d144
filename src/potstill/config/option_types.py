"""The Python types of options that are names or paths on the command line.

Type checkers and signatures use this module. The command line uses :mod:`potstill.config.cli_types`, which does not
import JAX. On the command line, a part with fields is a :class:`~potstill.config.parts.NamedPart`; in Python, it is an
object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from potstill.data.formats.arrays import ReplayBuffer
from potstill.data.formats.frames import DataFrame
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate
from potstill.distillation.objectives.base import ObjectiveFunction
from potstill.distillation.solvers.base import Solver
from potstill.environments.observations.encoders import EncoderLike
from potstill.runtime.files import StrPath
from potstill.students.recipe import Recipe
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.base import NetworkTeacher

PathOption: TypeAlias = StrPath
DistillateOption: TypeAlias = StrPath | Distillate
Dataset: TypeAlias = StrPath | Mapping[str, object] | Transitions | DataFrame | ReplayBuffer
TeacherSource: TypeAlias = StrPath | NetworkTeacher
ObjectiveOption: TypeAlias = str | ObjectiveFunction
SolverOption: TypeAlias = str | Solver
RecipeOption: TypeAlias = str | Recipe
AlgorithmOption: TypeAlias = str | Algorithm[Any]
EncoderOption: TypeAlias = str | EncoderLike
ColumnsOption: TypeAlias = str | Mapping[str, str | Sequence[str]]
