"""Teachers: their interface, the offline-RL algorithms that train them, and offline evaluation.

Names are imported on first use, so importing this package does not import JAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily
from potstill.teachers.registry import ALGORITHMS
from potstill.teachers.settings import Training, UpdateSettings

if TYPE_CHECKING:
    from potstill.teachers.algorithms.base import Algorithm, TeacherParts
    from potstill.teachers.algorithms.bc import Bc
    from potstill.teachers.algorithms.cal_ql import CalQl
    from potstill.teachers.algorithms.edac import Edac
    from potstill.teachers.algorithms.iql import Iql
    from potstill.teachers.algorithms.rebrac import Rebrac
    from potstill.teachers.base import NetworkTeacher, Teacher, load_teacher
    from potstill.teachers.evaluation.diagnostics import OfflineScores
    from potstill.teachers.evaluation.fqe import Evaluator
    from potstill.teachers.importers import import_teacher
    from potstill.teachers.lookup import find_teacher
    from potstill.teachers.rows import TrainingRows, TrainingTable
    from potstill.teachers.training import Learner, train_teacher

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Bc",
    "CalQl",
    "Edac",
    "Evaluator",
    "Iql",
    "Learner",
    "NetworkTeacher",
    "OfflineScores",
    "Rebrac",
    "Teacher",
    "TeacherParts",
    "Training",
    "TrainingRows",
    "TrainingTable",
    "UpdateSettings",
    "find_teacher",
    "import_teacher",
    "load_teacher",
    "train_teacher",
]

__getattr__ = import_lazily(
    __name__,
    {
        "Algorithm": "algorithms.base",
        "Bc": "algorithms.bc",
        "CalQl": "algorithms.cal_ql",
        "Edac": "algorithms.edac",
        "Evaluator": "evaluation.fqe",
        "Iql": "algorithms.iql",
        "Learner": "training",
        "NetworkTeacher": "base",
        "OfflineScores": "evaluation.diagnostics",
        "Rebrac": "algorithms.rebrac",
        "TrainingRows": "rows",
        "TrainingTable": "rows",
        "Teacher": "base",
        "TeacherParts": "algorithms.base",
        "find_teacher": "lookup",
        "import_teacher": "importers",
        "load_teacher": "base",
        "train_teacher": "training",
    },
)
