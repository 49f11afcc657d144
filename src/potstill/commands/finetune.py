"""``potstill finetune``: fine-tune a student in the environment, with the distillate as a constraint that fades."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from potstill.bundled import find_artefact_path
from potstill.commands.evaluate import choose_environment
from potstill.commands.finetuning_job import POLICY, FineTuningJob
from potstill.commands.resolve import resolve_recipe
from potstill.commands.tracking import find_tracker
from potstill.config import FinetuneConfig
from potstill.config.finetune import STARTS
from potstill.config.settings import command_line, record_settings, takes_options
from potstill.distillate import Distillate, load
from potstill.environments.observations.rule import ENTRY
from potstill.errors import PotstillError, name_option, require_package
from potstill.evaluation.scores import measure_policy_returns
from potstill.evaluation.statistics import ScoreSummary, find_return_label, summarise
from potstill.exports.policies.sources import find_own_teacher, load_source
from potstill.finetuning.agent import make_agent
from potstill.finetuning.curve import compute_area, compute_lowest_share, find_steps_to
from potstill.networks.policy import Policy
from potstill.runtime.files import JsonObject, hash_file
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out
from potstill.students.recipe import RECIPES, Recipe
from potstill.tasks.mixture import has_task_input
from potstill.teachers.base import NetworkTeacher


@takes_options(FinetuneConfig)
def finetune(config: FinetuneConfig) -> Run:
    """Fine-tune a student in the environment by TD3 of stable-baselines3 (the extra ``collect``).

    First the student collects with exploration noise, and only new critics are trained. Then the actor is trained, too,
    with the distance to the pairs of the distillate as a constraint whose weight falls to 0, see
    :class:`potstill.finetuning.FineTuning`. The policy is evaluated without noise at the start and after each period.
    ``start="scratch"`` trains a new network instead, ``start="teacher"`` starts from the teacher.

    The run folder gets ``policy.safetensors``, which is rewritten at every evaluation and which ``potstill
    export-policy`` and ``potstill collect --policy`` read, the evaluations in ``metrics.jsonl``, and a plot. Ctrl-C
    saves the newest policy. A run cannot be resumed, but a new one can start from this policy (``start=PATH``).

    Returns:
        The run. Its result has the return at the start and at the end, the area under the curve divided by the steps,
        the lowest return as a share of the first one, and the steps of the first evaluation that is not below the
        teacher, if the teacher is found.

    Raises:
        PotstillError: stable-baselines3 is missing, there is no such distillate, policy, teacher or environment, sizes
            or bounds differ, actions are discrete, the actor is not one plain network, or the training diverges.

    Example:
        >>> import potstill
        >>> run = potstill.finetune("hopper-medium-replay", env_steps=20_000, update_every=2)  # doctest: +SKIP
        >>> policy = potstill.load_policy(run / "policy.safetensors")  # doctest: +SKIP
    """
    require_package("stable-baselines3", "collect")
    source = str(config.distillate)
    distillate = choose_playable(load(config.distillate), config.env_id, source)
    env_id, settings, track = str(distillate.env_id), config.make_settings(), find_tracker(config.track)
    recipe = RECIPES["pytorch"] if config.recipe is None else resolve_recipe(config.recipe, RECIPES["pytorch"])
    check_out(config.out, "finetune", record_settings(config), force=config.force)
    if settings.warmup >= settings.steps:
        print(
            f"{name_option('warmup', settings.warmup)}: only critics are trained, in all of {settings.steps:,} steps",
            flush=True,
        )
    policy = make_start(config, distillate, recipe)
    prior = make_prior(config, distillate, recipe, policy) if settings.constraint else None
    agent = make_agent(policy, distillate, env_id, settings, prior)
    origin = {
        "env_id": env_id,
        "reference": distillate.reference._asdict(),
        **({ENTRY: distillate.rule.to_json()} if distillate.rule else {}),
        "algorithm": "td3",
        "start": config.start_name,
        "distillate_sha256": hash_file(find_artefact_path(config.distillate, "distillate")),
        "command": command_line("finetune", config),
    }
    with RunFolder(config.out, "finetune", record_settings(config), force=config.force, track=track) as folder:
        given = policy.scaling, env_id, distillate.rule, distillate.reference
        job = FineTuningJob(config, settings, agent, *given, origin, folder)
        teacher = score_teacher(config, distillate, env_id)
        job.run()
        result = summarise_job(job, teacher)
        folder.finish(result | {"pairs": len(distillate), "sha256": hash_file(folder.path / POLICY)})
        show(result, folder.path)
    return folder.run


def choose_playable(distillate: Distillate, env_id: str | None, source: str) -> Distillate:
    """Return a distillate of continuous actions with the environment that the user names, or with its own.

    Raises:
        PotstillError: there is no environment, actions are discrete, or students are told a task.
    """
    if distillate.action_bounds.discrete:
        raise PotstillError(f"{source} has discrete actions: TD3 needs continuous ones")
    if has_task_input(distillate):
        raise PotstillError(f"{source}: students of this mixture are told the task: fine-tune one of its sources")
    chosen = choose_environment(distillate, env_id, source)
    if chosen.env_id is None:
        raise PotstillError(f"{source} names no environment: name one with {name_option('env_id')}")
    return chosen


def make_start(config: FinetuneConfig, distillate: Distillate, recipe: Recipe) -> Policy:
    """Make the policy that the actor starts from."""
    if config.start_name not in STARTS:
        found = load_source(config.start, teacher=False)
        if isinstance(found, Distillate):
            raise PotstillError(
                f"{name_option('start', config.start)}: expected {', '.join(STARTS)}, or a policy or teacher"
            )
        return found.policy if isinstance(found, NetworkTeacher) else found
    if config.start_name == "teacher":
        return find_own_teacher(distillate, config.distillate).policy
    if config.start_name == "scratch":
        return make_student(config, distillate, dataclasses.replace(recipe, steps=0))
    return make_student(config, distillate, recipe)


def make_student(config: FinetuneConfig, distillate: Distillate, recipe: Recipe) -> Policy:
    """Train a student that is one plain network.

    Raises:
        PotstillError: the recipe has towers or a skip connection.
    """
    if recipe.towers > 1 or recipe.residual:
        what = f"{recipe.towers} towers" if recipe.towers > 1 else "a skip connection"
        raise PotstillError(f"{name_option('recipe')}: {what}: expected one plain network, such as pytorch")
    with busy("training the student"):
        return distillate.train_student(config.seed, recipe)


def make_prior(config: FinetuneConfig, distillate: Distillate, recipe: Recipe, policy: Policy) -> Policy | None:
    """Find the policy that the constraint holds the actor to in replayed states: the start, or else a student."""
    if not config.prior:
        return None
    return make_student(config, distillate, recipe) if config.start_name == "scratch" else policy


def score_teacher(config: FinetuneConfig, distillate: Distillate, env_id: str) -> ScoreSummary | None:
    """Measure the returns of the teacher in the episodes of the evaluations; ``None`` if it is not found."""
    try:
        teacher = find_own_teacher(distillate, config.distillate)
    except PotstillError:
        return None
    with busy(f"{config.episodes} episodes of the teacher"):
        returns = measure_policy_returns(teacher.policy, env_id, config.episodes, seed=0, rule=distillate.rule)
        return summarise(returns, distillate.reference)


def summarise_job(job: FineTuningJob, teacher: ScoreSummary | None) -> JsonObject:
    """The result of a fine-tuning that has ended."""
    steps, returns = ([entry[name] for entry in job.history] for name in ("steps", "mean"))
    return {
        "env_id": job.env_id,
        "reference": job.reference._asdict(),
        "start": job.config.start_name,
        "first": {name: job.history[0][name] for name in ("mean", "std", "raw_mean")},
        "last": {name: job.history[-1][name] for name in ("mean", "std", "raw_mean")},
        "teacher": teacher,
        "area": compute_area(steps, returns),
        "lowest_share": compute_lowest_share(returns),
        "steps_to_teacher": None if teacher is None else find_steps_to(teacher["mean"], steps, returns),
        "steps": job.done,
        "updates": int(job.agent._n_updates),
        "seconds": job.seconds,
        "history": job.history,
    }


def show(result: JsonObject, path: Path) -> None:
    """Print the result of a run, and draw its curve."""
    from potstill.reports.plots import plot_fine_tuning

    label, lowest = find_return_label(result), result["lowest_share"]
    print(
        f"{label} {result['first']['mean']:.1f} at the start, {result['last']['mean']:.1f} after {result['steps']:,} "
        f"steps, {result['area']:.1f} on average over steps"
        + ("" if lowest is None else f"; lowest: {100 * lowest:.0f} % of the start")
    )
    if result["teacher"]:
        reached = result["steps_to_teacher"]
        when = "not reached" if reached is None else f"reached after {reached:,} steps"
        print(f"teacher {result['teacher']['mean']:.1f}: {when}")
    plot_fine_tuning(path / "learning_curve.png", result)
    print(f"policy in {path / POLICY}")
