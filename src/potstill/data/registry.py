"""Load a dataset from a name, a path or arrays."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, cast

import numpy as np

from potstill.bundled import BUNDLED, list_bundled_names
from potstill.data.columns import Chosen, parse_columns
from potstill.data.formats.arrays import ReplayBuffer, read_arrays, read_buffer
from potstill.data.formats.frames import DataFrame, read_frame
from potstill.data.log import NO_ENVIRONMENT, Log, make_transitions, read_rows
from potstill.data.mapped import drop_environment
from potstill.data.observations import apply_rule
from potstill.data.suspicions import find_suspicions
from potstill.data.transitions import Transitions
from potstill.data.units import Units, are_same_bounds, find_environment_bounds
from potstill.environments.making import find_registered_limit
from potstill.environments.observations.encoders import EncoderLike
from potstill.errors import PotstillError, make_unknown_name_error, name_option, warn
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import check_regular
from potstill.runtime.registry import Registry

Numbers: TypeAlias = float | int | Sequence[float | int] | np.ndarray
"""One number, or one for each action component."""
Opened = Log | Transitions | AbstractContextManager[Log]
"""The result of a reader: a log; a context manager that yields a log while a file is open; or finished transitions."""


class FileReader(Protocol):
    """Reads the dataset at a path."""

    def __call__(self, path: Path, chosen: Chosen) -> Opened:
        """Read ``path`` with the columns that the user chose."""
        ...


class NameReader(Protocol):
    """Reads the dataset that another project stores under a name."""

    def __call__(self, name: str, chosen: Chosen, *, download: bool) -> Opened:
        """Read the dataset called ``name`` with the columns that the user chose, after a download if needed."""
        ...


# Each data format is a module in potstill.data.formats and a line here. The key is the suffix of its files or the
# scheme of its names. Other packages add formats by entry points of the same groups. A format is imported on first use.
FORMATS: Registry[FileReader] = Registry(
    "data format",
    "potstill.formats",
    {
        ".hdf5": "potstill.data.formats.hdf5:read_hdf5",
        ".h5": "potstill.data.formats.hdf5:read_hdf5",
        ".npz": "potstill.data.formats.npz:read_npz",
        ".parquet": "potstill.data.formats.parquet:read_parquet",
        ".csv": "potstill.data.formats.csv:read_csv",
        ".tsv": "potstill.data.formats.csv:read_csv",
        "folder": "potstill.data.formats.folder:read_folder",
    },
)
SCHEMES: Registry[NameReader] = Registry(
    "dataset scheme",
    "potstill.schemes",
    {
        "minari": "potstill.data.formats.minari:read_minari_name",
        "d4rl": "potstill.data.formats.d4rl:read_d4rl_name",
    },
)
PICKLES = (".pkl", ".pickle")


@dataclass(frozen=True)
class ReadOptions:
    """How a dataset is read."""

    chosen: Chosen
    units: Units
    env_id: str | None
    encoder: EncoderLike | None = None

    @classmethod
    def of(
        cls,
        columns: str | Mapping[str, str | Sequence[str]] | None = None,
        action_low: Numbers | None = None,
        action_high: Numbers | None = None,
        action_bounds: str | None = None,
        out_of_bounds: str = "refuse",
        action_scale: Numbers = 1.0,
        env_id: str | None = None,
        actions: str | None = None,
        encoder: EncoderLike | None = None,
    ) -> ReadOptions:
        """Convert the arguments of :func:`load_dataset`.

        Raises:
            PotstillError: an argument cannot be read, or contradicts another one.
        """
        low = () if action_low is None else as_floats(action_low, "action_low")
        high = () if action_high is None else as_floats(action_high, "action_high")
        scale = as_floats(action_scale, "action_scale")
        units = Units(low, high, action_bounds, out_of_bounds, scale, actions)  # type: ignore[arg-type]
        return cls(parse_columns(columns), units, env_id, encoder)

    @property
    def changes_actions(self) -> bool:
        """Whether the options concern columns, images or actions."""
        return bool(self.chosen) or self.units != Units() or self.encoder is not None


def as_floats(values: object, name: str) -> tuple[float, ...]:
    """Convert a number, or a sequence of numbers, to a tuple. ``name`` is the option in the error.

    Raises:
        PotstillError: the values are not numbers, or have more than one axis.
    """
    try:
        found = np.asarray(values, np.float64).reshape(-1).tolist() if np.ndim(values) < 2 else None  # type: ignore[arg-type]
    except (ValueError, TypeError):
        found = None
    if found is None:
        raise PotstillError(
            f"{name_option(name, str(values)[:40])}: expected a number, or one for each action component"
        )
    return tuple(found)


@check_arguments
def load_dataset(
    source: str | os.PathLike[str] | Mapping[str, object] | Transitions | DataFrame | ReplayBuffer,
    *,
    download: bool = False,
    columns: str | Mapping[str, str | Sequence[str]] | None = None,
    action_low: Numbers | None = None,
    action_high: Numbers | None = None,
    action_bounds: Literal["file", "environment", "data"] | None = None,
    out_of_bounds: Literal["refuse", "clip", "scale"] = "refuse",
    action_scale: Numbers = 1.0,
    env_id: str | None = None,
    actions: Literal["discrete", "continuous"] | None = None,
    encoder: EncoderLike | None = None,
) -> Transitions:
    """Load a dataset.

    Args:
        source: one of

            - the name of a bundled dataset;
            - ``minari:ID``, a dataset in Minari's folder, or ``d4rl:NAME``, a dataset in D4RL's cache;
            - the path of an ``.hdf5`` or ``.h5`` (named columns, D4RL, d3rlpy, Minari, robomimic, tianshou), ``.npz``,
              ``.parquet``, ``.csv`` or ``.tsv`` file, or a folder (``potstill convert``, LeRobot, Minari, …);
            - a mapping of arrays, named as in an ``.npz`` file; a data frame of pandas or Polars; a replay buffer of
              stable-baselines3; or :class:`Transitions`, which are returned unchanged.
        download: download a ``minari:ID`` that is not in Minari's folder, with Minari's own client.
        columns: names of columns by role, as a mapping or as text such as ``observations=a+b,actions=u,rewards=none``.
            The roles are the columns of ``Transitions``, and ``dones``, ``starts``, ``ends`` and ``episodes``.
        action_low: the lower action bound, or one for each component.
        action_high: the upper action bound, in the same form.
        action_bounds: their source: ``file``, ``environment``, or ``data`` for the data's own range. Default: the first
            known of the file's, the environment's, ±1 if the actions span it, and the data's range.
        out_of_bounds: ``refuse`` actions outside, ``clip`` them to the bounds, or ``scale`` their components inside.
        action_scale: factor for the actions, or one for each component, if their unit is not that of the environment.
        env_id: Gymnasium id of the environment, if the data do not name it; ``none`` for no environment.
        actions: ``discrete`` (the numbers 0, 1, 2, … of a finite set) or ``continuous``, if neither the file nor the
            environment states it. One column of integers counts as discrete; others are refused.
        encoder: makes features of images: one of :mod:`potstill.environments.observations`, or a function.

    Raises:
        PotstillError: the name is unknown, the file is missing, its format is unknown, or its content is invalid.

    Warns:
        PotstillWarning: something was assumed, or is suspicious (:func:`~potstill.data.suspicions.find_suspicions`).

    Example:
        >>> log = {"angle": np.zeros(50), "torque": np.tile([-2.0, 2.0], 25), "reward": np.ones(50)}
        >>> load_dataset(log, columns="observations=angle,actions=torque,terminations=none", action_bounds="data")
        Transitions('arrays': 49 rows, 1 state and 1 action components, no environment, actions in [-2, 2])
    """
    bounds = (action_low, action_high, action_bounds, out_of_bounds, action_scale)
    options = ReadOptions.of(columns, *bounds, env_id, actions, encoder)
    if download and not str(source).startswith("minari:"):
        raise PotstillError(f"{name_option('download')}: only minari:ID can be downloaded")
    if isinstance(source, Transitions):
        return use_transitions(source, options)
    data, notes = _load(source, options, download)
    for line in (*notes, *find_suspicions(data, numbers=not options.units.actions)):
        warn(f"{data.name}: {line}")
    return data


def _load(source: object, options: ReadOptions, download: bool) -> tuple[Transitions, list[str]]:
    """Read a dataset; return it with warnings about it."""
    with open_dataset(source, options.chosen, download=download) as log:
        if not isinstance(log, Transitions):
            rows = apply_rule(log, options.encoder)
            paired = read_rows(rows, find_limit(rows, options))
    # The environment is made after the file was read: errors of its packages are not errors in the file.
    if isinstance(log, Transitions):
        notes = [] if options.env_id is not None else drop_environment(log)
        return use_transitions(log, options), notes
    return make_transitions(rows, paired, options.units, options.env_id)


def find_limit(log: Log, options: ReadOptions) -> int | None:
    """Find the time limit of a log's environment, if it is known."""
    return find_registered_limit(log.env_id if options.env_id is None else options.env_id)


def use_transitions(data: Transitions, options: ReadOptions) -> Transitions:
    """Return finished transitions, with another environment if the options name one.

    Raises:
        PotstillError: the options would change columns or actions, or the environment does not fit.
    """
    if options.changes_actions:
        raise PotstillError(
            f"{data.name}: Transitions and converted datasets are used unchanged: choose columns and scale actions "
            "when you make them"
        )
    env_id = data.env_id if options.env_id is None else options.env_id
    env_id = None if env_id == NO_ENVIRONMENT else env_id
    if env_id == data.env_id:
        return data
    if env_id is not None:
        bounds = find_environment_bounds(env_id, data.state_size, data.action_size, source=data.name, rule=data.rule)
        if not are_same_bounds(bounds, data.action_bounds):
            raise PotstillError(f"{data.name}: its action bounds differ from those of {env_id}")
    changed = dataclasses.replace(data, env_id=env_id, finite=True)
    vars(changed).update({key: value for key, value in vars(data).items() if key not in vars(changed)})  # caches
    return changed


def open_dataset(
    source: object, chosen: Chosen, *, download: bool = False
) -> AbstractContextManager[Log | Transitions]:
    """Open a dataset for reading: a context manager that yields its log, or finished transitions.

    Raises:
        PotstillError: the name is unknown, the file is missing, or its format is unknown.
    """
    opened: Opened
    if isinstance(source, str) and not source:
        raise PotstillError("the dataset's name is empty: expected a name or a path")
    if isinstance(source, Mapping):
        opened = read_arrays(source, chosen)
    elif isinstance(source, str | os.PathLike):
        opened = _open_name(Path(source).as_posix(), chosen, download)
    elif isinstance(source, ReplayBuffer):
        opened = read_buffer(source, chosen)
    else:
        opened = read_frame(source, chosen)
    if isinstance(opened, Log | Transitions):
        return nullcontext(opened)
    return cast(AbstractContextManager[Log | Transitions], opened)


def _open_name(name: str, chosen: Chosen, download: bool) -> Opened:
    scheme, colon, rest = name.partition(":")
    if name in list_bundled_names():
        return FORMATS[".hdf5"](BUNDLED / f"{name}.hdf5", chosen)
    if colon and scheme in SCHEMES:
        if not rest:
            raise PotstillError(
                f"{scheme}: expected a name after the colon, as in minari:mujoco/hopper/medium-v0 or "
                "d4rl:hopper-medium-v2"
            )
        return SCHEMES[scheme](rest, chosen, download=download)
    suffix = "folder" if os.path.isdir(name) else Path(name).suffix.lower()
    if suffix in PICKLES:
        raise PotstillError(
            f"{name}: a pickle, which can run code when it is loaded: save the arrays in Python, such as "
            "np.savez('buffer.npz', **{k: v for k, v in vars(buffer).items() if isinstance(v, np.ndarray)})"
        )
    if suffix not in FORMATS and not os.path.lexists(name):
        raise PotstillError(
            f"{make_unknown_name_error('dataset', name, list_bundled_names())}; or minari:ID, d4rl:NAME, or a path"
        )
    if suffix not in FORMATS:
        what = f"'{suffix}' files" if suffix else "a file without a suffix"
        raise PotstillError(f"{name}: cannot read {what}, only {', '.join(s for s in FORMATS if '.' in s)}")
    if suffix != "folder":
        check_regular(name)
    return FORMATS[suffix](Path(name), chosen)
