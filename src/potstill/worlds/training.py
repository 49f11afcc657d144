"""Training of a world model: one compiled loop over gradient steps on all members at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from potstill.data.scaling import Scaling
from potstill.data.successors import find_recorded_successors
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError
from potstill.networks.mlp import Params
from potstill.runtime.arguments import check_arguments
from potstill.runtime.checkpoints import CheckpointFile, flatten, unflatten
from potstill.runtime.files import JsonObject
from potstill.worlds.base import World
from potstill.worlds.dynamics import Dynamics, apply_members, init_members
from potstill.worlds.limits import NO_LIMIT, Limits, find_limits
from potstill.worlds.settings import WorldSettings
from potstill.worlds.validation import hold_out, measure_errors

LEAST_ROWS = 500  # least number of rows that a model is learned from
MOST_ROWS = 1_000_000  # of larger datasets, a uniform sample of this size is used
CHUNK = 500  # steps of one compiled call
WARM_UP = 0.05  # share of the steps in which the learning rate rises
TERMINATION_WEIGHT = 0.1  # weight of the cross-entropy relative to the mean squared error of standardised outputs
RIDGE = 1e-3  # penalty of the linear fit, in rows
LEAST_SCALE = 1e-6  # added to the scale of residuals, for components that never change
TAIL, MARGIN = 0.05, 1.0  # percentile of the states that bounds predictions, and the margin beyond it
BLOCK = 20_000  # rows in which missing next states are predicted at once
MOST_STARTS = 1_024  # largest number of initial states that are kept
DEFAULT = WorldSettings()


class Outputs(NamedTuple):
    """The rows that a world model learns from."""

    inputs: Float[Array, "M S+A"]
    """Standardised states and actions in [−1, 1]."""
    targets: Float[Array, "M S+2"]
    """Residuals of the linear fit to change and reward in units of σ, and whether the episode terminated."""
    recorded: Bool[Array, " M"]
    """Whether the next state was recorded. If not, the change is not learned from this row."""


class Learning(NamedTuple):
    """The state of the training."""

    layers: Params
    optimiser: optax.OptState


def make_optimiser(settings: WorldSettings) -> optax.GradientTransformation:
    """Adam with a learning rate that rises linearly in the first 5 % of the steps, then decays to 0 by a cosine."""
    warm_up = max(1, int(WARM_UP * settings.steps))
    largest, steps = settings.learning_rate, max(settings.steps, warm_up + 1)
    return optax.adam(optax.warmup_cosine_decay_schedule(largest / warm_up, largest, warm_up, steps))


@check_arguments
def train_world(
    data: Transitions,
    settings: WorldSettings = DEFAULT,
    report: Callable[[int, float], None] | None = None,
    *,
    checkpoint: CheckpointFile | None = None,
) -> World:
    """Learn a world model from a dataset.

    Every twentieth episode is held out to measure errors (every twentieth row, if no episode ends).

    Args:
        data: the transitions. Of more than a million rows, a uniform sample of a million is used.
        settings: networks and training.
        report: called every 500 steps with the number of steps done and the current loss.
        checkpoint: where to save the state every 500 steps, before ``report`` is called. An interrupted training with
            the same arguments continues from there.

    Raises:
        PotstillError: the dataset has fewer than 500 rows, discrete actions, or numbers too large for float32.

    Example:
        >>> import potstill
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(600))
        >>> world = train_world(data, WorldSettings(members=2, width=8, layers=2, steps=2))
        >>> sorted(world.metadata["errors"])
        ['disagreement', 'one_step', 'open_loop', 'reward', 'rows', 'terminations']
    """
    check_rows(data)
    held_out = hold_out(data, settings.seed)
    rows, linear, scale = prepare(data, ~held_out, settings.seed)
    layers = train_members(rows, settings, report, checkpoint)
    states = np.asarray(rows.inputs[:, : data.state_size])
    low, high = np.percentile(states, [TAIL, 100.0 - TAIL], axis=0).astype(np.float32)
    nowhere = np.full(data.state_size, NO_LIMIT, np.float32)
    arrays = linear, scale, low - MARGIN, high + MARGIN, -nowhere, nowhere
    dynamics = Dynamics(layers, *map(jnp.asarray, arrays))
    limits = find_limits(predict_next_states(dynamics, rows), np.asarray(rows.targets[:, -1]) > 0.0)
    if limits is not None:
        dynamics = dynamics._replace(lower=jnp.asarray(limits.lower), upper=jnp.asarray(limits.upper))
    metadata: JsonObject = {
        "dataset": {"name": data.name, "sha256": data.content_hash, "rows": len(data)},
        "env_id": data.env_id,
        "terminates": bool(data.terminations.any()),
        "limits": describe_limits(limits, data),
        "settings": dict(vars(settings)),
        "errors": {"open_loop": {}},  # measured below
    }
    world = World(dynamics, Scaling(data.normaliser, data.action_bounds), select_first_states(data), metadata)
    metadata["errors"] = measure_errors(world, data, held_out)
    return world


def check_rows(data: Transitions) -> None:
    """Raise unless a dataset has enough rows for a world model, and continuous actions."""
    if data.action_bounds.discrete:
        raise PotstillError(f"{data.name}: world models of discrete actions are not supported")
    if len(data) < LEAST_ROWS:
        raise PotstillError(f"{data.name}: {len(data)} rows are too few for a world model, expected {LEAST_ROWS:,}")


def prepare(
    data: Transitions, chosen: Bool[np.ndarray, " M"], seed: int
) -> tuple[Outputs, Float[np.ndarray, "inputs outputs"], Float[np.ndarray, " outputs"]]:
    """The rows to learn from, and W and σ of the linear fit."""
    index = np.flatnonzero(chosen)
    if len(index) > MOST_ROWS:
        index = np.sort(np.random.default_rng(seed).choice(index, MOST_ROWS, replace=False))
    rows, recorded = data.take(index), find_recorded_successors(data)[index]
    recorded |= not recorded.any()  # episodes of a single row: what their next states are does not matter
    states = data.normaliser(rows.observations)
    inputs = np.concatenate([states, data.action_bounds.to_unit(rows.actions)], axis=1).astype(np.float32)
    changes = np.concatenate([data.normaliser(rows.next_observations) - states, rows.rewards[:, None]], axis=1)
    linear, residuals = fit_linear(inputs, changes[:, :-1], recorded)
    of_reward, last = fit_linear(inputs, changes[:, -1:], np.ones_like(recorded))
    with np.errstate(over="ignore", invalid="ignore"):
        scale = (np.append(residuals[recorded].std(axis=0), last.std()) + LEAST_SCALE).astype(np.float32)
    if not np.isfinite(scale).all():
        raise PotstillError(f"{data.name}: rewards or states are too large for a world model: rescale them")
    residuals = np.concatenate([residuals, last], axis=1) / scale
    targets = np.concatenate([residuals, rows.terminations[:, None]], axis=1, dtype=np.float32)
    outputs = Outputs(jnp.asarray(inputs), jnp.asarray(targets), jnp.asarray(recorded))
    return outputs, np.concatenate([linear, of_reward], axis=1), scale


def fit_linear(
    inputs: Float[np.ndarray, "M X"], targets: Float[np.ndarray, "M Y"], used: Bool[np.ndarray, " M"]
) -> tuple[Float[np.ndarray, "X+1 Y"], Float[np.ndarray, "M Y"]]:
    """Fit targets by least squares in the rows that are used; return the weights, and the residuals of all rows."""
    design = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
    gram = design[used].T.astype(np.float64) @ design[used] + RIDGE * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design[used].T.astype(np.float64) @ targets[used]).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return weights, targets - design @ weights


def predict_next_states(dynamics: Dynamics, rows: Outputs) -> Float[np.ndarray, "M S"]:
    """The next states of all rows, standardised: as recorded or, where they are missing, as predicted."""
    size, scale = len(dynamics.low), np.asarray(dynamics.scale)
    states = np.asarray(rows.inputs[:, :size])
    design = np.concatenate([np.asarray(rows.inputs), np.ones((len(states), 1), np.float32)], axis=1)
    residuals = np.array(rows.targets[:, :size])
    for few in np.array_split(np.flatnonzero(~np.asarray(rows.recorded)), 1 + len(states) // BLOCK):
        members = len(dynamics.layers[0]["weight"])
        inputs = jnp.broadcast_to(rows.inputs[few], (members, len(few), rows.inputs.shape[1]))
        residuals[few] = apply_members(dynamics.layers, inputs).mean(axis=0)[:, :size]
    after: np.ndarray = states + (design @ np.asarray(dynamics.linear))[:, :size] + residuals * scale[:size]
    return after


def describe_limits(limits: Limits | None, data: Transitions) -> list[JsonObject]:
    """Describe the limits beyond which episodes terminate, in the units of the observations."""
    found: list[JsonObject] = []
    for side in Limits._fields if limits is not None else ():
        standardised = getattr(limits, side)
        limited = np.abs(standardised) < NO_LIMIT
        values = data.normaliser.invert(np.where(limited, standardised, 0.0))
        found += [{"component": int(i), "side": side, "value": float(values[i])} for i in np.flatnonzero(limited)]
    return found


def select_first_states(data: Transitions) -> Float[np.ndarray, "n S"]:
    """Select the first states of at most 1,024 episodes, evenly chosen, standardised."""
    starts = data.episode_bounds[:-1]
    few = starts[np.unique(np.linspace(0, len(starts) - 1, min(len(starts), MOST_STARTS), dtype=int))]
    return np.asarray(data.normaliser(data.take(few).observations), np.float32)


def train_members(
    rows: Outputs,
    settings: WorldSettings,
    report: Callable[[int, float], None] | None,
    checkpoint: CheckpointFile | None = None,
) -> Params:
    """Fit all members to the rows."""
    key, batch_key = jax.random.split(jax.random.key(settings.seed))
    inputs, outputs = rows.inputs.shape[1], rows.targets.shape[1]
    sizes = (inputs, *[settings.width] * (settings.layers - 1), outputs)
    layers = init_members(key, sizes, settings.members)
    state = Learning(layers, make_optimiser(settings).init(layers))
    saved, done = checkpoint and checkpoint.load(), 0
    if checkpoint and saved:
        state, done = unflatten(state, saved[0], checkpoint.path), saved[1]["done"]
    for first in range(done, settings.steps, CHUNK):
        count = min(CHUNK, settings.steps - first)
        state, loss = take_steps(state, rows, batch_key, first, count, settings)
        if checkpoint:
            checkpoint.save(flatten(state), done=first + count)
        if report is not None:
            report(first + count, float(loss))
    return state.layers


def members_loss(
    layers: Params, inputs: Float[Array, "K B in"], targets: Float[Array, "K B out"], recorded: Bool[Array, "K B"]
) -> Float[Array, ""]:
    """Mean squared error of standardised changes and rewards, plus the weighted cross-entropy of terminations."""
    outputs = apply_members(layers, inputs)
    errors = outputs[..., :-1] - targets[..., :-1]
    errors = errors.at[..., :-1].multiply(recorded[..., None])
    squares = jnp.mean(errors**2)
    entropy = jnp.mean(optax.sigmoid_binary_cross_entropy(outputs[..., -1], targets[..., -1]))
    return squares + TERMINATION_WEIGHT * entropy


@functools.partial(jax.jit, static_argnames=("count", "settings"), donate_argnums=0)
def take_steps(
    state: Learning, rows: Outputs, key: PRNGKeyArray, first: Array | int, count: int, settings: WorldSettings
) -> tuple[Learning, Float[Array, ""]]:
    """Take ``count`` steps of Adam, each member on its own batches; return the state and the mean loss."""
    rule, shape = make_optimiser(settings), (settings.members, settings.batch)

    def step(state: Learning, number: Array) -> tuple[Learning, Array]:
        index = jax.random.randint(jax.random.fold_in(key, number), shape, 0, len(rows.inputs))
        batch = (column[index] for column in rows)
        loss, gradient = jax.value_and_grad(members_loss)(state.layers, *batch)
        change, optimiser = rule.update(gradient, state.optimiser)
        return Learning(optax.apply_updates(state.layers, change), optimiser), loss

    state, losses = jax.lax.scan(step, state, first + jnp.arange(count))
    return state, losses.mean()
