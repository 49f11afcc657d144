"""Policies as plain NumPy arrays, on disk and in memory, without JAX."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from potstill.data.scaling import Scaled, Scaling
from potstill.errors import PotstillError, make_unknown_name_error, naming_source
from potstill.runtime import storage
from potstill.runtime.arguments import check_arguments
from potstill.runtime.arrays import is_array
from potstill.runtime.files import JsonObject, StrPath

Layer = dict[str, Any]  # {"weight": [in, out], "bias": [out]}
Layers = list[Layer]


class Residual(list[Layer]):
    """Layers of a network that adds the output of the first hidden layer to that of the last one."""


class Towers(list[Layer]):
    """Layers of several networks, stacked on the first axis of each array, whose outputs are averaged."""


Head = Literal["tanh", "gaussian", "tanh_gaussian", "softmax"]
PLAIN: tuple[Head, ...] = ("tanh", "softmax")  # heads without outputs for a standard deviation
LOG_STD_RANGE = (-20.0, 2.0)


@check_arguments
@dataclass(frozen=True, repr=False)
class Policy(Scaled):
    """A ReLU network from raw observations to bounded actions.

    With :class:`Residual` layers it has a skip connection, and with :class:`Towers` it is the mean of several networks.

    The head defines the sampled action, with mean and log-std from the last layer and ε of unit variance:

    =================  ==================================================
    ``tanh``           tanh(mean), without noise
    ``gaussian``       tanh(mean) + std ε, clipped to [-1, 1]
    ``tanh_gaussian``  tanh(mean + std ε)
    ``softmax``        one of a finite set, with probabilities softmax(f)
    =================  ==================================================

    The mean action is tanh(mean). Actions are then scaled from [-1, 1] to the bounds. With the head ``softmax``, the
    network has an output f for each action of a finite set. The policy returns the number of the most probable action.

    Args:
        layers: one dictionary per layer, from input to output: ``weight`` [in, out] and ``bias`` [out].
        scaling: the normaliser of the observations and the action bounds.
        head: the distribution of sampled actions.

    Raises:
        PotstillError: the sizes of the layers do not match one another, or not the states and actions of the scaling;
            or the head is not that of such actions.

    Example:
        A linear policy for a pendulum with observations (angle, angular velocity) and torques in [−2, 2]:

        >>> import numpy as np
        >>> import potstill
        >>> scaling = potstill.Scaling(potstill.Normaliser.identity(2), potstill.ActionBounds([-2.0], [2.0]))
        >>> layers = [{"weight": np.array([[-1.0], [-0.3]]), "bias": np.zeros(1)}]
        >>> policy = potstill.Policy(layers, scaling)
        >>> policy, policy([[0.0, 0.0], [9.0, 0.0]]).round(2).tolist()
        (Policy(2-1, tanh head), [[0.0], [-2.0]])
    """

    layers: Layers
    scaling: Scaling
    head: Head = "tanh"

    def __post_init__(self) -> None:
        if (self.head == "softmax") != self.action_bounds.discrete:
            kind = "a finite set of actions" if self.action_bounds.discrete else "continuous actions"
            raise PotstillError(f"Policy.head '{self.head}' cannot be used with {kind}")
        outputs = len(self.action_bounds) * (1 if self.head in PLAIN else 2)
        stacked = int(isinstance(self.layers, Towers))
        widths = check_layers("Policy.layers", self.layers, len(self.normaliser.mean), (outputs,), stacked=stacked)
        if isinstance(self.layers, Residual) and (len(widths) < 4 or len(set(widths[1:-1])) > 1):
            raise PotstillError(
                f"Policy.layers: a residual network needs at least two hidden layers of one width, not {widths[1:-1]}"
            )

    def __repr__(self) -> str:
        sizes = "-".join(str(layer["weight"].shape[-2]) for layer in self.layers)
        towers = f", {len(self.layers[0]['weight'])} towers" if isinstance(self.layers, Towers) else ""
        return f"Policy({sizes}-{self.layers[-1]['weight'].shape[-1]}{towers}, {self.head} head)"

    def _compute_output(self, observations: ArrayLike) -> np.ndarray:
        needed = len(self.normaliser.mean)
        try:
            raw = np.asarray(observations, np.float32)
        except (TypeError, ValueError):
            raise PotstillError(f"the observation is {reprlib.repr(observations)}: expected numbers") from None
        if raw.ndim == 0 or raw.shape[-1] != needed:
            count = raw.shape[-1] if raw.ndim else 1
            raise PotstillError(f"the observation has {count} components, but the policy expects {needed}")
        if isinstance(self.layers, Towers):
            flat = self.normaliser(raw).reshape(-1, raw.shape[-1])
            stacked = [{"weight": layer["weight"], "bias": layer["bias"][:, None]} for layer in self.layers]
            mean: np.ndarray = _apply_network(stacked, flat).mean(axis=0)
            return mean.reshape(*raw.shape[:-1], -1)
        return _apply_network(self.layers, self.normaliser(raw))

    def __call__(self, observations: ArrayLike) -> np.ndarray:
        """Return mean actions [..., A] for raw observations [..., S]; the numbers [...] of discrete actions."""
        output = self._compute_output(observations)
        if self.head == "softmax":
            return self.action_bounds.choose_actions(output)
        return self.action_bounds.from_unit(np.tanh(output[..., : len(self.action_bounds)]))

    def compute_unit_actions(self, observations: ArrayLike) -> np.ndarray:
        """Return mean actions [..., A] in [−1, 1] for raw observations [..., S]; probabilities of discrete actions."""
        if self.head == "softmax":
            return softmax(self._compute_output(observations))
        return self.action_bounds.to_unit(self(observations))

    def sample(self, observations: ArrayLike, rng: np.random.Generator) -> np.ndarray:
        """Sample actions [..., A] for raw observations [..., S]. A ``tanh`` policy returns its mean action.

        The result for discrete actions is their numbers [...], drawn with the probabilities of the policy.
        """
        output = self._compute_output(observations)
        size = len(self.action_bounds)
        if self.head == "softmax":
            return self.action_bounds.choose_actions(output + rng.gumbel(size=output.shape))
        if self.head == "tanh":
            return self.action_bounds.from_unit(np.tanh(output))
        noise = np.exp(np.clip(output[..., size:], *LOG_STD_RANGE)) * rng.standard_normal(output[..., size:].shape)
        if self.head == "gaussian":
            return self.action_bounds.from_unit(np.clip(np.tanh(output[..., :size]) + noise, -1.0, 1.0))
        return self.action_bounds.from_unit(np.tanh(output[..., :size] + noise))

    def save(self, path: StrPath, metadata: JsonObject | None = None) -> Path:
        """Write this policy and further ``metadata`` as a ``.safetensors`` file; return its path."""
        return storage.save(path, "policy", self.to_arrays(), self.describe_kind() | (metadata or {}))

    def describe_kind(self) -> JsonObject:
        """Describe the head and the kind of network, which the arrays alone do not show, as metadata to save."""
        kinds = {"residual": Residual, "towers": Towers}
        return {"head": self.head, **{name: True for name, kind in kinds.items() if isinstance(self.layers, kind)}}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by their names in saved files."""
        named = {f"layers.{i}.{k}": np.asarray(v) for i, layer in enumerate(self.layers) for k, v in layer.items()}
        return {**named, **self.scaling.to_arrays()}


def softmax(output: np.ndarray) -> np.ndarray:
    """Compute softmax probabilities [..., A] from a network's outputs [..., A]."""
    powers: np.ndarray = np.exp(output - output.max(axis=-1, keepdims=True))
    chances: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return chances


def check_layers(label: str, layers: object, inputs: int, outputs: Sequence[int], *, stacked: int = 0) -> list[int]:
    """Raise unless each layer takes the output of the layer before it.

    Args:
        label: what the layers are called in messages.
        layers: dictionaries of ``weight`` [..., in, out] and ``bias`` [..., out].
        inputs: inputs of the first layer.
        outputs: possible numbers of outputs of the last layer.
        stacked: number of leading axes that all arrays share, such as students, towers or critics.

    Returns:
        The number of inputs, then the number of outputs of each layer.
    """
    if not isinstance(layers, list) or not layers:
        raise PotstillError(f"{label} is {reprlib.repr(layers)}: expected a list of layers")
    widths, lead = [inputs], None
    for i, layer in enumerate(layers):
        if not isinstance(layer, Mapping) or not (is_array(layer.get("weight")) and is_array(layer.get("bias"))):
            raise PotstillError(
                f"{label}[{i}] is {reprlib.repr(layer)}: expected a dictionary of the arrays weight and bias"
            )
        weight, bias = layer["weight"].shape, layer["bias"].shape
        if len(weight) != stacked + 2:
            raise PotstillError(f"{label}[{i}]: weight has shape {weight}, expected {stacked + 2} axes")
        lead = weight[:stacked] if lead is None else lead
        wanted = {"weight": (*lead, widths[-1], weight[-1]), "bias": (*lead, weight[-1])}
        for name, found in {"weight": weight, "bias": bias}.items():
            if found != wanted[name]:
                raise PotstillError(f"{label}[{i}]: {name} has shape {found}, expected {wanted[name]}")
            if "float" not in str(layer[name].dtype):
                raise PotstillError(f"{label}[{i}]: {name} holds {layer[name].dtype}: expected floating-point numbers")
        widths.append(weight[-1])
    if widths[-1] not in outputs or 0 in (lead or ()):
        found = f"{' × '.join(map(str, (*(lead or ()), widths[-1])))} outputs"
        raise PotstillError(f"{label}: the last layer has {found}, expected {' or '.join(map(str, outputs))}")
    return widths


def _apply_network(layers: Layers, x: np.ndarray) -> np.ndarray:
    """Compute the output of one network."""
    inputs = [x]
    for layer in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ layer["weight"] + layer["bias"], 0.0))
    last = inputs[1] + inputs[-1] if isinstance(layers, Residual) else inputs[-1]
    output: np.ndarray = last @ layers[-1]["weight"] + layers[-1]["bias"]
    return output


def from_arrays(arrays: dict[str, np.ndarray], metadata: JsonObject, path: StrPath) -> Policy:
    """Rebuild a policy from :meth:`Policy.to_arrays` and :meth:`Policy.describe_kind`.

    Raises:
        PotstillError: an array is missing, or the shapes of the layers do not match.
    """
    head = metadata.get("head", "tanh")
    if head not in get_args(Head):
        raise make_unknown_name_error("policy head", str(head), get_args(Head))
    towers = bool(metadata.get("towers"))
    _check_shapes(arrays, path, towers)
    count = sum(name.startswith("layers.") and name.endswith(".weight") for name in arrays)
    layers = [
        {k: storage.require_array(arrays, f"layers.{i}.{k}", path) for k in ("weight", "bias")} for i in range(count)
    ]
    scaling = Scaling.from_arrays(arrays, path)
    kind = Towers if towers else Residual if metadata.get("residual") else list
    with naming_source(path):
        return Policy(kind(layers), scaling, cast(Head, head))


def _check_shapes(arrays: dict[str, np.ndarray], path: StrPath, towers: bool) -> None:
    """Raise unless all arrays hold floating-point numbers on the right axes, and biases match their weights."""
    for name, array in arrays.items():
        stacked = name.startswith("critics.") or (towers and name.startswith("layers."))
        axes = 1 + name.endswith(".weight") + stacked
        # To NumPy, foreign types such as bfloat16 are not floating-point, and its checks do not find their NaNs.
        if array.dtype.kind != "f" or array.ndim != axes or not array.size:
            found = f"{array.dtype} of shape {array.shape}"
            raise PotstillError(f"{path}: array '{name}' is {found}, expected floating-point numbers on {axes} axes")
    pairs = [(name, name.replace("bias", "weight")) for name in arrays if re.fullmatch(r"layers\.\d+\.bias", name)]
    for name, twin in pairs:
        found, wanted = (storage.require_array(arrays, part, path).shape[-1] for part in (name, twin))
        if found != wanted:
            raise PotstillError(f"{path}: array '{name}' has {found} numbers, but '{twin}' has {wanted} columns")


@check_arguments
def load_policy(path: StrPath) -> Policy:
    """Read a policy file, or the policy of a teacher file.

    Args:
        path: a ``.safetensors`` file that :meth:`Policy.save` or a teacher's ``save`` wrote.

    Raises:
        PotstillError: there is no such file, it is damaged or of another kind, or its layers do not match.

    Example:
        >>> import tempfile
        >>> import potstill
        >>> policy = potstill.load_teacher("hopper-medium-replay").policy
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     potstill.load_policy(policy.save(f"{folder}/hopper.safetensors"))
        Policy(11-256-256-256-3, tanh head)
    """
    kind = storage.read_kind(path)
    arrays, metadata = storage.load(path, kind if kind in ("policy", "teacher") else "policy")
    return from_arrays(arrays, metadata, path)
