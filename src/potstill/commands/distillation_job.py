"""One run of ``potstill distill``: the outer loop with its checkpoints and metrics, and the final evaluation."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TypeAlias

import numpy as np
from jaxtyping import Array

from potstill.bundled import BUNDLED, list_bundled_names
from potstill.commands.distillation_evaluation import Evaluations
from potstill.commands.distillation_privacy import CHECKPOINT
from potstill.commands.distillation_progress import Progress, Snapshot, load_progress
from potstill.commands.distillation_tables import Tables, make_selection
from potstill.commands.resolve import Problem
from potstill.config import DistillConfig
from potstill.config.distill_record import to_stored
from potstill.config.settings import command_line, record_settings
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser, Transitions
from potstill.distillate import Distillate, split_weights
from potstill.distillation.outer_loop import Iterate
from potstill.distillation.schedule import Schedule
from potstill.distillation.selection import (
    Loss,
    make_held_out_loss,
)
from potstill.environments.observations.rule import ENTRY
from potstill.environments.references import Reference
from potstill.errors import PotstillError, name_option, repeat_warnings
from potstill.runtime import devices
from potstill.runtime.checkpoints import CheckpointFile
from potstill.runtime.files import JsonObject, hash_file, read_json
from potstill.runtime.interruption import deferred_interruption
from potstill.runtime.progress import Tracker, busy
from potstill.runtime.run_folder import RunFolder
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs
from potstill.teachers.base import NetworkTeacher
from potstill.worlds.base import World

CHECKPOINT_EVERY = 30  # steps, if the number of steps is unknown
MAX_METRICS = 2000  # limit on the lines of metrics: long runs log one step in n

PairIterator: TypeAlias = Callable[[DistillConfig, Problem, Tables, NetworkTeacher | None, Progress], Iterator[Iterate]]


def thin_indices(count: int, points: int) -> list[int]:
    """The indices 0 … count − 1.

    If ``count`` exceeds ``points + 2``, about ``points`` evenly spaced indices, both ends included.
    """
    few = count <= points + 2
    return list(range(count)) if few else sorted({*np.linspace(0, count - 1, points, dtype=int).tolist(), count - 1})


def check_step(step: int, pairs: Pairs, metrics: dict[str, Array], recipe: Recipe) -> None:
    """Raise, with the step and the norms, if a metric or the pairs are not finite."""
    numbers = {name: float(value) for name, value in metrics.items()}
    numbers |= {f"largest {name[:-1]}": float(np.abs(getattr(pairs, name)).max()) for name in ("states", "actions")}
    if all(np.isfinite(value) for value in numbers.values()):
        return
    found = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in numbers.items())
    raise PotstillError(
        f"outer step {step}: {found} (states in standard deviations): the students' training diverged; lower "
        f"{name_option('recipe.learning_rate')} (now {recipe.learning_rate:g}) or {name_option('learning_rate')}, or "
        "check the data for outliers (potstill inspect)"
    )


@dataclass
class Job:
    """A distillation in progress: its inputs, times and intermediate results."""

    config: DistillConfig
    problem: Problem
    data: Transitions
    teacher: NetworkTeacher | None
    folder: RunFolder
    reference: Reference
    world: World | None = None
    """The world model in which students are evaluated, if any."""
    by_default: bool = False
    """Whether the command does not say which states to use."""
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("distilling", "training", "evaluating"), 0.0)
    )
    curve: list[dict[str, float]] = field(default_factory=list)
    chosen: dict[str, object] = field(default_factory=dict)
    schedule_summary: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """Warnings about the teacher and, after evaluation, the students."""
    privacy: JsonObject | None = None
    """The statement of a private distillation. The distillate then holds nothing else that depends on the data."""

    @functools.cached_property
    def evaluations(self) -> Evaluations:
        """Computes the curve and the final scores."""
        return Evaluations(self.config, self.data, self.teacher, self.reference, self.folder, self.world)

    def distil(self, iterate_pairs: PairIterator) -> Distillate:
        """Run the outer loop, save the pairs at every point of the curve, then measure the curve."""
        config, problem = self.config, self.problem
        with busy("computing the teacher's actions and values"):
            tables = Tables.build(problem, self.data, self.teacher)
        loss = make_held_out_loss(problem.objective, problem.solver, tables.held_out, self.teacher)
        scaling = Scaling(self._normaliser, self.data.action_bounds)
        selection = make_selection(config, problem, tables, self.teacher, self.world, scaling)
        progress = load_progress(self.checkpoint, selection, problem.settings)
        self._drop_later_metrics(progress)
        self._run_loop(progress, iterate_pairs(config, problem, tables, self.teacher, progress))
        devices.disconnect()
        last, kept, schedule = progress.last, progress.kept, progress.schedule
        assert last is not None  # there are always the initial pairs
        assert kept is not None
        self.seconds["distilling"] = started = progress.seconds
        self.schedule_summary = schedule.summarise(last.step)
        print(self.schedule_summary["summary"], flush=True)
        if progress.reached[-1].step != last.step:
            progress.reached.append(last)
        self._measure_curve(progress.reached, loss, schedule)
        self.seconds["evaluating"] += progress.seconds - started
        self.chosen = {"step": kept.step, "by": config.choose, "losses": progress.selection.losses}
        return self._save(kept, schedule)

    @property
    def _normaliser(self) -> Normaliser:
        """The standardisation of the pairs: the teacher's, if there is one."""
        return (self.data if self.teacher is None else self.teacher).normaliser

    @property
    def checkpoint(self) -> CheckpointFile:
        """The checkpoint of the outer loop."""
        return CheckpointFile(self.folder.path / CHECKPOINT)

    def _run_loop(self, progress: Progress, iterates: Iterator[Iterate]) -> None:
        """Take all outer steps. After a signal, write a checkpoint and stop.

        Raises:
            Interrupted: a signal asked to stop.
        """
        schedule, checkpoint = progress.schedule, self.checkpoint
        alone = devices.is_alone()  # several processes would have to stop at the same step
        done = 0 if progress.last is None else progress.last.step
        total = schedule.expected_steps + self.config.polish
        with Tracker("distil", total, done=done, then="evaluation") as tracker, deferred_interruption() as interruption:
            for iterate in iterates:
                snapshot = progress.take(iterate)
                if iterate.metrics:
                    checked = self._select_checked(iterate.metrics)
                    check_step(iterate.step, iterate.pairs, checked, self.problem.solver.recipe)
                    self._log(iterate.step, iterate.metrics, snapshot.seconds, schedule, tracker)
                if self._is_checkpoint(iterate.step, schedule):
                    self._save(snapshot, schedule)
                    progress.reached.append(snapshot)
                if alone and (interruption.requested or checkpoint.is_due):
                    progress.save(checkpoint)
                if interruption.requested:
                    raise interruption.make_exception(f"stopped after step {iterate.step}")
        if alone:
            progress.save(checkpoint)

    def _select_checked(self, metrics: dict[str, Array]) -> dict[str, Array]:
        """Select the metrics that must be finite: whether a run stops must not depend on what is not private."""
        return {name: value for name, value in metrics.items() if self.privacy is None or name != "loss"}

    def _drop_later_metrics(self, progress: Progress) -> None:
        """Drop the metrics of later steps and of the curve. A resumed run writes them again."""
        done = 0 if progress.last is None else progress.last.step
        self.folder.keep_metrics(lambda line: "curve" not in line and line.get("step", 0) <= done)

    def _log(self, step: int, metrics: dict[str, Array], seconds: float, schedule: Schedule, tracker: Tracker) -> None:
        """Log the metrics of every step of a short run, and of one step in n of a long one."""
        tracker.total = schedule.expected_steps + self.config.polish
        if step % max(1, tracker.total // MAX_METRICS) == 0:
            values = {name: float(value) for name, value in metrics.items()}
            self.folder.log(step=step, **values, seconds=seconds)
            tracker.update(step, loss=values["loss"])

    def _is_checkpoint(self, step: int, schedule: Schedule) -> bool:
        """Whether to save the pairs at this step. If the total is unknown, save them every 30 steps."""
        if schedule.steps is None:
            return step % CHECKPOINT_EVERY == 0
        steps = schedule.steps + self.config.polish
        return step in {*np.linspace(0, steps, self.config.curve_points, dtype=int).tolist(), schedule.steps, steps}

    def _save(self, snapshot: Snapshot, schedule: Schedule) -> Distillate:
        """Write pairs as the distillate of the run."""
        distillate = self._make_distillate(snapshot, schedule)
        distillate.save(self.folder.path / "distillate.safetensors")
        return distillate

    def _make_distillate(self, snapshot: Snapshot, schedule: Schedule) -> Distillate:
        """The pairs, in the environment's own units, with their metadata."""
        pairs, normaliser, bounds = snapshot.pairs, self._normaliser, self.data.action_bounds
        if self.privacy and self.teacher is not None:
            bounds = self.teacher.policy.action_bounds
        weights = None if pairs.weights is None else np.asarray(pairs.weights)
        weights, recipe = split_weights(weights, self.problem.solver.recipe)
        return Distillate(
            normaliser.invert(np.asarray(pairs.states)).astype(np.float32),
            bounds.from_unit(np.asarray(pairs.actions)).astype(np.float32),
            Scaling(normaliser, bounds),
            self._make_metadata(snapshot.step, recipe, schedule),
            weights,
        )

    def _make_metadata(self, step: int, recipe: Recipe, schedule: Schedule) -> dict[str, object]:
        config, data, settings = self.config, self.data, self.problem.settings
        if config.budget is not None:  # record the number of steps instead, so that the command is reproducible
            config = replace(config, budget=None, steps=schedule.steps, max_steps=schedule.step_limit)
        unsaid = ("states",) if self.by_default or config.states == "data" else ()  # see Distillate.command
        facts = {} if self.privacy else {"sha256": data.content_hash, "rows": len(data)}
        return {
            "env_id": data.env_id,
            **({ENTRY: data.rule.to_json()} if data.rule else {}),
            "reference": self.reference._asdict(),
            "dataset": {"name": data.name, **facts},
            "teacher": None if self.teacher is None else {"sha256": self.teacher.content_hash, **self.teacher.metadata},
            **self.problem.names,
            "weighting": self.problem.weighting,
            "state_noise": settings.state_noise,
            **({} if config.states == "data" else {"states": config.states}),
            **({} if settings.labels == "learned" else {"labels": settings.labels}),
            "action_limit": settings.action_limit,
            "student": recipe.to_metadata(),
            "steps": step,
            "settings": to_stored(record_settings(config)),
            "command": command_line("distill", config, without=unsaid),
            "potstill": version("potstill"),
            **({"privacy": self.privacy} if self.privacy else {"warnings": self.warnings} if self.warnings else {}),
        }

    def _measure_curve(self, reached: list[Snapshot], loss: Loss, schedule: Schedule) -> None:
        """Evaluate the snapshots of the curve. A resumed run reuses stored measurements."""
        shown = thin_indices(len(reached), self.config.curve_points)
        self.evaluations.plan(len(shown))
        with Tracker("curve", len(shown), work=self.evaluations.work) as tracker:
            for number, index in enumerate(shown, start=1):
                self._add_to_curve(reached[index], loss, schedule, tracker)
                tracker.update(number)

    def _add_to_curve(self, at: Snapshot, loss: Loss, schedule: Schedule, tracker: Tracker) -> None:
        """Add a point to the curve: outer step, held-out loss, seconds, and mean returns if there is an environment."""

        def measure() -> JsonObject:
            point: JsonObject = {"step": at.step, "held_out_loss": loss(at.pairs), "seconds": at.seconds}
            return point | self.evaluations.score_point(self._make_distillate(at, schedule), tracker)

        point = self.folder.compute_once(f"curve {at.step}", measure)
        self.curve.append(point)
        self.folder.log(curve=point)

    def evaluate(self, distillate: Distillate) -> JsonObject:
        """Evaluate students of the distillate; return the result of the run.

        Each part is computed once in the run, even if the run is interrupted and resumed.
        """
        started = time.perf_counter()
        result: JsonObject = {"dataset": self.data.name, "env_id": self.data.env_id, "states": self.config.states}
        result |= {"reference": self.reference._asdict(), "pairs": len(distillate)}
        result |= self.evaluations.score(distillate)
        self._add_warnings(distillate, result.pop("warnings"))
        self.seconds["training"] = self.evaluations.training_seconds
        self.seconds["evaluating"] += time.perf_counter() - started - self.seconds["training"]
        artefact = hash_file(self.folder.path / "distillate.safetensors")
        result |= {"warnings": self.warnings, "bc": find_cloning_result(self.config.dataset), "curve": self.curve}
        result |= {"chosen": self.chosen, "schedule": self.schedule_summary}
        result |= {"privacy": self.privacy} if self.privacy else {}
        return result | {"seconds": self.seconds, "sha256": artefact}

    def _add_warnings(self, distillate: Distillate, found: list[str]) -> None:
        """Save warnings about the students in the distillate; later commands repeat them."""
        if not found:
            return
        self.warnings += found
        if self.privacy:
            return
        path = self.folder.path / "distillate.safetensors"
        replace(distillate, metadata=distillate.metadata | {"warnings": self.warnings}).save(path)
        repeat_warnings(self.folder.target / path.name, found)  # where the run will be in the end


def find_cloning_result(dataset: object) -> JsonObject | None:
    """Return the bundled result of behavioural cloning on a whole bundled dataset, if there is one."""
    path = BUNDLED / f"{dataset}.bc.json"
    return read_json(path)["bc"] if str(dataset) in list_bundled_names() and path.exists() else None
