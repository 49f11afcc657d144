"""The states of ``potstill distill``, and its world model if none is given: a bundled or earlier one, or a new one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from potstill.bundled import BUNDLED
from potstill.commands.automatic_teacher import find_newest
from potstill.commands.model import CHECKPOINT, learn_world
from potstill.config import DistillConfig
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, name_option
from potstill.runtime.run_folder import RunFolder, list_places_beside
from potstill.runtime.storage import read_metadata
from potstill.teachers.rows import find_order_breaks, has_returns
from potstill.worlds.base import World, load_world
from potstill.worlds.settings import LEAST_HORIZON, WorldSettings
from potstill.worlds.training import check_rows, train_world
from potstill.worlds.validation import find_rollout_starts, hold_out

FILE = "world.safetensors"


def find_world(config: DistillConfig, data: Transitions, folder: RunFolder | None = None) -> World:
    """Load the world model of the config, find one of the same data, or train one.

    A found model has the settings of the one that would be trained. A trained one is saved in the run folder, if there
    is one. By default, distillations with other seeds share the model, as they share the teacher.

    Raises:
        PotstillError: the model is of another dataset, its one-step errors are too large for rollouts, or its errors
            are unknown.
    """
    if config.world is not None:
        world = load_world(config.world)
        world.check_dataset(data.content_hash, data.name)
    else:
        world = _find_or_train(
            WorldSettings() if config.states is None else WorldSettings(seed=config.seed), data, folder
        )
    if not world.metadata["errors"]["open_loop"]:
        raise _make_untested_error(data)
    if not world.horizon:
        raise PotstillError(
            f"{data.name}: the errors of the world model are too large for rollouts: use "
            f"{name_option('states', 'data')}"
        )
    return world


def _find_or_train(settings: WorldSettings, data: Transitions, folder: RunFolder | None) -> World:
    check_rows(data)
    if not len(find_rollout_starts(data, hold_out(data, settings.seed), 1)):
        raise _make_untested_error(data)
    if folder is None:  # one of several processes, whose folders may differ
        return train_world(data, settings)
    begun = any((folder.path / name).exists() for name in (FILE, CHECKPOINT))  # by this run, before it was interrupted
    found = None if begun else find_learned(settings, data, folder.path)
    if found is None:
        return learn_world(data, settings, folder)
    print(f"world model: {found}, trained on these data before", flush=True)
    return load_world(found)


def _make_untested_error(data: Transitions) -> PotstillError:
    return PotstillError(
        f"{data.name}: no held-out episode has two steps, so a world model cannot be tested: use "
        f"{name_option('states', 'data')}"
    )


def find_learned(settings: WorldSettings, data: Transitions, folder: Path) -> Path | None:
    """Find a world model with these settings and data: a bundled one, or one in an earlier run folder.

    Args:
        settings: of the model.
        data: the dataset.
        folder: the run folder of the distillation; the run folders in ``runs`` and beside it are searched.
    """
    bundled = next((path for path in BUNDLED.glob(f"*.{FILE}") if _is_learned(path, settings, data)), None)
    if bundled is not None:
        return bundled
    return find_newest(list_places_beside(folder), "world", FILE, lambda run: _is_learned(run / FILE, settings, data))


def _is_learned(path: Path, settings: WorldSettings, data: Transitions) -> bool:
    """Whether a file holds a world model with these settings and data."""
    try:
        found = read_metadata(path, "world")  # the arrays of most files need not be read
        known = found.get("dataset")
        if not isinstance(known, dict) or known.get("sha256") != data.content_hash:
            return False
        return bool(found.get("settings") == vars(settings) and load_world(path).action_bounds == data.action_bounds)
    except PotstillError:  # damaged, or of an earlier version
        return False


def find_reason(config: DistillConfig, data: Transitions) -> str:
    """Find out why the data's states are used if none are asked for; empty if the world model decides."""
    if data.action_bounds.discrete:
        return "the actions are discrete"
    if jax.process_count() > 1 and config.world is None:
        return "each of several processes would train a world model"
    return ""


def use_states_of_data(config: DistillConfig, *, portfolio: bool = False) -> DistillConfig:
    """Replace the states of a config that asks for none, or for ``auto``, by the data's, with their defaults.

    Args:
        config: the settings.
        portfolio: whether the solver is ``portfolio`` by default, as on imagined states, with all that follows from it.
    """
    again = list_defaulted(config)
    judge = config.world if config.choose == "imagined" and "choose" not in again else None
    if portfolio and (config.solver is None or "solver" in again):
        again["solver"] = "portfolio"
    return replace(config, states="data", world=judge, **{**again, "rollout_steps": 0, "rollout_noise": 0.0})


def list_defaulted(config: DistillConfig) -> dict[str, Any]:
    """List the settings that are defaults, as ``None``: with other states they may have others."""
    return dict.fromkeys(getattr(config, "defaulted", ()))


def choose_states(
    config: DistillConfig, data: Transitions, folder: RunFolder | None = None
) -> tuple[DistillConfig, World | None]:
    """Replace ``--states auto`` by ``imagined`` if the world model is accurate for enough steps, else by ``data``.

    The pairs are for several kinds of students in both cases, unless the config names another solver. A config that
    asks for no states is treated in the same way, except where :func:`find_reason` finds that it needs no model.

    Returns:
        The config, whose defaults are those of the chosen states, and the world model if it is used.

    Raises:
        PotstillError: the world model that the config names is of another dataset, or cannot be read.
    """
    world, reason = None, ""
    if config.states is None and (found := find_reason(config, data)):
        print(f"{name_option('states', 'data')}: {found}", flush=True)
        return use_states_of_data(config), None
    if config.states is None and find_order_breaks(data)[1]:
        reason = "the rows are not in the order of their episodes"
    try:
        world = None if reason else find_world(config, data, folder)
    except PotstillError as error:
        if config.world is not None:
            raise
        reason = str(error).removesuffix(f": use {name_option('states', 'data')}")
    if world is not None and world.horizon < LEAST_HORIZON:
        reason = f"the world model is accurate for {world.horizon} steps only"
    if reason:
        chosen = use_states_of_data(config, portfolio=True)
        solver = f", {name_option('solver', 'portfolio')}" if chosen.solver == "portfolio" else ""
        print(f"{name_option('states', 'data')}{solver}: {reason}", flush=True)
        return chosen, None
    found = name_option("states", "imagined")
    print(f"{found}: the world model is accurate for at least {LEAST_HORIZON} steps", flush=True)
    return replace(config, states="imagined", **list_defaulted(config)), world


def check_choice(config: DistillConfig, data: Transitions) -> None:
    """Raise if the config asks for a choice by returns in a world model, which would be one by rounding errors."""
    if config.choose == "imagined" and "choose" not in list_defaulted(config) and not has_returns(data):
        raise PotstillError(
            f"{name_option('choose', 'imagined')}: the rewards of {data.name} do not distinguish policies: use "
            f"{name_option('choose', 'held-out')}"
        )


def choose_without_returns(config: DistillConfig, data: Transitions) -> DistillConfig:
    """Replace the default ``--choose imagined`` where :func:`check_choice` would refuse it: see there."""
    if config.choose != "imagined" or has_returns(data):
        return config
    print(f"{name_option('choose', 'held-out')}: the rewards do not distinguish policies", flush=True)
    return replace(config, **{**list_defaulted(config), "choose": "held-out"})
