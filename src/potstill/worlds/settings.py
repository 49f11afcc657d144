"""Settings of a world model and of its training."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import Dataclass, check_ranges

LEAST_HORIZON = 25  # steps for which a model must be accurate, to be used by default and to compare teachers


@check_arguments
@dataclass(frozen=True)
class WorldSettings:
    """The networks of a world model and their training.

    Raises:
        PotstillError: a field has a wrong type or is out of range.

    Example:
        >>> WorldSettings(members=2).width
        128
    """

    members: int = 4
    """K, the number of networks. They differ in their initialisation and in the order of their batches."""
    width: int = 128
    """Units of each hidden layer."""
    layers: int = 4
    """Layers of weights; 4 means three hidden layers."""
    steps: int = 14_000
    """Number of gradient steps."""
    batch: int = 256
    """Rows in a gradient step of each member."""
    learning_rate: float = 4e-3
    """Largest learning rate of Adam. The rate rises linearly in the first 5 % of the steps, then decays by a cosine."""
    seed: int = 0
    """Seeds the held-out episodes, the initial networks and the batches."""

    def __post_init__(self) -> None:
        check_settings(self)


def check_settings(settings: Dataclass) -> None:
    """Raise unless the fields of :class:`WorldSettings`, here or in a command's config, are in range."""
    check_ranges(settings, members=1, width=1, layers=1, steps=1, batch=1, learning_rate=1e-12, seed=0)
