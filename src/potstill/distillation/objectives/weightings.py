"""From the names of weightings to a weighting."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.objectives.weights import StateFeatures, Weighting, normalise_mean
from potstill.distillation.registry import WEIGHTINGS
from potstill.errors import PotstillError, make_unknown_name_error
from potstill.runtime.arguments import check_arguments

AS_IN_PAPER = {"reference", "unscaled"}  # these weightings can be negative and are not normalised


def split_names(names: str) -> list[str]:
    """Split the names of weightings, separated by commas.

    Raises:
        PotstillError: a name is unknown or occurs twice.

    >>> split_names("ranged,density")
    ['ranged', 'density']
    """
    found = [name.strip() for name in names.split(",")]
    for name in found:
        if name not in WEIGHTINGS:
            raise make_unknown_name_error("weighting", name, WEIGHTINGS)
    if len(set(found)) < len(found):
        raise PotstillError(f"weighting '{names}': a name occurs twice")
    return found


@check_arguments
def find_weighting(names: str) -> Weighting:
    """Build the product of the named weightings.

    Args:
        names: one or several of :data:`WEIGHTINGS`, separated by commas.

    Returns:
        A weighting whose weights have mean 1 and are non-negative, except for ``reference`` and ``unscaled``. If all
        weights would be 0, they are uniform.

    Raises:
        PotstillError: a name is unknown or occurs twice.
    """
    found = split_names(names)

    def weigh(features: StateFeatures) -> Float[Array, " M"]:
        product = jnp.ones_like(features.values)
        for name in found:
            product = product * WEIGHTINGS[name](features)
        return product if AS_IN_PAPER & set(found) else normalise_mean(product)

    return weigh
