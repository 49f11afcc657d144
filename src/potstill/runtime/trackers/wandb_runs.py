"""Weights & Biases: runs of the project potstill, offline unless the user is logged in."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from potstill.runtime.files import JsonObject
from potstill.runtime.trackers.base import MetricsTracker

HOST = "https://api.wandb.ai"


class WeightsAndBiases(MetricsTracker):
    """Logs into the folder ``wandb`` or that in ``WANDB_DIR``. A resumed run is a new one in the same group."""

    package, extra = "wandb", "wandb"

    def __init__(self, folder: Path, name: str, command: str, settings: JsonObject) -> None:
        import wandb

        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "potstill"),
            name=name,
            group=name,
            job_type=command,
            config=settings,
            mode=choose_mode(),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )
        self.groups: set[str] = set()

    def log(self, group: str, step: int, numbers: Mapping[str, float]) -> None:
        """Log numbers with the step of their group as one of them: W&B's own steps must increase."""
        if group not in self.groups:
            self.groups.add(group)
            self.run.define_metric(f"{group}/*", step_metric=f"{group}/step")
        self.run.log({f"{group}/{name}": value for name, value in {"step": step, **numbers}.items()})

    def close(self) -> None:
        """End the run, and say how to upload it if it is offline."""
        offline, place = self.run.settings.mode == "offline", Path(self.run.dir).parent
        self.run.finish()
        if offline:
            print(f"tracked offline; to upload: wandb sync {place}")


def choose_mode() -> str:
    """Choose the mode: that of ``WANDB_MODE``, else online if the user is logged in, else offline."""
    return os.environ.get("WANDB_MODE") or ("online" if is_logged_in() else "offline")


def is_logged_in() -> bool:
    """Whether ``WANDB_API_KEY`` or the file that ``wandb login`` writes holds a key. The key is not read further."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or HOST).hostname or ""
    places = [os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"]
    file = next((Path(place) for place in places if place and Path(place).is_file()), None)
    try:
        return file is not None and netrc.netrc(str(file)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
