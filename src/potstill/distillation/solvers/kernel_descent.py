"""Kernel descent: the training of a student in function space, under its tangent kernel.

At infinite width, a training step changes the student's function f by

    f ← f − α₀ K(·, S) v,    v ← β₀ v + ∂ℓ/∂f(S),                                     (1)

with the recipe's step size, momentum, number of steps and loss, but with N × N products instead of a network.
After T steps, f(s) = f₀(s) + K(s, S) c, where c is the sum of the steps.

The actions are tanh f(s) and ℓ is their squared error. For a finite set of actions they are probabilities, softmax
f(s), and ℓ is the cross-entropy; then ∂ℓ/∂f(S) = (softmax f(S) − Y) / N for targets Y.

**Kernel.** Let Σ_l be the covariance of the pre-activations of layer l over random initialisations, G_l the inner
products of its n_l features, D_l those of their derivatives, and T_l the tangent kernel of its pre-activations. Let
σ²_l be the variance of a weight, τ²_l that of a bias, and θ_l the angle that Σ_l defines. With G₀ = x·y and
T₁ = G₀ + 1,

    Σ_l = σ²_l G_{l−1} + τ²_l                                                         (2)
    G_l = n_l √(Σ_l(x, x) Σ_l(y, y)) (sin θ_l + (π − θ_l) cos θ_l) / 2π               (3)
    D_l = n_l (π − θ_l) / 2π                                                          (4)
    T_{l+1} = G_l + 1 + σ²_{l+1} D_l T_l                                              (5)

(arc-cosine kernels of order 1 and 0; each 1 comes from a bias). K = T_L, and f₀ ~ GP(0, Σ_L). The parametrisation is
the standard one in which students train, so K goes with the recipe's step size. With orthogonal weights of gain √2,
σ² n = 2 in every layer, and K does not depend on the width. The last layer of a residual student receives h₁ + h_{L−1}:

    G = G₁ + G_{L−1} + n (m₁ m′_{L−1} + m_{L−1} m′₁),   m = √(Σ(x, x) / 2π)           (6)

where m is the mean of a rectified normal variable, and the terms D_l T_l of both layers are added.
Source: Jacot et al. 2018; Cho and Saul 2009; (6) is derived here.

A student of several towers has the same K, the mean of the towers' kernels. Σ_L and the random deviation of a finite
network's kernel from K decrease with the number of towers.

**Initialisation.** ``zero`` runs (1) from f₀ = 0, the mean over initialisations. ``drawn`` runs it from the
function of a random finite network, so that the outer loss is an expectation over initialisations and includes their
variance. :func:`compute_initialisation_variance` computes that variance itself.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.solvers.base import Solver, StudentPolicy, require_sgd
from potstill.networks.mlp import apply_mlp
from potstill.runtime.arguments import check_arguments
from potstill.students.initialisation import SCHEMES
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, compute_unit_actions, initialise_network

EDGE = 1e-6  # keeps arccos differentiable if two states coincide; changes K by less than 0.1 %


# a_7 … a_0 of arccos x = √(1 − x) Σ_i a_i xⁱ for 0 ≤ x ≤ 1, to 2e-8 (Abramowitz and Stegun 1964, 4.4.46). XLA's own
# arccos uses atan2, which takes many times as long on a CPU.
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
    if cosine.dtype == jnp.float64:  # the polynomial is less precise than float64
        return jnp.arccos(cosine)
    size = jnp.abs(cosine)
    acute = jnp.sqrt(1.0 - size) * jnp.polyval(jnp.array(SERIES, cosine.dtype), size)
    return jnp.where(cosine < 0.0, jnp.pi - acute, acute)


@_angle.defjvp
def _angle_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (cosine,), (tangent,) = primals, tangents
    return _angle(cosine), -tangent * jax.lax.rsqrt(1.0 - cosine**2)


class Inner(NamedTuple):
    """Inner products (or covariances over initialisations) of a layer's outputs, for two sets of states x and y."""

    both: Float[Array, "B N"]
    x: Float[Array, " B"]
    y: Float[Array, " N"]


class Rectified(NamedTuple):
    """G_l of (3), D_l of (4) and m of (6) for one ReLU layer."""

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


def _add_residual(first: Rectified, last: Rectified, width: int) -> Inner:
    """Inner products (6) of h₁ + h_{L−1}."""
    cross = jnp.outer(first.mean_x, last.mean_y) + jnp.outer(last.mean_x, first.mean_y)
    sides = (2.0 * width * first.mean_x * last.mean_x, 2.0 * width * first.mean_y * last.mean_y)
    parts = zip(first.features, last.features, (cross * width, *sides), strict=True)
    return Inner(*(a + b + c for a, b, c in parts))


def kernels(
    x: Float[Array, "B S"], y: Float[Array, "N S"], recipe: Recipe
) -> tuple[Float[Array, "B N"], Float[Array, "B N"]]:
    """K, the tangent kernel at infinite width, and Σ_L, the covariance of the initial function, of one output."""
    width, variances = recipe.width, _compute_variances(x.shape[-1], recipe)
    covariances = [lambda inner, w=w, b=b: Inner(*(w * part + b for part in inner)) for w, b in variances]
    inner = Inner(x @ y.T, jnp.sum(x**2, -1), jnp.sum(y**2, -1))
    tangent, layers, changes = inner.both + 1.0, [], []
    for layer, (weight, _) in enumerate(variances[1:]):
        layers.append(_rectify(covariances[layer](inner), width))
        changes.append(layers[-1].slope * tangent)
        inner, below = layers[-1].features, changes[-1]
        if recipe.residual and layer == recipe.layers - 2:
            inner, below = _add_residual(layers[0], layers[-1], width), changes[0] + changes[-1]
        tangent = inner.both + 1.0 + weight * below
    share = 0.0 if SCHEMES[recipe.initialisation].at_zero else 1.0 / recipe.towers
    return tangent, share * covariances[-1](inner).both


def _compute_variances(states: int, recipe: Recipe) -> list[tuple[float, float]]:
    """Compute σ² and τ² of each layer."""
    scheme = SCHEMES[recipe.initialisation]
    sizes = [states, *[recipe.width] * (recipe.layers - 1), 1]
    *hidden, last = [(scheme.weight(*pair), scheme.bias(*pair)) for pair in itertools.pairwise(sizes)]
    return [*hidden, (recipe.output_gain**2 * last[0], recipe.output_gain**2 * last[1])]


def tangent_kernel(x: Float[Array, "B S"], y: Float[Array, "N S"], recipe: Recipe) -> Float[Array, "B N"]:
    """K of (5), which is the same for each output and 0 between outputs."""
    return kernels(x, y, recipe)[0]


class Descent(NamedTuple):
    """The state of iteration (1) before a step."""

    c: Float[Array, "N A"]
    velocity: Float[Array, "N A"]


def _step(now: Descent, outputs: Float[Array, "N A"], pairs: Pairs, recipe: Recipe) -> Descent:
    """One step of (1), from f(S)."""
    weights = 1.0 if pairs.weights is None else pairs.weights[:, None]
    unit = compute_unit_actions(outputs, recipe.loss)
    if recipe.loss == "cross-entropy":
        gradient = (unit * pairs.actions.sum(axis=-1, keepdims=True) - pairs.actions) / len(unit)
    else:
        gradient = 2.0 * (unit - pairs.actions) * (1.0 - unit**2) / unit.size
    velocity = recipe.momentum * now.velocity + weights * gradient
    return Descent(now.c - recipe.learning_rate * velocity, velocity)


def _multiply(kernel: Float[Array, "M M"], c: Float[Array, "N A"]) -> Float[Array, "N A"]:
    """Compute K c, for a K that all outputs share (N × N) or for a joint K of all outputs (N A × N A)."""
    return (kernel @ c.reshape(len(kernel), -1)).reshape(c.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def descent(
    kernel: Float[Array, "M M"], before: Float[Array, "N A"], pairs: Pairs, recipe: Recipe
) -> Float[Array, "N A"]:
    """Run the steps of ``recipe`` and return c of (1).

    If λ_t is the adjoint of f(S) in step t, the adjoint of K is Σ_t λ_t c_tᵀ. Back-propagation through the loop would
    add these T products of rank A one by one, each with a pass over the whole matrix. Here they are computed as one
    product of two long matrices. Because K is symmetric, the reverse sweep needs no transpose.

    Args:
        kernel: symmetric K of the pairs, N × N if all outputs share it, or N A × N A for all outputs jointly.
        before: f₀(S), the initial outputs at the pairs.
        pairs: actions in [−1, 1] or beyond, and optional weights.
        recipe: steps, learning rate and momentum of SGD.
    """
    return _descend(kernel, before, pairs, recipe)[0]


Residuals: TypeAlias = tuple[Array, tuple[Descent, Array], Pairs]  # K, the path of (1), the pairs


def _descend(kernel: Array, before: Array, pairs: Pairs, recipe: Recipe) -> tuple[Array, Residuals]:
    def body(now: Descent, _: None) -> tuple[Descent, tuple[Descent, Array]]:
        outputs = before + _multiply(kernel, now.c)
        return _step(now, outputs, pairs, recipe), (now, outputs)

    zero = jnp.zeros_like(pairs.actions)
    last, path = jax.lax.scan(body, Descent(zero, zero), None, length=recipe.steps)
    return last.c, (kernel, path, pairs)


def _descend_back(recipe: Recipe, residual: Residuals, adjoint: Array) -> tuple[Array, Array, Pairs]:
    kernel, path, pairs = residual

    def body(carry: tuple[Descent, Pairs], now: tuple[Descent, Array]) -> tuple[tuple[Descent, Pairs], Array]:
        of_next, of_pairs = carry
        pull = jax.vjp(functools.partial(_step, recipe=recipe), *now, pairs)[1]
        of_now, of_outputs, more = pull(of_next)
        of_now = of_now._replace(c=of_now.c + _multiply(kernel, of_outputs))
        return (of_now, jax.tree.map(jnp.add, of_pairs, more)), of_outputs

    zero = jnp.zeros_like(adjoint), jax.tree.map(jnp.zeros_like, pairs)
    (_, of_pairs), of_outputs = jax.lax.scan(body, (Descent(adjoint, zero[0]), zero[1]), path, reverse=True)
    long = (len(of_outputs), len(kernel), -1)
    of_kernel = jnp.einsum("tma,tna->mn", of_outputs.reshape(long), path[0].c.reshape(long))
    return of_kernel, of_outputs.sum(axis=0), of_pairs


descent.defvjp(_descend, _descend_back)


@check_arguments
@dataclass(frozen=True)
class KernelDescent(Solver):
    """Kernel descent: the training of an infinitely wide student. The module's docstring has the mathematics.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> solver = KernelDescent(Recipe(momentum=0.9))
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> solver(pairs, jnp.zeros((2, 3)), jax.random.key(0)).shape
        (2, 1)
    """

    initialisation: Literal["zero", "drawn"] = "zero"
    """The initial function: ``zero``, the mean over initialisations, or ``drawn``, that of a random network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sgd(self)

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Actions of the infinitely wide student in ``states``. ``key`` is used if the initial function is drawn."""
        recipe = self.recipe
        kernel, elsewhere = (tangent_kernel(x, pairs.states, recipe) for x in (pairs.states, states))
        if self.initialisation == "zero":
            return compute_unit_actions(
                elsewhere @ descent(kernel, jnp.zeros_like(pairs.actions), pairs, recipe), recipe.loss
            )
        network = initialise_network(key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)
        at_pairs, at_states = apply_mlp(network, pairs.states), apply_mlp(network, states)
        return compute_unit_actions(at_states + elsewhere @ descent(kernel, at_pairs, pairs, recipe), recipe.loss)

    def make_policy(self, pairs: Pairs, key: PRNGKeyArray) -> StudentPolicy:
        """Make the student a function of states. With the mean initial function, the inner problem is solved once."""
        if self.initialisation == "drawn":
            return super().make_policy(pairs, key)
        c = _solve(pairs, self.recipe)
        return lambda states: _act(states, pairs.states, c, self.recipe)


@functools.partial(jax.jit, static_argnames="recipe")
def _solve(pairs: Pairs, recipe: Recipe) -> Float[Array, "N A"]:
    """The coefficients c of (1), from f₀ = 0."""
    kernel = tangent_kernel(pairs.states, pairs.states, recipe)
    return descent(kernel, jnp.zeros_like(pairs.actions), pairs, recipe)


@functools.partial(jax.jit, static_argnames="recipe")
def _act(
    states: Float[Array, "B S"], pairs: Float[Array, "N S"], c: Float[Array, "N A"], recipe: Recipe
) -> Float[Array, "B A"]:
    return compute_unit_actions(tangent_kernel(states, pairs, recipe) @ c, recipe.loss)


def compute_initialisation_variance(
    pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray, *, recipe: Recipe, networks: int = 16
) -> Float[Array, "B A"]:
    """Compute the variance of a trained student's actions that is caused by its random initial function.

    Iteration (1) runs from ``networks`` networks drawn from ``key``. Without the tanh there is a closed form: with
    c = M (a − f₀(S)) and k = K(s, S) M, the variance of f is Σ(s, s) − 2 k Σ(S, s) + k Σ(S, S) kᵀ.
    """
    actions = functools.partial(KernelDescent(recipe, initialisation="drawn"), pairs, states)
    return jnp.var(jax.lax.map(actions, jax.random.split(key, networks)), axis=0, ddof=1)
