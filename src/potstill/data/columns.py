"""The roles of columns, the names that other projects give them, and the choice of columns for each role."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from potstill.data.keys import find_inner_keys
from potstill.errors import PotstillError, make_unknown_name_error, name_option, naming_source

SYNONYMS = {
    "observations": ("observation", "obs", "observation.state"),
    "actions": ("action", "act", "acts"),
    "rewards": ("reward", "rew", "rews", "next.reward"),
    "next_observations": ("next_observation", "next_obs", "obs_next", "next.observation", "next.obs"),
    "terminations": ("termination", "terminated", "terminals", "terminal", "next.terminated"),
    "truncations": ("truncation", "truncated", "timeouts", "timeout", "next.truncated"),
    "dones": ("done", "next.done"),
    "starts": ("episode_starts", "is_first"),
    "ends": ("episode_terminals", "episode_ends"),
    "last_steps": ("is_last",),
    "terminal_steps": ("is_terminal",),
    "frames": ("frame_index",),
    "episodes": ("episode_index", "episode_id", "episode_ids", "episode", "trajectory_id", "traj_id"),
}
"""The names of each role besides its own: those of D4RL, Minari, LeRobot, TorchRL, tianshou, RLDS and others."""
REQUIRED = ("observations", "actions", "rewards", "terminations")
TABLES = ("observations", "actions", "next_observations")  # the roles with two axes
SYNONYMS_ONLY = ("starts", "ends", "last_steps", "terminal_steps", "frames", "episodes")
"""Roles whose own names have other meanings in some files. Only their synonyms or the user's names select columns."""
OF_THE_STATE = ("terminated", "truncated", "done")
"""In TorchRL's layout, flags of the state. Those of the transition have ``next.`` before them."""

LEROBOT = {"observation.state", "episode_index"}
"""Names that show LeRobot's layout, which may have no rewards and no ends but those of episodes."""
STABLE_BASELINES = {"episode_starts", "episode_returns"}
"""Names that show the layout of stable-baselines' expert data, which does not record why episodes end."""

NEARLY = {
    "observations": ("states", "state", "s", "x", "features", "sensors"),
    "actions": ("a", "u", "controls", "control", "commands", "command"),
    "rewards": ("r",),
    "next_observations": ("nextstates", "nextstate", "snext", "nexts", "sprime", "nextx", "newobs", "statesnext"),
    "terminations": ("term", "terms", "isterminal"),
    "truncations": ("trunc", "timelimit"),
}
"""Names, without case and punctuation, that may mean a role. Error messages suggest them; they are never assumed."""
GROUPS = ("observations", "next_observations")  # roles whose arrays may be the entries of a dictionary
MOST_NAMES = 20  # in a message
WITHOUT = {"rewards": "which is enough for behavioural cloning", "terminations": "if no episode terminates"}
NUMBERED = re.compile(r"(.+?)(?:[._](\d+)|\[(\d+)\])")
NONE = "none"

Chosen: TypeAlias = dict[str, tuple[str, ...]]
"""The names in a file of each role. Several are joined side by side."""


def parse_columns(columns: str | Mapping[str, str | Sequence[str]] | None) -> Chosen:
    """Parse the columns that the user chose for each role.

    Args:
        columns: text such as ``observations=temperature+pressure,actions=valve,rewards=none``, or a mapping from
            roles to one or more names. ``none``: the role has no column. ``*`` in a name matches any characters.

    Raises:
        PotstillError: the text cannot be read, a role is unknown, or observations or actions have no column.

    Example:
        >>> parse_columns("observations=x+y,rewards=none")
        {'observations': ('x', 'y'), 'rewards': ()}
    """
    if isinstance(columns, str):
        pairs = [part.partition("=") for part in columns.split(",") if part.strip()]
        if not pairs or any(not (equals and role.strip() and names.strip()) for role, equals, names in pairs):
            raise PotstillError(
                f"{name_option('columns', columns)}: expected ROLE=NAME, such as observations=state,actions=a+b"
            )
        roles = [role.strip() for role, _, _ in pairs]
        double = [role for role in roles if roles.count(role) > 1]
        if double:
            raise PotstillError(
                f"{name_option('columns', columns)}: '{double[0]}' occurs twice: join the names of one role by +"
            )
        columns = {role: names.strip() for role, (_, _, names) in zip(roles, pairs, strict=True)}
    chosen: Chosen = {}
    for role, names in (columns or {}).items():
        if role not in SYNONYMS:
            raise make_unknown_name_error(f"role in {name_option('columns')}", role, SYNONYMS)
        listed = names.split("+") if isinstance(names, str) else names
        if not isinstance(listed, Sequence) or not all(isinstance(name, str) for name in listed):
            raise PotstillError(f"columns: {role} is {str(names)[:40]}, expected a name or names")
        parts = tuple(listed)
        chosen[role] = () if parts == (NONE,) else parts
        if not chosen[role] and role in ("observations", "actions"):
            raise PotstillError(
                f"{name_option('columns', f'{role}={NONE}')}: expected names, as every dataset has {role}"
            )
    return chosen


def format_columns(columns: Mapping[str, str | Sequence[str]]) -> str:
    """Write a choice of columns as text, which :func:`parse_columns` reads.

    >>> format_columns({"observations": ["x", "y"], "rewards": "none"})
    'observations=x+y,rewards=none'
    """
    joined = {role: names if isinstance(names, str) else "+".join(names) or NONE for role, names in columns.items()}
    return ",".join(f"{role}={names}" for role, names in joined.items())


def match_columns(
    names: Iterable[str],
    chosen: Mapping[str, Sequence[str]] | None = None,
    *,
    source: str,
) -> Chosen:
    """Find the columns of a dataset among the names in a file.

    Args:
        names: all names in the file. Unknown names are ignored.
        chosen: names that the user chose, by role, as :func:`parse_columns` returns them.
        source: name of the data in error messages.

    Returns:
        The names in the file of each role.

    Raises:
        PotstillError: a required column is missing, two names mean the same column, or a chosen name does not exist.

    Example:
        >>> match_columns(["obs_1", "obs_0", "act", "r"], {"rewards": ["r"], "terminations": []}, source="a table")
        {'observations': ('obs_0', 'obs_1'), 'actions': ('act',), 'rewards': ('r',)}
    """
    given, chosen = sorted(names), chosen or {}
    groups = _group_numbered(given, source=source)
    plain = {_normalise_name(name): name for name in reversed(given)}
    of_the_state = OF_THE_STATE if any(f"next.{name}" in plain for name in (*OF_THE_STATE, "reward")) else ()
    found: Chosen = {}
    for role, synonyms in SYNONYMS.items():
        if role in chosen:
            found[role] = expand_names(chosen[role], given, groups, source=source)
            continue
        known = [*([] if role in SYNONYMS_ONLY else [role]), *synonyms]
        known = [name for name in known if (name in plain or name in groups) and name not in of_the_state]
        if len(known) > 1:
            raise PotstillError(f"{source}: has both '{known[0]}' and '{known[1]}': keep one of them")
        parts = [groups.get(name) or (plain[name],) for name in known]
        with naming_source(source):
            parts = parts or ([tuple(inside)] if (inside := find_keys(given, role)) else [])
        if parts and not (role == "dones" and ("terminations" in chosen or parts[0][0] in _list_used(found))):
            found[role] = parts[0]
    optional: set[str] = set()
    if plain.keys() >= LEROBOT:
        optional |= {"rewards", "terminations"}
    if plain.keys() >= STABLE_BASELINES:
        optional |= {"terminations"}
    _check_required(found, given, source=source, optional=optional)
    return {role: parts for role, parts in found.items() if parts}


def _check_required(
    found: Mapping[str, Sequence[str]], given: Sequence[str], *, source: str, optional: Collection[str]
) -> None:
    """Raise unless each required role has a column, or the user stated that it has none."""
    needed = [role for role in REQUIRED if role not in found and role not in optional]
    if "last_steps" in found or ("dones" in found and "truncations" in found):  # terminations follow
        needed = [role for role in needed if role != "terminations"]
    if needed:
        raise _make_missing_column_error(needed, given, found, source=source)


def _make_missing_column_error(
    needed: Sequence[str], given: Sequence[str], found: Mapping[str, Sequence[str]], *, source: str
) -> PotstillError:
    """Return the error for roles without a column. The message suggests an option with columns of similar names."""
    role = needed[0]
    more = f" and {len(given) - MOST_NAMES} more" if len(given) > MOST_NAMES else ""
    has = f"found: {', '.join(given[:MOST_NAMES]) or 'nothing'}{more}"
    done = found["dones"][0] if found.get("dones") else ""
    if role == "terminations" and done:
        terminations = name_option("columns", f"terminations={done}")
        truncations = name_option("columns", f"truncations={done},terminations=none")
        return PotstillError(
            f"{source}: no column 'terminations', and '{done}' does not distinguish terminations from time-outs; "
            f"{has}. If all ends are terminations: {terminations}; if all are time-outs: {truncations}"
        )
    near = {key: _find_nearest(key, sorted(set(given) - _list_used(found))) for key in needed}
    if near[role] and "next_observations" not in found:
        near["next_observations"] = _find_nearest("next_observations", given, close=False)
    paste = ",".join(f"{key}={name}" for key, name in near.items() if name)
    paste += "" if near[role] else f"{',' if paste else ''}{role}=NAME"
    without = name_option("columns", f"{role}={NONE}")
    more = f"; or {without}, {WITHOUT[role]}" if role in WITHOUT and not near[role] else ""
    return PotstillError(f"{source}: no column '{role}'; {has}. Choose it with {name_option('columns', paste)}{more}")


def _list_used(found: Mapping[str, Sequence[str]]) -> set[str]:
    return {name for names in found.values() for name in names}


def _find_nearest(role: str, given: Collection[str], *, close: bool = True) -> str:
    """Find the names that probably mean a role, joined by ``+``; an empty string if there are none."""
    plain = {_keep_letters(name): name for name in sorted(given, reverse=True)}
    exact = [plain[alias] for alias in NEARLY.get(role, ()) if alias in plain]
    if exact:
        return exact[0]
    aliases = [_keep_letters(name) for name in (role, *SYNONYMS[role])]
    stems = {name: NUMBERED.fullmatch(name) for name in given} if role in TABLES else {}
    parts = [name for name, match in stems.items() if match and _keep_letters(match[1]) in aliases]
    parts = parts or [name for name in given if re.match(rf"(?i)({'|'.join(aliases)})\W", name)]  # of a dictionary
    if parts:
        return "+".join(sorted(parts, key=split_numbers))
    last = [name for name in sorted(given) if _keep_letters(re.split(r"[/.]", name)[-1]) in aliases]  # in a group
    if last:
        return last[0]
    if not close:
        return ""
    near = [match for alias in aliases for match in difflib.get_close_matches(alias, plain, n=1, cutoff=0.8)]
    return plain[near[0]] if near else ""


def _keep_letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _normalise_name(name: str) -> str:
    """Write TorchRL's nested names with dots: ``next/reward``, ``('next', 'reward')`` and ``next_reward``."""
    plain = re.sub(r"/|'\s*,\s*'", ".", name.strip("()' "))
    return re.sub(r"^next_(reward|terminated|truncated|done)$", r"next.\1", plain)


def expand_names(
    parts: Sequence[str], given: Sequence[str], groups: Mapping[str, tuple[str, ...]] | None = None, *, source: str
) -> tuple[str, ...]:
    """Expand patterns with ``*``, and the common names of numbered columns, to the names in the file.

    Raises:
        PotstillError: a name does not exist.

    Example:
        >>> expand_names(["x*", "z"], ["x10", "x2", "y", "z"], source="a file")
        ('x2', 'x10', 'z')
    """
    found: list[str] = []
    for part in parts:
        if part in given:
            found.append(part)
        elif groups and part in groups:
            found += groups[part]
        else:
            matches = [name for name in given if "*" in part and fnmatchcase(name, part.replace("[", "[[]"))]
            if not matches:
                raise make_unknown_name_error(f"column in {name_option('columns')}: {source} has no", part, given)
            found += sorted(matches, key=split_numbers)
    double = next((name for name in found if found.count(name) > 1), None) if len(set(found)) < len(found) else None
    if double is not None:
        raise PotstillError(f"{source}: '{double}' occurs twice in one role of {name_option('columns')}")
    return tuple(found)


def find_keys(names: Iterable[str], role: str) -> dict[str, str]:
    """Find the arrays of a dictionary of observations, by the names of its role; see :func:`find_inner_keys`."""
    found = [name for name in names if name not in SYNONYMS[role]]
    return find_inner_keys(found, (role, *SYNONYMS[role])) if role in GROUPS else {}


def split_numbers(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts ``x2`` before ``x10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _group_numbered(names: Sequence[str], *, source: str) -> dict[str, tuple[str, ...]]:
    """Group numbered columns by their common name, in numerical order.

    Raises:
        PotstillError: numbers of a role's columns are missing or occur twice.

    Example:
        >>> _group_numbered(["obs_1", "obs_0", "action.0", "info_7"], source="a file")
        {'obs': ('obs_0', 'obs_1'), 'action': ('action.0',)}
    """
    known = {name for role in TABLES for name in (role, *SYNONYMS[role])}
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = NUMBERED.fullmatch(name)
        if match and match[1] in known:
            numbers = found.setdefault(match[1], {})
            if numbers.setdefault(int(match[2] or match[3]), name) != name:
                raise PotstillError(f"{source}: has both '{numbers[int(match[2] or match[3])]}' and '{name}'")
    for name, numbers in found.items():
        if sorted(numbers) != list(range(len(numbers))) or name in names:
            role = next(role for role in TABLES if name in (role, *SYNONYMS[role]))
            whole = name_option("columns", f"{role}={'+'.join(numbers.values())}")
            raise PotstillError(
                f"{source}: columns of '{name}' are numbered {sorted(numbers)}: expected 0, 1, 2, …, or {whole}"
            )
    return {name: tuple(numbers[index] for index in sorted(numbers)) for name, numbers in found.items()}
