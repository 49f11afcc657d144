"""One run of ``potstill distill``: the outer loop with its checkpoints and metrics, and the final evaluation."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from potstill.bundled import BUNDLED, bundled_names
from potstill.commands.distillation_evaluation import Evaluations
from potstill.commands.resolve import Problem
from potstill.config import DistillConfig
from potstill.config.settings import command_line, record_settings
from potstill.data.scaling import Scaling
from potstill.data.split import held_out_rows, training_rows
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate, split_weights
from potstill.distillation.objectives.base import StateTable
from potstill.distillation.objectives.weights import find_weighting
from potstill.distillation.outer_loop import Iterate
from potstill.distillation.schedule import MAX_STEPS, Schedule
from potstill.distillation.selection import CRITERIA, IterateSelection, held_out_loss
from potstill.distillation.state_table import action_deviation, build_state_table, take_rows
from potstill.environments.references import Reference
from potstill.errors import PotstillError, repeat_warnings
from potstill.runtime import devices
from potstill.runtime.files import JsonObject, read_json
from potstill.runtime.progress import Tracker, busy
from potstill.runtime.run_folder import RunFolder
from potstill.runtime.storage import file_hash
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs
from potstill.teachers.base import NetworkTeacher
from potstill.worlds.base import World

CHECKPOINT_EVERY = 30  # steps, if the number of steps is unknown
OBSERVED_STATES = 2048  # held-out states on which the schedule observes the loss
MAX_METRICS = 2000  # limit on the lines of metrics: long runs log one step in n

PairIterator: TypeAlias = Callable[
    [DistillConfig, Problem, "Tables", NetworkTeacher | None, Schedule], Iterator[Iterate]
]


class Tables(NamedTuple):
    """State tables of the training rows and of the held-out rows, with the same scale of values."""

    training: StateTable
    held_out: StateTable

    @classmethod
    def build(cls, problem: Problem, data: Transitions, teacher: NetworkTeacher | None) -> Tables:
        """Compute both tables."""
        weighting = find_weighting(problem.weighting or "uniform")
        deviation = functools.cache(lambda: action_deviation(data, teacher))  # all rows, once for both tables
        rows = (training_rows(len(data)), held_out_rows(len(data)))
        training, held_out = (build_state_table(data, teacher, weighting, index, deviation) for index in rows)
        return cls(training, held_out._replace(value_scale=training.value_scale))

    def make_schedule(self, config: DistillConfig, problem: Problem, teacher: NetworkTeacher | None) -> Schedule:
        """Make the schedule of a config. It may observe the loss on some of the held-out states."""
        count = len(self.held_out.states)
        few = take_rows(self.held_out, jnp.arange(0, count, max(1, count // OBSERVED_STATES)))
        loss = held_out_loss(problem.objective, problem.solver, few, teacher)
        steps = 0 if problem.objective is None else config.given_steps
        limit = config.max_steps or MAX_STEPS
        return Schedule(steps, loss, decays=config.optimiser == "adam", budget=config.seconds, max_steps=limit)


class Checkpoint(NamedTuple):
    """An intermediate distillate, for a point of the curve."""

    distillate: Distillate
    pairs: Pairs
    step: int
    seconds: float


def thin_indices(count: int, points: int) -> list[int]:
    """Indices 0 … count − 1, thinned to ``points`` evenly spaced ones (ends kept) if there are at least three more."""
    few = count <= points + 2
    return list(range(count)) if few else sorted({*np.linspace(0, count - 1, points, dtype=int).tolist(), count - 1})


def check_step(step: int, pairs: Pairs, metrics: dict[str, Array], recipe: Recipe) -> None:
    """Raise, with the step and the norms, if the loss, its gradient or the pairs are not finite."""
    numbers = {name: float(value) for name, value in metrics.items()}
    numbers |= {f"largest {name[:-1]}": float(np.abs(getattr(pairs, name)).max()) for name in ("states", "actions")}
    if all(np.isfinite(value) for value in numbers.values()):
        return
    found = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in numbers.items())
    raise PotstillError(
        f"outer step {step}: {found} (states in standard deviations): the students' training diverged; lower "
        f"--recipe.learning-rate (now {recipe.learning_rate:g}) or --learning-rate, or check the data for outliers "
        "(potstill inspect)"
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
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("distilling", "training", "evaluating"), 0.0)
    )
    curve: list[dict[str, float]] = field(default_factory=list)
    chosen: dict[str, object] = field(default_factory=dict)
    schedule_summary: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """What is wrong with the teacher and, at the end, with the students."""

    @functools.cached_property
    def evaluations(self) -> Evaluations:
        """Its evaluations."""
        return Evaluations(self.config, self.data, self.teacher, self.reference, self.world)

    def distil(self, iterate_pairs: PairIterator) -> Distillate:
        """Run the outer loop, save the pairs at every point of the curve, then measure the curve."""
        config, problem, started = self.config, self.problem, time.perf_counter()
        with busy("computing the teacher's actions and values"):
            tables = Tables.build(problem, self.data, self.teacher)
        loss = held_out_loss(problem.objective, problem.solver, tables.held_out, self.teacher)
        schedule = replace(tables.make_schedule(config, problem, self.teacher), started=started)
        criterion = CRITERIA[config.choose]
        score = criterion and criterion(problem.objective, problem.solver, tables.held_out, self.teacher)
        selection = IterateSelection(schedule, score)
        reached: list[Checkpoint] = []  # evaluated after the loop, because other processes would have to wait
        with Tracker("distil", schedule.expected_steps + config.polish, then="evaluation") as tracker:
            for step, pairs, metrics in iterate_pairs(config, problem, tables, self.teacher, schedule):
                seconds = time.perf_counter() - started
                if metrics:
                    check_step(step, pairs, metrics, problem.solver.recipe)
                    self._log(step, metrics, seconds, schedule, tracker)
                if selection.offer(step, pairs):
                    kept, kept_step = pairs, step
                if self._is_checkpoint(step, schedule):
                    reached.append(Checkpoint(self._save(pairs, step, schedule), pairs, step, seconds))
        devices.disconnect()
        self.seconds["distilling"] = time.perf_counter() - started
        self.schedule_summary = schedule.summarise(step)
        print(self.schedule_summary["in words"], flush=True)
        if reached[-1].step != step:
            reached.append(Checkpoint(self._save(pairs, step, schedule), pairs, step, seconds))
        shown = thin_indices(len(reached), config.curve_points)
        self.evaluations.plan(len(shown))
        with Tracker("curve", len(shown), work=self.evaluations.work) as tracker:
            for number, i in enumerate(shown, start=1):
                self._add_to_curve(reached[i], loss(reached[i].pairs), tracker)
                tracker.update(number)
        self.seconds["evaluating"] += time.perf_counter() - started - self.seconds["distilling"]
        self.chosen = {"step": kept_step, "by": config.choose, "losses": selection.losses}
        return self._save(kept, kept_step, schedule)

    def _log(self, step: int, metrics: dict[str, Array], seconds: float, schedule: Schedule, tracker: Tracker) -> None:
        """Log the metrics of every step of a short run, and of one step in n of a long one."""
        tracker.total = schedule.expected_steps + self.config.polish
        if step % max(1, tracker.total // MAX_METRICS) == 0:
            values = {name: float(value) for name, value in metrics.items()}
            self.folder.log(step=step, **values, seconds=seconds)
            tracker.update(step, loss=values["loss"])

    def _is_checkpoint(self, step: int, schedule: Schedule) -> bool:
        """Whether to checkpoint at this step. If the total is unknown, checkpoint every 30 steps."""
        if schedule.steps is None:
            return step % CHECKPOINT_EVERY == 0
        steps = schedule.steps + self.config.polish
        return step in {*np.linspace(0, steps, self.config.curve_points, dtype=int).tolist(), schedule.steps, steps}

    def _save(self, pairs: Pairs, step: int, schedule: Schedule) -> Distillate:
        """Write the pairs, in the environment's own units, with their metadata."""
        data = self.data
        normaliser = data.normaliser if self.teacher is None else self.teacher.normaliser
        weights = None if pairs.weights is None else np.asarray(pairs.weights)
        weights, recipe = split_weights(weights, self.problem.solver.recipe)
        distillate = Distillate(
            normaliser.invert(np.asarray(pairs.states)).astype(np.float32),
            data.action_bounds.from_unit(np.asarray(pairs.actions)).astype(np.float32),
            Scaling(normaliser, data.action_bounds),
            self._metadata(step, recipe, schedule),
            weights,
        )
        distillate.save(self.folder.path / "distillate.safetensors")
        return distillate

    def _metadata(self, step: int, recipe: Recipe, schedule: Schedule) -> dict[str, object]:
        config, data, settings = self.config, self.data, self.problem.settings
        if config.budget is not None:  # record the number of steps instead, so that the command is reproducible
            config = replace(config, budget=None, steps=schedule.steps, max_steps=schedule.step_limit)
        return {
            "env_id": data.env_id,
            "reference": self.reference._asdict(),
            "dataset": {"name": data.name, "sha256": data.content_hash, "rows": len(data)},
            "teacher": None if self.teacher is None else {"sha256": self.teacher.content_hash, **self.teacher.metadata},
            **self.problem.names,
            "weighting": self.problem.weighting,
            "state_noise": settings.state_noise,
            **({} if config.states == "data" else {"states": config.states}),
            **({} if settings.labels == "learned" else {"labels": settings.labels}),
            "action_limit": settings.action_limit,
            "student": recipe.to_metadata(),
            "steps": step,
            "settings": {k: v for k, v in record_settings(config).items() if k not in ("out", "force")},
            "command": command_line("distill", config),
            "potstill": version("potstill"),
            **({"warnings": self.warnings} if self.warnings else {}),
        }

    def _add_to_curve(self, at: Checkpoint, loss: float, tracker: Tracker) -> None:
        point = {"step": at.step, "held_out_loss": loss, "seconds": at.seconds}
        point |= self.evaluations.score_point(at.distillate, tracker)
        self.curve.append(point)
        self.folder.log(curve=point)

    def evaluate(self, distillate: Distillate) -> JsonObject:
        """Evaluate students of the distillate; return the result of the run."""
        started = time.perf_counter()
        result: JsonObject = {"dataset": self.data.name, "env_id": self.data.env_id}
        result |= {"reference": self.reference._asdict(), "pairs": len(distillate)}
        result |= self.evaluations.score(distillate)
        self._add_warnings(distillate, result.pop("warnings"))
        self.seconds["training"] = self.evaluations.training_seconds
        self.seconds["evaluating"] += time.perf_counter() - started - self.seconds["training"]
        artefact = file_hash(self.folder.path / "distillate.safetensors")
        result |= {"warnings": self.warnings, "bc": find_cloning_result(self.config.dataset), "curve": self.curve}
        result |= {"chosen": self.chosen, "pace": self.schedule_summary}
        return result | {"seconds": self.seconds, "sha256": artefact}

    def _add_warnings(self, distillate: Distillate, found: list[str]) -> None:
        """Add what is wrong with the students to the distillate, so that everyone who uses it is warned."""
        if not found:
            return
        self.warnings += found
        path = self.folder.path / "distillate.safetensors"
        replace(distillate, metadata=distillate.metadata | {"warnings": self.warnings}).save(path)
        repeat_warnings(path, found)


def find_cloning_result(dataset: object) -> JsonObject | None:
    """Return the bundled result of behavioural cloning on a whole bundled dataset, if there is one."""
    path = BUNDLED / f"{dataset}.bc.json"
    return read_json(path)["bc"] if str(dataset) in bundled_names() and path.exists() else None
