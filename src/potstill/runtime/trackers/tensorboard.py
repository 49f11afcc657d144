"""TensorBoard: an event file in the run folder, so that ``tensorboard --logdir runs`` shows all runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from potstill.runtime.files import JsonObject
from potstill.runtime.trackers.base import MetricsTracker


class TensorBoard(MetricsTracker):
    """Writes scalars and the settings. tensorboardX writes event files without TensorFlow or PyTorch."""

    package, extra = "tensorboardX", "tensorboard"

    def __init__(self, folder: Path, name: str, command: str, settings: JsonObject) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(folder), write_to_disk=True)
        self.writer.add_text("settings", f"`{json.dumps({'command': command, **settings})}`", 0)

    def log(self, group: str, step: int, numbers: Mapping[str, float]) -> None:
        """Write scalars."""
        for name, value in numbers.items():
            self.writer.add_scalar(f"{group}/{name.replace(' ', '/')}", value, step)

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()
