"""World models as objects: their arrays, their scaling and their measured errors."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from potstill.bundled import find_artefact_path
from potstill.data.scaling import Scaled, Scaling
from potstill.errors import PotstillError, naming_source
from potstill.networks.policy import check_layers
from potstill.runtime import storage
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath
from potstill.worlds.dynamics import Dynamics, Prediction, predict, predict_by_member

LARGEST_ERROR = 0.5  # open-loop error, in standard deviations of states, up to which the model counts as accurate


@check_arguments
@dataclass(frozen=True, repr=False, eq=False)
class World(Scaled):
    """A model of an environment that was learned from a dataset: next state, reward and termination.

    Args:
        dynamics: the arrays.
        scaling: standardisation of the states, and bounds of the actions.
        starts: first states of episodes in the data [n, S], standardised.
        metadata: dataset, settings and errors, as JSON-compatible values.

    Raises:
        PotstillError: the arrays do not fit each other, or the metadata lack what the model needs.

    Example:
        >>> import numpy as np, potstill
        >>> from potstill.worlds import WorldSettings, train_world
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(2000))
        >>> world = train_world(data, WorldSettings(members=2, width=16, steps=20))
        >>> world.terminates, world.starts.shape[1]
        (True, 11)
    """

    dynamics: Dynamics
    scaling: Scaling
    starts: Float[np.ndarray, "n S"]
    metadata: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        states, actions = len(self.normaliser.mean), len(self.action_bounds)
        check_layers("World.dynamics.layers", self.dynamics.layers, states + actions, (states + 2,), stacked=1)
        shapes = {"linear": (states + actions + 1, states + 1), "scale": (states + 1,), "low": (states,)}
        for name, wanted in {**shapes, **dict.fromkeys(("high", "lower", "upper"), (states,))}.items():
            found = np.shape(getattr(self.dynamics, name))
            if found != wanted:
                raise PotstillError(f"World.dynamics.{name} has shape {found}: expected {wanted}")
        check_starts("World.starts", self.starts, states)
        _check_metadata(self.metadata)

    def __repr__(self) -> str:
        members = len(self.dynamics.layers[0]["weight"])
        return f"World('{self.metadata['dataset']['name']}': {members} members, horizon {self.horizon})"

    @property
    def terminates(self) -> bool:
        """Whether episodes of the data terminate."""
        return bool(self.metadata["terminates"])

    @property
    def horizon(self) -> int:
        """The largest tested number of steps up to which the model predicts states accurately; 0 if there is none.

        A prediction counts as accurate if the root mean square error on held-out episodes, along their recorded
        actions, is at most half a standard deviation of the states (median over rollouts).
        """
        errors = {int(n): error for n, error in self.metadata["errors"]["open_loop"].items()}
        accurate = [n for n in errors if all(errors[m] <= LARGEST_ERROR for m in errors if m <= n)]
        return max(accurate, default=0)

    @functools.cached_property
    def step(self) -> functools.partial[Prediction]:
        """The compiled prediction for standardised states and actions in [−1, 1]."""
        return functools.partial(jax.jit(functools.partial(predict, terminates=self.terminates)), self.dynamics)

    @functools.cached_property
    def step_by_member(self) -> functools.partial[Prediction]:
        """The same, but each row has one member of the model: row i has member i, modulo their number."""
        compiled = jax.jit(functools.partial(predict_by_member, terminates=self.terminates))
        return functools.partial(compiled, self.dynamics)

    def check_dataset(self, dataset_hash: str, name: str) -> None:
        """Raise unless the model was learned from the dataset with this hash."""
        known = self.metadata["dataset"]
        if known["sha256"] != dataset_hash:
            same = ", of the same name but with other content" if known["name"] == name else ""
            raise PotstillError(
                f"the world model was learned from other data ({known['name']}) than {name}{same}: "
                "train one with 'potstill model'"
            )

    def save(self, path: StrPath) -> Path:
        """Write the model as one ``.safetensors`` file."""
        names = {f"layers.{i}.{k}": v for i, layer in enumerate(self.dynamics.layers) for k, v in layer.items()}
        arrays = {**names, **{k: v for k, v in self.dynamics._asdict().items() if k != "layers"}}
        arrays |= {**self.scaling.to_arrays(), "starts": self.starts}
        return storage.save(path, "world", {k: np.asarray(v) for k, v in arrays.items()}, self.metadata)


@check_arguments
def load_world(path: StrPath) -> World:
    """Read a world model from a file, the run folder of ``potstill model``, or the name of a bundled dataset.

    Args:
        path: a ``.safetensors`` file, a run folder or :class:`potstill.Run` of ``model``, or a bundled name.

    Raises:
        PotstillError: the file does not exist, is damaged, or holds another kind of artefact.

    Example:
        >>> import tempfile
        >>> import numpy as np, potstill
        >>> from potstill.worlds import WorldSettings, train_world
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(2000))
        >>> world = train_world(data, WorldSettings(members=2, width=16, steps=20))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_world(world.save(f"{folder}/world.safetensors")).horizon == world.horizon
        True
    """
    path = find_artefact_path(path, "world")
    arrays, metadata = storage.load(path, "world")
    if "lower" not in arrays:  # such models also learned the next states that terminated rows lack
        raise PotstillError(f"{path}: written by an earlier version: train it again with 'potstill model'")
    need = functools.partial(storage.require_array, arrays, path=path)
    count = sum(name.startswith("layers.") and name.endswith(".weight") for name in arrays)
    layers = [{k: need(f"layers.{i}.{k}") for k in ("weight", "bias")} for i in range(count)]
    dynamics = Dynamics(layers, *(jnp.asarray(need(name)) for name in Dynamics._fields[1:]))
    scaling = Scaling.from_arrays(arrays, path)
    with naming_source(f"{path}: damaged"):
        return World(dynamics, scaling, need("starts"), metadata)


def check_starts(label: str, starts: Float[np.ndarray, "n S"], size: int) -> None:
    """Raise unless there is an initial state, and initial states have ``size`` components."""
    if not starts.size or starts.shape[1] != size:
        raise PotstillError(f"{label} has shape {starts.shape}: expected at least one state of {size} components")


def _check_metadata(metadata: JsonObject) -> None:
    """Raise unless the metadata have what a :class:`World` reads from them."""
    dataset, errors = metadata.get("dataset"), metadata.get("errors")
    steps = errors.get("open_loop") if isinstance(errors, dict) else None
    fits = isinstance(dataset, dict) and all(isinstance(dataset.get(name), str) for name in ("name", "sha256"))
    fits &= isinstance(steps, dict) and all(n.isdecimal() and isinstance(e, float) for n, e in steps.items())
    fits &= isinstance(metadata.get("terminates"), bool) and isinstance(metadata.get("env_id"), str | None)
    if not fits:
        raise PotstillError(
            "World.metadata: expected dataset (name, sha256), errors (open_loop), terminates and env_id"
        )
