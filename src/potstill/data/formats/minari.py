"""Minari datasets, read without Minari: HDF5 with h5py, Arrow and Parquet with PyArrow.

A dataset is a folder with ``data/metadata.json`` and either ``data/main_data.hdf5``, with groups ``episode_0`` and so
on, or folders ``data/0`` and so on of ``.arrow`` or ``.parquet`` files. An episode has one more observation than
actions, so no row is dropped. In Arrow and Parquet files, the other columns are padded by one row.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.data.checks import as_flags, check_equal_rows, check_type_and_shape
from potstill.data.columns import Chosen, find_keys
from potstill.data.files import Column, Group, find_user_folder, open_hdf5, reading
from potstill.data.formats.arrow import check_sizes
from potstill.data.formats.groups import find_group, find_group_columns, join_episodes
from potstill.data.formats.minari_spaces import check_space, list_observations, read_bounds, read_whole_number
from potstill.data.formats.parquet import allow_columns, flatten, require_pyarrow, to_array
from potstill.data.joined import SideBySide
from potstill.data.log import Log
from potstill.environments.making import find_registered_limit
from potstill.errors import PotstillError, make_missing_extra_error, name_option
from potstill.runtime.files import JsonMapping, parse_json, read_json

COLUMNS = ("observations", "actions", "rewards", "terminations", "truncations")
COUNTS = ("total_episodes", "total_steps")
FORMS = ("hdf5", "arrow", "parquet")
FLATTENING = ("FlattenObservation", "RuleObservation")  # wrappers that do not change what is observed
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


def read_minari_name(name: str, chosen: Chosen, *, download: bool = False) -> AbstractContextManager[Log]:
    """Open a dataset such as ``mujoco/hopper/medium-v0`` in Minari's own folder.

    Args:
        name: Minari's id of the dataset.
        chosen: columns that the user chose.
        download: download the dataset with Minari's own client if it is not there.

    Raises:
        PotstillError: the dataset is missing or cannot be downloaded, or :func:`read_minari` raises.
    """
    return read_minari(find_minari_path(name, download=download), chosen)


def find_minari_path(name: str, *, download: bool = False) -> Path:
    """Find the folder of a dataset such as ``mujoco/hopper/medium-v0`` in Minari's own folder.

    Args:
        name: Minari's id of the dataset.
        download: download the dataset with Minari's own client if it is not there.

    Raises:
        PotstillError: the dataset is missing or cannot be downloaded. The message contains Minari's download command.
    """
    root = find_user_folder("MINARI_DATASETS_PATH", ".minari", "datasets")
    folder = root / name
    if not (folder / "data").is_dir():
        fetch = f"pip install 'minari[hf]' && minari download {name}"
        elsewhere = f"run this on a machine with a network: {fetch}; then copy the folder to {folder}"
        if not download:
            raise PotstillError(
                f"minari:{name}: not in {root}. Download it with {name_option('download', True)}, or {elsewhere}"
            )
        _download(name, folder, elsewhere)
    return folder


def _download(name: str, folder: Path, elsewhere: str) -> None:
    """Download a dataset with Minari, without its log messages. The files of a failed attempt are removed."""
    try:
        import minari
    except ImportError:
        raise make_missing_extra_error("minari", "minari") from None
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


class Metadata(NamedTuple):
    """The metadata of a dataset."""

    form: str
    episodes: int
    steps: int
    bounds: ActionBounds | None
    env_id: str | None
    changes: list[str]
    """Differences between the environment and the one that is registered under its id."""
    roles: dict[str, tuple[str, ...]]
    """The names of an episode's arrays for each column."""
    name: str
    card: dict[str, object]


@contextmanager
def read_minari(path: Path, chosen: Chosen) -> Iterator[Log]:
    """Open the folder of a Minari dataset, or its folder ``data``.

    The action bounds are those of its action space. The environment is that of its ``env_spec``, if the environment
    that is registered under this id is the same.

    Args:
        path: the folder.
        chosen: columns of an episode that the user chose, such as ``observations=observations/desired_goal`` for a
            part of a dictionary of observations.

    Raises:
        PotstillError: a space is not supported, an episode is missing or has columns of the wrong length,
            or a column is chosen for a role that Minari does not have.
    """
    folder = path / "data" if (path / "data").is_dir() else path
    metadata = _read_metadata(folder, path, chosen)
    if metadata.form == "hdf5":
        with open_hdf5(folder / "main_data.hdf5") as file:
            yield _make_log(metadata, _find_episodes(metadata, file, folder / "main_data.hdf5"), path)
    else:
        yield _make_log(metadata, _read_arrow_episodes(metadata, folder), path)


def read_minari_file(file: Group, path: Path, chosen: Chosen) -> Log:
    """Find the columns of ``main_data.hdf5`` of a Minari dataset. The metadata are in the same folder."""
    metadata = _read_metadata(path.parent, path, chosen)
    return _make_log(metadata, _find_episodes(metadata, file, path), path)


def _read_metadata(folder: Path, path: Path, chosen: Chosen) -> Metadata:
    if strange := [role for role in chosen if role not in COLUMNS]:
        raise PotstillError(
            f"{path}: {name_option('columns', strange[0])}: the roles in Minari's layout are {', '.join(COLUMNS)}"
        )
    with reading(folder / "metadata.json", "Minari's metadata"):
        metadata = read_json(folder / "metadata.json")
        form, count, steps = str(metadata["data_format"]), *(read_whole_number(metadata, key) for key in COUNTS)
        observations, actions, env_spec = (
            dict(parse_json(metadata.get(key) or "{}")) for key in ("observation_space", "action_space", "env_spec")
        )
        if "observations" not in chosen:
            chosen = {**chosen, "observations": list_observations(observations, path)}
        check_space(actions, path)
        bounds, changes = read_bounds(actions), _find_changes(env_spec)
    if form not in FORMS:
        raise PotstillError(f"{path}: unknown data_format '{form}': expected {', '.join(FORMS)}")
    return Metadata(
        form,
        count,
        steps,
        bounds,
        env_spec["id"] if isinstance(env_spec.get("id"), str) else None,
        changes,
        {key: names for key in COLUMNS if (names := chosen.get(key, (key,)))},
        str(metadata.get("dataset_id", path.name)),
        {"source": "minari", **{key: metadata[key] for key in CARD_KEYS if key in metadata}},
    )


def _make_log(metadata: Metadata, episodes: Sequence[Mapping[str, Column]], path: Path) -> Log:
    """Check the episodes, and join them."""
    for number, episode in enumerate(episodes):
        _check_lengths(episode, f"{path}, episode {number}")
    columns = join_episodes(episodes, source=str(path))
    _check_ends(columns, path)
    steps, size = columns["actions"].shape
    if steps != metadata.steps:
        raise PotstillError(f"{path}: {steps} steps, but the metadata list {metadata.steps}")
    bounds = metadata.bounds
    if bounds is not None and not bounds.discrete and len(bounds) != size:
        raise PotstillError(f"{path}: actions have {size} components, but the action space has {len(bounds)}")
    changed = (
        f"used without an environment: the dataset's {metadata.env_id} differs from the registered one in "
        f"{', '.join(metadata.changes)}"
    )
    return Log(
        columns,
        str(path),
        metadata.name,
        env_id=None if metadata.changes else metadata.env_id,
        bounds=bounds,
        card=metadata.card,
        notes=(changed,) if metadata.env_id and metadata.changes else (),
        trusts_environment=False,
    )


def _find_episodes(metadata: Metadata, file: Group, path: Path) -> list[dict[str, Column]]:
    """Find the columns of the episodes in an HDF5 file. Nothing is read."""
    found = sum(name.startswith("episode_") for name in file)
    if found != metadata.episodes:
        raise PotstillError(f"{path}: {found} episodes, but the metadata list {metadata.episodes}")
    return [
        find_group_columns(find_group(file, f"episode_{i}", path), metadata.roles, path, source=f"{path}, episode {i}")
        for i in range(metadata.episodes)
    ]


def _read_arrow_episodes(metadata: Metadata, folder: Path) -> list[dict[str, Column]]:
    """Read the columns of the episodes from Arrow or Parquet files."""
    arrow, form, episodes = require_pyarrow(), metadata.form, []
    for number in range(metadata.episodes):
        place = folder / str(number)
        files = sorted(place.glob(f"*.{form}"))
        if not files:
            raise PotstillError(f"{place}: no .{form} file, but the metadata list {metadata.episodes} episodes")
        source = f"{files[0]}, episode {number}"
        with reading(files[0], f"a .{form} file"):
            dataset = arrow.dataset.dataset(files, format=form)
            for part in dataset.get_fragments():
                if form == "parquet":
                    allow_columns(Path(part.path), part.metadata)
                else:
                    check_sizes(Path(part.path), arrow)
            table = flatten(dataset.to_table())
        episode: dict[str, Column] = {}
        for key, names in metadata.roles.items():
            parts = {name: to_array(table, name.replace("/", "."), source=str(files[0])) for name in names}
            single = len(parts) == 1 and not find_keys(names, key)
            column = next(iter(parts.values())) if single else SideBySide(parts, source=source)
            check_type_and_shape(key, column, source=source)
            episode[key] = column if key == "observations" else column[: len(column) - 1]
        episodes.append(episode)
    return episodes


def _check_lengths(columns: Mapping[str, Column], source: str) -> None:
    check_equal_rows({key: values for key, values in columns.items() if key != "observations"}, source=source)
    steps, states = len(columns["actions"]), len(columns["observations"])
    if not steps or states != steps + 1:
        raise PotstillError(f"{source}: {states} observations for {steps} actions: expected one observation more")


def _check_ends(columns: Mapping[str, Column], path: Path) -> None:
    """Raise if a flag is not 0 or 1, or marks an end inside an episode."""
    ends = np.asarray(columns["ends"])
    first = np.append(0, np.flatnonzero(ends) + 1)
    for key in [key for key in ("terminations", "truncations") if key in columns]:
        array = np.asarray(columns[key]).reshape(len(ends))
        wrong = np.flatnonzero((array != 0) & ((array != 1) | ~ends))
        if len(wrong):
            number = int(np.searchsorted(first, wrong[0], "right")) - 1
            source, row = f"{path}, episode {number}", int(wrong[0] - first[number])
            as_flags(key, array[first[number] : first[number + 1]], source=source)
            raise PotstillError(f"{source} ends in row {row}, but more rows follow")


def _find_changes(env_spec: JsonMapping) -> list[str]:
    """List differences to the environment that is registered under the id, apart from rendering and flattening."""
    arguments = [key for key in env_spec.get("kwargs") or {} if not key.startswith("render")]
    wrappers = [wrapper["name"] for wrapper in env_spec.get("additional_wrappers") or []]
    limit, usual = env_spec.get("max_episode_steps"), find_registered_limit(str(env_spec.get("id")))
    if "max_episode_steps" in env_spec and usual is not None and limit != usual:
        arguments.append(f"max_episode_steps {limit} instead of {usual}")
    return arguments + [f"wrapper {name}" for name in wrappers if name not in FLATTENING]
