"""Options of every command that reads a dataset: where it comes from, its columns, and the unit of its actions."""

# Annotations are not postponed: classes that inherit these fields are in modules without the names in them.

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_type_hints

from potstill.data.columns import format_columns
from potstill.runtime.files import to_json
from potstill.runtime.validation import Dataclass, check_type, name_field

if TYPE_CHECKING:
    from potstill.config.option_types import ColumnsOption
else:
    from potstill.config.cli_types import ColumnsOption


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """How a command reads its dataset."""

    download: bool = False
    """Let Minari download a dataset minari:ID that is not on this machine yet."""

    columns: ColumnsOption | None = None
    """Names of columns by role, such as observations=temperature+pressure,actions=valve,rewards=none. The roles are
    observations, actions, rewards, next_observations, terminations, truncations, dones, starts, ends and episodes. Use
    + to concatenate columns, * as a wildcard, none if the data have no such column."""

    env_id: str | None = None
    """Gymnasium id of the environment, if the data do not name it. none: use no environment."""

    actions: Literal["discrete", "continuous"] | None = None
    """Whether actions are the numbers 0, 1, 2, … of a finite set, or continuous, if neither the data nor the
    environment says so. Default: one column of integers is a finite set, and other integers are refused."""

    action_bounds: Literal["file", "environment", "data"] | None = None
    """Source of the action bounds; data takes the observed range. Default: the file, else the environment, else ±1 if
    the actions use this range or are few, else the data."""

    action_low: tuple[float, ...] = ()
    """Lower action bounds, one per component or one for all. With --action-high, they override the bounds of the file
    and of the environment."""

    action_high: tuple[float, ...] = ()
    """Upper action bounds, in the same form. Give both options or neither."""

    out_of_bounds: Literal["refuse", "clip", "scale"] = "refuse"
    """What to do with logged actions outside the bounds: refuse them; clip them to the nearest bound; or scale each
    component by the largest factor that brings its actions inside."""

    action_scale: tuple[float, ...] = (1.0,)
    """Multiply the actions by this factor, or by one for each component, if their unit is not the environment's."""

    def __post_init__(self) -> None:
        from potstill.data.registry import ReadOptions, as_floats  # not for --help: it imports NumPy

        if isinstance(self.columns, Mapping):
            object.__setattr__(self, "columns", format_columns(self.columns))
        for name in ("action_low", "action_high", "action_scale"):  # in Python also a number, a list or an array
            object.__setattr__(self, name, as_floats(getattr(self, name), name))
        hints = get_type_hints(ReadingConfig)
        for field in fields(ReadingConfig):
            check_type(name_field(self, field.name), getattr(self, field.name), hints[field.name])
        ReadOptions.of(**self.reading)

    @property
    def reading(self) -> dict[str, Any]:
        """The arguments of :func:`~potstill.data.registry.load_dataset`, but for ``download``."""
        names = [field.name for field in fields(ReadingConfig) if field.name != "download"]
        given = {name: getattr(self, name) for name in names}
        return {name: None if value == () else value for name, value in given.items()}


Config = TypeVar("Config", bound=type[Dataclass])


def positional_first(config: Config) -> Config:
    """Decorate a config that inherits options: its own positional fields come before them, as on the command line."""
    ordered = sorted(config.__dataclass_fields__.items(), key=lambda item: bool(item[1].kw_only))
    config.__dataclass_fields__ = dict(ordered)  # Cyclopts reads positional fields up to the first other one
    return config


DEFAULTS = {field.name: field.default for field in fields(ReadingConfig)}
"""The options and their defaults."""
LATER_OPTIONS = {name: to_json(value) for name, value in DEFAULTS.items() if name not in ("download", "action_scale")}
"""The options that version 0.1 does not have, with their defaults as in JSON."""
