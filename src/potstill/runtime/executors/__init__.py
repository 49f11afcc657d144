"""Executors run the cells of a grid: in this process, in several processes, on a Ray cluster, or under Slurm.

To add an executor, write a subclass of :class:`~potstill.runtime.executors.base.Executor` in a module and add one line
to :data:`EXECUTORS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.runtime.executors.base import Executor

EXECUTORS: Registry[type[Executor]] = Registry(
    "executor",
    "potstill.executors",
    {
        "serial": "potstill.runtime.executors.base:SerialExecutor",
        "pool": "potstill.runtime.executors.pool:PoolExecutor",
        "ray": "potstill.runtime.executors.ray_cluster:RayExecutor",
        "slurm": "potstill.runtime.executors.slurm:SlurmExecutor",
    },
)
"""Executor classes by name; other packages add theirs under the entry-point group ``potstill.executors``."""
