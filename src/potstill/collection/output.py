"""Write a recording as a file in D4RL's layout, or as the folder of a Minari dataset."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from potstill.collection.card import Card
from potstill.collection.episodes import Recording
from potstill.data.formats.d4rl import round_mantissa, write_d4rl
from potstill.data.units import find_bounds
from potstill.environments.making import Environment, HasSpaces, count_actions, strip_version
from potstill.errors import require_package
from potstill.exports.minari import write_dataset

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec


def require_format(form: str) -> None:
    """Check that the library of a format is installed.

    Raises:
        PotstillError: the library is not installed. The message contains the command that installs it.
    """
    if form == "minari":
        require_package("minari", "minari")


def write_recording(folder: Path, recording: Recording, form: str, bits: int, env: Environment, card: Card) -> Path:
    """Write a recording into a run folder, completely or not at all.

    Args:
        folder: the run folder.
        recording: episodes with at least one step.
        form: ``d4rl`` or ``minari``.
        bits: number of mantissa bits of float32 numbers to keep.
        env: the environment, as :func:`~potstill.environments.making.make` makes it.
        card: the dataset's card, which is stored in the file or the folder.

    Returns:
        The file or the folder of the dataset.
    """
    if form == "d4rl":
        path = folder / "dataset.hdf5"
        columns = {key: round_mantissa(column, bits) for key, column in recording.to_columns().items()}
        count = count_actions(cast(HasSpaces, env))
        write_d4rl(path, columns, env_id=card["env_id"], card=card, action_count=count)
        return path
    path = folder / make_dataset_id(card["env_id"], card["level"])
    bounds = find_bounds(env)
    with tempfile.TemporaryDirectory(prefix=".dataset-", dir=folder) as place:
        new = Path(place) / path.name
        write_dataset(
            new,
            _iterate_minari_episodes(recording, bits),
            bounds,
            _find_serialisable_spec(env),
            _make_minari_metadata(card),
        )
        shutil.rmtree(path, ignore_errors=True)
        os.replace(new, path)
    return path


def make_dataset_id(env_id: str, level: str) -> str:
    """Make the id of a Minari dataset.

    >>> make_dataset_id("Hopper-v5", "medium-replay")
    'hopper-medium-replay-v0'
    """
    name = strip_version(re.split("[:/]", env_id)[-1]).lower()
    return re.sub(r"[^-\w]", "_", f"{name}-{level}-v0")


def _iterate_minari_episodes(recording: Recording, bits: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield episodes by Minari's column names. A cut episode counts as truncated."""
    for episode in recording.episodes:
        last = np.arange(len(episode)) == len(episode) - 1
        yield {
            "observations": round_mantissa(episode.observations, bits),
            "actions": round_mantissa(episode.actions, bits),
            "rewards": round_mantissa(episode.rewards, bits),
            "terminations": last & episode.terminated,
            "truncations": last & (not episode.terminated),
        }


def _find_serialisable_spec(env: Environment) -> EnvSpec | None:
    """Find the environment's specification, or ``None`` if it cannot be written as JSON."""
    if env.spec is None:
        return None
    try:
        env.spec.to_json()
    except (TypeError, ValueError):
        return None
    return env.spec


def _make_minari_metadata(card: Card) -> dict[str, object]:
    low, high = (card["reference"].get(name) for name in ("random", "expert"))
    scores = {} if high is None else {"ref_min_score": low, "ref_max_score": high}
    return {
        "algorithm_name": card["algorithm"],
        "description": f"{card['env_id']}, level {card['level']} as in D4RL, recorded by: {card['command']}",
        **scores,
        "potstill": card,
    }
