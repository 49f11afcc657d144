"""Several tasks: mixtures of distillates, and rehearsal of earlier tasks in continual learning.

:func:`merge_distillates` makes one distillate of several, with or without the task as an input of the students.
:func:`select_task` shows a mixture as one of its tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.tasks.mixture import TaskView, merge_distillates, select_task

__all__ = ["TaskView", "merge_distillates", "select_task"]

__getattr__ = import_lazily(__name__, dict.fromkeys(__all__, "mixture"))
