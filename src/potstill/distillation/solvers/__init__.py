"""Solvers of the inner problem: from pairs to the actions of a student trained on them.

To add a solver, write a subclass of :class:`Solver` in a module and add one line to :data:`SOLVERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.distillation.solvers.base import Solver
    from potstill.distillation.solvers.drawn import DrawnKernelDescent
    from potstill.distillation.solvers.empirical import EmpiricalKernelDescent
    from potstill.distillation.solvers.interpolation import KernelInterpolation
    from potstill.distillation.solvers.kernel_descent import KernelDescent
    from potstill.distillation.solvers.portfolio import Portfolio
    from potstill.distillation.solvers.ridge import FeatureRidge, KernelRidge
    from potstill.distillation.solvers.unroll import Sweep, Unroll

SOLVERS: Registry[type[Solver]] = Registry(
    "solver",
    "potstill.solvers",
    {
        "kernel": "potstill.distillation.solvers.kernel_descent:KernelDescent",
        "drawn": "potstill.distillation.solvers.drawn:DrawnKernelDescent",
        "interpolation": "potstill.distillation.solvers.interpolation:KernelInterpolation",
        "portfolio": "potstill.distillation.solvers.portfolio:Portfolio",
        "empirical": "potstill.distillation.solvers.empirical:EmpiricalKernelDescent",
        "ridge": "potstill.distillation.solvers.ridge:KernelRidge",
        "features": "potstill.distillation.solvers.ridge:FeatureRidge",
        "unroll": "potstill.distillation.solvers.unroll:Unroll",
        "sweep": "potstill.distillation.solvers.unroll:Sweep",
    },
)
"""Solver classes by name; other packages add theirs under the entry-point group ``potstill.solvers``."""

__all__ = [
    "SOLVERS",
    "DrawnKernelDescent",
    "EmpiricalKernelDescent",
    "FeatureRidge",
    "KernelDescent",
    "KernelInterpolation",
    "KernelRidge",
    "Portfolio",
    "Solver",
    "Sweep",
    "Unroll",
]

__getattr__ = import_lazily(
    __name__,
    {
        "DrawnKernelDescent": "drawn",
        "EmpiricalKernelDescent": "empirical",
        "FeatureRidge": "ridge",
        "KernelDescent": "kernel_descent",
        "KernelInterpolation": "interpolation",
        "KernelRidge": "ridge",
        "Portfolio": "portfolio",
        "Solver": "base",
        "Sweep": "unroll",
        "Unroll": "unroll",
    },
)
