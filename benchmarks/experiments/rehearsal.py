"""Rehearsal in continual learning, and one network for several tasks.

A sequence has three tasks of one shape. The rows of a task are the training states of a file, labelled by its fixed
teacher. The tasks of ``hopper`` conflict: its three files are three Hoppers whose actuators are wired differently, so
that an action has another effect in each. The tasks of ``halfcheetah`` are its three files as they are.

Rehearsal: five networks learn the tasks in turn, with the task as an input. Of each earlier task they remember

- ``distilled``: 256 distilled pairs, another distillate for each network;
- ``random``: 256 random rows, others for each network;
- ``all``: all rows;
- ``none``: nothing.

``joint`` learns all rows of all tasks at once. Mixtures: students of the merged distillates with the task as an input
(``mixture``), and of each distillate alone (``separate``), one for each of three distillation seeds.

A cell measures all networks of a method at once. A distillate of a Hopper that is wired differently is that of the file
with its actions wired: the distillation treats actuators alike, up to the order of sums.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import potstill
from benchmarks.experiments.distilling import TOY
from benchmarks.experiments.parts import TOY_RECIPE, distill_options
from benchmarks.files import LEVELS, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record
from potstill.data.scaling import Scaling
from potstill.data.split import select_training_rows
from potstill.data.transitions import Normaliser
from potstill.environments import normalised_return, play
from potstill.students import Pairs, Students
from potstill.tasks import append_task, learn_in_turn, merge_distillates
from potstill.tasks.mixture import join_normalisers
from potstill.teachers.evaluation.fqe import act_in_parts

SEQUENCES = {
    "hopper": tuple(f"hopper-{level}" for level in LEVELS),
    "halfcheetah": ("halfcheetah-medium-expert", "halfcheetah-medium-replay", "halfcheetah-medium"),
}
WIRED = ("hopper",)
"""Sequences in which the actuators of tasks 1 and 2 are reversed and exchanged."""
MEMORIES = ("distilled", "random", "all", "none")
MIXTURES = ("mixture", "separate")
SEEDS, MIXED_SEEDS = (0, 1, 2, 3, 4), 3
SIZE, BATCH, EPISODES, TEACHER_EPISODES, FIRST_EPISODE = 256, 128, 5, 10, 350_000
RECIPE = dataclasses.replace(potstill.RECIPES["pytorch"], steps=2_000)
UNPLAYED: dict[str, Any] = {"students": 1, "episodes": 0, "curve_points": 1}


@dataclasses.dataclass(frozen=True)
class Task:
    """The dataset of a task, its teacher, and the wiring of its actuators."""

    number: int
    file: str
    env_id: str
    teacher: Any
    rows: np.ndarray
    wired: bool

    def wire(self, actions: Any) -> Any:
        """Turn the actions of the Hopper of the file into those of this task's: same behaviour, other actuators."""
        if not self.wired or self.number == 0:
            return actions
        return -actions if self.number == 1 else jnp.roll(actions, 1, axis=-1)

    def unwire(self, actions: np.ndarray) -> np.ndarray:
        """Undo :meth:`wire`."""
        if not self.wired or self.number == 0:
            return actions
        return -actions if self.number == 1 else np.roll(actions, -1, axis=-1)

    def act_as_teacher(self, states: np.ndarray) -> np.ndarray:
        """The actions of the teacher in the units of the environment, wired."""
        return np.asarray(self.wire(self.teacher.policy(states)))

    def measure(self, act: Callable[[np.ndarray], np.ndarray], networks: int, episodes: int) -> list[float]:
        """Measure the mean normalised return of each network in the task."""
        seeds = FIRST_EPISODE + 1000 * self.number + np.arange(networks * episodes)
        returns = play(lambda states: self.unwire(act(states)), self.env_id, seeds).reshape(networks, episodes)
        return [round(float(score), 2) for score in normalised_return(returns, self.env_id).mean(axis=1)]


def load_tasks(sequence: str, workspace: Workspace) -> list[Task]:
    """Load the tasks of a sequence; two at toy size."""
    tasks: list[Task] = []
    for number, file in enumerate(SEQUENCES[sequence][: 2 if workspace.toy else None]):
        data = potstill.load_dataset(workspace.find_dataset(file))
        teacher = potstill.load_teacher(workspace.find_teacher(file))
        states = data.observations[select_training_rows(len(data))]
        tasks.append(Task(number, file, str(data.env_id), teacher, states, sequence in WIRED))
    return tasks


def make_scaling(tasks: Sequence[Task]) -> Scaling:
    """Standardise states as in the first task, because later ones are not known yet."""
    first = tasks[0].teacher
    normaliser = join_normalisers(first.normaliser, Normaliser.identity(len(tasks)))
    return Scaling(normaliser, first.policy.action_bounds)


def make_pairs(task: Task, states: np.ndarray, actions: Any, scaling: Scaling) -> Pairs:
    """Make pairs of a task, of states in their own units and wired actions in [−1, 1]."""
    told = append_task(np.asarray(states, np.float32), task.number, len(scaling.normaliser.mean) - states.shape[1])
    return Pairs(jnp.asarray(scaling.normaliser(told)), jnp.asarray(actions, jnp.float32))


def label_rows(task: Task, scaling: Scaling) -> Pairs:
    """Label all rows of a task by its teacher."""
    actions = act_in_parts(task.teacher, jnp.asarray(task.teacher.normaliser(task.rows)))
    return make_pairs(task, task.rows, task.wire(actions), scaling)


def ensure_distillate(file: str, seed: int, workspace: Workspace) -> potstill.Distillate:
    """Distil a file, on first use. At toy size, all files and seeds have one distillate."""
    folder = workspace.find_folder("toy") if workspace.toy else workspace.find_folder(file, "distilled", seed)
    if not (folder / "result.json").exists():
        options = distill_options({**TOY}, toy=True) if workspace.toy else distill_options({"size": SIZE})
        options |= UNPLAYED
        data, teacher = workspace.find_dataset(file), workspace.find_teacher(file)
        potstill.distill(data, teacher=teacher, seed=seed, out=folder, force=True, **options)
    return potstill.load(Path(folder))


def wire_distillate(task: Task, seed: int, workspace: Workspace) -> potstill.Distillate:
    """Distil the file of a task, and wire the actions."""
    found = ensure_distillate(task.file, seed, workspace)
    return dataclasses.replace(found, actions=np.asarray(task.wire(found.actions), np.float32))


def remember(method: str, task: Task, rows: Pairs, scaling: Scaling, workspace: Workspace) -> list[Pairs]:
    """What the networks remember of a task."""
    if method in ("all", "none"):
        return [rows] if method == "all" else []
    if method == "distilled":
        kept = [wire_distillate(task, seed, workspace) for seed in list_seeds(workspace)]
        return [make_pairs(task, d.states, d.action_bounds.to_unit(d.actions), scaling) for d in kept]
    count = min(SIZE, len(rows.states))
    drawn = [np.random.default_rng(seed).choice(len(rows.states), count, replace=False) for seed in SEEDS]
    return [Pairs(rows.states[index], rows.actions[index]) for index in drawn[: len(list_seeds(workspace))]]


def list_seeds(workspace: Workspace) -> tuple[int, ...]:
    """The seeds; two at toy size."""
    return SEEDS[:2] if workspace.toy else SEEDS


def score(task: Task, students: Students, tasks: int, episodes: int) -> list[float]:
    """The score of each network in a task that it is told."""
    told = students.fix_inputs(np.eye(tasks)[task.number])
    return task.measure(told.act_separately, len(students), episodes)


def rehearse(method: str, tasks: list[Task], workspace: Workspace) -> Record:
    """Let networks learn the tasks in turn, or all at once, and score them after each task in all tasks so far."""
    scaling, seeds, recipe = make_scaling(tasks), list_seeds(workspace), TOY_RECIPE if workspace.toy else RECIPE
    rows = [label_rows(task, scaling) for task in tasks]
    learn = functools.partial(learn_in_turn, seeds=seeds, scaling=scaling, batch=BATCH)
    if method == "joint":
        states, actions = [pairs.states for pairs in rows], [pairs.actions for pairs in rows]
        both = Pairs(jnp.concatenate(states), jnp.concatenate(actions))
        whole = dataclasses.replace(recipe, steps=recipe.steps * len(tasks))
        learned = [learn([both], [[]], recipe=whole)[0]]
    else:
        earlier = list(zip(tasks, rows, strict=True))[:-1]
        kept = [remember(method, task, own, scaling, workspace) for task, own in earlier]
        learned = learn(rows, [*kept, []], recipe=recipe)
    episodes, last = 1 if workspace.toy else EPISODES, len(tasks)
    after = range(last - len(learned), last)
    scores = [
        [score(task, students, last, episodes) for task in tasks[: t + 1]]
        for t, students in zip(after, learned, strict=True)
    ]
    return {"scores": scores}


def mix(method: str, tasks: list[Task], workspace: Workspace) -> Record:
    """Score students of the merged distillates in each task, or students of each distillate alone."""
    found, episodes = [], 1 if workspace.toy else EPISODES
    for seed in list_seeds(workspace)[:MIXED_SEEDS]:
        parts = [wire_distillate(task, seed, workspace) for task in tasks]
        if method == "separate":
            students = [part.train_students([seed]) for part in parts]
            found.append([t.measure(s.act_separately, 1, episodes)[0] for t, s in zip(tasks, students, strict=True)])
            continue
        mixture = merge_distillates(parts, names=[task.file for task in tasks], task_input=True)
        together = mixture.train_students([seed])
        found.append([score(task, together, len(tasks), episodes)[0] for task in tasks])
    return {"scores": [[list(one) for one in zip(*found, strict=True)]]}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Measure a method on a sequence. ``scores[t][i]`` are those of all networks in task i after task t."""
    tasks = load_tasks(cell.file, workspace)
    if cell.method == "teacher":
        return {"scores": [[task.measure(task.act_as_teacher, 1, TEACHER_EPISODES) for task in tasks]]}
    return (mix if cell.method in MIXTURES else rehearse)(cell.method, tasks, workspace)


def describe_inputs(cell: Cell) -> Record:
    """Return the tasks, their teachers, and the budget."""
    files = SEQUENCES[cell.file]
    seeds = SEEDS[:MIXED_SEEDS] if cell.method in MIXTURES else SEEDS
    budget = {"recipe": RECIPE.to_metadata(), "batch": BATCH, "size": SIZE, "episodes": EPISODES, "seeds": seeds}
    return {"tasks": files, "teachers": [find_teacher_hash(file) for file in files], **budget}


METHODS = (*MEMORIES, "joint", *MIXTURES, "teacher")
EXPERIMENT = Experiment(
    "rehearsal",
    "continual learning with a memory of distilled pairs, and one network for several tasks",
    tuple(Cell(method, "hopper") for method in METHODS),
    describe_inputs,
    measure,
    frozenset({"scores"}),
    extra=tuple(Cell(method, "halfcheetah") for method in METHODS),
    toy=tuple(Cell(method, "hopper") for method in ("distilled", "mixture")),
)
