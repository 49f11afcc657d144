"""Next observations of rows in order. They are stored once, as the observations of the following rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    from potstill.data.transitions import Transitions


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


def find_recorded_successors(data: Transitions) -> Bool[np.ndarray, " M"]:
    """Find the rows whose next observation was recorded.

    A log without next observations lacks those of terminated rows. Such rows hold the observation of the following row,
    which is the first of another episode, or their own observation in the last row. Values are not bootstrapped there,
    so teachers never see these numbers; a model of the dynamics must not learn them.

    Args:
        data: all rows of a dataset, in the order in which they were recorded.

    Returns:
        A mask [M]: false in such rows.
    """
    rows = np.flatnonzero(data.terminations)
    after = data.next_observations[rows]
    recorded = np.ones(len(data), np.bool_)
    recorded[rows] = (after != data.observations[np.minimum(rows + 1, len(data) - 1)]).any(axis=1)
    return recorded
