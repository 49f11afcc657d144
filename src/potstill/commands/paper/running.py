"""Run a reproduction: check the settings, measure the cells, and write tables, pictures and sentences."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from potstill.commands.paper.cells import order_cells
from potstill.commands.paper.datasets import name_datasets, read_sources
from potstill.commands.paper.grid import describe_failures, run_cells
from potstill.commands.paper.measuring import CELLS, Workplace
from potstill.commands.paper.scales import SCALES, Scale
from potstill.commands.paper.targets import Outcome, describe_datasets, select_targets
from potstill.commands.paper.teachers import TeacherFiles
from potstill.config import ReproduceConfig
from potstill.config.settings import record_settings, resume_command
from potstill.errors import PotstillError, name_option
from potstill.reports.paper.markdown import RETENTION_TEXT
from potstill.runtime.executors import EXECUTORS
from potstill.runtime.executors.base import Executor
from potstill.runtime.files import JsonObject, write_atomically
from potstill.runtime.interruption import resumable
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out

PAGE = "README.md"
SCORE_TEXT = (
    "*Ours* are mean normalised returns over seeds, students and episodes, with the 95 % bootstrap interval in "
    "brackets: seeds are resampled, then students, then episodes. The paper's numbers follow a slash."
)
CHOICE_TEXT = (
    "potstill's default settings were chosen by returns on nine files of Hopper, HalfCheetah and Walker2d, mostly with "
    "seed 0; the bundled dataset has the same environment as three of them. DBC, PBC and Av-PBC as in the paper have "
    "the paper's settings, none of which was chosen here. A teacher is chosen by its own data and returns, never by "
    "those of its students."
)


def reproduce_paper(name: str, config: ReproduceConfig, scales: Mapping[str, Scale] = SCALES) -> Run:
    """Make a table or figure of the paper, or all.

    Args:
        name: one of :data:`~potstill.commands.paper.targets.TARGETS`, or ``all``.
        config: the settings; a scale that is not given is ``smoke``.
        scales: the scales that the settings may name.

    Raises:
        PotstillError: a dataset is unknown or unsuitable, or a cell failed. In the latter case, the tables are written
            without it.
    """
    config = dataclasses.replace(config, run=name, scale=config.scale or "smoke")
    scale = choose_scale(config, scales)
    wanted = select_targets(name)
    needs_data = any(target.needs_data for target in wanted.values())
    if config.datasets and not needs_data:
        raise PotstillError(f"{name_option('datasets')} has no effect on {name}, which uses no data")
    if config.teachers is not None and not needs_data:
        raise PotstillError(f"{name_option('teachers')} has no effect on {name}, which uses no data")
    teachers = None if config.teachers is None else TeacherFiles.of(config.teachers)
    names = name_datasets(scale.name, config.datasets) if needs_data else []
    settings = record_settings(config)
    check_out(config.out, "reproduce", settings, force=config.force, resume=config.resume)
    sources = {source.label: source for source in read_sources(names, teachers)}
    cells = order_cells([cell for target in wanted.values() for cell in target.list_cells(list(sources), scale)])
    with (
        make_executor(config) as executor,
        RunFolder(config.out, "reproduce", settings, force=config.force, resume=config.resume) as folder,
    ):
        folder.check_inputs(**{source.label: source.content_hash for source in sources.values()})
        given_teachers = {f"teacher of {s.label}": s.teacher_hash for s in sources.values() if s.teacher is not None}
        folder.check_inputs(**given_teachers)
        at = Workplace(folder.path, sources, scale)
        on = f" on {', '.join(sources)}" if sources else ""
        print(f"{name} at scale {scale.name}{on}: {len(cells)} cells, into {folder.target}")
        command = resume_command("reproduce", config, folder.target)
        with resumable(command):
            failed = run_cells(cells, at, folder, executor)
            outcomes = {one: target.assemble(at) for one, target in wanted.items()}
            with busy("drawing pictures"):
                page = write_outcomes(folder.path, outcomes, at, failed)
        for line in (text for outcome in outcomes.values() for text in outcome.said):
            print(f"- {line}")
        if failed:
            raise PotstillError(f"{describe_failures(failed)}; {page} lacks them; repeat them with: {command}")
        folder.finish(describe_result(outcomes, at))
        print(f"results in {folder.path / PAGE}")
    return folder.run


def make_executor(config: ReproduceConfig) -> Executor:
    """Make the executor of the settings. Its files, if it has any, lie beside the run folder.

    Raises:
        PotstillError: it is unknown, cannot be made, or does not answer.
    """
    kind = EXECUTORS[config.executor or "serial"]
    return kind(config.workers, config.address, Path(f"{config.out or 'runs/reproduce'}.jobs-{os.getpid()}"))


def choose_scale(config: ReproduceConfig, scales: Mapping[str, Scale] = SCALES) -> Scale:
    """The scale of the settings, with their number of seeds if it is given."""
    scale = scales[config.scale or "smoke"]
    if config.seeds is None:
        return scale
    return dataclasses.replace(scale, seeds=config.seeds, random_seeds=max(config.seeds, scale.random_seeds))


def describe_scale(scale: Scale) -> str:
    """What a scale measures, as sentences.

    >>> describe_scale(SCALES["full"]).startswith("Scale full: 5 distillation seeds (10 for random selection)")
    True
    """
    steps = "until the pairs converge" if scale.steps is None else f"{scale.steps} outer steps"
    share = "all" if scale.as_printed else f"{100 * scale.share:g} %"
    towers = "" if scale.towers == 16 else f", and its student has {scale.towers} towers instead of 16"
    warning = (
        " These numbers show that all parts run. They say nothing about a method." if scale.name == "smoke" else ""
    )
    return (
        f"Scale {scale.name}: {scale.seeds} distillation seed{'s' * (scale.seeds > 1)} ({scale.random_seeds} for "
        f"random selection), {scale.students} students of each distillate with {scale.episodes} episodes each, "
        f"{scale.teacher_episodes} episodes of each teacher. As in the paper means {share} of the paper's outer steps. "
        f"potstill's own cells take {steps}{towers}. Cloning all rows takes {scale.clone_updates:,} steps.{warning}"
    )


def write_outcomes(path: Path, outcomes: Mapping[str, Outcome], at: Workplace, failed: Mapping[str, str]) -> Path:
    """Write the page, and the CSV file and the picture of each target. Return the path of the page."""
    parts = ["# Offline Behavior Distillation, reproduced"]
    if at.sources:
        parts += [describe_scale(at.scale), describe_datasets(at), SCORE_TEXT, RETENTION_TEXT, CHOICE_TEXT]
    if failed:
        parts += ["## Cells that failed", "\n".join(f"- {name}: {reason}" for name, reason in failed.items())]
    for name, outcome in outcomes.items():
        write_atomically(path / f"{name}.csv", outcome.csv.encode())
        parts += [f"## {outcome.title}", outcome.text]
        if outcome.draw is not None:
            outcome.draw(path / f"{name}.png")
            parts.append(f"![{outcome.title}]({name}.png)")
        for title, draw in outcome.more_pictures.items():
            picture = path / f"{name}-{title}.png"
            draw(picture)
            if picture.exists():
                parts.append(f"![{title}]({picture.name})")
        parts += ["Beside the paper:", "\n".join(f"- {line}" for line in outcome.said) or "- nothing to compare"]
    write_atomically(path / PAGE, ("\n\n".join(parts) + "\n").encode())
    return path / PAGE


def describe_result(outcomes: Mapping[str, Outcome], at: Workplace) -> JsonObject:
    """The content of ``result.json``: each target with its sentences, and the records of all cells."""
    found = {name: outcome.record | {"said": list(outcome.said)} for name, outcome in outcomes.items()}
    return {"scale": dataclasses.asdict(at.scale), "targets": found, CELLS: at.records}
