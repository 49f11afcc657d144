"""ONNX: one graph from ``observation`` [batch, S] to ``action`` [batch, A], written with the package ``onnx`` alone.

The output for discrete actions is their numbers, int64 [batch].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from potstill.exports.policies.base import ExportedPolicy, PolicyFormat

OPSET, IR_VERSION = 17, 8  # of 2022; newer runtimes read them


def write(policy: ExportedPolicy, path: Path) -> None:
    """Write the graph, with the entries of :meth:`ExportedPolicy.describe` as JSON in its metadata."""
    import onnx
    from onnx import helper

    graph = _Graph()
    _add_policy(graph, policy)
    real, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    action = (whole, ["batch"]) if policy.action_bounds.discrete else (real, ["batch", policy.sizes[-1]])
    ends = [
        helper.make_tensor_value_info("observation", real, ["batch", policy.sizes[0]]),
        helper.make_tensor_value_info("action", *action),
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "policy", ends[:1], ends[1:], graph.weights),
        producer_name="potstill",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, {name: json.dumps(value) for name, value in policy.describe().items()})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """The nodes and weights of a graph. The output of a node has the name of the node."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add_weight(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add_node(self, name: str, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name


def _add_policy(graph: _Graph, policy: ExportedPolicy) -> None:
    """Standardise, apply the networks, average over towers, tanh, average over policies, and scale to the bounds.

    Discrete actions: softmax instead of tanh, and the most probable action at the end.
    """
    discrete = policy.action_bounds.discrete
    arrays, size = policy.scaling.to_arrays(), policy.sizes[-1]
    low, high = arrays["action_low"], arrays["action_high"]
    x = graph.add_node("centred", "Sub", "observation", graph.add_weight("state_mean", arrays["state_mean"]))
    x = graph.add_node("standardised", "Div", x, graph.add_weight("state_scale", arrays["state_scale"]))
    x = _add_networks(graph, policy, x)
    if policy.members * policy.towers > 1:
        shape = np.array([policy.members, policy.towers, -1, size], np.int64)
        x = graph.add_node("outputs", "Reshape", x, graph.add_weight("shape", shape))
        x = graph.add_node("mean_output", "ReduceMean", x, axes=[1], keepdims=0)
    squash, options = ("Softmax", {"axis": -1}) if discrete else ("Tanh", {})
    x = graph.add_node("unit_action", squash, x, **options)
    if policy.members * policy.towers > 1:
        x = graph.add_node("mean_unit_action", "ReduceMean", x, axes=[0], keepdims=0)
    if discrete:
        graph.add_node("action", "ArgMax", x, axis=-1, keepdims=0)
        return
    x = graph.add_node("shifted", "Add", x, graph.add_weight("one", np.ones(1, np.float32)))
    x = graph.add_node("scaled", "Mul", x, graph.add_weight("half_range", np.float32(0.5) * (high - low)))
    graph.add_node("action", "Add", x, graph.add_weight("action_low", low))


def _add_networks(graph: _Graph, policy: ExportedPolicy, x: str) -> str:
    """Add all networks; return the name of their outputs: [batch, A] of one network, [M T, batch, A] of several."""
    count, last = policy.members * policy.towers, len(policy.layers) - 1
    first = x
    for i, layer in enumerate(policy.layers):
        *_, inputs, outputs = layer["weight"].shape
        stacked = () if count == 1 else (count,)
        weight = graph.add_weight(f"weight{i}", layer["weight"].reshape(*stacked, inputs, outputs))
        bias = graph.add_weight(f"bias{i}", layer["bias"].reshape(*stacked, 1, outputs))
        if policy.residual and i == last:
            x = graph.add_node("skip", "Add", x, first)
        x = graph.add_node(f"linear{i}", "MatMul", x, weight)
        x = graph.add_node(f"preactivation{i}", "Add", x, bias)
        x = x if i == last else graph.add_node(f"hidden{i}", "Relu", x)
        first = x if i == 0 else first
    return x


FORMAT = PolicyFormat(write, suffixes=(".onnx",), package="onnx", extra="onnx")
