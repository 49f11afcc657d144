"""The teacher interface: a policy to imitate, and action values that show where imitation matters."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.bundled import find_artefact_path
from potstill.data.transitions import Normaliser
from potstill.errors import naming_source, repeat_warnings
from potstill.networks.mlp import Params, apply_critics, apply_mlp
from potstill.networks.policy import LOG_STD_RANGE, Policy, check_layers, from_arrays
from potstill.runtime import storage
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath


@runtime_checkable
class Teacher(Protocol):
    """A policy with action values. Any object with these attributes is a teacher, including objects of your own.

    States are standardised with ``normaliser``, actions lie in [−1, 1]. Discrete actions are vectors of the
    probabilities of all A actions, and action values are expectations over them. All methods are pure JAX functions, so
    they can be compiled. :class:`NetworkTeacher` is a teacher made of networks, which can be saved.

    Example:
        >>> class Centring:
        ...     normaliser = Normaliser.identity(2)
        ...     def act(self, states):
        ...         return jnp.tanh(-0.5 * states)
        ...     def sample(self, states, key):
        ...         return self.act(states)
        ...     def action_values(self, states, actions):
        ...         return -jnp.sum((actions - self.act(states)) ** 2, axis=-1)[None]
        >>> isinstance(Centring(), Teacher)
        True
    """

    @property
    def normaliser(self) -> Normaliser:
        """The standardisation of the states that the teacher was trained on."""
        ...

    def act(self, states: Float[Array, "*B S"]) -> Float[Array, "*B A"]:
        """Mean actions in standardised states."""
        ...

    def sample(self, states: Float[Array, "*B S"], key: PRNGKeyArray) -> Float[Array, "*B A"]:
        """Sampled actions in standardised states."""
        ...

    def action_values(self, states: Float[Array, "*B S"], actions: Float[Array, "*B A"]) -> Float[Array, "C *B"]:
        """Q(s, a) of each of C critics, in units of discounted return."""
        ...


@check_arguments
@dataclass(frozen=True, repr=False)
class NetworkTeacher:
    """A teacher made of neural networks: one policy and C critics.

    Raises:
        PotstillError: the layers of the critics do not lead from the policy's states and actions to one value.

    Example:
        >>> import potstill
        >>> teacher = potstill.load_teacher("hopper-medium-replay")
        >>> teacher.action_values(jnp.zeros((5, 11)), jnp.zeros((5, 3))).shape[1:]
        (5,)
    """

    policy: Policy
    """Layers, standardisation of the states and action bounds."""
    critics: Params
    """Layers of all critics: each array has a leading axis C."""
    metadata: JsonObject = field(default_factory=dict)
    """How the teacher was made; saved in its file."""
    layer_norm: bool = True
    """Whether LayerNorm follows each hidden layer of the critics."""

    def __post_init__(self) -> None:
        states, actions = len(self.normaliser.mean), self.action_size
        inputs, outputs = (states, actions) if self.policy.action_bounds.discrete else (states + actions, 1)
        check_layers("NetworkTeacher.critics", self.critics, inputs, (outputs,), stacked=1)

    def __repr__(self) -> str:
        critics, algorithm = len(self.critics[-1]["bias"]), self.metadata.get("algorithm", "unknown algorithm")
        return f"NetworkTeacher({self.policy!r}, {critics} critic{'' if critics == 1 else 's'}, {algorithm})"

    @property
    def normaliser(self) -> Normaliser:
        """The standardisation of the states that the teacher was trained on."""
        return self.policy.normaliser

    @property
    def action_size(self) -> int:
        """A, the number of action components."""
        return len(self.policy.action_bounds)

    @functools.cached_property
    def content_hash(self) -> str:
        """SHA-256 over all arrays."""
        digest = hashlib.sha256()
        for name, array in sorted(self._to_arrays().items()):
            digest.update(f"{name}{array.shape}{array.dtype.str}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _to_arrays(self) -> dict[str, np.ndarray]:
        critics = {f"critics.{i}.{k}": np.asarray(v) for i, layer in enumerate(self.critics) for k, v in layer.items()}
        return {**self.policy.to_arrays(), **critics}

    def act(self, states: Float[Array, "*B S"]) -> Float[Array, "*B A"]:
        """Mean actions in [−1, 1] for standardised states; for discrete actions, their probabilities."""
        if self.policy.head == "softmax":
            return jax.nn.softmax(apply_mlp(self.policy.layers, states))
        return jnp.tanh(apply_mlp(self.policy.layers, states)[..., : self.action_size])

    def sample(self, states: Float[Array, "*B S"], key: PRNGKeyArray) -> Float[Array, "*B A"]:
        """Sampled actions in [−1, 1]; a deterministic policy returns its mean action.

        Discrete actions are vectors with 1 for the sampled action and 0 for all others.
        """
        output = apply_mlp(self.policy.layers, states)
        if self.policy.head == "softmax":
            return jax.nn.one_hot(jax.random.categorical(key, output), self.action_size)
        mean = output[..., : self.action_size]
        if self.policy.head == "tanh":
            return jnp.tanh(mean)
        noise = jnp.exp(jnp.clip(output[..., self.action_size :], *LOG_STD_RANGE)) * jax.random.normal(key, mean.shape)
        if self.policy.head == "gaussian":
            return jnp.clip(jnp.tanh(mean) + noise, -1.0, 1.0)
        return jnp.tanh(mean + noise)

    def action_values(self, states: Float[Array, "*B S"], actions: Float[Array, "*B A"]) -> Float[Array, "C *B"]:
        """Q(s, a) of each of C critics, in units of discounted return; for discrete actions, Σ_a π(a | s) Q(s, a).

        Discrete actions are given as vectors of probabilities π.
        """
        return apply_critics(self.critics, states, actions, normed=self.layer_norm)

    def save(self, path: StrPath) -> Path:
        """Write this teacher as one ``.safetensors`` file."""
        networks = {**self.policy.describe_kind(), "layer_norm": self.layer_norm}
        return storage.save(path, "teacher", self._to_arrays(), {**self.metadata, **networks})


@check_arguments
def load_teacher(path: StrPath) -> NetworkTeacher:
    """Read a teacher from a file, a run folder of ``potstill teach``, or the name of a bundled dataset.

    Args:
        path: a ``.safetensors`` file, a run folder or :class:`potstill.Run` of ``teach``, or a bundled name.

    Raises:
        PotstillError: the file does not exist, is damaged or holds another kind of artefact, or the shapes of its
            layers do not match.

    Example:
        >>> teacher = load_teacher("hopper-medium-replay")
        >>> teacher.metadata["algorithm"], teacher.action_size
        ('rebrac', 3)
    """
    path = find_artefact_path(path, "teacher")
    arrays, metadata = storage.load(path, "teacher")
    policy = from_arrays(arrays, metadata, path)
    count = sum(name.startswith("critics.") and name.endswith(".weight") for name in arrays)
    critics = [
        {k: storage.require_array(arrays, f"critics.{i}.{k}", path) for k in ("weight", "bias")} for i in range(count)
    ]
    repeat_warnings(path, metadata.get("warnings"))
    with naming_source(path):
        return NetworkTeacher(policy, critics, metadata, metadata.get("layer_norm", True))
