"""The conversion between the units of an environment and the inputs and outputs of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from potstill.data.bounds import ActionBounds, DiscreteActions
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError, naming_source
from potstill.runtime import storage
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath

ARRAYS = ("state_mean", "state_scale", "action_low", "action_high")
"""The names of a scaling's arrays in files."""
NUMBERS = "action_numbers"
"""The name of a further array for a finite set of actions: their numbers."""


@check_arguments
@dataclass(frozen=True)
class Scaling:
    """The normaliser of the states and the bounds of the actions.

    A network sees (s − mean) / scale, and its outputs in [−1, 1] are scaled to the bounds. Policies, students and
    distillates hold a scaling, and their files contain its arrays.

    Args:
        normaliser: the standardisation of the states.
        action_bounds: the box that actions lie in.

    Raises:
        PotstillError: a field has another type.

    Example:
        >>> import potstill
        >>> scaling = potstill.Scaling(potstill.Normaliser([1.0], [2.0]), potstill.ActionBounds([0.0], [10.0]))
        >>> {name: array.tolist() for name, array in scaling.to_arrays().items()}
        {'state_mean': [1.0], 'state_scale': [2.0], 'action_low': [0.0], 'action_high': [10.0]}
    """

    normaliser: Normaliser
    action_bounds: ActionBounds

    @classmethod
    def identity(cls, state_size: int, action_size: int) -> Scaling:
        """Return a scaling that changes neither states nor actions in [−1, 1]."""
        return cls(Normaliser.identity(state_size), ActionBounds.unit(action_size))

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], path: StrPath) -> Scaling:
        """Rebuild a scaling from :meth:`to_arrays`, which were read from the file ``path``.

        Raises:
            PotstillError: an array is missing or invalid.
        """
        mean, scale, low, high = (storage.require_array(arrays, name, path) for name in ARRAYS)
        with naming_source(path):
            bounds = ActionBounds(low, high)
            if NUMBERS in arrays:
                numbers = arrays[NUMBERS]
                if not np.array_equal(numbers, np.arange(len(bounds))) or bounds.low.any() or (bounds.high != 1).any():
                    raise PotstillError(f"{NUMBERS} and the action bounds do not describe a finite set of actions")
                bounds = DiscreteActions(len(bounds))
            return cls(Normaliser(mean, scale), bounds)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays under the names that they have in files."""
        normaliser, bounds = self.normaliser, self.action_bounds
        arrays = dict(zip(ARRAYS, (normaliser.mean, normaliser.scale, bounds.low, bounds.high), strict=True))
        return {**arrays, **({NUMBERS: np.arange(len(bounds), dtype=np.float32)} if bounds.discrete else {})}


class Scaled:
    """Base class of objects that have a ``scaling``: the normaliser and the action bounds are properties."""

    scaling: Scaling

    @property
    def normaliser(self) -> Normaliser:
        """The standardisation of the states."""
        return self.scaling.normaliser

    @property
    def action_bounds(self) -> ActionBounds:
        """The bounds of the actions, in the environment's units."""
        return self.scaling.action_bounds
