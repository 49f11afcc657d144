"""World models: dynamics, rewards and terminations that are learned from a dataset.

:func:`train_world` learns a :class:`World` from transitions. :class:`WorldStepper` steps policies in it, as in an
environment. :func:`imagined_returns` measures the return of a policy in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from potstill.worlds.base import World, load_world
    from potstill.worlds.returns import imagined_returns
    from potstill.worlds.settings import WorldSettings
    from potstill.worlds.stepper import WorldStepper
    from potstill.worlds.training import train_world

__all__ = ["World", "WorldSettings", "WorldStepper", "imagined_returns", "load_world", "train_world"]

__getattr__ = lazy_names(
    __name__,
    {
        "World": "base",
        "WorldSettings": "settings",
        "WorldStepper": "stepper",
        "imagined_returns": "returns",
        "load_world": "base",
        "train_world": "training",
    },
)
