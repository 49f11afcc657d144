"""Presets of ``potstill distill``: named sets of options.

A preset sets those of its options that are not given explicitly. It is applied before a config is made from a command
line or from keyword arguments, so configs and their records contain the individual options.
"""

from __future__ import annotations

from collections.abc import Mapping

from potstill.errors import PotstillError, make_unknown_name_error

ALGORITHM_1: dict[str, object] = {
    "initial": "random",
    "initial_actions": "data",
    "solver": "unroll",
    "recipe": "paper",
    "optimiser": "sgd",
    "learning_rate": 0.1,
    "clip": 2.0,
    "batch": 2560,
    "state_noise": 0.0,
    "action_limit": 1e6,  # none
    "curve_points": 20,
}
PRESETS: dict[str, dict[str, object]] = {
    "paper": {"objective": "av-pbc", "weighting": "unscaled", "steps": 20_000, **ALGORITHM_1},
    "paper-pbc": {"objective": "pbc", "weighting": "uniform", "steps": 50_000, **ALGORITHM_1},
    "paper-dbc": {"objective": "dbc", "weighting": "uniform", "steps": 50_000, **ALGORITHM_1},
}
"""Algorithm 1 of *Offline Behavior Distillation* (NeurIPS 2024), with its three objectives."""

DIFFERENCES = (
    "the teacher is the given one, which need not be trained by Cal-QL",
    "batches are drawn with replacement",
    "the student clones mean actions, as in the paper's formula; its code samples them (--recipe reference)",
    "the number of steps is that for Hopper; for HalfCheetah and Walker2d, the paper uses 50,000 (paper) and 200,000 "
    "(paper-pbc, paper-dbc)",
)
"""Differences between these presets and the paper."""


def find_preset(name: object) -> dict[str, object]:
    """Return the options of a preset.

    Raises:
        PotstillError: the name is unknown.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise make_unknown_name_error("preset", str(name), PRESETS)
    return PRESETS[name]


def add_preset(options: Mapping[str, object]) -> dict[str, object]:
    """Add the options of a preset to keyword arguments, if ``preset`` is one of them.

    >>> add_preset({"preset": "paper-pbc", "steps": 5})["steps"]
    5
    """
    name = options.get("preset")
    return dict(options) if name is None else {**find_preset(name), **options}


def expand_preset(words: list[str]) -> list[str]:
    """Add the options of a preset to the words of a command line, if ``--preset`` is one of them.

    >>> expand_preset(["distill", "x", "--preset", "paper-pbc", "--steps", "5"])[4:7]
    ['--objective', 'pbc', '--weighting']
    """
    named = [i for i, word in enumerate(words) if word.partition("=")[0] == "--preset"]
    if not named:
        return words
    if len(named) > 1:
        raise PotstillError("--preset is given more than once")
    at = named[0]
    _, equals, name = words[at].partition("=")
    end = at + (1 if equals else 2)
    preset = find_preset(name if equals else "".join(words[at + 1 : end]))
    given = {word.partition("=")[0].removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
    added = [[f"--{name.replace('_', '-')}", f"{value}"] for name, value in preset.items() if name not in given]
    return [*words[:end], *(word for pair in added for word in pair), *words[end:]]
