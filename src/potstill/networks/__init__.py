"""Networks: multilayer perceptrons, their initialisation, and policies as plain arrays."""

from __future__ import annotations

from potstill.networks.policy import Policy, load_policy

__all__ = ["Policy", "load_policy"]
