"""Several tasks: mixtures of distillates, and rehearsal of earlier tasks in continual learning.

:func:`merge_distillates` makes one distillate of several, with or without the task as an input of the students.
:func:`select_task` shows a mixture as one of its tasks. :func:`learn_in_turn` lets a network learn tasks one after the
other with a memory of earlier ones, and :func:`compute_forgetting` measures what it has forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.tasks.mixture import TaskView, merge_distillates, select_task
    from potstill.tasks.rehearsal import append_task, compute_forgetting, learn_in_turn

__all__ = ["TaskView", "append_task", "compute_forgetting", "learn_in_turn", "merge_distillates", "select_task"]

__getattr__ = import_lazily(
    __name__,
    {
        **dict.fromkeys(("TaskView", "merge_distillates", "select_task"), "mixture"),
        **dict.fromkeys(("append_task", "compute_forgetting", "learn_in_turn"), "rehearsal"),
    },
)
