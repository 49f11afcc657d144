"""The formats of policies by name. Listing them imports neither the formats nor their libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.exports.policies.base import PolicyFormat

POLICY_FORMATS: Registry[PolicyFormat] = Registry(
    "policy format",
    "potstill.policy_formats",
    {
        "onnx": "potstill.exports.policies.onnx_graph:FORMAT",
        "c": "potstill.exports.policies.c_header:FORMAT",
        "numpy": "potstill.exports.policies.numpy_module:FORMAT",
        "torch": "potstill.exports.policies.torch_weights:FORMAT",
    },
)
"""Other packages add a format by an entry point in the group ``potstill.policy_formats``."""
