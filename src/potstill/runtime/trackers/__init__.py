"""Trackers take the lines of ``metrics.jsonl`` as well, while a command runs: TensorBoard, Weights & Biases, trackio.

To add a tracker, write a subclass of :class:`~potstill.runtime.trackers.base.MetricsTracker` in a module and add one
line to :data:`TRACKERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.runtime.trackers.base import MetricsTracker

TRACKERS: Registry[type[MetricsTracker]] = Registry(
    "tracker",
    "potstill.trackers",
    {
        "tensorboard": "potstill.runtime.trackers.tensorboard:TensorBoard",
        "wandb": "potstill.runtime.trackers.wandb_runs:WeightsAndBiases",
        "trackio": "potstill.runtime.trackers.trackio_runs:Trackio",
    },
)
"""Tracker classes by name; other packages add theirs under the entry-point group ``potstill.trackers``."""
