"""Minari datasets, read without Minari: HDF5 with h5py, Arrow and Parquet with PyArrow.

A dataset is a folder with ``data/metadata.json`` and either ``data/main_data.hdf5``, with groups ``episode_0`` and so
on, or folders ``data/0`` and so on of ``.arrow`` or ``.parquet`` files. An episode has one more observation than
actions, so that no row is dropped. In Arrow and Parquet files the other columns are padded by one row.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.data.checks import as_columns, check_equal_rows, resolve_bounds
from potstill.data.files import Group, open_hdf5, read_array, reading
from potstill.data.formats.layouts import join_episodes, last_observation_rows, make_transitions
from potstill.data.formats.parquet import require_pyarrow, to_array
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, PotstillWarning, missing_extra
from potstill.runtime.run_folder import read_json

COLUMNS = ("observations", "actions", "rewards", "terminations", "truncations")
CARD_KEYS = (  # entries of the metadata that are copied to the card
    "dataset_id",
    "algorithm_name",
    "author",
    "code_permalink",
    "description",
    "minari_version",
    "ref_min_score",
    "ref_max_score",
)


def read_minari_name(name: str, *, download: bool = False, action_scale: float = 1.0) -> Transitions:
    """Read a dataset such as ``mujoco/hopper/medium-v0`` from Minari's own folder.

    Args:
        name: Minari's id of the dataset.
        download: let Minari's own client download the dataset if it is not there.
        action_scale: factor for the actions.

    Raises:
        PotstillError: the dataset is missing or cannot be downloaded, or :func:`read_minari` raises.
    """
    return read_minari(minari_path(name, download=download), action_scale=action_scale)


def minari_path(name: str, *, download: bool = False) -> Path:
    """The folder of a dataset such as ``mujoco/hopper/medium-v0`` in Minari's own folder.

    Args:
        name: Minari's id of the dataset.
        download: let Minari's own client download the dataset if it is not there.

    Raises:
        PotstillError: the dataset is missing or cannot be downloaded. The message gives Minari's download command.
    """
    root = Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")
    folder = root / name
    if not (folder / "data").is_dir():
        fetch = f"pip install 'minari[hf]' && minari download {name}"
        elsewhere = f"run this on a machine with a network: {fetch}; then copy the folder to {folder}"
        if not download:
            raise PotstillError(f"minari:{name}: not in {root}. Download it with --download, or {elsewhere}")
        _download(name, folder, elsewhere)
    return folder


def _download(name: str, folder: Path, elsewhere: str) -> None:
    """Let Minari download a dataset, without its log messages. The files of a failed attempt are removed."""
    try:
        import minari
    except ImportError:
        raise missing_extra("minari", "minari") from None
    missing = next(path for path in (*reversed(folder.parents), folder, folder / "data") if not path.exists())
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    print(f"downloading {name} with Minari's client", flush=True)
    try:
        minari.download_dataset(name)
        if not (folder / "data").is_dir():
            raise FileNotFoundError(f"no folder {folder / 'data'} after the download")
    except BaseException as error:
        shutil.rmtree(missing, ignore_errors=True)
        if not isinstance(error, Exception):  # Ctrl-C
            raise
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise PotstillError(f"minari:{name}: Minari could not download it ({why}); {elsewhere}") from None
    finally:
        logging.disable(before)


def read_minari(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Read the folder of a Minari dataset, or its folder ``data``.

    The action bounds are those of its action space. The environment is that of its ``env_spec``, if the id makes the
    same environment on this machine.

    Args:
        path: the folder.
        action_scale: factor for the actions.

    Raises:
        PotstillError: there are no metadata, a space is not a one-dimensional box, an episode is missing or has
            columns of the wrong length, or a value is invalid.
    """
    folder = path / "data" if (path / "data").is_dir() else path
    if not (folder / "metadata.json").is_file():
        raise PotstillError(
            f"{path} is a folder, but not a dataset: it has neither dataset.json, which potstill convert writes, nor "
            "data/metadata.json, which Minari writes"
        )
    with reading(folder / "metadata.json", "Minari's metadata"):
        metadata = read_json(folder / "metadata.json")
        form, count, steps = str(metadata["data_format"]), int(metadata["total_episodes"]), int(metadata["total_steps"])
        observations, actions, env_spec = (
            dict(json.loads(metadata.get(key) or "{}")) for key in ("observation_space", "action_space", "env_spec")
        )
        _check_space("observations", observations, path)
        _check_space("actions", actions, path)
        bounds, changes = _read_bounds(actions, path), _find_changes(env_spec)
    if form not in EPISODE_READERS:
        raise PotstillError(f"{path}: unknown data_format '{form}': expected {', '.join(EPISODE_READERS)}")
    raw = EPISODE_READERS[form](folder, form, count)
    episodes = [_check_episode(episode, f"{path}, episode {number}") for number, episode in enumerate(raw)]
    if not episodes:
        raise PotstillError(f"{path}: no episodes")
    columns = join_episodes(episodes, source=str(path))
    if len(columns["rewards"]) != steps:
        raise PotstillError(f"{path}: {len(columns['rewards'])} steps, but the metadata list {steps}")
    if bounds and bounds.low.shape != columns["actions"].shape[1:]:
        raise PotstillError(
            f"{path}: actions have {columns['actions'].shape[1]} components, but the action space has shape "
            f"{actions['shape']}"
        )
    return make_transitions(
        columns,
        last_observation_rows(columns, columns["ends"]),
        source=str(path),
        name=str(metadata.get("dataset_id", path.name)),
        env_id=_find_environment(env_spec.get("id"), changes, columns, bounds, path),
        bounds=bounds,
        card={"source": "minari", **{key: metadata[key] for key in CARD_KEYS if key in metadata}},
        action_scale=action_scale,
    )


def _check_space(key: str, space: Mapping[str, Any], path: Path) -> None:
    kind = space.get("type", "Box")
    if key == "actions" and "Discrete" in kind:
        raise PotstillError(f"{path} has a discrete action space: only continuous actions are supported")
    if kind != "Box" or len(space.get("shape", [1])) != 1:
        raise PotstillError(f"{path}: {key} of space {kind}{space.get('shape', '')}: expected a one-dimensional Box")


def _read_bounds(space: Mapping[str, Any], path: Path) -> ActionBounds | None:
    if not space:
        return None
    low, high = (np.broadcast_to(np.array(space[key], np.float32), space["shape"]) for key in ("low", "high"))
    if not np.isfinite([low, high]).all():
        raise PotstillError(f"{path}: unbounded actions: expected finite bounds, which are scaled to [-1, 1]")
    return ActionBounds(low, high)


def _read_hdf5_episodes(folder: Path, form: str, count: int) -> Iterator[dict[str, np.ndarray]]:
    path = folder / "main_data.hdf5"
    with open_hdf5(path) as file:
        found = sum(name.startswith("episode_") for name in file)
        if found != count:
            raise PotstillError(f"{path}: {found} episodes, but the metadata list {count}")
        for number in range(count):
            group = file.get(f"episode_{number}")
            if not isinstance(group, Group):
                raise PotstillError(f"{path}: the group 'episode_{number}' is missing")
            yield {key: read_array(group, key, path) for key in COLUMNS}


def _read_arrow_episodes(folder: Path, form: str, count: int) -> Iterator[dict[str, np.ndarray]]:
    arrow = require_pyarrow()
    for number in range(count):
        files = sorted((folder / str(number)).glob(f"*.{form}"))
        if not files:
            raise PotstillError(f"{folder / str(number)}: no .{form} file, but the metadata list {count} episodes")
        with reading(files[0], f"a .{form} file"):
            table = arrow.dataset.dataset(files, format=form).to_table(columns=list(COLUMNS))
        episode = {key: to_array(table, key, source=str(files[0])) for key in COLUMNS}
        yield {key: values if key == "observations" else values[:-1] for key, values in episode.items()}


EPISODE_READERS: dict[str, Callable[[Path, str, int], Iterator[dict[str, np.ndarray]]]] = {
    "hdf5": _read_hdf5_episodes,
    "arrow": _read_arrow_episodes,
    "parquet": _read_arrow_episodes,
}


def _check_episode(raw: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    columns = as_columns(raw, source=source)
    check_equal_rows({key: values for key, values in columns.items() if key != "observations"}, source=source)
    steps, states = len(columns["actions"]), len(columns["observations"])
    if not steps or states != steps + 1:
        raise PotstillError(f"{source}: {states} observations for {steps} actions: expected one observation more")
    ended = columns["terminations"] | columns["truncations"]
    if ended[:-1].any():
        raise PotstillError(f"{source} ends in row {np.flatnonzero(ended)[0]}, but more rows follow")
    return {
        "observations": columns["observations"],
        "actions": columns["actions"],
        "rewards": columns["rewards"],
        "terminals": columns["terminations"],
        "ends": np.arange(steps) == steps - 1,
    }


def _find_changes(env_spec: Mapping[str, Any]) -> list[str]:
    """List how an environment differs from the one registered under its id, apart from rendering and flattening."""
    arguments = [key for key in env_spec.get("kwargs") or {} if not key.startswith("render")]
    wrappers = [wrapper["name"] for wrapper in env_spec.get("additional_wrappers") or []]
    return arguments + [f"wrapper {name}" for name in wrappers if name != "FlattenObservation"]


def _find_environment(
    env_id: object,
    changes: list[str],
    columns: Mapping[str, np.ndarray],
    bounds: ActionBounds | None,
    path: Path,
) -> str | None:
    """Return the environment's id. If the id makes a different environment, warn and return ``None``."""
    if not isinstance(env_id, str):
        return None
    try:
        if changes:
            raise PotstillError(f"{env_id} was made with other settings than the registered ones: {', '.join(changes)}")
        own = resolve_bounds(env_id, columns, source=str(path))
        if bounds and not np.allclose([own.low, own.high], [bounds.low, bounds.high]):
            raise PotstillError(f"its action bounds differ from those of {env_id}")
    except PotstillError as error:
        warnings.warn(f"{path}: used without an environment: {error}", PotstillWarning, stacklevel=2)
        return None
    return env_id
