"""Weights of states: which states of the dataset count, and how much.

    H(π) = E_s~D [ w(s) h(s, π(s)) ],      w the product of the named weightings, of mean 1

Weights multiply any objective h. Of value (what is done with the sign and the scale of q*), of density,
of time, of where the teacher itself goes. An offline critic's q* is negative on many states, where a plain
weight would reward *dis*agreement with the teacher: every weighting but the reference's is non-negative, and
has mean 1 over the dataset, so that learning rates mean the same for all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.distillation.objectives.density import log_density
from potstill.errors import PotstillError, unknown

REFERENCE_SCALE = 0.02
SDW_POWER = 0.02  # keeps nine tenths of the effective sample size where log-densities span 19 to 46 nats
LEAST_EFFECTIVE = 0.5  # of the states, after weights of density
OCCUPIED = 0.3  # of the states, after weights of occupancy: on HalfCheetah 0.5 gave up half of what 0.3 gained
MOST_STRAYED = 1e3  # κ, over the mean of what it multiplies
DISCOUNT = 0.99
OPENING_STEPS = 20.0  # over which an episode's opening fades
OPENING = 0.08  # least share of the opening, chosen on walker2d-medium-expert


class States:
    """What weightings may ask of a dataset's M states; each is worked out when it is first asked for."""

    def __init__(
        self,
        states: Float[Array, "M S"],
        values: Float[Array, " M"],
        steps: Callable[[], Float[np.ndarray, " M"]],
        strayed: Callable[[], Float[np.ndarray, " M"]],
    ) -> None:
        self.states = states
        self.values = values
        self._steps, self._strayed = steps, strayed

    @functools.cached_property
    def log_density(self) -> Float[Array, " M"]:
        """Log p(s), up to a constant."""
        return log_density(self.states)

    @functools.cached_property
    def steps(self) -> Float[Array, " M"]:
        """t, how many steps of its episode precede a state."""
        return jnp.asarray(self._steps(), jnp.float32)

    @functools.cached_property
    def strayed(self) -> Float[Array, " M"]:
        """How far the actions that led to a state deviated from the teacher's."""
        return jnp.asarray(self._strayed(), jnp.float32)


def clipped(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """max(q*, 0): a state of negative value does not count. Moves with a shift of the reward."""
    return jnp.maximum(values, 0.0)


def shifted(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """q* − min q*: unmoved by a shift of the reward, but one very bad state lifts all others."""
    return values - values.min()


def softplus(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """log(1 + exp(q* / std(q*))): like ``clipped``, but a negative value still counts a little."""
    return jax.nn.softplus(values / jnp.maximum(values.std(), 1e-8))


def ranged(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """((q* − min) / (max − min))²: unmoved by shift and scale of the reward; 1–99 percentiles."""
    low, high = jnp.percentile(values, jnp.array([1.0, 99.0]))
    return jnp.clip((values - low) / jnp.maximum(high - low, 1e-8), 0.0, 1.0) ** 2


def reference(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """0.02 q*, as the original implementation has it: negative values are let through, the mean is not 1."""
    return REFERENCE_SCALE * values


def effective_share(weights: Float[Array, " M"]) -> Float[Array, ""]:
    """(Σ w)² / (M Σ w²): the share of the states that effectively counts."""
    return weights.sum() ** 2 / (len(weights) * jnp.sum(weights**2))


def rarity(log_densities: Float[Array, " M"]) -> Float[Array, " M"]:
    """p^−τ with log p clipped to its 1–99 percentiles; τ ≤ 1 is the largest that leaves half of the states.

    1/p itself collapses to a few states: log-densities span tens of nats. Half of the states means an
    effective sample size of M / 2.
    """
    spread = jnp.clip(log_densities, *jnp.percentile(log_densities, jnp.array([1.0, 99.0])))
    return tempered(spread, LEAST_EFFECTIVE, most=1.0)


def tempered(costs: Float[Array, " M"], share: float, most: float) -> Float[Array, " M"]:
    """exp(−τ (cost − min cost)); τ ≤ ``most`` is the largest that leaves an effective ``share`` of the states."""
    above = costs - costs.min()
    low, high = 0.0, most
    if float(effective_share(jnp.exp(-most * above))) >= share:
        return jnp.exp(-most * above)
    for _ in range(30):  # bisection: the share falls as τ grows
        middle = (low + high) / 2
        enough = float(effective_share(jnp.exp(-middle * above))) >= share
        low, high = (middle, high) if enough else (low, middle)
    return jnp.exp(-low * above)


def occupancy(strayed: Float[Array, " M"]) -> Float[Array, " M"]:
    """exp(−κ ē): the ratio of the teacher's visits to the data's, up to what a temperature hides.

    The data reached a state by their own actions, the teacher would have by its own. For Gaussian policies of
    variance σ² the odds that both took the same path are exp(−Σ ‖π*(s_k) − a_k‖² / 2σ²) over the steps before;
    ē is the mean of those distances with a fading memory, and κ the largest that leaves three tenths of the
    states. Products of ratios along a path: Precup, Sutton and Singh 2000; the fading mean is ours.
    """
    return tempered(strayed, OCCUPIED, most=MOST_STRAYED / max(float(strayed.mean()), 1e-12))


def sdw(log_densities: Float[Array, " M"]) -> Float[Array, " M"]:
    """p^−0.02, a power of the reciprocal density. Source: Lei et al. 2025, arXiv 2512.06692 (SDW)."""
    return jnp.exp(-SDW_POWER * (log_densities - log_densities.max()))


def discounted(steps: Float[Array, " M"]) -> Float[Array, " M"]:
    """0.99^t: the discount that the theory's distribution of states d_π has."""
    return DISCOUNT**steps


def early(steps: Float[Array, " M"]) -> Float[Array, " M"]:
    """1 − t / T, T the longest episode: falls slowly, so that late states still count."""
    return 1.0 - steps / (steps.max() + 1.0)


def opening(steps: Float[Array, " M"]) -> Float[Array, " M"]:
    """1 + c e, e = exp(−t / 20); c ≥ 0 is the least with which E[w e] / E[w], the opening's share, is 0.08.

    Every episode of a student passes through its first steps, where it has to learn to stand and to set off; in data
    of long episodes hardly any rows are of them. In data of short ones they have their share as it is: all weights
    are 1. E is the mean over the rows. Ours.

    Args:
        steps: t, how many steps of its episode precede each of M rows.
    """
    fading = jnp.exp(-steps / OPENING_STEPS)
    missing = OPENING - fading.mean()
    gain = jnp.mean(fading**2) - OPENING * fading.mean()
    return 1.0 + jnp.where(missing > 0, missing / jnp.maximum(gain, 1e-6), 0.0) * fading


Weighting = Callable[[States], Float[Array, " M"]]
WEIGHTINGS: dict[str, Weighting] = {
    "uniform": lambda of: jnp.ones_like(of.values),
    "clipped": lambda of: clipped(of.values),
    "shifted": lambda of: shifted(of.values),
    "softplus": lambda of: softplus(of.values),
    "ranged": lambda of: ranged(of.values),
    "reference": lambda of: reference(of.values),
    "density": lambda of: rarity(of.log_density),
    "sdw": lambda of: sdw(of.log_density),
    "discounted": lambda of: discounted(of.steps),
    "early": lambda of: early(of.steps),
    "opening": lambda of: opening(of.steps),
    "occupancy": lambda of: occupancy(of.strayed),
}


def weightings_named(names: str) -> list[str]:
    """The names in ``names``, which commas part; an unknown one is a :class:`~potstill.errors.PotstillError`.

    >>> weightings_named("ranged,density")
    ['ranged', 'density']
    """
    found = [name.strip() for name in names.split(",")]
    for name in found:
        if name not in WEIGHTINGS:
            raise unknown("weighting", name, WEIGHTINGS)
    if len(set(found)) < len(found):
        raise PotstillError(f"weighting '{names}' names one twice")
    return found


def state_weights(names: str, of: States) -> Float[Array, " M"]:
    """The product of the named weightings.

    Args:
        names: one or several of :data:`WEIGHTINGS`, parted by commas.
        of: the states to weigh.

    Returns:
        Weights; of mean 1 and non-negative, except for ``reference``. Uniform if all would be zero.
    """
    found = weightings_named(names)
    product = jnp.ones_like(of.values)
    for name in found:
        product = product * WEIGHTINGS[name](of)
    return product if "reference" in found else of_mean_one(product)


def of_mean_one(weights: Float[Array, " M"]) -> Float[Array, " M"]:
    """The same weights over their mean; all 1 where all are 0."""
    mean = weights.mean()
    return jnp.where(mean > 0, weights / jnp.where(mean > 0, mean, 1.0), jnp.ones_like(weights))
