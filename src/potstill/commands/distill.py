"""``potstill distill``: the main job, from a dataset to a distillate and what its students earn."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from potstill.bundled import BUNDLED, bundled_names
from potstill.config import DistillConfig
from potstill.config.settings import command_line, configured
from potstill.data.registry import load_dataset
from potstill.data.split import held_out_rows, training_rows
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate, settle
from potstill.distillation import outer_loop as distillation
from potstill.distillation.initial_pairs import INITIAL
from potstill.distillation.objectives import Batch, objective_named, weighting_of, weightings_named
from potstill.distillation.schedule import Pace
from potstill.distillation.selection import held_out_loss, make_choice
from potstill.distillation.solvers import make_solver
from potstill.distillation.state_table import rows, strayed, tabulate
from potstill.environments.registry import Reference
from potstill.errors import PotstillError, unknown
from potstill.evaluation.scores import (
    TEACHER_SEED,
    policy_returns,
    reference_for,
    score_offline,
    score_random,
    score_students,
    train_crew,
)
from potstill.evaluation.statistics import summarise
from potstill.reports import report_distillation
from potstill.runtime import devices
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder, check_free, read_json, to_json
from potstill.runtime.storage import file_hash
from potstill.students.recipe import Recipe, recipe_named
from potstill.students.training import Pairs
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.lookup import find_teacher

TEACHERLESS = ("dbc", "random")
CURVE_STUDENTS, CURVE_EPISODES = 2, 5  # behind each point of the curve: cheap, and noisy
SAVED = 30  # steps between two savings where the number of steps is not known
WATCHED = 2048  # held-out states that are watched to find it
MOST_METRICS = 2000  # lines of metrics: every step of a short run, 1 in n of a long one


@configured(DistillConfig)
def distill(config: DistillConfig) -> Path:
    """Distil ``config.dataset`` into N pairs; then train students on them and let them play.

    The environment is never touched by the distillation itself. Of more than a million rows, batches come
    from a uniform sample of a million. The run folder gets
    ``distillate.safetensors`` (saved at every point of the curve), ``result.json``, ``curve.png`` and,
    where MuJoCo can render, ``states.png``.

    Returns:
        The run folder; ``potstill.load`` takes it.

    Raises:
        PotstillError: an unknown name, a teacher that does not fit, more pairs than rows, ….

    Example:
        >>> import potstill
        >>> run = potstill.distill("hopper-medium-replay", size=64, steps=100)  # doctest: +SKIP
        >>> policy = potstill.load(run).train_student(seed=0)  # doctest: +SKIP
    """
    devices.use(config.devices)
    _check_names(config)
    if devices.leads():
        check_free(config.out, force=config.force)
    data = load_dataset(config.dataset, download=config.download, action_scale=config.action_scale)
    train = data.take(training_rows(len(data)))
    if config.size > len(train):
        raise PotstillError(f"--size {config.size}: {data.name} has {len(train)} rows to choose pairs from")
    teacher = None
    if config.teacher is not None or config.objective not in TEACHERLESS or str(config.dataset) in bundled_names():
        teacher = find_teacher(config.teacher, config.dataset, data)
    if not devices.leads():
        return _follow(config, data, teacher)
    folder = RunFolder(config.out, "distill", config, force=config.force)
    print(f"{data.name}: {len(data):,} transitions, distilling {config.size} pairs into {folder.path}")
    own = distillation.settled(config, data, teacher)
    job = Job(config, own, data, train, teacher, folder, reference_for(data, teacher, config.episodes))
    result = job.evaluate(job.distil())
    folder.finish(result)
    report_distillation(folder.path, result)
    return folder.path


def _follow(config: DistillConfig, data: Transitions, teacher: NetworkTeacher | None) -> Path:
    """Do this process's share of the outer steps; the one that leads keeps the results."""
    started, config = time.perf_counter(), distillation.settled(config, data, teacher)
    table, held_out = tables(config, data, teacher)
    for _ in distillation.outer_steps(config, table, teacher, watched_pace(config, held_out, teacher, started)):
        pass
    devices.part()
    return Path(config.out or "runs")


def tables(config: DistillConfig, data: Transitions, teacher: NetworkTeacher | None) -> tuple[Batch, Batch]:
    """What objectives need of the training rows, and of the held-out ones with the same scale of values."""
    weighting = config.weighting or "uniform"
    straying = functools.cache(lambda: strayed(data, teacher))  # the teacher acts in every row: once for both
    table = tabulate(data, teacher, weighting, training_rows(len(data)), straying)
    held_out = tabulate(data, teacher, weighting, held_out_rows(len(data)), straying)
    return table, held_out._replace(value_scale=table.value_scale)


def watched_pace(config: DistillConfig, held_out: Batch, teacher: NetworkTeacher | None, started: float) -> Pace:
    """The pace of ``config``, that looks at some of the held-out states where it finds the number of steps.

    A budget counts from ``started``, in seconds of :func:`time.perf_counter`.
    """
    few = rows(held_out, jnp.arange(0, len(held_out.states), max(1, len(held_out.states) // WATCHED)))
    return replace(distillation.make_pace(config, held_out_loss(config, few, teacher)), started=started)


def _evenly(count: int, points: int) -> list[int]:
    """All of so many indices, or ``points`` of them where there are more than two beyond that; ends included."""
    few = count <= points + 2
    return list(range(count)) if few else sorted({*np.linspace(0, count - 1, points, dtype=int).tolist(), count - 1})


def _check_names(config: DistillConfig) -> None:
    """Fail on an unknown name before anything is read."""
    recipe = recipe_named(config.recipe)
    make_solver(config.solver, recipe, config.own)
    weightings_named(config.weighting or weighting_of(config.objective, None))
    if config.initial not in INITIAL:
        raise unknown("choice of initial states", config.initial, INITIAL)
    if config.learn in ("step-size", "both") and recipe.optimiser == "adam":
        raise PotstillError(f"--learn {config.learn}: a factor on the loss, which Adam's steps do not feel: use SGD")
    if config.objective != "random":
        objective_named(config.objective)
    if config.state_noise and config.objective in TEACHERLESS:
        raise PotstillError(f"--state-noise {config.state_noise}: {config.objective} has no teacher to act there")
    if config.solver == "kernel" and (config.starts > 1 or config.widths):
        raise PotstillError("--starts and --widths are of networks: use them with --solver unroll")


@dataclass
class Job:
    """One distillation under way: what it works on, and the seconds it has spent on what."""

    config: DistillConfig
    settled: DistillConfig
    """The same with nothing left open."""
    data: Transitions
    train: Transitions
    teacher: NetworkTeacher | None
    folder: RunFolder
    reference: Reference
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("distilling", "training", "evaluating"), 0.0)
    )
    curve: list[dict[str, float]] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)
    pace: dict[str, Any] = field(default_factory=dict)

    def distil(self) -> Distillate:
        """Run the outer loop and save the pairs at every point of the curve; then let students play."""
        config, started = self.settled, time.perf_counter()
        table, held_out = tables(config, self.data, self.teacher)
        judge = held_out_loss(config, held_out, self.teacher)
        pace = watched_pace(config, held_out, self.teacher, started)
        choice = make_choice(config, held_out, self.teacher, pace)
        reached = []  # evaluated later: other processes would wait
        with Tracker("distil", pace.expected + config.polish) as tracker:
            for step, pairs, figures in distillation.outer_steps(config, table, self.teacher, pace):
                seconds = time.perf_counter() - started
                if figures:
                    self._log(step, figures, seconds, pace, tracker)
                if choice.offer(step, pairs):
                    kept, kept_step = pairs, step
                if self._is_point(step, pace):
                    reached.append((self._bottle(pairs, step, pace), pairs, step, seconds))
        devices.part()
        self.seconds["distilling"] = time.perf_counter() - started
        self.pace = pace.account(step)
        print(self.pace["in words"], flush=True)
        if reached[-1][2] != step:
            reached.append((self._bottle(pairs, step, pace), pairs, step, seconds))
        for i in _evenly(len(reached), config.curve_points):
            bottled, pairs, step, seconds = reached[i]
            self._add_to_curve(bottled, step, judge(pairs), seconds)
        self.seconds["evaluating"] += time.perf_counter() - started - self.seconds["distilling"]
        self.chosen = {"step": kept_step, "by": config.choose, "losses": choice.losses}
        return self._bottle(kept, kept_step, pace)

    def _log(self, step: int, figures: dict[str, Any], seconds: float, pace: Pace, tracker: Tracker) -> None:
        """A line of metrics every step of a short run, 1 in n of a long one."""
        tracker.total = pace.expected + self.config.polish
        if step % max(1, tracker.total // MOST_METRICS) == 0:
            values = {name: float(value) for name, value in figures.items()}
            self.folder.log(step=step, **values, seconds=seconds)
            tracker.update(step, loss=values["loss"])

    def _is_point(self, step: int, pace: Pace) -> bool:
        """Whether the pairs of ``step`` are saved, as a point of the curve; more than asked for, if the end is open."""
        if pace.steps is None:
            return step % SAVED == 0
        steps = pace.steps + self.config.polish
        return step in {*np.linspace(0, steps, self.config.curve_points, dtype=int).tolist(), pace.steps, steps}

    def _bottle(self, pairs: Pairs, step: int, pace: Pace) -> Distillate:
        """Pairs in the environment's own units, with their papers, written to disk."""
        data, unit = self.data, np.asarray(pairs.actions)
        normaliser = self.data.normaliser if self.teacher is None else self.teacher.normaliser
        weights, recipe = settle(pairs.weights, recipe_named(self.config.recipe))
        distillate = Distillate(
            normaliser.invert(np.asarray(pairs.states)).astype(np.float32),
            data.action_bounds.from_unit(unit).astype(np.float32),
            normaliser,
            data.action_bounds,
            self._papers(step, recipe, pace),
            weights,
        )
        distillate.save(self.folder.path / "distillate.safetensors")
        return distillate

    def _papers(self, step: int, recipe: Recipe, pace: Pace) -> dict[str, Any]:
        config = self.config
        if config.budget is not None:  # what it came to, so that the command gives these bytes again
            config = replace(config, budget=None, steps=pace.steps)
        settings = {k: v for k, v in to_json(config).items() if k not in ("out", "force")}
        return {
            "env_id": self.data.env_id,
            "reference": self.reference._asdict(),
            "dataset": {"name": self.data.name, "sha256": self.data.content_hash, "rows": len(self.data)},
            "teacher": None if self.teacher is None else {"sha256": self.teacher.content_hash, **self.teacher.metadata},
            "objective": config.objective,
            "weighting": self.settled.weighting,
            "state_noise": self.settled.state_noise,
            "action_limit": self.settled.action_limit,
            "solver": config.solver,
            "recipe": config.recipe,
            "student": to_json(recipe),
            "steps": step,
            "settings": settings,
            "command": command_line("distill", config),
            "potstill": version("potstill"),
        }

    def _add_to_curve(self, distillate: Distillate, step: int, loss: float, seconds: float) -> None:
        point = {"step": step, "held_out_loss": loss, "seconds": seconds}
        if self.data.env_id and self.config.episodes:
            crew, _ = train_crew(distillate, CURVE_STUDENTS, seed=7)
            scores = score_students(crew, self.data.env_id, CURVE_EPISODES, 7, self.reference)
            point |= {"student": scores["student"]["mean"], "student_std": scores["student"]["std"]}
            point["ensemble"] = scores["ensemble"]["mean"]
        self.curve.append(point)
        self.folder.log(curve=point)

    def evaluate(self, distillate: Distillate) -> dict[str, Any]:
        """The result: teacher, random pairs, students and ensemble; offline figures without an environment."""
        config, env_id, started = self.config, self.data.env_id, time.perf_counter()
        result: dict[str, Any] = {"dataset": self.data.name, "env_id": env_id, "reference": self.reference._asdict()}
        result["pairs"] = len(distillate)
        crew, self.seconds["training"] = train_crew(distillate, config.students, config.seed)
        if env_id and config.episodes:
            print(f"evaluating {config.students} students, {config.episodes} episodes each", flush=True)
            if self.teacher is not None:
                returns = policy_returns(self.teacher.policy, env_id, max(10, config.episodes), TEACHER_SEED)
                result["teacher"] = summarise(returns, self.reference)
            counts = {"students": config.students, "episodes": config.episodes, "seed": config.seed}
            result["random"] = score_random(self.train, distillate, **counts)
            result |= score_students(crew, env_id, config.episodes, config.seed, self.reference)
        if self.teacher is not None:
            result["offline"] = score_offline(crew, self.data, self.teacher)
        self.seconds["evaluating"] += time.perf_counter() - started - self.seconds["training"]
        known = whole_data_cloning(self.config.dataset)
        artefact = file_hash(self.folder.path / "distillate.safetensors")
        result |= {"bc": known, "curve": self.curve, "chosen": self.chosen, "pace": self.pace}
        return result | {"seconds": self.seconds, "sha256": artefact}


def whole_data_cloning(dataset: Path | str) -> dict[str, Any] | None:
    """The committed result of behavioural cloning on a whole bundled dataset, if there is one."""
    path = BUNDLED / f"{dataset}.bc.json"
    return read_json(path)["bc"] if str(dataset) in bundled_names() and path.exists() else None
