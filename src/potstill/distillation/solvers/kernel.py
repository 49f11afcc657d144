"""Kernel descent: the student's training run in function space, under its tangent kernel.

At infinite width a student moves by

    f ← f − α₀ K(·, S) v,    v ← β₀ v + ∂ℓ/∂f(S),                                     (1)

its own step size, momentum, number of steps and loss, but N × N products instead of a network. After T
steps f(s) = f₀(s) + K(s, S) c, where c gathers the steps taken.

**Kernel.** Layer l maps a network's pre-activations, of covariance Σ_l over the random start, to features of
inner products G_l (summed over its n_l units) and passes on what the weights below move. From G₀ = x·y and
T₁ = G₀ + 1, with variances σ²_l of a weight and τ²_l of a bias, and the angle θ_l that Σ_l makes,

    Σ_l = σ²_l G_{l−1} + τ²_l                                                         (2)
    G_l = n_l √(Σ_l(x, x) Σ_l(y, y)) (sin θ_l + (π − θ_l) cos θ_l) / 2π               (3)
    D_l = n_l (π − θ_l) / 2π                                                          (4)
    T_{l+1} = G_l + 1 + σ²_{l+1} D_l T_l                                              (5)

(arc-cosine kernels of order 1 and 0; each 1 is the bias's share). K = T_L, and f₀ ~ GP(0, Σ_L). The student
is in the parametrisation that it trains in, so K is that of its own step size; with orthogonal weights of
gain √2 every σ² n is 2 and K does not depend on the width. A residual student's last layer gets h₁ + h_{L−1}:

    G = G₁ + G_{L−1} + n (m₁ m′_{L−1} + m_{L−1} m′₁),   m = √(Σ(x, x) / 2π)           (6)

the mean of a rectified normal, and D_l T_l of both. Source: Jacot et al. 2018; Cho and Saul 2009; (6) is ours.

A student of several towers, trained as one, has the same K: the mean of its towers'. Σ_L is shared out among
them, and so is what one network's own kernel strays from K by chance.

**Start.** ``zero`` runs (1) from f₀ = 0, the mean; ``drawn`` from what a real network, drawn from the key,
computes, so that the outer loss is an expectation over starts and counts their variance.
:func:`start_variance` gives that variance itself.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import KernelConfig
from potstill.networks.mlp import apply_mlp
from potstill.students import training as clone
from potstill.students.initialisation import start_named
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs

EDGE = 1e-6  # keeps arccos differentiable where two states coincide; moves K by less than 0.1 %


# a_7 … a_0 of arccos x = √(1 − x) Σ_i a_i xⁱ for 0 ≤ x ≤ 1, to 2e-8 (Abramowitz and Stegun 1964, 4.4.46). XLA's own
# arccos goes by way of atan2, which on a processor takes many times as long.
SERIES = (
    -0.0012624911,
    0.0066700901,
    -0.0170881256,
    0.0308918810,
    -0.0501743046,
    0.0889789874,
    -0.2145988016,
    1.5707963050,
)


@jax.custom_jvp
def _angle(cosine: Float[Array, "B N"]) -> Float[Array, "B N"]:
    if cosine.dtype == jnp.float64:  # which the series is not good enough for
        return jnp.arccos(cosine)
    size = jnp.abs(cosine)
    acute = jnp.sqrt(1.0 - size) * jnp.polyval(jnp.array(SERIES, cosine.dtype), size)
    return jnp.where(cosine < 0.0, jnp.pi - acute, acute)


@_angle.defjvp
def _angle_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (cosine,), (tangent,) = primals, tangents
    return _angle(cosine), -tangent * jax.lax.rsqrt(1.0 - cosine**2)


class Inner(NamedTuple):
    """Inner products of what one layer puts out, or their covariance over starts, for two sets of states."""

    both: Float[Array, "B N"]
    x: Float[Array, " B"]
    y: Float[Array, " N"]


class Rectified(NamedTuple):
    """One layer's ReLU: G_l of (3), D_l of (4), and m of (6)."""

    features: Inner
    slope: Float[Array, "B N"]
    mean_x: Float[Array, " B"]
    mean_y: Float[Array, " N"]


def _rectify(covariance: Inner, width: int) -> Rectified:
    x, y = covariance.x, covariance.y
    norms = jnp.sqrt(x)[:, None] * jnp.sqrt(y)[None, :] + 1e-12
    cosine = jnp.clip(covariance.both / norms, -1.0 + EDGE, 1.0 - EDGE)
    share = 0.5 - _angle(cosine) / (2.0 * jnp.pi)
    both = width * norms * (jnp.sqrt(1.0 - cosine**2) / (2.0 * jnp.pi) + share * cosine)
    means = (jnp.sqrt(x / (2.0 * jnp.pi)), jnp.sqrt(y / (2.0 * jnp.pi)))
    return Rectified(Inner(both, 0.5 * width * x, 0.5 * width * y), width * share, *means)


def _joined(first: Rectified, last: Rectified, width: int) -> Inner:
    """(6): inner products of h₁ + h_{L−1}."""
    cross = jnp.outer(first.mean_x, last.mean_y) + jnp.outer(last.mean_x, first.mean_y)
    sides = (2.0 * width * first.mean_x * last.mean_x, 2.0 * width * first.mean_y * last.mean_y)
    parts = zip(first.features, last.features, (cross * width, *sides), strict=True)
    return Inner(*(a + b + c for a, b, c in parts))


def kernels(
    x: Float[Array, "B S"], y: Float[Array, "N S"], recipe: Recipe
) -> tuple[Float[Array, "B N"], Float[Array, "B N"]]:
    """K, the tangent kernel at infinite width, and Σ_L, the covariance of the start, of one output."""
    width, variances = recipe.width, _variances(x.shape[-1], recipe)
    covariances = [lambda inner, w=w, b=b: Inner(*(w * part + b for part in inner)) for w, b in variances]
    inner = Inner(x @ y.T, jnp.sum(x**2, -1), jnp.sum(y**2, -1))
    tangent, layers, moved = inner.both + 1.0, [], []
    for layer, (weight, _) in enumerate(variances[1:]):
        layers.append(_rectify(covariances[layer](inner), width))
        moved.append(layers[-1].slope * tangent)
        inner, below = layers[-1].features, moved[-1]
        if recipe.residual and layer == recipe.layers - 2:
            inner, below = _joined(layers[0], layers[-1], width), moved[0] + moved[-1]
        tangent = inner.both + 1.0 + weight * below
    drawn = 0.0 if start_named(recipe.start).at_zero else 1.0 / recipe.towers
    return tangent, drawn * covariances[-1](inner).both


def _variances(states: int, recipe: Recipe) -> list[tuple[float, float]]:
    """σ² and τ² of each layer."""
    start = start_named(recipe.start)
    sizes = [states, *[recipe.width] * (recipe.layers - 1), 1]
    *hidden, last = [(start.weight(*pair), start.bias(*pair)) for pair in itertools.pairwise(sizes)]
    return [*hidden, (recipe.output_gain**2 * last[0], recipe.output_gain**2 * last[1])]


def tangent_kernel(x: Float[Array, "B S"], y: Float[Array, "N S"], recipe: Recipe) -> Float[Array, "B N"]:
    """K of (5), each output's own; between outputs it is 0."""
    return kernels(x, y, recipe)[0]


class Gathered(NamedTuple):
    """Where (1) stands before a step."""

    c: Float[Array, "N A"]
    velocity: Float[Array, "N A"]


def _step(now: Gathered, outputs: Float[Array, "N A"], pairs: Pairs, recipe: Recipe) -> Gathered:
    """One step of (1), from f(S)."""
    weights = 1.0 if pairs.weights is None else pairs.weights[:, None]
    unit = jnp.tanh(outputs)
    gradient = 2.0 * (unit - pairs.actions) * (1.0 - unit**2) / unit.size
    velocity = recipe.momentum * now.velocity + weights * gradient
    return Gathered(now.c - recipe.learning_rate * velocity, velocity)


def _times(kernel: Float[Array, "M M"], c: Float[Array, "N A"]) -> Float[Array, "N A"]:
    """K c, of each output's own K or of one between them."""
    return (kernel @ c.reshape(len(kernel), -1)).reshape(c.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def descent(
    kernel: Float[Array, "M M"], before: Float[Array, "N A"], pairs: Pairs, recipe: Recipe
) -> Float[Array, "N A"]:
    """What the steps of ``recipe`` gather: c of (1).

    With λ_t the adjoint of f(S) in step t, that of K is Σ_t λ_t c_tᵀ. Back-propagation through the loop would add up
    these T products of rank A one by one and pass over the whole matrix for each; here they are one product of two
    long matrices. And K is symmetric: the way back needs no transpose of it.

    Args:
        kernel: K over the pairs, symmetric: each output's own, N × N, or between pairs and outputs, N A × N A.
        before: f₀(S), the pairs' outputs at the start.
        pairs: actions in [−1, 1] or beyond, and weights if any.
        recipe: SGD's steps, learning rate and momentum.
    """
    return _descend(kernel, before, pairs, recipe)[0]


def _descend(kernel: Array, before: Array, pairs: Pairs, recipe: Recipe) -> tuple[Array, Any]:
    def body(now: Gathered, _: None) -> tuple[Gathered, tuple[Gathered, Array]]:
        outputs = before + _times(kernel, now.c)
        return _step(now, outputs, pairs, recipe), (now, outputs)

    zero = jnp.zeros_like(pairs.actions)
    last, path = jax.lax.scan(body, Gathered(zero, zero), None, length=recipe.steps)
    return last.c, (kernel, path, pairs)


def _descend_back(recipe: Recipe, residual: Any, adjoint: Array) -> tuple[Array, Array, Pairs]:
    kernel, path, pairs = residual

    def body(carry: tuple[Gathered, Pairs], now: tuple[Gathered, Array]) -> tuple[tuple[Gathered, Pairs], Array]:
        of_next, of_pairs = carry
        pull = jax.vjp(functools.partial(_step, recipe=recipe), *now, pairs)[1]
        of_now, of_outputs, more = pull(of_next)
        of_now = of_now._replace(c=of_now.c + _times(kernel, of_outputs))
        return (of_now, jax.tree.map(jnp.add, of_pairs, more)), of_outputs

    zero = jnp.zeros_like(adjoint), jax.tree.map(jnp.zeros_like, pairs)
    (_, of_pairs), of_outputs = jax.lax.scan(body, (Gathered(adjoint, zero[0]), zero[1]), path, reverse=True)
    long = (len(of_outputs), len(kernel), -1)
    of_kernel = jnp.einsum("tma,tna->mn", of_outputs.reshape(long), path[0].c.reshape(long))
    return of_kernel, of_outputs.sum(axis=0), of_pairs


descent.defvjp(_descend, _descend_back)


def kernel_actions(
    pairs: Pairs,
    states: Float[Array, "B S"],
    key: PRNGKeyArray,
    *,
    recipe: Recipe,
    settings: KernelConfig = KernelConfig(),  # noqa: B008, frozen
) -> Float[Array, "B A"]:
    """What the infinitely wide student does in ``states``; ``key`` draws its start, if it has one."""
    kernel, elsewhere = (tangent_kernel(x, pairs.states, recipe) for x in (pairs.states, states))
    if settings.start == "zero":
        return jnp.tanh(elsewhere @ descent(kernel, jnp.zeros_like(pairs.actions), pairs, recipe))
    network = clone.start(key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)
    before, start = apply_mlp(network, pairs.states), apply_mlp(network, states)
    return jnp.tanh(start + elsewhere @ descent(kernel, before, pairs, recipe))


def start_variance(
    pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray, *, recipe: Recipe, starts: int = 16
) -> Float[Array, "B A"]:
    """Variance of a trained student's actions that the random start of its function adds.

    (1) is run from ``starts`` networks drawn from ``key``. Without the tanh this has a closed form: with
    c = M (a − f₀(S)) and k = K(s, S) M, the variance of f is Σ(s, s) − 2 k Σ(S, s) + k Σ(S, S) kᵀ.
    """
    drawn = functools.partial(kernel_actions, pairs, states, recipe=recipe, settings=KernelConfig(start="drawn"))
    return jnp.var(jax.lax.map(drawn, jax.random.split(key, starts)), axis=0, ddof=1)
