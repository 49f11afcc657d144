"""``potstill merge``: one distillate of several, with or without the task as an input."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from potstill.commands.resolve import resolve_recipe
from potstill.config import MergeConfig
from potstill.config.settings import command_line, record_settings
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath, hash_file
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free
from potstill.students.recipe import Recipe
from potstill.tasks.mixture import merge_distillates, read_sources


@check_arguments
def merge(
    *distillates: str | os.PathLike[str],
    task_input: bool = False,
    recipe: str | Recipe | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Run:
    """Merge several distillates of one state and action size into one, such as one of each task.

    The pairs are kept as they are, in the units of the environment. The states get one normaliser, that of the sources'
    data mixed in the shares of their pairs. The metadata name the sources, with their hashes. The mixture is a
    distillate as any other: it can be inspected, exported and evaluated, and students train on it. ``potstill evaluate
    --task K`` evaluates them in the environment of source K.

    Args:
        distillates: distillate files, run folders of ``potstill distill``, or bundled names; at least two, all
            different, with the same action bounds.
        task_input: tell students the task: append a component for each source to the states, 1 for its own pairs and 0
            for others.
        recipe: the recipe of the students. Default: that of all sources.
        out: run folder to make. Default: ``runs/merge-TIME``.
        force: replace the run folder if it exists.

    Returns:
        The run, with ``distillate.safetensors``.

    Raises:
        PotstillError: there are fewer than two distillates, two are the same, their sizes, actions or recipes differ,
            or one already has the task as an input.

    Example:
        >>> import potstill
        >>> run = potstill.merge("runs/first", "runs/second", task_input=True)  # doctest: +SKIP
        >>> students = potstill.load(run).train_students([0, 1])  # doctest: +SKIP
        >>> students.fix_inputs([1.0, 0.0])  # doctest: +SKIP
    """
    paths = tuple(path if isinstance(path, str) else Path(path) for path in distillates)
    given = None if out is None else Path(out)
    return run_merge(MergeConfig(paths, task_input=task_input, recipe=recipe, out=given, force=force))


def run_merge(config: MergeConfig) -> Run:
    """:func:`merge` with the settings of the command line."""
    check_free(config.out, force=config.force)
    if len(config.distillates) < 2:
        raise PotstillError("a mixture needs at least two distillates: potstill merge FIRST SECOND [MORE ...]")
    sources = [load(path) for path in config.distillates]
    recipe = None
    if config.recipe is not None:  # fields without a name change the recipe of the first source
        recipe = resolve_recipe(config.recipe, sources[0].recipe)
    names = [find_source_name(path) for path in config.distillates]
    mixture = merge_distillates(sources, recipe, names=names, task_input=config.task_input)
    if recipe is None and mixture.recipe != sources[0].recipe:
        print(f"the students' learning rate would not be stable on the mixture: using {mixture.recipe.learning_rate:g}")
    metadata = {**mixture.metadata, "command": command_line("merge", config)}
    with RunFolder(config.out, "merge", record_settings(config), force=config.force, discard=True) as folder:
        path = dataclasses.replace(mixture, metadata=metadata).save(folder.path / "distillate.safetensors")
        folder.finish(describe_mixture(mixture) | {"sha256": hash_file(path)})
        print(f"{len(mixture)} pairs of {len(sources)} distillates in {folder.path}")
    return folder.run


def find_source_name(path: StrPath) -> str:
    """Find the name of a distillate without folders: that of its run folder, of its file or of the bundled dataset.

    >>> find_source_name("runs/first"), find_source_name("runs/second/distillate.safetensors")
    ('first', 'second')
    """
    file = Path(path)
    if file.name == "distillate.safetensors" and file.parent.name:
        return file.parent.name
    return file.stem if file.suffix == ".safetensors" else file.resolve().name


def describe_mixture(mixture: Distillate) -> JsonObject:
    """Describe a mixture as in ``result.json``."""
    kept = ("name", "sha256", "pairs")
    return {
        "pairs": len(mixture),
        "state_size": mixture.states.shape[1],
        "action_size": mixture.actions.shape[1],
        "task_input": mixture.metadata["mixture"]["task_input"],
        "sources": [{key: source[key] for key in kept} for source in read_sources(mixture)],
        "recipe": mixture.metadata["recipe"],
    }
