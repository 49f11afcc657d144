"""The exported policy: its networks as arrays, and its metadata. Also the interface of policy formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from potstill.data.scaling import Scaled, Scaling
from potstill.errors import PotstillError
from potstill.exports.base import Format
from potstill.networks.policy import Layer, Layers, Policy, Residual, Towers, check_layers
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject


@check_arguments
@dataclass(frozen=True, eq=False)
class ExportedPolicy(Scaled):
    """The mean action of M policies of one shape, each with T towers.

        a = low + (1/M Σ_m tanh(1/T Σ_t f_mt((s − mean) / scale)) + 1) · (high − low) / 2

    For a finite set of actions, the policy is the action a with the highest 1/M Σ_m softmax(1/T Σ_t f_mt(…))_a.

    Each f is a ReLU network. If ``residual``, it adds the output of its first hidden layer to that of its last one.

    Args:
        layers: from input to output, in float32: weights [M, T, in, out] and biases [M, T, out].
        scaling: the normaliser (mean and scale) and the action bounds (low and high).
        residual: whether the networks have a skip connection.
        metadata: the origin of the policy, as JSON values.

    Raises:
        PotstillError: the shapes of the layers do not fit together, or not to the scaling.

    Example:
        >>> import numpy as np
        >>> import potstill
        >>> from potstill.exports.policies import ExportedPolicy
        >>> layers = [{"weight": np.ones((3, 1, 2, 1)), "bias": np.zeros((3, 1, 1))}]  # M = 3, T = 1, S = 2, A = 1
        >>> policy = ExportedPolicy(layers, potstill.Scaling.identity(2, 1))
        >>> policy.members, policy.towers, policy.sizes, policy.describe()["network"]
        (3, 1, (2, 1), '2-1, mean action of 3')
    """

    layers: Layers
    scaling: Scaling
    residual: bool = False
    metadata: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        inputs, outputs = len(self.normaliser.mean), len(self.action_bounds)
        check_layers("ExportedPolicy.layers", self.layers, inputs, (outputs,), stacked=2)

    @property
    def members(self) -> int:
        """M, the number of policies whose actions are averaged."""
        return len(self.layers[0]["bias"])

    @property
    def towers(self) -> int:
        """T, the number of networks of each policy, whose outputs are averaged before the tanh."""
        return int(self.layers[0]["bias"].shape[1])

    @property
    def sizes(self) -> tuple[int, ...]:
        """The inputs of the first layer, then the outputs of each layer."""
        return (self.layers[0]["weight"].shape[-2], *(layer["bias"].shape[-1] for layer in self.layers))

    def describe(self) -> JsonObject:
        """Metadata, sizes, normaliser and bounds as JSON values. Every format contains them."""
        words = ["-".join(map(str, self.sizes)), "residual" if self.residual else ""]
        words += [f"mean of {self.towers} towers" if self.towers > 1 else ""]
        words += [f"mean action of {self.members}" if self.members > 1 else ""]
        discrete = {"actions": "discrete"} if self.action_bounds.discrete else {}
        return {
            **self.metadata,
            **discrete,
            "network": ", ".join(word for word in words if word),
            "observation_size": self.sizes[0],
            "action_size": self.sizes[-1],
            **{name: array.tolist() for name, array in self.scaling.to_arrays().items()},
        }


def stack_policies(policies: Sequence[Policy], metadata: JsonObject) -> ExportedPolicy:
    """Combine policies of one shape and one scaling. Stochastic policies are exported by their mean action.

    >>> import potstill
    >>> layers = [{"weight": np.ones((2, 1)), "bias": np.zeros(1)}]
    >>> policy = potstill.Policy(layers, potstill.Scaling.identity(2, 1))
    >>> stack_policies([policy] * 3, {}).describe()["network"]
    '2-1, mean action of 3'
    """
    parts = [_add_axes(policy) for policy in policies]
    layers = [{key: np.stack([part[i][key] for part in parts]) for key in layer} for i, layer in enumerate(parts[0])]
    arrays = {name: array.astype(np.float32) for name, array in policies[0].scaling.to_arrays().items()}
    scaling = Scaling.from_arrays(arrays, "policy")
    return ExportedPolicy(layers, scaling, isinstance(policies[0].layers, Residual), metadata)


def _add_axes(policy: Policy) -> Layers:
    """Return a policy's layers in float32, with an axis for towers and without the outputs for a standard deviation."""
    stacked = isinstance(policy.layers, Towers)
    *hidden, last = [{k: np.asarray(v, np.float32) for k, v in layer.items()} for layer in policy.layers]
    last = {k: v[..., : len(policy.action_bounds)] for k, v in last.items()}
    return [_add_first_axis(layer, stacked) for layer in (*hidden, last)]


def _add_first_axis(layer: Layer, stacked: bool) -> Layer:
    return layer if stacked else {k: v[None] for k, v in layer.items()}


@check_arguments
@dataclass(frozen=True)
class PolicyFormat(Format[ExportedPolicy]):
    """A format in which policies can be written.

    Example:
        A custom format, a NumPy archive with the weights of one network:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import potstill
        >>> from potstill.exports.policies import ExportedPolicy, PolicyFormat
        >>> def write(policy, path):
        ...     np.savez(path, *(layer["weight"][0, 0] for layer in policy.layers))
        >>> archive = PolicyFormat(write, suffixes=(".npz",), averages=False)
        >>> layers = [{"weight": np.ones((1, 1, 2, 1)), "bias": np.zeros((1, 1, 1))}]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     archive.write(ExportedPolicy(layers, potstill.Scaling.identity(2, 1)), Path(folder, "policy.npz"))
        ...     with np.load(Path(folder, "policy.npz")) as arrays:
        ...         arrays["arr_0"].shape
        (2, 1)
    """

    named_in: ClassVar[str] = "potstill.exports.policies.POLICY_FORMATS"

    averages: bool = True
    """Whether the format can hold the mean action of several policies."""

    def check_members(self, members: int, path: object) -> None:
        """Raise if the format cannot hold the mean action of ``members`` policies."""
        if members > 1 and not self.averages:
            raise PotstillError(
                f"{path}: this format holds one network, so the mean action of {members} policies cannot be written: "
                "export one student, or choose .onnx, .h or .py"
            )
