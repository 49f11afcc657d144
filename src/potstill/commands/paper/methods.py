"""The methods whose distillates are compared: named options of ``potstill distill``, in four groups.

- ``equal``: every objective under the same conditions: all states of the dataset without noise, the same initial pairs
  (one state for each cluster, with the data's action), and potstill's default solver and student. DBC has no target in
  a noisy state, so no objective gets noise; DBC has no teacher, so the initial actions are the data's for all.
- ``potstill``: ``potstill distill --states data`` without other options.
- ``paper``: the presets, which follow Algorithm 1 of the paper.
- ``baselines``: potstill's solver for the paper's student, for the table of baselines, which are made for that student.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from potstill.commands.paper.scales import Scale
from potstill.config import DistillConfig
from potstill.config.settings import make_config
from potstill.runtime.files import JsonObject
from potstill.students.recipe import RECIPES

Group = Literal["equal", "potstill", "paper", "baselines"]


@dataclass(frozen=True)
class Method:
    """A way to choose or distil pairs."""

    name: str
    label: str
    group: Group
    options: Mapping[str, object]
    """Options of ``potstill distill``."""
    row: str | None = None
    """The row of the paper's tables that it belongs to."""

    @property
    def is_random(self) -> bool:
        """Whether the pairs are drawn from the data, without distillation."""
        return self.options.get("objective") == "random"


_DATA = {"initial_actions": "data"}
_EQUAL: JsonObject = {"weighting": "uniform", "state_noise": 0.0, **_DATA}
_STUDENT: JsonObject = {"recipe": RECIPES["paper"]}
_ALL = (
    Method("equal-random", "random selection", "equal", {"objective": "random", "initial": "random", **_DATA}),
    Method("equal-dbc", "DBC", "equal", {"objective": "dbc", **_EQUAL}),
    Method("equal-pbc", "PBC", "equal", {"objective": "pbc", **_EQUAL}),
    Method("equal-av-pbc", "Av-PBC", "equal", {"objective": "av-pbc", **_EQUAL, "weighting": "ranged"}),
    Method("equal-q-gap", "Q-gap", "equal", {"objective": "q-gap", **_EQUAL}),
    Method("potstill", "potstill", "potstill", {}),
    Method("paper-random", "random selection", "paper", {"preset": "paper", "objective": "random"}, "random"),
    Method("paper-dbc", "DBC", "paper", {"preset": "paper-dbc"}, "dbc"),
    Method("paper-pbc", "PBC", "paper", {"preset": "paper-pbc"}, "pbc"),
    Method("paper-av-pbc", "Av-PBC", "paper", {"preset": "paper"}, "av-pbc"),
    Method("student-pbc", "PBC", "baselines", {"objective": "pbc", **_STUDENT}),
    Method("student-av-pbc", "Av-PBC", "baselines", {"objective": "av-pbc", **_STUDENT}),
    Method("student-potstill", "potstill", "baselines", _STUDENT),
)
METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}


def make_distill_config(method: Method, scale: Scale, family: str, dataset: str, **given: object) -> DistillConfig:
    """Make the settings of ``potstill distill`` for a method at a scale.

    Args:
        method: the method.
        scale: determines the numbers of steps and of points of the curve.
        family: the environment in lower case; the paper's number of steps depends on it.
        dataset: name or path.
        given: further options: the number of pairs, the seed, the run folder.

    >>> from potstill.commands.paper.scales import SCALES
    >>> make_distill_config(METHODS["paper-dbc"], SCALES["full"], "walker2d", "x").steps
    200000
    """
    options: JsonObject = {"states": "data", **method.options, "students": 1}  # those of the paper, for all methods
    if method.group == "paper":
        points = 20 if scale.as_printed else scale.curve_points
        steps = 0 if method.row in (None, "random") else scale.count_outer_steps(family, str(method.row))
        options |= {"steps": steps, "curve_points": points}
    else:
        recipe = dataclasses.replace(RECIPES["default"], towers=scale.towers)
        options = {"recipe": recipe, "steps": scale.steps, "curve_points": scale.curve_points} | options
    if method.is_random:
        options |= {"steps": 0, "curve_points": 1}
    return make_config(DistillConfig, (dataset,), options | given)
