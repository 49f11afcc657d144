"""Load, check, split and select transitions.

Public names, each imported when it is first used:

- :func:`load_dataset` loads a dataset by name, path or arrays.
- :class:`Transitions` holds a dataset; :class:`Normaliser` standardises its states.
- :class:`ActionBounds` is the box that actions lie in, :class:`DiscreteActions` a finite set of actions;
  :class:`Scaling` is a normaliser with action bounds.
"""

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.data.bounds import ActionBounds, DiscreteActions
    from potstill.data.registry import load_dataset
    from potstill.data.scaling import Scaling
    from potstill.data.transitions import Normaliser, Transitions

__all__ = ["ActionBounds", "DiscreteActions", "Normaliser", "Scaling", "Transitions", "load_dataset"]

__getattr__ = import_lazily(
    __name__,
    {
        "ActionBounds": "bounds",
        "DiscreteActions": "bounds",
        "Normaliser": "transitions",
        "Scaling": "scaling",
        "Transitions": "transitions",
        "load_dataset": "registry",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
