"""The algorithms by name. Listing them imports no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from potstill.errors import unknown
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.teachers.algorithms.base import Algorithm

ALGORITHMS: Registry[type[Algorithm]] = Registry(
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


def make_algorithm(name: str, settings: Mapping[str, object] | None = None) -> Algorithm:
    """The algorithm called ``name``, with some of its settings changed.

    Raises:
        PotstillError: an unknown algorithm or setting, or a value that the setting refuses.

    Example:
        >>> make_algorithm("cal-ql", {"alpha": 5.0}).alpha
        5.0
    """
    kind = ALGORITHMS[name]
    known = kind.__dataclass_fields__
    for setting in settings or {}:
        if setting not in known:
            raise unknown(f"setting of {name}", setting, known)
    return kind(**(settings or {}))
