"""Policies as files that run without potstill. A format and its library are imported on first use."""

from typing import TYPE_CHECKING

from potstill.exports.policies.registry import POLICY_FORMATS
from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.exports.policies.base import ExportedPolicy, PolicyFormat
    from potstill.exports.policies.writing import write_policy

__all__ = ["POLICY_FORMATS", "ExportedPolicy", "PolicyFormat", "write_policy"]

__getattr__ = import_lazily(__name__, {"ExportedPolicy": "base", "PolicyFormat": "base", "write_policy": "writing"})


def __dir__() -> list[str]:
    return sorted(__all__)
