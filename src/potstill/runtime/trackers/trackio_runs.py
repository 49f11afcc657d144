"""trackio: runs of the local project potstill, which ``trackio show --project potstill`` displays."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Mapping
from pathlib import Path

from potstill.runtime.files import JsonObject
from potstill.runtime.trackers.base import MetricsTracker


class Trackio(MetricsTracker):
    """Logs on this machine, into the folder of trackio. A resumed run is a new one in the same group."""

    package, extra = "trackio", "trackio"

    def __init__(self, folder: Path, name: str, command: str, settings: JsonObject) -> None:
        import trackio

        unique = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        with contextlib.redirect_stdout(io.StringIO()):  # potstill prints one line itself
            config = {"command": command, **settings}
            self.run = trackio.init(project="potstill", name=unique, group=name, config=config, embed=False)
        self.end = trackio.finish

    def log(self, group: str, step: int, numbers: Mapping[str, float]) -> None:
        """Log numbers, with the step of their group as one of them."""
        self.run.log({f"{group}/{name}": value for name, value in {"step": step, **numbers}.items()})

    def close(self) -> None:
        """End the run."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.end()
        print("tracked locally; to show: trackio show --project potstill")
