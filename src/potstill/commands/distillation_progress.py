"""Progress of a distillation, and its checkpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from potstill.distillation.outer_loop import Iterate, LoopState
from potstill.distillation.outer_step import initialise_outer
from potstill.distillation.schedule import Schedule
from potstill.distillation.selection import IterateSelection
from potstill.distillation.settings import OuterSettings
from potstill.runtime import storage
from potstill.runtime.checkpoints import CheckpointFile, flatten, unflatten
from potstill.runtime.storage import Arrays
from potstill.students.training import Pairs


class Snapshot(NamedTuple):
    """The pairs after an outer step."""

    step: int
    pairs: Pairs
    seconds: float
    """Time since the start of the loop."""


class Visited(NamedTuple):
    """The visits of an interrupted loop."""

    rollouts: list[np.ndarray]
    survived: list[float]


@dataclass
class Progress:
    """The outer loop so far, apart from its metrics."""

    schedule: Schedule
    selection: IterateSelection
    last: Snapshot | None = None
    kept: Snapshot | None = None
    """The pairs that the selection has chosen."""
    reached: list[Snapshot] = field(default_factory=list)
    """Points of the curve. Evaluated after the loop: evaluating inside the loop would stall the other processes."""
    state: LoopState | None = None
    """The state after the last step; ``None`` before the first."""
    visited: Visited | None = None
    """The visits of an interrupted loop, until the loop is resumed."""

    @property
    def seconds(self) -> float:
        """Time since the start of the loop, without that of an interruption."""
        return time.perf_counter() - self.schedule.started

    def take(self, iterate: Iterate) -> Snapshot:
        """Take the next iterate of the loop."""
        self.last, self.state = Snapshot(iterate.step, iterate.pairs, self.seconds), iterate.state
        if self.selection.offer(iterate.step, iterate.pairs):
            self.kept = self.last
        return self.last

    def save(self, file: CheckpointFile) -> None:
        """Write a checkpoint, if the loop has taken a step."""
        if self.state is None or self.last is None or self.kept is None:
            return
        arrays: Arrays = flatten(self.state.outer, "outer") | flatten(self.state.mean, "mean")
        snapshots = {"last": self.last, "kept": self.kept}
        snapshots |= {f"reached {number}": snapshot for number, snapshot in enumerate(self.reached)}
        for name, snapshot in snapshots.items():
            arrays |= flatten(snapshot.pairs, name)
        visits = self.state.visits
        for number, rollout in enumerate(visits.rollouts if visits else ()):
            arrays[f"rollout {number}"] = rollout
        schedule = self.schedule
        file.save(
            arrays,
            seconds=self.seconds,
            snapshots={name: [snapshot.step, snapshot.seconds] for name, snapshot in snapshots.items()},
            loop=[self.state.step, self.state.stage, self.state.before],
            survived=visits.survived if visits else None,
            steps=schedule.steps,
            max_steps=schedule.max_steps,
            rate=schedule.rate,
            losses=list(schedule.losses.items()),
            criterion=list(self.selection.losses.items()),
        )


def load_progress(file: CheckpointFile, selection: IterateSelection, settings: OuterSettings) -> Progress:
    """The progress of an interrupted loop, or that of a new one.

    Args:
        file: the checkpoint.
        selection: the selection of the pairs to keep, and the schedule, of a new loop.
        settings: the settings of the loop.

    Raises:
        PotstillError: the checkpoint is damaged or of other settings.
    """
    loaded = file.load()
    if loaded is None:
        return Progress(selection.schedule, selection)
    arrays, saved = loaded
    outer = initialise_outer(_read_pairs(arrays, "last", file), settings)
    snapshots = {
        name: Snapshot(step, _read_pairs(arrays, name, file), seconds)
        for name, (step, seconds) in saved["snapshots"].items()
    }
    schedule = replace(
        selection.schedule,
        started=time.perf_counter() - saved["seconds"],
        steps=saved["steps"],
        max_steps=saved["max_steps"],
        rate=saved["rate"],
        losses=dict(saved["losses"]),
    )
    rollouts = [arrays[f"rollout {number}"] for number in range(len(saved["survived"] or ()))]
    return Progress(
        schedule,
        replace(selection, schedule=schedule, losses=dict(saved["criterion"])),
        last=snapshots.pop("last"),
        kept=snapshots.pop("kept"),
        reached=list(snapshots.values()),
        state=LoopState(
            unflatten(outer, arrays, file.path, "outer"),
            unflatten(outer.learned, arrays, file.path, "mean"),
            *saved["loop"],
        ),
        visited=Visited(rollouts, saved["survived"]) if rollouts else None,
    )


def _read_pairs(arrays: Arrays, name: str, file: CheckpointFile) -> Pairs:
    """The pairs of a snapshot. Initial pairs have no weights, even if the others do."""
    states, actions = (storage.require_array(arrays, f"{name}.{part}", file.path) for part in ("states", "actions"))
    weights = arrays.get(f"{name}.weights")
    return Pairs(jnp.array(states), jnp.array(actions), None if weights is None else jnp.array(weights))
