"""World models: dynamics, rewards and terminations that are learned from a dataset.

:func:`train_world` learns a :class:`World` from transitions. :class:`WorldStepper` steps policies in it, as in an
environment. :func:`measure_imagined_returns` measures the return of a policy in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.worlds.base import World, load_world
    from potstill.worlds.returns import measure_imagined_returns
    from potstill.worlds.settings import WorldSettings
    from potstill.worlds.stepper import WorldStepper
    from potstill.worlds.training import train_world

__all__ = ["World", "WorldSettings", "WorldStepper", "load_world", "measure_imagined_returns", "train_world"]

__getattr__ = import_lazily(
    __name__,
    {
        "World": "base",
        "WorldSettings": "settings",
        "WorldStepper": "stepper",
        "measure_imagined_returns": "returns",
        "load_world": "base",
        "train_world": "training",
    },
)
