"""The algorithms by name. Listing them does not import JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.teachers.algorithms.base import Algorithm

ALGORITHMS: Registry[type[Algorithm[Any]]] = Registry(
    "algorithm",
    "potstill.teachers",
    {
        "bc": "potstill.teachers.algorithms.bc:Bc",
        "rebrac": "potstill.teachers.algorithms.rebrac:Rebrac",
        "iql": "potstill.teachers.algorithms.iql:Iql",
        "cal-ql": "potstill.teachers.algorithms.cal_ql:CalQl",
        "edac": "potstill.teachers.algorithms.edac:Edac",
    },
)
"""Classes by name. Those of other packages are registered under the entry point ``potstill.teachers``."""
