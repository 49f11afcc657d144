"""Mixtures: the pairs of several distillates as one distillate.

States and actions stay in the units of the environment. One normaliser replaces those of the sources: with the share
p_k = N_k / N of source k in the pairs, its mean μ_k and its scale σ_k = std_k + 0.001,

    μ = Σ_k p_k μ_k,    std² = Σ_k p_k (std_k² + (μ_k − μ)²),    σ = std + 0.001,                     (1)

the mean and standard deviation of data in which source k has the share p_k. (1) does not depend on the order of merges:
merging a mixture with a third distillate gives the normaliser of all three, up to rounding.

With the task as an input, state s of source k becomes (s, e_k), where e_k has 1 at position k and 0 elsewhere. (1) also
standardises these components: their mean is p_k, their standard deviation √(p_k (1 − p_k)).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from potstill.data.scaling import Scaling
from potstill.data.transitions import SCALE_FLOOR, Normaliser
from potstill.data.units import are_same_bounds
from potstill.distillate import Distillate
from potstill.distillation.stability import stabilise
from potstill.environments.observations.rule import ENTRY
from potstill.errors import PotstillError, name_option
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonMapping, JsonObject
from potstill.students.recipe import Recipe, find_recipe_name

COMMON = ("objective", "weighting", "solver")  # metadata that a mixture keeps if its sources agree
MIXED = "mixed"


@check_arguments
def merge_distillates(
    distillates: Sequence[Distillate],
    recipe: Recipe | None = None,
    *,
    names: Sequence[str] = (),
    task_input: bool = False,
) -> Distillate:
    """Merge the pairs of several distillates of one state and action size into one distillate.

    Pairs are kept as they are, in the order of the sources. The normaliser is that of the sources' data, mixed in the
    shares of the pairs: μ = Σ p_k μ_k and std² = Σ p_k (std_k² + (μ_k − μ)²). If some sources have learned weights, the
    pairs of the others have weights of 1. The metadata name each source, with its hash and its own metadata.

    Args:
        distillates: at least two, all different.
        recipe: the recipe of the students. Default: that of all sources. If its learning rate would not be stable on
            the mixture, it is lowered.
        names: the names of the sources in metadata and messages.
        task_input: append a component for each source to the states: 1 for its own pairs, 0 for others.

    Raises:
        PotstillError: there are fewer than two distillates, two are equal, their sizes, actions or recipes differ, or
            one already has the task as an input.

    Example:
        >>> import dataclasses
        >>> import potstill
        >>> from potstill.tasks import merge_distillates
        >>> first = potstill.load("hopper-medium-replay")
        >>> mirrored = dataclasses.replace(first, actions=-first.actions)
        >>> merge_distillates([first, mirrored], names=["as it is", "mirrored"], task_input=True)
        Distillate(512 pairs, 13 states, 3 actions, no environment, recipe default)
    """
    labels = list(names) or [f"distillate {i}" for i in range(len(distillates))]
    if len(labels) != len(distillates):
        raise PotstillError(f"merge_distillates: {len(labels)} names for {len(distillates)} distillates")
    hashes = _check_sources(distillates, labels)
    counts = [len(distillate) for distillate in distillates]
    shares = np.array(counts) / sum(counts)
    first, states = distillates[0], np.concatenate([distillate.states for distillate in distillates])
    normaliser = pool_normalisers([distillate.normaliser for distillate in distillates], shares)
    if task_input:
        ones = np.eye(len(counts), dtype=np.float32)
        states = np.concatenate([states, np.repeat(ones, counts, axis=0)], axis=1)
        still = [Normaliser(one, np.full(len(one), SCALE_FLOOR, np.float32)) for one in ones]
        normaliser = join_normalisers(normaliser, pool_normalisers(still, shares))
    chosen = (recipe or _find_common_recipe(distillates, labels)).fit_to_actions(discrete=first.action_bounds.discrete)
    stable = stabilise(chosen, np.asarray(normaliser(states)), len(first.action_bounds))
    sources = [
        {"name": label, "sha256": digest, "pairs": len(distillate), "metadata": distillate.metadata}
        for label, digest, distillate in zip(labels, hashes, distillates, strict=True)
    ]
    return Distillate(
        states,
        np.concatenate([distillate.actions for distillate in distillates]),
        Scaling(normaliser, first.action_bounds),
        _describe_mixture(distillates, stable, {"task_input": task_input, "sources": sources}),
        _join_weights(distillates),
    )


def pool_normalisers(normalisers: Sequence[Normaliser], shares: Float[np.ndarray, " K"]) -> Normaliser:
    """Pool normalisers by (1): those of data in which source k has the share p_k.

    >>> one, other = Normaliser([0.0], [1.001]), Normaliser([4.0], [1.001])
    >>> pooled = pool_normalisers([one, other], np.array([0.5, 0.5]))
    >>> pooled.mean.tolist(), round(float(pooled.scale[0]), 4)  # √(1 + 2²) + 0.001
    ([2.0], 2.2371)
    """
    means = np.stack([normaliser.mean for normaliser in normalisers]).astype(np.float64)
    spreads = np.stack([normaliser.scale for normaliser in normalisers]).astype(np.float64) - SCALE_FLOOR
    mean = shares @ means
    square = shares @ (np.maximum(spreads, 0.0) ** 2 + (means - mean) ** 2)
    return Normaliser(mean.astype(np.float32), (np.sqrt(square) + SCALE_FLOOR).astype(np.float32))


def join_normalisers(first: Normaliser, second: Normaliser) -> Normaliser:
    """Make the normaliser of states whose components are those of two others, one after the other."""
    return Normaliser(np.concatenate([first.mean, second.mean]), np.concatenate([first.scale, second.scale]))


def _check_sources(distillates: Sequence[Distillate], labels: Sequence[str]) -> list[str]:
    """Raise unless distillates can be merged; return their hashes."""
    if len(distillates) < 2:
        raise PotstillError(f"a mixture needs at least two distillates, not {len(distillates)}")
    first, hashes = distillates[0], [distillate.content_hash for distillate in distillates]
    for i, (distillate, label) in enumerate(zip(distillates, labels, strict=True)):
        if hashes[i] in hashes[:i]:
            raise PotstillError(f"{label} and {labels[hashes.index(hashes[i])]} are the same distillate: give it once")
        if has_task_input(distillate):
            raise PotstillError(f"{label} has the task as an input already: merge its sources with the others instead")
        kinds = ["discrete" if one.action_bounds.discrete else "continuous" for one in (distillate, first)]
        if kinds[0] != kinds[1]:
            raise PotstillError(f"{label} has {kinds[0]} actions, but {labels[0]} has {kinds[1]} ones")
        for what in ("states", "actions"):
            sizes = [getattr(one, what).shape[1] for one in (distillate, first)]
            if sizes[0] != sizes[1]:
                raise PotstillError(f"{label} has {sizes[0]} components of {what}, but {labels[0]} has {sizes[1]}")
        if distillate.rule != first.rule:
            rules = [one.rule.describe() if one.rule else "vectors" for one in (distillate, first)]
            raise PotstillError(f"the observations of {label} are {rules[0]}; but those of {labels[0]} are {rules[1]}")
        if not are_same_bounds(distillate.action_bounds, first.action_bounds):
            raise PotstillError(f"the action bounds of {label} differ from those of {labels[0]}")
    return hashes


def _find_common_recipe(distillates: Sequence[Distillate], labels: Sequence[str]) -> Recipe:
    """Find the recipe that all sources have."""
    first = distillates[0].recipe
    for distillate, label in zip(distillates, labels, strict=True):
        if distillate.recipe != first:
            raise PotstillError(
                f"{label} and {labels[0]} were distilled for different students: set {name_option('recipe')}, such as "
                f"to {distillates[0].metadata.get('recipe')}"
            )
    return first


def _join_weights(distillates: Sequence[Distillate]) -> Float[np.ndarray, " N"] | None:
    """Concatenate the weights of pairs, which have mean 1 in each source; without learned ones, return ``None``."""
    if all(distillate.weights is None for distillate in distillates):
        return None
    parts = [np.ones(len(one), np.float32) if one.weights is None else one.weights for one in distillates]
    return np.concatenate(parts)


def _describe_mixture(distillates: Sequence[Distillate], recipe: Recipe, mixture: JsonObject) -> JsonObject:
    """Make the metadata. With the task as an input, no environment has these states."""
    known = [distillate.metadata for distillate in distillates]
    same_env = not mixture["task_input"] and len({distillate.env_id for distillate in distillates}) == 1
    datasets = [entry["dataset"] for entry in known]
    found = [str(one.get("name") if isinstance(one, Mapping) else one) for one in datasets]
    warnings = [text for entry in known for text in entry.get("warnings") or ()]
    return {
        "env_id": distillates[0].env_id if same_env else None,
        "reference": known[0].get("reference") if same_env else None,
        **({ENTRY: known[0][ENTRY]} if ENTRY in known[0] and not mixture["task_input"] else {}),
        "dataset": {"name": " + ".join(found)},
        "teacher": None,
        **{key: known[0].get(key) if len({str(entry.get(key)) for entry in known}) == 1 else MIXED for key in COMMON},
        "recipe": find_recipe_name(recipe),
        "student": recipe.to_metadata(),
        "mixture": mixture,
        "potstill": version("potstill"),
        **({"warnings": list(dict.fromkeys(warnings))} if warnings else {}),
    }


def has_task_input(distillate: Distillate) -> bool:
    """Whether the states of a distillate end with a component for each task."""
    mixture = distillate.metadata.get("mixture")
    return isinstance(mixture, Mapping) and mixture.get("task_input") is True


def read_sources(distillate: Distillate) -> list[JsonMapping]:
    """Read the sources of a mixture from its metadata; none if it is not a mixture.

    Raises:
        PotstillError: the metadata are damaged.
    """
    mixture = distillate.metadata.get("mixture")
    if mixture is None:
        return []
    sources = mixture.get("sources") if isinstance(mixture, Mapping) else None
    if not isinstance(sources, list) or len(sources) < 2:
        raise PotstillError("damaged metadata: the mixture has no list of sources")
    for source in sources:
        own = source.get("metadata") if isinstance(source, Mapping) else None
        if not isinstance(own, Mapping) or not isinstance(own.get("env_id"), str | None):
            raise PotstillError("damaged metadata: a source of the mixture has no metadata")
        if not isinstance(own.get("reference"), dict | None):
            raise PotstillError("damaged metadata: a source of the mixture has invalid reference returns")
    if has_task_input(distillate) and len(sources) >= distillate.states.shape[1]:
        raise PotstillError("damaged metadata: the mixture has more tasks than components of states")
    return sources


@check_arguments
class TaskView(NamedTuple):
    """A mixture as one of its tasks, see :func:`select_task`.

    Example:
        >>> import potstill
        >>> TaskView(potstill.load("hopper-medium-replay"), None).inputs is None
        True
    """

    distillate: Distillate
    """All pairs of the mixture, without components for tasks, with the environment and references of this task."""
    inputs: Float[np.ndarray, " K"] | None
    """The components that tell students the task, for ``Students.fix_inputs``; ``None`` if they are not told."""


@check_arguments
def select_task(distillate: Distillate, task: int) -> TaskView:
    """Show a mixture as one of its tasks: with the environment of its source ``task``, and states of that environment.

    Students are trained on the mixture itself. With the task as an input, :meth:`potstill.Students.fix_inputs` turns
    them into policies of the task.

    Raises:
        PotstillError: the distillate is not a mixture, or has no such task.

    Example:
        >>> import dataclasses
        >>> import potstill
        >>> from potstill.tasks import merge_distillates, select_task
        >>> first = potstill.load("hopper-medium-replay")
        >>> mirrored = dataclasses.replace(first, actions=-first.actions)
        >>> mixture = merge_distillates([first, mirrored], potstill.Recipe(steps=2, width=8), task_input=True)
        >>> view = select_task(mixture, 1)
        >>> view.distillate, view.inputs.tolist()
        (Distillate(512 pairs, 11 states, 3 actions, Hopper-v5, recipe custom), [0.0, 1.0])
        >>> mixture.train_students([0]).fix_inputs(view.inputs).make_policy(0)(first.states[:2]).shape
        (2, 3)
    """
    sources = read_sources(distillate)
    if not sources:
        raise PotstillError("the distillate is not a mixture, so it has no tasks to select")
    if not 0 <= task < len(sources):
        raise PotstillError(f"task {task}: expected a number from 0 to {len(sources) - 1}")
    own = sources[task]["metadata"]
    known = {"env_id": own.get("env_id"), "reference": own.get("reference")}
    known |= {ENTRY: own[ENTRY]} if ENTRY in own else {}
    found = dataclasses.replace(distillate, metadata={**distillate.metadata, **known})
    if not has_task_input(distillate):
        return TaskView(found, None)
    size, normaliser = distillate.states.shape[1] - len(sources), distillate.normaliser
    seen = Scaling(Normaliser(normaliser.mean[:size], normaliser.scale[:size]), distillate.action_bounds)
    inputs = np.eye(len(sources), dtype=np.float32)[task]
    return TaskView(dataclasses.replace(found, states=found.states[:, :size], scaling=seen), inputs)
