"""Next observations of rows in order. They are stored once, as the observations of the following rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Successors:
    """The observation of the following row, except in some rows.

    Rows in order need half the memory and half the reading time until all next observations are used as one array.

    Example:
        >>> states = np.array([[0.0], [1.0], [2.0]])
        >>> Successors(states, np.array([2]), np.array([[3.0]])).to_array().tolist()
        [[1.0], [2.0], [3.0]]
    """

    observations: Float[np.ndarray, "M S"]
    rows: Int[np.ndarray, " X"]
    """The exceptions. The last row is one of them."""
    values: Float[np.ndarray, "X S"]
    """Their next observations."""

    def to_array(self) -> Float[np.ndarray, "M S"]:
        """Copy all next observations into a new array."""
        after = np.empty_like(self.observations)
        after[:-1] = self.observations[1:]
        after[self.rows] = self.values
        return after

    def defer(self, data: object) -> None:
        """Make a dataset of these rows compute the array when its next observations are first used."""
        columns = vars(data)
        del columns["next_observations"]
        columns["_successors"] = self
