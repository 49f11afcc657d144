"""Weights of states in the outer loss.

    H(π) = E_s~D [ w(s) h(s, π(s)) ],      w is a product of weightings, with mean 1

Weights multiply any objective h. They depend on the value of a state (and differ in how they treat the sign and scale
of q*), on the density of the data, on time, or on the states that the teacher itself would visit. An offline critic's
q* is negative in many states, where q* as a weight would reward *dis*agreement with the teacher. All weightings except
``reference`` and ``unscaled`` are therefore non-negative. They have mean 1 over the dataset, so that a learning rate
has the same meaning for all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.distillation.objectives.density import log_density
from potstill.errors import PotstillError, describe_object
from potstill.runtime.arguments import check_arguments

REFERENCE_SCALE = 0.02
SDW_POWER = 0.02  # the effective sample size is 90 % of the states if log-densities span 19 to 46 nats
LEAST_EFFECTIVE = 0.5  # effective sample size of ``density``, as a fraction of the states
OCCUPIED = 0.3  # the same of ``occupancy``; on HalfCheetah, 0.5 improved returns half as much as 0.3
LARGEST_KAPPA = 1e3  # limit on κ times the mean action deviation
DISCOUNT = 0.99
OPENING_STEPS = 20.0  # time constant of ``opening``
OPENING = 0.08  # least share of the weight of the first steps; chosen on walker2d-medium-expert


class StateFeatures:
    """Features of a dataset's M states, from which weightings are computed. Each is computed on first use."""

    def __init__(
        self,
        states: Float[Array, "M S"],
        values: Float[Array, " M"],
        steps: Callable[[], Float[np.ndarray, " M"]],
        action_deviation: Callable[[], Float[np.ndarray, " M"]],
    ) -> None:
        self.states = states
        self.values = values
        self._steps, self._action_deviation = steps, action_deviation

    @functools.cached_property
    def log_density(self) -> Float[Array, " M"]:
        """Log p(s), up to a constant."""
        return log_density(self.states)

    @functools.cached_property
    def steps(self) -> Float[Array, " M"]:
        """t, the number of steps before a state in its episode."""
        return jnp.asarray(self._steps(), jnp.float32)

    @functools.cached_property
    def action_deviation(self) -> Float[Array, " M"]:
        """Deviation of the actions before a state from the teacher's; see :func:`measure_action_deviation`."""
        return jnp.asarray(self._action_deviation(), jnp.float32)


def uniform(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """1 for all states."""
    return jnp.ones_like(values)


def clipped(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """max(q*, 0): states of negative value have weight 0. A shift of the reward changes the weights."""
    return jnp.maximum(values, 0.0)


def shifted(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """q* − min q*: invariant to a shift of the reward, but one very bad state makes all other weights similar."""
    return values - values.min()


def softplus(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """log(1 + exp(q* / std(q*))): like ``clipped``, but states of negative value keep a small weight."""
    return jax.nn.softplus(values / jnp.maximum(values.std(), 1e-8))


def ranged(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """((q* − min) / (max − min))², where min and max are the 1st and 99th percentiles.

    It is invariant to shift and scale of the reward.
    """
    low, high = jnp.percentile(values, jnp.array([1.0, 99.0]))
    return jnp.clip((values - low) / jnp.maximum(high - low, 1e-8), 0.0, 1.0) ** 2


def reference(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """0.02 q*, as in the original implementation: weights can be negative, and their mean is not 1."""
    return REFERENCE_SCALE * values


def unscaled(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """q* itself, as in the paper's formula: weights can be negative, and their mean is not 1."""
    return values


def effective_share(weights: Float[Array, " M"]) -> Float[Array, ""]:
    """(Σ w)² / (M Σ w²): the effective sample size as a fraction of the states."""
    return weights.sum() ** 2 / (len(weights) * jnp.sum(weights**2))


def inverse_density(log_densities: Float[Array, " M"]) -> Float[Array, " M"]:
    """p^−τ, with log p clipped to its 1–99 percentiles.

    τ ≤ 1 is the largest exponent for which the effective sample size is at least M / 2. 1/p itself would put all
    weight on a few states, because log-densities span tens of nats.
    """
    spread = jnp.clip(log_densities, *jnp.percentile(log_densities, jnp.array([1.0, 99.0])))
    return temper(spread, LEAST_EFFECTIVE, most=1.0)


def temper(costs: Float[Array, " M"], share: float, most: float) -> Float[Array, " M"]:
    """exp(−τ (cost − min cost)) with the largest τ ≤ ``most`` that keeps an effective ``share`` of the states."""
    above = costs - costs.min()
    low, high = 0.0, most
    if float(effective_share(jnp.exp(-most * above))) >= share:
        return jnp.exp(-most * above)
    for _ in range(30):  # bisection: the share falls as τ grows
        middle = (low + high) / 2
        enough = float(effective_share(jnp.exp(-middle * above))) >= share
        low, high = (middle, high) if enough else (low, middle)
    return jnp.exp(-low * above)


def occupancy(action_deviation: Float[Array, " M"]) -> Float[Array, " M"]:
    """exp(−κ ē): the ratio of the teacher's to the data's state distribution, up to a temperature.

    If the data's policy and the teacher were Gaussian with variance σ², the likelihood ratio of the path to a state
    would be exp(−Σ ‖π*(s_k) − a_k‖² / 2σ²), summed over the steps before it. ē is the mean of these squared distances
    with exponential forgetting. κ is the largest value that keeps an effective sample size of 0.3 M. Source of the
    product of ratios: Precup, Sutton and Singh 2000. The forgetting is specific to potstill.
    """
    return temper(action_deviation, OCCUPIED, most=LARGEST_KAPPA / max(float(action_deviation.mean()), 1e-12))


def sdw(log_densities: Float[Array, " M"]) -> Float[Array, " M"]:
    """p^−0.02, a power of the reciprocal density. Source: Lei et al. 2025, arXiv 2512.06692 (SDW)."""
    return jnp.exp(-SDW_POWER * (log_densities - log_densities.max()))


def discounted(steps: Float[Array, " M"]) -> Float[Array, " M"]:
    """0.99^t: the discount of the theory's state distribution d_π."""
    return DISCOUNT**steps


def early(steps: Float[Array, " M"]) -> Float[Array, " M"]:
    """1 − t / T, where T is the longest episode. It decreases slowly, so late states keep some weight."""
    return 1.0 - steps / (steps.max() + 1.0)


def opening(steps: Float[Array, " M"]) -> Float[Array, " M"]:
    """1 + c e, with e = exp(−t / 20) and the least c ≥ 0 for which the opening's share E[w e] / E[w] is at least 0.08.

    Every episode of a student begins with the same few steps, in which the student must keep its balance and start to
    move. If episodes are long, these steps are a small fraction of the rows. If episodes are short, they are a large
    fraction, and all weights are 1. E is the mean over the rows. This weighting is specific to potstill.

    Args:
        steps: t, the number of steps before each of M rows in its episode.
    """
    fading = jnp.exp(-steps / OPENING_STEPS)
    missing = OPENING - fading.mean()
    gain = jnp.mean(fading**2) - OPENING * fading.mean()
    return 1.0 + jnp.where(missing > 0, missing / jnp.maximum(gain, 1e-6), 0.0) * fading


Weighting = Callable[[StateFeatures], Float[Array, " M"]]
"""Maps the features of M states to their weights."""


def _make_weighting(feature: str, weights: Callable[[Float[Array, " M"]], Float[Array, " M"]]) -> Weighting:
    """Make a weighting by one feature, with the docstring of ``weights`` for the reference."""

    def weigh(features: StateFeatures) -> Float[Array, " M"]:
        return weights(getattr(features, feature))

    weigh.__doc__ = weights.__doc__
    return weigh


weigh_uniform = _make_weighting("values", uniform)
weigh_clipped = _make_weighting("values", clipped)
weigh_shifted = _make_weighting("values", shifted)
weigh_softplus = _make_weighting("values", softplus)
weigh_ranged = _make_weighting("values", ranged)
weigh_reference = _make_weighting("values", reference)
weigh_unscaled = _make_weighting("values", unscaled)
weigh_density = _make_weighting("log_density", inverse_density)
weigh_sdw = _make_weighting("log_density", sdw)
weigh_discounted = _make_weighting("steps", discounted)
weigh_early = _make_weighting("steps", early)
weigh_opening = _make_weighting("steps", opening)
weigh_occupancy = _make_weighting("action_deviation", occupancy)


def normalise_mean(weights: Float[Array, " M"]) -> Float[Array, " M"]:
    """Divide the weights by their mean; all become 1 if all are 0."""
    mean = weights.mean()
    return jnp.where(mean > 0, weights / jnp.where(mean > 0, mean, 1.0), jnp.ones_like(weights))


AS_IN_PAPER = (weigh_reference, weigh_unscaled)  # these can be negative and are not normalised


def _check_weights(found: object, weighting: Weighting, shape: tuple[int, ...]) -> Array:
    """Raise unless a weighting gave one finite weight for each state."""
    name = getattr(weighting, "__name__", type(weighting).__name__)
    if not isinstance(found, jax.Array | np.ndarray) or found.shape != shape:
        known = (
            f"an array of shape {found.shape}" if isinstance(found, jax.Array | np.ndarray) else describe_object(found)
        )
        raise PotstillError(f"the weighting {name} returned {known}: expected an array of {shape[0]} weights")
    weights: Array = jnp.asarray(found)
    if not bool(jnp.isfinite(weights).all()):
        raise PotstillError(f"the weighting {name} returned weights that are not finite")
    return weights


@check_arguments
def combine_weightings(*weightings: Weighting) -> Weighting:
    """Multiply weightings: w(s) ∝ Π_j w_j(s), with mean 1 over the M states.

    Args:
        weightings: entries of :data:`WEIGHTINGS`, or functions of your own that map the features of M states (their
            ``values`` in units of return, ``states``, ``steps``, …) to M weights.

    Returns:
        A weighting for :func:`build_state_table`. If all products are 0, all weights are 1. If ``reference`` or
        ``unscaled`` is among the weightings, the product is returned as it is: such weights can be negative. The
        weighting raises a ``PotstillError`` if a function returns anything but M finite weights.

    Example:
        >>> from potstill.distillation import WEIGHTINGS, combine_weightings
        >>> both = combine_weightings(WEIGHTINGS["shifted"], lambda features: features.values**2)
        >>> values = jnp.array([0.0, 1.0, 2.0])
        >>> steps = distances = lambda: np.zeros(3)
        >>> both(StateFeatures(jnp.zeros((3, 2)), values, steps, distances)).tolist()  # ∝ 0, 1, 8
        [0.0, 0.3333333432674408, 2.6666667461395264]
    """
    as_in_paper = any(weighting in AS_IN_PAPER for weighting in weightings)

    def weigh(features: StateFeatures) -> Float[Array, " M"]:
        product = jnp.ones_like(features.values)
        for weighting in weightings:
            product = product * _check_weights(weighting(features), weighting, product.shape)
        if as_in_paper:
            return product
        if bool((product < 0.0).any()):
            raise PotstillError("the product of the weightings is negative in some states: expected at least 0")
        return normalise_mean(product)

    return weigh
