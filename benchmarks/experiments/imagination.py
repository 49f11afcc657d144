"""Distillation on imagined states against distillation on dataset states, with the best teacher of each file.

The teachers are those with the highest returns, not those with the best students. Two kinds of students are trained on
each distillate: those of its recipe, and PyTorch-style ones (two hidden layers of 256, PyTorch's default
initialisation, Adam at 1e-3, 1,000 full-batch steps). The settings of ``imagined`` were chosen by returns on the files
``DEVELOPED_ON``; the other files were not used for any choice. ``visits`` is ``imagined`` without the rollouts in the
loss, and ``quiet`` has no noise on their actions. The default of ``potstill distill`` is ``imagined`` on the files
whose world model is accurate, and ``portfolio`` on the others.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import potstill
from benchmarks.experiments.distilling import TOY, select_student_scores, shorten_summary, strip_folders
from benchmarks.experiments.parts import TOY_RECIPE, distill_options
from benchmarks.files import BUNDLED, FILES, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.config.states import IMAGINED, PORTFOLIO_STEPS
from potstill.distillation import Portfolio, RolloutGap, VisitSettings
from potstill.evaluation.scores import TEACHER_SEED, measure_policy_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.files import read_json, write_json
from potstill.worlds import load_world

METHODS: dict[str, dict[str, Any]] = {
    "data": {},
    "imagined": {"states": "imagined"},
    "visits": {"states": "imagined", "rollout_steps": 0},  # imagined states, and the objective of single actions alone
    "quiet": {"states": "imagined", "rollout_noise": 0.0},  # no noise on the actions of the rollouts
    "last": {"states": "imagined", "choose": "last"},  # the last pairs, without a choice by the world model
    # The labels, kernels and students of "imagined" on the data's states: the default where no model is accurate.
    "portfolio": {"labels": "teacher", "solver": "portfolio", "recipe": "adam-towers", "batch": 512, "steps": 600},
}
COUNTS = {"students": 10, "episodes": 10}
PYTORCH_STYLE = potstill.RECIPES["pytorch"]
KINDS = [[type(part).__name__, part.recipe.to_metadata()] for part in Portfolio(potstill.RECIPES["adam-towers"]).parts]
DEVELOPED_ON = (
    "hopper-medium",
    "hopper-medium-expert",
    "hopper-medium-replay",
    "halfcheetah-medium-expert",
    "halfcheetah-medium-replay",
    "walker2d-medium",
    "walker2d-medium-expert",
    "walker2d-medium-replay",
)
WORLD: dict[str, Any] = {"steps": 14_000}
RULES = "limits of the state, one member for each episode, late pairs by imagined returns"
ROLLOUTS = {
    "steps": IMAGINED["rollout_steps"],
    "noise": IMAGINED["rollout_noise"],
    "states": RolloutGap.states,
    "weight": RolloutGap.weight,
}
TOY_WORLD: dict[str, Any] = {"steps": 20, "width": 8, "members": 2, "episodes": 0}
USE = "highest-return"


def find_world(file: str, workspace: Workspace) -> Path:
    """Find the run folder of a file's world model. Train it if it is missing or of another version of the file."""
    folder, source = workspace.find_folder("world", file), workspace.find_dataset(file)
    path = folder / "world.safetensors"
    wanted = potstill.load_dataset(source).content_hash
    if not path.exists() or load_world(path).metadata["dataset"]["sha256"] != wanted:
        options = TOY_WORLD if workspace.toy else WORLD
        potstill.model(source, out=folder, force=True, **options)
    return folder


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil, and record the returns of both kinds of students, and of the teacher."""
    options, world = dict(METHODS[cell.method]), None
    if "states" in options:
        options["world"] = world = find_world(cell.file, workspace)
    data, teacher = workspace.find_dataset(cell.file), workspace.find_teacher(cell.file, USE)
    out = workspace.find_folder(cell.file, cell.method, cell.seed)
    options |= {"students": 1, "episodes": 0}  # students are evaluated below
    options = distill_options({**options, **TOY}, toy=True) if workspace.toy else distill_options(options)
    run = potstill.distill(data, teacher=teacher, seed=cell.seed, out=out, force=True, **options)
    counts = {"students": 1, "episodes": 1} if workspace.toy else COUNTS
    own = _evaluate(run, f"{out}-own", cell, counts, dataset=data, teacher=teacher, world=world)
    style = TOY_RECIPE if workspace.toy else PYTORCH_STYLE
    write_json(Path(f"{out}-teacher.json"), _score_teacher(Path(teacher), run, counts))
    found: Record = {**select_student_scores(own), "teacher": read_teacher(out)}
    found["pytorch_style"] = select_student_scores(_evaluate(run, f"{out}-pytorch-style", cell, counts, recipe=style))
    if world is not None:
        found["chosen"] = read_json(Path(run) / "result.json")["chosen"]["step"]
        found["imagined"] = {"best": own["imagined"]["best"], "horizon": own["imagined"]["horizon"]}
        found["imagined"] |= {kind: shorten_summary(own["imagined"][kind]) for kind in ("student", "teacher")}
    seconds = read_json(Path(run) / "result.json")["seconds"]["distilling"]
    command = strip_folders(str(potstill.load(run).metadata["command"]))
    times = {"distilling": seconds, "training": own["seconds"]["training"]}
    return {**found, "seconds": times, "sha256": own["sha256"], "command": command}


def read_teacher(run: object) -> Record:
    """Read the returns of the teacher of a run folder that :func:`measure` has made."""
    return dict(read_json(Path(f"{run}-teacher.json")))


def _evaluate(run: object, out: str, cell: Cell, counts: dict[str, int], **options: Any) -> dict[str, Any]:
    """Evaluate students of a distillate; return the result."""
    done = potstill.evaluate(run, seed=cell.seed, out=out, force=True, **counts, **options)  # type: ignore[arg-type]
    return dict(read_json(Path(done) / "result.json"))


def _score_teacher(path: Path, run: object, counts: dict[str, int]) -> Record:
    """The returns of the teacher in ten times as many episodes as those of a student."""
    env_id = str(potstill.load(run).env_id)  # type: ignore[arg-type]
    episodes = 10 * counts["episodes"]
    returns = measure_policy_returns(potstill.load_teacher(path).policy, env_id, episodes, TEACHER_SEED)
    return shorten_summary(summarise(returns, env_id))


def describe_inputs(cell: Cell) -> Record:
    """Options of the distillation, of its world model and of the students, and the teacher's hash."""
    world = (
        {**WORLD, **asdict(VisitSettings()), "outer": PORTFOLIO_STEPS, "kinds": KINDS, "rules": RULES}
        if "states" in METHODS[cell.method]
        else {}
    )
    world |= {"rollouts": ROLLOUTS} if cell.method in ("imagined", "quiet", "last") else {}
    student = PYTORCH_STYLE.to_metadata()
    teacher = find_teacher_hash(cell.file, USE)
    return {"options": METHODS[cell.method], "counts": COUNTS, "world": world, "student": student, "teacher": teacher}


INACCURATE = ("halfcheetah-medium", "halfcheetah-medium-expert")  # their models
SEEDS = (0, 1)
# Further cells are measured by name.
DECLARED = (
    *make_product(("imagined",), tuple(file for file in FILES if file not in INACCURATE), SEEDS),
    *make_product(("imagined",), INACCURATE, (0,)),
    *make_product(("portfolio",), INACCURATE, SEEDS),
    *make_product(("data",), FILES, (0,)),
)
EXPERIMENT = Experiment(
    "imagination",
    "distillation on imagined states against dataset states, with the best teachers",
    DECLARED,
    describe_inputs,
    measure,
    frozenset({"student", "ensemble", "teacher", "pytorch_style", "seconds", "sha256", "command"}),
    extra=tuple(cell for cell in make_product(METHODS, (*FILES, BUNDLED), (0, 1, 2, 3, 4)) if cell not in DECLARED),
    toy=(Cell("imagined", BUNDLED),),
)
